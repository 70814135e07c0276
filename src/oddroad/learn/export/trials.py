"""Files run in each engine in a process of their own, as an engine may crash on a graph that it should refuse."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from oddroad.errors import InputError
from oddroad.inference.engines import ENGINES

WARM_UP, TURNS = 3, 15
"""Calls of each file that do not count, and that count, where files are timed against each other."""


@dataclass(frozen=True)
class Trial:
    """Files to be run in a process of their own, as an engine may crash on a graph that it should refuse.

    Attributes:
        paths: the files.
        pictures: path of an .npz file of images (1, H, W, 3) uint8.
        threads: number of threads.
    """

    paths: tuple[str, ...]
    pictures: str
    threads: int

    def images(self) -> list[np.ndarray]:
        """The pictures."""
        with np.load(self.pictures) as found:
            return [found[name] for name in found.files]


def try_engines(trial: Trial) -> dict[str, Any]:
    """By how much the engines' maps of each file's first score differ on each picture.

    Mean difference over the standard deviation of ONNX Runtime's map, for each file a list.

    Raises:
        InputError: if a map holds values that are no numbers.
    """
    found: dict[str, Any] = {}
    images = trial.images()
    for path in trial.paths:
        runs = {engine: make(Path(path), trial.threads) for engine, make in ENGINES.items()}
        found[path] = []
        for image in images:
            maps: list[np.ndarray] = []
            for engine, (card, run) in runs.items():
                maps.append(run(image, [card.scores[0]])[0])
                if not np.isfinite(maps[-1]).all():
                    raise InputError(f"{engine} gives values that are no numbers")
            off = max(float(np.abs(maps[0] - other).mean()) for other in maps[1:])
            found[path].append(round(off / max(float(maps[0].std()), 1e-12), 4))
    return found


def race(trial: Trial) -> dict[str, Any]:
    """Median milliseconds of each file's first score in each engine; the files take turns, call by call."""
    image = trial.images()[0]
    runs: dict[tuple[str, str], Callable[[], Any]] = {}
    for path in trial.paths:
        for engine, make in ENGINES.items():
            card, run = make(Path(path), trial.threads)
            runs[path, engine] = partial(run, image, [card.scores[0]])
    spent: dict[tuple[str, str], list[float]] = {key: [] for key in runs}
    for turn in range(WARM_UP + TURNS):
        for key, call in runs.items():
            began = time.perf_counter()
            call()
            if turn >= WARM_UP:
                spent[key].append((time.perf_counter() - began) * 1e3)
    return {
        path: {f"{engine}_ms": round(float(np.median(spent[path, engine])), 2) for engine in ENGINES}
        for path in trial.paths
    }
