"""What cameras that nobody trained on show and is no anomaly: bonnets, wipers, and roads of other kinds.

Drawn on known scenes. The bonnet and the wiper become UNNAMED, in-distribution but of no class; roads keep their label.
"""

from __future__ import annotations

import cv2
import numpy as np

from oddroad.learn.data.road_surfaces import concrete, lines, painted_signs, repairs, resurfaced, shade
from oddroad.types import UNNAMED


def ego_vehicle(label: np.ndarray, below: float = 0.78) -> np.ndarray:
    """Make known what Cityscapes leaves out at the lower edge, the own bonnet: (h, w) uint8, a copy where it changes.

    Args:
        label: (h, w) uint8; in the rows below, IGNORE becomes UNNAMED.
        below: share of the rows above them.
    """
    start = int(below * len(label))
    hidden = label[start:] == 255
    if not hidden.any():
        return label
    label = label.copy()
    label[start:][hidden] = UNNAMED
    return label


def bonnet(image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> None:
    """A bonnet of any colour with the sky's reflection at the lower edge, in place."""
    height, width = label.shape
    rise = height * np.exp(rng.uniform(np.log(0.04), np.log(0.3)))
    across = (np.arange(width) / width - rng.uniform(0.3, 0.7)) / rng.uniform(0.4, 1.0)
    edge = height - rise * (1 - np.abs(across).clip(0, 1) ** rng.uniform(2, 5)) - rng.uniform(0, 0.02) * height
    rows = np.arange(height)[:, None]
    share = ((rows - edge[None]) / rng.uniform(0.5, 3) + 0.5).clip(0, 1).astype(np.float32)
    paint = rng.uniform(5, 230, 3) if rng.random() < 0.4 else np.full(3, rng.uniform(5, 240))
    depth = ((rows - edge[None]) / max(rise, 1)).clip(0, 1)[..., None].astype(np.float32)
    body = (paint * (1 - rng.uniform(-0.4, 0.6) * depth)).astype(np.float32)
    if rng.random() < 0.6:  # the scene above, mirrored in the paint
        mirrored = cv2.GaussianBlur(image[::-1].astype(np.float32), (0, 0), float(rng.uniform(1, 6)))
        body = body + np.float32(rng.uniform(0.1, 0.6)) * (mirrored - body)
    if rng.random() < 0.4:  # a crease or the seam of the bonnet
        x = int(width * rng.uniform(0.1, 0.9))
        line = np.zeros((height, width), np.float32)
        end = int(x + width * rng.normal(0, 0.1)), int(height - rise)
        cv2.line(line, (x, height), end, 1.0, int(rng.integers(1, 4)), cv2.LINE_AA)
        body = body + line[..., None] * np.float32(rng.normal(0, 50))
    image[:] = (image + share[..., None] * (body - image)).clip(0, 255).astype(np.uint8)
    label[share > 0.5] = UNNAMED


def wiper(image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> None:
    """A dark, blurred bar from the lower edge, in place; what it hides is UNNAMED."""
    height, width = label.shape
    foot = int(width * rng.uniform(-0.1, 1.1)), height + 4
    tip = int(foot[0] + width * rng.uniform(-0.7, 0.7)), int(height * rng.uniform(0.2, 0.95))
    share = np.zeros((height, width), np.float32)
    cv2.line(share, foot, tip, 1.0, max(int(height * rng.uniform(0.006, 0.03)), 1), cv2.LINE_AA)
    share = cv2.GaussianBlur(share, (0, 0), float(rng.uniform(0.5, 3)))
    image[:] = (image * (1 - share[..., None]) + share[..., None] * rng.uniform(0, 50)).astype(np.uint8)
    label[share > 0.5] = UNNAMED


def vary_camera(image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Some of these on a crop: lines, two surfaces and repairs half the time, the rest more rarely.

    Args:
        image: (H, W, 3) uint8 RGB.
        label: (H, W) uint8 training labels.
        rng: of all choices.

    Returns:
        the image and the label, changed copies.
    """
    image, label = image.copy(), label.copy()
    if rng.random() < 0.45:
        resurfaced(image, label, rng)
    if rng.random() < 0.3:
        concrete(image, label, rng)
    if rng.random() < 0.45:
        repairs(image, label, rng)
    if rng.random() < 0.25:
        painted_signs(image, label, rng)
    if rng.random() < 0.6:
        lines(image, label, rng)
    if rng.random() < 0.3:
        shade(image, label, rng)
    if rng.random() < 0.35:
        bonnet(image, label, rng)
    if rng.random() < 0.12:
        wiper(image, label, rng)
    return image, label
