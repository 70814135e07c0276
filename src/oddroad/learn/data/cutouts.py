"""Objects cut out of COCO pictures by their outlines."""

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
