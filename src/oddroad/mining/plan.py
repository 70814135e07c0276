"""Logs cut into segments: the unit that is read, judged, lost, retried and counted."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from oddroad.errors import InputError
from oddroad.io.log_messages import holds
from oddroad.io.log_types import NANO
from oddroad.io.sources import DEPTH
from oddroad.io.timeline import EPOCH
from oddroad.mining.message_logs import Cut, Position, open_message_log
from oddroad.mining.places import fingerprint, stat_file
from oddroad.mining.sources import LogSource
from oddroad.mining.video_logs import BYTES, OPEN, cuts_of_video

SECONDS = 20.0
"""Length of a segment where none is given."""

PICTURES_PER_SECOND = 10.0
"""Of a folder of pictures whose names hold no time."""

GNSS = ("NavSatFix", "LocationFix")
"""Types of messages that hold a position: of sensor_msgs, and of foxglove."""


@dataclass(frozen=True)
class Segment:
    """A part of one camera of a log, which is read and decoded alone.

    Attributes:
        log: what names the log by its content.
        source: the log's name and files.
        topic: of logs with topics; "" for videos and pictures.
        start: position of its first message, packet or picture; it begins with the first key frame from there on.
        stop: position at whose next key frame it ends.
        time: of its beginning, in ns; None where nothing tells it.
        clock: "utc", "file" where times count from the beginning of the file, or "" without any.
        seconds: how long it is, about.
        size: bytes to be read for it, about.
        gnss: topics with positions.
        half: "a" or "b" of a segment that was halved, else "".
        whole: start and stop of the segment that it is half of.
    """

    log: str
    source: LogSource
    topic: str
    start: Position
    stop: Position
    time: int | None
    clock: str
    seconds: float
    size: int
    gnss: tuple[str, ...] = ()
    half: str = ""
    whole: tuple[Position, Position] | None = None

    def name(self, made_of: str) -> str:
        """What the segment is called by its content: 20 hexadecimal digits, and ".a" or ".b" for a half of it.

        Args:
            made_of: hash of the detector and of all settings that change the result.
        """
        start, stop = self.whole or (self.start, self.stop)
        return segment_name(self.log, self.topic, start, stop, made_of) + (f".{self.half}" if self.half else "")

    @property
    def day(self) -> str:
        """The day in UTC on which it begins; "unknown" where nothing tells it."""
        if self.time is None or self.clock != "utc":
            return "unknown"
        return datetime.fromtimestamp(self.time / NANO, UTC).date().isoformat()

    @property
    def shown(self) -> str:
        """What people read."""
        at = "" if self.time is None else f" at {self.time / NANO:.1f} s"
        if self.clock == "utc" and self.time is not None:
            at = f" at {datetime.fromtimestamp(self.time // NANO, UTC).strftime('%Y-%m-%dT%H:%M:%SZ')}"
        return f"{self.source.name}{'/' if self.topic else ''}{self.topic.strip('/')}{at}"

    def to_json(self) -> dict[str, Any]:
        """The segment as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Segment:
        """The segment of ``to_json``."""
        source = values["source"]
        log = LogSource(source["kind"], source["name"], tuple(source["addresses"]), tuple(source["topics"]))
        whole = values.get("whole")
        positions = {
            "start": tuple(values["start"]),
            "stop": tuple(values["stop"]),
            "whole": None if whole is None else (tuple(whole[0]), tuple(whole[1])),
        }
        return cls(**{**values, **positions, "source": log, "gnss": tuple(values["gnss"])})


def segment_name(log: str, topic: str, start: Sequence[int], stop: Sequence[int], made_of: str) -> str:
    """The name of a whole segment; see ``Segment.name``."""
    text = f"{log} {start[0]} {start[1]} {stop[0]} {stop[1]} {made_of} {topic}"
    return hashlib.sha256(text.encode()).hexdigest()[:20]


@dataclass(frozen=True)
class LogPlan:
    """What is to be done with one log.

    Attributes:
        source: the log.
        log: what names it by its content.
        state: of its files; a plan of the same state is used again.
        segments: in their order.
        notes: what is to be known, such as that it is cut off.
    """

    source: LogSource
    log: str
    state: str
    segments: list[Segment] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def state_of(source: LogSource) -> str:
    """What differs when a file of a log was changed.

    Raises:
        OSError: if a file is not there, or may not be read.
    """
    few = source.addresses if source.kind != "images" else (source.addresses[0], source.addresses[-1])
    found = [(len(source.addresses), source.name), *((each.size, each.changed) for each in map(stat_file, few))]
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()[:16]


