"""Confidence intervals of pixel figures, and the paired test of two detectors, by leaving out one image at a time.

A figure of a set pools its pixels, so an image with a large anomaly weighs as much as twenty with small ones, and ten
images may be worth three. The interval is the jackknife's on the logit scale, with a quantile of Student's t whose
degrees of freedom count what the images are worth (Bell and McCaffrey, "Bias reduction in standard errors for linear
regression with multi-stage samples", Survey Methodology 28, 2002; Imbens and Kolesar, "Robust standard errors in small
samples", REStat 98, 2016). Frames of one video or recording are left out together. docs/research/intervals.md holds the
simulation that chose it among ten methods, and says where the stated coverage is not reached.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np

from oddroad.metrics.pixel import PixelMetric

COARSE = 2048
"""Bins of the counts of an image that the intervals work with."""

FIGURES = ("ap", "fpr95", "auroc", "f1")

RATES = (
    "false_alarms_per_frame", "alarms_per_hour", "false_alarms_per_hour", "false_alarms_per_100_frames",
)  # fmt: skip
"""Figures without an upper bound that count events: their intervals are symmetric on the scale of logarithms."""

DELAYS = ("delay_frames", "delay_seconds")
"""Means of times: their intervals are symmetric, and end at 0."""

LEVEL = 0.95
"""Probability with which an interval is to cover."""

LEAST_FREEDOM = 2.0
"""Degrees of freedom below which none are counted: Student's t of fewer has no variance, and its intervals say nothing;
those with it cover in the simulation."""


SAME = 1e-12
"""Values that differ by less are one, but for the rounding of sums."""


@dataclass(frozen=True)
class LeftOut:
    """Figures of a set with each unit (image, or sequence of frames) left out in turn.

    Attributes:
        units: names of the units.
        figures: figure -> (n,) its values without each unit; NaN where nothing is left to judge.
        degrees: figure -> degrees of freedom of the spread, see ``degrees_of_freedom``; 0 where one unit holds all.
        steps: figure -> its least change, that of one pixel, component or alarm; half of it bounds the logit of 0 and
            of 1, and the logarithm of 0.
    """

    units: tuple[str, ...]
    figures: Mapping[str, np.ndarray]
    degrees: Mapping[str, float]
    steps: Mapping[str, float]


class Counts(Protocol):
    """Counts of frames or sequences whose figures can have intervals."""

    def merge(self, other: Any) -> None:
        """Add the counts of another part."""

    def without(self, part: Any) -> Any:
        """The counts less those of a part of them."""
        ...

    def result(self) -> dict[str, float]:
        """The figures."""
        ...

    def weights(self) -> Mapping[str, tuple[float, ...]]:
        """Of each figure that gets an interval, the sizes of what it is a mean over."""
        ...

    def steps(self) -> Mapping[str, float]:
        """By how much one thing more changes each of these figures, at least."""
        ...


@dataclass(frozen=True)
class Difference:
    """A figure of one detector minus that of another on the same images.

    Attributes:
        difference: of the figures.
        low: lower end of its interval; NaN where there is none.
        high: upper end.
        p: probability of such a difference or a larger one, either way, between detectors that are equally good.
    """

    difference: float
    low: float
    high: float
    p: float


def leave_one_out(frames: Sequence[PixelMetric], units: Sequence[str]) -> LeftOut:
    """The figures with each unit left out.

    Args:
        frames: the counts of each image, of COARSE bins or so.
        units: of each image, the name of its sequence, or its own where it stands alone.
    """
    names = tuple(dict.fromkeys(units))
    whole = PixelMetric(frames[0].bins)
    for frame in frames:
        whole.merge(frame)
    place = {name: number for number, name in enumerate(names)}
    counts = np.zeros((len(names), *whole.counts.shape), np.int64)
    ties = np.zeros((len(names), *whole.tie_counts.shape), np.int64)
    shift = np.uint32(whole.shift)
    for frame, unit in zip(frames, units, strict=True):
        frame = aligned(frame, whole)
        at = np.searchsorted(whole.lowest >> shift, frame.lowest >> shift)
        counts[place[unit]][:, at] += frame.counts
        if whole.apart:
            ties[place[unit]][:, np.searchsorted(whole.ties, frame.ties)] += frame.tie_counts
    all_counts, all_ties = whole.counts, whole.tie_counts
    found: dict[str, list[float]] = {name: [] for name in FIGURES}
    for own, own_ties in zip(counts, ties, strict=True):
        whole.counts, whole.tie_counts = all_counts - own, all_ties - own_ties
        result = whole.result()
        for name, values in found.items():
            values.append(result[name])
    sizes = counts.sum(2) + ties.sum(2)
    degrees = min(degrees_of_freedom(sizes[:, kind]) for kind in (0, 1))
    figures = {name: np.array(values) for name, values in found.items()}
    step = 1 / max(int(sizes.sum()), 1)
    return LeftOut(names, figures, dict.fromkeys(FIGURES, degrees), dict.fromkeys(figures, step))


Part = TypeVar("Part", bound=Counts)


def merged(parts: Sequence[Part]) -> Part:
    """The counts of all parts, one at least, which stay as they are."""
    whole = deepcopy(parts[0])
    for part in parts[1:]:
        whole.merge(part)
    return whole


def leave_one_out_counts(frames: Sequence[Counts], units: Sequence[str]) -> LeftOut:
    """The figures of counts at a fixed threshold with each unit left out; units are weighed by what they count.

    Args:
        frames: the counts of each image, or of each sequence.
        units: see ``leave_one_out``.
    """
    gathered: dict[str, list[Counts]] = {}
    for frame, unit in zip(frames, units, strict=True):
        gathered.setdefault(unit, []).append(frame)
    parts = [merged(each) for each in gathered.values()]
    whole = merged(parts)
    found = [whole.without(part).result() for part in parts]
    weights = [part.weights() for part in parts]
    figures = {name: np.array([each[name] for each in found]) for name in whole.weights()}
    degrees = {
        name: min(degrees_of_freedom(sizes) for sizes in np.array([each[name] for each in weights]).T)
        for name in figures
    }
    return LeftOut(tuple(gathered), figures, degrees, whole.steps())


def aligned(frame: PixelMetric, whole: PixelMetric) -> PixelMetric:
    """The counts of a frame in the bins of the whole, its ties apart only if those of the whole are."""
    moved = PixelMetric(whole.bins)
    moved.shift, moved.apart = whole.shift, whole.apart
    moved.merge(frame)
    return moved


def degrees_of_freedom(sizes: np.ndarray) -> float:
    """Degrees of freedom of the jackknife variance of a mean that weighs each unit by its size.

    Satterthwaite's approximation for values of equal variance: with weights h = sizes / sum, the deviations from the
    weighted mean have the covariance 1 - h - h' + sum(h²), and the jackknife squares them times h / (1 - h). Equal
    sizes give n - 1, one size that outweighs all others gives 1.

    Args:
        sizes: (n,) pixels of each unit.

    Returns:
        1 to n - 1; 0 where fewer than two units have a size.
    """
    if np.count_nonzero(sizes) < 2:
        return 0.0
    weight = sizes / sizes.sum()
    if weight.max() > 0.999:  # the limit; the sums below would cancel
        return 1.0
    square = (weight / (1 - weight)) ** 2
    common = weight @ weight
    own = common - 2 * weight
    trace = square @ (1 + own)
    rest = common - weight
    crossed = square.sum() * (square @ (rest**2 + weight**2)) - 2 * (square @ rest) * (square @ weight)
    found = trace**2 / (square**2 @ (1 + 2 * own) + crossed)
    return float(found.clip(1, np.count_nonzero(sizes) - 1))


def interval(value: float, left_out: LeftOut, figure: str, level: float = LEVEL) -> tuple[float, float]:
    """The interval of a figure.

    Args:
        value: the figure of the whole set.
        left_out: the same with each unit left out.
        figure: its key.
        level: probability with which it is to cover.

    Returns:
        (low, high); both NaN where nothing can be said, see ``why_none``.
    """
    if why_none(left_out, figure):
        return float("nan"), float("nan")
    values, width = left_out.figures[figure], critical(left_out.degrees[figure], level)
    if figure in DELAYS:
        half = width * spread(values)
        return max(value - half, 0.0), value + half
    step = left_out.steps[figure]
    if figure in RATES:
        middle, logs = (np.log(np.maximum(each, step / 2)) for each in (np.array(value), values))
        half = width * spread(logs)
        return float(np.exp(middle - half)), float(np.exp(np.minimum(middle + half, 700.0)))
    half = width * spread(logit(values, step))
    middle = logit(np.array(value), step)
    return float(expit(middle - half)), float(expit(middle + half))


def why_none(left_out: LeftOut, figure: str) -> str:
    """Why a figure has no interval, in words; "" where it has one."""
    values = left_out.figures[figure]
    if len(values) < 2:
        return "there is one image or sequence only"
    if np.isnan(values).any() or not left_out.degrees[figure]:
        return "all anomalies, all predictions or all other pixels are in one image or sequence"
    if np.ptp(values) < SAME:
        return "it is the same whichever image is left out, so nothing tells how it varies"
    return ""


def paired_difference(
    values: tuple[float, float], left_out: tuple[LeftOut, LeftOut], figure: str, level: float = LEVEL
) -> Difference:
    """The difference of two detectors on the same images, its interval and the p of a two-sided t test.

    What is hard for both cancels: the jackknife is of the difference itself.

    Args:
        values: the figure of each detector on the whole set.
        left_out: the same with each unit left out, of the same units.
        figure: its key.
        level: probability with which the interval is to cover.

    Returns:
        the first minus the second; interval and p are NaN where one of the two has no interval and they differ.

    Raises:
        ValueError: if the units are others.
    """
    from scipy.special import stdtr

    one, other = left_out
    if one.units != other.units:
        raise ValueError("the two detectors were judged on other images")
    difference = values[0] - values[1]
    apart = one.figures[figure] - other.figures[figure]
    degrees = min(each.degrees[figure] for each in left_out)
    same = len(apart) > 1 and np.ptp(apart) < SAME
    if same and abs(difference) < SAME:
        return Difference(difference, difference, difference, 1.0)
    if len(apart) < 2 or np.isnan(apart).any() or same or not degrees:
        return Difference(difference, float("nan"), float("nan"), float("nan"))
    error = spread(apart)
    half = critical(degrees, level) * error
    p = 2 * float(stdtr(max(degrees, LEAST_FREEDOM), -abs(difference) / error))
    return Difference(difference, difference - half, difference + half, p)


def critical(degrees: float, level: float) -> float:
    """The quantile of Student's t that an interval is wide by, in standard errors."""
    from scipy.special import stdtrit

    return float(stdtrit(max(degrees, LEAST_FREEDOM), (1 + level) / 2))


def spread(values: np.ndarray) -> float:
    """The jackknife's standard error from the values with each unit left out (n,)."""
    return float(np.sqrt((len(values) - 1) * values.var()))


def logit(values: np.ndarray, step: float) -> np.ndarray:
    """log(v / (1 - v)) of fractions, half a step away from 0 and 1 at least."""
    least = step / 2
    values = values.clip(least, 1 - least)
    return np.log(values) - np.log1p(-values)


def expit(values: np.ndarray) -> np.ndarray:
    """The inverse of ``logit``, without an overflow."""
    return 0.5 + 0.5 * np.tanh(values / 2)
