"""DATASETS: the table of data sets, and what was published about each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from oddroad.datasets import anomaly, driving
from oddroad.datasets.class_map import map_file, read_class_map
from oddroad.datasets.own import is_own, own_samples
from oddroad.datasets.read import read_image, read_label
from oddroad.errors import InputError, pick
from oddroad.types import CITYSCAPES_CLASSES, Sample

__all__ = [
    "DATASETS", "DataSet", "class_names", "class_tables", "completeness", "find_set", "read_image", "read_label",
    "table_of", "training_set", "training_table",
]  # fmt: skip

ANOMALY_TRACK, OBSTACLE_TRACK = (500, 100), (50, 10)
"""Smallest predicted and true component in pixels of SMIYC's two tracks."""


@dataclass(frozen=True, eq=False)
class DataSet:
    """One entry of the table.

    Attributes:
        load: (root, split) -> samples; finds the set at or below the root.
        split: the one to evaluate on.
        task: "anomaly" (labels KNOWN, ANOMALY, IGNORE) or "semantic" (classes 0 to C - 1, IGNORE).
        counts: published number of images of each split.
        classes: names of the classes of a semantic set.
        min_sizes: smallest predicted and true component for the component metrics, pixels.
        prevalence: published share of anomaly pixels of that split.
        layout: the folders that are read, as the help of 'oddroad data verify' lists them.
        to_cityscapes: (256,) uint8, its classes -> the 19 of Cityscapes, a value of GROUPS, or IGNORE; a network can
            be trained on sets that have it.
        own: a set of one's own, with a class map; its labels are training labels of its own classes.
    """

    load: Callable[[Path, str], list[Sample]]
    split: str
    task: str = "anomaly"
    counts: Mapping[str, int] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    min_sizes: tuple[int, int] = ANOMALY_TRACK
    prevalence: float | None = None
    layout: str = ""
    to_cityscapes: np.ndarray | None = None
    own: bool = False


DATASETS: dict[str, DataSet] = {
    "road_anomaly21": DataSet(
        anomaly.road_anomaly21, "val", counts={"val": 10}, prevalence=0.14807,
        layout="dataset_AnomalyTrack or RoadAnomaly21, with images and labels_masks",
    ),
    "road_obstacle21": DataSet(
        anomaly.road_obstacle21, "val", counts={"val": 30}, min_sizes=OBSTACLE_TRACK, prevalence=0.006747,
        layout="dataset_ObstacleTrack, RoadObsticle21 or RoadObstacle21, with images and labels_masks",
    ),
    "fishyscapes_lost_and_found": DataSet(
        anomaly.fishyscapes_lost_and_found, "val", counts={"val": 100}, min_sizes=OBSTACLE_TRACK, prevalence=0.002828,
        layout="fishyscapes_lostandfound/*_labels.png beside Lost and Found's leftImg8bit, or FS_LostFound_full with "
        "images and labels_masks",
    ),
    "fishyscapes_static": DataSet(
        anomaly.fishyscapes_static, "val", counts={"val": 30}, prevalence=0.02084,
        layout="fs_val_v3/*_labels.png with composed *_rgb.png beside them or in fs_static_images, or fs_static with "
        "images and labels_masks",
    ),
    "road_anomaly": DataSet(
        anomaly.road_anomaly, "val", counts={"val": 60}, prevalence=0.0985,
        layout="frame_list.json beside frames/X.jpg and frames/X.labels/labels_semantic.png, or RoadAnomaly with "
        "images and labels_masks",
    ),
    "lost_and_found": DataSet(
        anomaly.lost_and_found, "test", counts={"test": 1043}, min_sizes=OBSTACLE_TRACK,
        layout="leftImg8bit/test/*/*_leftImg8bit.png and gtCoarse/test/*/*_gtCoarse_labelIds.png",
    ),
    "folder": DataSet(
        anomaly.folder, "", layout="the root itself: images, masks of the same names, and optionally classes.json",
    ),
    "cityscapes": DataSet(
        driving.cityscapes, "val", "semantic", {"train": 2975, "val": 500}, CITYSCAPES_CLASSES,
        layout="leftImg8bit/SPLIT/*/*_leftImg8bit.png and gtFine/SPLIT/*/*_labelTrainIds.png or *_labelIds.png",
        to_cityscapes=driving.to_cityscapes(*range(19)),
    ),
    "cityscapes_small": DataSet(
        driving.cityscapes_small, "val", "semantic", {"train": 2975, "val": 500}, CITYSCAPES_CLASSES,
        layout="cityscapes_small/SPLIT with images and labels, 256x256",
        to_cityscapes=driving.to_cityscapes(*range(19)),
    ),
    "cityscapes_sharp": DataSet(
        driving.cityscapes_sharp, "train", "semantic", {}, CITYSCAPES_CLASSES,
        layout="cityscapes_sharp with images and labels, 2048x1024",
        to_cityscapes=driving.to_cityscapes(*range(19)),
    ),
    "camvid": DataSet(
        driving.camvid, "test", "semantic", {"train": 367, "val": 101, "test": 233}, driving.CAMVID_CLASSES,
        layout="camvid/SPLIT with images and labels, or CamVid/SPLIT and CamVid/SPLITannot",
        to_cityscapes=driving.CAMVID_TO_CITYSCAPES,
    ),
    "idd_lite": DataSet(
        driving.idd_lite, "val", "semantic", {"train": 1403, "val": 204}, driving.IDD_LITE_CLASSES,
        layout="idd20k_lite with leftImg8bit/SPLIT/*/*_image.jpg and gtFine/SPLIT/*/*_label.png",
        to_cityscapes=driving.IDD_LITE_TO_CITYSCAPES,
    ),
}  # fmt: skip
"""Name -> data set. Component sizes of sets outside SegmentMeIfYouCan follow the track whose objects they resemble."""


