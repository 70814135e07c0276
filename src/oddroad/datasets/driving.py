"""Sets of known driving scenes with class labels: Cityscapes (official, and small), CamVid, IDD-Lite."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from oddroad.datasets.read import folders, images_in, table
from oddroad.errors import InputError
from oddroad.types import Sample

CAMVID_CLASSES = (
    "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist",
)  # fmt: skip
IDD_LITE_CLASSES = (
    "drivable", "non-drivable", "living things", "vehicles", "roadside objects", "far objects", "sky",
)  # fmt: skip

LABEL_IDS = table(
    {7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12, 26: 13, 27: 14, 28: 15,
     31: 16, 32: 17, 33: 18}
)  # fmt: skip
"""Cityscapes labelIds -> trainIds; Cordts et al., "The Cityscapes Dataset", 2016."""


def paired(images: Path, labels: Path, lookup: np.ndarray, size: tuple[int, int] | None = None) -> list[Sample]:
    """Samples of a folder of images and a folder of label images with the same stems.

    Raises:
        InputError: if a folder is missing or an image has no label.
    """
    if not images.is_dir():
        raise InputError(f"no folder '{images}'; pass the folder that holds the data set as --root")
    samples = [Sample(each.stem, each, labels / f"{each.stem}.png", lookup, size) for each in images_in(images)]
    if lost := next((each for each in samples if each.label is not None and not each.label.is_file()), None):
        raise InputError(f"image '{lost.image}' has no label '{lost.label}'")
    return samples


def home(root: Path, names: list[str], inside: str, what: str) -> Path:
    """The folder of a set: one of these names, holding a path.

    Raises:
        InputError: if there is none.
    """
    for found in folders(root, names):
        if (found / inside).is_dir():
            return found
    raise InputError(f"no {what} below '{root}'; expected a folder {' or '.join(names)} with '{inside}'")


def cityscapes(root: Path, split: str = "val") -> list[Sample]:
    """Cityscapes in its official layout; labelTrainIds where they exist, else labelIds, converted while reading."""
    for images in folders(root, ["leftImg8bit"]):
        if not (images / split).is_dir() or not (images.parent / "gtFine" / split).is_dir():
            continue
        samples = []
        for image in sorted((images / split).glob("*/*_leftImg8bit.png")):
            name = image.name.removesuffix("_leftImg8bit.png")
            label = images.parent / "gtFine" / split / image.parent.name / f"{name}_gtFine_labelTrainIds.png"
            lookup = table(keep=19)
            if not label.is_file():
                label, lookup = label.with_name(f"{name}_gtFine_labelIds.png"), LABEL_IDS
            if not label.is_file():
                raise InputError(f"image '{image}' has no label '{label}'; unpack gtFine_trainvaltest.zip beside it")
            samples.append(Sample(name, image, label, lookup))
        if samples:
            return samples
    raise InputError(f"no cityscapes split '{split}' below '{root}'; expected leftImg8bit/{split} and gtFine/{split}")


def cityscapes_small(root: Path, split: str = "val") -> list[Sample]:
    """Cityscapes squashed to 256x256, brought back to 256x512; trainIds 0 to 18."""
    found = home(root, ["cityscapes_small"], f"{split}/images", "cityscapes_small") / split
    return paired(found / "images", found / "labels", table(keep=19), (256, 512))


def camvid(root: Path, split: str = "test") -> list[Sample]:
    """CamVid in the SegNet split, 11 classes of its own; ``{split}/images`` or SegNet's ``{split}annot``."""
    for found in folders(root, ["camvid"]):
        lookup = table(keep=len(CAMVID_CLASSES))
        if (found / split / "images").is_dir():
            return paired(found / split / "images", found / split / "labels", lookup)
        if (found / f"{split}annot").is_dir():
            return paired(found / split, found / f"{split}annot", lookup)
    raise InputError(
        f"no camvid split '{split}' below '{root}'; expected camvid/{split}/images and camvid/{split}/labels"
    )


def idd_lite(root: Path, split: str = "val") -> list[Sample]:
    """IDD-Lite in its official layout, 7 classes of its own."""
    found = home(root, ["idd20k_lite", "idd_lite"], f"leftImg8bit/{split}", "idd_lite")
    lookup = table(keep=len(IDD_LITE_CLASSES))
    samples = []
    for image in sorted((found / "leftImg8bit" / split).glob("*/*_image.*")):
        stem, drive = image.stem.removesuffix("_image"), image.parent.name
        samples.append(Sample(f"{drive}_{stem}", image, found / "gtFine" / split / drive / f"{stem}_label.png", lookup))
    return samples
