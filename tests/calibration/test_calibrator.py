"""What is gathered about a frame, rank by rank, and what the Card gets of it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from oddroad.calibration.bounds import frames_needed, most_exceeding, order_statistic
from oddroad.calibration.calibrator import DRAWN, RATES, SHARES, Calibrator, FrameFigures, enough_frames, pixel_levels
from oddroad.calibration.fit import calibrated, check_options
from oddroad.calibration.thresholds import (
    Threshold,
    calibration_of,
    check_threshold,
    parse_threshold,
    probability,
    share,
    threshold_for,
    too_few,
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


class TestBounds:
    @pytest.mark.parametrize("confidence", [0.6, 0.95, 0.99])
    def test_the_largest_rank_that_the_binomial_distribution_allows(self, confidence: float) -> None:
        for frames in (1, 2, 3, 10, 59, 300):
            for rate in (0.001, 0.05, 0.3, 0.5, 0.9, 0.999):
                allowed = np.flatnonzero(binom.cdf(np.arange(frames), frames, rate) <= 1 - confidence)
                expected = int(allowed.max()) if len(allowed) else -1
                assert most_exceeding(frames, rate, confidence) == expected, (frames, rate)

    def test_the_ends(self) -> None:
        assert [most_exceeding(7, rate, 0.95) for rate in (1.0, 1.5)] == [6, 6]
        assert most_exceeding(0, 0.5, 0.95) == -1
        assert most_exceeding(1, 0.5, 0.5) == 0
        assert [frames_needed(rate, 0.95) for rate in (0.05, 0.5, 0.95, 0.96)] == [59, 5, 1, 1]
        assert isinstance(frames_needed(0.05, 0.95), int)

    def test_the_order_statistic_counts_from_the_largest(self) -> None:
        levels = np.random.default_rng(0).permutation(500)
        for rate in (0.01, 0.05, 0.5):
            assert order_statistic(levels, rate, 0.95) == 499 - most_exceeding(500, rate, 0.95)
            assert order_statistic(list(levels), rate, 0.95) == order_statistic(levels, rate, 0.95)
        assert order_statistic(levels[:10], 0.01, 0.95) is None
        assert type(order_statistic(levels, 0.05, 0.95)) is float


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
    def made(self, frames: int = 100) -> Calibrator:
        """Frame i has the levels i + column / 100, the alarm i / 3, and the scores 10 i to 10 i + 9."""
        calibrator = Calibrator(min_area=5)
        for i in np.random.default_rng(2).permutation(frames):
            levels = i + np.arange(len(RATES)) / 100
            calibrator.frames.append(FrameFigures(levels, i / 3, 10.0 * i + np.arange(10)))
        return calibrator

    def test_the_result_is_made_of_ranks(self) -> None:
        found = self.made().result(confidence=0.9, coverage=0.8)
        rank = 99 - most_exceeding(100, 0.2, 0.9)
        assert found.keys() == {"fpr", "alarms", "quantiles"}
        assert found["fpr"] == [[rate, pytest.approx(rank + i / 100)] for i, rate in enumerate(RATES)]
        assert found["alarms"] == [float(f"{i / 3:.7g}") for i in range(99, -1, -1)]
        assert [pair[0] for pair in found["quantiles"]] == list(SHARES)
        assert [pair[1] for pair in found["quantiles"]] == pytest.approx([999 * each for each in SHARES], rel=1e-6)
        assert all(value == float(f"{value:.7g}") for _, value in found["quantiles"])
        assert self.made().result() == self.made().result(0.95, 0.95)

    def test_a_frame_is_added_or_has_nothing_to_add(self) -> None:
        calibrator, heat = Calibrator(), np.zeros((2, 2), np.float32)
        assert calibrator.add(heat, np.full((2, 2), IGNORE, np.uint8)) is None
        assert calibrator.frames == []
        assert calibrator.add(heat) is calibrator.frames[0]
        tight = Calibrator(min_area=3)
        heat[0] = 1
        assert tight.add(heat).alarm == 0  # type: ignore[union-attr]
        assert Calibrator(min_area=2).add(heat).alarm == 1  # type: ignore[union-attr]

    def test_too_few_frames(self) -> None:
        enough_frames(59, 0.95, 0.95)
        assert refusal(enough_frames, 58, 0.95, 0.95) == (
            "58 frames with valid pixels cannot guarantee anything about 95% of new frames at 95% confidence; pass at "
            "least 59 frames"
        )
        assert "80% of new frames at 99% confidence; pass at least 21 frames" in refusal(enough_frames, 20, 0.8, 0.99)
        assert "58 frames" in refusal(self.made(58).result)

    def test_the_card_gets_all_of_it(self) -> None:
        gathered = {"energy": self.made(80), "msp": self.made()}
        about = {"data": "drives/val", "date": "2026-01-02", "confidence": 0.9, "coverage": 0.8}
        card = calibrated(CARD, gathered, about, "alarms=1/10frames")
        assert card.calibration == {
            **about, "frames": 80, "min_area": 5, "scores": {n: c.result(0.9, 0.8) for n, c in gathered.items()},
        }  # fmt: skip
        assert card.thresholds == {name: threshold_for(card, "alarms=1/10frames", name).value for name in gathered}
        assert card.threshold_meaning == (
            "alarms=1/10frames; 90% confidence, from 80 frames of drives/val (2026-01-02)"
        )
        other = calibrated(Card(**{**CARD.__dict__, "thresholds": {"other": 3.0}}), gathered, about, "0.5")
        assert other.thresholds == {"other": 3.0, "energy": 0.5, "msp": 0.5}


class TestLanguage:
    @pytest.fixture
    def card(self) -> Card:
        scores = {
            "msp": {
                "fpr": [[0.1, 1.0], [0.01, 2.0], [0.001, 3.0]], "alarms": [float(i) for i in range(200, 0, -1)],
                "quantiles": [[0.0, -1.0], [0.5, 0.0], [1.0, 3.0]],
            }
        }  # fmt: skip
        about = {"data": "drives/val", "date": "2026-01-02", "confidence": 0.95, "coverage": 0.8}
        return Card(**{**CARD.__dict__, "calibration": {**about, "frames": 200, "min_area": None, "scores": scores}})

    @pytest.mark.parametrize(
        ("text", "means"),
        [
            ("fpr=0.01", ("fpr", 0.01)), ("fpr=2%", ("fpr", 0.02)), ("fpr=1", ("fpr", 1.0)),
            (" fpr=0.1% ", ("fpr", 0.001)), ("alarms=2/50frames", ("alarms", 0.04)),
            ("alarms=1/frame", ("alarms", 1.0)),
            ("alarms=0.5/2.5frames", ("alarms", 0.2)), ("alarms=36/hour@1fps", ("alarms", 0.01)),
            ("alarms=36/hour@0.5fps", ("alarms", 0.02)), ("-0.25", ("value", -0.25)), ("\t1e3\n", ("value", 1000.0)),
        ],
    )  # fmt: skip
    def test_what_a_threshold_asks_for(self, text: str, means: tuple[str, float]) -> None:
        kind, value = parse_threshold(text)
        assert (kind, value) == (means[0], pytest.approx(means[1]))

    def test_the_speed_may_come_from_outside_and_the_text_goes_before_it(self) -> None:
        assert parse_threshold("alarms=36/hour", 2.0) == ("alarms", pytest.approx(0.005))
        assert parse_threshold("alarms=36/hour@1fps", 2.0) == ("alarms", pytest.approx(0.01))

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
            ("alarms=7200/hour@1fps",
             "threshold 'alarms=7200/hour@1fps' asks for a rate of 2, which is above 1; expected a share"),
            ("alarms=1/hour@yfps", "threshold 'alarms=1/hour@yfps' holds 'y'; expected a number above 0"),
            (" alarms=1/hour",
             "'alarms=1/hour' needs to know the frames per second; write for example 'alarms=1/hour@10fps'"),
            ("nothing", "threshold 'nothing' is not understood; expected a number, 'fpr=0.1%', 'alarms=1/100frames' "
             "or 'alarms=30/hour@1fps'"),
            ("inf", "threshold 'inf' is not understood; expected a number, 'fpr=0.1%', 'alarms=1/100frames' "
             "or 'alarms=30/hour@1fps'"),
        ],
    )  # fmt: skip
    def test_what_is_not_understood(self, text: str, says: str) -> None:
        assert refusal(parse_threshold, text) == says

    def test_a_rate_of_one_is_a_share(self) -> None:
        assert share(1.0, "x") == 1.0

    def test_pixels(self, card: Card) -> None:
        assert threshold_for(card, "fpr=5%") == Threshold(
            2.0,
            "msp > 2: at most 0.01 of the in-distribution pixels of a frame lie above, in 80% of frames; "
            "95% confidence, from 200 frames of drives/val (2026-01-02)",
        )
        assert [threshold_for(card, f"fpr={rate}").value for rate in (0.1, 0.01, 0.0099999, 0.001)] == [1, 2, 3, 3]
        says = "fpr=0.0009 is smaller than the calibration holds; ask for fpr=0.10% or more"
        assert refusal(threshold_for, card, "fpr=0.0009") == says

    def test_alarms(self, card: Card) -> None:
        k = most_exceeding(200, 0.05, 0.95)
        assert threshold_for(card, " alarms=1/20frames", "msp") == Threshold(
            200.0 - k,
            f"msp > {200 - k}: at most 0.05 of frames have a false alarm of 1 in 10,000 pixels or more; "
            "95% confidence, from 200 frames of drives/val (2026-01-02)",
        )
        with_area = Card(**{**card.__dict__, "calibration": {**card.calibration, "min_area": 30}})
        assert " of 30 pixels or more; " in threshold_for(with_area, "alarms=1/20frames").meaning
        assert threshold_for(card, "alarms=180/hour", fps=1).value == threshold_for(card, "alarms=1/20frames").value
        assert refusal(threshold_for, card, " alarms=1/1000frames ") == (
            "'alarms=1/1000frames' is 0.001 a frame, which 200 frames cannot guarantee at 95% confidence; calibrate on "
            "2995 frames or more, or ask for alarms=1/67frames"
        )
        assert too_few("x", 0.5, 0, 0.9) == (
            "'x' is 0.5 a frame, which 0 frames cannot guarantee at 90% confidence; calibrate on 4 frames or more, or "
            "ask for alarms=1/1frames"
        )

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
        check_threshold("alarms=1/20frames", 59, 0.95)
        check_threshold("alarms=1/20frames", None, 0.95)
        check_threshold("fpr=0.0001%", 1, 0.95)
        says = too_few("alarms=1/20frames", 0.05, 58, 0.95)
        assert refusal(check_threshold, "alarms=1/20frames", 58, 0.95) == says
        assert "is not understood" in refusal(check_threshold, "x", None, 0.95)

    def test_options_are_checked_in_the_command_s_words(self) -> None:
        good = ("fpr=1%", 0.95, 0.95, None, 59)
        check_options(*good)
        check_options("alarms=1/20frames", 0.95, 0.95, 1, None)
        for confidence in (0, 1, 1.5):
            says = f"--confidence is {confidence:g}; expected a share between 0 and 1, such as 0.95"
            assert refusal(check_options, "fpr=1%", confidence, 0.95, None, 59) == says
        assert refusal(check_options, "fpr=1%", 0.95, 0.95, 0, 59) == "--min-area is 0; expected 1 pixel or more"
        assert "58 frames with valid pixels" in refusal(check_options, "fpr=1%", 0.95, 0.95, None, 58)
        assert "'alarms=1/21frames'" in refusal(check_options, "alarms=1/21frames", 0.95, 0.5, None, 59)
