"""Whether what is detected on still looks like what the detector was calibrated on: the test of a run, in its words."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from oddroad.calibration.data import drive_of
from oddroad.calibration.drift import DriftAlarm, DriftTest
from oddroad.calibration.frame_statistics import frame_statistics
from oddroad.card import Card
from oddroad.errors import InputError, counted
from oddroad.io.sources import Source
from oddroad.types import Frame

DEFAULT_RATE = 0.01
"""Share of runs on scenes like those of the calibration that may raise a drift alarm."""


def parse_drift(text: str) -> float | None:
    """What ``--drift`` asks for: a rate of false alarms, or None for "off".

    >>> parse_drift("1%"), parse_drift("0.05"), parse_drift("off")
    (0.01, 0.05, None)

    Raises:
        InputError: if it is something else.
    """
    if text.strip() == "off":
        return None
    match = re.fullmatch(r"\s*([0-9.eE+-]+)\s*(%?)\s*", text)
    try:
        rate = float(match[1]) / (100 if match[2] else 1) if match else math.nan
    except ValueError:
        rate = math.nan
    if not 0 < rate <= 0.5:
        raise InputError(f"--drift is '{text}'; expected a rate of false alarms up to 50%, such as 1%, or 'off'")
    return rate


class DriftMonitor:
    """Takes in the judged frames of a run in their order.

    Args:
        card: of the detector.
        score: that is used.
        sources: that are read.
        rate: of false alarms; None where drift is not tested.
        begun: name of a source of which an earlier run has read the beginning.

    Attributes:
        reason: why drift is not tested; "" where it is.
        first: the line of the first alarm; None before it.
    """

    def __init__(self, card: Card, score: str, sources: Sequence[Source], rate: float | None, begun: str = ""):
        reference = card.calibration.get("scores", {}).get(score, {}).get("drift")
        self.rate, self.test = rate, None
        self.places = {each.name: drive_of(each)[0] for each in sources}
        self.begun = self.places.get(begun, begun)
        if rate is None:
            self.reason = "it was switched off"
        elif not card.calibration:
            self.reason = f"'{card.name}' is not calibrated"
        elif reference is None and card.calibration.get("of") == "place":
            count = card.calibration["drives"]
            self.reason = (
                f"'{card.name}' was calibrated on stills of {counted(count, 'place')}, not on drives of a camera"
            )
        elif reference is None:
            self.reason = f"the calibration of '{card.name}' keeps nothing for it; calibrate again"
        elif reference["not_tested"]:
            self.reason = reference["not_tested"]
        else:
            self.reason, self.test = "", DriftTest(reference, rate)
        self.drive, self.number, self.unlike = "", 0, ""
        self.first: dict[str, Any] | None = None
        self.last: Frame | None = None

    def take(self, frame: Frame, heat: np.ndarray) -> list[dict[str, Any]]:
        """Look at a judged frame; the lines of the alarms that it raises, or that the drive before it raised.

        Args:
            frame: one that is not damaged.
            heat: (H, W) float32 its score.
        """
        test = self.test
        if test is None:
            return []
        if test.reference["timed"] != (frame.time is not None):
            kinds = "pictures without times", "videos"
            self.unlike = (
                f"'{frame.source}' cannot be compared with the drives calibrated on, which are "
                f"{kinds[test.reference['timed']]}"
            )
            return []
        drive = self.places.get(frame.source, frame.source)
        found = [] if drive == self.drive else self.end()
        if drive != self.drive:
            self.drive, self.number = drive, 0
            test.counted = drive == self.begun
        position = float(self.number) if frame.time is None else frame.time
        self.number, self.last = self.number + 1, frame
        if test.wants(position):
            alarm = test.add(position, frame_statistics(frame.image, heat))
            found += self.lines(alarm)
        return found

    def end(self) -> list[dict[str, Any]]:
        """The drive is over, or the run; the lines of the alarms that it raises as a whole."""
        return [] if self.test is None else self.lines(self.test.end())

    def lines(self, alarm: DriftAlarm | None) -> list[dict[str, Any]]:
        """The line of an alarm."""
        if alarm is None:
            return []
        assert self.last is not None
        assert self.test is not None
        line = {
            "type": "drift",
            "source": self.last.source,
            "index": self.last.index,
            "time": self.last.time,
            "test": alarm.test,
            "rate": self.rate,
            "evidence": float(f"{min(alarm.evidence, 1e300):.4g}"),
            "units": alarm.units,
            "against": alarm.units if alarm.test == "beginning" else len(self.test.known),
            "statistic": alarm.statistic,
            "value": float(f"{alarm.value:.5g}"),
            "calibration": [float(f"{each:.5g}") for each in (alarm.low, alarm.high)],
        }
        if self.first is None:
            self.first = line
        return [line]

    def state(self, earlier: int = 0) -> dict[str, Any]:
        """What is known at the end, for the summary.

        Args:
            earlier: alarms of an earlier run that this one goes on with.
        """
        test = self.test
        alarms = earlier + (0 if test is None else len(test.alarms))
        if test is None or (self.unlike and self.last is None):
            reason = self.reason or self.unlike
            return {"state": "alarm" if alarms else "not tested", "reason": reason, "alarms": alarms}
        enough = test.units >= test.fewest or (test.within is not None and test.blocks >= test.fewest_of_drive)
        return {
            "state": "alarm" if alarms else "none" if enough else "undecided",
            "reason": self.caveat(),
            "alarms": alarms,
            "rate": self.rate,
            "unit": test.reference["unit"],
            "units": test.units,
            "against": len(test.known),
            "fewest": test.fewest,
            "blocks": test.blocks,
            "evidence": float(f"{min(test.evidence, 1e300):.4g}"),
        }

    def caveat(self) -> str:
        """What was not tested of it, and why."""
        assert self.test is not None
        found = ["begun anew where an interrupted run was resumed"] if self.begun else []
        found += [self.unlike] if self.unlike else []
        if self.test.of_drives and self.test.reference["not_within"]:
            found.append(f"no drive compared with its own beginning: {self.test.reference['not_within']}")
        if self.test.too_short:
            found.append(f"{self.test.too_short} shorter than any drive of the calibration and not counted")
        if self.test.incomplete:
            found.append(f"{counted(self.test.incomplete, 'block')} without enough frames not counted")
        return "; ".join(found)


def drift_words(state: dict[str, Any], first: dict[str, Any] | None = None) -> str:
    """The state at the end for people; not tested, not decided and not seen are never the same words.

    Args:
        state: as of ``DriftMonitor.state``.
        first: line of the first alarm.
    """
    if state["state"] == "not tested":
        return f"drift NOT tested: {state['reason']}"
    if state["state"] == "alarm":
        words = f"DRIFT: {counted(state['alarms'], 'alarm')}"
        if first is not None:
            name = first["source"] if first["index"] is None else f"{first['source']}#{first['index']}"
            low, high = first["calibration"]
            compared = "its own beginning" if first["test"] == "beginning" else "the calibration"
            words += (
                f", the first at {name}: it no longer looks like {compared} ({first['statistic']} {first['value']:g}, "
                f"calibrated on {low:g} to {high:g})"
            )
        return words
    tested = counted(state["units"], state["unit"])
    if state["blocks"]:
        tested += f" and {counted(state['blocks'], 'block')} of them"
    against = f"{state['against']} of the calibration"
    caveat = f"; {state['reason']}" if state["reason"] else ""
    if state["state"] == "undecided":
        return f"drift UNDECIDED: {tested}, and against {against} an alarm takes at least {state['fewest']}{caveat}"
    return f"no drift seen ({tested} against {against}, false alarms at most {100 * state['rate']:g}%{caveat})"
