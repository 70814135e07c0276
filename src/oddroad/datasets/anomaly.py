"""The anomaly sets, each in its official layout and in that of the archive ``Validation_Dataset``.

Every loader takes the folder that holds the sets, finds its own below it, and maps labels to KNOWN, ANOMALY, IGNORE.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from oddroad.datasets.read import read_numbers, table
from oddroad.datasets.samples import (
    LABEL_ENDINGS,
    NO_IMAGE,
    NO_LABEL,
    Samples,
    folders,
    images_in,
    labels_in,
    pair,
    visible,
)
from oddroad.errors import InputError, counted
from oddroad.files import load_json
from oddroad.io.kinds import IMAGE_ENDINGS
from oddroad.io.layouts import holds_labels, is_label
from oddroad.types import ANOMALY, KNOWN, Sample

READY = table(keep=2)
"""Labels that are 0, 1 and 255 already."""

CHILDREN = "children as objects, whom SMIYC leaves out"
EMPTY = "an empty label"

ROAD_ANOMALY = table({0: KNOWN, 1: ANOMALY, 2: ANOMALY})
"""Road Anomaly (Lis et al., 2019) writes 2 for an anomaly; copies with 1 exist."""

LOST_AND_FOUND = table({1: KNOWN, **dict.fromkeys(range(2, 201), ANOMALY)})
"""Lost and Found: 0 not judged, 1 free space, 2 to 200 objects."""

BLANK = 1 << 15
"""A label file of fewer bytes may be empty and is looked into; larger ones are not."""


def first(found: Iterable[Samples], name: str, root: Path, expected: str, count: int) -> Samples:
    """The first complete list of samples, or else the longest.

    Raises:
        InputError: if all are empty; says what was found and left out.
    """
    best, remarks = Samples(), []
    for samples in found:
        if len(samples) > len(best):
            best = samples
        remarks += samples.remarks()
        if len(best) >= count:
            break
    if not best:
        seen = f"; found {remarks[0]}" if remarks else ""
        raise InputError(f"no {name} below '{root}'; expected {expected}{seen}")
    return best


def archive(root: Path, names: list[str], lookup: np.ndarray) -> Iterable[Samples]:
    """Samples of folders with ``images`` and ``labels_masks`` of equal stems."""
    for folder in folders(root, names):
        images, masks = folder / "images", folder / "labels_masks"
        if images.is_dir() and masks.is_dir():
            labels = labels_in(masks)
            yield pair(images_in(images), lambda image, own=labels: own.get(image.stem), lookup, labels.values())


def segment_me(root: Path, track: str) -> Iterable[Samples]:
    """Validation samples of a SegmentMeIfYouCan track as downloaded; those of its test have no labels."""
    for folder in folders(root, [track]):
        images, masks = folder / "images", folder / "labels_masks"
        if images.is_dir() and masks.is_dir():
            every = images_in(images)
            chosen = [each for each in every if each.stem.startswith("validation")]
            labels = visible(masks.glob("validation*_labels_semantic.png"), masks)
            samples = pair(
                chosen, lambda image, masks=masks: masks / f"{image.stem}_labels_semantic.png", READY, labels
            )
            if hidden := [each.name for each in every if not each.stem.startswith("validation")]:
                samples.left_out["of the test split, whose labels are not public"] = hidden
            yield samples


def only(split: str, name: str, *splits: str) -> None:
    """Refuse a split that a set does not have."""
    if split not in splits:
        raise InputError(f"{name} has no split '{split}' with labels; there is: {', '.join(splits)}")


def with_images(labels: dict[str, Path], images: dict[str, Path], where: str) -> Samples:
    """A sample for each label whose image is there; Fishyscapes comes without the images."""
    found = [name for name in sorted(labels) if name in images]
    samples = [Sample(name, images[name], labels[name], READY, sequence=recording(name)) for name in found]
    lost = [labels[name].name for name in sorted(labels) if name not in images]
    return Samples(samples, {f"{NO_IMAGE}, {where}": lost})


def recording(name: str) -> str:
    """The recording of a Lost and Found frame, ``street_recording_frame`` with six digits each; "" for other names."""
    parts = name.rsplit("_", 2)
    return (
        "_".join(parts[:2]) if len(parts) == 3 and all(each.isdigit() and len(each) == 6 for each in parts[1:]) else ""
    )


def road_anomaly21(root: Path, split: str = "val") -> Samples:
    """SMIYC RoadAnomaly21, validation."""
    only(split, "road_anomaly21", "val")
    found = (
        s for way in (segment_me(root, "dataset_AnomalyTrack"), archive(root, ["RoadAnomaly21"], READY)) for s in way
    )
    return first(found, "road_anomaly21", root, "dataset_AnomalyTrack/images or RoadAnomaly21/images", 10)


def road_obstacle21(root: Path, split: str = "val") -> Samples:
    """SMIYC RoadObstacle21, validation; outside the road is not judged."""
    only(split, "road_obstacle21", "val")
    ways = segment_me(root, "dataset_ObstacleTrack"), archive(root, ["RoadObsticle21", "RoadObstacle21"], READY)
    found = (samples for way in ways for samples in way)
    return first(found, "road_obstacle21", root, "dataset_ObstacleTrack/images or RoadObsticle21/images", 30)


def fishyscapes_lost_and_found(root: Path, split: str = "val") -> Samples:
    """Fishyscapes Lost & Found, validation: its labels with the images of Lost and Found, or the archive."""
    only(split, "fishyscapes_lost_and_found", "val")

    def official() -> Iterable[Samples]:
        for labels in folders(root, ["fishyscapes_lostandfound"]):
            masks = visible(labels.glob("*_labels.png"), labels)
            if not masks:
                continue
            wanted = {each.stem.removesuffix("_labels").partition("_")[2]: each for each in masks}
            images = {
                image.stem.removesuffix("_leftImg8bit"): image
                for folder in folders(root, ["leftImg8bit", "laf_images"])
                for image in visible(folder.rglob("*_leftImg8bit.png"), folder)
            }
            yield with_images(wanted, images, "which is among Lost and Found's leftImg8bit")

    found = (s for way in (official(), archive(root, ["FS_LostFound_full"], READY)) for s in way)
    expected = "fishyscapes_lostandfound/*_labels.png beside Lost and Found's leftImg8bit, or FS_LostFound_full/images"
    return first(found, "fishyscapes_lost_and_found", root, expected, 100)


def fishyscapes_static(root: Path, split: str = "val") -> Samples:
    """Fishyscapes Static, validation: its labels with the composed ``*_rgb`` images, or the archive."""
    only(split, "fishyscapes_static", "val")

    def official() -> Iterable[Samples]:
        for version in ("fs_val_v3", "fs_val_v2", "fs_val_v1"):
            for labels in folders(root, [version]):
                composed = [labels, *folders(root, ["fs_static_images", version.replace("val", "static_images")])]
                images = {
                    each.stem.removesuffix("_rgb"): each
                    for one in composed
                    for each in visible(one.glob("*_rgb.*"), one)
                    if each.suffix.lower() in IMAGE_ENDINGS
                }
                masks = {
                    each.stem.removesuffix("_labels"): each for each in visible(labels.glob("*_labels.png"), labels)
                }
                yield with_images(masks, images, "*_rgb.png is composed from Cityscapes")

    found = (s for way in (official(), archive(root, ["fs_static"], READY)) for s in way)
    expected = "fs_static/images, or fs_val_v3/*_labels.png with composed *_rgb.png beside them or in fs_static_images"
    return first(found, "fishyscapes_static", root, expected, 30)


def road_anomaly(root: Path, split: str = "val") -> Samples:
    """Road Anomaly (Lis et al., 2019); all 60 images are for testing."""
    only(split, "road_anomaly", "val")

    def official() -> Iterable[Samples]:
        for frames in folders(root, ["frames"]):
            if (frames.parent / "frame_list.json").is_file():
                yield pair(
                    images_in(frames), lambda image: image.with_suffix(".labels") / "labels_semantic.png", ROAD_ANOMALY
                )

    ways = official(), archive(root, ["RoadAnomaly", "RoadAnomaly_jpg"], ROAD_ANOMALY)
    found = (samples for way in ways for samples in way)
    return first(found, "road_anomaly", root, "RoadAnomaly_jpg/frames with frame_list.json or RoadAnomaly/images", 60)


def blank(label: Path) -> bool:
    """Whether a Lost and Found label holds nothing."""
    return label.stat().st_size < BLANK and not read_numbers(label).any()


def lost_and_found(root: Path, split: str = "test") -> Samples:
    """Lost and Found, the test frames that SMIYC uses (testNoKnown): no children as objects, no empty labels."""
    only(split, "lost_and_found", "test")

    def official() -> Iterable[Samples]:
        for truth in folders(root, ["gtCoarse"]):
            images = truth.parent / "leftImg8bit" / "test"
            samples: list[Sample] = []
            left_out: dict[str, list[str]] = {NO_LABEL: [], CHILDREN: [], EMPTY: [], NO_IMAGE: []}
            labelled = set()
            for label in visible((truth / "test").glob("*/*_gtCoarse_labelIds.png"), truth):
                name = label.name.removesuffix("_gtCoarse_labelIds.png")
                image = images / label.parent.name / f"{name}_leftImg8bit.png"
                labelled.add(image)
                if not image.is_file():
                    left_out[NO_IMAGE].append(label.name)
                elif name.startswith("15_Rechbergstr_Deckenpfronn"):
                    left_out[CHILDREN].append(image.name)
                elif blank(label):
                    left_out[EMPTY].append(image.name)
                else:
                    samples.append(Sample(name, image, label, LOST_AND_FOUND, sequence=recording(name)))
            every = visible(images.glob("*/*_leftImg8bit.png"), images) if images.is_dir() else []
            left_out[NO_LABEL] = [each.name for each in every if each not in labelled]
            yield Samples(samples, left_out)

    expected = "leftImg8bit/test and gtCoarse/test with *_gtCoarse_labelIds.png"
    return first(official(), "lost_and_found", root, expected, 1043)


def classes_file(path: Path) -> np.ndarray:
    """(256,) uint8: value of a mask -> ours, as ``classes.json`` says; 0, 1 and 255 as they are where it is missing.

    Raises:
        InputError: if it is not as described.
    """
    if not path.is_file():
        return READY
    meaning = {"known": KNOWN, "anomaly": ANOMALY}
    try:
        given = load_json(path.read_text(encoding="utf-8-sig"))
        pairs = [(int(raw), meaning[kind]) for kind, values in given.items() for raw in values]
        if len(dict(pairs)) < len(pairs) or any(raw < 0 for raw, _ in pairs):
            raise ValueError
        return table(dict(pairs))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError):
        raise InputError(
            f'\'{path}\' should be like {{"known": [0], "anomaly": [1, 2]}}, values 0 to 255, each once'
        ) from None


def sequences_file(path: Path, names: Iterable[str]) -> dict[str, tuple[str, float | None]]:
    """Name of an image -> its sequence and the frames per second of that, as ``sequences.json`` says; empty where it is
    missing.

    Raises:
        InputError: if it is not as described.
    """
    if not path.is_file():
        return {}
    found: dict[str, tuple[str, float | None]] = {}
    try:
        given = load_json(path.read_text(encoding="utf-8-sig"))
        pairs = []
        for key, each in given.items():
            frames, fps = (each["frames"], float(each["fps"])) if isinstance(each, dict) else (each, None)
            if not isinstance(frames, list) or (fps is not None and not 0 < fps < math.inf):
                raise ValueError
            pairs += [(name, (key, fps)) for name in frames]
        found, there = {str(name): each for name, each in pairs}, set(names)
        if not pairs or len(found) < len(pairs) or not all(isinstance(name, str) for name, _ in pairs):
            raise ValueError
    except (ValueError, TypeError, AttributeError, KeyError, OverflowError):
        raise InputError(
            f'\'{path}\' should be like {{"drive 1": ["0001", "0002"]}}, or {{"drive 1": {{"fps": 10, '
            '"frames": ["0001", "0002"]}}, with names of images without ending, each once'
        ) from None
    if strange := [each for each in found if each not in there]:
        raise InputError(
            f"'{path}' names {counted(len(strange), 'image')} that are not there ({', '.join(strange[:3])})"
        )
    if taken := sorted(there & {key for key, _ in found.values()}):
        raise InputError(f"'{path}' calls a sequence '{taken[0]}', which is the name of an image; call it otherwise")
    return found


def mask_folder(home: Path) -> Path | None:
    """The folder of the masks of a set of one's own: ``masks``, or the only one whose name says so; None for none."""
    if (home / "masks").is_dir():
        return home / "masks"
    found = [each for each in home.iterdir() if each.is_dir() and holds_labels(each.name)] if home.is_dir() else []
    return found[0] if len(found) == 1 else None


