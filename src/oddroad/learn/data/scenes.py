"""In-distribution driving scenes, their labels in the terms of Cityscapes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from oddroad.datasets import driving
from oddroad.errors import InputError, pick
from oddroad.types import IGNORE, Sample

T = TypeVar("T")


R = TypeVar("R")


def mapped(*classes: int) -> np.ndarray:
    """(256,) uint8 table from a set's own classes to the 19 of Cityscapes, UNNAMED or IGNORE."""
    table = np.full(256, IGNORE, np.uint8)
    table[: len(classes)] = classes
    return table


TO_CITYSCAPES = {
    "cityscapes": mapped(*range(19)),
    "cityscapes_small": mapped(*range(19)),
    "camvid": mapped(10, 2, 5, 0, 1, 8, 7, 4, 13, 11, 204),
    "idd_lite": mapped(0, 203, IGNORE, 200, 201, 202, 10),
}
"""What the classes of each training set are in Cityscapes' terms, or which of GROUPS. CamVid's bicyclist is a rider
and his bicycle; of IDD-Lite only the road and the sky are one class of ours, and its "living things" include animals.
"""


LOADERS = {
    "cityscapes": driving.cityscapes,
    "cityscapes_small": driving.cityscapes_small,
    "camvid": driving.camvid,
    "idd_lite": driving.idd_lite,
}


@dataclass(frozen=True)
class Scene:
    """A decoded known scene.

    Attributes:
        image: (h, w, 3) uint8 RGB, as stored.
        label: (h, w) uint8: trainIds, values of GROUPS, IGNORE.
        aspect: true width over height, which differs from w / h where the set is stored squashed.
    """

    image: np.ndarray
    label: np.ndarray
    aspect: float


def read_scene(sample: Sample, table: np.ndarray) -> Scene:
    """Decode one sample.

    Raises:
        InputError: if a file cannot be read.
    """
    image = cv2.imread(str(sample.image))
    raw = cv2.imread(str(sample.label), cv2.IMREAD_UNCHANGED)
    if image is None or raw is None:
        raise InputError(f"cannot read '{sample.image if image is None else sample.label}'")
    label = np.asarray(raw, np.uint8)
    height, width = sample.size or image.shape[:2]
    return Scene(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), table[sample.lookup[label]], width / height)


def read_scenes(root: Path, sets: tuple[str, ...], split: str, most: int | None = None) -> list[Scene]:
    """All scenes of some sets, decoded; with ``most``, that many of each set, evenly spread."""
    return list(SceneList(root, sets, split, most))


def at_once(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """The work on each of the items, in their order, in as many threads as there are processors: for decoding."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return list(threads.map(work, items))


MOST_KEPT = 2 << 30
"""Bytes of decoded scenes that are kept in memory; the scenes beyond are decoded each time."""


class SceneList(Sequence[Scene]):
    """The scenes of some sets, decoded when they are first asked for.

    Args:
        root: folder that holds the data sets.
        sets: keys in LOADERS; a set that is named twice is there twice.
        split: "train" or "val".
        most: that many of each set at most, evenly spread; None for all.

    Raises:
        InputError: if a set is unknown or not there.
    """

    def __init__(self, root: Path, sets: Sequence[str], split: str, most: int | None = None):
        self.samples: list[tuple[str, Sample]] = []
        for name in sets:
            samples = pick(LOADERS, name, "training set")(root, split)
            if most is not None and len(samples) > most:
                samples = [samples[i] for i in np.linspace(0, len(samples) - 1, most).astype(int)]
            self.samples += [(name, each) for each in samples]
        self.kept: dict[Path, Scene] = {}
        self.free = MOST_KEPT

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Scene:  # pyright: ignore[reportIncompatibleMethodOverride]
        name, sample = self.samples[index]
        if sample.image in self.kept:
            return self.kept[sample.image]
        scene = read_scene(sample, TO_CITYSCAPES[name])
        self.free -= scene.image.nbytes + scene.label.nbytes
        if self.free >= 0:
            self.kept[sample.image] = scene
        return scene
