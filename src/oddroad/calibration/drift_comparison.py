"""Units of driving compared with those of a calibration, or with those before them: how odd, and the evidence of it."""

from __future__ import annotations

import numpy as np

from oddroad.calibration.evidence import Evidence, p_value


def deviations(units: np.ndarray) -> np.ndarray:
    """How far each of the units (n, m) lies from their median in each statistic, (n, m) in median deviations."""
    away = np.abs(units - np.median(units, axis=0))
    scale = np.maximum(1.4826 * np.median(away, axis=0), 0.1 * units.std(axis=0))
    return np.divide(away, scale, out=np.zeros_like(away), where=scale > 0)


def oddness(units: np.ndarray) -> np.ndarray:
    """How far each of the units (n, m) lies from their median, (n,): of the most deviating statistic."""
    return deviations(units).max(axis=1)


def outside(units: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """How far each of the units (n, m) lies outside a range, (n, m) in parts of the range's width."""
    width = np.where(high > low, high - low, np.maximum(np.abs(high), 1e-9))
    return np.maximum(np.maximum(low - units, units - high), 0) / width


class Exchangeable:
    """Units that are compared with those of a calibration and with those before them.

    Args:
        units: (n, m) of the calibration.
    """

    def __init__(self, units: np.ndarray):
        self.known, self.units, self.game = units, units, Evidence()

    def add(self, unit: np.ndarray) -> float:
        """Take in the next unit (m,); returns the capital."""
        self.units = np.vstack([self.units, unit])
        return self.game.add(p_value(oddness(self.units)), len(self.units))

    def again(self) -> None:
        """Begin anew with the units of the calibration."""
        self.units, self.game = self.known, Evidence()


class OwnBeginning:
    """Blocks of a drive that are compared with the blocks before them.

    Args:
        low: (m,) least of what any drive of the calibration showed.
        high: (m,) most of it.
    """

    def __init__(self, low: np.ndarray, high: np.ndarray):
        self.low, self.high = low, high
        self.again()

    def add(self, unit: np.ndarray) -> float:
        """Take in the next block (m,); returns the capital."""
        self.odd = np.append(self.odd, outside(unit[None], self.low, self.high).max())
        self.game.add(p_value(self.odd), len(self.odd))
        return self.banked + self.share * self.game.value + 1 / (self.drives + 1)

    @property
    def share(self) -> float:
        """Of the capital, what is at stake in this drive; the rest waits for later ones."""
        return 1 / (self.drives * (self.drives + 1))

    def next_drive(self) -> None:
        """What comes is another drive; bets on this one end."""
        self.banked += self.share * self.game.value
        self.drives, self.game, self.odd = self.drives + 1, Evidence(), np.zeros(0)

    def again(self) -> None:
        """Begin anew."""
        self.drives, self.banked, self.game, self.odd = 1, 0.0, Evidence(), np.zeros(0)
