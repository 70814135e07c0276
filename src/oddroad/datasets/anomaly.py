"""The anomaly sets, each in its official layout and in that of the archive ``Validation_Dataset``.

Every loader takes the folder that holds the sets, finds its own below it, and maps labels to KNOWN, ANOMALY, IGNORE.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np

from oddroad.datasets.read import folders, images_in, table
from oddroad.errors import InputError
from oddroad.io.images import decode
from oddroad.types import ANOMALY, KNOWN, Sample

READY = table(keep=2)
"""Labels that are 0, 1 and 255 already."""

ROAD_ANOMALY = table({0: KNOWN, 1: ANOMALY, 2: ANOMALY})
"""Road Anomaly (Lis et al., 2019) writes 2 for an anomaly; copies with 1 exist."""

LOST_AND_FOUND = table({1: KNOWN, **dict.fromkeys(range(2, 201), ANOMALY)})
"""Lost and Found: 0 not judged, 1 free space, 2 to 200 objects."""

BLANK = 1 << 15
"""A label file of fewer bytes may be empty and is looked into; larger ones are not."""


def first(found: Iterable[list[Sample]], name: str, root: Path, expected: str, count: int) -> list[Sample]:
    """The first complete list of samples, or else the longest.

    Raises:
        InputError: if all are empty.
    """
    best: list[Sample] = []
    for samples in found:
        if len(samples) > len(best):
            best = samples
        if len(best) >= count:
            break
    if not best:
        raise InputError(f"no {name} below '{root}'; expected {expected}")
    return best


def beside(images: Iterable[Path], label_of: Callable[[Path], Path], lookup: np.ndarray) -> list[Sample]:
    """A sample for each image whose label exists."""
    return [
        Sample(image.stem.removesuffix("_leftImg8bit"), image, label_of(image), lookup)
        for image in images
        if label_of(image).is_file()
    ]


def archive(root: Path, names: list[str], lookup: np.ndarray) -> Iterable[list[Sample]]:
    """Samples of folders with ``images`` and ``labels_masks`` of equal stems."""
    for folder in folders(root, names):
        images, masks = folder / "images", folder / "labels_masks"
        if images.is_dir() and masks.is_dir():
            yield beside(images_in(images), lambda image, masks=masks: masks / f"{image.stem}.png", lookup)


def segment_me(root: Path, track: str) -> Iterable[list[Sample]]:
    """Validation samples of a SegmentMeIfYouCan track as downloaded; those of its test have no labels."""
    for folder in folders(root, [track]):
        images, masks = folder / "images", folder / "labels_masks"
        if images.is_dir() and masks.is_dir():
            known = [each for each in images_in(images) if each.stem.startswith("validation")]
            yield beside(known, lambda image, masks=masks: masks / f"{image.stem}_labels_semantic.png", READY)


def only(split: str, name: str, *splits: str) -> None:
    """Refuse a split that a set does not have."""
    if split not in splits:
        raise InputError(f"{name} has no split '{split}' with labels; there is: {', '.join(splits)}")


def road_anomaly21(root: Path, split: str = "val") -> list[Sample]:
    """SMIYC RoadAnomaly21, validation."""
    only(split, "road_anomaly21", "val")
    found = (
        s for way in (segment_me(root, "dataset_AnomalyTrack"), archive(root, ["RoadAnomaly21"], READY)) for s in way
    )
    return first(found, "road_anomaly21", root, "dataset_AnomalyTrack/images or RoadAnomaly21/images", 10)


def road_obstacle21(root: Path, split: str = "val") -> list[Sample]:
    """SMIYC RoadObstacle21, validation; outside the road is not judged."""
    only(split, "road_obstacle21", "val")
    ways = segment_me(root, "dataset_ObstacleTrack"), archive(root, ["RoadObsticle21", "RoadObstacle21"], READY)
    found = (samples for way in ways for samples in way)
    return first(found, "road_obstacle21", root, "dataset_ObstacleTrack/images or RoadObsticle21/images", 30)


def fishyscapes_lost_and_found(root: Path, split: str = "val") -> list[Sample]:
    """Fishyscapes Lost & Found, validation: its labels with the images of Lost and Found, or the archive."""
    only(split, "fishyscapes_lost_and_found", "val")

    def official() -> Iterable[list[Sample]]:
        for labels in folders(root, ["fishyscapes_lostandfound"]):
            masks = sorted(labels.glob("*_labels.png"))
            if not masks:
                continue
            wanted = {each.stem.removesuffix("_labels").partition("_")[2]: each for each in masks}
            images = {
                image.stem.removesuffix("_leftImg8bit"): image
                for folder in folders(root, ["leftImg8bit", "laf_images"])
                for image in folder.rglob("*_leftImg8bit.png")
            }
            yield [Sample(name, images[name], wanted[name], READY) for name in sorted(wanted) if name in images]

    found = (s for way in (official(), archive(root, ["FS_LostFound_full"], READY)) for s in way)
    expected = "fishyscapes_lostandfound/*_labels.png beside Lost and Found's leftImg8bit, or FS_LostFound_full/images"
    return first(found, "fishyscapes_lost_and_found", root, expected, 100)


def fishyscapes_static(root: Path, split: str = "val") -> list[Sample]:
    """Fishyscapes Static, validation: its labels with the composed ``*_rgb`` images, or the archive."""
    only(split, "fishyscapes_static", "val")

    def official() -> Iterable[list[Sample]]:
        for version in ("fs_val_v3", "fs_val_v2", "fs_val_v1"):
            for labels in folders(root, [version]):
                composed = [labels, *folders(root, ["fs_static_images", version.replace("val", "static_images")])]
                images = {
                    each.stem.removesuffix("_rgb"): each for one in composed for each in sorted(one.glob("*_rgb.*"))
                }
                images = {
                    name: each for name, each in images.items() if each.suffix.lower() in (".png", ".jpg", ".webp")
                }
                masks = {each.stem.removesuffix("_labels"): each for each in sorted(labels.glob("*_labels.png"))}
                yield [Sample(name, images[name], masks[name], READY) for name in sorted(masks) if name in images]

    found = (s for way in (official(), archive(root, ["fs_static"], READY)) for s in way)
    expected = "fs_static/images, or fs_val_v3/*_labels.png with composed *_rgb.png beside them or in fs_static_images"
    return first(found, "fishyscapes_static", root, expected, 30)


def road_anomaly(root: Path, split: str = "val") -> list[Sample]:
    """Road Anomaly (Lis et al., 2019); all 60 images are for testing."""
    only(split, "road_anomaly", "val")

    def official() -> Iterable[list[Sample]]:
        for frames in folders(root, ["frames"]):
            if (frames.parent / "frame_list.json").is_file():
                yield beside(
                    images_in(frames), lambda image: image.with_suffix(".labels") / "labels_semantic.png", ROAD_ANOMALY
                )

    ways = official(), archive(root, ["RoadAnomaly", "RoadAnomaly_jpg"], ROAD_ANOMALY)
    found = (samples for way in ways for samples in way)
    return first(found, "road_anomaly", root, "RoadAnomaly_jpg/frames with frame_list.json or RoadAnomaly/images", 60)


def blank(label: Path) -> bool:
    """Whether a Lost and Found label holds nothing."""
    return label.stat().st_size < BLANK and not decode(label, cv2.IMREAD_UNCHANGED).any()


def lost_and_found(root: Path, split: str = "test") -> list[Sample]:
    """Lost and Found, the test frames that SMIYC uses (testNoKnown): no children as objects, no empty labels."""
    only(split, "lost_and_found", "test")

    def official() -> Iterable[list[Sample]]:
        for truth in folders(root, ["gtCoarse"]):
            images = truth.parent / "leftImg8bit" / "test"
            samples: list[Sample] = []
            for label in sorted((truth / "test").glob("*/*_gtCoarse_labelIds.png")):
                name = label.name.removesuffix("_gtCoarse_labelIds.png")
                image = images / label.parent.name / f"{name}_leftImg8bit.png"
                if not name.startswith("15_Rechbergstr_Deckenpfronn") and image.is_file() and not blank(label):
                    samples.append(Sample(name, image, label, LOST_AND_FOUND))
            yield samples

    expected = "leftImg8bit/test and gtCoarse/test with *_gtCoarse_labelIds.png"
    return first(official(), "lost_and_found", root, expected, 1043)


def folder(root: Path, split: str = "") -> list[Sample]:
    """A set of one's own: ``images``, ``masks`` of equal stems (.png), and optionally ``classes.json``.

    ``classes.json`` says what the values of the masks mean, for example ``{"known": [0], "anomaly": [1, 2]}``; values
    it does not name are not judged. Without it 0 is known, 1 an anomaly, and the rest is not judged.

    Args:
        root: the folder itself.
        split: a folder between it and ``images``, where there is one.

    Raises:
        InputError: if something is missing or ``classes.json`` is not as described.
    """
    home = root / split
    images, masks, classes = home / "images", home / "masks", root / "classes.json"
    if not images.is_dir() or not masks.is_dir():
        raise InputError(f"no folders 'images' and 'masks' in '{home}'; a set of one's own has both")
    lookup = READY
    if classes.is_file():
        meaning = {"known": KNOWN, "anomaly": ANOMALY}
        try:
            given = json.loads(classes.read_text())
            lookup = table({int(raw): meaning[kind] for kind, values in given.items() for raw in values})
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            raise InputError(
                f'\'{classes}\' should be like {{"known": [0], "anomaly": [1, 2]}}, values 0 to 255'
            ) from None
    samples = beside(images_in(images), lambda image: masks / f"{image.stem}.png", lookup)
    if not samples:
        raise InputError(f"no image in '{images}' has a mask of the same name (.png) in '{masks}'")
    return samples
