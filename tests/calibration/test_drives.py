"""What depends on each other counts as few: correlation times, blocks, bounds, coverage by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.signal import lfilter
from scipy.stats import binom

from oddroad.calibration.drives import (
    MOST_KEPT,
    Drive,
    Units,
    alarm_curve,
    best_rate,
    binomial_below,
    bound_without_alarms,
    correlation_time,
    divergence,
    mean_bound,
    threshold_for_rate,
    units_needed,
    units_of,
)
from oddroad.errors import InputError


def autoregressive(draw: np.random.Generator, frames: int, time: float) -> np.ndarray:
    """A Gaussian series with this integrated autocorrelation time."""
    keep = (time - 1) / (time + 1)
    noise = draw.normal(size=frames) * np.sqrt(1 - keep**2)
    noise[0] = draw.normal()
    return np.asarray(lfilter([1.0], [1.0, -keep], noise))


class TestCorrelationTime:
    @pytest.mark.parametrize("time", [1.0, 5.0, 40.0])
    def test_of_known_processes(self, time: float) -> None:
        draw = np.random.default_rng(1)
        found = [correlation_time(autoregressive(draw, 20_000, time)) for _ in range(5)]
        assert np.mean(found) == pytest.approx(time, rel=0.15)

    def test_the_sum_over_pairs_until_one_is_not_positive(self) -> None:
        series = np.array([1.0, 2.0, 4.0, 5.0, 4.0, 0.0, 1.0, -1.0])
        values = series - series.mean()
        lags = [values[: 8 - lag] @ values[lag:] / (values @ values) for lag in range(8)]
        expected, at = 1.0, 1
        while at + 1 < 8 and lags[at] + lags[at + 1] > 0:
            expected, at = expected + 2 * (lags[at] + lags[at + 1]), at + 2
        assert at > 1
        assert correlation_time(series) == pytest.approx(expected)

    def test_its_ends(self) -> None:
        assert correlation_time(np.array([3.0])) == 1
        assert correlation_time(np.full(50, 0.1)) == 50
        assert correlation_time(np.array([0.0, 1.0] * 20)) == 1
        assert correlation_time(1e9 + np.arange(10.0)) <= 10


class TestDrive:
    def test_what_is_no_drive(self) -> None:
        with pytest.raises(InputError, match=r"drive 'a' has levels of shape \(0,\); expected one for each frame"):
            Drive("a", np.zeros(0))
        for bad in (math.nan, math.inf):
            with pytest.raises(InputError, match="drive 'a' has 1 levels that are no finite numbers"):
                Drive("a", np.array([0.0, bad]))

    def test_a_standing_car_is_one_unit(self) -> None:
        assert Drive("a", np.full(10_000, 2.5)).blocks == 1
        assert Drive("a", np.array([1.0])).blocks == 1

    def test_blocks_are_three_times_long_and_five_at_least(self) -> None:
        levels = autoregressive(np.random.default_rng(2), 3000, 10.0)
        ranks = np.argsort(np.argsort(levels)).astype(float)
        slowest = max(correlation_time(levels), correlation_time(ranks))
        assert Drive("a", levels).blocks == 3000 // math.ceil(3 * slowest)
        assert Drive("a", np.exp(30 * levels)).blocks <= 3000 // math.ceil(3 * correlation_time(ranks))
        frames = 5 * math.ceil(3 * correlation_time(np.array([0.0, 1.0] * 8)))
        assert [Drive("a", np.array([0.0, 1.0] * 8)[:count]).blocks for count in (frames - 1, frames)] == [1, 5]

    def test_its_rate(self) -> None:
        assert Drive("a", np.array([1.0, 2.0, 3.0, 3.0])).rate(2.0) == 0.5


class TestBounds:
    def test_the_binomial_distribution(self) -> None:
        for count, most, rate in ((1, 0, 0.5), (10, 3, 0.2), (300, 40, 0.1), (5, 9, 0.3)):
            assert binomial_below(most, count, rate) == pytest.approx(binom.cdf(most, count, rate))

    def test_the_divergence(self) -> None:
        assert divergence(0.2, 0.5) == pytest.approx(0.2 * math.log(0.4) + 0.8 * math.log(1.6))
        assert divergence(0.0, 0.3) == pytest.approx(-math.log(0.7))

    def test_without_alarms_it_is_the_binomial_one(self) -> None:
        for count in (1, 2, 5, 20, 300):
            exact = brentq(lambda rate, n=count: binom.cdf(0, n, rate) - 0.05, 0, 1)
            assert mean_bound(0.0, count, 0.95) == pytest.approx(exact, abs=1e-6)
            assert best_rate(count, 0.95) == pytest.approx(exact, abs=1e-9)
            assert bound_without_alarms(np.full(count, 1 / count), 0.95) == pytest.approx(exact, abs=1e-9)
        assert best_rate(0, 0.95) == mean_bound(0.0, 0, 0.95) == mean_bound(1.0, 5, 0.95) == 1

    def test_it_is_hoeffding_s_and_bentkus_s_better_one(self) -> None:
        for mean, count in ((0.05, 100), (0.3, 20), (0.5, 500)):
            hoeffding = brentq(lambda r, m=mean, n=count: n * divergence(m, r) + math.log(0.05), mean + 1e-9, 1 - 1e-9)
            k = math.ceil(count * mean)
            bentkus = brentq(lambda r, n=count, k=k: math.e * binom.cdf(k, n, r) - 0.05, 1e-9, 1 - 1e-9)
            assert mean_bound(mean, count, 0.95) == pytest.approx(min(hoeffding, bentkus), abs=1e-6)
            exact = brentq(lambda r, n=count, k=k: binom.cdf(k, n, r) - 0.05, 1e-9, 1 - 1e-9)
            assert mean_bound(mean, count, 0.95) >= exact - 1e-9

    def test_weights_that_differ(self) -> None:
        weights = np.array([0.5, 0.2, 0.1, 0.1, 0.1])
        found = bound_without_alarms(weights, 0.95)
        assert best_rate(5, 0.95) < found < best_rate(2, 0.95)
        draw, best = np.random.default_rng(3), 0.0
        shares = draw.dirichlet(np.ones(5), 20_000)  # of log(1 - confidence): each gives probabilities on the border
        best = float(((1 - 0.05**shares) @ weights).max())
        assert best <= found + 1e-9
        assert best == pytest.approx(found, abs=0.01)

    def test_how_many_are_needed(self) -> None:
        assert [units_needed(rate, 0.95) for rate in (0.05, 0.5, 0.95, 0.96)] == [59, 5, 1, 1]
        for count in (1, 7, 300):
            assert units_needed(best_rate(count, 0.9), 0.9) == count


class TestUnits:
    def test_new_drives(self) -> None:
        drives = [Drive(str(i), np.arange(3.0) + i) for i in range(5)]
        assert units_of(drives, "new-drives", 0.95) == Units(5, None, 5, best_rate(5, 0.95))

    def test_blocks_of_the_same(self) -> None:
        lively = Drive("a", np.random.default_rng(4).normal(size=300))
        standing = Drive("b", np.zeros(100))
        assert lively.blocks > 20
        found = units_of([lively, standing], "same-drives", 0.95)
        assert (found.count, found.block, found.equal) == (lively.blocks + 1, 100, 4)
        weights = np.array([300 / lively.blocks] * lively.blocks + [100]) / 400
        assert found.best == pytest.approx(bound_without_alarms(weights, 0.95))
        assert units_of([standing], "same-drives", 0.95) == Units(1, 100, 1, pytest.approx(0.95))

    def test_the_curve(self) -> None:
        drives = [Drive("a", np.array([1.0, 2.0])), Drive("b", np.array([2.0, 3.0, 3.0, 0.0]))]
        assert alarm_curve(drives, "new-drives") == [(3.0, 0.0), (2.0, 0.25), (1.0, 0.625), (0.0, 0.875)]
        assert alarm_curve(drives, "same-drives") == [
            (3.0, 0.0), (2.0, pytest.approx(2 / 6)), (1.0, pytest.approx(4 / 6)), (0.0, pytest.approx(5 / 6)),
        ]  # fmt: skip

    def test_a_long_one_is_kept_in_steps_of_a_few_percent(self) -> None:
        levels = np.random.default_rng(5).permutation(200_000).astype(float)
        curve = alarm_curve([Drive("a", levels)], "same-drives")
        assert len(curve) <= MOST_KEPT
        assert curve[0] == (199_999.0, 0.0)
        rates = np.array([rate for _, rate in curve])
        assert rates[::100] == pytest.approx([(levels > value).mean() for value, _ in curve[::100]], abs=1e-12)
        assert (np.diff(rates)[200:] <= 0.03 * rates[201:]).all()

    def test_the_lowest_threshold_that_holds(self) -> None:
        drives = [Drive(str(i), np.arange(10.0) + i / 100) for i in range(40)]
        curve, units = alarm_curve(drives, "new-drives"), units_of(drives, "new-drives", 0.95)
        for rate in (0.08, 0.2, 0.5, 1.0):
            allowed = [value for value, mean in curve if mean_bound(mean, 40, 0.95) <= rate]
            assert threshold_for_rate(curve, units, rate, 0.95) == min(allowed)
        assert threshold_for_rate(curve, units, 0.07, 0.95) is None
        assert threshold_for_rate(curve, units, units.best - 1e-14, 0.95) == 9.39  # rounding refuses nothing

    def test_units_of_other_weights_count_as_fewer_where_some_alarm(self) -> None:
        curve, units = [(9.0 - i, i / 50) for i in range(10)], Units(30, 50, 12, 0.15)
        allowed = [value for value, mean in curve if mean == 0 or mean_bound(mean, 12, 0.95) <= 0.35]
        assert threshold_for_rate(curve, units, 0.35, 0.95) == min(allowed) > 0


@pytest.mark.parametrize(("time", "frames"), [(1.0, 60), (5.0, 221), (40.0, 221), (200.0, 221), (1000.0, 60)])
def test_later_parts_of_one_drive_break_the_guarantee_as_rarely_as_stated(time: float, frames: int) -> None:
    draw, failed, times = np.random.default_rng(6), 0, 200
    for _ in range(times):
        whole = autoregressive(draw, frames + 5000, time)
        later = whole[frames:] if time < 200 else draw.normal(size=1000)  # the long run
        units = units_of([Drive("a", whole[:frames])], "same-drives", 0.95)
        failed += (later > whole[:frames].max()).mean() > units.best
    assert failed <= 0.05 * times


def test_new_drives_break_the_guarantee_as_rarely_as_stated_though_one_in_ten_is_odd() -> None:
    draw, failed, times = np.random.default_rng(7), {0.2: 0, 0.5: 0}, 200

    def drive() -> np.ndarray:
        return autoregressive(draw, 60, 10.0) + (3.0 if draw.random() < 0.1 else draw.normal(0, 0.5))

    world = np.sort(np.concatenate([drive() for _ in range(3000)]))
    for _ in range(times):
        drives = [Drive(str(i), drive()) for i in range(20)]
        curve, units = alarm_curve(drives, "new-drives"), units_of(drives, "new-drives", 0.95)
        for rate in failed:
            threshold = threshold_for_rate(curve, units, rate, 0.95)
            assert threshold is not None
            failed[rate] += 1 - np.searchsorted(world, threshold, side="right") / len(world) > rate
    assert max(failed.values()) <= 0.05 * times
