"""Known scenes with pasted objects as training crops, and the fixed validation set of held-out objects."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from oddroad.learn.known import Scene, SceneList, balanced, named_classes
from oddroad.learn.objects import HELD_OUT, CutOut, coco_objects, paste, random_shape
from oddroad.learn.surfaces import vary
from oddroad.recipe import Outliers, Scenes
from oddroad.types import IGNORE, OUTLIER


def place(label: np.ndarray, on_road: bool, rng: np.random.Generator) -> tuple[tuple[int, int], int]:
    """Foot point and height in pixels of an object, on the road if wanted and there is one.

    On flat ground an object's height is to the distance of its foot below the horizon as it is to the height of the
    camera: 0.06 to 1.1 times that, about 8 cm to 1.5 m, as many small ones as large.
    """
    rows, columns = label.shape
    horizon = 0.4 * rows
    foot = (int(rng.integers(columns)), int(rng.uniform(horizon, rows * 1.05)))
    if on_road:
        ys, xs = np.nonzero(label == 0)
        if len(ys):
            chosen = int(rng.integers(len(ys)))
            foot = (int(xs[chosen]), int(ys[chosen]))
    below = max(foot[1] - horizon, 4.0)
    height = below * np.exp(rng.uniform(np.log(0.06), np.log(1.1)))
    return foot, int(np.clip(height, 4, 0.75 * rows))


def with_objects(
    scene: Scene,
    objects: list[CutOut],
    on_road: float,
    rng: np.random.Generator,
    heights: tuple[float, float] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Image and label of a scene with the objects pasted on it.

    Args:
        scene: the scene.
        objects: what is pasted.
        on_road: share of the objects that stand on the road.
        rng: of all choices.
        heights: smallest and largest height in pixels, uniform in its logarithm; None for that of ``place``.
    """
    image, label = scene.image.copy(), scene.label.copy()
    stretch = (image.shape[1] / image.shape[0]) / scene.aspect
    for each in objects:
        foot, height = place(scene.label, rng.random() < on_road, rng)
        if heights is not None:
            height = int(np.exp(rng.uniform(*np.log(heights))))
        paste(image, label, each, foot, height, stretch, rng)
    return image, label


def draw(objects: list[CutOut], rng: np.random.Generator) -> CutOut:
    """One of the objects."""
    return objects[int(rng.integers(len(objects)))]


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
    height = max(256 * np.exp(rng.uniform(np.log(low), np.log(high))), rows, columns / aspect)
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


