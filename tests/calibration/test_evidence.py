"""The game against exchangeability is fair, whatever the order, and takes what it says to raise an alarm."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from oddroad.calibration.evidence import KEPT, MOST_STARTS, TAILS, Evidence, fewest_of_own, fewest_units, p_value


def played(values: np.ndarray, before: int) -> list[float]:
    """The capital after each of the values (n,) behind the first ``before``, the higher the odder."""
    game = Evidence()
    return [game.add(p_value(values[: number + 1]), number + 1) for number in range(before, len(values))]


class TestFair:
    @pytest.mark.parametrize(("before", "new"), [(0, 6), (2, 4), (3, 3)])
    def test_over_all_orders_the_mean_is_that_of_a_fair_game(self, before: int, new: int) -> None:
        """Enumerated; p-values of distinct units are k / n, of which no bet may win on average."""
        orders = itertools.permutations(range(before + new))
        capital = np.array([played(np.array(order, float), before) for order in orders])
        assert capital.mean(axis=0).max() <= 1 + 1e-12
        assert capital.mean(axis=0)[-1] > 0.25  # and it does not give everything away

    def test_ties_count_against_the_new_unit(self) -> None:
        assert p_value(np.array([1.0, 1.0, 1.0])) == 1
        assert p_value(np.array([1.0, 3.0, 2.0, 2.0])) == 0.75
        assert played(np.ones(200), 10)[-1] < 0.1

    @pytest.mark.parametrize("before", [0, 5, 50])
    def test_few_of_many_games_ever_reach_the_limit(self, before: int) -> None:
        draw, reached = np.random.default_rng(before), 0
        for _ in range(100):
            reached += max(played(draw.normal(size=before + 60), before)) >= 10
        assert reached <= 10 + 3 * math.sqrt(100 * 0.1 * 0.9)


class TestAdd:
    def test_by_hand(self) -> None:
        game = Evidence()
        value = game.add(1 / 11, 11)
        won = [(1 - KEPT) / max(1 / 11, tail) + KEPT for tail in TAILS]
        first, second = 1 - (1 / 2 + 0.98) / 2, (1 / 2 + 0.98 - 1 / 3 - 0.98**2) / 2
        assert value == pytest.approx(first * sum(won) / 3 + 1 - first)
        reached = (1 - KEPT) / 0.2 + KEPT  # by the last tail alone, and by the second unit of the first bet
        assert game.add(0.1, 12) == pytest.approx(
            first * (sum(won[:2]) * ((1 - KEPT) / (2 / 12) + KEPT) + won[2] * reached) / 3
            + second * (2 * KEPT + reached) / 3 + 1 - first - second
        )  # fmt: skip

    def test_what_is_not_odd_costs(self) -> None:
        game = Evidence()
        values = [game.add(0.9, 20) for _ in range(3)]
        assert values == sorted(values, reverse=True)
        assert values[-1] > 1 - 3 * 0.26

    def test_starts_are_forgotten_and_the_value_stays_below_a_fair_one(self) -> None:
        game = Evidence()
        for number in range(MOST_STARTS + 50):
            game.add(0.9, number + 10)
        assert len(game.capital) == len(game.starts) == MOST_STARTS
        assert game.starts[0] == 51
        assert game.value < 1


class TestFewest:
    @pytest.mark.parametrize(("before", "rate"), [(1, 0.05), (10, 0.01), (50, 0.005), (100, 0.01)])
    def test_so_many_and_not_one_less(self, before: int, rate: float) -> None:
        count = fewest_units(before, rate)
        capital = played(np.arange(before + count, dtype=float), before)
        assert capital[-1] >= 1 / rate
        assert max(capital[:-1], default=1.0) < 1 / rate

    def test_more_units_before_take_fewer_after(self) -> None:
        found = [fewest_units(before, 0.01) for before in (1, 2, 5, 10, 20, 100)]
        assert found == sorted(found, reverse=True)
        assert (found[0], found[-1]) == (13, 2)

    def test_of_its_own(self) -> None:
        count = fewest_of_own(0.01)
        reached = [
            max(played(np.concatenate([np.ones(before), 2.0 + np.arange(total - before)]), 0)) >= 100
            for total in (count - 1, count)
            for before in range(1, total)
        ]
        assert not any(reached[: count - 2])
        assert any(reached[count - 2 :])
