"""Metrics of closed-set classes: IoU of each class, mIoU, accuracy and calibration error, from one pass.

One confusion matrix is counted over the whole set, as Cityscapes does; a mean of each image's IoU is another thing.
"""

from __future__ import annotations

import numpy as np

from oddroad.errors import InputError
from oddroad.types import IGNORE

CALIBRATION_BINS = 15
"""Equal bins of confidence, (k / 15, (k + 1) / 15], for the expected calibration error."""


class SemanticMetric:
    """IoU, mIoU and expected calibration error (Guo et al., "On Calibration of Modern Neural Networks", 2017).

    >>> metric = SemanticMetric(classes=2)
    >>> metric.add(np.uint8([[0, 1, 1]]), np.uint8([[0, 1, 0]]))
    >>> metric.result()["miou"]
    0.5

    Args:
        classes: number of classes; labels and predictions are 0 to classes - 1.
    """

    def __init__(self, classes: int):
        self.classes = classes
        self.confusion = np.zeros((classes, classes), np.int64)
        self.bins = np.zeros((3, CALIBRATION_BINS))

    def add(
        self, predictions: np.ndarray, labels: np.ndarray, confidence: np.ndarray | None = None, name: str = ""
    ) -> None:
        """Count one frame.

        Args:
            predictions: (H, W) class of each pixel.
            labels: (H, W) true class, IGNORE where it is not judged.
            confidence: (H, W) probability of the predicted class, in [0, 1]; None leaves the calibration out.
            name: of the frame, for the messages.

        Raises:
            InputError: if shapes differ, a class does not exist, or a confidence is no probability.
        """
        if predictions.shape != labels.shape:
            raise InputError(
                f"the classes of frame '{name}' have shape {predictions.shape} and its label {labels.shape}; bring "
                "them to the size of the label"
            )
        keep = labels != IGNORE
        truth, guess = labels[keep].astype(np.intp), predictions[keep].astype(np.intp)
        for what, values in (("label", truth), ("prediction", guess)):
            if values.size and (values.max() >= self.classes or values.min() < 0):
                raise InputError(
                    f"the {what} of frame '{name}' holds class {int(values.max())}; expected 0 to {self.classes - 1}, "
                    f"or {IGNORE} in a label where it is not judged"
                )
        pairs = np.bincount(truth * self.classes + guess, minlength=self.classes**2)
        self.confusion += pairs.reshape(self.classes, self.classes)
        if confidence is None:
            return
        if confidence.shape != labels.shape:
            raise InputError(f"the confidence of frame '{name}' has shape {confidence.shape}; expected {labels.shape}")
        sure = confidence[keep].astype(np.float64)
        if sure.size and not (sure.min() >= 0 and sure.max() <= 1 + 1e-6):
            raise InputError(f"the confidence of frame '{name}' is not between 0 and 1 everywhere")
        at = np.clip(np.ceil(sure * CALIBRATION_BINS).astype(np.intp) - 1, 0, CALIBRATION_BINS - 1)
        for row, weights in enumerate((np.ones(len(sure)), sure, (truth == guess).astype(float))):
            self.bins[row] += np.bincount(at, weights, minlength=CALIBRATION_BINS)

    def merge(self, other: SemanticMetric) -> None:
        """Add the counts of another part of the same set.

        Raises:
            InputError: if the numbers of classes differ.
        """
        if other.classes != self.classes:
            raise InputError(f"cannot merge counts of {self.classes} and {other.classes} classes")
        self.confusion += other.confusion
        self.bins += other.bins

    def iou(self) -> np.ndarray:
        """(C,) IoU of each class; NaN for a class that neither labels nor predictions hold."""
        hits = np.diag(self.confusion)
        union = self.confusion.sum(0) + self.confusion.sum(1) - hits
        return np.where(union > 0, hits / np.maximum(union, 1), np.nan)

    def reliability(self) -> dict[str, list[float]]:
        """For each bin of confidence: pixels, mean confidence, accuracy; the last two are 0 in an empty bin."""
        pixels, confidence, correct = self.bins
        filled = np.maximum(pixels, 1)
        return {
            "pixels": pixels.tolist(),
            "confidence": (confidence / filled).tolist(),
            "accuracy": (correct / filled).tolist(),
        }

    def result(self) -> dict[str, float]:
        """Figures as fractions.

        Returns:
            ``miou`` mean over the classes that occur in labels or predictions, ``accuracy`` of the pixels, ``ece``
            expected calibration error (NaN if no confidence was given), ``pixels``. NaN where nothing was counted.
        """
        total = int(self.confusion.sum())
        iou = self.iou()
        pixels, confidence, correct = self.bins
        return {
            "miou": float(np.nanmean(iou)) if np.isfinite(iou).any() else float("nan"),
            "accuracy": float(np.trace(self.confusion) / total) if total else float("nan"),
            "ece": float(np.abs(confidence - correct).sum() / pixels.sum()) if pixels.sum() else float("nan"),
            "pixels": float(total),
        }
