"""Whether a camera still shows what its detector was calibrated on: reference from the calibration, and the test.

A guarantee speaks of drives like those calibrated on. Here is tested whether what comes is like them, at a stated rate
of false alarms that holds however often one looks: see oddroad.calibration.evidence. What counts as a unit follows what
the guarantee speaks of.

One drive was calibrated on
    Blocks of BLOCK_TIMES correlation times are the units, those of the calibration and the new ones. The alarm says
    that these are not later parts of that drive; a new drive of the same camera need not be like it.
Several drives were calibrated on
    The drives are the units: one value a drive, when it ends. Beside it, each drive is compared with its own beginning,
    block by block: only blocks that lie outside everything that any drive of the calibration showed count as odd. Half
    of the rate goes to each of both tests.

A unit is the median of each of oddroad.calibration.frame_statistics over its frames.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from oddroad.calibration.drives import correlation_time
from oddroad.calibration.evidence import Evidence, fewest_of_own, fewest_units, p_value
from oddroad.calibration.frame_statistics import STATISTICS

BLOCK_TIMES = 5
"""Length of a block in estimated correlation times; by simulation, see docs/research/drift.md."""

FEWEST_BLOCKS = 20
"""A drive of fewer blocks is too short to tell how long its frames depend on each other; of several drives, half."""


SELF_RATE = 0.05
"""Rate at which the calibration's own drives are tested before others are compared with their beginnings."""


@dataclass(frozen=True)
class DriveStatistics:
    """The frames of a drive that was calibrated on.

    Attributes:
        name: of the drive.
        values: (n, 11) float64, STATISTICS of its frames in their order.
        step: from one frame to the next, in seconds, or in frames where a drive has no times.
        timed: whether that is in seconds.
    """

    name: str
    values: np.ndarray
    step: float
    timed: bool

    @cached_property
    def block_lengths(self) -> np.ndarray:
        """(11,) frames of a block by each of the STATISTICS; infinite where it does not change."""
        found = np.full(self.values.shape[1], np.inf)
        for column, series in enumerate(self.values.T):
            if np.ptp(series) > 0:
                ranks = np.unique(series, return_inverse=True)[1].astype(np.float64)
                found[column] = math.ceil(BLOCK_TIMES * max(correlation_time(series), correlation_time(ranks)))
        return found

    def blocks(self, length: int) -> np.ndarray:
        """(m, 11) medians of blocks of so many frames."""
        whole = len(self.values) // length
        return np.median(self.values[: whole * length].reshape(whole, length, -1), axis=1)


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


def blocks_of(drives: Sequence[DriveStatistics]) -> tuple[np.ndarray, float] | None:
    """Which statistics (11,) bool can be tested by blocks, and how long a block is; None where the drives do not tell.

    Statistics that change too slowly for FEWEST_BLOCKS blocks in most drives are left out. More than half of those that
    change at all must be left: where most are slow, the others may only look fast, as the drives are too short.
    """
    lengths = np.array([each.block_lengths for each in drives])
    fits = (FEWEST_BLOCKS if len(drives) == 1 else FEWEST_BLOCKS // 2) * lengths <= np.array(
        [[len(each.values)] for each in drives]
    )
    usable = fits.mean(axis=0) > 0.5
    if 2 * usable.sum() <= np.isfinite(lengths).any(axis=0).sum():
        return None
    steps = np.array([[each.step] for each in drives])
    return usable, float((np.where(fits & usable, lengths, 0) * steps).max())