def plan_log(source: LogSource, topics: Sequence[str], seconds: float, copies: str) -> LogPlan:
    """A log cut into segments.

    Args:
        source: the log.
        topics: patterns of topics, with * and ?; all with pictures where there is none.
        seconds: length of a segment.
        copies: folder for local copies of files that cannot be read where they are.

    Raises:
        InputError: if it cannot be read, or has no such topic.
        OSError: if a file cannot be opened.
    """
    state, log = state_of(source), name_of(source)
    plan = LogPlan(source, log, state)
    if source.kind in ("mcap", "bag"):
        opened = open_message_log(source.addresses, copies)
        gnss = tuple(topic for topic, kind in sorted(opened.topics.items()) if re.split(r"[./]", kind)[-1] in GNSS)
        for topic in chosen(source, opened.topics, source.topics or topics):
            for cut in opened.cuts(topic, seconds):
                clock = "utc" if EPOCH[0] < cut.time / NANO < EPOCH[1] else "file"
                plan.segments.append(segment_of(plan, topic, cut, clock, gnss))
        if opened.ended:
            plan.notes.append(f"{source.name}: cut off: {opened.ended}; what comes before is mined")
    elif source.kind == "video":
        cuts, clock, notes = cuts_of_video(source.addresses[0], seconds)
        plan.segments.extend(segment_of(plan, "", each, clock, ()) for each in cuts)
        plan.notes.extend(f"{source.name}: {each}" for each in notes)
    else:
        plan.segments.extend(cuts_of_pictures(plan, seconds))
    return plan


def segment_of(plan: LogPlan, topic: str, cut: Cut, clock: str, gnss: tuple[str, ...]) -> Segment:
    """A segment for a part of a topic or video."""
    return Segment(
        plan.log, plan.source, topic, cut.start, cut.stop, cut.time, clock, cut.seconds, cut.size, gnss
    )  # fmt: skip


def name_of(source: LogSource) -> str:
    """What names a log by its content.

    Of pictures it is their names and sizes, and the content of the first, the middle and the last.
    """
    if source.kind == "images":
        names, few = source.addresses, {0, len(source.addresses) // 2, len(source.addresses) - 1}
        parts = [PurePosixPath(each).name for each in names]
        parts += [fingerprint(stat_file(names[each])) for each in sorted(few)]
    else:
        parts = [fingerprint(stat_file(each)) for each in source.addresses]
        if len(parts) == 1:
            return parts[0]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def chosen(source: LogSource, there: Mapping[str, str], wanted: Sequence[str]) -> list[str]:
    """The topics with pictures that match, or all.

    Raises:
        InputError: if there is none; names what is there, with the types.
    """
    pictures = [topic for topic, kind in sorted(there.items()) if holds(kind)]
    found = [each for each in pictures if not wanted or any(fnmatch.fnmatchcase(each, word) for word in wanted)]
    if not wanted:
        found = [each for each in found if not each.endswith(DEPTH)]
    if not found:
        listed = ", ".join(f"{topic} ({kind or 'no schema'})" for topic, kind in sorted(there.items())) or "no message"
        what = f"topic {' or '.join(map(repr, wanted))} with pictures" if wanted else "topic with pictures"
        raise InputError(f"'{source.name}' has no {what}; there is: {listed}")
    return found


def cuts_of_pictures(plan: LogPlan, seconds: float) -> Iterator[Segment]:
    """The pictures of a folder in parts, by the times in their names where they hold some."""
    source = plan.source
    times = [time_in_name(each) for each in source.addresses]
    known = all(each is not None for each in times) and len(times) > 1
    first = 0
    length = 0.0
    size = stat_file(source.addresses[0]).size
    for number in range(1, len(times) + 1):
        before, now = times[number - 1], times[number] if number < len(times) else None
        gap = (now - before) / NANO if known and now is not None and before is not None else 1 / PICTURES_PER_SECOND
        length += min(max(gap, 0.0), 5.0)
        if number == len(times) or length >= seconds:
            start = times[first] if known else None
            clock = "" if start is None else "utc"
            yield Segment(
                plan.log, source, "", (0, first), (0, number), start, clock, length, size * (number - first)
            )  # fmt: skip
            first, length = number, 0.0


def time_in_name(address: str) -> int | None:
    """The time in ns since 1970 that the last number in a picture's name tells; None where it is none.

    >>> time_in_name("CAM_FRONT__1532402927612460.jpg"), time_in_name("frame_000012.png")
    (1532402927612460000, None)
    """
    numbers = re.findall(r"\d+", PurePosixPath(address).stem)
    for digits, unit in ((19, 1), (16, 1000), (13, 1_000_000)):
        if numbers and len(numbers[-1]) == digits and EPOCH[0] < int(numbers[-1]) * unit / NANO < EPOCH[1]:
            return int(numbers[-1]) * unit
    return None


def halves(segment: Segment, copies: str) -> list[Segment]:
    """A segment in two, for the last ones of a run; the segment itself where it cannot be halved."""
    start, stop = segment.start, segment.stop
    if segment.source.kind in ("mcap", "bag"):
        log = open_message_log(segment.source.addresses, copies)
        inside = [each for each in log.cuts(segment.topic, segment.seconds / 2.2) if start < each.start < stop]
        if not inside:
            return [segment]
        middle = inside[len(inside) // 2].start
    else:
        units = segment.size if start[0] == BYTES else round(segment.seconds * 1e6)
        middle = (start[0], start[1] + (units if stop[1] >= OPEN else stop[1] - start[1]) // 2)
        if not start[1] < middle[1] < stop[1]:
            return [segment]
    each: dict[str, Any] = {"seconds": segment.seconds / 2, "size": segment.size // 2, "whole": (start, stop)}
    later = None if segment.time is None else segment.time + round(segment.seconds / 2 * NANO)
    return [
        replace(segment, stop=middle, half="a", **each),
        replace(segment, start=middle, half="b", time=later, **each),
    ]
