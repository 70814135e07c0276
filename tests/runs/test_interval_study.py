"""The study of intervals, tiny: it goes on where it stopped, and its fast figures are those of the package."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from oddroad.metrics import PixelMetric

PATH = Path(__file__).resolve().parents[2] / "runs" / "interval_study.py"


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, with few repetitions of few resamples and without the populations that need a detector."""
    spec = importlib.util.spec_from_file_location("interval_study", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, value in (
        ("REAL", ()),
        ("SIZES", (6,)),
        ("BLOCK", 2),
        ("RESAMPLES", 10),
        ("DOUBLE", (5, 4)),
        ("PRECISE", 3),
    ):
        monkeypatch.setattr(module, name, value)
    return module


def test_it_goes_on_where_it_stopped(study, tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    drives = np.repeat(study.drawn_law(rng, study.DRIVES, "heavy"), study.FRAMES, axis=0)
    np.savez(tmp_path / "drives.npz", one=drives, other=drives)
    words = ["interval_study.py", "nowhere", "--out", str(tmp_path), "--repetitions"]
    for repetitions, lines in (("2", 7), ("4", 12), ("4", 12)):
        monkeypatch.setattr(sys, "argv", [*words, repetitions])
        study.main()
        assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == lines
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", [*words, "4", "--table"])
    study.main()
    said = capsys.readouterr().out
    assert "one, ap, n = 6, 4 repetitions" in said
    assert "| chosen |" in said
    assert "| sequences |" in said


def test_the_fast_figures_are_the_packages(study):
    rng, frames = np.random.default_rng(1), []
    for _ in range(5):
        label = (rng.random((40, 50)) < 0.1).astype(np.uint8)
        frames.append(PixelMetric(2048))
        frames[-1].add((rng.normal(size=label.shape) + 1.5 * label).astype(np.float32), label)
    whole = PixelMetric(2048)
    for frame in frames:
        whole.merge(frame)
    counts = study.stacked(frames)
    assert counts.sum() == 5 * 40 * 50
    wanted = [whole.result()[each] for each in study.FIGURES]
    assert study.figures(counts.sum(0)[None])[0] == pytest.approx(wanted, abs=0.01)
