"""Whether a converted network recognises anything: its mean IoU on two labelled scenes, beside that of chance, and of
the same weights under other conventions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from torch import nn

from oddroad.datasets import DATASETS, class_tables, read_image, read_label
from oddroad.errors import InputError, counted
from oddroad.learn.detector import Detector
from oddroad.learn.tensor_ops import resize
from oddroad.metrics import SemanticMetric
from oddroad.types import IGNORE

HEIGHT = 512
"""Larger scenes are brought to this height, so that it takes seconds."""

SCENES = 2

NEAR_CHANCE = 2.0
"""Mean IoU below so many times that of shuffled predictions counts as chance."""

CLEARLY_BETTER = 0.02
"""By which, as a fraction, another convention must be better to be named."""


class Converted(Protocol):
    """A network with its metadata."""

    network: nn.Module
    about: dict[str, Any]


@dataclass(frozen=True)
class LabelledScenes:
    """A few scenes with classes.

    Attributes:
        words: where they are from.
        pairs: images (H, W, 3) uint8 RGB and labels (H, W) uint8, IGNORE where there is no class.
    """

    words: str
    pairs: tuple[tuple[np.ndarray, np.ndarray], ...]


@dataclass(frozen=True)
class Check:
    """How a converted network does.

    Attributes:
        miou: mean IoU, as a fraction.
        chance: of the same predictions, shuffled.
        scenes: what it was judged on, in words.
        better: a change of the options that does clearly better and its mean IoU; "" if there is none.
    """

    miou: float
    chance: float
    scenes: str
    better: tuple[str, float] = ("", 0.0)

    @property
    def suspicious(self) -> bool:
        """Whether a convention is likely wrong."""
        return self.miou < NEAR_CHANCE * self.chance or bool(self.better[0])

    def line(self) -> str:
        """The result in one line."""
        found = f"mIoU {100 * self.miou:.1f} % on {self.scenes}, chance {100 * self.chance:.1f} %"
        if self.miou < NEAR_CHANCE * self.chance:
            found += ": near chance, so classes, void, channel order or value range are probably not as taken"
        if self.better[0]:
            found += f"; with {self.better[0]} it is {100 * self.better[1]:.1f} %"
        return found


def labelled_scenes(root: Path, classes: Sequence[str]) -> LabelledScenes:
    """Scenes of the first data set below a folder whose labels can be brought to these classes.

    Raises:
        InputError: if there is none.
    """
    tables = class_tables(classes)
    for name, table in tables.items():
        try:
            samples = DATASETS[name].load(root, "val")
        except InputError:
            continue
        chosen = [samples[at] for at in np.linspace(0, len(samples) - 1, SCENES).round().astype(int)]
        pairs = tuple(reduced(read_image(each), table[read_label(each)], len(classes)) for each in chosen)
        return LabelledScenes(f"{counted(len(pairs), 'scene')} of {name}/val", pairs)
    raise InputError(
        f"no data set with these classes lies at or below '{root}'; expected one of: {', '.join(tables) or 'none'}"
    )


def reduced(image: np.ndarray, label: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """A scene of at most HEIGHT pixels, its label IGNORE where it has no single class."""
    label = np.where(label < classes, label, IGNORE).astype(np.uint8)
    if image.shape[0] <= HEIGHT:
        return image, label
    size = (round(image.shape[1] * HEIGHT / image.shape[0]), HEIGHT)
    return (
        cv2.resize(image, size, interpolation=cv2.INTER_AREA),
        cv2.resize(label, size, interpolation=cv2.INTER_NEAREST),
    )


def mean_iou(network: nn.Module, about: Mapping[str, Any], scenes: LabelledScenes) -> tuple[float, float]:
    """Mean IoU of a network on scenes, and that of its predictions shuffled, as fractions."""
    classes = len(about["classes"])
    metric = SemanticMetric(classes)
    detector = Detector(network, {}, str(about["normalisation"]), known=classes).eval()
    for image, label in scenes.pairs:
        height, width = label.shape
        with torch.inference_mode():
            below, right = -height % detector.multiple, -width % detector.multiple
            pixels = detector.pixels(torch.from_numpy(np.ascontiguousarray(image))[None])
            pixels = nn.functional.pad(pixels, (0, right, 0, below), mode="replicate")
            logits = resize(detector.network_outputs(pixels).logits, (height + below, width + right))
        metric.add(logits[0, :, :height, :width].argmax(0).numpy(), label)
    true, guessed = (metric.confusion.sum(axis) / max(metric.confusion.sum(), 1) for axis in (1, 0))
    both = true * guessed
    union = true + guessed - both
    chance = float(np.mean(both[union > 0] / union[union > 0])) if (union > 0).any() else 0.0
    return metric.result()["miou"], chance


def judge_conventions(done: Converted, scenes: LabelledScenes, again: Callable[..., Converted]) -> Check:
    """Judge a conversion, and the same file under other conventions.

    Args:
        done: the conversion.
        scenes: to judge on.
        again: converts the file with changed options.
    """
    miou, chance = mean_iou(done.network, done.about, scenes)
    inside = str(done.about["normalisation"]).split(":")
    others: dict[str, dict[str, Any]] = {
        "--void first": {"void": "first", "class_order": ()},
        "--void last": {"void": "last", "class_order": ()},
        "--channel-order rgb" if "bgr" in inside else "--channel-order bgr": {
            "channel_order": "rgb" if "bgr" in inside else "bgr"
        },
        "--value-range 0-1" if "0-255" in inside else "--value-range 0-255": {
            "value_range": "0-1" if "0-255" in inside else "0-255"
        },
    }
    better = ("", 0.0)
    for words, change in others.items():
        try:
            other = again(**change)
        except InputError:
            continue
        found = mean_iou(other.network, other.about, scenes)[0]
        if found > max(better[1], miou + CLEARLY_BETTER):
            better = (words, found)
    return Check(miou, chance, scenes.words, better)
