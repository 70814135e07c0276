"""A real drive on a motorway with rendered things on the road that are known to the pixel: what the demo shows.

The clip and its camera lie in ``oddroad/synthetic/motorway``; its terms (MIT) stand beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import numpy as np

from oddroad.io.sources import Source
from oddroad.io.video import read
from oddroad.synthetic.solids import SOLIDS, Camera, place
from oddroad.types import ANOMALY, KNOWN, Frame

CLIP_FRAMES, CLIP_RATE = 150, 25.0
"""Frames of the clip, and frames per second."""


PLACES = ((34.0, -4.8), (62.0, 1.2), (90.0, -4.2), (118.0, -5.4), (146.0, -3.9), (174.0, -4.9), (200.0, 1.4))
"""Where things lie: metres ahead of the first frame's camera, and metres to the right of the right edge line."""


FARTHEST, NEAREST = 75.0, 3.0
"""Metres ahead of the camera between which things are drawn."""


def clip_folder() -> Path:
    """Folder of the clip, its camera and its terms."""
    return Path(str(resources.files("oddroad"))) / "synthetic" / "motorway"


def motorway_drive(seed: int = 0, frames: int = CLIP_FRAMES) -> Iterator[Frame]:
    """The first frames of the clip, each with its label: ANOMALY on the things, in-distribution elsewhere.

    >>> first = next(motorway_drive(seed=1, frames=1))
    >>> first.image.shape, sorted(set(first.label.ravel().tolist()))
    ((540, 960, 3), [0, 1])

    Args:
        seed: chooses which thing lies where, and how it is turned.
        frames: how many; the clip has 150.
    """
    camera = json.loads((clip_folder() / "camera.json").read_text())
    draw = np.random.default_rng(seed)
    kinds = list(SOLIDS)
    order = [kinds[number % len(kinds)] for number in range(len(PLACES))]
    if seed:
        draw.shuffle(order)
    things = [(SOLIDS[kind](), *where, draw.uniform(-0.5, 0.5)) for kind, where in zip(order, PLACES, strict=True)]
    clip = Source("video", str(clip_folder() / "motorway.mp4"), "motorway.mp4")
    for number, frame in zip(range(min(frames, CLIP_FRAMES)), read([clip]), strict=False):
        image, label = frame.image.copy(), np.full(frame.image.shape[:2], KNOWN, np.uint8)
        horizon = camera["vanishing_x"][number], camera["vanishing_y"][number]
        seen = Camera(camera["focal"], camera["height"], horizon)
        edge = camera["edge_slope"][number] * camera["height"]
        travelled = number * camera["metres_per_frame"]
        for solid, ahead, beside, yaw in sorted(things, key=lambda each: -each[1]):
            if NEAREST < ahead - travelled < FARTHEST:
                place(image, label, ANOMALY, seen, solid, edge + beside, ahead - travelled, yaw)
        yield Frame(image, "motorway", number, number / CLIP_RATE, label)
