"""What cameras that nobody trained on show and is no anomaly: bonnets, wipers, painted lines, concrete, mended roads.

Drawn on known scenes. The bonnet and the wiper become UNNAMED, in-distribution but of no class; the rest keeps its
label.
"""

from __future__ import annotations

import cv2
import numpy as np

from oddroad.types import UNNAMED

ROAD = 0


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


def on_road(image: np.ndarray, label: np.ndarray, share: np.ndarray, colour: np.ndarray) -> None:
    """Blend a colour where a share (H, W) float32 says so and the label is ROAD, in place."""
    share = (share * (label == ROAD))[..., None]
    image[:] = (image + share * (colour - image.astype(np.float32))).clip(0, 255).astype(np.uint8)


def lines(image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> None:
    """Painted lines towards one point of the horizon, white or yellow, solid or broken, new or worn, in place."""
    height, width = label.shape
    away = width * rng.uniform(0.2, 0.8), height * rng.uniform(-0.2, 0.45)
    share = np.zeros((height, width), np.float32)
    for _ in range(int(rng.integers(1, 5))):
        foot = rng.uniform(-0.5, 1.5) * width
        half = width * np.exp(rng.uniform(np.log(0.003), np.log(0.03)))
        dash = rng.random() < 0.5
        cuts = np.sort(rng.uniform(0, 1, 8)) ** 2 if dash else np.array([0.0, 1.0])
        for start, end in zip(cuts[::2], cuts[1::2], strict=True):
            corners = [
                (away[0] + t * (foot + side * half - away[0]), away[1] + t * (height - away[1]))
                for t, side in ((start, -1), (start, 1), (end, 1), (end, -1))
            ]
            cv2.fillPoly(share, [np.array(corners).astype(np.int32)], 1.0, cv2.LINE_AA)
    if rng.random() < 0.6:
        worn = cv2.resize(rng.random((height // 3 + 1, width // 3 + 1)).astype(np.float32), (width, height))
        share *= (worn > rng.uniform(0.1, 0.6)).astype(np.float32)
    colour = [235, 235, 230] if rng.random() < 0.5 else [220, 170 + rng.uniform(-30, 30), 40 + rng.uniform(-30, 40)]
    share = cv2.GaussianBlur(share, (0, 0), 0.6) * np.float32(rng.uniform(0.4, 1.0))
    on_road(image, label, share, np.array(colour, np.float32) * np.float32(rng.uniform(0.5, 1.05)))


def concrete(image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> None:
    """A pale, flat road with joints across and along, in place."""
    height, width = label.shape
    pale = np.full(3, rng.uniform(130, 225)) + rng.normal(0, 8, 3)
    on_road(image, label, np.full(label.shape, rng.uniform(0.3, 0.8), np.float32), pale.astype(np.float32))
    share = np.zeros((height, width), np.float32)
    horizon, gap = height * rng.uniform(0, 0.4), rng.uniform(0.15, 0.6)
    for each in range(1, 12):
        y = int(horizon + (height - horizon) / (gap * each))
        if y < height:
            thick = max(int(3 / each), 1)
            cv2.line(share, (0, y), (width, int(y + rng.normal(0, 2))), 1.0, thick, cv2.LINE_AA)
    dark = np.full(3, rng.uniform(20, 110), np.float32)
    on_road(image, label, share * np.float32(rng.uniform(0.2, 0.8)), dark)


def resurfaced(image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> None:
    """Two surfaces of one road that meet in a line towards the horizon, of another tone and grain, in place."""
    height, width = label.shape
    away = width * rng.uniform(0.2, 0.8), height * rng.uniform(-0.2, 0.4)
    foot = rng.uniform(-0.2, 1.2) * width
    rows = np.arange(height, dtype=np.float32)[:, None]
    seam = away[0] + (foot - away[0]) * (rows - away[1]) / max(height - away[1], 1)
    side = 1 if rng.random() < 0.5 else -1
    share = (side * (np.arange(width, dtype=np.float32)[None] - seam) / rng.uniform(0.5, 4) + 0.5).clip(0, 1)
    if rng.random() < 0.4:  # only as far as a joint across the road
        joint = height * rng.uniform(0.3, 0.9)
        share = share * ((rows - joint) * (1 if rng.random() < 0.5 else -1) / 2 + 0.5).clip(0, 1)
    pale = image.astype(np.float32) * np.float32(np.exp(rng.normal(0.15, 0.35))) + np.float32(rng.normal(10, 20))
    pale += rng.normal(0, 4, 3).astype(np.float32)
    grain = cv2.GaussianBlur(rng.standard_normal(label.shape, np.float32), (0, 0), float(rng.uniform(0.5, 1.5)))
    pale += (grain * np.float32(rng.uniform(0, 30)))[..., None]
    on_road(image, label, share.astype(np.float32), pale)


def vary_camera(image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Some of these on a crop: lines and two surfaces half the time, concrete and bonnet a third each, wiper rarely.

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
    if rng.random() < 0.6:
        lines(image, label, rng)
    if rng.random() < 0.35:
        bonnet(image, label, rng)
    if rng.random() < 0.12:
        wiper(image, label, rng)
    return image, label
