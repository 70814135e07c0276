"""Objects pasted on scenes: where, how large, in which light."""

from __future__ import annotations

import cv2
import numpy as np

from oddroad.learn.data.cutouts import CutOut
from oddroad.learn.data.scenes import Scene


def sample_placement(label: np.ndarray, on_road: bool, rng: np.random.Generator) -> tuple[tuple[int, int], int]:
    """Foot point and height in pixels of an object, on the road if wanted and there is one.

    On flat ground an object's height is to the distance of its foot below the horizon as it is to the height of the
    camera: 0.06 to 1.1 times that, about 8 cm to 1.5 m, as many small ones as large.
    """
    rows, columns = label.shape
    horizon = 0.4 * rows
    foot = (int(rng.integers(columns)), int(rng.uniform(horizon, rows * 1.05)))
    if on_road:
        ys, xs = np.nonzero(label == 0)
        if len(ys):
            chosen = int(rng.integers(len(ys)))
            foot = (int(xs[chosen]), int(ys[chosen]))
    below = max(foot[1] - horizon, 4.0)
    height = below * np.exp(rng.uniform(np.log(0.06), np.log(1.1)))
    return foot, int(np.clip(height, 4, 0.75 * rows))


def with_objects(
    scene: Scene,
    objects: list[CutOut],
    on_road: float,
    rng: np.random.Generator,
    heights: tuple[float, float] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Image and label of a scene with the objects pasted on it.

    Args:
        scene: the scene.
        objects: what is pasted.
        on_road: share of the objects that stand on the road.
        rng: of all choices.
        heights: smallest and largest height in pixels, uniform in its logarithm; None for that of ``place``.
    """
    image, label = scene.image.copy(), scene.label.copy()
    stretch = (image.shape[1] / image.shape[0]) / scene.aspect
    for each in objects:
        foot, height = sample_placement(scene.label, rng.random() < on_road, rng)
        if heights is not None:
            height = int(np.exp(rng.uniform(*np.log(heights))))
        paste(image, label, each, foot, height, stretch, rng)
    return image, label


def draw(objects: list[CutOut], rng: np.random.Generator) -> CutOut:
    """One of the objects."""
    return objects[int(rng.integers(len(objects)))]


def paste(
    image: np.ndarray,
    label: np.ndarray,
    cutout: CutOut,
    foot: tuple[int, int],
    height: int,
    stretch: float,
    rng: np.random.Generator,
) -> None:
    """Put an object on a scene, in place, at the scene's own sharpness and partly in its light.

    Args:
        image: (H, W, 3) uint8, changed.
        label: (H, W) uint8, changed: the object's label inside, IGNORE on its soft edge.
        cutout: the object.
        foot: (x, y) of the middle of its lower edge.
        height: its height in pixels of the scene.
        stretch: factor on its width, 0.5 for a scene stored squashed from 2:1 to 1:1.
        rng: of all choices.
    """
    rows, columns = cutout.alpha.shape
    width = max(round(height * columns / rows * stretch * rng.uniform(0.8, 1.25)), 3)
    height = max(height, 3)
    piece = cv2.resize(cutout.image, (width, height), interpolation=cv2.INTER_AREA)
    alpha = cv2.resize(cutout.alpha, (width, height), interpolation=cv2.INTER_AREA)
    if rng.random() < 0.5:
        piece, alpha = piece[:, ::-1], alpha[:, ::-1]
    x0, y0 = foot[0] - width // 2, foot[1] - height
    left, top = max(-x0, 0), max(-y0, 0)
    right, bottom = min(image.shape[1] - x0, width), min(image.shape[0] - y0, height)
    if right - left < 2 or bottom - top < 2:
        return
    piece, alpha = piece[top:bottom, left:right].astype(np.float32), alpha[top:bottom, left:right]
    if (sigma := rng.uniform(0, 0.9)) > 0.3:
        alpha = cv2.GaussianBlur(alpha, (0, 0), sigma)
        piece = cv2.GaussianBlur(piece, (0, 0), sigma * 0.7)
    box = np.s_[y0 + top : y0 + bottom, x0 + left : x0 + right]
    scene = image[box].astype(np.float32)
    inside = alpha > 0.5
    if not inside.any():
        return
    towards = rng.uniform(0, 0.7)
    piece = (piece - piece[inside].mean()) * rng.uniform(0.6, 1.1) + piece[inside].mean()
    piece += towards * (scene.mean() - piece[inside].mean()) + rng.normal(0, 8)
    image[box] = np.clip(scene + alpha[..., None] * (piece - scene), 0, 255).astype(np.uint8)
    region = label[box]
    region[(alpha > 0.15) & ~inside] = 255
    region[inside] = cutout.label
