"""Closed-set driving scenes for training and calibration: Cityscapes (small), CamVid, IDD-Lite."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from oddroad.errors import InputError
from oddroad.types import IGNORE, Sample

CAMVID_CLASSES = (
    "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist",
)  # fmt: skip
IDD_LITE_CLASSES = (
    "drivable", "non-drivable", "living things", "vehicles", "roadside objects", "far objects", "sky",
)  # fmt: skip


def own_labels(classes: int) -> np.ndarray:
    """(256,) uint8 table that keeps 0 to classes - 1 and ignores the rest."""
    table = np.full(256, IGNORE, np.uint8)
    table[:classes] = np.arange(classes)
    return table


def paired(images: Path, labels: Path, classes: int, size: tuple[int, int] | None = None) -> list[Sample]:
    """Samples of a folder of images and a folder of label images with the same stems.

    Raises:
        InputError: if a folder is missing or an image has no label.
    """
    if not images.is_dir():
        raise InputError(f"no folder '{images}'; pass the folder that holds the data set as root")
    found = sorted(each for each in images.iterdir() if each.suffix.lower() in (".jpg", ".jpeg", ".png"))
    samples = [Sample(each.stem, each, labels / f"{each.stem}.png", own_labels(classes), size) for each in found]
    if lost := next((each for each in samples if each.label is not None and not each.label.is_file()), None):
        raise InputError(f"image '{lost.image}' has no label '{lost.label}'")
    return samples


def cityscapes_small(root: Path, split: str) -> list[Sample]:
    """Cityscapes squashed to 256x256, brought back to 256x512; trainIds 0 to 18."""
    folder = root / "cityscapes_small" / split
    return paired(folder / "images", folder / "labels", 19, (256, 512))


def camvid(root: Path, split: str) -> list[Sample]:
    """CamVid in the SegNet split, 11 classes of its own."""
    folder = root / "camvid" / split
    return paired(folder / "images", folder / "labels", len(CAMVID_CLASSES))


def idd_lite(root: Path, split: str) -> list[Sample]:
    """IDD-Lite in its official layout, 7 classes of its own."""
    images = root / "idd20k_lite" / "leftImg8bit" / split
    labels = root / "idd20k_lite" / "gtFine" / split
    if not images.is_dir():
        raise InputError(f"no folder '{images}'; pass the folder that holds idd20k_lite as root")
    table = own_labels(len(IDD_LITE_CLASSES))
    return [
        Sample(
            f"{each.parent.name}_{each.stem.removesuffix('_image')}",
            each,
            labels / each.parent.name / f"{each.stem.removesuffix('_image')}_label.png",
            table,
        )
        for each in sorted(images.glob("*/*_image.jpg"))
    ]
