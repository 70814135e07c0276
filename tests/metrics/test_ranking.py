"""Curves from counts at falling scores: which points are kept, and their exact values."""

from __future__ import annotations

import numpy as np
import pytest

from oddroad.metrics.ranking import Ranking


def ranking(found: np.ndarray, false: np.ndarray, positives: int, negatives: int) -> Ranking:
    """A ranking without bins of several scores."""
    zeros = np.zeros(len(found), int)
    precision = found / (found + false)
    return Ranking(
        thresholds=-np.arange(len(found), dtype=np.float32), found=found, false=false, step=np.diff(found, prepend=0),
        level=zeros, mixed=zeros.astype(bool), best=precision, worst=precision, slack=zeros, positives=positives,
        negatives=negatives,
    )  # fmt: skip


def test_a_short_curve_is_whole() -> None:
    curve = ranking(np.array([1, 2, 3, 4]), np.array([0, 1, 3, 6]), 4, 10).curve()
    assert curve == {"recall": [0.25, 0.5, 0.75, 1], "precision": [1, 2 / 3, 0.5, 0.4], "fpr": [0, 0.1, 0.3, 0.6]}


def test_without_one_kind_of_pixel_there_is_no_curve() -> None:
    nothing = {"recall": [], "precision": [], "fpr": []}
    assert ranking(np.array([1]), np.array([0]), 1, 0).curve() == nothing
    assert ranking(np.zeros(0, int), np.zeros(0, int), 0, 1).curve() == nothing


@pytest.mark.parametrize("points", [400, 12])
def test_a_long_curve_keeps_even_recalls_and_even_ratios_of_the_false_positive_rate(points: int) -> None:
    found = np.arange(1, 20_001)
    false = (found.astype(float) ** 3 / 10_000_000).astype(int)  # up to 800,000 of a million
    recall, fpr = found / 20_000, false / 1_000_000

    def first(values: np.ndarray, least: float) -> int:
        reached = values >= least
        return int(reached.argmax()) if reached.any() else len(values) - 1

    kept = {first(recall, each) for each in np.linspace(0, 1, points // 2)}
    kept |= {first(fpr, each) for each in np.geomspace(1e-6, 1, points // 2)}
    whole = ranking(found, false, 20_000, 1_000_000)
    curve = whole.curve(points)
    assert curve["recall"] == recall[sorted(kept)].tolist()
    assert curve["fpr"] == fpr[sorted(kept)].tolist()
    assert curve["precision"] == pytest.approx((found / (found + false))[sorted(kept)].tolist())
    assert points != 400 or curve == whole.curve()
