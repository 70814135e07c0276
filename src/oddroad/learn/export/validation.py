"""The scenes that quantisation takes its ranges from and that quantised files are validated on, and the validation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from oddroad.card import Card
from oddroad.concurrency import available_cores
from oddroad.errors import InputError
from oddroad.inference.engines import ENGINES
from oddroad.learn.data.cutouts import HELD_OUT, coco_objects
from oddroad.learn.data.pasting import draw, with_objects
from oddroad.learn.data.scenes import Scene, at_height, read_scenes
from oddroad.learn.data.sharp_scenes import HEIGHT, sharp_scenes
from oddroad.learn.data.validation import Validation
from oddroad.metrics import PixelMetric, SemanticMetric
from oddroad.types import ANOMALY, IGNORE, KNOWN, OUTLIER

SETS, OBJECTS = ("cityscapes_small", "camvid"), "coco128-seg"
"""Scenes and objects below the data folder: their training split to calibrate, their validation split to validate."""

SHARP = "cityscapes_sharp"
"""Full-size training scenes below the data folder, to calibrate; may be absent."""

FAR, SHARP_SIZE = (8, 40), (512, 1024)
"""Heights in pixels of the objects of the set "far", and (H, W) of its images and of "sharp"."""

CALIBRATION_FRAMES, VALIDATION_SCENES, RANKING_FRAMES = 32, 50, 4
"""Frames that ranges are taken from; scenes of each set to validate on; frames to see on which layers hurt most."""

PICTURES = 4
"""Of each validation set, on which maps are compared: INT8 with float32, one engine with another."""

ValidationScenes = list[tuple[np.ndarray, np.ndarray]]
"""Images (1, H, W, 3) uint8 with labels (H, W) int64."""

Maps = list[tuple[np.ndarray, np.ndarray]]
"""Score (H, W) float32 and classes (H, W) uint8 of each picture."""


def calibration_sets(root: Path, count: int, size: tuple[int, int]) -> dict[str, list[np.ndarray]]:
    """Training scenes (1, H, W, 3) uint8, every second one with pasted objects of training; fixed, from a seed.

    "scenes" are of SETS; half of "scenes and sharp" are full-size scenes, where SHARP is there.
    """
    small = read_scenes(root, SETS, "train", -(-count // len(SETS)))[:count]
    found = {"scenes": pasted_frames(root, small, size)}
    if (root / SHARP).is_dir():
        sharp = [at_height(each, HEIGHT) for each in read_scenes(root, (SHARP,), "train")]
        few = [sharp[number % len(sharp)] for number in range(count // 2)]
        found["scenes and sharp"] = pasted_frames(root, [*small[:: max(len(small) * 2 // count, 1)], *few], size)
    return found


def pasted_frames(root: Path, scenes: list[Scene], size: tuple[int, int]) -> list[np.ndarray]:
    """Frames (1, H, W, 3) uint8 of scenes, every second one with a pasted object of training."""
    import cv2

    rng = np.random.default_rng(2027)
    labels = [each for each in coco_objects(root / OBJECTS) if each.label == OUTLIER and each.kind not in HELD_OUT]
    found: list[np.ndarray] = []
    for number, each in enumerate(scenes):
        image, _ = with_objects(each, [draw(labels, rng) for _ in range(number % 2)], 0.8, rng)
        way = cv2.INTER_AREA if image.shape[0] > size[0] else cv2.INTER_LINEAR
        found.append(cv2.resize(image, size[::-1], interpolation=way)[None])
    return found


def check_data(root: Path) -> None:
    """Refuse a data folder that lacks what quantisation needs, before any work.

    Raises:
        InputError: naming the first set, split or object that is missing.
    """
    for split in ("train", "val"):
        read_scenes(root, SETS, split, 1)
    coco_objects(root / OBJECTS)


def validation_sets(root: Path, size: tuple[int, int]) -> dict[str, ValidationScenes]:
    """The validation scenes with held-out objects that files are validated on.

    "small" are of SETS, "sharp" the full-size scenes and the drive of ``sharp_scenes``, "far" the same with small
    objects on the road; the last two only where their data are.
    """
    sets = {"small": Validation(root, ((OBJECTS, 1.0),), VALIDATION_SCENES, size)}
    try:
        scenes = sharp_scenes(root, repeats=4)
    except InputError:
        scenes = []  # whoever quantises is told which sets there are
    if scenes:
        sets["sharp"] = Validation(root, ((OBJECTS, 1.0),), scenes, SHARP_SIZE)
        sets["far"] = Validation(root, ((OBJECTS, 1.0),), scenes, SHARP_SIZE, heights=FAR)
    return {
        name: [
            (np.ascontiguousarray(image.permute(1, 2, 0).numpy()[None]), label.numpy())
            for image, label in (found[index] for index in range(len(found)))
        ]
        for name, found in sets.items()
    }


def pictures(sets: dict[str, ValidationScenes]) -> list[np.ndarray]:
    """Some images of each validation set, evenly spread, (1, H, W, 3) uint8."""
    found: list[np.ndarray] = []
    for scenes in sets.values():
        places = np.linspace(0, len(scenes) - 1, min(PICTURES, len(scenes))).round().astype(int)
        found += [scenes[place][0] for place in places]
    return found


def maps(path: Path, card: Card, images: list[np.ndarray], engine: str = "onnxruntime") -> Maps:
    """First score and classes of images by an engine."""
    run = ENGINES[engine](path, available_cores())[1]
    found: Maps = []
    for image in images:
        heat, likely = run(image, [card.scores[0], "classes"])
        found.append((heat[0], likely[0]))
    return found


@dataclass(frozen=True)
class Difference:
    """Of maps to other maps of the same pictures.

    Attributes:
        deviation: mean difference of the scores over their standard deviation, mean over pictures.
        worst: the same of the picture where it is largest.
        classes: share of pixels whose class is another.
    """

    deviation: float
    worst: float
    classes: float

    @classmethod
    def of(cls, found: Maps, expected: Maps) -> Difference:
        """Of maps to those that they should be."""
        off = [
            float(np.abs(one - other).mean() / max(other.std(), 1e-12))
            for (one, _), (other, _) in zip(found, expected, strict=True)
        ]
        classes = [float((one != other).mean()) for (_, one), (_, other) in zip(found, expected, strict=True)]
        return cls(float(np.mean(off)), float(np.max(off)), float(np.mean(classes)))


def validate(path: Path, card: Card, sets: dict[str, ValidationScenes]) -> dict[str, float]:
    """AP and FPR95 of the card's first score, by ONNX Runtime, as fractions: means over the sets, and each set's AP.

    ``miou`` is that of the first set.
    """
    run = ENGINES["onnxruntime"](path, available_cores())[1]
    classes = SemanticMetric(len(card.classes))
    figures: dict[str, dict[str, float]] = {}
    for name, scenes in sets.items():
        metric = PixelMetric()
        for index, (image, truth) in enumerate(scenes):
            heat, likely = run(image, [card.scores[0], "classes"])
            labels = np.where(truth == OUTLIER, ANOMALY, np.where(truth == IGNORE, IGNORE, KNOWN)).astype(np.uint8)
            metric.add(heat[0], labels, f"{name} {index}")
            if not figures:
                classes.add(likely[0], np.where(truth < len(card.classes), truth, IGNORE).astype(np.uint8))
        figures[name] = metric.result()
    return {
        "ap": float(np.mean([each["ap"] for each in figures.values()])),
        "fpr95": float(np.mean([each["fpr95"] for each in figures.values()])),
        "miou": classes.result()["miou"],
        **{f"ap {name}": each["ap"] for name, each in figures.items()},
    }
