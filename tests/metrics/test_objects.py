"""Objects, alarms and their intervals: counts worked out by hand, and what leaving out a unit gives."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t as student

from oddroad.metrics import EventMetric, ObjectMetric
from oddroad.metrics.intervals import interval, leave_one_out_counts, merged, paired_difference

FRAMES = [([1, 0], [1, 0, 0]), ([1, 1, 1], [1, 1]), ([], [0]), ([0], []), ([], [])]


def counted(found, on):
    metric = ObjectMetric()
    metric.add(np.array(found, bool), np.array(on, bool))
    return metric


def test_a_set_worked_out_by_hand():
    whole = merged([counted(*each) for each in FRAMES])
    assert whole.result() == {
        "object_recall": 4 / 6, "false_alarms_per_frame": 3 / 5, "frames_with_false_alarm": 2 / 5, "objects": 6,
        "regions": 6,
    }  # fmt: skip
    nothing = ObjectMetric().result()
    assert math.isnan(nothing["object_recall"])
    assert math.isnan(nothing["false_alarms_per_frame"])
    assert math.isnan(counted([], [0]).result()["object_recall"])


def test_recall_by_size_worked_out_by_hand():
    parts = [ObjectMetric() for _ in range(3)]
    parts[0].add(np.array([True, False, True]), np.array([True]), np.array([99, 100, 299]))
    parts[1].add(np.array([True]), np.array([True]), np.array([2_000_000]))
    parts[2].add(np.array([], bool), np.array([True]), np.array([], np.int64))
    whole = merged(parts)
    assert whole.by_size() == [
        {"pixels": [0, 100], "objects": 1, "found": 1},
        {"pixels": [100, 300], "objects": 2, "found": 1},
        {"pixels": [30_000, None], "objects": 1, "found": 1},
    ]
    assert whole.without(parts[1]).by_size() == whole.by_size()[:2]
    assert ObjectMetric().by_size() == []


def test_each_unit_is_left_out():
    parts = [counted(*each) for each in FRAMES]
    found = leave_one_out_counts(parts, ["a", "b", "a", "c", "d"])
    assert found.units == ("a", "b", "c", "d")
    assert found.figures["object_recall"].tolist() == [3 / 4, 1 / 3, 4 / 5, 4 / 6]
    assert found.figures["false_alarms_per_frame"].tolist() == [0, 3 / 4, 3 / 4, 3 / 4]
    assert found.steps["object_recall"] == 1 / 6
    low, high = interval(4 / 6, found, "object_recall")
    assert 0 < low < 4 / 6 < high < 1
    low, high = interval(3 / 5, found, "false_alarms_per_frame")
    assert 0 < low < 3 / 5 < high < math.inf


def drive(objects, found, late, alarms, false, frames=100, rate=10.0):
    return EventMetric(objects, found, late, late / rate, alarms, false, frames, frames / rate)


def test_events_worked_out_by_hand():
    whole = merged([drive(3, 2, 10, 4, 2), drive(1, 1, 2, 1, 0, frames=200)])
    assert whole.result() == pytest.approx({
        "event_recall": 3 / 4, "delay_frames": 4, "delay_seconds": 0.4, "alarms_per_hour": 600,
        "false_alarms_per_hour": 240, "false_alarms_per_100_frames": 2 / 3, "event_objects": 4, "alarms": 5,
        "false_alarms": 2, "frames": 300, "seconds": 30,
    })  # fmt: skip
    unknown = merged([drive(1, 0, 0, 1, 1), drive(1, 1, 3, 1, 1, rate=math.nan)]).result()
    assert (unknown["event_recall"], unknown["delay_frames"]) == (0.5, 3)
    assert all(math.isnan(unknown[name]) for name in ("alarms_per_hour", "false_alarms_per_hour", "delay_seconds"))


def test_intervals_of_rates_are_on_the_logarithm_and_of_delays_end_at_0():
    parts = [drive(2, 2, late, 3, false) for late, false in ((0, 1), (1, 2), (9, 1), (2, 4))]
    whole, found = merged(parts).result(), leave_one_out_counts(parts, list("abcd"))
    without = np.array([3600 * (8 - each.false) / 30 for each in parts])
    quantile = student.ppf(0.975, 3)
    error = math.sqrt(3 * np.log(without).var())
    low, high = interval(whole["false_alarms_per_hour"], found, "false_alarms_per_hour")
    assert (low, high) == pytest.approx((720 / math.exp(quantile * error), 720 * math.exp(quantile * error)))
    low, high = interval(whole["delay_frames"], found, "delay_frames")
    late = np.array([(12 - each.late_frames) / 6 for each in parts])
    assert (low, high) == pytest.approx((0, 1.5 + quantile * math.sqrt(3 * late.var())))


def test_drives_count_by_what_they_hold():
    parts = [drive(20, 10, 5, 1, 1), drive(1, 1, 0, 1, 1), drive(1, 0, 0, 0, 0)]
    found = leave_one_out_counts(parts, list("abc"))
    assert found.degrees["event_recall"] < 1.3 < found.degrees["false_alarms_per_hour"] == pytest.approx(2)


def test_all_alarms_in_one_drive_are_no_precise_rate():
    parts = [drive(1, 1, 0, 8, 8), *(drive(1, 1, 0, 0, 0) for _ in range(9))]
    found = leave_one_out_counts(parts, [str(each) for each in range(10)])
    low, high = interval(merged(parts).result()["false_alarms_per_hour"], found, "false_alarms_per_hour")
    assert low < 20
    assert high > 4000


def test_coverage_of_recall_and_rates_over_drives():
    """Of 400 draws of 12 drives whose objects and alarms depend on the drive, the interval holds the truth in most."""
    draw, hits = np.random.default_rng(5), {"event_recall": 0, "false_alarms_per_hour": 0}
    for _ in range(400):
        parts = []
        for skill, noise in zip(draw.beta(6, 2, 12), draw.gamma(2, 2, 12), strict=True):
            objects, false = 1 + int(draw.poisson(4)), int(draw.poisson(noise))
            parts.append(drive(objects, int(draw.binomial(objects, skill)), 0, false, false))
        found, values = leave_one_out_counts(parts, [str(at) for at in range(12)]), merged(parts).result()
        for name, truth in (("event_recall", 0.75), ("false_alarms_per_hour", 4 * 360)):
            low, high = interval(values[name], found, name)
            hits[name] += low <= truth <= high
    assert min(hits.values()) >= 0.92 * 400, hits


def test_two_detectors_on_the_same_drives_are_compared():
    one = [drive(4, found, 0, 1, 1) for found in (4, 3, 4, 2, 4, 3)]
    other = [drive(4, found, 0, 1, 1) for found in (2, 2, 3, 1, 3, 1)]
    names = list("abcdef")
    values = merged(one).result()["event_recall"], merged(other).result()["event_recall"]
    both = leave_one_out_counts(one, names), leave_one_out_counts(other, names)
    found = paired_difference(values, both, "event_recall")
    assert found.difference == pytest.approx(8 / 24)
    assert 0 < found.low < found.high
    assert found.p < 0.01
