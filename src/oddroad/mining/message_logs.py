"""Driving logs from the middle: messages from a position on, and positions at which a topic is cut into segments.

A position is (number of the file, place in it), in the order of the file, so that clocks that jump move no message from
one segment to another. What a place is depends on the log: chunk and message of an MCAP file, row of a SQLite file, or
the number of the message where a log can only be read from its beginning.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from oddroad.errors import InputError
from oddroad.io.log_bags import connect
from oddroad.io.log_files import is_compressed, open_log
from oddroad.io.log_types import NANO, Log, Message, unbroken
from oddroad.mining.mcap_blocks import McapFile, messages_in, open_mcap_file, times_in
from oddroad.mining.places import is_remote, local_copy, open_file, stat_file

Position = tuple[int, int]

START: Position = (0, 0)
END: Position = (2**31, 0)
"""Before the first message of a log, and behind its last."""

Rows = Iterator[tuple[Position, Message | None]]

PLACES = 2**24
"""Messages of a topic in one chunk that can be told apart: a place in an MCAP file is chunk * PLACES + message."""

LONGEST_STEP = 5.0
"""Seconds between two messages that count as driving at most: a clock that jumps makes no segments."""


@dataclass(frozen=True)
class Cut:
    """A part of a topic.

    Attributes:
        start: position of its first message.
        stop: position behind its last one.
        time: log time of its beginning in ns.
        seconds: how long it is.
        size: bytes to be read for it, about.
    """

    start: Position
    stop: Position
    time: int
    seconds: float
    size: int


class MessageLog(Protocol):
    """A log whose messages can be read from any position on."""

    topics: dict[str, str]
    ended: str

    def cuts(self, topic: str, seconds: float) -> list[Cut]:
        """The topic in parts of about so many seconds, in its order, without a gap or an overlap."""
        ...

    def messages(self, topics: Sequence[str], start: Position, broken: list[str]) -> Rows:
        """The messages of some topics from a position on, the positions being those of the first topic.

        A message of the first topic that is known to be there but cannot be read is None; ``broken`` is told why.
        """
        ...


class Cutter:
    """Adds up the steps between messages and says where a part ends."""

    def __init__(self, seconds: float):
        self.seconds = seconds
        self.cuts: list[Cut] = []
        self.start: Position | None = None
        self.time, self.length, self.size, self.last = 0, 0.0, 0, 0

    def add(self, position: Position, first: int, last: int, size: int) -> None:
        """The next messages, from a position on: log times of the first and the last one in ns, and their bytes."""
        if self.start is not None:
            self.length += step(self.last, first)
            if self.length >= self.seconds:
                self.close(position)
        if self.start is None:
            self.start, self.time, self.length, self.size = position, first, 0.0, 0
        self.length += max(last - first, 0) / NANO
        self.size, self.last = self.size + size, last

    def close(self, stop: Position) -> None:
        """End the part before a position."""
        if self.start is not None:
            self.cuts.append(Cut(self.start, stop, self.time, self.length, self.size))
        self.start = None

    def all(self) -> list[Cut]:
        """The parts, from the log's start to its end; a short last one is added to the one before."""
        self.close(END)
        if len(self.cuts) > 1 and self.cuts[-1].seconds < self.seconds / 4:
            last, before = self.cuts.pop(), self.cuts.pop()
            length, size = before.seconds + last.seconds, before.size + last.size
            self.cuts.append(Cut(before.start, END, before.time, length, size))
        if self.cuts:
            first = self.cuts[0]
            self.cuts[0] = Cut(START, first.stop, first.time, first.seconds, first.size)
        return self.cuts


def step(before: int, after: int) -> float:
    """Seconds of driving between two log times: none where the clock goes back, few where it leaps."""
    return min(max(after - before, 0) / NANO, LONGEST_STEP)


