"""The threshold language, and guarantees that hold on frames never seen."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from oddroad.calibration.calibrator import RATES, Calibrator, alarm_level, pixel_levels
from oddroad.calibration.drives import Drive, alarm_curve, mean_bound, threshold_for_rate, units_of
from oddroad.calibration.fit import calibrated
from oddroad.calibration.thresholds import Threshold, probability, threshold_for
from oddroad.card import Card
from oddroad.errors import InputError
from oddroad.types import IGNORE

CARD = Card("test", "ddrnet23_slim", ("msp", "energy"), None, 8, ("road",))
ABOUT = {"data": "drives/val", "date": "2026-01-02", "confidence": 0.95, "coverage": 0.95}
ABOUT |= {"scope": "new-drives", "of": "drive"}
DRIVES = 100


def frames(count: int, seed: int = 0) -> list[np.ndarray]:
    """Smooth random score maps (24, 32), each with a level of its own."""
    draw = np.random.default_rng(seed)
    noise = draw.normal(0, 1, (count, 24, 32))
    smooth = ndimage.gaussian_filter(noise, (0, 2, 2)) * 4
    return list((smooth + draw.normal(0, 1, (count, 1, 1))).astype(np.float32))


@pytest.fixture(scope="module")
def card() -> Card:
    gathered = {name: Calibrator(min_area=20) for name in CARD.scores}
    for number, heat in enumerate(frames(300)):
        gathered["msp"].add(heat, drive=f"d{number % DRIVES}")
        gathered["energy"].add(heat * 10 - 3, drive=f"d{number % DRIVES}")
    return calibrated(CARD, gathered, ABOUT, "fpr=1%")


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 400), st.booleans())
def test_pixel_levels_are_the_smallest_thresholds(seed: int, count: int, ties: bool) -> None:
    values = np.random.default_rng(seed).normal(size=count).astype(np.float32)
    values = np.round(values) if ties else values
    for rate, level in zip(RATES, pixel_levels(values), strict=True):
        assert (values > level).sum() <= rate * count
        lower = values[values < level]
        assert len(lower) == 0 or (values > lower.max()).sum() > rate * count


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 60), st.booleans())
def test_alarm_level_is_the_smallest_threshold_without_a_region(seed: int, min_area: int, ties: bool) -> None:
    draw = np.random.default_rng(seed)
    heat = ndimage.gaussian_filter(draw.normal(size=(12, 15)), 1).astype(np.float32)
    heat = np.round(heat, 1) if ties else heat
    judged = draw.random((12, 15)) > 0.1
    level = alarm_level(heat, judged, min_area)

    def largest(threshold: float) -> int:
        marked, count = ndimage.label((heat > threshold) & judged, np.ones((3, 3)))
        return int(np.bincount(marked.ravel())[1:].max()) if count else 0

    assert largest(level) < min_area
    lower = heat[judged & (heat < level)]
    assert len(lower) == 0 or largest(lower.max()) >= min_area


def test_the_guarantees_hold_on_new_drives() -> None:
    kept_pixels, kept_alarms, trials = 0, 0, 40
    new = frames(3000, seed=10**6)
    new_alarms = np.array([alarm_level(each, np.ones(each.shape, bool), 20) for each in new])
    new_levels = np.array([pixel_levels(each.ravel())[RATES.index(0.01)] for each in new])
    for trial in range(trials):
        chosen = np.random.default_rng(trial).choice(2000, (200, 3), replace=False)
        for levels in (new_levels, new_alarms):
            drives = [Drive(str(number), levels[each]) for number, each in enumerate(chosen)]
            units, curve = units_of(drives, "new-drives", 0.95), alarm_curve(drives, "new-drives")
            value = threshold_for_rate(curve, units, 0.05, 0.95)
            assert value is not None
            kept_pixels += levels is new_levels and (levels > value).mean() <= 0.05
            kept_alarms += levels is new_alarms and (levels > value).mean() <= 0.05
    assert kept_pixels >= 0.95 * trials
    assert kept_alarms >= 0.95 * trials


def test_fpr(card: Card) -> None:
    found = threshold_for(card, "fpr=1%")
    share = np.array([(each > found.value).mean() for each in frames(300)])
    assert 0.95 < (share <= 0.01).mean() < 1
    assert found.meaning == (
        f"msp > {found.value:.6g}: at most 0.01 of the in-distribution pixels of a frame lie above, in 95% of frames, "
        "for new drives like these 100, each counting alike; 95% confidence, from 300 frames of drives/val (2026-01-02)"
    )
    assert threshold_for(card, "fpr=0.01") == found
    assert threshold_for(card, "fpr=1.5%") == found
    assert threshold_for(card, "fpr=1%", "energy").value == pytest.approx(found.value * 10 - 3, rel=1e-5)
    assert threshold_for(card, "fpr=0.1%").value > found.value


def test_alarms(card: Card) -> None:
    found = threshold_for(card, "alarms=6/100frames")
    levels = np.float32([alarm_level(each, np.ones(each.shape, bool), 20) for each in frames(300)])
    alarms = (levels > found.value).sum()
    assert alarms > 0
    assert mean_bound(alarms / 300, 100, 0.95) <= 0.06
    assert mean_bound((levels >= found.value).sum() / 300, 100, 0.95) > 0.06
    assert "at most 6 in 100 frames have a false alarm of 20 pixels or more, for new drives like" in found.meaning
    assert threshold_for(card, "alarms=0.06/frame").value == found.value


def test_no_alarms(card: Card) -> None:
    levels = np.float32([alarm_level(each, np.ones(each.shape, bool), 20) for each in frames(300)])
    found = threshold_for(card, "no-alarms")
    assert np.float32(found.value) == levels.max()
    assert "msp > " in found.meaning
    assert "and at most 3 in 100 frames have one, for new drives like these 100" in found.meaning  # 1 - 0.05 ** 0.01


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("alarms=1/1000frames", "100 drives can guarantee 3 in 100 frames at best; add 2895 more drives of 3 frames"),
        (
            "alarms=1/hour",
            "calibrated on frames and not on alarms; run 'oddroad calibrate' on videos or logs with --thr",
        ),
        ("fpr=0.001%", "ask for fpr=0.01% or more"),
        ("fpr=much", "holds 'much'; expected a number above 0"),
        ("alarms=0/100frames", "holds '0'; expected a number above 0"),
        ("alarms=1/0frames", "holds '0'"),
        ("tpr=95%", "is not understood; expected a number, 'no-alarms'"),
        ("nan", "is not understood"),
    ],
)
def test_what_cannot_be_guaranteed_or_read_is_refused(card: Card, text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        threshold_for(card, text)


def test_what_the_refusal_offers_is_accepted(card: Card) -> None:
    with pytest.raises(InputError) as refusal:
        threshold_for(card, "alarms=1/1000frames")
    threshold_for(card, str(refusal.value).rpartition("or take ")[2].strip("'"))
    threshold_for(card, "alarms=3/100frames")


def test_a_number_has_no_guarantee_and_needs_no_calibration() -> None:
    assert threshold_for(CARD, "0.42") == Threshold(0.42, "msp > 0.42: a number that was given, without a guarantee")
    assert threshold_for(CARD, "-7", "energy").value == -7
    with pytest.raises(InputError, match="carries no calibration of the score 'msp'; run 'oddroad calibrate'"):
        threshold_for(CARD, "fpr=1%")


def test_the_card_carries_it(card: Card) -> None:
    again = Card.from_json(card.to_json())
    assert again == card
    assert threshold_for(again, "alarms=6/100frames") == threshold_for(card, "alarms=6/100frames")
    assert card.thresholds["msp"] == threshold_for(card, "fpr=1%").value
    meanings = [threshold_for(card, "fpr=1%", name).meaning for name in CARD.scores]
    assert card.threshold_meaning == f"fpr=1%: {' / '.join(meanings)}"
    old = json.loads(CARD.to_json())
    del old["calibration"]
    assert Card.from_json(json.dumps(old)) == replace(CARD, calibration={})


def test_probability_is_the_share_of_in_distribution_pixels_below(card: Card) -> None:
    values = np.concatenate([each.ravel() for each in frames(300)])
    heat = np.quantile(values, [0.1, 0.5, 0.99]).astype(np.float32)[None]
    assert np.allclose(probability(card, "msp", heat), [[0.1, 0.5, 0.99]], atol=0.01)
    assert probability(card, "msp", np.array([[1e9, -1e9]])).tolist() == [[1, 0]]


def test_ignored_pixels_do_not_count() -> None:
    heat, label = frames(1)[0], np.zeros((24, 32), np.uint8)
    heat[:4], label[:4] = 1e6, IGNORE
    with_ignored, without = Calibrator(5), Calibrator(5)
    with_ignored.add(heat, label)
    without.add(heat[4:])
    assert np.array_equal(with_ignored.drives[""][0].levels, without.drives[""][0].levels)
    assert with_ignored.drives[""][0].alarm == without.drives[""][0].alarm
    with_ignored.add(heat, np.full((24, 32), IGNORE, np.uint8))
    assert with_ignored.count == 1


def test_the_smallest_alarm_is_that_of_detect_unless_given() -> None:
    heat = np.zeros((200, 300), np.float32)
    heat[50, 10:16], heat[90, 10:15] = 2, 3
    usual, given = Calibrator(), Calibrator(min_area=5)
    usual.add(heat)
    given.add(heat)
    assert (usual.drives[""][0].alarm, given.drives[""][0].alarm) == (2, 3)
    about = {**ABOUT, "scope": "same-drives"}
    meaning = threshold_for(calibrated(CARD, {"msp": usual}, about, "no-alarms"), "no-alarms").meaning
    assert "a false alarm of 1 in 10,000 pixels or more" in meaning


def test_bad_frames_are_refused() -> None:
    few = Calibrator()
    with pytest.raises(InputError, match="no finite numbers"):
        few.add(np.full((4, 4), math.nan, np.float32))
    with pytest.raises(InputError, match="expected one size"):
        few.add(frames(1)[0], np.zeros((3, 3), np.uint8))
