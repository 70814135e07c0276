"""Objects pasted on scenes: where, how large, in which light."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from oddroad.learn.data.cutouts import CutOut
from oddroad.learn.data.scenes import Scene
from oddroad.learn.data.shapes import random_outline


@dataclass(frozen=True)
class Placement:
    """Where an object stands on a scene.

    Attributes:
        foot: (x, y) of the middle of its lower edge.
        height: its height in pixels of the scene.
        stretch: factor on its width, 0.5 for a scene stored squashed from 2:1 to 1:1.
    """

    foot: tuple[int, int]
    height: int
    stretch: float = 1.0


def sample_placement(label: np.ndarray, on_road: bool, rng: np.random.Generator) -> tuple[tuple[int, int], int]:
    """Foot point and height in pixels of an object, on the road if wanted and there is one.

    On flat ground an object's height is to the distance of its foot below the horizon as it is to the height of the
    camera: 0.06 to 1.1 times that, about 8 cm to 1.5 m, as many small ones as large.
    """
    rows, columns = label.shape
    horizon = 0.4 * rows
    foot = (int(rng.integers(columns)), int(rng.uniform(horizon, rows * 1.05)))
    if on_road:
        places = np.flatnonzero(label == 0)
        if len(places):
            y, x = divmod(int(places[int(rng.integers(len(places)))]), columns)
            foot = (x, y)
    below = max(foot[1] - horizon, 4.0)
    height = below * np.exp(rng.uniform(np.log(0.06), np.log(1.1)))
    return foot, int(np.clip(height, 4, 0.75 * rows))


def with_objects(
    scene: Scene,
    objects: list[CutOut],
    on_road: float,
    rng: np.random.Generator,
    heights: tuple[float, float] | None = None,
    varied: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Image and label of a scene with the objects pasted on it.

    Args:
        scene: the scene.
        objects: what is pasted.
        on_road: share of the objects that stand on the road.
        rng: of all choices.
        heights: smallest and largest height in pixels, uniform in its logarithm; None for that of ``place``.
        varied: share of the objects that get a shadow, and a light and an edge that vary.
    """
    image, label = scene.image.copy(), scene.label.copy()
    stretch = (image.shape[1] / image.shape[0]) / scene.aspect
    for each in objects:
        foot, height = sample_placement(scene.label, rng.random() < on_road, rng)
        if heights is not None:
            height = int(np.exp(rng.uniform(*np.log(heights))))
        if varied and rng.random() < varied:
            each = relit(each, height, rng)
            if rng.random() < 0.6:
                cast_shadow(image, each, Placement(foot, height, stretch), rng)
        paste(image, label, each, Placement(foot, height, stretch), rng)
    return image, label


def relit(cutout: CutOut, height: int, rng: np.random.Generator) -> CutOut:
    """The object in another light and with another edge: gain of each colour, gamma, shade, noise, a thinner outline.

    Args:
        cutout: the object.
        height: it will have, in pixels; a larger picture is shrunk first.
        rng: of all choices.
    """
    picture, alpha = cutout.image, np.ascontiguousarray(cutout.alpha)
    if (rows := max(height, 8)) < len(alpha):
        size = max(round(alpha.shape[1] * rows / len(alpha)), 3), rows
        picture, alpha = (cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in (picture, alpha))
    gamma, gains = np.exp(rng.normal(0, 0.25)), np.exp(rng.normal(0, 0.08, 3))
    levels = (np.arange(256) / 255) ** gamma * 255
    table = (levels[:, None] * gains).clip(0, 255).astype(np.uint8)[None]
    picture = cv2.LUT(picture, table).astype(np.float32)
    grey = picture.mean(2, keepdims=True)
    picture = grey + (picture - grey) * np.float32(rng.uniform(0.3, 1.1))
    ends = np.exp(rng.normal(0, 0.25, 2))
    picture *= np.linspace(ends[0], ends[1], len(picture), dtype=np.float32)[:, None, None]
    picture += rng.standard_normal(picture.shape, np.float32) * np.float32(rng.uniform(0, 6))
    if (side := int(rng.integers(1, 4))) > 1:
        alpha = cv2.erode(alpha, np.ones((side, side), np.uint8))
    if rng.random() < 0.5:
        alpha = cv2.GaussianBlur(alpha, (0, 0), float(rng.uniform(0.4, 2.0)))
    return replace(cutout, image=picture.clip(0, 255).astype(np.uint8), alpha=alpha)


