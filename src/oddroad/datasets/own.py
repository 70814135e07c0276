"""A folder of one's own images and masks to train on: found, paired, and split by folder or by drive."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from oddroad.datasets.class_map import ClassMap, map_file, read_class_map
from oddroad.datasets.samples import LABEL_ENDINGS, NO_IMAGE, NO_LABEL, Samples, visible
from oddroad.errors import InputError, counted
from oddroad.io.kinds import IMAGE_ENDINGS
from oddroad.io.layouts import holds_labels
from oddroad.types import MaskCodes, Sample

IMAGES = ("images", "imgs", "image")
"""Names of the folder of the images."""

SPLITS = {"train": ("train", "training"), "val": ("val", "validation", "valid")}
"""Split -> names of its folder."""

SHARE = 5
"""One drive in so many validates, where neither folders nor the class map say which."""

IDENTITY = np.arange(256, dtype=np.uint8)


def is_own(root: Path, name: str) -> bool:
    """Whether a folder below the root is a set of one's own: it holds a class map."""
    return map_file(root / name) is not None


def own_samples(root: Path, name: str, split: str) -> Samples:
    """The samples of a set of one's own; values of masks are read as training labels, each ``sequence`` is the drive.

    Args:
        root: folder that holds the data sets.
        name: the folder of this one, below it.
        split: "train" or "val".

    Raises:
        InputError: if something is missing, or frames of one drive would lie on both sides.
    """
    if split not in SPLITS:
        raise InputError(f"'{name}' has no split '{split}'; a set of one's own has: {', '.join(SPLITS)}")
    home = root / name
    path = map_file(home)
    if path is None:
        raise InputError(f"no class map in '{home}'; expected classes.yaml or classes.csv")
    given = read_class_map(path)
    folders = {key: [home / each for each in names if (home / each).is_dir()] for key, names in SPLITS.items()}
    if any(folders.values()):
        if len(folders["train"]) != 1 or len(folders["val"]) > 1:
            raise InputError(f"'{home}' is split by folder, but not into one 'train' and one 'val'")
        if given.validation:
            raise InputError(f"'{path}' names drives for validation, and '{home}' is split by folder; take one away")
        sides = {key: paired(each[0], given) for key, each in folders.items() if each}
        if split not in sides:
            raise InputError(
                f"'{home}' has no folder '{split}', only {', '.join(sides)}; choose another set to validate"
            )
        if len(sides) == 2:
            check_sides(home, sides)
        return sides[split]
    every = paired(home, given)
    chosen = validation_drives(every, given, home)
    mine = [each for each in every if (each.sequence in chosen) == (split == "val")]
    return Samples(mine, every.left_out)


def splits_of(root: Path, name: str) -> list[str]:
    """The splits that a set of one's own has: both, or those that it has a folder for."""
    there = [key for key, names in SPLITS.items() if any((root / name / each).is_dir() for each in names)]
    return there or list(SPLITS)


