"""Data sets with the true folder names, filled with rendered scenes, so that tests need no data from elsewhere."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from oddroad.learn.data.cutouts import COCO, HELD_OUT
from oddroad.synthetic.scenes import Street
from oddroad.types import IGNORE, OUTLIER


def write_pair(image_path: Path, label_path: Path, image: np.ndarray, label: np.ndarray) -> None:
    """An RGB image and its label image."""
    for path, pixels in ((image_path, cv2.cvtColor(image, cv2.COLOR_RGB2BGR)), (label_path, label)):
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), pixels)


def training_root(root: Path, scenes: int = 3) -> Path:
    """A few scenes each of ``cityscapes_small``, ``camvid``, ``idd20k_lite``; ``coco128-seg``, and cut-out objects."""
    street = Street(1, (64, 128), anomalies=0)
    for split in ("train", "val"):
        for number in range(scenes):
            image, label = street.view(5.0 * number)
            label[label == OUTLIER] = IGNORE
            squashed, small = cv2.resize(image, (64, 64)), cv2.resize(label, (64, 64), interpolation=cv2.INTER_NEAREST)
            folder = root / "cityscapes_small" / split
            name = f"{number:04d}"
            write_pair(folder / "images" / f"{name}.jpg", folder / "labels" / f"{name}.png", squashed, small)
            folder = root / "camvid" / split
            own = np.where(label == 0, 3, np.where(label == 10, 0, 1)).astype(np.uint8)
            write_pair(folder / "images" / f"{name}.jpg", folder / "labels" / f"{name}.png", image, own)
            folder = root / "idd20k_lite"
            own = np.where(label == 0, 0, np.where(label == 10, 6, 5)).astype(np.uint8)
            write_pair(
                folder / "leftImg8bit" / split / "7" / f"{name}_image.jpg",
                folder / "gtFine" / split / "7" / f"{name}_label.png",
                image,
                own,
            )
    rng = np.random.default_rng(0)
    for number, kind in enumerate(["person", "car", "cow", "banana", *sorted(HELD_OUT)[:2]]):
        picture = rng.integers(0, 256, (120, 160, 3), np.uint8)
        folder = root / "coco128-seg"
        (folder / "labels" / "train2017").mkdir(parents=True, exist_ok=True)
        (folder / "images" / "train2017").mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / "images" / "train2017" / f"{number:012d}.jpg"), picture)
        outline = "0.2 0.2 0.8 0.2 0.8 0.9 0.2 0.9"
        (folder / "labels" / "train2017" / f"{number:012d}.txt").write_text(f"{COCO.index(kind)} {outline}\n")
    for place in ("train/litter", *(f"heldout/{each}" for each in ("coco", "animals", "ikea", "imagenet"))):
        picture = rng.integers(0, 256, (40, 30, 4), np.uint8)
        picture[..., 3] = 255 * (np.arange(40)[:, None] > 3)
        (root / "objects" / place).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / "objects" / place / "thing-1.webp"), picture)
    return root
