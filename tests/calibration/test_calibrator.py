"""What is gathered about a frame, rank by rank, and what the Card gets of it."""

from __future__ import annotations

import json
from dataclasses import asdict

import cv2
import numpy as np
import pytest

from oddroad.calibration.calibrator import (
    DRAWN,
    RATES,
    SHARES,
    Calibrator,
    FrameFigures,
    alarm_level,
    pixel_levels,
    short,
)
from oddroad.calibration.drives import Drive, Units, alarm_curve, best_rate, threshold_for_rate, units_of
from oddroad.calibration.fit import calibrated, check_options, copies
from oddroad.calibration.thresholds import (
    Threshold,
    calibration_of,
    check_threshold,
    in_100,
    parse_speed,
    parse_threshold,
    probability,
    share,
    threshold_for,
)
from oddroad.card import Card
from oddroad.errors import InputError
from oddroad.types import IGNORE

CARD = Card("test", "erfnet", ("msp", "energy"), None, 2, ("road",))


def refusal(call, *given, **named) -> str:
    """The one line of an InputError."""
    with pytest.raises(InputError) as caught:
        call(*given, **named)
    return str(caught.value)


class TestFrameFigures:
    def test_levels_are_exact_ranks(self) -> None:
        values = np.random.default_rng(1).permutation(20_000).astype(np.float32)
        levels = pixel_levels(values)
        assert levels.tolist() == [19_999 - round(rate * 20_000) for rate in RATES]
        assert levels.dtype == np.float64
        assert pixel_levels(np.float32([3])).tolist() == [3] * len(RATES)

    def test_one_frame(self) -> None:
        heat = np.arange(12, dtype=np.float32).reshape(3, 4)
        label = np.zeros((3, 4), np.uint8)
        label[2, 1:] = IGNORE
        found = FrameFigures.of(heat, label, 2)
        assert found is not None
        assert found.drawn.tolist() == list(range(9))
        assert found.drawn.dtype == found.levels.dtype == np.float64
        assert found.levels.tolist() == [7] + [8] * 10
        assert found.alarm == 6  # 7 and 8 do not touch: 3 pixels apart in a row of 4
        assert type(found.alarm) is float
        whole = FrameFigures.of(heat, None, None)
        assert whole is not None
        assert (whole.alarm, len(whole.drawn)) == (11, 12)
        assert FrameFigures.of(heat, np.full((3, 4), IGNORE, np.uint8), 2) is None

    def test_scores_are_drawn_evenly_from_large_frames(self) -> None:
        for pixels, step in ((DRAWN, 1), (2 * DRAWN - 1, 1), (2 * DRAWN, 2), (3 * DRAWN + 7, 3)):
            found = FrameFigures.of(np.arange(pixels, dtype=np.float32)[None], None, 1)
            assert found is not None
            assert found.drawn.tolist() == list(range(0, pixels, step))

    def test_the_smallest_alarm_grows_with_the_frame(self) -> None:
        heat = np.zeros((200, 100), np.float32)
        heat[0, 0], heat[5, 5:7], heat[9, 5:8] = 3, 2, 1
        alarms = [FrameFigures.of(heat, None, least).alarm for least in (None, 0, 1, 2, 3, 4)]  # type: ignore[union-attr]
        assert alarms == [2, 3, 3, 2, 1, 0]

    def test_what_is_wrong_is_said(self) -> None:
        heat = np.zeros((2, 3), np.float32)
        says = "the score map is (2, 3) and the label (3, 2); expected one size"
        assert refusal(FrameFigures.of, heat, np.zeros((3, 2), np.uint8), 1) == says
        heat[0, 0] = np.inf
        says = "the score map holds values that are no finite numbers; is the model sound?"
        assert refusal(FrameFigures.of, heat, None, 1) == says
        label = np.zeros((2, 3), np.uint8)
        label[0, 0] = IGNORE
        assert FrameFigures.of(heat, label, 1) is not None


