"""What in-distribution frames score, and the thresholds that follow, written into the card."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from oddroad.calibration.bounds import frames_needed, order_statistic
from oddroad.calibration.thresholds import basis, threshold_for
from oddroad.card import Card
from oddroad.errors import InputError
from oddroad.files import write_whole
from oddroad.inference.integrity import with_card
from oddroad.inference.model import Model
from oddroad.types import IGNORE


def find_thresholds(
    model: Model,
    frames: Iterable[tuple[np.ndarray, np.ndarray | None]],
    data: str,
    scores: Sequence[str] = (),
    rule: str = "fpr=0.1%",
    confidence: float = 0.95,
    coverage: float = 0.95,
    min_area: int | None = None,
    progress: Callable[[], None] = lambda: None,
) -> Card:
    """The Card of a detector with what known frames score under it, and with default thresholds.

    Args:
        model: the detector; it runs once on every frame, at the frame's own size.
        frames: RGB images (H, W, 3) uint8 on which nothing is odd, each with a label (H, W) or None; pixels labelled
            IGNORE are left out.
        data: the frames in words.
        scores: names of the detector's scores; all where empty.
        rule: the default threshold, in the language of ``oddroad.calibration.thresholds``.
        confidence: of every promise.
        coverage: share of new frames that a false-positive rate of pixels holds for.
        min_area: pixels of the min_area false alarm; 1 in 10,000 of the frame's pixels if None.
        progress: called after each frame.

    Raises:
        InputError: if a score does not exist, or the frames are too few for confidence and rule.
    """
    names = [model.pick_score(name) for name in scores] or list(model.scores)
    gathered = {name: Calibrator(min_area) for name in names}
    for image, label in frames:
        for name, heat in model.maps(image, names).items():
            gathered[name].add(heat, label)
        progress()
    about = {
        "data": data, "date": date.today().isoformat(), "confidence": confidence, "coverage": coverage,
    }  # fmt: skip
    return calibrated(model.card, gathered, about, rule)


def write_card(source: Path, card: Card, out: Path) -> None:
    """Write a copy of an .onnx file with another Card and its digest; the copy appears whole or not at all."""
    write_whole(out, with_card(source.read_bytes(), card), "calibrated model")


RATES = (0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005, 0.0002, 0.0001)
"""False-positive rates of pixels for which a threshold is kept."""


SHARES = (
    0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 1.0,
)  # fmt: skip
"""Shares of the known pixels whose score quantiles are kept."""


def pixel_levels(values: np.ndarray) -> np.ndarray:
    """For each of RATES, the min_area threshold that at most this share of the values (P,) exceeds."""
    ranks = [len(values) - 1 - math.floor(rate * len(values)) for rate in RATES]
    return np.partition(values, ranks)[ranks].astype(np.float64)


def alarm_level(heat: np.ndarray, judged: np.ndarray, min_area: int) -> float:
    """The min_area threshold above which no connected region of judged pixels has ``min_area`` pixels or more.

    Args:
        heat: (H, W) float32.
        judged: (H, W) bool; other pixels belong to no region.
        min_area: pixels, 1 or more. Neighbours touch at sides and corners.
    """
    import cv2

    values = np.unique(heat[judged])

    def alarm(threshold: float) -> bool:
        mask = ((heat > threshold) & judged).astype(np.uint8)
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


@dataclass
class Calibrator:
    """Gathers what one score says about known frames.

    Attributes:
        min_area: pixels of the min_area false alarm; 1 in 10,000 of the frame's pixels if None, as in detect.
        levels: for each frame, the thresholds of RATES.
        alarms: for each frame, the threshold without a false alarm.
        drawn: for each frame, up to 4096 known scores, evenly spaced over the frame.
    """

    min_area: int | None = None
    levels: list[np.ndarray] = field(default_factory=list)
    alarms: list[float] = field(default_factory=list)
    drawn: list[np.ndarray] = field(default_factory=list)

    def add(self, heat: np.ndarray, label: np.ndarray | None = None) -> None:
        """One frame on which nothing is odd: scores (H, W) and labels (H, W), of which IGNORE is left out.

        Raises:
            InputError: if a score is not a finite number, or the shapes differ.
        """
        if label is not None and label.shape != heat.shape:
            raise InputError(f"the score map is {heat.shape} and the label {label.shape}; expected one size")
        judged = np.ones(heat.shape, bool) if label is None else label != IGNORE
        if not judged.any():
            return
        values = heat[judged]
        if not np.isfinite(values).all():
            raise InputError("the score map holds values that are no finite numbers; is the model sound?")
        self.levels.append(pixel_levels(values))
        min_area = heat.size // 10_000 if self.min_area is None else self.min_area
        self.alarms.append(alarm_level(heat, judged, max(1, min_area)))
        self.drawn.append(values[:: max(1, len(values) // 4096)].astype(np.float64))

    def result(self, confidence: float = 0.95, coverage: float = 0.95) -> dict[str, Any]:
        """JSON values for the Card: thresholds by rate, alarm levels in falling order, quantiles.

        Raises:
            InputError: if the frames are too few for the confidence.
        """
        frames = len(self.levels)
        if order_statistic([0.0] * frames, 1 - coverage, confidence) is None:
            raise InputError(
                f"{frames} frames with known pixels cannot promise anything about {coverage:.0%} of new frames at "
                f"{confidence:.0%} confidence; pass at least {frames_needed(1 - coverage, confidence)} frames"
            )
        levels = np.stack(self.levels)
        drawn = np.concatenate(self.drawn)
        return {
            "fpr": [[rate, order_statistic(levels[:, i], 1 - coverage, confidence)] for i, rate in enumerate(RATES)],
            "fpr_pooled": [[rate, float(np.quantile(drawn, 1 - rate, method="higher"))] for rate in RATES],
            "alarms": sorted((float(f"{each:.7g}") for each in self.alarms), reverse=True),
            "quantiles": [
                [share, float(f"{value:.7g}")] for share, value in zip(SHARES, np.quantile(drawn, SHARES), strict=True)
            ],
        }


def calibrated(card: Card, gathered: Mapping[str, Calibrator], about: Mapping[str, Any], rule: str) -> Card:
    """The Card with calibration and default thresholds.

    Args:
        card: of the detector.
        gathered: for each score, its known frames.
        about: ``data`` in words, ``date``, ``confidence``, ``coverage``.
        rule: the default threshold in the language of this module.

    Raises:
        InputError: if the frames are too few for the confidence or the rule.
    """
    from dataclasses import replace

    first = next(iter(gathered.values()))
    scores = {name: each.result(about["confidence"], about["coverage"]) for name, each in gathered.items()}
    calibration = {**about, "frames": len(first.levels), "min_area": first.min_area, "scores": scores}
    card = replace(card, calibration=calibration)
    defaults = {name: threshold_for(card, rule, name).value for name in gathered}
    return replace(card, thresholds={**card.thresholds, **defaults}, threshold_meaning=f"{rule}; {basis(calibration)}")
