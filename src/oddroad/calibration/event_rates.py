"""A bound of alarms per hour of driving when they come in swarms: drives, or blocks of them, are the unit.

How many alarms a drive has is not bounded by anything, and no method bounds the mean of such a number from few drives
without an assumption. So a unit with more than SWARM times the rate in question counts as one with so many, and never
as less than one alarm in a mean unit: with that said, the mean over units is bounded whatever happens inside them, by
the bound of oddroad.calibration.drives; swarms that were seen count in full. By Markov's inequality at most 1 of SWARM
units is then as bad as that. Where
nothing alarms, n units of together T hours guarantee about 3 / T an hour, as for a Poisson process, and nothing if
they are too few. Coverage by simulation: docs/research/coverage.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from oddroad.calibration.drives import best_rate, bound_without_alarms, mean_bound

SWARM = 10.0
"""A unit with more alarms an hour than so many times the rate in question counts as one with so many."""

PRECISION = 1.01
"""Promised rates are this much too high at most, which is on the safe side."""


@dataclass(frozen=True)
class Exposure:
    """What may count as independent, and how long it drove.

    Attributes:
        lengths: (n,) of each unit, in hours or in 100 km.
        alike: whether each unit counts alike, as drives do, or by its length, as blocks of the same drive.
        block: frames of the longest block; None where the units are drives.
    """

    lengths: np.ndarray
    alike: bool
    block: int | None = None

    @property
    def total(self) -> float:
        """Length of all units."""
        return float(self.lengths.sum())

    @property
    def equal(self) -> int:
        """How many units they count as where some of them alarm."""
        return len(self.lengths) if self.alike else int(self.total / self.lengths.max() + 1e-9)

    def no_alarm(self, confidence: float) -> float:
        """Largest share that the true mean of values in [0, 1] may be if all that were seen are 0."""
        if self.alike:
            return best_rate(len(self.lengths), confidence)
        return bound_without_alarms(self.lengths / self.total, confidence)

    def cap(self, rate: float) -> float:
        """What a unit's rate counts as at most, when a rate is in question."""
        return max(SWARM * rate, len(self.lengths) / self.total)

    def mean(self, rates: np.ndarray) -> float:
        """Mean over the units of something that each of them has."""
        return float(rates.mean() if self.alike else np.average(rates, weights=self.lengths))


def holds(counts: np.ndarray, exposure: Exposure, rate: float, confidence: float) -> bool:
    """Whether the data show, with a confidence, that alarms are no more frequent than a rate.

    Args:
        counts: (n,) alarms of each unit.
        exposure: of the units.
        rate: alarms an hour, or in 100 km.
        confidence: probability, over the draw of the units, that what is shown is true.
    """
    rates = counts / exposure.lengths
    cap = max(exposure.cap(rate), float(rates.max()))  # what was seen counts in full, which is on the safe side
    seen = exposure.mean(rates / cap)
    bound = mean_bound(seen, exposure.equal, confidence) if seen > 0 else exposure.no_alarm(confidence)
    return bound * cap <= rate * (1 + 1e-9)


def promised_rate(counts: np.ndarray, exposure: Exposure, confidence: float) -> float | None:
    """The lowest rate that ``holds``, up to PRECISION; None if none does, as with fewer than 29 units at 95 %.

    Args:
        counts: (n,) alarms of each unit.
        exposure: of the units.
        confidence: of the promise.
    """
    if exposure.no_alarm(confidence) > 1 / SWARM:
        return None
    low = exposure.no_alarm(confidence) * len(exposure.lengths) / exposure.total
    if not counts.any():
        return low
    high = max(low, exposure.mean(counts / exposure.lengths))
    for _ in range(12):
        if holds(counts, exposure, high, confidence):
            break
        high *= 2
    else:
        return None
    while high > low * PRECISION:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if holds(counts, exposure, middle, confidence) else (middle, high)
    return high


def units_for(confidence: float) -> int:
    """Fewest units with which anything can be promised."""
    return math.ceil(math.log(1 - confidence) / math.log1p(-1 / SWARM) - 1e-9)


def needed(rate: float, confidence: float, length: float) -> tuple[int, float]:
    """Units without an alarm, and their length together, that a rate takes.

    Args:
        rate: alarms an hour, or in 100 km.
        confidence: of the promise.
        length: of a mean unit, in hours or 100 km.
    """
    units = max(units_for(confidence), 1)
    while best_rate(units, confidence) / length > rate * (1 + 1e-9):
        units = max(units + 1, math.ceil(units * best_rate(units, confidence) / length / rate))
    return units, units * length


def lowest(curve: Sequence[Sequence[float | None]], rate: float, column: int = 1) -> Sequence[float | None] | None:
    """The row of the lowest threshold of which, and of all above, a rate is promised; None where there is none.

    The thresholds are tested from the highest on down until one fails, so that looking at many needs no correction.

    Args:
        curve: rows with falling thresholds.
        rate: that is asked for.
        column: of the promised rates; None is no promise.
    """
    best = None
    for row in curve:
        promised = row[column]
        if promised is None or promised > rate * (1 + 1e-9):
            break
        best = row
    return best
