"""VC and VC* against their definitions, frame set by frame set."""

from __future__ import annotations

import numpy as np
import pytest

from oddroad.metrics import ConsistencyMetric
from oddroad.types import IGNORE


def by_definition(truths: list[np.ndarray], predictions: list[np.ndarray], window: int) -> dict[str, list[float]]:
    """Each ratio of each window, from the sets of pixels."""
    found: dict[str, list[float]] = {"vc": [], "vc_anomaly": [], "vc_known": []}
    for start in range(len(truths) - window + 1):
        truth, guess = np.stack(truths[start : start + window]), np.stack(predictions[start : start + window])
        same = (truth == truth[0]).all(0) & (truth != IGNORE).all(0)
        kept = (guess == guess[0]).all(0)
        sets = {
            "vc": (same, kept),
            "vc_anomaly": ((truth == 1).all(0), guess.all(0)),
            "vc_known": ((truth == 0).all(0), ~guess.any(0)),
        }
        for name, (of, right) in sets.items():
            if of.any():
                found[name].append((of & right).sum() / of.sum())
    return found


@pytest.mark.parametrize("window", [2, 3, 7])
def test_equals_the_definition(window):
    draw = np.random.default_rng(window)
    metric, wanted = ConsistencyMetric(window), {"vc": [], "vc_anomaly": [], "vc_known": []}
    for length in (window + 4, 1, window, 12):
        truth = draw.choice([0, 1, IGNORE], p=[0.6, 0.3, 0.1], size=(9, 11)).astype(np.uint8)
        guess, truths, guesses = truth == 1, [], []
        for _ in range(length):
            truth = np.where(draw.random(truth.shape) < 0.05, draw.permuted(truth), truth)
            guess = guess ^ (draw.random(truth.shape) < 0.05)
            truths.append(truth)
            guesses.append(guess)
            metric.add(guess, truth)
        metric.restart()
        for name, values in by_definition(truths, guesses, window).items():
            wanted[name] += values
    result = metric.result()
    for name, values in wanted.items():
        assert result[name] == pytest.approx(np.mean(values)), name
    assert result["windows"] == len(wanted["vc"])
    anomaly, known = np.mean(wanted["vc_anomaly"]), np.mean(wanted["vc_known"])
    assert result["vc_star"] == pytest.approx(2 * anomaly * known / (anomaly + known))


def test_constant_false_alarms_and_constant_misses_cost():
    truth = np.zeros((4, 5), np.uint8)
    truth[1, 1:3] = 1
    everything, nothing, right = np.ones_like(truth, bool), np.zeros_like(truth, bool), truth == 1
    for predicted, vc_star in ((everything, 0), (nothing, 0), (right, 1), (~right, 0)):
        metric = ConsistencyMetric(3)
        for _ in range(5):
            metric.add(predicted, truth)
        assert (metric.result()["vc"], metric.result()["vc_star"]) == (1, vc_star)


def test_parts_merge_and_are_left_out():
    draw = np.random.default_rng(0)
    whole, parts = ConsistencyMetric(2), []
    for _ in range(3):
        parts.append(ConsistencyMetric(2))
        for _ in range(5):
            frame = draw.random((6, 6)) < 0.5, (draw.random((6, 6)) < 0.15).astype(np.uint8)
            whole.add(*frame)
            parts[-1].add(*frame)
        whole.restart()
    merged = ConsistencyMetric(2)
    for part in parts:
        merged.merge(part)
    assert merged.result() == pytest.approx(whole.result())
    assert merged.weights()["vc_star"] == (merged.windows[1], merged.windows[2])
    merged.merge(parts[0])
    assert merged.without(parts[0]).result() == pytest.approx(whole.result())


def test_no_window_is_no_figure():
    metric = ConsistencyMetric(4)
    for _ in range(3):
        metric.add(np.zeros((2, 2), bool), np.zeros((2, 2), np.uint8))
    assert np.isnan([metric.result()[name] for name in ("vc", "vc_anomaly", "vc_known", "vc_star")]).all()
    metric.add(np.zeros((2, 2), bool), np.zeros((2, 2), np.uint8))
    assert metric.result()["vc_known"] == 1
    assert np.isnan(metric.result()["vc_star"])


def test_a_long_standstill_stays_counted():
    metric = ConsistencyMetric(200)
    for _ in range(300):
        metric.add(np.ones((1, 1), bool), np.ones((1, 1), np.uint8))
    assert metric.result()["vc_anomaly"] == 1
    assert metric.result()["windows"] == 101
