"""Bounds of alarms per hour: what few units can promise, swarms, and the refusals that say what is missing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from oddroad.calibration.drives import best_rate, mean_bound
from oddroad.calibration.event_rates import SWARM, Exposure, holds, lowest, needed, promised_rate, units_for
from oddroad.calibration.event_thresholds import counts_tracks
from oddroad.calibration.thresholds import check_threshold, threshold_for
from oddroad.card import Card
from oddroad.errors import InputError

HALF_HOURS = Exposure(np.full(60, 0.5), alike=True)


def test_calm_units_promise_three_over_their_hours() -> None:
    none = np.zeros(60)
    found = promised_rate(none, HALF_HOURS, 0.95)
    assert found == pytest.approx(best_rate(60, 0.95) / 0.5)
    assert found == pytest.approx(3 / 30, rel=0.03)  # the rule of three: 30 hours
    assert units_for(0.95) == 29
    assert promised_rate(np.zeros(28), Exposure(np.full(28, 0.5), True), 0.95) is None
    assert promised_rate(np.zeros(29), Exposure(np.full(29, 0.5), True), 0.95) is not None


def test_the_promise_is_the_lowest_that_holds() -> None:
    counts = np.zeros(60)
    counts[:6] = 1
    found = promised_rate(counts, HALF_HOURS, 0.95)
    assert found is not None
    assert holds(counts, HALF_HOURS, found, 0.95)
    assert not holds(counts, HALF_HOURS, found / 1.02, 0.95)
    cap = SWARM * found
    assert mean_bound(0.1 * 2 / cap, 60, 0.95) * cap <= found * 1.001
    assert counts.mean() / 0.5 < found < 2


def test_swarms_that_were_seen_count_in_full_and_others_as_ten_times_the_rate() -> None:
    one, many = np.zeros(60), np.zeros(60)
    one[0], many[0] = 10, 10_000
    for counts in (one, many):
        rates = counts / 0.5
        bound = mean_bound(1 / 60, 60, 0.95) * rates.max()
        assert promised_rate(counts, HALF_HOURS, 0.95) == pytest.approx(bound, rel=0.011)
        assert bound > rates.mean()
    assert HALF_HOURS.cap(5.0) == 50.0
    assert HALF_HOURS.cap(0.01) == 2.0  # one alarm in half an hour
    alike = promised_rate(np.full(60, 10_000.0), HALF_HOURS, 0.95)
    assert alike is not None
    assert 20_000 < alike < 100_000


def test_blocks_count_by_their_length() -> None:
    lengths = np.array([1.0] * 30 + [0.5] * 20)
    blocks = Exposure(lengths, alike=False, block=100)
    assert blocks.equal == 40
    counts = np.zeros(50)
    counts[40] = 1
    assert blocks.mean(counts / lengths) == pytest.approx(1 / 40)
    found = promised_rate(counts, blocks, 0.95)
    assert found is not None
    seen = 1 / 40
    cap = max(10 * found, 2.0)  # the block with an alarm had 2 an hour
    assert mean_bound(2 / cap * 0.5 / 40, 40, 0.95) * cap == pytest.approx(found, rel=0.02)
    assert found > seen


def test_few_promises_of_swarming_drives_are_broken() -> None:
    rng, broken = np.random.default_rng(4), 0

    def drives(count: int) -> np.ndarray:
        return rng.poisson(0.1, count) + (rng.random(count) < 0.05) * rng.poisson(12, count)

    exposure, many = Exposure(np.full(100, 0.5), True), drives(200_000) / 0.5
    for _ in range(100):
        found = promised_rate(drives(100), exposure, 0.95)
        assert found is not None
        broken += float(np.minimum(many, exposure.cap(found)).mean()) > found
    assert broken <= 5


def test_the_lowest_threshold_from_which_on_upwards_all_hold() -> None:
    curve = [[3.0, 0.5], [2.0, 1.0], [1.5, 4.0], [1.0, 0.9], [0.5, None]]
    assert lowest(curve, 1.0) == [2.0, 1.0]
    assert lowest(curve, 5.0) == [1.0, 0.9]
    assert lowest(curve, 0.1) is None


def test_how_much_driving_a_rate_takes() -> None:
    for rate, length in ((0.1, 0.5), (60.0, 0.5), (6.0, 1 / 60)):
        units, hours = needed(rate, 0.95, length)
        assert hours == pytest.approx(units * length)
        assert promised_rate(np.zeros(units), Exposure(np.full(units, length), True), 0.95) <= rate * 1.001  # type: ignore[operator]
        if units > units_for(0.95):
            less = promised_rate(np.zeros(units - 1), Exposure(np.full(units - 1, length), True), 0.95)
            assert less is not None
            assert less > rate


CURVE = [[3.0, 0.0975, 0.0, None, None, None], [2.0, 6.0, 1.0, None, None, 1.5], [1.0, None, 90.0, None, None, 1.0]]


def card(**changes: object) -> Card:
    """A card with curves of alarms."""
    tracks = {"units": 60, "block": None, "hours": 30.0, "join": 0.2, "curves": {"1": CURVE[1:], "3": CURVE}}
    calibration = {
        "scope": "new-drives", "of": "drive", "drives": 60, "frames": 900, "confidence": 0.95, "data": "mine",
        "date": "2026-11-28", "min_area": None, "tracking": {"min_hits": 3, "max_age": 2, "every": 1, "rate": 25.0},
        "scores": {"msp": {"tracks": tracks | changes}},
    }  # fmt: skip
    return Card("test", "erfnet", ("msp",), None, 2, ("road",), calibration=calibration)


def refusal(text: str, of: Card | None = None, min_hits: int | None = None) -> str:
    """The one line of a refusal."""
    with pytest.raises(InputError) as caught:
        threshold_for(of or card(), text, min_hits=min_hits)
    return str(caught.value)


def test_thresholds_promise_alarms() -> None:
    found = threshold_for(card(), "alarms=6/hour")
    assert (found.value, counts_tracks(found.meaning)) == (2.0, True)
    assert found.meaning == (
        "msp > 2: at most 6 alarms an hour, each a false alarm of 1 in 10,000 pixels or more (tracks of 3 hits or "
        "more, every frame, missed for 2 at most), for new drives like these 60, each counting alike, a drive of more "
        "than 60 an hour counting as one of so many; 95% confidence, from 900 frames in 30 hours of mine (2026-11-28)"
    )
    assert threshold_for(card(), "alarms=5/hour").value == 3.0
    assert threshold_for(card(), "alarms=6/hour", min_hits=1).value == 2.0
    assert "tracks of 1 hit or more" in threshold_for(card(), "alarms=6/hour", min_hits=1).meaning
    assert threshold_for(card(), "alarms=10/100km@60km/h").value == 2.0
    assert not counts_tracks("msp > 2: at most 1 in 100 frames have a false alarm")


def test_what_is_missing_is_said() -> None:
    assert refusal("alarms=0.09/hour") == (
        "'alarms=0.09/hour' takes 33 hours without an alarm in 66 independent drives at 95% confidence; 60 drives with "
        "30 hours can promise 0.0975 an hour at best; add 6 more of 30 minutes each, or take 'no-alarms'"
    )
    assert refusal("alarms=0.01/hour").startswith("'alarms=0.01/hour' takes 299 hours without an alarm in 598 ")
    assert "alarms were counted for --min-hits 1, 3, not for 2" in refusal("alarms=6/hour", min_hits=2)
    assert refusal("alarms=6/100km") == (
        "'alarms=6/100km' needs to know how far was driven, and the calibration data do not say; give a speed, such as "
        "'alarms=6/100km@90km/h'"
    )
    few = card(units=20, hours=0.5, curves={"3": [[3.0, None, 0.0, None, None, None]]})
    assert refusal("alarms=6/hour", few) == (
        "'alarms=6/hour' takes 29 independent drives or more at 95% confidence, whatever their length; 20 drives with "
        "0.5 hours can promise no number of alarms: add 9 more of 1.5 minutes each, or take 'no-alarms'"
    )
    about = {"scope": "new-drives", "drives": 20, "of": "drive", "frames": 9, "confidence": 0.95, "coverage": 0.95}
    with pytest.raises(
        InputError, match=r"29 independent drives or more .*; 20 drives can promise no number of alarms"
    ):
        check_threshold("alarms=6/hour", about)
    check_threshold("alarms=6/hour", about | {"drives": 29})
    check_threshold("alarms=6/hour", about | {"scope": "same-drives"})


def test_kilometres_come_from_the_calibration_or_a_speed() -> None:
    with_speed = card()
    with_speed.calibration["tracking"]["speed"] = 50.0
    assert threshold_for(with_speed, "alarms=12/100km").value == 2.0
    far = [[3.0, 0.5, 0.0, 1.0, 0.0, None], [2.0, 6.0, 1.0, 12.0, 2.0, 1.5]]
    measured = card(curves={"3": far}, kilometres=1500.0)
    found = threshold_for(measured, "alarms=11/100km")
    assert found.value == 3.0
    assert "at most 11 alarms in 100 km, each" in found.meaning
    assert "of more than 110 in 100 km counting" in found.meaning
    assert math.isclose(threshold_for(measured, "alarms=12/100km").value, 2.0)
