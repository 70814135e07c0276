"""Training crops a batch at a time, by tensor operations on the device that trains: for a GPU that must not wait.

What ``oddroad.learn.data.Crops`` does with one crop on a CPU, in the same order and with the same chances: known scenes
at a random scale, objects of known and of odd classes pasted at the scene's own sharpness, other light and surfaces,
distortions. It differs in detail: objects are placed on the crop, not on the scene, so that all of them are seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import IterableDataset

from oddroad.learn.atlas import CONTENT
from oddroad.learn.chance import Chance, column
from oddroad.learn.data import Crops
from oddroad.learn.distort import distort
from oddroad.learn.known import Scene, SceneList, at_once, named_classes
from oddroad.learn.pasting import SHAPES, Objects, Views
from oddroad.learn.surfaces import ROAD, SURFACES, detail_layer
from oddroad.recipe import Recipe

DETAILS = 128
"""Pictures of fine structure that are kept."""


class Bank:
    """Known scenes of one stored size, on a device."""

    def __init__(self, scenes: list[Scene], device: torch.device):
        self.images = torch.from_numpy(np.stack([each.image for each in scenes]).transpose(0, 3, 1, 2)).to(device)
        self.labels = torch.from_numpy(np.stack([each.label for each in scenes])).to(device)
        self.aspect = scenes[0].aspect

    def crops(self, rows: Tensor, size: tuple[int, int], scale: tuple[float, float], chance: Chance) -> Views:
        """Random crops of some of its scenes, enlarged and half of them mirrored.

        Args:
            rows: (n,) int64, the scenes.
            size: (H, W) of a crop.
            scale: as ``Scenes.scale``.
            chance: for n crops.
        """
        height = (256 * chance.even(*scale)).clamp(min=max(size[0], size[1] / self.aspect))
        width = (height * self.aspect * chance.uniform(0.9, 1.1)).clamp(min=size[1])
        left, top = chance.uniform(0, 1) * (width - size[1]), chance.uniform(0, 1) * (height - size[0])
        across = torch.arange(size[1], device=height.device).float()
        down = torch.arange(size[0], device=height.device).float()
        x = torch.where(chance.holds(0.5)[:, None], across.flip(0), across) + left[:, None] + 0.5
        x, y = x / width[:, None], (down + top[:, None] + 0.5) / height[:, None]
        grid = torch.stack(torch.broadcast_tensors(2 * x[:, None] - 1, 2 * y[:, :, None] - 1), -1)
        how = {"align_corners": False, "padding_mode": "border"}
        pictures = self.images[rows].float()
        soft, crisp = (F.grid_sample(pictures, grid, mode=way, **how) for way in ("bilinear", "bicubic"))
        images = torch.where(column(chance.holds(0.5)), soft, crisp.clamp(0, 255))
        labels = F.grid_sample(self.labels[rows].float()[:, None], grid, mode="nearest", **how)[:, 0].to(torch.uint8)
        return Views(images, labels, 0.4 * height - top, height, height / self.images.shape[-2])


class Batches(IterableDataset):
    """The batches of a run that are left, each made when it is asked for; step i depends on the seed, i and the device.

    Args:
        recipe: the run.
        root: folder that holds the data sets.
        device: where the crops are made and given out.
        first: the step to begin with.
        place: rank of this process and number of processes; each gives out its share of a batch.

    Raises:
        InputError: if a set is unknown or not there.
    """

    def __init__(
        self, recipe: Recipe, root: Path, device: torch.device, first: int = 0, place: tuple[int, int] = (0, 1)
    ):
        self.recipe, self.device, self.first, self.place = recipe, device, first, place
        self.crops = crops = Crops(root, recipe.scenes, recipe.outliers, 0, recipe.seed)
        scenes = crops.known_scenes
        self.banks, self.places = banks_of(scenes, round(256 * recipe.scenes.scale[1]), device)
        rng = np.random.default_rng((recipe.seed, 0))
        some = rng.choice(len(scenes), min(SHAPES // 4, len(scenes)), replace=False)
        pieces = [scenes[int(each)].image for each in some]
        self.objects = Objects(crops.odd, crops.known, crops.textures, pieces, recipe.seed, device)
        scenes.kept.clear()
        self.details = self.detail_bank(crops.textures or pieces)
        self.group = torch.full((256,), len(SURFACES), device=device)
        for number, members in enumerate(SURFACES):
            self.group[list(members)] = number

    def detail_bank(self, pictures: list[np.ndarray]) -> Tensor:
        """(DETAILS, H, W) float16 pictures of fine structure, mean 0, standard deviation 1."""
        rng = np.random.default_rng((self.recipe.seed, 1))
        count = DETAILS if self.recipe.scenes.surfaces else 1
        found = [detail_layer(pictures, self.recipe.scenes.crop, rng)[..., 0] for _ in range(count)]
        return torch.from_numpy(np.stack(found)).half().to(self.device)

    def __len__(self) -> int:
        return self.recipe.optimiser.steps

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for step in range(self.first, len(self)):
            yield self.batch(step)

    def batch(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Images (n, 3, H, W) uint8, labels (n, H, W) int64, and the classes each set can name (n, classes) bool."""
        rank, processes = self.place
        count, scenes = self.recipe.optimiser.batch // processes, self.recipe.scenes
        rng = np.random.default_rng((self.recipe.seed, step, rank))
        numbers = sorted((self.crops.draw_scene(rng) for _ in range(count)), key=lambda each: self.places[each][0])
        parts = []
        for at, bank in enumerate(self.banks):
            rows = [self.places[each][1] for each in numbers if self.places[each][0] == at]
            if rows:
                chance = Chance(int(rng.integers(2**62)), len(rows), self.device)
                parts.append(bank.crops(torch.tensor(rows, device=self.device), scenes.crop, scenes.scale, chance))
        views = Views(*(torch.cat(each) for each in zip(*parts, strict=True)))
        chance = Chance(int(rng.integers(2**62)), count, self.device)
        self.objects.paste(views, self.recipe.outliers, chance)
        if scenes.surfaces:
            self.vary(views, chance)
        images = views.images.clamp(0, 255)
        if scenes.distort:
            images = distort(images, scenes.distort, chance.generator)
        names = [self.crops.known_scenes.samples[each][0] for each in numbers]
        named = np.stack([named_classes(each, self.recipe.network.classes) for each in names])
        return images.round().to(torch.uint8), views.labels.long(), torch.from_numpy(named).to(self.device)

    def vary(self, views: Views, chance: Chance) -> None:
        """Marks, other surfaces and shadows on a share of the crops, in place, as ``oddroad.learn.surfaces.vary``."""
        images, labels = views.images, views.labels
        varied = chance.holds(self.recipe.scenes.surfaces)
        road = labels == ROAD
        size = rows, columns = labels.shape[1], labels.shape[2]
        marked = varied & chance.holds(0.5)
        for more in (1.0, 2 / 3, 1 / 2):
            marked = marked & chance.holds(more)
            x, y, there = chance.pixel(road)
            wide = (y - views.horizon).clamp(min=6) * chance.even(0.2, 3)
            high = wide * chance.uniform(0.08, 0.3)
            factor = torch.where(chance.holds(0.6), chance.uniform(0.6, 0.9), chance.uniform(1.1, 1.7))
            outline = self.objects.outline(x - wide / 2, y - high / 2, wide, high, CONTENT / wide, size, chance)
            images *= 1 + column((factor - 1) * (marked & there)) * outline * road[:, None]
        self.retexture(images, labels, varied & chance.holds(0.75), chance)
        shaded = varied & chance.holds(0.5)
        for more in (1.0, 2 / 3, 1 / 2):
            shaded = shaded & chance.holds(more)
            high, wide = rows * chance.uniform(0.1, 1.2), columns * chance.uniform(0.1, 1.2)
            y = chance.uniform(0, 1) * (rows + high / 2) - high / 2
            x = chance.uniform(0, 1) * (columns + wide / 2) - wide / 2
            soft = 2 * CONTENT * chance.even(0.5, 15) / torch.maximum(high, wide)
            factor = torch.where(chance.holds(0.7), chance.uniform(0.4, 0.85), chance.uniform(1.1, 1.6))
            outline = self.objects.outline(x, y, wide, high, soft, size, chance)
            images *= 1 + column((factor - 1) * shaded) * outline

    def retexture(self, images: Tensor, labels: Tensor, chosen: Tensor, chance: Chance) -> None:
        """A tint and a grain on some surfaces of the chosen crops, a grain on some of the rest; in place."""
        group = self.group[labels.long()]
        for number in range(len(SURFACES) + 1):
            tinted = chosen & chance.holds(0.6 if number < len(SURFACES) else 0.5)
            grain = self.details[chance.index(len(self.details))].float()
            grain = torch.where(chance.holds(0.5)[:, None, None], grain.flip(2), grain)
            amplitude = chance.uniform(2, 12)
            mask = ((group == number) & tinted[:, None, None])[:, None]
            changed = images
            if number < len(SURFACES):
                amplitude = amplitude * chance.holds(0.7)
                gain = (chance.normal(0.2, 1) + chance.normal(0.09, 3)).exp()
                changed = images * gain[..., None, None] + column(chance.normal(6))
            images.copy_(torch.where(mask, changed + column(amplitude) * grain[:, None], images))


