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
from oddroad.learn.export.parity import scene

WARM_UP, TURNS = 3, 15
"""Calls of each file that do not count, and that count, where files are timed against each other."""


@dataclass(frozen=True)
class Trial:
    """Files to be run in a process of their own, as an engine may crash on a graph that it should refuse.

    Attributes:
        paths: the files.
        size: (H, W) of the image.
        threads: number of threads.
    """

    paths: tuple[str, ...]
    size: tuple[int, int]
    threads: int


def try_engines(trial: Trial) -> dict[str, Any]:
    """The cross-engine deviation of each file's first score: mean difference of the maps over their standard deviation.

    Raises:
        InputError: if a map holds values that are no numbers.
    """
    found: dict[str, Any] = {}
    image = scene(*trial.size, 0)
    for path in trial.paths:
        maps: list[np.ndarray] = []
        for engine, make in ENGINES.items():
            card, run = make(Path(path), trial.threads)
            maps.append(run(image, [card.scores[0]])[0])
            if not np.isfinite(maps[-1]).all():
                raise InputError(f"{engine} gives values that are no numbers")
        found[path] = round(float(np.abs(maps[0] - maps[1]).mean() / max(maps[0].std(), 1e-12)), 4)
    return found


def race(trial: Trial) -> dict[str, Any]:
    """Median milliseconds of each file's first score in each engine; the files take turns, call by call."""
    image = scene(*trial.size, 0)
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