class TestCalibrator:
    def made(self, drives: int = 80, frames: int = 3) -> Calibrator:
        """Frame i of all has the levels i + column / 100, the alarm i / 3, and the scores 10 i to 10 i + 9."""
        calibrator = Calibrator(min_area=5)
        for i in np.random.default_rng(2).permutation(drives * frames):
            levels = i + np.arange(len(RATES)) / 100
            calibrator.keep(FrameFigures(levels, i / 3, 10.0 * i + np.arange(10)), f"d{i % drives}")
        return calibrator

    @pytest.mark.parametrize("scope", ["new-drives", "same-drives"])
    def test_the_result_is_made_of_drives(self, scope: str) -> None:
        made = self.made()
        found = made.result(scope, confidence=0.9, coverage=0.8)
        drives = [Drive(name, np.array([each.alarm for each in frames])) for name, frames in made.drives.items()]
        units = units_of(drives, scope, 0.9)
        assert found.keys() == {"units", "alarms", "fpr", "quantiles"}
        assert Units(**found["units"]) == units
        assert found["alarms"] == [[short(level), short(rate)] for level, rate in alarm_curve(drives, scope)]
        assert found["alarms"][0] == [float(f"{239 / 3:.9g}"), 0.0]
        for i, (rate, value, about) in enumerate(found["fpr"]):
            pixels = [Drive(name, 3 * each.levels + i / 100) for name, each in zip(made.drives, drives, strict=True)]
            assert (rate, Units(**about)) == (RATES[i], units_of(pixels, scope, 0.9))
            expected = threshold_for_rate(alarm_curve(pixels, scope), Units(**about), 0.2, 0.9)
            assert value == (None if expected is None else pytest.approx(expected, abs=1e-6))
        assert [value for _, value, _ in made.result(scope, 0.9, 0.99)["fpr"]] == [None] * len(RATES)  # takes 230 units
        assert [pair[0] for pair in found["quantiles"]] == list(SHARES)
        assert [pair[1] for pair in found["quantiles"]] == pytest.approx([2399 * each for each in SHARES], rel=1e-6)
        assert all(value == float(f"{value:.7g}") for _, value in found["quantiles"])
        assert made.result(scope) == made.result(scope, 0.95, 0.95)

    def test_a_level_is_not_rounded_below_itself(self) -> None:
        levels = np.random.default_rng(8).normal(size=1000).astype(np.float32)
        assert all(np.float32(short(float(each))) == each for each in levels)

    def test_a_hundred_long_drives_are_a_small_card(self) -> None:
        calibrator, draw = Calibrator(), np.random.default_rng(9)
        for i in range(100):
            levels = draw.normal(size=(10_000, 1 + len(RATES)))
            frames = [FrameFigures(row[1:], float(row[0]), row[:1]) for row in levels]
            calibrator.drives[f"a_rather_long_name_of_a_drive_{i}.mp4"] = frames
        assert len(json.dumps(calibrator.result("new-drives"))) < 50_000

    def test_a_frame_is_added_or_has_nothing_to_add(self) -> None:
        calibrator, heat = Calibrator(), np.zeros((2, 2), np.float32)
        assert calibrator.add(heat, np.full((2, 2), IGNORE, np.uint8)) is None
        assert (calibrator.drives, calibrator.count) == ({}, 0)
        with pytest.raises(InputError, match="no frame with a valid pixel was found"):
            calibrator.result("same-drives")
        assert calibrator.add(heat) is calibrator.drives[""][0]
        assert calibrator.add(heat, drive="b") is calibrator.drives["b"][0]
        assert calibrator.count == 2
        tight = Calibrator(min_area=3)
        heat[0] = 1
        assert tight.add(heat).alarm == 0  # type: ignore[union-attr]
        assert Calibrator(min_area=2).add(heat).alarm == 1  # type: ignore[union-attr]

    def test_the_card_gets_all_of_it(self) -> None:
        gathered = {"energy": self.made(70), "msp": self.made(70)}
        about = {"data": "drives/val", "date": "2026-01-02", "confidence": 0.9, "coverage": 0.8}
        about |= {"scope": "new-drives", "of": "drive"}
        card = calibrated(CARD, gathered, about, "alarms=1/10frames")
        assert card.calibration == {
            **about, "frames": 210, "drives": 70, "min_area": 5, "rule": "alarms=1/10frames",
            "scores": {n: c.result("new-drives", 0.9, 0.8) for n, c in gathered.items()},
        }  # fmt: skip
        found = [threshold_for(card, "alarms=1/10frames", name) for name in gathered]
        assert card.thresholds == {name: each.value for name, each in zip(gathered, found, strict=True)}
        assert card.threshold_meaning == f"alarms=1/10frames: {found[0].meaning} / {found[1].meaning}"
        other = calibrated(Card(**{**CARD.__dict__, "thresholds": {"other": 3.0}}), gathered, about, "0.5")
        assert other.thresholds == {"other": 3.0, "energy": 0.5, "msp": 0.5}
        with pytest.raises(
            InputError, match="takes 230 independent drives without an alarm at 90% confidence; 70 drive"
        ):
            calibrated(CARD, gathered, about, "alarms=1/100frames")

    def test_a_copy_of_a_drive_is_none(self) -> None:
        one, two = self.made(3), self.made(3)
        for name in ("d9", "d8"):
            one.drives[name] = one.drives["d1"]
            two.drives[name] = two.drives["d1"]
        assert copies({"msp": one, "energy": two}) == {"d9": "d1", "d8": "d1"}
        two.drives["d8"] = two.drives["d1"][::-1]
        assert copies({"msp": one, "energy": two}) == {"d9": "d1"}


