"""Appearance augmentation of in-distribution scenes: light, shadows, tints, texture, marks and patches on the road.

The training scenes are 256 pixels high and from few countries; enlarged, their roads are smooth and grey. A network
that has seen nothing else takes gravel, cobbles, sunlit grass and the edge of a shadow for objects. Nothing here
changes a label: whatever is drawn stays what it was.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from oddroad.learn.data.shapes import random_outline
from oddroad.types import CITYSCAPES_CLASSES

ROAD = 0


Surfaces = Sequence[Sequence[int]]


SURFACES: Surfaces = ((0,), (1, 9, 203), (2, 3, 4, 202), (8,))
"""Labels whose pixels get a colour and a grain together: road; sidewalk and terrain; walls; vegetation."""


def surfaces_of(names: Sequence[str]) -> Surfaces:
    """``SURFACES`` in the numbers of other classes: the first is the road, the others by the names of Cityscapes.

    >>> surfaces_of(("asphalt", "car", "sidewalk"))
    ((0,), (2,))
    """
    if tuple(names) == CITYSCAPES_CLASSES:
        return SURFACES
    wanted = [[CITYSCAPES_CLASSES[each] for each in members if each < len(CITYSCAPES_CLASSES)] for members in SURFACES]
    found = [tuple(at for at, name in enumerate(names) if at and name in members) for members in wanted[1:]]
    return ((ROAD,), *filter(None, found))


def detail_layer(pictures: list[np.ndarray], shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """(H, W, 1) float32, the fine structure of a random piece of a picture, mean 0, standard deviation 1.

    Args:
        pictures: (h, w, 3) uint8 each.
        shape: (H, W); a smaller piece is mirrored until it fills that.
        rng: of all choices.
    """
    picture = pictures[int(rng.integers(len(pictures)))]
    zoom = float(np.exp(rng.uniform(np.log(0.4), np.log(1.6))))
    height, width = (
        int(np.clip(side * zoom, 24, 2 * most)) for side, most in zip(picture.shape[:2], shape, strict=True)
    )
    grey = cv2.resize(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (width, height), interpolation=cv2.INTER_AREA)
    grey = grey.astype(np.float32)
    fine = grey - cv2.GaussianBlur(grey, (0, 0), rng.uniform(1, 3))
    fine = fine[: shape[0], : shape[1]]
    down, right = shape[0] - fine.shape[0], shape[1] - fine.shape[1]
    while down > 0 or right > 0:
        step = min(down, fine.shape[0] - 1), min(right, fine.shape[1] - 1)
        fine = cv2.copyMakeBorder(fine, 0, step[0], 0, step[1], cv2.BORDER_REFLECT_101)
        down, right = shape[0] - fine.shape[0], shape[1] - fine.shape[1]
    return (fine / max(float(fine.std()), 1.0))[..., None]


def retexture(
    image: np.ndarray,
    label: np.ndarray,
    pictures: list[np.ndarray],
    rng: np.random.Generator,
    surfaces: Surfaces = SURFACES,
) -> np.ndarray:
    """Give some surfaces a tint and a grain, and some objects a grain, so that sharpness and colour tell nothing.

    Args:
        image: (H, W, 3) float32 in 0 to 255.
        label: (H, W) uint8.
        pictures: where the grain comes from.
        rng: of all choices.
        surfaces: labels whose pixels get a colour and a grain together.

    Returns:
        (H, W, 3) float32, to be clipped.
    """
    rest = np.ones(label.shape, bool)
    for members in surfaces:
        mask = np.isin(label, members)
        rest &= ~mask
        if rng.random() < 0.4 or not mask.any():
            continue
        gain = np.exp(rng.normal(0, 0.2) + rng.normal(0, 0.09, 3)).astype(np.float32)
        changed = image * gain + np.float32(rng.normal(0, 6))
        if rng.random() < 0.7:
            changed += detail_layer(pictures, label.shape, rng) * np.float32(rng.uniform(2, 12))
        image = np.where(mask[..., None], changed, image)
    if rng.random() < 0.5:
        grain = detail_layer(pictures, label.shape, rng) * np.float32(rng.uniform(2, 12))
        image = image + grain * rest[..., None]
    return image


def shade(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One to three shadows or sunlit patches of random outline, hard or soft, over everything: (H, W, 3) float32."""
    height, width = image.shape[:2]
    light = np.ones((height, width), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        outline = random_outline(rng, 96).astype(np.float32)
        rows, columns = int(height * rng.uniform(0.1, 1.2)), int(width * rng.uniform(0.1, 1.2))
        patch = cv2.resize(outline, (columns, rows), interpolation=cv2.INTER_LINEAR)
        patch = cv2.GaussianBlur(patch, (0, 0), float(np.exp(rng.uniform(np.log(0.5), np.log(15)))))
        y, x = int(rng.integers(-rows // 2, height)), int(rng.integers(-columns // 2, width))
        top, left = max(y, 0), max(x, 0)
        bottom, right = min(y + rows, height), min(x + columns, width)
        if bottom - top < 2 or right - left < 2:
            continue
        factor = rng.uniform(0.4, 0.85) if rng.random() < 0.7 else rng.uniform(1.1, 1.6)
        light[top:bottom, left:right] *= 1 + (factor - 1) * patch[top - y : bottom - y, left - x : right - x]
    return image * light[..., None]


def mark(image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Flat marks on the road, as patches, covers, stains and paint are: foreshortened, of little contrast.

    Args:
        image: (H, W, 3) float32.
        label: (H, W) uint8; only pixels of ROAD are drawn on.
        rng: of all choices.
    """
    ys, xs = np.nonzero(label == ROAD)
    if len(ys) < 50:
        return image
    horizon = 0.4 * label.shape[0]
    for _ in range(int(rng.integers(1, 4))):
        chosen = int(rng.integers(len(ys)))
        y, x = int(ys[chosen]), int(xs[chosen])
        below = max(y - horizon, 6.0)
        columns = max(int(below * np.exp(rng.uniform(np.log(0.2), np.log(3)))), 4)
        rows = max(int(columns * rng.uniform(0.08, 0.3)), 2)
        outline = cv2.resize(random_outline(rng, 96).astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA)
        top, left = max(y - rows // 2, 0), max(x - columns // 2, 0)
        bottom, right = min(y - rows // 2 + rows, label.shape[0]), min(x - columns // 2 + columns, label.shape[1])
        if bottom - top < 2 or right - left < 2:
            continue
        box = np.s_[top:bottom, left:right]
        outline = outline[top - y + rows // 2 :, left - x + columns // 2 :][: bottom - top, : right - left]
        share = outline * (label[box] == ROAD)
        factor = rng.uniform(0.6, 0.9) if rng.random() < 0.6 else rng.uniform(1.1, 1.7)
        image[box] *= 1 + (np.float32(factor) - 1) * share[..., None]
    return image


def vary(
    image: np.ndarray,
    label: np.ndarray,
    pictures: list[np.ndarray],
    rng: np.random.Generator,
    surfaces: Surfaces = SURFACES,
) -> np.ndarray:
    """Marks and shadows half the time each, other surfaces three times in four.

    Args:
        image: (H, W, 3) uint8 RGB, a crop with its pasted objects.
        label: (H, W) uint8 training labels, unchanged.
        pictures: (h, w, 3) uint8 each, for the grain.
        rng: of all choices.
        surfaces: see ``retexture``.

    Returns:
        (H, W, 3) uint8.
    """
    changed = image.astype(np.float32)
    if rng.random() < 0.5:
        changed = mark(changed, label, rng)
    if rng.random() < 0.75:
        changed = retexture(changed, label, pictures, rng, surfaces)
    if rng.random() < 0.5:
        changed = shade(changed, rng)
    return np.clip(changed, 0, 255).astype(np.uint8)
