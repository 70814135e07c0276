"""Letters, numbers and coloured panels on what stands beside the road: lettered trucks, shop fronts, advertisements.

Drawn on known scenes; everything keeps its label. A network that saw few sharp scenes takes the lettered side of a
truck for something unknown, the more the larger it sees it.
"""

from __future__ import annotations

import cv2
import numpy as np

from oddroad.learn.data.road_surfaces import around

UPRIGHT = (2, 3, 4, 13, 14, 15, 16)
"""Cityscapes' building, wall, fence, car, truck, bus, train."""

FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX, cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
)  # fmt: skip
LETTERS = "ABCDEFGHIJKLMNOPRSTUVWXYZabcdefghiklmnoprstuvwz0123456789&.-"

INK_HEIGHT = 40
"""Pixels of a capital letter before the lettering is brought to its place."""


def lettering(rng: np.random.Generator) -> np.ndarray:
    """One to three lines of letters, (h, w) float32, 0 to 1."""
    lines = ["".join(rng.choice(list(LETTERS), int(rng.integers(2, 10)))) for _ in range(int(rng.integers(1, 4)))]
    font, thick = int(rng.choice(FONTS)), int(rng.integers(2, 9))
    scale = INK_HEIGHT / cv2.getTextSize("H", font, 1.0, thick)[0][1]
    sizes = [cv2.getTextSize(each, font, scale, thick)[0] for each in lines]
    step = int(INK_HEIGHT * rng.uniform(1.4, 2.0))
    drawn = np.zeros((step * len(lines) + INK_HEIGHT // 2, max(w for w, _ in sizes) + 2 * thick), np.uint8)
    for number, each in enumerate(lines):
        cv2.putText(drawn, each, (thick, INK_HEIGHT + step * number), font, scale, 255, thick, cv2.LINE_AA)
    return drawn.astype(np.float32) / 255


def inscriptions(image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> None:
    """One to four inscriptions, half of them on a panel of their own, on upright known things, in place.

    Args:
        image: (H, W, 3) uint8 RGB.
        label: (H, W) uint8 training labels; nothing is drawn outside of UPRIGHT.
        rng: of all choices.
    """
    upright = np.isin(label, UPRIGHT)
    ys, xs = np.nonzero(upright)
    if not len(ys):
        return
    height = len(label)
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(len(ys)))
        ink = lettering(rng)
        tall = height * np.exp(rng.uniform(np.log(0.03), np.log(0.3)))
        wide = tall * ink.shape[1] / ink.shape[0] * rng.uniform(0.6, 1.2)
        slant, middle = rng.normal(0, 0.08) * wide, np.array([xs[at], ys[at]])
        corners = middle + np.array([[-wide, -tall - slant], [wide, -tall + slant], [wide, tall + slant]]) / 2
        fourth = corners[0] + corners[2] - corners[1]
        box = around(np.vstack([corners, fourth]).round().astype(int), label.shape, 2)
        if box is None:
            continue
        start = np.array([box[1].start, box[0].start])
        h, w = ink.shape
        matrix = cv2.getAffineTransform(
            np.array([[0, 0], [w, 0], [w, h]], np.float32), (corners - start).astype(np.float32)
        )
        size = (box[1].stop - box[1].start, box[0].stop - box[0].start)
        where = upright[box].astype(np.float32)[..., None]
        piece = image[box].astype(np.float32)
        if rng.random() < 0.5:
            panel = cv2.warpAffine(np.ones_like(ink), matrix, size, flags=cv2.INTER_AREA)[..., None] * where
            piece += panel * np.float32(rng.uniform(0.5, 1.0)) * (rng.uniform(10, 245, 3).astype(np.float32) - piece)
        share = cv2.warpAffine(ink, matrix, size, flags=cv2.INTER_AREA)[..., None] * where
        paint = rng.uniform(0, 255, 3) if rng.random() < 0.6 else np.full(3, rng.choice([15.0, 240.0]))
        piece += share * np.float32(rng.uniform(0.5, 1.0)) * (paint.astype(np.float32) - piece)
        image[box] = cv2.GaussianBlur(piece, (0, 0), 0.5).clip(0, 255).astype(np.uint8) * upright[box][..., None] + (
            image[box] * ~upright[box][..., None]
        )