def folder(root: Path, split: str = "") -> Samples:
    """A set of one's own: ``images``, ``masks`` of equal stems (.png, .bmp, .tif), and optionally two files.

    The masks may lie in another folder whose name says that it holds labels, such as ``ground_truth``.

    ``classes.json`` says what the values of the masks mean, for example ``{"known": [0], "anomaly": [1, 2]}``; values
    it does not name are not judged. Without it 0 is in-distribution, 1 an anomaly, and the rest is not judged.
    ``sequences.json`` says which images are frames of one drive, for example ``{"drive 1": ["0001", "0002"]}``, or
    ``{"drive 1": {"fps": 10, "frames": ["0001", "0002"]}}``: intervals take them as one. Images that it does not name
    stand alone. The frames of a drive follow each other in the order of their names.

    Args:
        root: the folder itself.
        split: a folder between it and ``images``, where there is one.

    Raises:
        InputError: if something is missing, two images have one name, or one of the files is not as described.
    """
    home = root / split
    images, masks = home / "images", mask_folder(home)
    if not images.is_dir() or masks is None:
        raise InputError(f"no folders 'images' and 'masks' in '{home}'; a set of one's own has both")
    labels = labels_in(masks)
    files = images_in(images)
    stems = {((), each.stem) for each in files}
    beside = [each for each in files if is_label((each.name,), stems) and each.stem not in labels]
    every = [each for each in files if each not in beside]
    named: dict[str, Path] = {}
    for image in every:
        if (other := named.setdefault(image.stem, image)) is not image:
            raise InputError(
                f"'{other.name}' and '{image.name}' in '{images}' have one name, and a mask belongs to one image"
            )
    missing = "no mask of the same name"
    lookup = classes_file(root / "classes.json")
    samples = pair(
        every, lambda image: labels.get(image.stem), lookup, labels.values(), missing, lambda image: image.stem
    )
    sequences = sequences_file(root / "sequences.json", named)
    for at, each in enumerate(samples):
        sequence, fps = sequences.get(each.name, ("", None))
        samples[at] = replace(each, sequence=sequence, fps=fps)
    others = [each.name for each in visible(images.iterdir(), images) if each not in files]
    for reason, left in (("labels by their name", [each.name for each in beside]), ("no images", others)):
        if left:
            samples.left_out[reason] = left
    if not samples:
        ways = ", ".join(LABEL_ENDINGS)
        raise InputError(
            f"none of {counted(len(every), 'image')} in '{images}' has a mask of the same name ({ways}) in "
            f"'{masks}', which holds {len(labels)}"
        )
    return samples
