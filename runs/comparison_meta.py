"""The meta classifier of "Entropy Maximization and Meta Classification" (Chan et al., 2021): which segments are real.

Segments are the connected components of a score map above a threshold; a logistic regression on what can be measured of
each without the truth says whether it lies on an anomaly. The published one is trained on Lost and Found with the
images of the judged scene left out; this one on validation scenes with pasted objects of held-out classes, which no
training saw. In a segment that is taken for a false alarm the score is multiplied by its probability of being real.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

SMALLEST = 4
"""Pixels of a segment at the network's stride; smaller ones are left as they are."""

DECAY = 1.0
"""Weight of the squared coefficients beside the summed log-likelihood."""


def segments(heat: np.ndarray, threshold: float) -> Iterable[np.ndarray]:
    """Masks (h, w) bool of the 8-connected components above a threshold."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((heat > threshold).astype(np.uint8), connectivity=8)
    for number in range(1, count):
        if stats[number, cv2.CC_STAT_AREA] >= SMALLEST:
            yield labels == number


def measures(heat: np.ndarray, classes: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """What is measured of a segment: size, shape, place, scores within, at its edge and around it, classes around it.

    Args:
        heat: (h, w) score.
        classes: (h, w) most likely class, 0 to 18.
        inside: (h, w) bool, the segment.
    """
    height, width = heat.shape
    kernel = np.ones((3, 3), np.uint8)
    own = inside.astype(np.uint8)
    edge = inside & (cv2.erode(own, kernel, borderValue=0) == 0)
    around = (cv2.dilate(own, kernel, iterations=3) > 0) & ~inside
    rows, columns = np.nonzero(inside)
    size, ring = len(rows), max(int(around.sum()), 1)
    near = np.bincount(classes[around], minlength=19)[:19] / ring
    outer = heat[around] if around.any() else heat[inside]
    shape = [np.log(size), edge.sum() / size, np.ptp(rows) / height, np.ptp(columns) / width]
    place = [rows.mean() / height, columns.mean() / width]
    scores = [heat[inside].mean(), heat[inside].std(), heat[inside].max(), heat[edge].mean(), heat[edge].std()]
    return np.array([*shape, *place, *scores, outer.mean(), outer.std(), *near])


@dataclass
class MetaClassifier:
    """A logistic regression on ``measures``.

    Attributes:
        threshold: above which a pixel belongs to a segment.
        mean: of each measure over the segments it was fitted on.
        scale: their standard deviation.
        weights: coefficients of the standardised measures, the constant last.
        fitted_on: segments, and how many of them lie on an anomaly.
    """

    threshold: float
    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    fitted_on: tuple[int, int]

    @classmethod
    def fit(cls, maps: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]], threshold: float) -> MetaClassifier:
        """Fit by maximum likelihood with a penalty on the squared coefficients.

        Args:
            maps: score, classes and anomalies (h, w) bool of each image.
            threshold: above which a pixel belongs to a segment.
        """
        from scipy.optimize import minimize

        found, real = [], []
        for heat, classes, anomaly in maps:
            for inside in segments(heat, threshold):
                found.append(measures(heat, classes, inside))
                real.append(bool((inside & anomaly).any()))
        if len(set(real)) < 2:  # nothing to tell apart: every segment is kept
            size = len(measures(*empty()))
            keep = np.r_[np.zeros(size), 1.0]
            return cls(threshold, np.zeros(size), np.ones(size), keep, (len(real), sum(real)))
        values, truth = np.array(found), np.array(real, float)
        mean, scale = values.mean(0), values.std(0).clip(1e-6)
        design = np.c_[(values - mean) / scale, np.ones(len(values))]
        sign = 2 * truth - 1

        def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
            margin = sign * (design @ weights)
            slope = -sign / (1 + np.exp(margin))
            penalty = np.r_[weights[:-1], 0.0]
            return np.logaddexp(0, -margin).sum() + DECAY / 2 * (penalty**2).sum(), design.T @ slope + DECAY * penalty

        weights = minimize(loss, np.zeros(design.shape[1]), jac=True, method="L-BFGS-B").x
        return cls(threshold, mean, scale, weights, (len(real), sum(real)))

    def probability(self, measured: np.ndarray) -> float:
        """That a segment with these measures lies on an anomaly."""
        standard = np.clip((measured - self.mean) / self.scale, -10, 10)
        return float(1 / (1 + np.exp(-(standard @ self.weights[:-1] + self.weights[-1]))))

    def __call__(self, heat: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """The map (h, w) with the segments that are taken for false alarms lowered; scores are at least 0."""
        result = heat.copy()
        for inside in segments(heat, self.threshold):
            real = self.probability(measures(heat, classes, inside))
            if real < 0.5:
                result[inside] *= real
        return result


def empty() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A map with one segment, to count the measures."""
    return np.zeros((8, 8), np.float32), np.zeros((8, 8), np.int64), np.ones((8, 8), bool)