def drift_reference(drives: Sequence[DriveStatistics]) -> dict[str, Any]:
    """What the Card keeps of the drives calibrated on, as JSON values.

    Returns:
        ``not_tested``, why drift cannot be tested ("" where it can); ``unit``, "block" or "drive"; ``units``, for each
        its ``statistics``; ``step`` and ``block``, in seconds if ``timed``; of drives also ``shortest`` and
        ``longest``, ``low`` and ``high`` of their blocks in the statistics ``within``, and ``not_within``, why a drive
        is not compared with its own beginning.
    """
    if len({each.timed for each in drives}) > 1:
        return {"not_tested": "of the calibration's drives some are videos and some are pictures without times"}
    step, found = float(np.median([each.step for each in drives])), blocks_of(drives)
    about: dict[str, Any] = {"not_tested": "", "timed": drives[0].timed, "step": rounded(step)}
    if len(drives) == 1:
        if found is None:
            return {
                "not_tested": "the calibration's only drive is too short to tell how long its frames depend on each "
                f"other: it is not {FEWEST_BLOCKS} blocks of {BLOCK_TIMES} correlation times; calibrate on longer or "
                "more drives"
            }
        usable, block = found
        units = drives[0].blocks(round(block / step))[:, usable]
        return {
            **about, "statistics": names_of(usable), "unit": "block", "block": rounded(block), "units": rounded(units)
        }  # fmt: skip
    lasting = [len(each.values) * each.step for each in drives]
    about |= {
        "statistics": list(STATISTICS), "unit": "drive",
        "units": rounded(np.array([np.median(each.values, axis=0) for each in drives])),
        "shortest": rounded(min(lasting)), "longest": rounded(max(lasting)), "block": None,
    }  # fmt: skip
    if found is None:
        return {
            **about,
            "not_within": "the drives calibrated on are too short to tell how long their frames depend on each other",
        }
    return {**about, **own_beginning(drives, *found)}


def names_of(usable: np.ndarray) -> list[str]:
    """The names of those of STATISTICS that are chosen (11,)."""
    return [name for name, chosen in zip(STATISTICS, usable, strict=True) if chosen]


def own_beginning(drives: Sequence[DriveStatistics], usable: np.ndarray, block: float) -> dict[str, Any]:
    """What it takes to compare a drive with its own beginning; the calibration's drives must pass themselves."""
    parts = [each.blocks(max(1, round(block / each.step)))[:, usable] for each in drives]
    changed = 0
    for number, own in enumerate(parts):
        others = np.concatenate([part for other, part in enumerate(parts) if other != number])
        if len(others) and len(own):
            test = OwnBeginning(others.min(axis=0), others.max(axis=0))
            changed += max(test.add(each) for each in own) >= 1 / SELF_RATE
    if changed:
        return {
            "not_within": f"{changed} of the {len(drives)} drives calibrated on change as much from their own beginning"
        }
    every = np.concatenate(parts)
    return {
        "not_within": "", "within": names_of(usable), "block": rounded(block),
        "low": rounded(every.min(axis=0)), "high": rounded(every.max(axis=0)),
    }  # fmt: skip


def columns_of(names: Sequence[str]) -> np.ndarray:
    """Where statistics stand in STATISTICS."""
    return np.array([STATISTICS.index(name) for name in names])


def rounded(values: Any) -> Any:
    """Numbers in seven digits, as lists where they are arrays."""
    if isinstance(values, np.ndarray):
        return [rounded(each) for each in values]
    return float(f"{float(values):.7g}")


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


@dataclass(frozen=True)
class DriftAlarm:
    """What no longer looks like the calibration.

    Attributes:
        test: "blocks" against those of the calibration's drive, "drives" against its drives, or "beginning": this
            drive's blocks against its own beginning.
        evidence: the capital; at least 1 / rate of the test.
        units: blocks or drives that were tested so far.
        statistic: the one of STATISTICS that deviates most.
        value: of the last unit.
        low: least of the calibration's units.
        high: most of them.
    """

    test: str
    evidence: float
    units: int
    statistic: str
    value: float
    low: float
    high: float