def paired(home: Path, given: ClassMap) -> Samples:
    """The images of a folder with their masks, at any depth.

    Raises:
        InputError: if a folder is missing, no image has a mask, or two images have one name.
    """
    images = next((home / each for each in IMAGES if (home / each).is_dir()), None)
    labels = [each for each in sorted(home.iterdir()) if each.is_dir() and holds_labels(each.name)]
    labels = [home / "masks"] if (home / "masks").is_dir() else labels
    if images is None or len(labels) != 1:
        raise InputError(f"'{home}' needs a folder 'images' and a folder 'masks' (or 'labels') of the same names")
    masks: dict[Path, Path] = {}
    found = [each for each in visible(labels[0].rglob("*"), labels[0]) if each.suffix.lower() in LABEL_ENDINGS]
    for each in sorted(found, key=lambda one: LABEL_ENDINGS.index(one.suffix.lower())):
        masks.setdefault(each.relative_to(labels[0]).with_suffix(""), each)
    codes = MaskCodes(given.codes, given.colours, given.rest)
    samples, without, used, stems = [], [], set(), set()
    for image in visible(images.rglob("*"), images):
        if image.suffix.lower() not in IMAGE_ENDINGS:
            continue
        stem = image.relative_to(images).with_suffix("")
        mask = masks.get(stem.with_name(stem.name + given.mask_suffix))
        if stem in stems:
            raise InputError(f"two images in '{images}' are called '{stem}', and a mask belongs to one image")
        stems.add(stem)
        if mask is None:
            without.append(str(image.relative_to(images)))
            continue
        used.add(mask)
        drive = drive_of(stem, given)
        samples.append(Sample(stem.as_posix(), image, mask, IDENTITY, sequence=drive, codes=codes))
    if not samples:
        raise InputError(
            f"none of {counted(len(without), 'image')} in '{images}' has a mask of the same name in '{labels[0]}', "
            f"which holds {len(masks)} (such as '{next(iter(masks), '')}'; 'mask_suffix' in the class map says what "
            "names of masks have behind)"
        )
    unused = [str(each.relative_to(labels[0])) for each in masks.values() if each not in used]
    return Samples(samples, {NO_LABEL: without, NO_IMAGE: unused})


def drive_of(stem: Path, given: ClassMap) -> str:
    """The drive of an image: what the class map's pattern finds, or the folder that it lies in; "" for none.

    Raises:
        InputError: if the pattern does not fit.
    """
    if not given.drive:
        return stem.parent.as_posix() if stem.parent != Path() else ""
    found = re.search(given.drive, stem.as_posix())
    if found is None or not found[1]:
        raise InputError(f"'drive' in '{given.path}' is '{given.drive}', which does not fit '{stem.as_posix()}'")
    return found[1]


def validation_drives(samples: Sequence[Sample], given: ClassMap, home: Path) -> set[str]:
    """The drives that validate: those that the class map names, or one in ``SHARE`` by a hash of its name.

    Raises:
        InputError: if there is one drive only, or the map names one that is not there, or all.
    """
    drives = sorted({each.sequence for each in samples})
    ways = (
        "put each drive in a folder of its own below 'images', give 'drive' in the class map, or make train/ and val/"
    )
    if len(drives) < 2:
        name = f"drive '{drives[0]}'" if drives[0] else "drive, as far as folders say"
        raise InputError(
            f"all {len(samples)} images of '{home}' are of one {name}, and its frames must not lie on both sides of "
            f"the split; {ways}"
        )
    if given.validation:
        if strange := [each for each in given.validation if each not in drives]:
            raise InputError(f"'{given.path}' names drive '{strange[0]}'; there are: {', '.join(drives[:8])}")
        if set(given.validation) == set(drives):
            raise InputError(f"'{given.path}' takes every drive for validation; leave some to train on")
        return set(given.validation)
    shuffled = sorted(drives, key=lambda each: hashlib.sha256(each.encode()).digest())
    return set(shuffled[: -(-len(drives) // SHARE)])


def check_sides(home: Path, sides: dict[str, Samples]) -> None:
    """Refuse a split by folder with a drive, or one and the same picture, on both sides.

    Raises:
        InputError: naming it.
    """
    train, val = ({each.sequence for each in sides[key]} - {""} for key in ("train", "val"))
    if both := sorted(train & val):
        raise InputError(
            f"drive '{both[0]}' lies in train and in val of '{home}' ({len(both)} in all); frames of one drive are "
            "alike: move it to one side"
        )
    sizes: dict[int, list[Path]] = defaultdict(list)
    for each in sides["train"]:
        sizes[each.image.stat().st_size].append(each.image)
    for each in sides["val"]:
        twins = sizes.get(each.image.stat().st_size, [])
        if twins and (digest := hashlib.sha256(each.image.read_bytes()).digest()):
            for other in twins:
                if hashlib.sha256(other.read_bytes()).digest() == digest:
                    raise InputError(f"'{each.image}' and '{other}' are the same picture, on both sides of the split")
