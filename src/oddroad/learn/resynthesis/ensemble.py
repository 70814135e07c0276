"""SynBoost's calibrated ensemble: weights of its four maps, chosen on a validation set over a grid.

Source: Di Biase et al., CVPR 2021, who choose them on the public part of the benchmark that they report; here the
validation set is one's own, with held-out objects pasted.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from oddroad.errors import InputError
from oddroad.metrics.pixel import ExactPixelMetric

MAPS = ("dissimilarity", "entropy", "softmax distance", "perceptual difference")
"""The maps in the order of their weights."""


@dataclass(frozen=True)
class Weighted:
    """What one choice of weights gives.

    Attributes:
        weights: of the maps, summing to 1.
        ap: average precision of the weighted sum.
        fpr95: false-positive rate where 95 % of the anomaly pixels are found.
    """

    weights: tuple[float, ...]
    ap: float
    fpr95: float


def grid(step: float = 0.05, maps: int = len(MAPS)) -> np.ndarray:
    """All weights (K, maps) that are multiples of the step and sum to 1.

    >>> grid(0.5, 2).tolist()
    [[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]]

    Raises:
        InputError: if the step does not divide 1.
    """
    parts = round(1 / step) if step > 0 else 0
    if parts < 1 or abs(parts * step - 1) > 1e-9:
        raise InputError(f"a grid of steps of {step}; expected a step that divides 1, such as 0.05")
    found = [each for each in itertools.product(range(parts + 1), repeat=maps) if sum(each) == parts]
    return np.array(found) / parts


def judged(values: np.ndarray, anomalous: np.ndarray, weights: np.ndarray) -> Weighted:
    """Figures of a weighted sum of maps.

    Args:
        values: (P, maps) of some pixels.
        anomalous: (P,) bool.
        weights: (maps,).
    """
    metric = ExactPixelMetric()
    metric.add((values @ weights).astype(np.float32)[None], anomalous.astype(np.uint8)[None])
    figures = metric.result()
    return Weighted(tuple(float(each) for each in weights), figures["ap"], figures["fpr95"])


def best_weights(values: np.ndarray, anomalous: np.ndarray, candidates: np.ndarray) -> list[Weighted]:
    """All candidates (K, maps) by falling AP; of equal ones the lower false-positive rate first.

    Raises:
        InputError: if the pixels are all of one kind.
    """
    if anomalous.all() or not anomalous.any():
        raise InputError("weights are chosen on pixels of both kinds; these hold no anomaly, or nothing else")
    found = [judged(values, anomalous, each) for each in candidates]
    return sorted(found, key=lambda each: (-each.ap, each.fpr95))
