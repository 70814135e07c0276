"""In-distribution driving scenes, their labels as the classes of Cityscapes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from oddroad.datasets import class_names, read_image, table_of, training_set
from oddroad.datasets.read import check_shapes, read_raw_label
from oddroad.io.images import resize_nearest
from oddroad.types import Sample

T = TypeVar("T")


R = TypeVar("R")


@dataclass(frozen=True)
class Scene:
    """A decoded in-distribution scene.

    Attributes:
        image: (h, w, 3) uint8 RGB, as stored.
        label: (h, w) uint8: trainIds, values of GROUPS, IGNORE.
        aspect: true width over height, which differs from w / h where the set is stored squashed.
    """

    image: np.ndarray
    label: np.ndarray
    aspect: float


def read_scene(sample: Sample, table: np.ndarray) -> Scene:
    """Decode one sample, at the size that it is stored at.

    Args:
        sample: what to read.
        table: (256,) uint8, label of the data set -> training label, see ``oddroad.datasets.training_table``.

    Raises:
        InputError: if a file cannot be read, or image and label have different aspects.
    """
    image, raw = read_image(replace(sample, size=None)), read_raw_label(sample)
    check_shapes(sample, image.shape[:2], raw.shape, None)
    if raw.shape != image.shape[:2]:
        raw = resize_nearest(raw, (image.shape[0], image.shape[1]))
    height, width = sample.size or image.shape[:2]
    return Scene(image, table[sample.lookup[raw]], width / height)


def at_height(scene: Scene, height: int) -> Scene:
    """The scene brought to a height and its true width."""
    size = (round(height * scene.aspect), height)
    image = cv2.resize(scene.image, size, interpolation=cv2.INTER_AREA)
    return Scene(image, cv2.resize(scene.label, size, interpolation=cv2.INTER_NEAREST), scene.aspect)


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
        sets: names of sets to train on, see ``oddroad.datasets.training_set``; one that is named twice is there twice.
        split: "train" or "val".
        most: that many of each set at most, evenly spread; None for all.
        rows: scenes of more rows are kept at that many, for crops that never show them larger; None for all rows.

    Attributes:
        names: the classes that the labels of the scenes stand for.
        tables: name of a set -> (256,) uint8 from its labels to the numbers of these.

    Raises:
        InputError: if a set is unknown or not there.
    """

    def __init__(self, root: Path, sets: Sequence[str], split: str, most: int | None = None, rows: int | None = None):
        self.rows = rows
        self.samples: list[tuple[str, Sample]] = []
        self.names = class_names(root, sets)
        self.tables = {name: table_of(training_set(root, name), self.names) for name in sets}
        for name in sets:
            samples: Sequence[Sample] = training_set(root, name).load(root, split)
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
        scene = read_scene(sample, self.tables[name])
        if self.rows is not None and len(scene.label) > self.rows:
            scene = at_height(scene, self.rows)
        self.free -= scene.image.nbytes + scene.label.nbytes
        if self.free >= 0:
            self.kept[sample.image] = scene
        return scene
