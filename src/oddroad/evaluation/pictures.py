"""Pictures of frames beside the figures: which, and how new ones take the place of those of an earlier run."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from oddroad.errors import InputError, why

MOST_PICTURES = 100
"""Frames of a set that are drawn, beside the best, median and worst of each score."""


def frames_to_draw(frames: Sequence[dict[str, Any]], scores: Sequence[str]) -> set[str]:
    """Names of the frames to draw: evenly spread ones, and the best, median and worst of each score."""
    even = np.unique(np.linspace(0, len(frames) - 1, min(len(frames), MOST_PICTURES)).astype(int))
    chosen = {frames[at]["name"] for at in even}
    for score in scores:
        ranked = sorted((each for each in frames if each["ap"][score] is not None), key=lambda each: each["ap"][score])
        chosen |= {ranked[at]["name"] for at in (0, len(ranked) // 2, -1) if ranked}
    return chosen


def new_pictures(folder: Path) -> Path:
    """Where the pictures of a set wait until its figures are written; those of a run that was killed go."""
    drawn = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(drawn, ignore_errors=True)
    return drawn


def put_pictures(drawn: Path, folder: Path) -> None:
    """Put new pictures in the place of those of an earlier run, which would stand beside the figures of this one.

    Raises:
        InputError: if they cannot be moved.
    """
    try:
        new = {path.name for path in drawn.iterdir()} if drawn.is_dir() else set()
        folder.mkdir(parents=True, exist_ok=True)
        for name in sorted(new):
            (drawn / name).replace(folder / name)
        for ending in (".image.jpg", ".png"):
            for path in folder.glob(f"*{ending}"):
                if path.name not in new:
                    path.unlink()
    except OSError as error:
        raise InputError(
            f"the figures are written, but not their pictures to '{folder}': {why(error)}; run the same command again"
        ) from None
    shutil.rmtree(drawn, ignore_errors=True)
