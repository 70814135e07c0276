"""What a detector reports in a frame beside what is there, and the counts of both at one threshold."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from oddroad.metrics import ComponentMetric, ObjectMetric
from oddroad.metrics.component import label_components
from oddroad.regions import InDistribution, find, mask_in_box
from oddroad.types import ANOMALY, IGNORE, Region


@dataclass(frozen=True)
class Truth:
    """The anomalies of one frame.

    Attributes:
        labels: (H, W) int32, number of the anomaly at each pixel, 0 for none; 8 neighbours touch.
        large: (N + 1,) bool, whether each is large enough to be an object; the first, for none, is not.
        pixels: (N + 1,) int, how many each has.
        valid: (H, W) bool, or None where every pixel is.
    """

    labels: np.ndarray
    large: np.ndarray
    pixels: np.ndarray
    valid: np.ndarray | None

    @classmethod
    def of(cls, label: np.ndarray, min_truth: int) -> Truth:
        """The anomalies of a label (H, W) with KNOWN, ANOMALY and IGNORE; objects have ``min_truth`` pixels or more."""
        labels, large, _ = label_components(label == ANOMALY, min_truth)
        valid = label != IGNORE
        pixels = np.bincount(labels[labels > 0], minlength=len(large))
        return cls(labels, large, pixels, None if valid.all() else valid)

    def reported(
        self,
        heat: np.ndarray,
        threshold: float,
        in_distribution: InDistribution | None,
        roi: np.ndarray | None = None,
        min_area: int | None = None,
    ) -> list[Region]:
        """The regions that ``detect`` reports in a map (H, W) where pixels that are not valid do not exist.

        Args:
            heat: (H, W) float.
            threshold: of the score.
            in_distribution: what in-distribution pixels score, where the detector is calibrated.
            roi: (H, W) bool, the region of interest; None for the whole picture.
            min_area: pixels of the smallest region; None for 1 in 10,000 of the picture's.
        """
        inside = roi if self.valid is None or roi is None else self.valid & roi
        return find(heat, threshold, min_area, in_distribution, self.valid if inside is None else inside)

    def under(self, region: Region) -> np.ndarray:
        """The numbers of the anomalies on which a region lies, with at least one pixel."""
        x0, y0, x1, y1 = region.box
        found = np.unique(self.labels[y0:y1, x0:x1][mask_in_box(region)])
        return found[found > 0]


@dataclass
class AtThreshold:
    """Counts of frames of a set at one threshold.

    Attributes:
        components: by SegmentMeIfYouCan.
        objects: found, and false alarms, by the regions that ``detect`` reports.
    """

    components: ComponentMetric
    objects: ObjectMetric = field(default_factory=ObjectMetric)

    @property
    def parts(self) -> tuple[ComponentMetric, ObjectMetric]:
        """Both."""
        return self.components, self.objects

    @property
    def threshold(self) -> float:
        """Of both."""
        return self.components.threshold

    def add(
        self,
        heat: np.ndarray,
        label: np.ndarray,
        truth: Truth,
        in_distribution: InDistribution | None,
        name: str = "",
        roi: np.ndarray | None = None,
        min_area: int | None = None,
    ) -> None:
        """Count one frame; components of the whole picture, objects and false alarms within the region of interest.

        Args:
            heat: (H, W) float.
            label: (H, W) uint8 with KNOWN, ANOMALY and IGNORE.
            truth: of the label.
            in_distribution: what in-distribution pixels score, where the detector is calibrated.
            name: of the frame, for the messages.
            roi: (H, W) bool, the region of interest; None for the whole picture.
            min_area: pixels of the smallest region; None for 1 in 10,000 of the picture's.
        """
        self.components.add(heat, label, name)
        under = [truth.under(each) for each in truth.reported(heat, self.threshold, in_distribution, roi, min_area)]
        hit = np.zeros(len(truth.large), bool)
        for each in under:
            hit[each] = True
        on_anomaly = np.array([len(each) > 0 for each in under], bool)
        self.objects.add(hit[truth.large], on_anomaly, truth.pixels[truth.large])

    def result(self) -> dict[str, float]:
        """The figures of both."""
        return self.components.result() | self.objects.result()
