"""Intervals over images equal those of a plain bootstrap that pools the pixels of the drawn images."""

from __future__ import annotations

import numpy as np
import pytest

from oddroad.metrics import ExactPixelMetric, PixelMetric
from oddroad.metrics.bootstrap import COARSE, FIGURES, intervals

Frame = tuple[np.ndarray, np.ndarray]


def scenes(count: int, decimals: int, pixels: int = 400) -> list[Frame]:
    """Scores and labels (1, P) of frames whose difficulty differs; a tenth of each frame shares one score."""
    draw = np.random.default_rng(3)
    made = []
    for number in range(count):
        labels = (draw.random((1, pixels)) < draw.uniform(0.02, 0.3)).astype(np.uint8)
        scores = draw.normal(size=labels.shape) + draw.uniform(0, 3) * labels
        scores[:, : pixels // 10] = number % 2 - 0.5
        made.append((scores.astype(np.float32).round(decimals), labels))
    return made


def counted(frames: list[Frame], bins: int = COARSE) -> list[PixelMetric]:
    """The counts of each frame."""
    found = []
    for frame in frames:
        found.append(PixelMetric(bins))
        found[-1].add(*frame)
    return found


def plain(frames: list[Frame], resamples: int, level: float, seed: int) -> dict[str, tuple[float, float]]:
    """By pooling the pixels of the images drawn."""
    draw = np.random.default_rng(seed)
    values: dict[str, list[float]] = {name: [] for name in FIGURES}
    for _ in range(resamples):
        metric = ExactPixelMetric()
        for at in draw.integers(0, len(frames), len(frames)):
            metric.add(*frames[at])
        for name, value in metric.result().items():
            if name in values:
                values[name].append(value)
    shares = [50 - 50 * level, 50 + 50 * level]
    return {name: tuple(np.nanpercentile(each, shares)) for name, each in values.items()}


@pytest.mark.parametrize(("level", "seed"), [(0.8, 7), (0.95, 0)])
def test_exact_while_the_scores_fit_the_bins(level: float, seed: int) -> None:
    frames = scenes(7, 1)
    expected = plain(frames, 40, level, seed)
    found = intervals(counted(frames), 40, level, seed)
    assert found.keys() == expected.keys() == set(FIGURES)
    for name, interval in found.items():
        assert interval == pytest.approx(expected[name], abs=1e-12), name
    if (level, seed) == (0.95, 0):
        assert intervals(counted(frames), 40) == found


def test_close_where_the_bins_are_few_and_differ_between_frames() -> None:
    frames = [*scenes(3, 1, 4000), *((scores + 0.01, labels) for scores, labels in scenes(3, 7, 4000))]
    counts = counted(frames, 256)
    assert len({each.shift for each in counts}) > 1
    expected = plain(frames, 60, 0.9, 1)
    for name, interval in intervals(counts, 60, 0.9, 1).items():
        assert interval == pytest.approx(expected[name], abs=0.01), name


def test_frames_without_an_anomaly_take_part(recwarn: pytest.WarningsRecorder) -> None:
    frames = scenes(3, 1)
    for scores, labels in frames[1:]:
        labels[:] = 0
        scores += 0.5
    expected = plain(frames, 30, 0.95, 0)
    found = intervals(counted(frames), 30)
    assert found["ap"] == pytest.approx(expected["ap"], abs=1e-12)
    none = [(scores, np.zeros_like(labels)) for scores, labels in frames]
    assert np.isnan(intervals(counted(none), 3)["ap"]).all()
    assert not recwarn.list


def test_values_apart_in_a_frame_but_not_in_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oddroad.metrics.pixel.TIES", 10)
    frames = []
    for number, (scores, labels) in enumerate(scenes(6, 1)):
        scores[:, ::3] = 0.25 * (number // 2) + 100 * number
        frames.append((scores, labels))
    counts = counted(frames)
    monkeypatch.setattr("oddroad.metrics.pixel.TIES", 2)
    expected = plain(frames, 30, 0.95, 0)
    for name, interval in intervals(counts, 30).items():
        assert interval == pytest.approx(expected[name], abs=1e-12), name
    whole = PixelMetric(COARSE)
    for each in counts:
        whole.merge(each)
    assert not whole.apart


def test_one_frame_has_no_spread() -> None:
    (frame,) = counted(scenes(1, 1))
    expected = frame.result()
    for name, (low, high) in intervals([frame], 5).items():
        assert low == high == pytest.approx(expected[name])
