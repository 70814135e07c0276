"""A few numbers of a frame that tell night, rain, a dirty lens or another mounting from the frames calibrated on.

They come from a sparse grid of pixels, so that they cost a small part of what the detector costs.
"""

from __future__ import annotations

import cv2
import numpy as np

STATISTICS = (
    "brightness above", "brightness below", "brightness beside", "contrast", "sharpness above", "sharpness below",
    "warmth", "median score", "score of 1 pixel in 10", "score of 1 pixel in 100", "score of 1 pixel in 1000",
)  # fmt: skip
"""What is taken of a frame, from 0 to 255: the mean grey of its upper and lower half, and by how much it is brighter at
both sides of the lower half than in its middle, which depends on the camera's height; the deviation of grey; the mean
difference of neighbouring pixels in a row, in both halves; red less blue. And scores that so many pixels exceed."""

ROWS, COLUMNS = 64, 128
"""Pixels of the grid, at least where the frame has as many."""

SHARP_ROWS = 16
"""Rows whose neighbouring pixels are compared."""

QUANTILES = (0.5, 0.9, 0.99, 0.999)

GREY, WARMTH = np.full(3, 1 / 3, np.float32), np.array([1, 0, -1], np.float32)


def frame_statistics(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """STATISTICS of a frame, (11,) float64 in the digits of float32.

    Args:
        image: (H, W, 3) uint8 RGB.
        heat: (H, W) float32 its score.
    """
    height, width = heat.shape
    down, right = max(1, height // ROWS), max(1, width // COLUMNS)
    grid = image[down // 2 :: down, right // 2 :: right].astype(np.float32)
    grey = grid @ GREY
    middle, quarter = max(1, len(grey) // 2), max(1, grey.shape[1] // 4)
    lower = grey[middle:] if len(grey) > 1 else grey
    outer, inner = np.concatenate([lower[:, :quarter], lower[:, -quarter:]], 1), lower[:, quarter:-quarter]
    beside = outer.mean() - inner.mean() if inner.size else 0.0
    rows = np.ascontiguousarray(image[:: max(1, height // SHARP_ROWS), :, 1])
    steps = cv2.absdiff(rows[:, 1:], rows[:, :-1]) if width > 1 else np.zeros_like(rows)
    half = max(1, len(rows) // 2)
    sharpness = cv2.mean(steps[:half])[0], cv2.mean(steps[half:] if len(rows) > 1 else steps)[0]
    scores = heat[down // 2 :: down, right // 2 :: right].ravel()
    ranks = [min(int(share * len(scores)), len(scores) - 1) for share in QUANTILES]
    warmth = (grid @ WARMTH).mean()
    quantiles = np.partition(scores, ranks)[ranks]
    values = [grey[:middle].mean(), lower.mean(), beside, grey.std(), *sharpness, warmth, *quantiles]
    return np.array(values, np.float32).astype(np.float64)
