"""Fog, rain, night, a low sun and drops over a crop: known scenes in bad light, in which there is nothing odd.

Detectors trained with outliers lose most in fog, in rain and at night. None of these changes a label. There is no
depth; on flat ground the distance of a row is that of a camera above it: inverse to the rows below the horizon.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np


def far(shape: tuple[int, int], horizon: float) -> np.ndarray:
    """(H, 1, 1) float32 in (0, 1]: distance of each row on flat ground, 1 at and above the horizon.

    Args:
        shape: (H, W).
        horizon: its row, as a share of H; may be outside of the crop.
    """
    below = (np.arange(shape[0], dtype=np.float32) / shape[0] - horizon).clip(0.0)
    return (0.04 / (0.04 + below)).astype(np.float32)[:, None, None]


def fog(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Fades to a grey with the distance: Koschmieder's law, with the rows' distances."""
    light = np.float32(rng.uniform(120, 235)) + rng.normal(0, 4, 3).astype(np.float32)
    density = np.float32(np.exp(rng.uniform(np.log(0.4), np.log(3.0))))
    kept = np.exp(-density * far(image.shape[:2], rng.uniform(0.1, 0.6)))
    return image * kept + light * (1 - kept)


def rain(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Duller, streaked, with a wet road's vertical smears, and sometimes drops on the lens."""
    height, width = image.shape[:2]
    grey = image.mean(2, keepdims=True)
    image = (image + rng.uniform(0.2, 0.6) * (grey - image)) * np.float32(rng.uniform(0.55, 0.9))
    streaks = (rng.random((height, width)) > 0.997).astype(np.float32)
    length, slant = int(rng.integers(7, 25)), rng.normal(0, 0.2)
    kernel = np.zeros((length, length), np.float32)
    cv2.line(kernel, (int(length * (0.5 - slant / 2)), 0), (int(length * (0.5 + slant / 2)), length - 1), 1.0)
    image = image + cv2.filter2D(streaks, -1, kernel)[..., None] * np.float32(rng.uniform(10, 60))
    if rng.random() < 0.5:  # mirrored lights and sky on the wet ground
        start = int(height * rng.uniform(0.45, 0.75))
        smear = cv2.blur(image[:start][::-1], (3, int(rng.integers(21, 61))))
        rows = min(height - start, start)
        share = np.float32(rng.uniform(0.1, 0.35))
        image[start : start + rows] += share * (smear[:rows] - image[start : start + rows])
    return drops(image, rng) if rng.random() < 0.5 else image


def drops(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Drops or dirt on the lens: soft discs in which the picture is blurred and a little brighter or darker."""
    height, width = image.shape[:2]
    blurred = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(4, 10)))
    share = np.zeros((height, width), np.float32)
    for _ in range(int(rng.integers(3, 25))):
        radius = int(np.exp(rng.uniform(np.log(3), np.log(max(height / 8, 4)))))
        centre = int(rng.integers(width)), int(rng.integers(height))
        cv2.ellipse(
            share, centre, (radius, int(radius * rng.uniform(0.7, 1.3))), 0, 0, 360, float(rng.uniform(0.3, 1)), -1
        )
    share = cv2.GaussianBlur(share, (0, 0), float(rng.uniform(0.7, 3)))[..., None]
    return image + share * (blurred * np.float32(rng.uniform(0.6, 1.25)) - image)


def night(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Dark and tinted, lit from below by headlights, with glows about what was bright, and noise."""
    height, width = image.shape[:2]
    dark = 255 * (image / 255) ** np.float32(rng.uniform(1.1, 1.8)) * np.float32(rng.uniform(0.12, 0.45))
    dark = dark * np.array(rng.choice([[1.0, 0.9, 0.7], [0.8, 0.9, 1.1], [1.0, 1.0, 1.0]]), np.float32)
    across = (np.arange(width, dtype=np.float32) / width - rng.uniform(0.3, 0.7)) / rng.uniform(0.25, 0.7)
    down = (np.arange(height, dtype=np.float32) / height - rng.uniform(0.7, 1.0)) / rng.uniform(0.2, 0.5)
    beam = np.exp(-(across[None] ** 2) - down[:, None] ** 2)[..., None]
    dark = dark * (1 + np.float32(rng.uniform(0, 3.0)) * beam)
    bright = (image.mean(2) > np.quantile(image.mean(2), 0.985)).astype(np.float32)
    glow = cv2.GaussianBlur(bright, (0, 0), float(rng.uniform(2, 10)))[..., None]
    dark = dark + glow * np.float32(rng.uniform(20, 160))
    return dark + rng.normal(0, rng.uniform(1, 9), image.shape).astype(np.float32)


def low_sun(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A glare that washes the picture out about one point, and a darker rest."""
    height, width = image.shape[:2]
    x, y = rng.uniform(-0.2, 1.2) * width, rng.uniform(-0.3, 0.6) * height
    across, down = np.arange(width, dtype=np.float32) - x, np.arange(height, dtype=np.float32) - y
    reach = np.float32(height * rng.uniform(0.3, 1.2))
    glare = np.exp(-np.sqrt(across[None] ** 2 + down[:, None] ** 2) / reach)[..., None]
    light = np.array([255, 245, 225], np.float32) * np.float32(rng.uniform(0.5, 1.0))
    return image * np.float32(rng.uniform(0.6, 1.0)) * (1 - 0.8 * glare) + light * glare


KINDS: tuple[Callable[[np.ndarray, np.random.Generator], np.ndarray], ...] = (fog, rain, night, low_sun, drops)


def weathered(image: np.ndarray, rng: np.random.Generator, kind: int | None = None) -> np.ndarray:
    """One kind of bad weather or light over an image.

    Args:
        image: (H, W, 3) uint8 RGB.
        rng: of all choices.
        kind: index into KINDS; None draws one.

    Returns:
        (H, W, 3) uint8.
    """
    chosen = KINDS[int(rng.integers(len(KINDS))) if kind is None else kind]
    return np.clip(chosen(image.astype(np.float32), rng), 0, 255).astype(np.uint8)
