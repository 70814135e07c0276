"""Intervals of pixel figures by resampling images, from counts alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from oddroad.metrics.pixel import PixelMetric

COARSE = 2048
"""Bins a frame that the resampling works with."""

FIGURES = ("ap", "fpr95", "auroc", "f1")


def intervals(
    frames: Sequence[PixelMetric], resamples: int, level: float = 0.95, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Percentile intervals of the figures over images drawn with replacement.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.

    Args:
        frames: the counts of each image, of COARSE bins or so.
        resamples: how many draws.
        level: probability that the interval is to cover.
        seed: of the draws.

    Returns:
        figure -> (low, high), for AP, FPR95, AUROC and the best F1.
    """
    whole = PixelMetric(frames[0].bins)
    for frame in frames:
        whole.merge(frame)
    frames = [aligned(frame, whole) for frame in frames]
    shift = np.uint32(whole.shift)
    bins = np.zeros((len(frames), *whole.counts.shape), np.int64)
    ties = np.zeros((len(frames), *whole.tie_counts.shape), np.int64)
    for number, frame in enumerate(frames):
        place = np.searchsorted(whole.lowest >> shift, frame.lowest >> shift)
        bins[number][:, place] += frame.counts
        if whole.apart:
            ties[number][:, np.searchsorted(whole.ties, frame.ties)] += frame.tie_counts
    draw = np.random.default_rng(seed)
    found: dict[str, list[float]] = {name: [] for name in FIGURES}
    for _ in range(resamples):
        weights = np.bincount(draw.integers(0, len(frames), len(frames)), minlength=len(frames))
        whole.counts = np.tensordot(weights, bins, 1)
        whole.tie_counts = np.tensordot(weights, ties, 1)
        result = whole.result()
        for name, values in found.items():
            values.append(result[name])
    shares = [50 - 50 * level, 50 + 50 * level]
    return {name: percentiles(np.array(values), shares) for name, values in found.items()}


def percentiles(values: np.ndarray, shares: list[float]) -> tuple[float, float]:
    """Two percentiles of the values that are numbers; NaN where none is."""
    values = values[~np.isnan(values)]
    low, high = np.percentile(values, shares) if len(values) else (np.nan, np.nan)
    return float(low), float(high)


def aligned(frame: PixelMetric, whole: PixelMetric) -> PixelMetric:
    """The counts of a frame in the bins of the whole, its ties apart only if those of the whole are."""
    moved = PixelMetric(whole.bins)
    moved.shift, moved.apart = whole.shift, whole.apart
    moved.merge(frame)
    return moved
