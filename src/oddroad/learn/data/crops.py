"""In-distribution scenes with pasted objects as training crops."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from oddroad.datasets.samples import images_in
from oddroad.io.images import read_image
from oddroad.learn.data.appearance import surfaces_of, vary
from oddroad.learn.data.cameras import ego_vehicle, vary_camera
from oddroad.learn.data.class_balance import balanced, named_in
from oddroad.learn.data.cutouts import CutOut
from oddroad.learn.data.inscriptions import inscriptions
from oddroad.learn.data.objects import Objects
from oddroad.learn.data.pasting import draw, known_patch, with_objects
from oddroad.learn.data.photometric import distortions
from oddroad.learn.data.scenes import SceneList, at_once
from oddroad.learn.data.shapes import random_shape
from oddroad.learn.data.weather import weathered
from oddroad.recipe import Outliers, Scenes
from oddroad.types import IGNORE

ROWS = 256
"""Height that the scales of a recipe refer to."""


def as_tensors(image: np.ndarray, label: np.ndarray) -> tuple[Tensor, Tensor]:
    """(H, W, 3) uint8 and (H, W) uint8 as (3, H, W) uint8 and (H, W) int64."""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))), torch.from_numpy(label.astype(np.int64))


def crop_matrix(shape: tuple[int, int], aspect: float, scenes: Scenes, rng: np.random.Generator) -> np.ndarray:
    """(2, 3) from the pixels (x, y) of a scene to those of a random crop at a random scale, mirrored half the time.

    Args:
        shape: (h, w) of the scene as it is stored.
        aspect: its true width over height.
        scenes: size and scales of the crop.
        rng: of all choices.
    """
    rows, columns = scenes.crop
    low, high = scenes.scale
    height = max(ROWS * np.exp(rng.uniform(np.log(low), np.log(high))), rows, columns / aspect)
    width = height * aspect * rng.uniform(0.9, 1.1)
    along, down = width / shape[1], height / shape[0]
    x, y = rng.uniform(0, max(width - columns, 0)), rng.uniform(0, max(height - rows, 0))
    if rng.random() < 0.5:
        return np.array([[-along, 0, columns - 1 + x], [0, down, -y]])
    return np.array([[along, 0, -x], [0, down, -y]])


def crop(
    image: np.ndarray, label: np.ndarray, matrix: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Image and label of a crop of (rows, columns) by its matrix; what lies outside the scene is IGNORE."""
    rows, columns = size
    image = cv2.warpAffine(image, matrix, (columns, rows), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    label = cv2.warpAffine(
        label, matrix, (columns, rows), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=IGNORE
    )
    return image, label


def in_parts(maps: np.ndarray, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(h, w, C) uint8 through a (2, 3) matrix to (columns, rows), borders repeated; OpenCV takes four at once."""
    parts = [maps[..., at : at + 4] for at in range(0, maps.shape[-1], 4)]
    moved = [
        cv2.warpAffine(np.ascontiguousarray(each), matrix, size, borderMode=cv2.BORDER_REPLICATE) for each in parts
    ]
    return np.concatenate([each.reshape(*each.shape[:2], -1) for each in moved], axis=-1)


class Crops(Dataset):
    """Training crops; number i is the same for the same seed, whatever was drawn before it.

    Args:
        root: folder that holds the data sets.
        scenes: the in-distribution scenes.
        outliers: the pasted objects.
        count: number of crops in the run.
        seed: of every choice.
    """

    def __init__(self, root: Path, scenes: Scenes, outliers: Outliers, count: int, seed: int):
        self.scenes, self.outliers, self.count, self.seed = scenes, outliers, count, seed
        self.scene_list = SceneList(root, scenes.sets, "train", rows=round(ROWS * scenes.scale[1]))
        self.objects = Objects(root, outliers.objects, names=self.scene_list.names) if pastes(outliers) else None
        self.painted = surfaces_of(self.scene_list.names)
        self.textures = self.objects.textures if self.objects is not None else []
        self.textures = self.textures + surfaces(root, scenes.surfaces)
        self.chances = balanced(root, scenes) if scenes.class_balance or scenes.weights else None

    @cached_property
    def photometric(self):
        """The photometric augmentations, made when the first crop is."""
        return distortions(self.scenes.photometric)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """(3, H, W) uint8 image and (H, W) int64 label."""
        return self.drawn(index)[:2]

    def drawn(self, index: int) -> tuple[Tensor, Tensor, int, np.ndarray, np.ndarray]:
        """Image and label of a crop; the number of its scene, the scene's label with what was pasted, its matrix."""
        rng = np.random.default_rng((self.seed, index))
        number = self.draw_scene(rng)
        scene = self.scene_list[number]
        if self.scenes.cameras:
            scene = replace(scene, label=ego_vehicle(scene.label))
        objects: list[CutOut] = []
        found = self.objects
        if found is not None and rng.random() < self.outliers.in_distribution and found.classes:
            objects += [draw(found.classes, rng) for _ in range(int(rng.integers(1, 4)))]
        if found is not None and rng.random() < self.outliers.probability:
            for _ in range(int(rng.integers(1, self.outliers.max_objects + 1))):
                if rng.random() < self.outliers.shapes:
                    own = rng.random() < 0.3
                    objects.append(random_shape(rng, [scene.image] if own else self.textures or [scene.image]))
                else:
                    objects.append(found.draw(rng))
        if self.outliers.patches and rng.random() < self.outliers.patches:
            scene = replace(scene, image=scene.image.copy())
            for _ in range(int(rng.integers(1, 4))):
                known_patch(scene.image, scene.label, rng)
        image, whole = with_objects(scene, objects, self.outliers.on_road, rng, varied=self.outliers.varied)
        matrix = crop_matrix((image.shape[0], image.shape[1]), scene.aspect, self.scenes, rng)
        image, label = crop(image, whole, matrix, self.scenes.crop)
        if rng.random() < self.scenes.appearance:
            image = vary(image, label, self.textures or [scene.image], rng, self.painted)
        if self.scenes.cameras and rng.random() < self.scenes.cameras:
            image, label = vary_camera(image, label, rng)
        if self.scenes.inscriptions and rng.random() < self.scenes.inscriptions:
            image = image.copy()
            inscriptions(image, label, rng)
        if self.scenes.weather and rng.random() < self.scenes.weather:
            image = weathered(image, rng)
        if self.scenes.photometric:
            self.photometric.set_random_seed(int(rng.integers(2**31)))
            image = self.photometric(image=image)["image"]
        return (*as_tensors(image, label), number, whole, matrix)

    def draw_scene(self, rng: np.random.Generator) -> int:
        """The first draw of each crop: which scene."""
        if self.chances is not None:
            return int(np.searchsorted(self.chances, rng.random(), side="right").clip(max=len(self.chances) - 1))
        return int(rng.integers(len(self.scene_list)))

    def named(self, index: int, classes: int) -> Tensor:
        """(classes,) bool: the classes that the set of crop ``index`` can name."""
        name, _ = self.scene_list.samples[self.draw_scene(np.random.default_rng((self.seed, index)))]
        return torch.from_numpy(named_in(self.scene_list.tables[name], classes))


def surfaces(root: Path, folder: str) -> list[np.ndarray]:
    """Close-ups of road surfaces below a folder of the data root, for grain; none for ""."""
    return at_once(read_image, images_in(root / folder)) if folder else []


def pastes(outliers: Outliers) -> bool:
    """Whether a recipe pastes any objects."""
    return outliers.probability > 0 or outliers.in_distribution > 0
