"""What a driving log is to its readers: topics, counts, times, and messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oddroad.errors import InputError, out_of_memory

NANO = 1_000_000_000

LATEST = 2**63 - 1
"""The last time that a message can have: decoders count in 64 bits with a sign."""

REASONS = 3
"""Damages of one log that are told in words."""


@dataclass(frozen=True)
class Message:
    """One message of a log.

    Attributes:
        topic: its topic.
        kind: the name of its type, as the log writes it.
        time: nanoseconds at which it was logged.
        encoding: "cdr", "ros1", "protobuf" or "json".
        schema: bytes of its type's definition; empty where the log has none.
        data: its bytes.
    """

    topic: str
    kind: str
    time: int
    encoding: str
    schema: bytes
    data: bytes


@dataclass
class Log:
    """What is known about a log before its messages are read.

    Attributes:
        path: file or folder.
        topics: type of each topic, by name.
        counts: number of messages of each topic, as far as the log says.
        start: nanoseconds of its first message; None if it has none.
        end: nanoseconds of its last message, where the log says.
        messages: reads the messages of some topics in the order of the file, anew at each call.
        ended: why the last reading ended before the log's end; empty if it did not.
    """

    path: Path
    topics: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    start: int | None = None
    end: int | None = None
    messages: Callable[[Sequence[str]], Iterator[Message]] = lambda topics: iter(())
    ended: list[str] = field(default_factory=list)


def said(error: Exception) -> str:
    """What a library says of its error in at most 100 letters."""
    if out_of_memory(error):
        return "no memory for a record, or it claims too much"
    return " ".join(str(error).split())[:100]


def unbroken(rows: Iterator[Any], ended: list[str]) -> Iterator[Any]:
    """The rows of a reader up to where the file is damaged; ``ended`` is told why, the first few times.

    The readers of logs and their decompressors raise errors of every kind, MemoryError included, on damaged bytes.
    """
    while True:
        try:
            row = next(rows, None)
        except (ModuleNotFoundError, InputError):
            raise
        except Exception as error:
            if len(ended) < REASONS:
                ended.append(said(error) or "the file ends inside a record")
            return
        if row is None:
            return
        yield row


def recount(log: Log) -> Log:
    """A log whose messages can be read, told what it holds by reading them all."""
    for each in log.messages(()):
        log.topics.setdefault(each.topic, each.kind)
        log.counts[each.topic] = log.counts.get(each.topic, 0) + 1
        log.start = each.time if log.start is None else min(log.start, each.time)
        log.end = each.time if log.end is None else max(log.end, each.time)
    return log
