"""The one path from a frame to its regions and its picture: detect, demo and benchmark all go it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from oddroad.detection.drawing import Painter, Style
from oddroad.detection.tracking import Track
from oddroad.inference.model import Model
from oddroad.regions import InDistribution, find
from oddroad.roi import Roi
from oddroad.types import Frame, Region


@dataclass
class ProcessedFrame:
    """A frame on its way to the writer.

    Attributes:
        frame: as it was read.
        heat: (H, W) float32 its score; None where it was not judged.
        inside: (H, W) bool, the region of interest; None for the whole picture.
        regions: what is reported; None where it was not judged.
        tracks: the track of each region; none for still images.
        milliseconds: by stage, as far as they have been gone through.
        drift: lines of the drift alarms that it raises.
    """

    frame: Frame
    heat: np.ndarray | None = None
    inside: np.ndarray | None = None
    regions: list[Region] | None = None
    tracks: list[Track] = field(default_factory=list)
    milliseconds: dict[str, float] = field(default_factory=dict)
    drift: list[dict[str, Any]] = field(default_factory=list)


class FrameProcessor:
    """What is done with each frame: score, regions, picture.

    Args:
        model: the detector.
        score: one of its scores; its default where None.
        threshold: in the score's unit; the card's where None.
        min_area: regions of fewer pixels are left out; where None, the card's, or 1 in 10,000 of the image's pixels.
        style: of the pictures.
        roi: region of interest; the card's where None.

    Attributes:
        score: name of the score.
        threshold: a pixel is anomalous above it.
        in_distribution: what in-distribution pixels score; None where the model is not calibrated.

    Raises:
        InputError: if the score does not exist, or no threshold is given and the card has none.
    """

    def __init__(
        self,
        model: Model,
        score: str | None = None,
        threshold: float | None = None,
        min_area: int | None = None,
        style: Style | None = None,
        roi: Roi | None = None,
    ):
        self.model, self.score = model, model.pick_score(score)
        self.roi = Roi.of(model.card.calibration) if roi is None else roi
        if self.roi.kind != "all":
            model.roi(self.roi)
        self.min_area: int | None = model.card.calibration.get("min_area") if min_area is None else min_area
        self.threshold = model.threshold(self.score) if threshold is None else threshold
        self.in_distribution = InDistribution.of(model.card, self.score)
        self.painter = Painter(self.threshold, self.in_distribution, model.card.name, self.score, style)

    def judge(self, frame: Frame, decode: float = 0.0) -> ProcessedFrame:
        """Score a frame and find its regions; a damaged one is not judged. Threads may call it at once.

        Args:
            frame: what was read.
            decode: milliseconds that reading took.
        """
        judged = ProcessedFrame(frame, milliseconds={"decode": decode})
        if frame.status != "ok":
            return judged
        start = time.perf_counter()
        if self.roi.kind == "all":
            judged.heat = self.model(frame.image, self.score)
        else:
            maps, judged.inside = self.model.maps_inside(frame.image, [self.score], self.roi)
            judged.heat = maps[self.score]
        middle = time.perf_counter()
        judged.regions = find(judged.heat, self.threshold, self.min_area, self.in_distribution, judged.inside)
        judged.milliseconds["model"] = (middle - start) * 1e3
        judged.milliseconds["regions"] = (time.perf_counter() - middle) * 1e3
        return judged

    def draw(self, judged: ProcessedFrame) -> np.ndarray:
        """The picture of a judged frame, (H, W, 3) uint8 RGB; its time is noted."""
        start = time.perf_counter()
        drawn = self.painter(judged.frame, judged.heat, judged.regions or [], judged.tracks, judged.inside)
        judged.milliseconds["draw"] = (time.perf_counter() - start) * 1e3
        return drawn
