"""Drift from the calibration: what the card keeps of drives, and the test while frames come in."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
from scipy.signal import lfilter

from oddroad.calibration.drift import DriftAlarm, DriftTest
from oddroad.calibration.drift_comparison import Exchangeable, OwnBeginning, deviations, oddness, outside
from oddroad.calibration.drift_reference import BLOCK_TIMES, FEWEST_BLOCKS, DriveStatistics, drift_reference
from oddroad.calibration.drives import correlation_time
from oddroad.calibration.frame_statistics import STATISTICS, frame_statistics

WIDE = len(STATISTICS)


def drive(seed: int, frames: int, between: float = 0.0, keep: float = 0.5) -> np.ndarray:
    """(frames, 11) of autocorrelated statistics with a mean of their own for each drive."""
    draw = np.random.default_rng(seed)
    noise = draw.normal(size=(frames, WIDE)) * math.sqrt(1 - keep**2)
    return np.asarray(lfilter([1.0], [1.0, -keep], noise, axis=0)) + between * draw.normal(size=WIDE)


def of(values: np.ndarray, step: float = 0.1, timed: bool = True, name: str = "a") -> DriveStatistics:
    return DriveStatistics(name, values, step, timed)


def fed(test: DriftTest, values: np.ndarray, step: float = 0.1, first: int = 0) -> list[tuple[int, DriftAlarm]]:
    """Alarms with the number of their frame; the drive goes on."""
    found = []
    for number, row in enumerate(values, first):
        if test.wants(number * step) and (alarm := test.add(number * step, row)) is not None:
            found.append((number, alarm))
    return found


REFERENCE = drift_reference([of(drive(1, 1500))])


class TestReference:
    def test_one_drive_becomes_blocks_of_correlation_times(self) -> None:
        values = drive(1, 1500)
        reference = drift_reference([of(values)])
        slowest = 0.0
        for column in values.T:
            ranks = np.argsort(np.argsort(column)).astype(float)
            slowest = max(slowest, correlation_time(column), correlation_time(ranks))
        length = math.ceil(BLOCK_TIMES * slowest)
        assert reference["block"] == pytest.approx(0.1 * length)
        assert len(reference["units"]) == 1500 // length
        assert reference["units"][3] == pytest.approx(np.median(values[3 * length : 4 * length], axis=0), abs=1e-6)
        assert (reference["unit"], reference["step"], reference["timed"]) == ("block", 0.1, True)
        assert reference["not_tested"] == ""
        assert json.loads(json.dumps(reference)) == reference

    def test_a_slow_statistic_is_left_out_and_does_not_make_the_blocks_long(self) -> None:
        values = drive(1, 1500)
        values[:, 2] = np.linspace(0, 1, 1500)
        values[:, 4] = 7.0  # as the warmth of a grey camera
        reference = drift_reference([of(values)])
        assert reference["statistics"] == [name for n, name in enumerate(STATISTICS) if n not in (2, 4)]
        assert {len(row) for row in reference["units"]} == {WIDE - 2}
        assert reference["block"] < 3

    def test_where_most_are_slow_nothing_is_tested(self) -> None:
        values = drive(1, 1500)
        values[:, :6] = np.linspace(0, 1, 1500)[:, None]
        assert "only drive is too short to tell" in drift_reference([of(values)])["not_tested"]
        values[:, 0] = drive(2, 1500)[:, 0]  # six fast, five slow
        assert drift_reference([of(values)])["not_tested"] == ""

    @pytest.mark.parametrize("values", [drive(1, 30), np.ones((500, WIDE)), drive(3, 221, keep=0.95)])
    def test_a_drive_too_short_to_tell(self, values: np.ndarray) -> None:
        assert drift_reference([of(values)]).keys() == {"not_tested"}

    def test_it_takes_twenty_blocks(self) -> None:
        values = drive(1, 4000)
        length = round(drift_reference([of(values)])["block"] / 0.1)
        shortest = next(
            n for n in range(FEWEST_BLOCKS * 4, 4000) if not drift_reference([of(values[:n])])["not_tested"]
        )
        assert FEWEST_BLOCKS * 4 < shortest < 40 * length
        assert len(drift_reference([of(values[:shortest])])["units"]) == FEWEST_BLOCKS

    def test_several_drives_are_the_units(self) -> None:
        drives = [of(drive(seed, 300 + seed, 1.0), name=str(seed)) for seed in range(8)]
        reference = drift_reference(drives)
        assert reference["unit"] == "drive"
        assert np.allclose(reference["units"], [np.median(each.values, axis=0) for each in drives], atol=1e-6)
        assert (reference["shortest"], reference["longest"]) == (pytest.approx(30.0), pytest.approx(30.7))
        assert reference["not_within"] == ""
        every = np.concatenate([each.blocks(round(reference["block"] / 0.1)) for each in drives])
        assert np.allclose(reference["low"], every.min(axis=0), atol=1e-6)
        assert np.allclose(reference["high"], every.max(axis=0), atol=1e-6)

    def test_drives_that_change_on_their_way_are_not_compared_with_their_beginning(self) -> None:
        drives = [of(drive(seed, 600)) for seed in range(6)]
        drives[2].values[300:] += 20.0
        assert (
            drift_reference(drives)["not_within"]
            == "1 of the 6 drives calibrated on change as much from their own beginning"
        )
        assert drift_reference(drives)["block"] is None

    def test_short_drives_are_not_compared_with_their_beginning(self) -> None:
        reference = drift_reference([of(drive(seed, 20)) for seed in range(6)])
        assert reference["not_tested"] == ""
        assert "too short to tell how long their frames depend" in reference["not_within"]

    def test_videos_and_pictures_do_not_mix(self) -> None:
        found = drift_reference([of(drive(1, 300)), of(drive(2, 300), 1.0, timed=False)])
        assert found == {
            "not_tested": "of the calibration's drives some are videos and some are pictures without times"
        }


class TestOddness:
    def test_median_deviations_of_the_most_deviating(self) -> None:
        units = np.array([[0.0, 5.0], [1.0, 5.0], [2.0, 5.0], [3.0, 5.0], [40.0, 5.0]])
        assert deviations(units)[:, 0] == pytest.approx(
            np.array([2, 1, 0, 1, 38]) / max(1.4826, 0.1 * units[:, 0].std())
        )
        assert (deviations(units)[:, 1] == 0).all()
        assert oddness(units).argmax() == 4

    def test_a_constant_does_not_hide_a_change(self) -> None:
        units = np.full((9, 2), 3.0)
        units[8, 1] = 3.1
        assert oddness(units).argmax() == 8
        assert oddness(units)[8] > 5

    def test_outside_a_range(self) -> None:
        found = outside(np.array([[1.0, 5.0], [-1.0, 9.0]]), np.array([0.0, 6.0]), np.array([2.0, 8.0]))
        assert found.tolist() == [[0.0, 0.5], [0.5, 0.5]]
        assert outside(np.array([[4.0]]), np.array([2.0]), np.array([2.0])) == pytest.approx(1.0)


class TestBlocks:
    def test_later_parts_raise_no_alarm_and_a_change_raises_one(self) -> None:
        reference = REFERENCE
        test = DriftTest(reference, 0.01)
        assert fed(test, drive(2, 3000)) == []
        changed = drive(3, 600)
        changed[:, 3] -= 8
        ((number, alarm),) = fed(test, changed, first=3000)
        block = round(reference["block"] / 0.1)
        assert number - 3000 < 5 * block
        assert (alarm.test, alarm.statistic) == ("blocks", "contrast")
        assert alarm.evidence >= 100
        assert alarm.value < -6 < alarm.low < alarm.high
        assert test.units == 3600 // block - 1 or test.units == 3600 // block

    def test_calm_frames_raise_at_most_as_many_alarms_as_stated(self) -> None:
        false = 0
        for seed in range(20):
            values = drive(100 + seed, 3500, keep=0.8)
            reference = drift_reference([of(values[:1000])])
            if not reference["not_tested"]:
                false += bool(fed(DriftTest(reference, 0.05), values[1000:]))
        assert false <= 3  # one is expected at most; more than three in 1 of 60 cases

    def test_frames_in_between_are_not_looked_at(self) -> None:
        values = drive(1, 1500)
        reference = drift_reference([of(values, step=0.5)])
        test = DriftTest(reference, 0.01)
        wanted = [
            number for number in range(1000) if test.wants(number * 0.04) and not test.add(number * 0.04, values[0])
        ]
        assert len(wanted) == pytest.approx(1000 * 0.04 / 0.5, abs=2)
        assert set(np.diff(wanted)[1:]) <= {12, 13}

    def test_frames_too_far_apart_make_no_block(self) -> None:
        reference = REFERENCE
        test = DriftTest(reference, 0.01)
        fed(test, drive(2, 300), step=0.4)
        assert (test.units, test.alarms) == (0, [])
        assert test.incomplete > 5

    def test_a_gap_begins_a_block_anew(self) -> None:
        reference = REFERENCE
        test, block = DriftTest(reference, 0.01), round(reference["block"] / 0.1)
        fed(test, drive(2, block - 2))
        fed(test, drive(3, block - 2), first=10 * block)
        assert (test.units, test.incomplete) == (0, 0)
        fed(test, drive(4, block), first=20 * block)
        fed(test, drive(4, 1), first=21 * block)
        assert test.units == 1

    def test_an_alarm_stands_until_the_drive_ends_and_then_the_test_begins_anew(self) -> None:
        reference = REFERENCE
        test, odd = DriftTest(reference, 0.01), drive(2, 400) + 9
        assert len(fed(test, odd)) == 1
        test.end()
        assert len(test.against.units) == len(reference["units"])
        assert len(fed(test, odd)) == 1
        test.end()
        assert fed(test, drive(3, 600)) == []
        assert len(test.alarms) == 2

    def test_evidence_goes_on_over_drives(self) -> None:
        reference = REFERENCE
        test, block, told = DriftTest(reference, 0.01), round(reference["block"] / 0.1), []
        for number in range(6):
            told += fed(test, drive(number, block + 1) + 9)
            test.end()
        assert told
        assert test.units == 6

    def test_seconds_and_frames_are_positions(self) -> None:
        values = drive(1, 1500)
        one, two = drift_reference([of(values)]), drift_reference([of(values, 2.0, timed=False)])
        assert two["block"] == pytest.approx(20 * one["block"])
        assert len(fed(DriftTest(two, 0.01), drive(2, 600) + 9, step=2.0)) == 1


class TestDrives:
    REFERENCE = drift_reference([of(drive(seed, 100, 1.0), name=str(seed)) for seed in range(20)])

    def test_one_value_a_drive(self) -> None:
        test = DriftTest({**self.REFERENCE, "not_within": "short", "block": None}, 0.01)
        assert test.fewest == 3
        assert [test.end() for seed in range(40) if not fed(test, drive(seed, 100, 1.0))] == [None] * 40
        assert test.units == 40
        test = DriftTest({**self.REFERENCE, "not_within": "short", "block": None}, 0.01)
        found = []
        for seed in range(4):
            values = drive(60 + seed, 100, 1.0)
            values[:, 1] += 30
            found.append(fed(test, values))  # at its last frame it is as long as the longest
            assert test.end() is None
        assert [len(each) for each in found] == [0, 0, 1, 0]
        ((number, alarm),) = found[2]
        assert (number, alarm.test, alarm.statistic, alarm.units) == (99, "drives", "brightness below", 3)
        assert len(test.against.units) == 21  # begun anew

    def test_a_longer_drive_counts_once_at_the_length_of_the_longest(self) -> None:
        test = DriftTest({**self.REFERENCE, "not_within": "short", "block": None}, 0.01)
        fed(test, drive(50, 99))
        assert test.units == 0
        fed(test, drive(50, 300), first=99)
        assert test.units == 1
        test.end()
        assert test.units == 1

    def test_a_drive_shorter_than_all_is_not_counted(self) -> None:
        test = DriftTest(self.REFERENCE, 0.01)
        fed(test, drive(50, 98))
        assert test.end() is None
        assert (test.units, test.too_short) == (0, 1)
        fed(test, drive(50, 100))
        test.end()
        assert (test.units, test.too_short) == (1, 1)
        test.end()
        assert test.units == 1


class TestBeginning:
    def reference(self) -> dict:
        return drift_reference([of(drive(seed, 600, 1.0), name=str(seed)) for seed in range(10)])

    def test_a_drive_that_turns_is_compared_with_its_own_beginning(self) -> None:
        test = DriftTest(self.reference(), 0.01)
        assert fed(test, drive(50, 2000, 1.0)) == []
        test.end()
        values = drive(51, 1500, 1.0)
        values[700:, 0] -= 12
        ((number, alarm),) = fed(test, values)
        assert (alarm.test, alarm.statistic) == ("beginning", "brightness above")
        assert 700 < number < 700 + 12 * round(self.reference()["block"] / 0.1)
        assert alarm.evidence >= 200  # half of the rate is for whole drives

    def test_what_some_drive_showed_is_no_change(self) -> None:
        reference = self.reference()
        middle = (np.array(reference["low"]) + np.array(reference["high"])) / 2
        values = np.concatenate([np.tile(middle * 0.6, (400, 1)), np.tile(middle * 1.4, (400, 1))])
        assert fed(DriftTest(reference, 0.5), values) == []

    def test_a_drive_that_is_odd_throughout_does_not_change(self) -> None:
        test = DriftTest(self.reference(), 0.01)
        fed(test, drive(52, 900) + 40)
        assert test.alarms == []
        assert test.blocks >= 19

    def test_over_drives_the_capital_is_that_of_a_fair_game(self) -> None:
        """All orders of two drives of three blocks that are all outside."""
        orders, capital = list(itertools.permutations([1.0, 2.0, 3.0])), []
        for first, second in itertools.product(orders, repeat=2):
            test = OwnBeginning(np.zeros(1), np.zeros(1))
            for each in first:
                test.add(np.array([each]))
            test.next_drive()
            capital.append([test.add(np.array([each])) for each in second])
        assert 0.5 < np.mean(capital, axis=0)[-1] <= 1 + 1e-12

    def test_the_next_drive_has_another_beginning(self) -> None:
        test = DriftTest(self.reference(), 0.01)
        for number in range(6):
            fed(test, drive(60 + number, 300) + 30 * (number % 2))
            test.end()
        assert "beginning" not in [each.test for each in test.alarms]


def test_units_are_compared_with_all_before() -> None:
    exchangeable = Exchangeable(drive(1, 10))
    for number in range(3):
        exchangeable.add(np.full(WIDE, 9.0 + number))
    assert exchangeable.units.shape == (13, WIDE)
    exchangeable.again()
    assert exchangeable.units.shape == (10, WIDE)
    assert exchangeable.game.value == 1


class TestFrameStatistics:
    def test_they_are_what_they_say(self) -> None:
        image = np.zeros((128, 256, 3), np.uint8)
        image[:64] = (200, 100, 60)
        heat = np.zeros((128, 256), np.float32)
        heat[:, :64] = 2.0
        found = dict(zip(STATISTICS, frame_statistics(image, heat), strict=True))
        assert found["brightness above"] == pytest.approx(120)
        assert found["brightness below"] == 0
        assert found["contrast"] == pytest.approx(60)
        assert found["sharpness above"] == found["sharpness below"] == found["brightness beside"] == 0
        assert found["warmth"] == pytest.approx(70)
        assert found["median score"] == 0
        assert found["score of 1 pixel in 10"] == 2
        image[80:, ::2, 1] = 250
        image[64:, :64] += 30
        found = dict(zip(STATISTICS, frame_statistics(image, heat), strict=True))
        assert found["sharpness above"] == 0
        assert found["sharpness below"] > 100
        assert 10 < found["brightness beside"] < 20

    @pytest.mark.parametrize("shape", [(1, 1), (1, 9), (5, 1), (33, 47)])
    def test_any_size(self, shape: tuple[int, int]) -> None:
        found = frame_statistics(np.full((*shape, 3), 7, np.uint8), np.full(shape, 3, np.float32))
        assert found == pytest.approx([7, 7, 0, 0, 0, 0, 0, 3, 3, 3, 3], abs=1e-5)
