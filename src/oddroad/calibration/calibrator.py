"""What one score says about in-distribution frames, frame by frame."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import cv2
import numpy as np

from oddroad.calibration.drives import Drive, alarm_curve, threshold_for_rate, units_of
from oddroad.calibration.frame_statistics import frame_statistics
from oddroad.errors import InputError
from oddroad.types import IGNORE

RATES = (0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005, 0.0002, 0.0001)
"""False-positive rates of pixels for which a threshold is kept."""

SHARES = (
    0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 1.0,
)  # fmt: skip
"""Shares of the in-distribution pixels whose score quantiles are kept."""

DRAWN = 4096
"""Scores of a frame that its quantiles rest on, at least where the frame has as many."""

FEW = 1000
"""Values that are few enough to be sorted."""


def pixel_levels(values: np.ndarray) -> np.ndarray:
    """For each of RATES, the smallest threshold that at most this share of the values (P,) exceeds."""
    ranks = [len(values) - 1 - math.floor(rate * len(values)) for rate in RATES]
    return np.partition(values, ranks)[ranks].astype(np.float64)


def alarm_level(heat: np.ndarray, valid: np.ndarray, min_area: int) -> float:
    """The smallest threshold above which no connected region of valid pixels has ``min_area`` pixels or more.

    Args:
        heat: (H, W) float32.
        valid: (H, W) bool; other pixels belong to no region.
        min_area: pixels, 1 or more. Neighbours touch at sides and corners.
    """
    if not valid.all():
        heat = np.where(valid, heat, np.float32(-np.inf))
    least = low = float(heat[valid].min())
    high = float(heat.max())
    # None is large above ``high``; what decides lies in ``heat``, the box of those that are large above ``low``.
    while (middle := float(np.float32(low + 0.75 * (high - low)))) not in (low, high):  # the higher, the less to do
        if cv2.countNonZero(((heat > low) & (heat <= high)).view(np.uint8)) <= FEW:
            break
        box = large_regions(heat, middle, min_area)
        if box is None:
            high = middle
        else:
            low, heat = middle, heat[box]
    if low == least and large_regions(heat, low, min_area) is None:
        return least
    values = np.unique(heat[(heat > low) & (heat <= high)])
    first, last = 0, len(values) - 1
    while first < last:
        number = (first + last) // 2
        if large_regions(heat, float(values[number]), min_area) is None:
            last = number
        else:
            first = number + 1
    return float(values[first])


def large_regions(heat: np.ndarray, threshold: float, min_area: int) -> tuple[slice, slice] | None:
    """The box, rows and columns, of the regions of a map (H, W) above a threshold that are large enough; or None."""
    mask = (heat > threshold).view(np.uint8)
    left, top, wide, high = cv2.boundingRect(mask)
    if wide * high < min_area:
        return None
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask[top : top + high, left : left + wide], connectivity=8)
    large = stats[1:][stats[1:, cv2.CC_STAT_AREA] >= min_area]
    if not len(large):
        return None
    x, y, width, height = large[:, :4].T
    rows = slice(top + int(y.min()), top + int((y + height).max()))
    return rows, slice(left + int(x.min()), left + int((x + width).max()))


@dataclass(frozen=True)
class FrameFigures:
    """What one score says about one frame.

    Attributes:
        levels: the thresholds of RATES, float64.
        alarm: the threshold without a false alarm.
        drawn: DRAWN to 2 DRAWN scores of valid pixels, evenly spaced over the frame; all where there are fewer;
            float64.
        above: which levels its pixels exceed, packed, where tracks are counted; see oddroad.calibration.tracks.
        ladder: (2,) float64, lowest level and first step of these levels.
        statistics: (11,) float64 those of oddroad.calibration.frame_statistics; None where they are not wanted.
    """

    levels: np.ndarray
    alarm: float
    drawn: np.ndarray
    above: np.ndarray | None = None
    ladder: np.ndarray | None = None
    statistics: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        heat: np.ndarray,
        label: np.ndarray | None,
        min_area: int | None,
        inside: np.ndarray | None = None,
        image: np.ndarray | None = None,
    ) -> FrameFigures | None:
        """Of scores (H, W) and labels (H, W), of which IGNORE is left out, as is what lies outside of the region of
        interest; None where no pixel is valid.

        Args:
            heat: (H, W) float32.
            label: (H, W) uint8, or None.
            min_area: pixels of the smallest false alarm.
            inside: (H, W) bool, the region of interest; None for the whole picture.
            image: (H, W, 3) uint8 RGB where its statistics are wanted.

        Raises:
            InputError: if a score is not a finite number, or the shapes differ.
        """
        if label is not None and label.shape != heat.shape:
            raise InputError(f"the score map is {heat.shape} and the label {label.shape}; expected one size")
        valid = np.ones(heat.shape, bool) if label is None else label != IGNORE
        valid = valid if inside is None else valid & inside
        if not valid.any():
            return None
        values = heat[valid]
        if not np.isfinite(values).all():
            raise InputError("the score map holds values that are no finite numbers; is the model sound?")
        pixels = heat.size // 10_000 if min_area is None else min_area
        drawn = values[:: max(1, len(values) // DRAWN)].astype(np.float64)
        statistics = None if image is None else frame_statistics(image, heat)
        return cls(pixel_levels(values), alarm_level(heat, valid, max(1, pixels)), drawn, statistics=statistics)


@dataclass
class Calibrator:
    """Gathers what one score says about in-distribution frames, drive by drive.

    Attributes:
        min_area: pixels of the smallest false alarm; 1 in 10,000 of the frame's pixels if None, as in detect.
        drives: the figures of each frame in its order, by the name of its drive.
    """

    min_area: int | None = None
    drives: dict[str, list[FrameFigures]] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Frames that were gathered."""
        return sum(len(each) for each in self.drives.values())

    def add(
        self,
        heat: np.ndarray,
        label: np.ndarray | None = None,
        drive: str = "",
        inside: np.ndarray | None = None,
        image: np.ndarray | None = None,
    ) -> FrameFigures | None:
        """The next frame of a drive, without an anomaly; see ``FrameFigures.of``, whose value is returned.

        Raises:
            InputError: if a score is not a finite number, or the shapes differ.
        """
        found = FrameFigures.of(heat, label, self.min_area, inside, image)
        if found is not None:
            self.keep(found, drive)
        return found

    def keep(self, figures: FrameFigures, drive: str = "") -> None:
        """Take in the figures of the next frame of a drive."""
        self.drives.setdefault(drive, []).append(figures)

    def result(self, scope: str, confidence: float = 0.95, coverage: float = 0.95) -> dict[str, Any]:
        """JSON values for the Card.

        Args:
            scope: what the guarantees speak of, one of oddroad.calibration.drives.SCOPES.
            confidence: of every guarantee.
            coverage: share of frames that a false-positive rate of pixels holds for.

        Returns:
            ``units``, the independent ones, as of oddroad.calibration.drives.Units; ``alarms``, falling thresholds
            with the share of frames that alarm; ``fpr``, for each of RATES a threshold (None where the units are too
            few) and its units; ``quantiles``.

        Raises:
            InputError: if there is no frame.
        """
        if not self.drives:
            raise InputError("no frame with a valid pixel was found; pass drives without an anomaly")
        alarms = [Drive(name, np.array([each.alarm for each in frames])) for name, frames in self.drives.items()]
        units = units_of(alarms, scope, confidence)
        drawn = np.concatenate([each.drawn for frames in self.drives.values() for each in frames])
        return {
            "units": asdict(units),
            "alarms": [[short(level), short(rate)] for level, rate in alarm_curve(alarms, scope)],
            "fpr": [[rate, *self.pixels(i, scope, 1 - coverage, confidence)] for i, rate in enumerate(RATES)],
            "quantiles": [
                [share, float(f"{value:.7g}")] for share, value in zip(SHARES, np.quantile(drawn, SHARES), strict=True)
            ],
        }

    def pixels(self, column: int, scope: str, rate: float, confidence: float) -> tuple[float | None, dict[str, Any]]:
        """Threshold that at most a share of frames exceeds with more pixels than a column of RATES; its units."""
        drives = [
            Drive(name, np.array([each.levels[column] for each in frames])) for name, frames in self.drives.items()
        ]
        units = units_of(drives, scope, confidence)
        value = threshold_for_rate(alarm_curve(drives, scope), units, rate, confidence)
        return None if value is None else short(value), asdict(units)


def short(value: float) -> float:
    """A number in the digits that tell every float32 apart."""
    return float(f"{value:.9g}")
