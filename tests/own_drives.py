"""Folders of one's own images and masks with a class map, for tests."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

VALUES = {"road": 7, "car": 26, "tree": 21}
COLOURS = {"road": (128, 64, 128), "car": (0, 0, 142), "tree": (107, 142, 35)}
MAP = "classes: {road: 7, car: 26, tree: 21}\nignore: [0]\noutlier: 50\n"
COLOUR_MAP = 'classes: {road: "#804080", car: "0 0 142", tree: "#6b8e23"}\nignore: "#000000"\n'


def write_drives(
    home: Path, drives: tuple[str, ...] = ("a", "b", "c"), frames: int = 2, colours: bool = False, text: str = ""
) -> Path:
    """``images`` and ``masks`` of some drives, 32 x 64, trees above, road below, a car; and ``classes.yaml``."""
    rng = np.random.default_rng(0)
    for drive in drives:
        for number in range(frames):
            image = rng.integers(0, 256, (32, 64, 3), dtype=np.uint8)
            names = np.full((32, 64), "tree")
            names[14:] = "road"
            names[16:22, 8:20] = "car"
            mask = np.zeros((32, 64, 3) if colours else (32, 64), np.uint8)
            for name, value in (COLOURS if colours else VALUES).items():
                mask[names == name] = value[::-1] if isinstance(value, tuple) else value
            mask[:2] = 0
            for folder, pixels in (("images", image), ("masks", mask)):
                path = home / folder / drive / f"{number:03}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                assert cv2.imwrite(str(path), pixels)
    (home / "classes.yaml").write_text(text or (COLOUR_MAP if colours else MAP))
    return home
