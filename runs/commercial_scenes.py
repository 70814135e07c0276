"""The data of the recipe on commercial terms, as folders of images and masks with class maps, and folders of objects.

Run as ``python runs/commercial_scenes.py OUT``. Writes below OUT: ``rendered`` (drives of our own generator, each with
another camera), ``motorway`` (the packaged clip, MIT terms: its lane is road, the rest known and of no class), and
``sprites`` (cut-outs of our own generator). Nothing else is read.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np

from oddroad.io.sources import Source
from oddroad.io.video import read
from oddroad.synthetic.motorway_drive import CLIP_FRAMES, clip_folder
from oddroad.synthetic.scenes import Street
from oddroad.synthetic.sprites import ANOMALIES

SIZE = (384, 768)
"""(H, W) of the rendered scenes."""

RENDERED = """\
# Our own generator; the values are Cityscapes' trainIds.
classes: {road: 0, sidewalk: 1, building: 2, vegetation: 8, terrain: 9, sky: 10, car: 13}
outlier: 254
"""

MOTORWAY = """\
# Udacity's clip, MIT terms: the lane ahead is road, the rest known and of no class.
classes: {road: 0, car: 13}
known: 100
"""

LANE, AHEAD = (-3.4, 0.8), 25.0
"""Metres right of the right edge line between which, and metres up to which, the motorway is road for sure."""


def write(home: Path, drive: str, number: int, image: np.ndarray, mask: np.ndarray) -> None:
    """Write one image and its mask."""
    for folder, pixels in (("images", image[..., ::-1]), ("masks", mask)):
        path = home / folder / drive / f"{number:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not cv2.imwrite(str(path), pixels):
            raise SystemExit(f"cannot write '{path}'")


def render(home: Path, drives: int, views: int) -> None:
    """Drives with anomalies on every second one, each with its own camera."""
    for seed in range(1000, 1000 + drives):
        rng = np.random.default_rng(seed)
        street = Street(seed, SIZE, length=400.0, anomalies=8 if seed % 2 else 0)
        street.focal = SIZE[1] * rng.uniform(0.6, 1.3)
        street.horizon = SIZE[0] * rng.uniform(0.36, 0.52)
        street.asphalt = rng.uniform(60, 170)
        street.camera_height = rng.uniform(1.1, 2.0)
        for number in range(views):
            image, mask = street.view(float(rng.uniform(0, 340)), float(rng.uniform(0, 30)))
            write(home, f"drive{seed}", number, image, mask)
    (home / "classes.yaml").write_text(RENDERED)


def motorway(home: Path) -> None:
    """The frames of the packaged clip."""
    camera = json.loads((clip_folder() / "camera.json").read_text())
    clip = Source("video", str(clip_folder() / "motorway.mp4"), "motorway.mp4")
    for number, frame in zip(range(CLIP_FRAMES), read([clip]), strict=False):
        mask = np.full(frame.image.shape[:2], 100, np.uint8)
        edge = camera["edge_slope"][number] * camera["height"]
        away = camera["vanishing_x"][number], camera["vanishing_y"][number]
        corners = [
            (away[0] + camera["focal"] * (edge + beside) / ahead, away[1] + camera["focal"] * camera["height"] / ahead)
            for ahead, beside in ((AHEAD, LANE[0]), (AHEAD, LANE[1]), (3.0, LANE[1]), (3.0, LANE[0]))
        ]
        cv2.fillPoly(mask, [np.array(corners).round().astype(np.int32)], 0)
        write(home / "train", "udacity", number, frame.image, mask)
    (home / "classes.yaml").write_text(MOTORWAY)


def sprites(home: Path, each: int) -> None:
    """Cut-outs of the things that the generator draws."""
    home.mkdir(parents=True, exist_ok=True)
    for kind, (make, _) in ANOMALIES.items():
        for number in range(each):
            picture = make(np.random.default_rng(number))
            cv2.imwrite(str(home / f"{kind}-{number}.png"), cv2.cvtColor(picture, cv2.COLOR_RGBA2BGRA))


def main() -> None:
    """Write all three."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--drives", type=int, default=70)
    parser.add_argument("--views", type=int, default=6, help="images of each drive")
    given = parser.parse_args()
    render(given.out / "rendered", given.drives, given.views)
    motorway(given.out / "motorway")
    sprites(given.out / "sprites", 30)


if __name__ == "__main__":
    main()
