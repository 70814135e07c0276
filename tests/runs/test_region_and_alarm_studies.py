"""The studies of regions of interest and of alarms an hour, on small made-up data."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

RUNS = Path(__file__).resolve().parents[2] / "runs"


def load(name: str) -> ModuleType:
    """A script as a module."""
    spec = importlib.util.spec_from_file_location(f"study_{name}", RUNS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_a_region_without_the_false_alarms_finds_more() -> None:
    script = load("roi_study")
    rng = np.random.default_rng(0)
    inside = np.zeros((32, 40), bool)
    inside[16:] = True
    regions = {"whole picture": None, "road": inside, "polygon": ~inside}
    pairs = []
    for _ in range(20):
        calm, odd = (rng.uniform(0, 1, (32, 40)).astype(np.float32) for _ in range(2))
        calm[2:4] = 5 + rng.uniform()  # a roof
        truth = np.zeros((32, 40), bool)
        truth[20:24, 10:14] = True
        odd[truth] = 3
        pairs.append((script.Seen(calm, regions), script.Seen(odd, regions, truth)))
    found = script.study(pairs)
    assert found["road"]["recall"] == 1
    assert found["whole picture"]["recall"] == found["polygon"]["recall"] == 0
    assert found["road"]["share"] == 0.5
    assert found["by row"]["objects"] == 20
    assert script.at_rate(list(range(100))) == 98
    assert script.at_rate(list(range(99))) == 98
    levels = script.by_rows([each for each, _ in pairs])
    flat = script.without_rows(np.zeros((32, 40), np.float32), levels)
    assert flat[3, 0] < -4
    assert flat[30, 0] == pytest.approx(-1, abs=0.05)


def test_alarms_that_come_together_break_what_counts_them_apart() -> None:
    script = load("coverage_study")
    levels = np.array([0, 6, 6, 0, 3, 0.7, 6.0])
    starts = script.starts_of(levels)
    assert starts.sum(1)[[0, -1]].tolist() == [2, 2]
    assert np.flatnonzero(starts[0]).tolist() == [1, 6]

    def swarms(rng: np.random.Generator, count: int) -> np.ndarray:
        drawn = np.zeros(count)
        if rng.random() < 0.02:
            drawn[::4] = 6.0
        return drawn

    found = script.alarms(swarms, 60, 200, 30.0, 20, seed=3)
    assert found["Poisson"][0] > 0.1
    assert found["over drives"][0] == 0
    assert found["over drives"][1] > 0
    assert found["over drives, every alarm"][0] > 0  # what the promise does not say