class McapLog:
    """One or several MCAP files as one log."""

    def __init__(self, addresses: Sequence[str]):
        self.files: list[McapFile] = [open_mcap_file(each) for each in addresses]
        self.topics: dict[str, str] = {}
        for each in self.files:
            self.topics |= each.topics
        self.ended = "; ".join(each.ended for each in self.files if each.ended)

    def cuts(self, topic: str, seconds: float) -> list[Cut]:
        """See ``MessageLog``."""
        cutter = Cutter(seconds)
        for number, file in enumerate(self.files):
            channels = file.numbers(topic)
            if not channels:
                continue
            with open_file(file.address) as opened:
                for at, block in enumerate(file.blocks):
                    if block.indexes and not channels & block.indexes.keys():
                        continue
                    if (block.end - block.start) / NANO <= 1.5 * seconds:
                        cutter.add((number, at * PLACES), block.start, block.end, block.length)
                        continue
                    times = times_in(file, opened, block, channels)
                    for ordinal, time in enumerate(times):
                        cutter.add((number, at * PLACES + ordinal), time, time, block.length // len(times))
        return cutter.all()

    def messages(self, topics: Sequence[str], start: Position, broken: list[str]) -> Rows:
        """See ``MessageLog``; the first topic is the one whose messages the places count."""
        for number, file in enumerate(self.files):
            if number < start[0]:
                continue
            channels = {each for topic in topics for each in file.numbers(topic)}
            first = start[1] // PLACES if number == start[0] else 0
            with open_file(file.address) as opened:
                for at in range(first, len(file.blocks)):
                    block = file.blocks[at]
                    if block.indexes and not channels & block.indexes.keys():
                        continue
                    ordinal, told = 0, len(broken)
                    for message in messages_in(file, opened, block, channels, broken):
                        position = (number, at * PLACES + ordinal)
                        ordinal += message.topic == topics[0]
                        if position >= start:
                            yield position, message
                    if len(broken) > told and block.indexes:
                        for missing in range(ordinal, len(times_in(file, opened, block, file.numbers(topics[0])))):
                            if (position := (number, at * PLACES + missing)) >= start:
                                yield position, None


class SqliteLog:
    """The SQLite files of a bag of ROS 2 as one log; positions are rows."""

    def __init__(self, paths: Sequence[Path]):
        import sqlite3

        self.paths = list(paths)
        self.topics: dict[str, str] = {}
        self.ended = ""
        for path in self.paths:
            try:
                with contextlib.closing(connect(path)) as database:
                    found = database.execute("SELECT name, type FROM topics").fetchall()
                self.topics |= {
                    name: kind if isinstance(kind, str) else "" for name, kind in found if isinstance(name, str)
                }
            except (sqlite3.Error, OverflowError, ValueError) as error:
                raise InputError(f"'{path}' cannot be read: {error}") from None

    def cuts(self, topic: str, seconds: float) -> list[Cut]:
        """See ``MessageLog``."""
        cutter = Cutter(seconds)
        for number, path in enumerate(self.paths):
            broken: list[str] = []
            for row, time, size in unbroken(self.times(path, topic), broken):
                if isinstance(time, int) and isinstance(size, int):
                    cutter.add((number, row), time, time, size)
            self.ended = self.ended or (broken[0] if broken else "")
        return cutter.all()

    def times(self, path: Path, topic: str) -> Iterator[tuple[int, int, int]]:
        """Row, time and bytes of each message of a topic in one of the files."""
        with contextlib.closing(connect(path)) as database:
            yield from database.execute(
                "SELECT m.id, m.timestamp, LENGTH(m.data) FROM messages m NOT INDEXED JOIN topics t "
                "ON t.id = m.topic_id WHERE t.name = ? ORDER BY m.id", (topic,),
            )  # fmt: skip

    def messages(self, topics: Sequence[str], start: Position, broken: list[str]) -> Rows:
        """See ``MessageLog``."""
        import sqlite3

        for number, path in enumerate(self.paths):
            if number < start[0]:
                continue
            try:
                with contextlib.closing(connect(path)) as database:
                    kinds = {
                        key: (name, kind) for key, name, kind in database.execute("SELECT id, name, type FROM topics")
                        if name in topics
                    }  # fmt: skip
                    rows = database.execute(
                        "SELECT id, topic_id, timestamp, data FROM messages NOT INDEXED WHERE id >= ? ORDER BY id",
                        (start[1] if number == start[0] else 0,),
                    )
                    for row, key, time, data in unbroken(iter(rows), broken):
                        if key in kinds and isinstance(time, int) and isinstance(data, bytes):
                            yield (number, row), Message(*kinds[key], time, "cdr", b"", data)
            except (sqlite3.Error, OverflowError, ValueError) as error:
                broken.append(str(error))


class SequentialLog:
    """A log that can only be read from its beginning: bags of ROS 1, and compressed ones. Places count messages."""

    def __init__(self, path: Path):
        self.log: Log = open_log(path)
        self.topics, self.ended = dict(self.log.topics), "; ".join(self.log.ended)
        self.places: dict[str, list[Cut]] = {}

    def cuts(self, topic: str, seconds: float) -> list[Cut]:
        """See ``MessageLog``."""
        cutter = Cutter(seconds)
        for number, message in enumerate(self.log.messages([topic])):
            cutter.add((0, number), message.time, message.time, len(message.data))
        return cutter.all()

    def messages(self, topics: Sequence[str], start: Position, broken: list[str]) -> Rows:
        """See ``MessageLog``."""
        number = 0
        for message in self.log.messages(list(topics)):
            position = (0, number)
            number += message.topic == topics[0]
            if position >= start:
                yield position, message
        broken.extend(self.log.ended)


@functools.lru_cache(8)
def open_known(addresses: tuple[str, ...], states: tuple[Any, ...], copies: str) -> MessageLog:
    """See ``open_message_log``; the states of the files are what its memory is keyed by."""
    del states
    if all(each.endswith(".mcap") or head_of(each).startswith(b"\x89MCAP") for each in addresses):
        folder = Path(addresses[0]).parent
        if not (not is_remote(addresses[0]) and (folder / "metadata.yaml").is_file() and is_compressed(folder)):
            return McapLog(addresses)
    paths = [local_copy(each, Path(copies)) for each in addresses]
    if not is_remote(addresses[0]) and is_compressed(paths[0].parent):
        return SequentialLog(paths[0].parent)
    heads = [head_of(str(each)) for each in paths]
    if all(each.startswith(b"SQLite format 3") for each in heads):
        return SqliteLog(paths)
    if len(paths) == 1:
        return SequentialLog(paths[0])
    raise InputError(f"'{Path(addresses[0]).parent}' holds files of several kinds that are no bag of ROS 2")


def head_of(address: str) -> bytes:
    """The first bytes of a file."""
    with open_file(address) as opened:
        return opened.read(16)


def open_message_log(addresses: Sequence[str], copies: str) -> MessageLog:
    """A log whose files lie at some addresses, in their order.

    Args:
        addresses: of its files.
        copies: folder for local copies of files that cannot be read where they are: SQLite and ROS 1 files.

    Raises:
        InputError: if it is no log, or cannot be read.
        OSError: if a file cannot be opened.
    """
    states = tuple((found.size, found.changed) for found in map(stat_file, addresses))
    return open_known(tuple(addresses), states, copies)
