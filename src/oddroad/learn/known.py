"""Known driving scenes, their labels in Cityscapes' terms, how often each class is there, and which scenes show it."""

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
from oddroad.datasets.read import read_raw_label
from oddroad.errors import InputError, pick
from oddroad.recipe import Scenes, Weights
from oddroad.types import GROUPS, IGNORE, Sample

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


def training_labels(root: Path, name: str) -> list[np.ndarray]:
    """The labels of a set's training scenes in Cityscapes' terms, (h, w) uint8 each.

    Raises:
        InputError: if the set is unknown, not there, or a label cannot be read.
    """
    samples = pick(LOADERS, name, "training set")(root, "train")
    return at_once(lambda sample: TO_CITYSCAPES[name][sample.lookup[read_raw_label(sample)]], samples)


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


def named_classes(name: str, classes: int) -> np.ndarray:
    """(classes,) bool: which trainIds a set's labels can name, alone or in one of GROUPS."""
    table = {int(each) for each in np.unique(TO_CITYSCAPES[name])}
    named = {each for each in table if each < classes} | {each for value in table for each in GROUPS.get(value, ())}
    return np.isin(np.arange(classes), sorted(named))


def class_counts(root: Path, sets: Sequence[str], classes: int) -> np.ndarray:
    """Pixels of each class in the training scenes of some sets, and at the end those labelled 255; (classes + 1,).

    Each set counts as often as it is named.

    Raises:
        InputError: if a set is unknown, not there, or a label cannot be read.
    """
    counts = np.zeros(classes + 1, np.int64)
    for name in dict.fromkeys(sets):
        own = np.sum([np.bincount(each.ravel(), minlength=256) for each in training_labels(root, name)], axis=0)
        counts += list(sets).count(name) * np.append(own[:classes], own[IGNORE])
    return counts


def class_weights(counts: np.ndarray, rule: Weights, void: bool) -> np.ndarray | None:
    """Weights of the classes by a rule, and of the void output if it is taught; None if all weigh alike.

    Args:
        counts: (C + 1,) pixels of each class and of void.
        rule: the rule.
        void: whether there is a void output that learns.

    Returns:
        (C,) or (C + 1,) float32. Frequencies are shares of the pixels that teach something; the median is taken over
        the classes that occur, and a class that does not occur has weight 0 by the median rule, 1 / ln(constant) by
        the other.
    """
    taught = (counts if void else counts[:-1]).astype(np.float64)
    share = taught / max(taught.sum(), 1)
    if rule.rule == "enet":
        weights = 1 / np.log(rule.constant + share)
    elif rule.rule == "median_frequency":
        weights = np.where(share > 0, np.median(share[share > 0]) / np.where(share > 0, share, 1), 0.0)
    elif void and rule.void != 1:
        weights = np.ones(len(share))
    else:
        return None
    if void:
        weights[-1] *= rule.void
    return weights.astype(np.float32)


MET = 0.001
"""Share of the pixels of a scene from which on a class counts as met in it."""


def balanced(root: Path, scenes: Scenes) -> np.ndarray:
    """(N,) float64, the cumulated chances of the scenes of a run: some of the draws are evenly over the classes.

    A class that few scenes show brings these scenes up; only single classes count, not groups of them.
    """
    met = {
        name: [np.bincount(each.ravel(), minlength=256) >= MET * each.size for each in training_labels(root, name)]
        for name in dict.fromkeys(scenes.sets)
    }
    single = [each for each in range(IGNORE) if each not in GROUPS]
    shows = np.array([each for name in scenes.sets for each in met[name]])[:, single].astype(np.float64)
    shows = shows[:, shows.any(0)]
    by_class = (shows / shows.sum(0)).mean(1)
    return np.cumsum((1 - scenes.balance) / len(shows) + scenes.balance * by_class)