def find_set(root: Path, name: str) -> DataSet:
    """A data set by its name in DATASETS, or a set of one's own: a folder below the root with a class map.

    Raises:
        InputError: if there is neither.
    """
    if name in DATASETS or not name:
        return pick(DATASETS, name, "data set")
    if not is_own(root, name):
        if (root / name).is_dir():
            raise InputError(
                f"'{root / name}' holds no class map; a set of one's own has classes.yaml or classes.csv beside its "
                f"images and masks. Data sets by name: {', '.join(DATASETS)}"
            )
        return pick(DATASETS, name, "data set")
    path = map_file(root / name)
    assert path is not None
    given = read_class_map(path)
    return DataSet(
        partial(_own, name), "val", "semantic", classes=given.classes, layout="images, masks, and a class map",
        to_cityscapes=given.to_cityscapes(), own=True,
    )  # fmt: skip


def _own(name: str, root: Path, split: str) -> list[Sample]:
    return own_samples(root, name, split)


def training_set(root: Path, name: str) -> DataSet:
    """A data set to train on.

    Raises:
        InputError: if there is no such set, or it has no classes to learn.
    """
    if name in DATASETS or not (root / name).is_dir():
        training_table(name)
    return find_set(root, name)


def class_names(root: Path, sets: Sequence[str]) -> tuple[str, ...]:
    """The classes that a network learns from some sets: Cityscapes' 19 where every set can be brought to them, else
    those of the sets, which then have the same.

    Raises:
        InputError: if they have different ones.
    """
    found = {name: training_set(root, name) for name in sets}
    if all(each.to_cityscapes is not None for each in found.values()):
        return CITYSCAPES_CLASSES
    first, *others = found
    for name in others:
        if found[name].classes != found[first].classes or not (found[name].own and found[first].own):
            raise InputError(
                f"'{first}' and '{name}' have different classes and cannot be learned together; give both the same "
                "class map, or one whose names are all of Cityscapes"
            )
    return found[first].classes


def table_of(found: DataSet, names: Sequence[str]) -> np.ndarray:
    """(256,) uint8 from the labels of a set to the training labels of some classes, see ``class_names``."""
    if tuple(names) == CITYSCAPES_CLASSES and found.to_cityscapes is not None:
        return found.to_cityscapes
    return np.arange(256, dtype=np.uint8)


def training_table(name: str) -> np.ndarray:
    """(256,) uint8 from the classes of a set to those of Cityscapes, see ``DataSet.to_cityscapes``.

    Raises:
        InputError: if there is no such set to train on.
    """
    found = pick({key: each for key, each in DATASETS.items() if each.to_cityscapes is not None}, name, "training set")
    assert found.to_cityscapes is not None
    return found.to_cityscapes


def class_tables(classes: Sequence[str]) -> dict[str, np.ndarray]:
    """For each data set whose labels can be brought to these classes: the (256,) uint8 table that does so.

    Args:
        classes: names of a network's classes in their order.
    """
    found = {
        name: np.arange(256, dtype=np.uint8) for name, each in DATASETS.items() if tuple(each.classes) == tuple(classes)
    }
    if tuple(classes) == CITYSCAPES_CLASSES:
        found |= {name: each.to_cityscapes for name, each in DATASETS.items() if each.to_cityscapes is not None}
    return found


def completeness(name: str, split: str, images: int) -> str:
    """Empty if the number of images is the published one, else such as "5 of 100 images: incomplete".

    >>> completeness("fishyscapes_lost_and_found", "val", 5)
    '5 of 100 images: incomplete'
    """
    published = DATASETS[name].counts.get(split) if name in DATASETS else None
    if published is None or images == published:
        return ""
    return f"{images} of {published} images: {'incomplete' if images < published else 'more than published'}"
