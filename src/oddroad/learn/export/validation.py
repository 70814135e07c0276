"""The scenes that quantisation takes its ranges from and that quantised files are validated on, and the validation."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from oddroad.card import Card
from oddroad.concurrency import available_cores
from oddroad.inference.engines import ENGINES
from oddroad.learn.data.cutouts import HELD_OUT, coco_objects
from oddroad.learn.data.pasting import draw, with_objects
from oddroad.learn.data.scenes import read_scenes
from oddroad.learn.data.validation import Validation
from oddroad.metrics import PixelMetric, SemanticMetric
from oddroad.types import ANOMALY, IGNORE, KNOWN, OUTLIER

SETS, OBJECTS = ("cityscapes_small", "camvid"), "coco128-seg"
"""Scenes and objects below the data folder: their training split to calibrate, their validation split to validate."""


CALIBRATION_FRAMES, VALIDATION_SCENES, RANKING_FRAMES = 32, 50, 4
"""Frames that ranges are taken from; scenes of each set to validate on; frames to see on which layers hurt most."""


def calibration_images(root: Path, count: int, size: tuple[int, int]) -> list[np.ndarray]:
    """Training scenes (1, H, W, 3) uint8, every second one with pasted objects of training; fixed, from a seed."""
    import cv2

    rng = np.random.default_rng(2027)
    scenes = read_scenes(root, SETS, "train", -(-count // len(SETS)))[:count]
    labels = [each for each in coco_objects(root / OBJECTS) if each.label == OUTLIER and each.kind not in HELD_OUT]
    found: list[np.ndarray] = []
    for number, each in enumerate(scenes):
        image, _ = with_objects(each, [draw(labels, rng) for _ in range(number % 2)], 0.8, rng)
        found.append(cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)[None])
    return found


def check_data(root: Path) -> None:
    """Refuse a data folder that lacks what quantisation needs, before any work.

    Raises:
        InputError: naming the first set, split or object that is missing.
    """
    for split in ("train", "val"):
        read_scenes(root, SETS, split, 1)
    coco_objects(root / OBJECTS)


ValidationScenes = list[tuple[np.ndarray, np.ndarray]]
"""Images (1, H, W, 3) uint8 with labels (H, W) int64."""


def validation_scenes(root: Path, size: tuple[int, int]) -> ValidationScenes:
    """The validation scenes with held-out objects that files are validated on."""
    validation = Validation(root, ((OBJECTS, 1.0),), VALIDATION_SCENES, size)
    pairs = (validation[index] for index in range(len(validation)))
    return [(np.ascontiguousarray(image.permute(1, 2, 0).numpy()[None]), label.numpy()) for image, label in pairs]


def validate(path: Path, card: Card, scenes: ValidationScenes) -> dict[str, float]:
    """AP and FPR95 of the card's first score and mean IoU, as fractions, by ONNX Runtime."""
    run = ENGINES["onnxruntime"](path, available_cores())[1]
    metric, classes = PixelMetric(), SemanticMetric(len(card.classes))
    for index, (image, truth) in enumerate(scenes):
        heat, likely = run(image, [card.scores[0], "classes"])
        labels = np.where(truth == OUTLIER, ANOMALY, np.where(truth == IGNORE, IGNORE, KNOWN)).astype(np.uint8)
        metric.add(heat[0], labels, f"validation {index}")
        classes.add(likely[0], np.where(truth < len(card.classes), truth, IGNORE).astype(np.uint8))
    figures = metric.result()
    return {"ap": figures["ap"], "fpr95": figures["fpr95"], "miou": classes.result()["miou"]}