class DriftTest:
    """The test while frames come in.

    Args:
        reference: as of ``drift_reference``, one that can be tested.
        rate: probability that frames like those of the calibration raise an alarm, however many they are.

    Attributes:
        alarms: that were raised; one that was stands until the drive ends, then the test that raised it begins anew.
        units: blocks tested where the calibration is one drive, else drives.
        blocks: of drives, those compared with their own beginning.
        too_short: drives that were not counted as they are shorter than any of the calibration.
        incomplete: blocks that were not counted as too many frames are missing in them.
        evidence: the largest capital so far as a share of what it takes.
    """

    def __init__(self, reference: Mapping[str, Any], rate: float):
        self.reference, self.rate = reference, rate
        self.step, self.block = reference["step"], reference["block"]
        self.of_drives = reference["unit"] == "drive"
        self.known = np.array(reference["units"], np.float64)
        self.columns = columns_of(reference["statistics"])
        self.within = None
        if self.of_drives and not reference["not_within"]:
            self.columns_within = columns_of(reference["within"])
            self.within = OwnBeginning(np.array(reference["low"]), np.array(reference["high"]))
        self.limit = (2 if self.within is not None else 1) / rate
        self.against = Exchangeable(self.known)
        self.alarms: list[DriftAlarm] = []
        self.units = self.blocks = self.too_short = self.incomplete = 0
        self.evidence = 0.0
        self.last: float | None = None
        self.begin()

    @property
    def fewest(self) -> int:
        """Units in a row, of drives or of blocks, that an alarm takes at least."""
        return fewest_units(len(self.known), 1 / self.limit)

    @property
    def fewest_of_drive(self) -> int:
        """Blocks that an alarm takes at least that compares a drive with its own beginning."""
        return fewest_of_own(0.5 / self.limit)

    def begin(self) -> None:
        """Another drive, or a part of one that is far from the part before."""
        self.first = self.last = None
        self.due = -math.inf
        self.open: list[np.ndarray] = []
        self.opened = 0.0
        self.whole: list[np.ndarray] = []
        self.told = False
        self.counted = False

    def wants(self, position: float) -> bool:
        """Whether the frame at a position would be looked at; most are not needed."""
        return self.last is None or position < self.last or position > self.due - 0.25 * self.step

    def add(self, position: float, values: np.ndarray) -> DriftAlarm | None:
        """Take in a frame.

        Args:
            position: in its drive, in seconds or frames.
            values: (11,) its STATISTICS.
        """
        if self.last is not None and (position < self.last or position > self.last + (self.block or math.inf)):
            self.open = []
        if self.first is None:
            self.first = position
        self.due = position + self.step if self.last is None else max(self.due + self.step, position + 0.5 * self.step)
        self.last = position
        found = None
        if self.block is not None:
            if self.open and position >= self.opened + self.block - 0.25 * self.step:
                found = self.close()
            if not self.open:
                self.opened = position
            self.open.append(values)
        if self.of_drives and not self.counted:
            self.whole.append(values)
            if position - self.first + self.step >= self.reference["longest"]:
                found = self.count_drive() or found
        return found

    def close(self) -> DriftAlarm | None:
        """Test the block that is complete."""
        values, self.open = self.open, []
        if len(values) < 0.5 * self.block / self.step:
            self.incomplete += 1
            return None
        if self.within is None:
            self.units += 1
        else:
            self.blocks += 1
        if self.told:  # the alarm stands
            return None
        unit = np.median(values, axis=0)
        if self.within is None:
            return self.judge("blocks", self.against.add(unit[self.columns]), unit)
        return self.judge("beginning", self.within.add(unit[self.columns_within]), unit)

    def count_drive(self) -> DriftAlarm | None:
        """Test the drive as a whole."""
        self.counted, values = True, self.whole
        unit = np.median(values, axis=0)
        self.units += 1
        return self.judge("drives", self.against.add(unit[self.columns]), unit)

    def judge(self, test: str, capital: float, unit: np.ndarray) -> DriftAlarm | None:
        """The alarm if the capital is enough."""
        self.evidence = max(self.evidence, capital / self.limit)
        if capital < self.limit:
            return None
        if test == "beginning":
            assert self.within is not None
            columns, low, high = self.columns_within, self.within.low, self.within.high
            most = int(outside(unit[None, columns], low, high).argmax())
            units = self.blocks
        else:
            columns, low, high = self.columns, self.known.min(axis=0), self.known.max(axis=0)
            most = int(deviations(np.vstack([self.known, unit[columns]]))[-1].argmax())
            units = self.units
        value, name = float(unit[columns[most]]), STATISTICS[columns[most]]
        alarm = DriftAlarm(test, capital, units, name, value, float(low[most]), float(high[most]))
        self.alarms.append(alarm)
        if test == "drives":
            self.against.again()
        else:
            self.told = True
        return alarm

    def end(self) -> DriftAlarm | None:
        """The drive ended; its last block is left out where it is not complete."""
        found = None
        if self.of_drives and not self.counted and self.first is not None:
            assert self.last is not None
            if self.last - self.first + 1.01 * self.step >= self.reference["shortest"]:
                found = self.count_drive()
            else:
                self.too_short += 1
        if self.within is not None:
            (self.within.again if self.told else self.within.next_drive)()
        elif not self.of_drives and self.told:
            self.against.again()
        self.begin()
        return found
