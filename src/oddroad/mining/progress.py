"""How far a run is: for the terminal, and for the status file that others read."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from oddroad.errors import counted
from oddroad.mining.archive import Totals

COUNTS = ("read", "judged", "skipped", "damaged", "lost")


@dataclass
class Progress:
    """How far a run is.

    Attributes:
        totals: of the plan.
        done: segments mined in this run.
        skipped: segments that were mined before.
        failed: segments that cannot be mined, and logs that cannot be used.
        findings: rows found in this run.
        seconds: of driving mined in this run.
        counts: frames of this run: read, judged, skipped, damaged, lost.
        began: when the workers began, of time.monotonic().
        running: what the workers are at.
        state: "planning", "mining", "done" or "stopped".
    """

    totals: Totals = field(default_factory=Totals)
    done: int = 0
    skipped: int = 0
    failed: int = 0
    findings: int = 0
    seconds: float = 0.0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    began: float = field(default_factory=time.monotonic)
    running: list[str] = field(default_factory=list)
    state: str = "planning"

    @property
    def hours_a_minute(self) -> float:
        """Hours of driving mined in a minute."""
        return self.seconds / 60 / max(time.monotonic() - self.began, 1e-9)

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the end, if it goes on as before; None where nothing was mined yet."""
        left = self.totals.segments - self.done - self.skipped - self.failed
        return left * (time.monotonic() - self.began) / self.done if self.done else None

    def add(self, record: dict[str, Any]) -> None:
        """Count a segment that is done."""
        self.done += 1
        self.findings += record["findings"]
        self.seconds += record["seconds"]
        for name in COUNTS:
            self.counts[name] += record[name]

    def text(self) -> str:
        """How far it is, in one line."""
        left = self.seconds_left
        words = f"{self.done + self.skipped} of {counted(self.totals.segments, 'segment')}"
        words += f" ({self.skipped} from before)" if self.skipped else ""
        words += f", {self.hours_a_minute:.2f} h of driving a minute, {counted(self.findings, 'finding')}"
        words += f", {self.failed} FAILED" if self.failed else ""
        return words + ("" if left is None or self.state != "mining" else f", {duration(left)} left")

    def summary(self) -> str:
        """What was done, in one line; that nothing was found and that nothing was seen are never the same words."""
        counts = self.counts
        words = f"{counted(self.done, 'segment')} mined"
        words += f", {self.skipped} mined before" if self.skipped else ""
        words += f"; {counted(counts['read'], 'frame')}: {counts['judged']} judged"
        words += "".join(f", {counts[name]} {name}" for name in ("skipped", "damaged", "lost") if counts[name])
        if not counts["judged"]:
            words += "; NOTHING WAS JUDGED" if self.done else ""
        else:
            words += f"; {counted(self.findings, 'finding')}" if self.findings else "; no anomaly found"
        return words + (f"; {self.failed} FAILED" if self.failed else "")


def duration(seconds: float) -> str:
    """Seconds in words.

    >>> duration(42), duration(7500)
    ('42 s', '2 h 5 min')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def status_of(progress: Progress) -> dict[str, Any]:
    """The content of the status file."""
    left = progress.seconds_left
    return {
        "state": progress.state, "process": os.getpid(), "host": socket.gethostname(), "updated": now(),
        "segments": progress.totals.segments, "done": progress.done, "done_before": progress.skipped,
        "failed": progress.failed, "findings": progress.findings, "frames": progress.counts,
        "hours_of_driving": round(progress.seconds / 3600, 4), "hours_a_minute": round(progress.hours_a_minute, 4),
        "seconds_left": None if left is None else round(left), "running": progress.running,
    }  # fmt: skip


def now() -> str:
    """The time in UTC by ISO 8601, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