def banks_of(scenes: SceneList, most: int, device: torch.device) -> tuple[list[Bank], list[tuple[int, int]]]:
    """All scenes on a device, and where each of them is: number of its bank, and place in it.

    Args:
        scenes: the scenes; one that is there twice is kept once.
        most: largest number of rows that are kept.
        device: where they lie.
    """
    once = {sample.image: number for number, (_, sample) in reversed(list(enumerate(scenes.samples)))}
    decoded = dict(zip(once, at_once(lambda number: lowered(scenes[number], most), once.values()), strict=True))
    shapes: dict[tuple, list[Scene]] = {}
    place: dict[Path, tuple[tuple, int]] = {}
    for path, scene in decoded.items():
        shape = (*scene.image.shape, round(scene.aspect, 3))
        place[path] = shape, len(shapes.setdefault(shape, []))
        shapes[shape].append(scene)
    order = list(shapes)
    places = [(order.index(place[each.image][0]), place[each.image][1]) for _, each in scenes.samples]
    return [Bank(each, device) for each in shapes.values()], places


def lowered(scene: Scene, most: int) -> Scene:
    """The scene, no higher than it is ever shown."""
    if scene.image.shape[0] <= most:
        return scene
    size = (round(scene.image.shape[1] * most / scene.image.shape[0]), most)
    image = cv2.resize(scene.image, size, interpolation=cv2.INTER_AREA)
    return Scene(image, cv2.resize(scene.label, size, interpolation=cv2.INTER_NEAREST), scene.aspect)
