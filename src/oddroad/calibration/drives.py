"""Bounds of an alarm rate when frames depend on each other: the unit is the drive, or a long block of frames.

Frames of one drive are not independent draws: a hedge that alarms stays in view for seconds, a road for minutes. What
may be exchanged is the drive. For new drives, the mean over the drives of each one's alarm rate is bounded, whatever
happens inside them. For later parts of the same drives, the share of all frames is bounded, and blocks of several
correlation times count as independent, each with its share of the frames as weight.

The bound of a mean of independent values in [0, 1] is that of Hoeffding and Bentkus; where weights differ, the count is
one by the largest of them, which is on the safe side. Where nothing alarms, the bound for such weights is exact: the
largest mean that stays without an alarm often enough. The threshold is the lowest one from which on upwards the bound
stays below the rate, which needs no correction for having looked at many, as the rate falls with the threshold.
Sources: Bates, Angelopoulos, Lei, Malik, Jordan, "Distribution-Free, Risk-Controlling Prediction Sets", JACM 2021;
Geyer, "Practical Markov Chain Monte Carlo", 1992 (initial positive sequence).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from oddroad.errors import InputError

SCOPES = ("new-drives", "same-drives")
"""What a guarantee speaks of: other drives like those calibrated on, or later parts of the very same."""

CORRELATION_TIMES = 3
"""Length of a block in estimated correlation times. The estimate from a short series is far too small (of a true 40 it
finds 14 in 221 frames), so that a block of one such time fails; coverage by simulation: docs/research/coverage.md."""

FEWEST_BLOCKS = 5
"""A drive of fewer blocks is too short to tell how long its frames depend on each other: it is one block."""

MOST_KEPT = 1000
"""Thresholds of a curve, at most: all levels where there are as few, else steps of a few percent of their rate."""

Curve = list[tuple[float, float]]
"""Thresholds in falling order, each with the share of frames (of a mean drive, or of all) that exceed it."""


@dataclass(frozen=True)
class Drive:
    """What the frames of one drive score.

    Attributes:
        name: of the file, log or folder.
        levels: (n,) float64, for each frame in its order the lowest threshold above which it has no false alarm.

    Raises:
        InputError: if there is no frame, or a level is no finite number.
    """

    name: str
    levels: np.ndarray

    def __post_init__(self) -> None:
        if self.levels.ndim != 1 or not len(self.levels):
            raise InputError(
                f"drive '{self.name}' has levels of shape {self.levels.shape}; expected one for each frame"
            )
        if bad := int((~np.isfinite(self.levels)).sum()):
            raise InputError(f"drive '{self.name}' has {bad} levels that are no finite numbers; is the model sound?")

    @cached_property
    def blocks(self) -> int:
        """Parts that count as independent: one if nothing changes, or if the drive is too short to tell."""
        ranks = np.unique(self.levels, return_inverse=True)[1].astype(np.float64)
        slowest = max(correlation_time(self.levels), correlation_time(ranks))
        blocks = len(self.levels) // math.ceil(CORRELATION_TIMES * slowest)
        return blocks if blocks >= FEWEST_BLOCKS else 1

    def rate(self, threshold: float) -> float:
        """Share of the frames with an alarm at a threshold."""
        return float((self.levels > threshold).mean())


@dataclass(frozen=True)
class Units:
    """What may count as independent.

    Attributes:
        count: their number: drives, or blocks.
        block: frames of the longest block; None where the drives are counted.
        equal: how many they count as where some of them alarm; fewer than ``count`` if their weights differ.
        best: the lowest rate of alarms that they can guarantee, if none of them alarms.
    """

    count: int
    block: int | None
    equal: int
    best: float


def correlation_time(series: np.ndarray) -> float:
    """Integrated autocorrelation time of a series (n,), in its steps: n steps count as n divided by it.

    It is 1 for independent values and n for a series that does not change.

    >>> correlation_time(np.zeros(50))
    50.0
    """
    count = len(series)
    values = series - series.mean()
    if not np.abs(values).max() > 1e-12 * max(float(np.abs(series).max()), 1e-300):
        return float(count)
    spectrum = np.fft.rfft(values, 2 * count)
    correlation = np.fft.irfft(spectrum * spectrum.conj())[:count]
    correlation /= correlation[0]
    pairs = correlation[1 : count - 1 + count % 2].reshape(-1, 2).sum(1)
    positive = np.argmax(pairs <= 0) if (pairs <= 0).any() else len(pairs)
    return float(min(max(1 + 2 * pairs[:positive].sum(), 1.0), count))


def divergence(low: float, high: float) -> float:
    """Kullback-Leibler divergence in nats of two coins that fall with these probabilities, 0 <= low < high < 1."""
    first = low * math.log(low / high) if low > 0 else 0.0
    return first + (1 - low) * math.log((1 - low) / (1 - high))


def binomial_below(most: int, count: int, rate: float) -> float:
    """P(Binomial(count, rate) <= most)."""
    terms = [
        math.lgamma(count + 1) - math.lgamma(i + 1) - math.lgamma(count - i + 1)
        + i * math.log(rate) + (count - i) * math.log1p(-rate)
        for i in range(min(most, count) + 1)
    ]  # fmt: skip
    return min(math.fsum(map(math.exp, terms)), 1.0)


def mean_bound(mean: float, count: int, confidence: float) -> float:
    """The rate that the true mean of independent values in [0, 1] is at most, with confidence.

    >>> round(mean_bound(0.0, 59, 0.95), 3), mean_bound(0.0, 0, 0.95)
    (0.05, 1.0)

    Args:
        mean: of the values seen.
        count: their number.
        confidence: probability, over their draw, that the bound holds.
    """
    if count < 1 or mean >= 1:
        return 1.0

    def chance(rate: float) -> float:
        """The largest probability of a mean as low as this, if the true one is ``rate``."""
        tail = math.e * binomial_below(math.ceil(count * mean - 1e-6), count, rate)
        return min(math.exp(-count * divergence(mean, rate)), tail)

    low, high = mean, 1 - 1e-12
    if chance(high) > 1 - confidence:
        return 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if chance(middle) > 1 - confidence else (low, middle)
    return high


def units_of(drives: Sequence[Drive], scope: str, confidence: float) -> Units:
    """How many independent units these drives are, for what the guarantee speaks of.

    Args:
        drives: one or several.
        scope: one of SCOPES.
        confidence: of the guarantee.
    """
    if scope == "new-drives":
        return Units(len(drives), None, len(drives), best_rate(len(drives), confidence))
    total = sum(len(each.levels) for each in drives)
    sizes = [len(each.levels) / each.blocks for each in drives for _ in range(each.blocks)]
    best = bound_without_alarms(np.array(sizes) / total, confidence)
    return Units(len(sizes), math.ceil(max(sizes)), int(total / max(sizes) + 1e-9), best)


def bound_without_alarms(weights: np.ndarray, confidence: float) -> float:
    """The largest weighted mean of alarm probabilities that shows no alarm with more than 1 - confidence.

    That is the maximum of sum(w p) where the product of all 1 - p is 1 - confidence, and it has 1 - p = min(1, level /
    w). Without differences it is ``best_rate``.

    >>> round(bound_without_alarms(np.full(59, 1 / 59), 0.95), 3), round(bound_without_alarms(np.ones(1), 0.95), 3)
    (0.05, 0.95)

    Args:
        weights: (n,) of independent units, with the sum 1.
        confidence: probability, over their draw, that the bound holds.
    """
    falling = np.sort(weights)[::-1]
    taken = np.arange(1, len(falling) + 1)
    levels = np.exp((math.log(1 - confidence) + np.cumsum(np.log(falling))) / taken)
    level = levels[np.flatnonzero(levels <= falling)[-1]]
    return float((weights - level).clip(0).sum())


def alarm_curve(drives: Sequence[Drive], scope: str) -> Curve:
    """Alarm rates over the thresholds that occur: for new drives the mean of the drives, else of all frames.

    Args:
        drives: one or several.
        scope: one of SCOPES.
    """
    if scope != "new-drives":
        drives = [Drive("all", np.concatenate([each.levels for each in drives]))]
    thresholds = np.unique(np.concatenate([each.levels for each in drives]))[::-1]
    if len(thresholds) > MOST_KEPT:
        steps = np.unique(np.geomspace(1, len(thresholds), MOST_KEPT).round().astype(int))
        thresholds = thresholds[steps - 1]
    rates = np.zeros(len(thresholds))
    for each in drives:
        below = np.searchsorted(np.sort(each.levels), thresholds, side="right")
        rates += (1 - below / len(each.levels)) / len(drives)
    return list(zip(thresholds.tolist(), rates.clip(0, 1).tolist(), strict=True))


def threshold_for_rate(curve: Curve, units: Units, rate: float, confidence: float) -> float | None:
    """The lowest threshold of a curve that guarantees the rate; None if none does.

    Args:
        curve: thresholds in falling order with the rates seen; the first one's is 0.
        units: that the rates rest on.
        rate: share of frames with an alarm.
        confidence: probability, over the draw of the drives, that the guarantee holds.
    """
    if units.best > rate + 1e-12:
        return None
    low, high = 0, len(curve) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if mean_bound(curve[middle][1], units.equal, confidence) <= rate:
            low = middle
        else:
            high = middle - 1
    return curve[low][0]


def best_rate(count: int, confidence: float) -> float:
    """The lowest rate that so many independent units can guarantee, if none of them alarms."""
    return 1 - (1 - confidence) ** (1 / count) if count else 1.0


def units_needed(rate: float, confidence: float) -> int:
    """Fewest independent units, none of them with an alarm, that can guarantee a rate below 1."""
    return max(1, math.ceil(math.log(1 - confidence) / math.log1p(-rate) - 1e-9))