def cast_shadow(image: np.ndarray, cutout: CutOut, at: Placement, rng: np.random.Generator) -> None:
    """Darken the ground under and beside an object, in place; see ``paste`` for the arguments. No label changes."""
    rows, columns = cutout.alpha.shape
    foot, height = at.foot, at.height
    wide = max(height * columns / rows * at.stretch * rng.uniform(0.8, 1.3), 2.0)
    deep = max(min(height, wide) * rng.uniform(0.06, 0.25), 1.0)
    reach = int(wide + 3 * deep) + 2
    x0, x1 = max(foot[0] - reach, 0), min(foot[0] + reach, image.shape[1])
    y0, y1 = max(foot[1] - 3 * int(deep) - 2, 0), min(foot[1] + 3 * int(deep) + 2, image.shape[0])
    if x1 - x0 < 2 or y1 - y0 < 2:
        return
    x = (np.arange(x0, x1, dtype=np.float32) - foot[0] - rng.normal(0, 0.2) * wide) / (wide / 2)
    y = (np.arange(y0, y1, dtype=np.float32) - foot[1]) / deep
    far = np.sqrt(x[None] ** 2 + y[:, None] ** 2)
    steep = np.minimum((far - 1) * rng.uniform(3, 12), 30.0)
    share = np.float32(rng.uniform(0.2, 0.75)) / (1 + np.exp(steep))
    image[y0:y1, x0:x1] = (image[y0:y1, x0:x1] * (1 - share[..., None])).astype(np.uint8)


def known_patch(image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> None:
    """Paste a piece of the road elsewhere on it, in place: its edge is that of a pasted object, and it is known."""
    rows, columns = label.shape
    places = np.flatnonzero(label == 0)
    if len(places) < 200:
        return
    (from_y, from_x), (to_y, to_x) = (divmod(int(each), columns) for each in rng.choice(places, 2))
    height, width = (max(int(side * np.exp(rng.uniform(np.log(0.03), np.log(0.25)))), 6) for side in (rows, columns))
    top, left = from_y - height // 2, from_x - width // 2
    y, x = to_y - height // 2, to_x - width // 2
    inside = min(top, left, y, x) >= 0 and max(top, y) + height <= rows and max(left, x) + width <= columns
    if not inside or (label[top : top + height, left : left + width] != 0).mean() > 0.05:
        return
    outline = cv2.resize(random_outline(rng, 64), (width, height), interpolation=cv2.INTER_AREA)
    outline = cv2.GaussianBlur(outline, (0, 0), float(rng.uniform(0.3, 1.5)))
    piece = image[top : top + height, left : left + width].astype(np.float32) * np.exp(rng.normal(0, 0.15))
    target = image[y : y + height, x : x + width]
    share = outline * (label[y : y + height, x : x + width] == 0)
    target[:] = (target + share[..., None] * (piece - target)).clip(0, 255).astype(np.uint8)


def draw(objects: list[CutOut], rng: np.random.Generator) -> CutOut:
    """One of the objects."""
    return objects[int(rng.integers(len(objects)))]


def paste(image: np.ndarray, label: np.ndarray, cutout: CutOut, at: Placement, rng: np.random.Generator) -> None:
    """Put an object on a scene, in place, at the scene's own sharpness and partly in its light.

    Args:
        image: (H, W, 3) uint8, changed.
        label: (H, W) uint8, changed: the object's label inside, IGNORE on its soft edge.
        cutout: the object.
        at: where it stands.
        rng: of all choices.
    """
    rows, columns = cutout.alpha.shape
    foot, height = at.foot, max(at.height, 3)
    width = max(round(at.height * columns / rows * at.stretch * rng.uniform(0.8, 1.25)), 3)
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
