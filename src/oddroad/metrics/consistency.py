"""Consistency of video segmentation, VC and VC*: does a prediction stay where the truth stays?

``VC`` is VSPW's video consistency (Miao et al., "VSPW: A Large-scale Dataset for Video Scene Parsing in the Wild", CVPR
2021). In a window of n frames in a row let S be the pixels whose truth is the same in all of them, and P those whose
prediction is; VC = |S and P| / |S|, its mean over all windows. Where anomalies are rare, a detector that never predicts
any has a VC of 1, and one that marks the same wrong place in all frames loses nothing.

``VC*`` (Rai et al., "Road Obstacle Video Segmentation", GCPR 2025) was introduced to make many false positives cost. It
asks for both kinds of pixels: with A those that are an anomaly in all n frames of the window and B those that are one
in none,

    VC_anomaly = |A and predicted in all n| / |A|,    VC_known = |B and predicted in none| / |B|,

each a mean over the windows in which there are such pixels, and VC* = 2 VC_anomaly VC_known / (VC_anomaly + VC_known).
The harmonic mean and both sets are those that the comments of the paper's public code name. What that code computes is
something else: it compares each frame with the first one of its window, whichever value that has, lets windows run over
the ends of sequences, takes pixels that are not valid as known, and windows without an anomaly as 0. Values published
with it are not comparable with these.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from oddroad.types import ANOMALY, IGNORE

WINDOW = 7
"""Frames of a window, as in the code of "Road Obstacle Video Segmentation"; VSPW has 8 and 16."""

KINDS = ("vc", "vc_anomaly", "vc_known")


class Staying:
    """For how many frames in a row each pixel has had its value, at most 255."""

    def __init__(self) -> None:
        self.before: np.ndarray | None = None
        self.frames = np.zeros(0, np.uint8)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """The number of frames (H, W) uint8 after a further one (H, W)."""
        if self.before is None or self.before.shape != values.shape:
            self.frames = np.ones(values.shape, np.uint8)
        else:
            self.frames *= values == self.before
            self.frames += self.frames < 255
        self.before = values.copy()
        return self.frames


class ConsistencyMetric:
    """VC and VC* of sequences; its memory is that of four maps of one byte a pixel.

    >>> metric, truth = ConsistencyMetric(window=2), np.uint8([[1, 0, 0, 0]])
    >>> for predicted in ([[1, 0, 0, 0]], [[1, 0, 1, 0]], [[1, 0, 1, 0]]):
    ...     metric.add(np.array(predicted, bool), truth)
    >>> {name: round(value, 3) for name, value in metric.result().items() if name != "windows"}
    {'vc': 0.875, 'vc_anomaly': 1.0, 'vc_known': 0.667, 'vc_star': 0.8}

    Args:
        window: n, frames in a row; 2 to 255.
    """

    def __init__(self, window: int = WINDOW):
        self.window = window
        self.sums = np.zeros(len(KINDS))
        self.windows = np.zeros(len(KINDS), np.int64)
        self.pixels = 0
        self.restart()

    def restart(self) -> None:
        """The next frame begins another sequence."""
        self.length, self.truth, self.prediction = 0, Staying(), Staying()

    def add(self, predicted: np.ndarray, label: np.ndarray) -> None:
        """Count the next frame of a sequence.

        Args:
            predicted: (H, W) bool.
            label: (H, W) uint8 with KNOWN, ANOMALY and IGNORE; a pixel counts where it is valid in the whole window.
        """
        if self.truth.before is not None and self.truth.before.shape != label.shape:
            self.restart()
        self.length += 1
        stays, kept = self.truth(label) >= self.window, self.prediction(predicted) >= self.window
        if self.length < self.window:
            return
        stays &= label != IGNORE
        kept &= stays
        anomaly = label == ANOMALY
        of = [int(np.count_nonzero(each)) for each in (stays, stays & anomaly, stays & ~anomaly)]
        right = [
            int(np.count_nonzero(each)) for each in (kept, kept & anomaly & predicted, kept & ~anomaly & ~predicted)
        ]
        for at, (hits, size) in enumerate(zip(right, of, strict=True)):
            if size:
                self.sums[at] += hits / size
                self.windows[at] += 1
        self.pixels += of[0]

    def merge(self, other: ConsistencyMetric) -> None:
        """Add the windows of other sequences."""
        self.sums += other.sums
        self.windows += other.windows
        self.pixels += other.pixels

    def without(self, part: ConsistencyMetric) -> ConsistencyMetric:
        """The windows less those of a part of them."""
        left = ConsistencyMetric(self.window)
        left.sums, left.windows = self.sums - part.sums, self.windows - part.windows
        left.pixels = self.pixels - part.pixels
        return left

    def result(self) -> dict[str, float]:
        """``vc``, ``vc_anomaly``, ``vc_known`` and ``vc_star`` as fractions, NaN without a window; ``windows``."""
        found = dict(self.means())
        anomaly, known = found["vc_anomaly"], found["vc_known"]
        both = anomaly + known
        found["vc_star"] = 2 * anomaly * known / both if both else 0.0  # NaN stays NaN
        return found | {"windows": float(self.windows[0])}

    def means(self) -> Iterator[tuple[str, float]]:
        """Each of KINDS with its mean over the windows."""
        for name, value, windows in zip(KINDS, self.sums, self.windows, strict=True):
            yield name, float(value / windows) if windows else float("nan")

    def weights(self) -> dict[str, tuple[float, ...]]:
        """What each figure is a mean over: windows."""
        every, anomaly, known = self.windows.astype(float).tolist()
        return {"vc": (every,), "vc_anomaly": (anomaly,), "vc_known": (known,), "vc_star": (anomaly, known)}

    def steps(self) -> dict[str, float]:
        """The least change of each figure: that of one pixel in one window."""
        return dict.fromkeys(self.weights(), 1 / max(self.pixels, 1))
