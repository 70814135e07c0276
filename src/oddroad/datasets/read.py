"""Reading the images and labels of samples, and finding the folders of a set below a root."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from oddroad.errors import InputError
from oddroad.io.images import decode, resize_nearest
from oddroad.types import IGNORE, Sample

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp")


DEPTH = 4
"""How many folders below the root a set may lie."""


def table(pairs: dict[int, int] | None = None, keep: int = 0) -> np.ndarray:
    """(256,) uint8: raw label -> ours; the first ``keep`` values stay, ``pairs`` are mapped, the rest is IGNORE.

    >>> table({2: 1}, keep=1)[[0, 1, 2]].tolist()
    [0, 255, 1]
    """
    values = np.full(256, IGNORE, np.uint8)
    values[:keep] = np.arange(keep)
    for raw, ours in (pairs or {}).items():
        values[raw] = ours
    return values


def folders(root: Path, names: Sequence[str]) -> Iterator[Path]:
    """Folders with one of these names (any case) at or below the root, nearest first.

    Raises:
        InputError: if the root does not exist.
    """
    if not root.is_dir():
        raise InputError(f"no folder '{root}'; pass the folder that holds the data sets as --root")
    wanted = {each.lower() for each in names}
    level = [root.resolve()]
    for _ in range(DEPTH + 1):
        below: list[Path] = []
        for folder in level:
            if folder.name.lower() in wanted:
                yield folder
            with os.scandir(folder) as entries:
                below += sorted(Path(each.path) for each in entries if each.is_dir() and not each.name.startswith("."))
        level = below


def images_in(folder: Path) -> list[Path]:
    """The images directly in a folder, by name; numbers sort as numbers."""

    def order(path: Path) -> list[tuple[int, str]]:
        digits = "".join(each if each.isdigit() else " " for each in path.stem).split()
        return [(int(each), "") for each in digits] if path.stem.isdigit() else [(0, path.stem)]

    return sorted((each for each in folder.iterdir() if each.suffix.lower() in IMAGE_ENDINGS), key=order)


def read_image(sample: Sample) -> np.ndarray:
    """The image of a sample, (H, W, 3) uint8 RGB, at ``sample.size`` if that is set.

    Raises:
        InputError: if the file is missing or damaged.
    """
    image = cv2.cvtColor(decode(sample.image, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    if sample.size is not None and image.shape[:2] != sample.size:
        image = cv2.resize(image, sample.size[::-1], interpolation=cv2.INTER_LINEAR)
    return image


def read_raw_label(sample: Sample) -> np.ndarray:
    """The label image of a sample as stored, (H, W) uint8.

    Raises:
        InputError: if the file is missing, damaged, or no image of one byte a pixel.
    """
    if sample.label is None:
        raise InputError(f"'{sample.image}' has no label")
    label = decode(sample.label, cv2.IMREAD_UNCHANGED)
    if label.ndim == 3:
        colours = label[..., :3]
        if (colours != colours[..., :1]).any():
            raise InputError(f"label '{sample.label}' is a colour image; expected one number a pixel")
        label = colours[..., 0]
    if label.dtype != np.uint8:
        raise InputError(f"label '{sample.label}' holds {label.dtype}; expected uint8")
    return np.ascontiguousarray(label)


def read_label(sample: Sample) -> np.ndarray:
    """The label of a sample in our terms, (H, W) uint8, at ``sample.size`` if that is set.

    Raises:
        InputError: see ``read_raw_label``.
    """
    label = sample.lookup[read_raw_label(sample)]
    return label if sample.size is None else resize_nearest(label, sample.size)
