"""The plan of an archive: every log cut into segments, kept as lines of a file, so that its length costs no memory."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from oddroad.concurrency import ordered_map
from oddroad.mining.places import reason_of
from oddroad.mining.plan import LogPlan, Segment, plan_log, segment_name, state_of
from oddroad.mining.sources import LogSource, find_logs
from oddroad.mining.store import Store

PLANS = "plans.jsonl"
COMMON = ("log", "source", "gnss")
"""What is the same in all segments of a log."""

PLANNERS = 8
"""Logs that are planned at the same time: it is mostly waiting for their storage."""


@dataclass
class Totals:
    """What a plan holds.

    Attributes:
        logs: number of logs.
        segments: number of segments.
        seconds: of driving.
        size: bytes to be read, about.
        days: segments of each day.
        failed: places or logs that cannot be used, with the reasons.
        notes: what is to be known about logs.
    """

    logs: int = 0
    segments: int = 0
    seconds: float = 0.0
    size: int = 0
    days: dict[str, int] = field(default_factory=dict)
    failed: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, values: Mapping[str, Any]) -> None:
        """Count a log by the line of its plan."""
        self.logs += 1
        self.notes += values["notes"]
        self.segments += len(values["segments"])
        self.seconds += values["seconds"]
        self.size += values["size"]
        for day, count in values["days"].items():
            self.days[day] = self.days.get(day, 0) + count


class Plan:
    """The plan of an archive: a line for each log in a file of this machine, which is gone when it is closed.

    Args:
        store: a plan of an earlier run there is used for logs that have not changed, and replaced.
        given: the user's words.
        topics: patterns.
        seconds: length of a segment.
        copies: folder for local copies.
        progress: told the totals after each log.
    """

    def __init__(
        self,
        store: Store,
        given: Sequence[str],
        topics: Sequence[str],
        seconds: float,
        copies: str,
        progress: Callable[[Totals], None] = lambda totals: None,
    ):
        self.totals = Totals()
        self.file = tempfile.TemporaryFile("w+b")  # noqa: SIM115 - closed by ``close``
        earlier = store.read(PLANS) or b""
        index = self.index(earlier)

        def planned(source: LogSource) -> bytes | tuple[str, str]:
            try:
                key = key_of(source, topics, seconds)
                if key in index:
                    at, length = index[key]
                    return earlier[at : at + length]
                return line_of(key, plan_log(source, topics, seconds, copies))
            except Exception as error:  # a log may hold anything, and a file system has errors of its own
                return source.name, reason_of(error)

        sources = find_logs(given, lambda where, why: self.totals.failed.append((where, why)))
        taken: dict[str, str] = {}
        for found in ordered_map(planned, sources, PLANNERS):
            if isinstance(found, tuple):
                self.totals.failed.append(found)
                continue
            values = json.loads(found)
            log, name = values["log"], values["source"]["name"]
            if log in taken:
                if taken[log] != name:
                    self.totals.notes.append(f"{name} is the same as {taken[log]}: mined once")
                continue
            taken[log] = name
            self.file.write(found)
            self.totals.add(values)
            progress(self.totals)

    @staticmethod
    def index(lines: bytes) -> dict[str, tuple[int, int]]:
        """Where each log of an earlier plan stands: offset and length by its key."""
        found: dict[str, tuple[int, int]] = {}
        at = 0
        for line in lines.splitlines(keepends=True):
            if line.endswith(b"\n") and line[:9] == b'{"key": "':
                found[line[9 : line.index(b'"', 9)].decode()] = (at, len(line))
            at += len(line)
        return found

    def segments(self, made_of: str, done: Callable[[str], bool] = lambda name: False) -> Iterator[Segment]:
        """The segments that are not done, one after another, without holding them.

        Args:
            made_of: hash of the detector and of all settings that change the result.
            done: asked about the name of each; of what is done, nothing more than the name is made.
        """
        self.file.seek(0)
        for line in self.file:
            values = json.loads(line)
            common = {name: values[name] for name in COMMON}
            for each in values["segments"]:
                if not done(segment_name(values["log"], each["topic"], each["start"], each["stop"], made_of)):
                    yield Segment.from_json({**common, **each})

    def keep(self, store: Store) -> None:
        """Write the plan to the store for the next run."""
        self.file.seek(0)
        store.replace(PLANS, self.file.read())

    def close(self) -> None:
        """Give up the file."""
        self.file.close()


def key_of(source: LogSource, topics: Sequence[str], seconds: float) -> str:
    """What a kept plan of a log is found by: the log, the state of its files, and how it is cut."""
    asked = hashlib.sha256(json.dumps([asdict(source), list(topics), seconds]).encode()).hexdigest()
    return f"{asked[:24]}{state_of(source)}"


def line_of(key: str, plan: LogPlan) -> bytes:
    """A plan as a line of JSON; what is the same in all its segments stands there once."""
    segments = [{name: value for name, value in each.to_json().items() if name not in COMMON} for each in plan.segments]
    days = Counter(each.day for each in plan.segments)
    values = {
        "key": key, "source": asdict(plan.source), "log": plan.log, "state": plan.state, "notes": plan.notes,
        "gnss": plan.segments[0].gnss if plan.segments else (), "days": days,
        "seconds": sum(each.seconds for each in plan.segments), "size": sum(each.size for each in plan.segments),
        "segments": segments,
    }  # fmt: skip
    return json.dumps(values).encode() + b"\n"


def plan_of(line: bytes) -> LogPlan:
    """The plan of a line."""
    values = json.loads(line)
    common = {name: values[name] for name in COMMON}
    segments = [Segment.from_json({**common, **each}) for each in values["segments"]]
    source = values["source"]
    log = LogSource(source["kind"], source["name"], tuple(source["addresses"]), tuple(source["topics"]))
    return LogPlan(log, values["log"], values["state"], segments, values["notes"])
