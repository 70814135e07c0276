"""What one score says about in-distribution frames, frame by frame."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from oddroad.calibration.bounds import frames_needed, order_statistic
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
    values = np.unique(heat[valid])

    def alarm(threshold: float) -> bool:
        mask = ((heat > threshold) & valid).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        return bool((stats[1:, cv2.CC_STAT_AREA] >= min_area).any())

    low, high = 0, len(values) - 1
    while low < high:
        middle = (low + high) // 2
        if alarm(values[middle]):
            low = middle + 1
        else:
            high = middle
    return float(values[low])


@dataclass(frozen=True)
class FrameFigures:
    """What one score says about one frame.

    Attributes:
        levels: the thresholds of RATES, float64.
        alarm: the threshold without a false alarm.
        drawn: DRAWN to 2 DRAWN scores of valid pixels, evenly spaced over the frame; all where there are fewer;
            float64.
    """

    levels: np.ndarray
    alarm: float
    drawn: np.ndarray

    @classmethod
    def of(cls, heat: np.ndarray, label: np.ndarray | None, min_area: int | None) -> FrameFigures | None:
        """Of scores (H, W) and labels (H, W), of which IGNORE is left out; None where no pixel is valid.

        Raises:
            InputError: if a score is not a finite number, or the shapes differ.
        """
        if label is not None and label.shape != heat.shape:
            raise InputError(f"the score map is {heat.shape} and the label {label.shape}; expected one size")
        valid = np.ones(heat.shape, bool) if label is None else label != IGNORE
        if not valid.any():
            return None
        values = heat[valid]
        if not np.isfinite(values).all():
            raise InputError("the score map holds values that are no finite numbers; is the model sound?")
        pixels = heat.size // 10_000 if min_area is None else min_area
        drawn = values[:: max(1, len(values) // DRAWN)].astype(np.float64)
        return cls(pixel_levels(values), alarm_level(heat, valid, max(1, pixels)), drawn)


@dataclass
class Calibrator:
    """Gathers what one score says about in-distribution frames.

    Attributes:
        min_area: pixels of the smallest false alarm; 1 in 10,000 of the frame's pixels if None, as in detect.
        frames: the figures of each frame.
    """

    min_area: int | None = None
    frames: list[FrameFigures] = field(default_factory=list)

    def add(self, heat: np.ndarray, label: np.ndarray | None = None) -> FrameFigures | None:
        """One frame without an anomaly; see ``FrameFigures.of``, whose value is returned.

        Raises:
            InputError: if a score is not a finite number, or the shapes differ.
        """
        found = FrameFigures.of(heat, label, self.min_area)
        if found is not None:
            self.frames.append(found)
        return found

    def result(self, confidence: float = 0.95, coverage: float = 0.95) -> dict[str, Any]:
        """JSON values for the Card: thresholds by rate, alarm levels in falling order, quantiles.

        Raises:
            InputError: if the frames are too few for the confidence.
        """
        enough_frames(len(self.frames), coverage, confidence)
        levels = np.stack([each.levels for each in self.frames])
        drawn = np.concatenate([each.drawn for each in self.frames])
        return {
            "fpr": [[rate, order_statistic(levels[:, i], 1 - coverage, confidence)] for i, rate in enumerate(RATES)],
            "alarms": sorted((float(f"{each.alarm:.7g}") for each in self.frames), reverse=True),
            "quantiles": [
                [share, float(f"{value:.7g}")] for share, value in zip(SHARES, np.quantile(drawn, SHARES), strict=True)
            ],
        }


def enough_frames(frames: int, coverage: float, confidence: float) -> None:
    """Refuse so few frames that nothing about new ones can be guaranteed.

    Raises:
        InputError: saying how many it takes.
    """
    if order_statistic([0.0] * frames, 1 - coverage, confidence) is None:
        raise InputError(
            f"{frames} frames with valid pixels cannot guarantee anything about {coverage:.0%} of new frames at "
            f"{confidence:.0%} confidence; pass at least {frames_needed(1 - coverage, confidence)} frames"
        )
