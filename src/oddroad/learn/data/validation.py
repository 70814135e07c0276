"""The fixed validation set of held-out objects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from oddroad.learn.data.crops import as_tensors
from oddroad.learn.data.cutouts import HELD_OUT, coco_objects
from oddroad.learn.data.pasting import draw, with_objects
from oddroad.learn.data.scenes import Scene, SceneList


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
        self.outlier_cutouts = [] if clean else [each for each in coco_objects(root / objects) if each.kind in HELD_OUT]

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """(3, H, W) uint8 image and (H, W) int64 label."""
        scene = self.scenes[index]
        rng = np.random.default_rng((2026, index))
        count = 0 if self.clean else int(rng.integers(1, 4))
        on_road = 0.8 if self.heights is None else 1.0
        image, label = with_objects(
            scene, [draw(self.outlier_cutouts, rng) for _ in range(count)], on_road, rng, self.heights
        )
        rows, columns = self.size
        way = cv2.INTER_AREA if image.shape[0] > rows else cv2.INTER_LINEAR
        image = cv2.resize(image, (columns, rows), interpolation=way)
        return as_tensors(image, cv2.resize(label, (columns, rows), interpolation=cv2.INTER_NEAREST))
