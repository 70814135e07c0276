"""Objects to paste on known scenes: COCO cut-outs and random shapes of random texture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from oddroad.errors import InputError
from oddroad.types import OUTLIER

COCO = [
    "person",
    "bicycle",
    "car",
    "motorcycle",
    "airplane",
    "bus",
    "train",
    "truck",
    "boat",
    "traffic_light",
    "fire_hydrant",
    "stop_sign",
    "parking_meter",
    "bench",
    "bird",
    "cat",
    "dog",
    "horse",
    "sheep",
    "cow",
    "elephant",
    "bear",
    "zebra",
    "giraffe",
    "backpack",
    "umbrella",
    "handbag",
    "tie",
    "suitcase",
    "frisbee",
    "skis",
    "snowboard",
    "sports_ball",
    "kite",
    "baseball_bat",
    "baseball_glove",
    "skateboard",
    "surfboard",
    "tennis_racket",
    "bottle",
    "wine_glass",
    "cup",
    "fork",
    "knife",
    "spoon",
    "bowl",
    "banana",
    "apple",
    "sandwich",
    "orange",
    "broccoli",
    "carrot",
    "hot_dog",
    "pizza",
    "donut",
    "cake",
    "chair",
    "couch",
    "potted_plant",
    "bed",
    "dining_table",
    "toilet",
    "tv",
    "laptop",
    "mouse",
    "remote",
    "keyboard",
    "cell_phone",
    "microwave",
    "oven",
    "toaster",
    "sink",
    "refrigerator",
    "book",
    "clock",
    "vase",
    "scissors",
    "teddy_bear",
    "hair_drier",
    "toothbrush",
]
"""The 80 COCO classes in the order of their numbers."""

KNOWN_OBJECTS = {
    "person": 11, "bicycle": 18, "car": 13, "motorcycle": 17, "bus": 15, "truck": 14,
    "traffic_light": 6, "stop_sign": 7,
}  # fmt: skip
"""COCO classes that are Cityscapes classes, and their trainIds."""

NEITHER = {"train", "fire_hydrant", "parking_meter", "dining_table", "bed"}
"""COCO classes that are not pasted: on the road by right, or outlined with what stands on them."""

HELD_OUT = {"dog", "elephant", "bear", "suitcase", "chair", "umbrella", "teddy_bear", "skateboard", "cake", "boat"}
"""COCO classes that training never sees: they make the validation set."""


@dataclass(frozen=True)
class CutOut:
    """An object without its surroundings.

    Attributes:
        image: (h, w, 3) uint8 RGB.
        alpha: (h, w) float32 in [0, 1], 1 inside the object.
        label: OUTLIER, or the trainId of a known class.
        kind: what it is.
    """

    image: np.ndarray
    alpha: np.ndarray
    label: int
    kind: str


def coco_objects(folder: Path, smallest: int = 900) -> list[CutOut]:
    """Every outlined COCO object of a folder, odd ones with the label OUTLIER, known ones with their trainId.

    Args:
        folder: has ``images/*/X.jpg`` and ``labels/*/X.txt`` with lines ``class x1 y1 x2 y2 ...`` in 0..1.
        smallest: objects of fewer pixels are left out.

    Raises:
        InputError: if there is no such folder or nothing in it.
    """
    found: list[CutOut] = []
    for path in sorted(folder.glob("images/*/*.jpg")):
        outlines = folder / "labels" / path.parent.name / f"{path.stem}.txt"
        picture = cv2.imread(str(path)) if outlines.is_file() else None
        if picture is None:
            continue
        height, width = picture.shape[:2]
        for line in outlines.read_text().splitlines():
            number, *points = line.split()
            kind = COCO[int(number)]
            if kind in NEITHER:
                continue
            outline = (np.array(points, float).reshape(-1, 2) * (width, height)).round().astype(np.int32)
            mask = np.zeros((height, width), np.uint8)
            cv2.fillPoly(mask, [outline], 1)
            if int(mask.sum()) < smallest:
                continue
            x, y, w, h = cv2.boundingRect(outline)
            x, y = max(x, 0), max(y, 0)
            found.append(
                CutOut(
                    cv2.cvtColor(picture[y : y + h, x : x + w], cv2.COLOR_BGR2RGB),
                    mask[y : y + h, x : x + w].astype(np.float32),
                    KNOWN_OBJECTS.get(kind, OUTLIER),
                    kind,
                )
            )
    if not found:
        raise InputError(f"no outlined objects below '{folder}'; expected images/*/X.jpg and labels/*/X.txt")
    return found


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


def boxed_outline(rng: np.random.Generator, side: int = 96) -> tuple[np.ndarray, tuple[slice, slice]]:
    """A random outline (side, side) that is at least 8 pixels high and wide, and the box around it."""
    while True:
        mask = random_outline(rng, side)
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if len(rows) >= 8 and len(columns) >= 8:
            return mask, np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def random_shape(rng: np.random.Generator, pictures: list[np.ndarray], side: int = 96) -> CutOut:
    """A random shape of random texture: odd by construction."""
    mask, box = boxed_outline(rng, side)
    return CutOut(random_texture(rng, side, pictures)[box], mask[box], OUTLIER, "shape")


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
