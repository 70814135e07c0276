"""Objects cut out of COCO pictures by their outlines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from oddroad.datasets.samples import visible
from oddroad.errors import InputError, counted, shortened
from oddroad.io.images import read_image
from oddroad.types import OUTLIER

COCO = [
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic_light",
    "fire_hydrant", "stop_sign", "parking_meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow",
    "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis",
    "snowboard", "sports_ball", "kite", "baseball_bat", "baseball_glove", "skateboard", "surfboard",
    "tennis_racket", "bottle", "wine_glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich",
    "orange", "broccoli", "carrot", "hot_dog", "pizza", "donut", "cake", "chair", "couch", "potted_plant", "bed",
    "dining_table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell_phone", "microwave", "oven",
    "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddy_bear", "hair_drier", "toothbrush",
]  # fmt: skip
"""The 80 COCO classes in the order of their numbers."""


CLOSED_SET_OBJECTS = {
    "person": 11, "bicycle": 18, "car": 13, "motorcycle": 17, "bus": 15, "truck": 14,
    "traffic_light": 6, "stop_sign": 7,
}  # fmt: skip
"""COCO classes that are Cityscapes classes, and their trainIds."""


NEITHER = {"train", "fire_hydrant", "parking_meter", "dining_table", "bed"}
"""COCO classes that are not pasted: on the road by right, or outlined with what stands on them."""


HELD_OUT = {"dog", "elephant", "bear", "suitcase", "chair", "umbrella", "teddy_bear", "skateboard", "cake", "boat"}
"""COCO classes that training never sees: they make the validation set."""


OUTSIDE = 0.01
"""How far a coordinate may lie outside of the picture, as a share of it: annotation tools round."""


@dataclass(frozen=True)
class CutOut:
    """An object without its surroundings.

    Attributes:
        image: (h, w, 3) uint8 RGB.
        alpha: (h, w) float32 in [0, 1], 1 inside the object.
        label: OUTLIER, or the trainId of a closed-set class.
        kind: what it is.
    """

    image: np.ndarray
    alpha: np.ndarray
    label: int
    kind: str


def read_outlines(path: Path) -> list[tuple[str, np.ndarray]]:
    """The lines ``class x1 y1 x2 y2 ...`` of a YOLO segmentation file: COCO class, and (P, 2) points in 0 to 1.

    Blank lines are skipped. Points just outside the picture, by rounding, are brought to its edge.

    Raises:
        InputError: if a line is something else; names the file and the line.
    """
    found = []
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the outlines '{path}': {error}") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        place = f"line {number} of '{path}'"
        first, *rest = line.split()
        try:
            kind, points = int(first), np.array(rest, np.float64)
        except ValueError:
            raise InputError(
                f"{place} is '{shortened(line)}'; expected 'class x1 y1 x2 y2 ...', numbers only"
            ) from None
        if not 0 <= kind < len(COCO):
            raise InputError(f"{place} has class {kind}; expected a COCO class from 0 to {len(COCO) - 1}")
        if len(points) % 2 or len(points) < 6:
            many = "an odd number of values" if len(points) % 2 else f"{counted(len(points) // 2, 'point')}"
            raise InputError(
                f"{place} has {many} behind the class ({len(points)}); expected x and y of 3 points or more"
            )
        if not (np.isfinite(points).all() and points.min() >= -OUTSIDE and points.max() <= 1 + OUTSIDE):
            worst = points[np.argmax(np.abs(np.nan_to_num(points, nan=np.inf) - 0.5))]
            raise InputError(f"{place} has a coordinate of {worst:g}; expected shares of the picture from 0 to 1")
        found.append((COCO[kind], points.reshape(-1, 2).clip(0, 1)))
    return found


def coco_objects(folder: Path, min_area: int = 900) -> list[CutOut]:
    """Every outlined COCO object of a folder, outliers with the label OUTLIER, closed-set ones with their trainId.

    Args:
        folder: has ``images/*/X.jpg`` and ``labels/*/X.txt`` with lines ``class x1 y1 x2 y2 ...`` in 0..1.
        min_area: objects of fewer pixels are left out.

    Raises:
        InputError: if there is no such folder or nothing in it, a picture is damaged, or a line of outlines is wrong.
    """
    found: list[CutOut] = []
    for path in visible(folder.glob("images/*/*.jpg"), folder):
        outlines = folder / "labels" / path.parent.name / f"{path.stem}.txt"
        if not outlines.is_file():  # COCO has pictures without an object
            continue
        picture = read_image(path)
        height, width = picture.shape[:2]
        for kind, points in read_outlines(outlines):
            if kind in NEITHER:
                continue
            outline = (points * (width, height)).round().astype(np.int32)
            mask = np.zeros((height, width), np.uint8)
            cv2.fillPoly(mask, [outline], 1)
            if int(mask.sum()) < min_area:
                continue
            x, y, w, h = cv2.boundingRect(outline)
            found.append(
                CutOut(
                    picture[y : y + h, x : x + w],
                    mask[y : y + h, x : x + w].astype(np.float32),
                    CLOSED_SET_OBJECTS.get(kind, OUTLIER),
                    kind,
                )
            )
    if not found:
        raise InputError(f"no outlined objects below '{folder}'; expected images/*/X.jpg and labels/*/X.txt")
    return found
