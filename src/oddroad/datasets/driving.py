"""Sets of driving scenes with class labels: Cityscapes (official, and small), CamVid, IDD-Lite."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from oddroad.datasets.read import table
from oddroad.datasets.samples import NO_LABEL, Samples, folders, images_in, labels_in, pair, visible
from oddroad.errors import InputError, counted
from oddroad.types import IGNORE, Sample

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


def to_cityscapes(*classes: int) -> np.ndarray:
    """(256,) uint8: a set's own classes -> the 19 of Cityscapes, or a value of GROUPS or IGNORE; the rest IGNORE."""
    found = np.full(256, IGNORE, np.uint8)
    found[: len(classes)] = classes
    return found


CAMVID_TO_CITYSCAPES = to_cityscapes(10, 2, 5, 0, 1, 8, 7, 4, 13, 11, 204)
"""CamVid's bicyclist is a rider and the bicycle."""

IDD_LITE_TO_CITYSCAPES = to_cityscapes(0, 203, IGNORE, 200, 201, 202, 10)
"""Only the road and the sky of IDD-Lite are one class of Cityscapes, and its "living things" include animals."""


def complete(samples: Samples, what: str) -> Samples:
    """The samples, if each image has its label: class sets are published with one for each.

    Raises:
        InputError: naming the first images without one.
    """
    lost = samples.left_out.get(NO_LABEL)
    if lost:
        raise InputError(
            f"no label for {len(lost)} of {counted(len(samples) + len(lost), 'image')} ({', '.join(lost[:3])}); "
            f"expected {what}"
        )
    return samples


def paired(images: Path, labels: Path, lookup: np.ndarray, size: tuple[int, int] | None = None) -> Samples:
    """Samples of a folder of images and a folder of label images with the same stems.

    Raises:
        InputError: if a folder is missing or an image has no label.
    """
    if not images.is_dir():
        raise InputError(f"no folder '{images}'; pass the folder that holds the data set as --root")
    found = labels_in(labels) if labels.is_dir() else {}
    samples = pair(
        images_in(images), lambda image: found.get(image.stem), lookup, found.values(), name_of=stem_of, size=size
    )
    return complete(samples, f"'{labels}' with a .png of the same name for each")


def stem_of(image: Path) -> str:
    """The name of a file without its ending."""
    return image.stem


def home(root: Path, names: list[str], inside: str, what: str) -> Path:
    """The folder of a set: one of these names, holding a path.

    Raises:
        InputError: if there is none.
    """
    for found in folders(root, names):
        if (found / inside).is_dir():
            return found
    raise InputError(f"no {what} below '{root}'; expected a folder {' or '.join(names)} with '{inside}'")


def cityscapes(root: Path, split: str = "val") -> Samples:
    """Cityscapes in its official layout; labelTrainIds where they exist, else labelIds, converted while reading.

    Raises:
        InputError: if the split is not there, or an image has no label.
    """
    for images in folders(root, ["leftImg8bit"]):
        truth = images.parent / "gtFine" / split
        if not (images / split).is_dir() or not truth.is_dir():
            continue
        samples, without = [], []
        for image in visible((images / split).glob("*/*_leftImg8bit.png"), images):
            name = image.name.removesuffix("_leftImg8bit.png")
            label = truth / image.parent.name / f"{name}_gtFine_labelTrainIds.png"
            lookup = table(keep=19)
            if not label.is_file():
                label, lookup = label.with_name(f"{name}_gtFine_labelIds.png"), LABEL_IDS
            if label.is_file():
                samples.append(Sample(name, image, label, lookup))
            else:
                without.append(image.name)
        if samples or without:
            what = f"labels in '{truth}'; unpack gtFine_trainvaltest.zip beside leftImg8bit"
            return complete(Samples(samples, {NO_LABEL: without}), what)
    raise InputError(f"no cityscapes split '{split}' below '{root}'; expected leftImg8bit/{split} and gtFine/{split}")


def cityscapes_small(root: Path, split: str = "val") -> Samples:
    """Cityscapes squashed to 256x256, brought back to 256x512; trainIds 0 to 18.

    Raises:
        InputError: if the split is not there, or an image has no label.
    """
    found = home(root, ["cityscapes_small"], f"{split}/images", "cityscapes_small") / split
    return paired(found / "images", found / "labels", table(keep=19), (256, 512))


def height_of(picture: Path) -> int:
    """Rows of a picture, by its header; 0 if it cannot be read.

    One label of the set as it goes round is a table of 256 values in one row.
    """
    from PIL import Image

    try:
        with Image.open(picture) as found:
            return found.height
    except OSError:
        return 0


def cityscapes_sharp(root: Path, split: str = "train") -> Samples:
    """Some of Cityscapes' training scenes at their full size, 2048x1024; trainIds 0 to 18. There is no other split.

    Raises:
        InputError: if the set is not there, another split is asked for, or an image has no label.
    """
    if split != "train":
        raise InputError(f"cityscapes_sharp has no split '{split}'; its scenes are all of 'train'")
    found = home(root, ["cityscapes_sharp"], "images", "cityscapes_sharp")
    samples = paired(found / "images", found / "labels", table(keep=19))
    broken = [each.image.name for each in samples if each.label is not None and height_of(each.label) < 2]
    kept = [each for each in samples if each.image.name not in broken]
    return Samples(kept, {**samples.left_out, "label is no map": broken} if broken else samples.left_out)


def camvid(root: Path, split: str = "test") -> Samples:
    """CamVid in the SegNet split, 11 classes of its own; ``{split}/images`` or SegNet's ``{split}annot``.

    Raises:
        InputError: if the split is not there, or an image has no label.
    """
    for found in folders(root, ["camvid"]):
        lookup = table(keep=len(CAMVID_CLASSES))
        if (found / split / "images").is_dir():
            return paired(found / split / "images", found / split / "labels", lookup)
        if (found / f"{split}annot").is_dir():
            return paired(found / split, found / f"{split}annot", lookup)
    raise InputError(
        f"no camvid split '{split}' below '{root}'; expected camvid/{split}/images and camvid/{split}/labels"
    )


def idd_lite(root: Path, split: str = "val") -> Samples:
    """IDD-Lite in its official layout, 7 classes of its own.

    Raises:
        InputError: if the split is not there, or an image has no label.
    """
    found = home(root, ["idd20k_lite", "idd_lite"], f"leftImg8bit/{split}", "idd_lite")
    images, truth = found / "leftImg8bit" / split, found / "gtFine" / split

    def label_of(image: Path) -> Path:
        return truth / image.parent.name / f"{image.stem.removesuffix('_image')}_label.png"

    samples = pair(
        visible(images.glob("*/*_image.*"), images),
        label_of,
        table(keep=len(IDD_LITE_CLASSES)),
        name_of=lambda image: f"{image.parent.name}_{image.stem.removesuffix('_image')}",
    )
    return complete(samples, f"'{truth}' with *_label.png for each")
