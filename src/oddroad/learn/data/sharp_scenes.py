"""Scenes as sharp as a camera's, for the validation set: what the small training scenes cannot show.

The scenes of ``oddroad.learn.data.validation.Validation`` are 256 and 360 pixels high. Judged on these alone a network
may take every fine texture for an object and nobody sees it. Here are the two full-size Cityscapes scenes and a
motorway drive, on which the same held-out objects are pasted.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from oddroad.datasets import driving
from oddroad.io.sources import find_sources
from oddroad.io.video import read
from oddroad.learn.data.scenes import Scene, at_height, read_scene
from oddroad.types import UNNAMED

HEIGHT = 512
"""Pixels of a sharp scene; the objects are pasted at that size."""


CLIP = "video/udacity_solidWhiteRight.mp4"
"""The drive below the data root, 960x540; no anomaly on it."""


CLIP_ROAD = ((450, 325), (500, 325), (870, 540), (60, 540))
"""Corners (x, y) of the part of the drive's frames that is road throughout."""


def drive_scenes(path: Path, every: int) -> list[Scene]:
    """Every n-th frame of the drive; its road has the label of road, the rest is UNNAMED."""
    found: list[Scene] = []
    for frame in read(find_sources([str(path)]), every):
        label = np.full(frame.image.shape[:2], UNNAMED, np.uint8)
        cv2.fillPoly(label, [np.array(CLIP_ROAD)], 0)
        found.append(at_height(Scene(frame.image, label, frame.image.shape[1] / frame.image.shape[0]), HEIGHT))
    return found


def sharp_scenes(root: Path, repeats: int = 8, every: int = 14) -> list[Scene]:
    """The full-size Cityscapes scenes, each several times, and frames of the drive.

    Args:
        root: folder that holds ``cityscapes`` in its official layout, and the drive.
        repeats: how often each Cityscapes scene is given, with other objects each time.
        every: every n-th frame of the drive.

    Raises:
        InputError: if there is no Cityscapes in its official layout.
    """
    table = np.arange(256, dtype=np.uint8)
    full = [at_height(read_scene(each, table), HEIGHT) for each in driving.cityscapes(root, "train")[:2]]
    return [each for each in full for _ in range(repeats)] + drive_scenes(root / CLIP, every)
