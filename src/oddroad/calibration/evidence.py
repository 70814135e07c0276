"""Evidence against exchangeability that may be looked at after every unit: a conformal test martingale.

Each new unit has a conformal p-value: the share of all units so far, those of the calibration and itself among them,
that are at least as odd. If the units are exchangeable, the smoothed p-values are independent and uniform; the ones
used here, where ties count against the new unit, are never smaller, and all bets fall with p, so that the capital is
never more than that of a fair game. It exceeds 1 / rate at any time with a probability of at most the rate (Ville).

A bet says: from unit j on, all units are odder than all before (or than a share of them). Then the k-th of these has a
p-value of at most k / n among n units, and n / k is what a right guess pays. The capital is a mixture over all j, with
shares that fall slowly (``unspent``), and over the shares of TAILS.
Sources: Vovk, Nouretdinov, Gammerman, "Testing Exchangeability On-Line", ICML 2003; Vovk, "Testing Randomness Online",
Statistical Science 2021.
"""

from __future__ import annotations

import numpy as np

TAILS = np.array([0.0, 0.05, 0.2])
"""Shares of the units before that need not be less odd than those after the change."""

KEPT = 0.2
"""Share of the capital of a bet that is not at stake."""

USUAL_START = 50
"""Units before a change in the mean of the geometric half of the shares that points of change have."""

MOST_STARTS = 512
"""Points of change that are followed at the same time, the latest; the capital of the others is given up."""


def unspent(units: int) -> float:
    """Share of the capital that waits for points of change after so many units.

    Half of it goes by a geometric distribution, half as 1 / (j (j + 1)), so that no change comes too late.
    """
    return (1 / (units + 1) + (1 - 1 / USUAL_START) ** units) / 2


class Evidence:
    """The capital of the game; it begins with 1.

    >>> game = Evidence()
    >>> [round(game.add(1 / total, total)) for total in (51, 52, 53, 54)]
    [6, 101, 1440, 15927]
    """

    def __init__(self) -> None:
        self.units = 0
        self.starts = np.zeros(0)
        self.capital = np.zeros((0, len(TAILS)))

    @property
    def value(self) -> float:
        """The capital: what all bets have, and what waits for later points of change."""
        return float(self.capital.sum()) + unspent(self.units)

    def add(self, p: float, total: int) -> float:
        """Bet on the next unit; returns the capital after it.

        Args:
            p: its conformal p-value, ties counted against it.
            total: units that it was compared with, itself among them.
        """
        self.units += 1
        share = (unspent(self.units - 1) - unspent(self.units)) / len(TAILS)
        self.starts = np.append(self.starts, self.units)[-MOST_STARTS:]
        self.capital = np.vstack([self.capital, np.full((1, len(TAILS)), share)])[-MOST_STARTS:]
        since = self.units - self.starts + 1
        reach = np.minimum(np.maximum(since[:, None] / total, TAILS), 1.0)
        self.capital *= np.where(p <= reach + 1e-12, (1 - KEPT) / reach + KEPT, KEPT)
        return self.value


def p_value(oddness: np.ndarray) -> float:
    """Conformal p-value of the last of the units (n,), by their oddness."""
    return float((oddness >= oddness[-1]).mean())


def fewest_units(before: int, rate: float) -> int:
    """Units in a row, each odder than all before, that it takes at least until the capital exceeds 1 / rate.

    >>> fewest_units(10, 0.01), fewest_units(100, 0.01)
    (4, 2)

    Args:
        before: units of the calibration.
        rate: of false alarms.
    """
    game = Evidence()
    while game.value < 1 / rate:
        total = before + game.units + 1
        game.add(1 / total, total)
    return game.units


def fewest_of_own(rate: float) -> int:
    """Units that it takes at least if there are none of a calibration: some of a kind, and then each odder than all.

    >>> fewest_of_own(0.01)
    15

    Args:
        rate: of false alarms.
    """
    for total in range(2, 1000):
        for before in range(total // 2, 0, -1):
            game = Evidence()
            for number in range(1, total + 1):
                game.add(1.0 if number <= before else 1 / number, number)
            if game.value >= 1 / rate:
                return total
    raise ValueError(f"a rate of {rate} takes more than 1000 units")
