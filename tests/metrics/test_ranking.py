"""Curves from counts at falling scores: which points are kept, and their exact values."""

from __future__ import annotations

import numpy as np
import pytest

from oddroad.metrics import ExactPixelMetric, PixelMetric
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


def test_figures_of_a_small_ranking_worked_out_by_hand() -> None:
    """Scores 3 (an anomaly), 2 (a normal pixel and an anomaly), 1 (an anomaly), 0 (two normal pixels)."""
    metric = ExactPixelMetric()
    metric.add(np.float32([[3, 2, 2, 1, 0, 0]]), np.uint8([[1, 1, 0, 1, 0, 0]]))
    found = metric.result()
    assert found == {
        "ap": pytest.approx((1 + 2 / 3 + 3 / 4) / 3), "ap_error": 0, "auroc": pytest.approx((3 + 2.5 + 2) / 9),
        "fpr95": pytest.approx(1 / 3), "fpr95_error": 0, "f1": pytest.approx(6 / 7), "prevalence": 0.5, "pixels": 6,
        "threshold": pytest.approx(1, rel=1e-6), "anomaly_pixels": 3,
    }  # fmt: skip
    assert found["threshold"] < 1
    assert {type(value) for value in found.values()} == {float}


@pytest.mark.parametrize("kind", [PixelMetric, ExactPixelMetric])
def test_without_one_kind_of_pixel_there_are_counts_alone(kind: type) -> None:
    for label, prevalence in ((0, 0.0), (1, 1.0)):
        metric = kind()
        metric.add(np.zeros((2, 3), np.float32), np.full((2, 3), label, np.uint8))
        found = metric.result()
        for name in ("ap", "ap_error", "auroc", "fpr95", "fpr95_error", "f1", "threshold"):
            assert np.isnan(found.pop(name)), name
        assert found == {"prevalence": prevalence, "pixels": 6, "anomaly_pixels": 6 * label}
    assert np.isnan(kind().result()["prevalence"])


def test_quantiles_are_scores_that_so_many_valid_pixels_lie_below() -> None:
    scores = np.float32(np.random.default_rng(0).permutation(100))[None]
    labels = np.uint8([[1, 255] + [0] * 98])
    shares = [0, 0.25, 0.5, 0.95, 1]
    valid = np.sort(scores[labels != 255])
    for kind in (PixelMetric, ExactPixelMetric):
        metric = kind()
        metric.add(scores, labels)
        found = metric.quantiles(shares)
        assert found.tolist() == pytest.approx(np.quantile(valid, shares).tolist(), abs=1.01)
        assert (found[0], found[-1]) == (valid[0], valid[-1])
        assert np.array_equal(metric.quantiles(np.array(shares)), found)


def test_quantiles_count_values_that_fill_a_frame() -> None:
    metric = PixelMetric()
    for value, count in ((0.5, 60), (0.25, 20)):
        metric.add(np.full((1, count), value, np.float32), np.zeros((1, count), np.uint8))
    metric.add(np.float32([[0.125, 0.75] * 10]), np.uint8([[0, 1] * 10]))
    assert metric.quantiles([0.05, 0.15, 0.29, 0.31, 0.89, 0.95]).tolist() == [0.125, 0.25, 0.25, 0.5, 0.5, 0.75]


@pytest.mark.parametrize("kind", [PixelMetric, ExactPixelMetric])
def test_shares_beyond_the_ends_give_the_ends(kind: type) -> None:
    metric = kind()
    metric.add(np.float32([[1, 2, 3, 4]]), np.uint8([[0, 1, 0, 0]]))
    assert metric.quantiles([-0.5, 0, 1, 1.5]).tolist() == [1, 1, 4, 4]


def test_thresholds_of_double_precision_lie_between_scores_that_single_precision_joins() -> None:
    low, high = 0.1, float(np.nextafter(0.1, 1))
    metric = ExactPixelMetric()
    metric.add(np.float64([[low, high, 0.0]]), np.uint8([[0, 1, 0]]))
    found = metric.result()
    assert (found["ap"], found["f1"], found["fpr95"]) == (1, 1, 0)
    assert low <= found["threshold"] < high
    assert metric.quantiles([0.5, 1]).tolist() == [low, high]


@pytest.mark.parametrize("bins", [2, 3, 5])
def test_bounds_of_a_coarse_bin_are_those_of_its_extreme_orders(bins: int) -> None:
    draw = np.random.default_rng(bins)
    metric = PixelMetric(bins)
    metric.add(draw.normal(size=(1, 60)).astype(np.float32), (draw.random((1, 60)) < 0.4).astype(np.uint8))
    metric.settle()
    normal, anomalous = metric.counts[:, ::-1]
    assert (metric.lowest != metric.highest).any()
    hit = anomalous > 0
    found, false = np.cumsum(anomalous), np.cumsum(normal)
    before, false_before = found - anomalous, false - normal
    mixed = (metric.lowest != metric.highest)[::-1]
    exact = found / (found + false)
    best = np.where(mixed, found / np.maximum(found + false_before, 1), exact)
    worst = np.where(mixed, (before + 1) / (before + 1 + false), exact)
    whole = metric.ranking()
    assert whole.best == pytest.approx(best[hit])
    assert whole.worst == pytest.approx(worst[hit])
    assert whole.slack.tolist() == np.where(mixed, normal, 0)[hit].tolist()
    assert whole.found.tolist() == found[hit].tolist()
    assert whole.false.tolist() == false[hit].tolist()
    assert whole.mixed.tolist() == mixed[hit].tolist()
