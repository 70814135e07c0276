"""The fixed validation set of held-out objects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from oddroad.learn.data.crops import as_tensors
from oddroad.learn.data.objects import Objects
from oddroad.learn.data.pasting import with_objects
from oddroad.learn.data.road_surfaces import painted_signs, repairs, resurfaced
from oddroad.learn.data.scenes import Scene, SceneList
from oddroad.learn.data.weather import KINDS, weathered
from oddroad.types import CITYSCAPES_CLASSES


class Validation(Dataset):
    """The validation set: objects of held-out classes on validation scenes of some sets; fixed, from its own seed.

    Args:
        root: folder that holds the data sets.
        objects: folders of objects below the root, each with its share; of COCO pictures the held-out classes.
        scenes: number of scenes of each set, or other scenes.
        size: (H, W) of the images given out.
        clean: paste nothing, to count false alarms.
        sets: the data sets.
        heights: of the objects in pixels of the stored scene, all on the road; None for those of all distances.
        varied: share of the objects with a shadow, and with a light and an edge that vary.
        weather: index of ``weather.KINDS`` that lies over every image, -1 for each in turn; None for none.
        roads: every road is one of two surfaces, mended and painted on, see ``road_surfaces``.
    """

    def __init__(
        self,
        root: Path,
        objects: Sequence[tuple[str, float]],
        scenes: int | Sequence[Scene],
        size: tuple[int, int],
        clean: bool = False,
        sets: Sequence[str] = ("cityscapes_small", "camvid"),
        heights: tuple[float, float] | None = None,
        varied: float = 0.0,
        weather: int | None = None,
        roads: bool = False,
    ):
        self.size, self.clean, self.heights, self.varied, self.weather = size, clean, heights, varied, weather
        self.roads = roads
        names: Sequence[str] = CITYSCAPES_CLASSES
        if isinstance(scenes, int):
            scenes = SceneList(root, sets, "val", scenes)
            names = scenes.names
        self.scenes: Sequence[Scene] = scenes
        self.objects = None if clean else Objects(root, objects, held_out=True, names=names)

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """(3, H, W) uint8 image and (H, W) int64 label."""
        scene = self.scenes[index]
        rng = np.random.default_rng((2026, index))
        objects = [] if self.objects is None else [self.objects.draw(rng) for _ in range(int(rng.integers(1, 4)))]
        on_road = 0.8 if self.heights is None else 1.0
        image, label = with_objects(scene, objects, on_road, rng, self.heights, self.varied)
        if self.roads:
            for change in (resurfaced, repairs, painted_signs):
                change(image, label, rng)
        rows, columns = self.size
        way = cv2.INTER_AREA if image.shape[0] > rows else cv2.INTER_LINEAR
        image = cv2.resize(image, (columns, rows), interpolation=way)
        if self.weather is not None:
            image = weathered(image, rng, index % len(KINDS) if self.weather < 0 else self.weather)
        return as_tensors(image, cv2.resize(label, (columns, rows), interpolation=cv2.INTER_NEAREST))
