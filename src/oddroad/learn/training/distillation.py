"""Distillation: a teacher network's logits of the training scenes, kept on disk, cut like crops, and learned from.

Source: Hinton et al., "Distilling the Knowledge in a Neural Network", 2015. The teacher sees each scene once, as it is
stored; its map goes through the same crop as the labels. Pixels without a label, and those on which something was
pasted, teach nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.numpy import save
from torch import Tensor

from oddroad.errors import InputError
from oddroad.files import write_whole
from oddroad.learn.checkpoints.format import load_network
from oddroad.learn.data.crops import in_parts
from oddroad.learn.data.scenes import Scene, SceneList
from oddroad.learn.detector import Preprocessing
from oddroad.learn.losses.pixel import across_processes, at_labels
from oddroad.learn.tensor_ops import pad_to_multiple
from oddroad.types import CITYSCAPES_CLASSES, IGNORE, Sample

HEIGHT = 256
"""Pixels of a scene as the teacher sees it, its width by its true proportions; scenes that are lower are enlarged."""


CELL = 4
"""The teacher's logits are averaged over so many pixels of each row and column before they are kept."""


STEP = 0.1
"""Logits are kept as multiples of this below the largest of their pixel, in one byte: down to 25.4 below it."""


SILENT = 255
"""In all classes of a pixel: the teacher says nothing there."""


def encoded(logits: Tensor) -> np.ndarray:
    """(C, h, w) logits -> (C, h, w) uint8, the distance below the largest in units of STEP."""
    below = (logits.amax(0, keepdim=True) - logits) / STEP
    return below.round().clamp(max=SILENT - 1).to(torch.uint8).numpy()


def place_of(name: str, sample: Sample) -> str:
    """Under which a scene's map is kept: its set and the end of its path."""
    return "/".join((name, *sample.image.parts[-3:]))


def write_maps(
    path: Path,
    checkpoint: Path,
    root: Path,
    sets: Sequence[str],
    tell: Callable[[str, int, int], None] = lambda *_: None,
) -> None:
    """Ask a teacher about every training scene of some sets, and keep what it says in one file.

    Args:
        path: the file.
        checkpoint: the teacher, an oddroad checkpoint whose first classes are those of Cityscapes.
        root: folder that holds the data sets.
        sets: names of the data sets.
        tell: called with "teacher", the scenes done, and their number.

    Raises:
        InputError: if the checkpoint or the data cannot be used.
    """
    network, about = load_network(checkpoint)
    classes = len(CITYSCAPES_CLASSES)
    if list(about.get("classes", ()))[:classes] != list(CITYSCAPES_CLASSES):
        raise InputError(f"'{checkpoint}' does not know the {classes} classes of Cityscapes; choose another --teacher")
    preprocessing = Preprocessing.parse(str(about["normalisation"]))
    scenes = SceneList(root, tuple(dict.fromkeys(sets)), "train")
    kept: dict[str, np.ndarray] = {}
    for number in range(len(scenes)):
        scene = scenes[number]
        size = (round(HEIGHT * scene.aspect), HEIGHT)
        image = torch.from_numpy(cv2.resize(scene.image, size, interpolation=cv2.INTER_LINEAR))
        pixels = preprocessing.normalised(image.permute(2, 0, 1)[None].float())
        with torch.inference_mode():
            logits = network(pad_to_multiple(pixels, 32)).logits[:, :classes].float()
        if logits.shape[-2] < pixels.shape[-2]:
            logits = F.interpolate(logits, scale_factor=float(network.stride), mode="bilinear")  # type: ignore[arg-type]
        logits = F.avg_pool2d(logits[..., : size[1], : size[0]], CELL, ceil_mode=True)
        kept[place_of(*scenes.samples[number])] = encoded(logits[0])
        tell("teacher", number + 1, len(scenes))
    write_whole(path, save(kept), "teacher's maps")


class Teacher:
    """The maps of a teacher, cut as crops are.

    Args:
        path: the file that ``write_maps`` wrote.
        stride: of the labels in the loss.
    """

    def __init__(self, path: Path, stride: int):
        self.path, self.stride = path, stride

    @cached_property
    def opened(self) -> Any:
        """The file, opened by the process that reads it."""
        return safe_open(self.path, "np")

    def crop(self, place: str, scene: Scene, label: np.ndarray, matrix: np.ndarray, size: tuple[int, int]) -> Tensor:
        """What the teacher says of a crop.

        Args:
            place: of the scene's map, by ``place_of``.
            scene: the scene before anything was pasted.
            label: (h, w) uint8, after.
            matrix: (2, 3), from the scene's pixels to the crop's.
            size: (H, W) of the crop.

        Returns:
            (C, ceil(H / stride), ceil(W / stride)) uint8 as ``encoded``; SILENT in all classes where it says nothing.
        """
        stored = self.opened.get_tensor(place)
        offset = self.stride // 2
        out = (len(range(offset, size[1], self.stride)), len(range(offset, size[0], self.stride)))
        to_loss = (matrix - np.array([[0, 0, offset], [0, 0, offset]])) / self.stride
        across, down = label.shape[1] * CELL / round(HEIGHT * scene.aspect), label.shape[0] * CELL / HEIGHT
        to_scene = np.array([[across, 0, across / 2 - 0.5], [0, down, down / 2 - 0.5], [0, 0, 1]])
        found = in_parts(stored.transpose(1, 2, 0), to_loss @ to_scene, out)
        known = (label == scene.label) & (label != IGNORE)
        speaks = cv2.warpAffine(known.astype(np.uint8), to_loss, out, flags=cv2.INTER_NEAREST)
        found[speaks == 0] = SILENT
        return torch.from_numpy(np.ascontiguousarray(found.transpose(2, 0, 1)))


def distillation(logits: Tensor, taught: Tensor, temperature: float) -> Tensor:
    """Kullback-Leibler divergence of the network from its teacher, mean over the pixels of which it speaks.

    Args:
        logits: (N, C, h, w), enlarged to the teacher's maps.
        taught: (N, C, H, W) uint8 as ``encoded``.
        temperature: both are softened by it, and the value is multiplied by its square.
    """
    speaks = (taught < SILENT).any(1)
    target = (taught.float() * (-STEP / temperature)).softmax(1)
    own = (at_labels(logits, speaks) / temperature).log_softmax(1)
    values = (target * (target.clamp(min=1e-12).log() - own)).sum(1) * speaks
    return temperature**2 * values.sum() / across_processes(speaks.sum()).clamp(min=1e-12)
