"""Runs targets in processes of their own, under a watch: what hangs is ended, what dies is started again."""

from __future__ import annotations

import json
import os
import re
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
HANGS = 10.0
"""Seconds of processor time that an input may take."""

WAITS = 300.0
"""Seconds that it may take by the clock, on a machine that is busy."""

STARTS = 240.0
"""Seconds in which a process must have loaded its libraries and made its seeds."""


@dataclass
class Outcome:
    """What became of the inputs of a target.

    Attributes:
        target: its name.
        counts: by how they ended: read, refused, fault, differs, memory, hang, died.
        failures: what happened -> how often, and the number of the first input.
        seconds: by the clock.
    """

    target: str
    counts: Counter[str] = field(default_factory=Counter)
    failures: dict[str, list[int]] = field(default_factory=dict)
    seconds: float = 0.0

    def add(self, how: str, what: str, number: int) -> None:
        """Note a failure."""
        known = self.failures.setdefault(f"{how}: {what}", [0, number])
        known[0] += 1

    @property
    def inputs(self) -> int:
        """How many there were."""
        return sum(self.counts.values())

    def line(self) -> str:
        """In words."""
        counts = ", ".join(f"{count} {how}" for how, count in self.counts.most_common())
        return f"{self.target}: {self.inputs} inputs in {self.seconds:.0f} s: {counts}"


def processor_seconds(number: int) -> float:
    """Processor time of a process so far."""
    try:
        parts = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


class Child:
    """A process that reads the inputs of a target from a number on."""

    def __init__(self, target: str, seed: str, first: int, last: int, skipped: set[int]):
        self.said = tempfile.TemporaryFile()  # noqa: SIM115 - what it says when it dies
        self.place = tempfile.NamedTemporaryFile()  # noqa: SIM115 - the number of the input that it reads
        self.place.write(bytes(8))
        self.place.flush()
        paths = os.pathsep.join([str(TESTS), str(TESTS.parent / "src"), os.environ.get("PYTHONPATH", "")])
        words = [target, seed, str(first), str(last), self.place.name, *map(str, sorted(skipped))]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fuzz.child", *words], stdout=subprocess.PIPE, stderr=self.said,
            stdin=subprocess.DEVNULL, cwd=TESTS, env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)
        self.watch = selectors.DefaultSelector()
        self.watch.register(self.process.stdout, selectors.EVENT_READ)
        self.rest = b""
        self.number, self.worked, self.since = None, 0.0, time.monotonic()

    def lines(self) -> list[dict[str, Any]] | None:
        """What it has told in the last second; None when it has ended."""
        assert self.process.stdout is not None
        if not self.watch.select(1.0):
            return []
        data = os.read(self.process.stdout.fileno(), 2**16)
        if not data:
            return None
        *whole, self.rest = (self.rest + data).split(b"\n")
        return [json.loads(each) for each in whole]

    def reading(self) -> int | None:
        """The number of the input that it reads; None between two, and before the first."""
        self.place.seek(0)
        number = int.from_bytes(self.place.read(8), "little")
        return number - 1 if number else None

    def hangs(self) -> bool:
        """Whether it has read one input for too long by its processor's time, or by the clock."""
        number = self.reading()
        if number is None or number != self.number:
            self.number, self.worked, self.since = number, processor_seconds(self.process.pid), time.monotonic()
            return False
        worked = processor_seconds(self.process.pid) - self.worked
        return worked > HANGS or time.monotonic() - self.since > WAITS

    def last_words(self) -> str:
        """Where it was when it died: our line; or what it said."""
        self.said.seek(0)
        text = self.said.read().decode(errors="replace")
        frames = re.findall(r'File "([^"]+)", line (\d+)', text)
        own = next((f"{path.rpartition('/oddroad/')[2]}:{line}" for path, line in frames if "/oddroad/" in path), "")
        return own if "Fatal Python error" in text else " ".join(text.split())[-300:]

    def end(self) -> int:
        """Kill it if it runs; what it ended with."""
        if self.process.poll() is None:
            self.process.kill()
        self.watch.close()
        assert self.process.stdout is not None
        for each in (self.process.stdout, self.said, self.place):
            each.close()
        return self.process.wait()


def run_target(target: str, seed: str, first: int, last: int, seconds: float | None = None) -> Outcome:
    """Read the inputs of a target from one number to another, or for so many seconds of the clock after its start.

    Raises:
        RuntimeError: if the target itself does not work.
    """
    outcome, began, at, skipped = Outcome(target), time.monotonic(), first, set[int]()
    end: float | None = None
    while at < last:
        child = Child(target, seed, at, last, {each for each in skipped if each >= at})
        hung = stopped = False
        while (lines := child.lines()) is not None:
            for each in lines:
                at = each["next"]
                outcome.counts.update(each["counts"])
                for how, what, number in each["failures"]:
                    outcome.add(how, what, number)
            if end is None and seconds is not None and child.reading() is not None:
                end = time.monotonic() + seconds
            if end is not None and time.monotonic() > end and outcome.inputs:
                stopped = True
                break
            if child.hangs():
                hung = True
                os.kill(child.process.pid, signal.SIGABRT)  # it says where it is
                time.sleep(0.3)
                break
            if child.number is None and not outcome.inputs and time.monotonic() - began > STARTS:
                child.end()
                raise RuntimeError(f"{target}: no input was read in {STARTS:g} s")
        number, words, code = child.reading(), child.last_words(), child.end()
        if stopped or at >= last:
            break
        if number is None:
            raise RuntimeError(f"{target}: its process ended with {code}: {words or 'without a word'}")
        skipped.add(number)
        how = "hang" if hung else "died"
        outcome.counts[how] += 1
        outcome.add(how, words if hung else f"with {code} at {words}", number)
    outcome.seconds = time.monotonic() - began
    return outcome
