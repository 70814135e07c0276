"""The detectors that the page shows, and whose turn it is to use them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from oddroad.detection.drawing import Scale
from oddroad.errors import InputError
from oddroad.inference.host_resize import CLASSES, enlarged
from oddroad.inference.model import Model
from oddroad.regions import InDistribution


class Detector:
    """A model with the score that is looked at.

    Args:
        name: that clients use; unique.
        model: the detector; calls wait for their turn, so that it never serves more than it was made for.
        score: one of its scores; its first where None.

    Raises:
        InputError: if it has no such score.
    """

    def __init__(self, name: str, model: Model, score: str | None = None):
        self.name, self.model, self.score = name, model, model.pick_score(score)
        self.in_distribution = InDistribution.of(model.card, self.score)
        self.roi = model.roi()
        self.turns = threading.BoundedSemaphore(model.parallel)

    def judge(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Of an image (H, W, 3) uint8 RGB the score's map at the network's stride, (h, w) float32, and the road, (H, W)
        bool, where that is the card's region of interest.
        """
        road = self.roi.kind == "road"
        with self.turns:
            found = self.model.low_res(image, [self.score, CLASSES] if road else [self.score])
        if not road:
            return found[self.score], None
        size = (image.shape[0], image.shape[1])
        classes = enlarged(found[CLASSES][None], size)[0]
        return found[self.score], self.roi.inside(size, classes, self.model.card.classes)

    @property
    def min_area(self) -> int | None:
        """Pixels of the smallest region that the card was calibrated for; None for 1 in 10,000."""
        return self.model.card.calibration.get("min_area")

    def threshold(self) -> float | None:
        """The threshold of the card; None where it has none."""
        return self.model.card.thresholds.get(self.score)

    def about(self) -> dict[str, Any]:
        """What the page has to know."""
        card = self.model.card
        calibration = {key: value for key, value in card.calibration.items() if key != "scores"}
        if self.in_distribution is not None:
            calibration["scores"] = {self.score: card.calibration["scores"][self.score]}
        return {
            "name": self.name,
            "card": card.name,
            "network": card.network,
            "score": self.score,
            "scores": list(card.scores),
            "size": card.size,
            "stride": card.stride,
            "threshold": self.threshold(),
            "roi": self.roi.values(),
            "min_area": self.min_area,
            "meaning": card.threshold_meaning,
            "calibration": calibration if self.in_distribution is not None else None,
            "licence": card.licence,
            "engine": self.model.engine,
            "precision": self.model.precision,
            "sha256": self.model.sha256,
        }

    def scale(self, threshold: float) -> Scale:
        """The colours of its scores at a threshold."""
        return Scale.of(threshold, self.in_distribution)


def load_detectors(
    models: Sequence[str],
    score: str | None = None,
    engine: str = "auto",
    parallel: int = 1,
    threads: int | None = None,
) -> list[Detector]:
    """Detectors by path or by the name of an embedded one.

    Raises:
        InputError: if one cannot be used, or there are more than two, which is what the page shows side by side.
    """
    if not 1 <= len(models) <= 2:
        raise InputError(f"--model has {len(models)} detectors; expected one, or two to be shown side by side")
    found: list[Detector] = []
    for each in models:
        model = Model(each, engine, threads=threads, parallel=parallel)
        name, number = model.path.stem, 2
        while name in {other.name for other in found}:
            name, number = f"{model.path.stem}-{number}", number + 1
        found.append(Detector(name, model, score))
    return found