def distortions(probability: float):
    """Colour, blur, sharpness, noise and JPEG distortions of an RGB image, each with a probability."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import albumentations as A

        return A.Compose(
            [
                A.ColorJitter((0.6, 1.4), (0.6, 1.4), (0.5, 1.5), (-0.04, 0.04), p=min(2 * probability, 1)),
                A.OneOf([A.GaussianBlur((3, 7)), A.MotionBlur((3, 7)), A.Downscale((0.4, 0.9))], p=probability),
                A.Sharpen((0.2, 0.9), p=probability),
                A.GaussNoise((0.01, 0.1), p=probability),
                A.ImageCompression(quality_range=(40, 95), p=probability),
                A.RandomGamma((60, 150), p=probability),
            ]
        )


class Crops(Dataset):
    """Training crops; number i is the same for the same seed, whatever was drawn before it.

    Args:
        root: folder that holds the data sets.
        scenes: the known scenes.
        outliers: the pasted objects.
        count: number of crops in the run.
        seed: of every choice.
    """

    def __init__(self, root: Path, scenes: Scenes, outliers: Outliers, count: int, seed: int):
        self.scenes, self.outliers, self.count, self.seed = scenes, outliers, count, seed
        self.known_scenes = SceneList(root, scenes.sets, "train")
        objects = coco_objects(root / outliers.objects) if pastes(outliers) else []
        self.odd = [each for each in objects if each.label == OUTLIER and each.kind not in HELD_OUT]
        self.known = [each for each in objects if each.label != OUTLIER]
        self.textures = [each.image for each in objects if each.kind not in HELD_OUT and min(each.image.shape[:2]) > 24]
        self.chances = balanced(root, scenes) if scenes.balance else None

    @cached_property
    def distort(self):
        """The distortions, made when the first crop is."""
        return distortions(self.scenes.distort)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """(3, H, W) uint8 image and (H, W) int64 label."""
        return self.drawn(index)[:2]

    def drawn(self, index: int) -> tuple[Tensor, Tensor, int, np.ndarray, np.ndarray]:
        """Image and label of a crop; the number of its scene, the scene's label with what was pasted, its matrix."""
        rng = np.random.default_rng((self.seed, index))
        number = self.draw_scene(rng)
        scene = self.known_scenes[number]
        objects: list[CutOut] = []
        if rng.random() < self.outliers.known:
            objects += [draw(self.known, rng) for _ in range(int(rng.integers(1, 4)))]
        if rng.random() < self.outliers.probability:
            for _ in range(int(rng.integers(1, self.outliers.most + 1))):
                if rng.random() < self.outliers.shapes:
                    own = rng.random() < 0.3
                    objects.append(random_shape(rng, [scene.image] if own else self.textures))
                else:
                    objects.append(draw(self.odd, rng))
        image, whole = with_objects(scene, objects, self.outliers.on_road, rng)
        matrix = crop_matrix((image.shape[0], image.shape[1]), scene.aspect, self.scenes, rng)
        image, label = crop(image, whole, matrix, self.scenes.crop)
        if rng.random() < self.scenes.surfaces:
            image = vary(image, label, self.textures or [scene.image], rng)
        if self.scenes.distort:
            self.distort.set_random_seed(int(rng.integers(2**31)))
            image = self.distort(image=image)["image"]
        return (*as_tensors(image, label), number, whole, matrix)

    def draw_scene(self, rng: np.random.Generator) -> int:
        """The first draw of each crop: which scene."""
        if self.chances is not None:
            return int(np.searchsorted(self.chances, rng.random(), side="right").clip(max=len(self.chances) - 1))
        return int(rng.integers(len(self.known_scenes)))

    def named(self, index: int, classes: int) -> Tensor:
        """(classes,) bool: the classes that the set of crop ``index`` can name."""
        name, _ = self.known_scenes.samples[self.draw_scene(np.random.default_rng((self.seed, index)))]
        return torch.from_numpy(named_classes(name, classes))


def pastes(outliers: Outliers) -> bool:
    """Whether a recipe pastes any objects."""
    return outliers.probability > 0 or outliers.known > 0


class Validation(Dataset):
    """The validation set: objects of held-out classes on validation scenes of some sets; fixed, from its own seed.

    Args:
        root: folder that holds the data sets.
        objects: folder of the COCO objects, below the root.
        scenes: number of scenes of each set, or other scenes.
        size: (H, W) of the images given out.
        clean: paste nothing, to count false alarms.
        sets: the data sets.
        heights: of the objects in pixels of the stored scene, all on the road; None for those of all distances.
    """

    def __init__(
        self,
        root: Path,
        objects: str,
        scenes: int | Sequence[Scene],
        size: tuple[int, int],
        clean: bool = False,
        sets: Sequence[str] = ("cityscapes_small", "camvid"),
        heights: tuple[float, float] | None = None,
    ):
        self.size, self.clean, self.heights = size, clean, heights
        self.scenes = SceneList(root, sets, "val", scenes) if isinstance(scenes, int) else scenes
        self.odd = [] if clean else [each for each in coco_objects(root / objects) if each.kind in HELD_OUT]

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """(3, H, W) uint8 image and (H, W) int64 label."""
        scene = self.scenes[index]
        rng = np.random.default_rng((2026, index))
        count = 0 if self.clean else int(rng.integers(1, 4))
        on_road = 0.8 if self.heights is None else 1.0
        image, label = with_objects(scene, [draw(self.odd, rng) for _ in range(count)], on_road, rng, self.heights)
        rows, columns = self.size
        way = cv2.INTER_AREA if image.shape[0] > rows else cv2.INTER_LINEAR
        image = cv2.resize(image, (columns, rows), interpolation=way)
        return as_tensors(image, cv2.resize(label, (columns, rows), interpolation=cv2.INTER_NEAREST))