class TestLanguage:
    @pytest.fixture
    def card(self) -> Card:
        units = asdict(Units(200, None, 200, best_rate(200, 0.95)))
        blocks = asdict(Units(20, 30, 12, 0.2))
        scores = {
            "msp": {
                "fpr": [[0.1, 1.0, units], [0.01, 2.0, units], [0.001, 3.0, units], [0.0001, None, blocks]],
                "alarms": [[200.0 - i, i / 200] for i in range(200)], "units": units,
                "quantiles": [[0.0, -1.0], [0.5, 0.0], [1.0, 3.0]],
            }
        }  # fmt: skip
        about = {"data": "drives/val", "date": "2026-01-02", "confidence": 0.95, "coverage": 0.8, "of": "drive"}
        about |= {"scope": "new-drives", "drives": 200, "frames": 4000, "min_area": None}
        return Card(**{**CARD.__dict__, "calibration": {**about, "scores": scores}})

    @pytest.fixture
    def of_one(self, card: Card) -> Card:
        """The same, from blocks of a single drive."""
        scores = {"msp": {**card.calibration["scores"]["msp"], "units": asdict(Units(20, 30, 12, 0.2))}}
        about = {"scope": "same-drives", "drives": 1, "frames": 600, "scores": scores}
        return Card(**{**card.__dict__, "calibration": {**card.calibration, **about}})

    @pytest.mark.parametrize(
        ("text", "means"),
        [
            (" no-alarms\n", ("no-alarms", 0.0)),
            ("fpr=0.01", ("fpr", 0.01)), ("fpr=2%", ("fpr", 0.02)), ("fpr=1", ("fpr", 1.0)),
            (" fpr=0.1% ", ("fpr", 0.001)), ("alarms=2/50frames", ("alarms", 0.04)),
            ("alarms=1/frame", ("alarms", 1.0)),
            ("alarms=0.5/2.5frames", ("alarms", 0.2)), ("alarms=36/hour", ("hour", 36.0)),
            ("alarms=2/100km", ("100km", 2.0)), ("alarms=2/100 km@50km/h", ("hour", 1.0)),
            ("-0.25", ("value", -0.25)), ("\t1e3\n", ("value", 1000.0)),
        ],
    )  # fmt: skip
    def test_what_a_threshold_asks_for(self, text: str, means: tuple[str, float]) -> None:
        kind, value = parse_threshold(text)
        assert (kind, value) == (means[0], pytest.approx(means[1]))

    def test_speeds(self) -> None:
        assert (parse_speed("90km/h"), parse_speed(" 7.5 km/h ")) == (90.0, 7.5)
        for text in ("90", "0km/h", ".km/h", "1.2.3km/h", "90 mph", "nankm/h"):
            assert refusal(parse_speed, text) == f"--speed '{text}'; expected a speed such as 90km/h"

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("fpr=zero", "threshold 'fpr=zero' holds 'zero'; expected a number above 0"),
            ("fpr=0", "threshold 'fpr=0' holds '0'; expected a number above 0"),
            ("fpr=inf", "threshold 'fpr=inf' holds 'inf'; expected a number above 0"),
            ("fpr=200%", "threshold 'fpr=200%' asks for a rate of 2, which is above 1; expected a share"),
            ("alarms=3/2frames",
             "threshold 'alarms=3/2frames' asks for a rate of 1.5, which is above 1; expected a share"),
            ("alarms=x/2frames", "threshold 'alarms=x/2frames' holds 'x'; expected a number above 0"),
            ("alarms=x/hour", "threshold 'alarms=x/hour' holds 'x'; expected a number above 0"),
            ("alarms=2/100km@0km/h", "threshold 'alarms=2/100km@0km/h' holds '0'; expected a number above 0"),
            (" alarms=1/hour@1fps",
             "'alarms=1/hour@1fps': an hour counts alarms, not frames; for frames write 'alarms=1/100frames'"),
            ("nothing", "threshold 'nothing' is not understood; expected a number, 'no-alarms', "
             "'alarms=1/100frames', 'alarms=6/hour', 'alarms=2/100km' or 'fpr=0.1%'"),
            ("inf", "threshold 'inf' is not understood; expected a number, 'no-alarms', "
             "'alarms=1/100frames', 'alarms=6/hour', 'alarms=2/100km' or 'fpr=0.1%'"),
        ],
    )  # fmt: skip
    def test_what_is_not_understood(self, text: str, says: str) -> None:
        assert refusal(parse_threshold, text) == says

    def test_a_rate_of_one_is_a_share(self) -> None:
        assert share(1.0, "x") == 1.0

    def test_pixels(self, card: Card) -> None:
        assert threshold_for(card, "fpr=5%") == Threshold(
            2.0,
            "msp > 2: at most 0.01 of the in-distribution pixels of a frame lie above, in 80% of frames, for new "
            "drives like these 200, each counting alike; 95% confidence, from 4000 frames of drives/val (2026-01-02)",
        )
        assert [threshold_for(card, f"fpr={rate}").value for rate in (0.1, 0.01, 0.0099999, 0.001)] == [1, 2, 3, 3]
        says = "fpr=9e-05 is smaller than the calibration holds; ask for fpr=0.01% or more"
        assert refusal(threshold_for, card, "fpr=0.009%") == says
        assert refusal(threshold_for, card, "fpr=0.05%") == (
            "'fpr=0.0005' (in 80% of frames) takes 14 independent blocks without an alarm at 95% confidence; 200 "
            "drives with 4000 frames, 20 independent blocks of up to 30 frames, can guarantee in 80% of frames at "
            "best; add 3 more drives of 20 frames, or take 'no-alarms'"
        )

    def test_alarms(self, card: Card, of_one: Card) -> None:
        value = threshold_for_rate([(200.0 - i, i / 200) for i in range(200)], Units(200, None, 200, 0.01), 0.05, 0.95)
        assert value is not None
        assert 190 < value < 200
        assert threshold_for(card, " alarms=1/20frames", "msp") == Threshold(
            value,
            f"msp > {value:g}: at most 5 in 100 frames have a false alarm of 1 in 10,000 pixels or more, for new "
            "drives like these 200, each counting alike; 95% confidence, from 4000 frames of drives/val (2026-01-02)",
        )
        assert (
            "more, for later parts of this drive, 20 independent blocks of up to 30 frames; 95% confidence, from 600 "
            in (threshold_for(of_one, "alarms=1/2frames").meaning)
        )
        with_area = Card(**{**card.__dict__, "calibration": {**card.calibration, "min_area": 30}})
        assert " of 30 pixels or more, for " in threshold_for(with_area, "alarms=1/20frames").meaning
        assert refusal(threshold_for, card, " alarms=1/1000frames ") == (
            "'alarms=1/1000frames' (0.1 in 100 frames) takes 2995 independent drives without an alarm at 95% "
            "confidence; 200 drives can guarantee 1.5 in 100 frames at best; add 2795 more drives of 20 frames, or "
            "take 'no-alarms'"
        )
        assert refusal(threshold_for, of_one, "alarms=1/100frames") == (
            "'alarms=1/100frames' (1 in 100 frames) takes 299 independent blocks without an alarm at 95% confidence; "
            "1 drive with 600 frames, 20 independent blocks of up to 30 frames, can guarantee 20 in 100 frames at "
            "best; add 15 more drives of 600 frames, or take 'no-alarms'"
        )

    def test_no_alarms(self, card: Card, of_one: Card) -> None:
        assert threshold_for(card, "no-alarms") == Threshold(
            200.0,
            "msp > 200: no frame of the calibration has a false alarm of 1 in 10,000 pixels or more, and at most 1.5 "
            "in 100 frames have one, for new drives like these 200, each counting alike; 95% confidence, from 4000 "
            "frames of drives/val (2026-01-02)",
        )
        assert "at most 20 in 100 frames have one, for later parts of this drive" in (
            threshold_for(of_one, "no-alarms").meaning
        )
        scenes = {"of": "place", "drives": 2}
        of_places = Card(**{**of_one.__dict__, "calibration": {**of_one.calibration, **scenes}})
        assert ", for other scenes of these 2 places, 20 independent" in threshold_for(of_places, "no-alarms").meaning

    def test_rates_in_words_are_rounded_up(self) -> None:
        shares = (0.0123, 0.01, 0.451, 0.4507, 0.2, 0.001, 0.95, 1.0, 0.0999)
        words = ["1.3", "1", "45.1", "45.1", "20", "0.1", "95", "100", "10"]
        assert [in_100(each) for each in shares] == [f"{each} in 100" for each in words]

    def test_without_calibration(self, card: Card) -> None:
        says = (
            "'test' carries no calibration of the score 'energy'; run 'oddroad calibrate' with in-distribution "
            "data, or give the threshold as a number"
        )
        assert refusal(calibration_of, card, "energy") == says
        assert refusal(threshold_for, card, "fpr=1%", "energy") == says
        assert calibration_of(card, "msp") is card.calibration["scores"]["msp"]
        assert threshold_for(card, "0.5", "energy").meaning == (
            "energy > 0.5: a number that was given, without a guarantee"
        )

    def test_probability(self, card: Card) -> None:
        found = probability(card, "msp", np.float32([[-2, -0.5, 0, 1.5, 9]]))
        assert found.tolist() == [[0, 0.25, 0.5, 0.75, 1]]
        assert found.dtype == np.float32

    def test_what_cannot_be_guaranteed_is_said_before_any_work(self) -> None:
        about = {
            "scope": "new-drives",
            "drives": 59,
            "of": "drive",
            "frames": None,
            "confidence": 0.95,
            "coverage": 0.95,
        }
        same = {**about, "scope": "same-drives", "drives": 1}
        for text in ("alarms=1/20frames", "fpr=0.0001%", "no-alarms", "0.5"):
            check_threshold(text, about)
            check_threshold(text, same)
            check_threshold(text, {**same, "frames": 177})
        check_threshold("alarms=1/frame", {**same, "frames": 1})
        assert refusal(check_threshold, "alarms=1/20frames", {**about, "drives": 58}) == (
            "'alarms=1/20frames' (5 in 100 frames) takes 59 independent drives without an alarm at 95% confidence; 58 "
            "drives can guarantee 5.1 in 100 frames at best; add 1 more drive, or take 'no-alarms'"
        )
        assert refusal(check_threshold, "fpr=1%", {**same, "frames": 176}) == (
            "'fpr=1%' (in 95% of frames) takes 59 independent blocks without an alarm at 95% confidence; 1 drive with "
            "176 frames, at most 58 independent blocks of up to 3 frames, can guarantee in 94.9% of frames at best; "
            "add at least 1 more drive of 176 frames, or take 'no-alarms'"
        )
        assert "is not understood" in refusal(check_threshold, "x", about)

    def test_options_are_checked_in_the_command_s_words(self) -> None:
        about = {"scope": "new-drives", "drives": 59, "of": "drive", "frames": 59, "confidence": 0.95, "coverage": 0.95}
        check_options("fpr=1%", about, None)
        check_options("alarms=1/20frames", {**about, "frames": None}, 1)
        for confidence in (0, 1, 1.5):
            says = f"--confidence is {confidence:g}; expected a share between 0 and 1, such as 0.95"
            assert refusal(check_options, "fpr=1%", {**about, "confidence": confidence}, None) == says
        assert refusal(check_options, "fpr=1%", about, 0) == "--min-area is 0; expected 1 pixel or more"
        assert refusal(check_options, "fpr=1%", {**about, "scope": "all"}, None) == (
            "--scope is 'all'; expected new-drives or same-drives"
        )
        assert refusal(check_options, "0.5", {**about, "drives": 1}, None) == (
            "--scope new-drives with 1 drive; expected two or more: one says nothing of others"
        )
        assert "'alarms=1/21frames'" in refusal(check_options, "alarms=1/21frames", about, None)


def test_the_alarm_level_is_the_lowest_value_without_a_large_region() -> None:
    draw = np.random.default_rng(0)
    for number in range(120):
        heat = draw.normal(size=draw.integers(2, 24, 2)).astype(np.float32)
        heat = [heat, np.round(heat), cv2.GaussianBlur(heat, (0, 0), 2)][number % 3]
        valid = draw.random(heat.shape) > (0.3 if number % 2 else -1)
        if not valid.any():
            continue
        least, values = int(draw.integers(1, 30)), np.unique(heat[valid])
        quiet = [value for value in values if not has_region((heat > value) & valid, least)]
        assert alarm_level(heat, valid, least) == quiet[0]


def has_region(mask: np.ndarray, least: int) -> bool:
    stats = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)[2]
    return bool((stats[1:, cv2.CC_STAT_AREA] >= least).any())
