"""Component metrics of SegmentMeIfYouCan: sIoU, PPV and F1* of connected anomalous regions.

Source: Chan et al., "SegmentMeIfYouCan: A Benchmark for Anomaly Segmentation", NeurIPS Datasets 2021.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from oddroad.metrics.pixel import valid_pixels
from oddroad.types import ANOMALY, IGNORE

TAUS = np.linspace(0.25, 0.75, 11)
"""Thresholds on sIoU and PPV that F1* averages over."""

COMPONENT_FIGURES = ("siou", "ppv", "f1_star")


class Components(NamedTuple):
    """The components of one frame.

    Attributes:
        siou: (K,) adjusted IoU of each true component.
        truth_sizes: (K,) its valid pixels.
        ppv: (P,) share of each predicted component that lies on an anomaly.
        predicted_sizes: (P,) its valid pixels.
    """

    siou: np.ndarray
    truth_sizes: np.ndarray
    ppv: np.ndarray
    predicted_sizes: np.ndarray


def label_components(mask: np.ndarray, min_area: int) -> tuple[np.ndarray, np.ndarray, int]:
    """8-connected components: labels (H, W) int32 with 0 for none, (N + 1,) whether each is large enough, and N."""
    number, labels, boxes, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    large = boxes[:, cv2.CC_STAT_AREA] >= min_area
    large[0] = False
    return labels, large, number - 1


def components(predicted: np.ndarray, label: np.ndarray, min_predicted: int, min_truth: int) -> Components:
    """Compare the connected components of a prediction with those of the truth.

    Predictions on pixels that are not valid do not exist; predicted components below ``min_predicted`` pixels are
    dropped; true components below ``min_truth`` pixels do not count. A true component is compared with the union of
    all predicted components that touch it, leaving out what of these lies on other true components.

    Args:
        predicted: (H, W) bool.
        label: (H, W) uint8 with KNOWN, ANOMALY and IGNORE.
        min_predicted: pixels.
        min_truth: pixels.
    """
    truth, truth_large, truths = label_components(label == ANOMALY, min_truth)
    guess, guess_large, guesses = label_components(predicted & (label != IGNORE), min_predicted)
    at = np.flatnonzero(guess)
    of_guess, of_truth = guess.ravel()[at], truth.ravel()[at]
    valid_here = guess_large[of_guess] & (truth_large[of_truth] | (of_truth == 0))
    of_guess, of_truth = of_guess[valid_here], of_truth[valid_here]

    guess_size = np.bincount(of_guess, minlength=guesses + 1)
    truth_size = np.bincount(truth[truth > 0], minlength=truths + 1) * truth_large
    hit = of_truth > 0
    pairs, shared = np.unique(of_truth[hit].astype(np.int64) * (guesses + 1) + of_guess[hit], return_counts=True)
    pair_truth, pair_guess = pairs // (guesses + 1), pairs % (guesses + 1)
    covered = np.bincount(pair_guess, shared, minlength=guesses + 1)
    inside = np.bincount(pair_truth, shared, minlength=truths + 1)
    touching = np.bincount(pair_truth, guess_size[pair_guess], minlength=truths + 1)
    elsewhere = np.bincount(pair_truth, covered[pair_guess] - shared, minlength=truths + 1)

    kept, present = truth_size > 0, guess_size > 0
    siou = inside[kept] / (truth_size + touching - inside - elsewhere)[kept]
    return Components(siou, truth_size[kept], covered[present] / guess_size[present], guess_size[present])


class ComponentMetric:
    """Component metrics of a set at one threshold.

    >>> metric = ComponentMetric(threshold=0.5, min_predicted=1, min_truth=1)
    >>> metric.add(np.float32([[0.9, 0.9, 0.1]]), np.uint8([[1, 1, 0]]))
    >>> metric.result()["f1_star"]
    1.0

    Args:
        threshold: a pixel is predicted where ``score > threshold``.
        min_predicted: smallest predicted component, pixels; 500 for SMIYC's AnomalyTrack, 50 for its ObstacleTrack.
        min_truth: smallest true component, pixels; 100 and 10.
    """

    def __init__(self, threshold: float, min_predicted: int, min_truth: int):
        self.threshold = float(threshold)
        self.min_predicted = min_predicted
        self.min_truth = min_truth
        self.true_positives = np.zeros(len(TAUS), np.int64)
        self.false_negatives = np.zeros(len(TAUS), np.int64)
        self.false_positives = np.zeros(len(TAUS), np.int64)
        self.sums = np.zeros(2)
        self.numbers = np.zeros(2, np.int64)

    def add(self, scores: np.ndarray, labels: np.ndarray, name: str = "") -> None:
        """Count one frame.

        Args:
            scores: (H, W) float, higher means more anomalous.
            labels: (H, W) with KNOWN, ANOMALY and IGNORE.
            name: of the frame, for the messages.

        Raises:
            InputError: if the shapes differ, a score is NaN, or a label is none of the three.
        """
        valid_pixels(scores, labels, name, double=True)
        if scores.dtype == np.float64:
            predicted = scores > self.threshold
        else:
            predicted = scores.astype(np.float32, copy=False) > np.float32(self.threshold)
        found = components(predicted, labels, self.min_predicted, self.min_truth)
        hits = (found.siou[:, None] >= TAUS).sum(0)
        self.true_positives += hits
        self.false_negatives += len(found.siou) - hits
        self.false_positives += (found.ppv[:, None] < TAUS).sum(0)
        self.sums += found.siou.sum(), found.ppv.sum()
        self.numbers += len(found.siou), len(found.ppv)

    def merge(self, other: ComponentMetric) -> None:
        """Add the counts of another part of the same set at the same threshold."""
        self.true_positives += other.true_positives
        self.false_negatives += other.false_negatives
        self.false_positives += other.false_positives
        self.sums += other.sums
        self.numbers += other.numbers

    def without(self, part: ComponentMetric) -> ComponentMetric:
        """The counts less those of a part of them."""
        left = ComponentMetric(self.threshold, self.min_predicted, self.min_truth)
        for name in ("true_positives", "false_negatives", "false_positives", "sums", "numbers"):
            setattr(left, name, getattr(self, name) - getattr(part, name))
        return left

    def result(self) -> dict[str, float]:
        """Figures as fractions.

        Returns:
            ``siou`` mean over the true components (NaN if there is none), ``ppv`` mean over the predicted ones (0 if
            there is none), ``f1_star`` mean over TAUS of the F1 with counts summed over the set.
        """
        wrong = self.false_negatives + self.false_positives
        f1 = 2 * self.true_positives / np.maximum(2 * self.true_positives + wrong, 1)
        truths, guesses = self.numbers
        return {
            "siou": float(self.sums[0] / truths) if truths else float("nan"),
            "ppv": float(self.sums[1] / guesses) if guesses else 0.0,
            "f1_star": float(f1.mean()) if truths else float("nan"),
            "components": float(truths),
            "predicted_components": float(guesses),
        }

    def weights(self) -> dict[str, tuple[float, ...]]:
        """What each figure is a mean over: true components, predicted ones, or both."""
        truths, guesses = self.numbers.astype(float).tolist()
        return {"siou": (truths,), "ppv": (guesses,), "f1_star": (truths, guesses)}

    def steps(self) -> dict[str, float]:
        """The change of a figure by one component."""
        return dict.fromkeys(self.weights(), 1 / max(int(self.numbers.max()), 1))
