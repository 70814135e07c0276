"""Whether a camera still shows what its detector was calibrated on: the test while frames come in.

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
from typing import Any

import numpy as np

from oddroad.calibration.drift_comparison import Exchangeable, OwnBeginning, deviations, outside
from oddroad.calibration.evidence import fewest_of_own, fewest_units
from oddroad.calibration.frame_statistics import STATISTICS


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


def columns_of(names: Sequence[str]) -> np.ndarray:
    """Where statistics stand in STATISTICS."""
    return np.array([STATISTICS.index(name) for name in names])
