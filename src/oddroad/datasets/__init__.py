"""DATASETS: the table of data sets, and what was published about each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from oddroad.datasets import anomaly, driving
from oddroad.datasets.read import read_image, read_label
from oddroad.types import CITYSCAPES_CLASSES, Sample

__all__ = ["DATASETS", "DataSet", "completeness", "read_image", "read_label"]

ANOMALY_TRACK, OBSTACLE_TRACK = (500, 100), (50, 10)
"""Smallest predicted and true component in pixels of SMIYC's two tracks."""


@dataclass(frozen=True)
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
    """

    load: Callable[[Path, str], list[Sample]]
    split: str
    task: str = "anomaly"
    counts: Mapping[str, int] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    min_sizes: tuple[int, int] = ANOMALY_TRACK
    prevalence: float | None = None


DATASETS: dict[str, DataSet] = {
    "road_anomaly21": DataSet(anomaly.road_anomaly21, "val", counts={"val": 10}, prevalence=0.14807),
    "road_obstacle21": DataSet(
        anomaly.road_obstacle21, "val", counts={"val": 30}, min_sizes=OBSTACLE_TRACK, prevalence=0.006747
    ),
    "fishyscapes_lost_and_found": DataSet(
        anomaly.fishyscapes_lost_and_found, "val", counts={"val": 100}, min_sizes=OBSTACLE_TRACK, prevalence=0.002828
    ),
    "fishyscapes_static": DataSet(anomaly.fishyscapes_static, "val", counts={"val": 30}, prevalence=0.02084),
    "road_anomaly": DataSet(anomaly.road_anomaly, "val", counts={"val": 60}, prevalence=0.0985),
    "lost_and_found": DataSet(anomaly.lost_and_found, "test", counts={"test": 1043}, min_sizes=OBSTACLE_TRACK),
    "folder": DataSet(anomaly.folder, ""),
    "cityscapes": DataSet(driving.cityscapes, "val", "semantic", {"train": 2975, "val": 500}, CITYSCAPES_CLASSES),
    "cityscapes_small": DataSet(
        driving.cityscapes_small, "val", "semantic", {"train": 2975, "val": 500}, CITYSCAPES_CLASSES
    ),
    "camvid": DataSet(
        driving.camvid, "test", "semantic", {"train": 367, "val": 101, "test": 233}, driving.CAMVID_CLASSES
    ),
    "idd_lite": DataSet(driving.idd_lite, "val", "semantic", {"train": 1403, "val": 204}, driving.IDD_LITE_CLASSES),
}
"""Name -> data set. Component sizes of sets outside SegmentMeIfYouCan follow the track whose objects they resemble."""


def completeness(name: str, split: str, images: int) -> str:
    """Empty if the number of images is the published one, else such as "5 of 100 images: incomplete".

    >>> completeness("fishyscapes_lost_and_found", "val", 5)
    '5 of 100 images: incomplete'
    """
    published = DATASETS[name].counts.get(split)
    if published is None or images == published:
        return ""
    return f"{images} of {published} images: {'incomplete' if images < published else 'more than published'}"
