"""Random shapes of random texture: anomalies by construction."""

from __future__ import annotations

import cv2
import numpy as np

from oddroad.learn.data.cutouts import CutOut
from oddroad.types import OUTLIER


def random_outline(rng: np.random.Generator, side: int) -> np.ndarray:
    """(side, side) float32 mask of a random star-shaped polygon, ellipse or box."""
    mask = np.zeros((side, side), np.float32)
    centre, form = side / 2, rng.random()
    if form < 0.6:
        corners = int(rng.integers(5, 16))
        angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
        radii = centre * rng.uniform(0.35, 1.0, corners)
        points = np.stack([centre + radii * np.cos(angles), centre + radii * np.sin(angles)], 1)
        cv2.fillPoly(mask, [points.astype(np.int32)], 1.0)
        if rng.random() < 0.5:
            mask = (cv2.GaussianBlur(mask, (0, 0), side / 16) > 0.5).astype(np.float32)
    elif form < 0.8:
        axes = (int(centre * rng.uniform(0.4, 1)), int(centre * rng.uniform(0.3, 1)))
        cv2.ellipse(mask, (side // 2, side // 2), axes, rng.uniform(0, 180), 0, 360, 1.0, -1)
    else:
        box = cv2.boxPoints(((centre, centre), tuple(side * rng.uniform(0.3, 0.8, 2)), rng.uniform(-20, 20)))
        cv2.fillPoly(mask, [box.astype(np.int32)], 1.0)
    return mask


def random_texture(rng: np.random.Generator, side: int, pictures: list[np.ndarray]) -> np.ndarray:
    """(side, side, 3) uint8: a piece of some picture, or coloured noise of a random grain."""
    if rng.random() < 0.6:
        picture = pictures[int(rng.integers(len(pictures)))]
        height, width = picture.shape[:2]
        piece = int(min(height, width) * rng.uniform(0.3, 1.0))
        y, x = int(rng.integers(height - piece + 1)), int(rng.integers(width - piece + 1))
        return cv2.resize(picture[y : y + piece, x : x + piece], (side, side), interpolation=cv2.INTER_AREA)
    base = rng.uniform(0, 255, 3)
    grain = max(int(side * rng.choice([0.03, 0.1, 0.3, 1.0])), 2)
    noise = rng.normal(0, rng.uniform(3, 60), (grain, grain, 3)) * rng.choice([[1, 1, 1], [1, 0.5, 0.2]])
    texture = base + cv2.resize(noise.astype(np.float32), (side, side), interpolation=cv2.INTER_LINEAR)
    shade = np.linspace(rng.uniform(0.5, 1.3), rng.uniform(0.5, 1.3), side)[:, None, None]
    return np.clip(texture * shade, 0, 255).astype(np.uint8)


def cropped_outline(rng: np.random.Generator, side: int = 96) -> tuple[np.ndarray, tuple[slice, slice]]:
    """A random outline (side, side) that is at least 8 pixels high and wide, and the box around it."""
    while True:
        mask = random_outline(rng, side)
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if len(rows) >= 8 and len(columns) >= 8:
            return mask, np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def random_shape(rng: np.random.Generator, pictures: list[np.ndarray], side: int = 96) -> CutOut:
    """A random shape of random texture: an anomaly by construction."""
    mask, box = cropped_outline(rng, side)
    return CutOut(random_texture(rng, side, pictures)[box], mask[box], OUTLIER, "shape")
