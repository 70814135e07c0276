"""Objects found and false alarms, in still frames: what a detector reports against what is there."""

from __future__ import annotations

from typing import Any

import numpy as np

SIZES = (0, 100, 300, 1000, 3000, 10_000, 30_000)
"""Where the classes of objects by size begin, in pixels; the last one is open."""


class ObjectMetric:
    """Objects found and false alarms of a set at one threshold, frame by frame.

    An object is found if at least one pixel of a reported region lies on it. A region is a false alarm if none of its
    pixels lies on an anomaly, be it too small to count as an object.

    >>> metric = ObjectMetric()
    >>> metric.add(np.array([True, False]), np.array([True, True, False]))
    >>> metric.result()["object_recall"], metric.result()["false_alarms_per_frame"]
    (0.5, 1.0)
    """

    def __init__(self) -> None:
        self.objects = self.found = self.regions = self.false = self.frames = self.disturbed = 0
        self.sizes = np.zeros((2, len(SIZES)), np.int64)

    def add(self, found: np.ndarray, on_anomaly: np.ndarray, pixels: np.ndarray | None = None) -> None:
        """Count one frame.

        Args:
            found: (K,) bool, for each object whether a region lies on it.
            on_anomaly: (R,) bool, for each reported region whether it lies on an anomaly.
            pixels: (K,) int, the size of each object; None where objects are not told apart by size.
        """
        if pixels is not None:
            of = np.searchsorted(SIZES, pixels, side="right") - 1
            self.sizes += [np.bincount(each, minlength=len(SIZES)) for each in (of, of[np.asarray(found, bool)])]
        false = len(on_anomaly) - int(np.count_nonzero(on_anomaly))
        self.objects += len(found)
        self.found += int(np.count_nonzero(found))
        self.regions += len(on_anomaly)
        self.false += false
        self.frames += 1
        self.disturbed += false > 0

    def merge(self, other: ObjectMetric) -> None:
        """Add the counts of another part of the same set."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def without(self, part: ObjectMetric) -> ObjectMetric:
        """The counts less those of a part of them."""
        left = ObjectMetric()
        for name, value in vars(self).items():
            setattr(left, name, value - getattr(part, name))
        return left

    def result(self) -> dict[str, float]:
        """Figures of all frames.

        Returns:
            ``object_recall`` share of the objects that are found, ``false_alarms_per_frame``,
            ``frames_with_false_alarm`` share of the frames, each NaN where there is nothing to count; ``objects``,
            ``regions``.
        """
        nothing = float("nan")
        return {
            "object_recall": self.found / self.objects if self.objects else nothing,
            "false_alarms_per_frame": self.false / self.frames if self.frames else nothing,
            "frames_with_false_alarm": self.disturbed / self.frames if self.frames else nothing,
            "objects": float(self.objects),
            "regions": float(self.regions),
        }

    def by_size(self) -> list[dict[str, Any]]:
        """Recall by the size of the objects.

        Returns:
            of each of SIZES that has objects: ``pixels``, from and up to below (None for no end), ``objects``, and
            ``found`` of them.
        """
        ends = (*SIZES[1:], None)
        rows = zip(SIZES, ends, *self.sizes.tolist(), strict=True)
        return [{"pixels": [low, high], "objects": n, "found": m} for low, high, n, m in rows if n]

    def weights(self) -> dict[str, tuple[float, ...]]:
        """What each figure is a mean over."""
        frames = (float(self.frames),)
        return {
            "object_recall": (float(self.objects),),
            "false_alarms_per_frame": frames,
            "frames_with_false_alarm": frames,
        }

    def steps(self) -> dict[str, float]:
        """By how much one object, region or frame changes each figure."""
        return {name: 1 / max(*sizes, 1) for name, sizes in self.weights().items()}
