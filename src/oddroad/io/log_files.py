"""Driving logs as messages: MCAP files, and bags of ROS 1 and ROS 2 as folders or bare files, whole or cut off."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from oddroad.errors import InputError

NANO = 1_000_000_000


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


def open_log(path: Path) -> Log:
    """What a log holds: a .mcap, .bag or .db3 file by its first bytes, or a folder of such files.

    Raises:
        InputError: if it is none of them, or holds nothing.
    """
    files = parts_of(path) if path.is_dir() else [path]
    logs = [open_part(each) for each in files]
    if len(logs) == 1:
        return logs[0]
    whole = Log(path)
    for each in logs:
        whole.topics |= each.topics
        for topic, count in each.counts.items():
            whole.counts[topic] = whole.counts.get(topic, 0) + count
    starts, ends = [each.start for each in logs if each.start is not None], [each.end for each in logs]
    whole.start = min(starts, default=None)
    whole.end = max((each for each in ends if each is not None), default=None)

    def messages(topics: Sequence[str]) -> Iterator[Message]:
        whole.ended.clear()
        for each in logs:
            yield from each.messages(topics)
            whole.ended.extend(f"{each.path.name} {why}" for why in each.ended)

    whole.messages = messages
    return whole


def parts_of(folder: Path) -> list[Path]:
    """The files of a bag, in the order of the numbers in their names; ``metadata.yaml`` is not needed.

    Raises:
        InputError: if there is none.
    """
    found = [each for each in folder.iterdir() if each.suffix.lower() in (".mcap", ".db3", ".bag")]
    if not found:
        raise InputError(f"'{folder}' holds no .mcap, .db3 or .bag file")

    def order(path: Path) -> list[tuple[int, str]]:
        return [(int(each), "") if each.isdigit() else (-1, each) for each in re.split(r"(\d+)", path.name)]

    return sorted(found, key=order)


def open_part(path: Path) -> Log:
    """What one file of a log holds; see ``open_log``."""
    try:
        with path.open("rb") as opened:
            head = opened.read(16)
    except OSError as error:
        raise InputError(f"cannot read '{path}': {error.strerror}") from None
    if head.startswith(b"\x89MCAP0"):
        return open_mcap(path)
    if head.startswith(b"#ROSBAG V2.0") or head.startswith(b"SQLite format 3\0"):
        return open_bag(path)
    raise InputError(f"'{path}' is no driving log; expected an MCAP file or a bag of ROS 1 or ROS 2")


def open_mcap(path: Path) -> Log:
    """What an MCAP file holds.

    It is read by its index where that is complete; else, or where the file is cut off, from its beginning on.
    """
    from mcap.reader import NonSeekingReader, SeekingReader

    log = Log(path)
    summary = whole_summary(path)
    if summary is not None:
        for number, channel in summary.channels.items():
            schema = summary.schemas.get(channel.schema_id)
            log.topics[channel.topic] = schema.name if schema else ""
            count = summary.statistics.channel_message_counts.get(number, 0)
            log.counts[channel.topic] = log.counts.get(channel.topic, 0) + count
        log.start, log.end = summary.statistics.message_start_time, summary.statistics.message_end_time

    def messages(topics: Sequence[str]) -> Iterator[Message]:
        log.ended.clear()
        with path.open("rb") as opened:
            reader = (SeekingReader if summary is not None else NonSeekingReader)(opened)
            rows = reader.iter_messages(list(topics) or None, log_time_order=False)
            for schema, channel, message in unbroken(rows, log.ended):
                kind, text = (schema.name, schema.data) if schema else ("", b"")
                encoding = channel.message_encoding or (schema.encoding if schema else "")
                yield Message(channel.topic, kind, message.log_time, encoding, text, message.data)

    log.messages = messages
    return recount(log) if summary is None else log


def whole_summary(path: Path) -> Any:
    """The summary of an MCAP file if it names every channel, schema and chunk; else None."""
    from mcap.exceptions import McapError
    from mcap.reader import SeekingReader

    with path.open("rb") as opened:
        try:
            summary = SeekingReader(opened).get_summary()
        except (McapError, struct.error, ValueError, OSError):
            return None
    if summary is None or summary.statistics is None or not summary.chunk_indexes:
        return None
    stated = summary.statistics
    complete = (
        len(summary.channels) == stated.channel_count
        and len(summary.chunk_indexes) == stated.chunk_count
        and all(not each.schema_id or each.schema_id in summary.schemas for each in summary.channels.values())
    )
    return summary if complete else None


def unbroken(rows: Iterator[Any], ended: list[str]) -> Iterator[Any]:
    """The rows of a reader up to where the file is damaged; ``ended`` is told why."""
    import sqlite3

    from mcap.exceptions import McapError
    from rosbags.rosbag1 import ReaderError
    from rosbags.rosbag2 import ReaderError as ReaderError2

    damage: list[type[Exception]] = [McapError, struct.error, sqlite3.Error, ReaderError, ReaderError2]
    damage += [EOFError, ValueError, OSError, RuntimeError, KeyError]  # of the decompressors, and of what they bring
    try:
        import zstandard

        damage.append(zstandard.ZstdError)
    except ModuleNotFoundError:
        pass
    while True:
        try:
            row = next(rows, None)
        except tuple(damage) as error:
            ended.append(" ".join(str(error).split())[:100] or type(error).__name__)
            return
        if row is None:
            return
        yield row


def open_bag(path: Path) -> Log:
    """What a bag of ROS 1, or the SQLite file of one of ROS 2, holds.

    Raises:
        InputError: if not one message of it can be read.
    """
    import sqlite3

    from rosbags.highlevel import AnyReader, AnyReaderError
    from rosbags.typesys import Stores, get_typestore

    log = Log(path)
    first = is_ros1(path)

    def reader() -> Any:
        return AnyReader([path], default_typestore=get_typestore(Stores.ROS2_HUMBLE))

    def messages(topics: Sequence[str]) -> Iterator[Message]:
        log.ended.clear()
        with reader() as opened:
            wanted = [each for each in opened.connections if not topics or each.topic in topics]
            for connection, time, data in unbroken(iter(opened.messages(wanted)) if wanted else iter(()), log.ended):
                yield Message(connection.topic, connection.msgtype, time, "ros1" if first else "cdr", b"", bytes(data))

    try:
        with reader() as opened:
            for each in opened.connections:
                log.topics[each.topic] = each.msgtype
                log.counts[each.topic] = log.counts.get(each.topic, 0) + each.msgcount
            log.start, log.end = opened.start_time, opened.end_time
        log.messages = messages
    except (AnyReaderError, sqlite3.Error):
        salvage = read_cut_bag if first else read_cut_database
        log.messages = lambda topics: salvage(path, topics, log.ended)
        return recount(log)
    return log


def is_ros1(path: Path) -> bool:
    """Whether a file is a bag of ROS 1."""
    with path.open("rb") as opened:
        return opened.read(12) == b"#ROSBAG V2.0"


def recount(log: Log) -> Log:
    """A log whose messages can be read, told what it holds by reading them all."""
    for each in log.messages(()):
        log.topics.setdefault(each.topic, each.kind)
        log.counts[each.topic] = log.counts.get(each.topic, 0) + 1
        log.start = each.time if log.start is None else min(log.start, each.time)
        log.end = each.time if log.end is None else max(log.end, each.time)
    return log


def read_cut_database(path: Path, topics: Sequence[str], ended: list[str]) -> Iterator[Message]:
    """The messages of the SQLite file of a bag of ROS 2 that is cut off, as far as its pages are there."""
    import sqlite3

    ended[:] = ["the file ends before its last page"]
    database = sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True)
    try:
        database.execute("PRAGMA writable_schema = ON")  # else SQLite opens no file with fewer pages than it says
        kinds = {number: (name, kind) for number, name, kind in database.execute("SELECT id, name, type FROM topics")}
        rows = database.execute("SELECT topic_id, timestamp, data FROM messages NOT INDEXED")
        for number, time, data in unbroken(iter(rows), []):
            name, kind = kinds.get(number, ("", ""))
            if name and (not topics or name in topics):
                yield Message(name, kind, time, "cdr", b"", data)
    except sqlite3.Error:
        return
    finally:
        database.close()


def read_cut_bag(path: Path, topics: Sequence[str], ended: list[str]) -> Iterator[Message]:
    """The messages of a bag of ROS 1 without an index: one that is cut off, or whose recorder was killed."""
    ended.clear()
    with path.open("rb") as opened:
        opened.readline()
        for each in unbroken(messages_of(opened, {}), ended):
            if not topics or each.topic in topics:
                yield each
    ended[:] = ended[:1] or ["it has no index"]


def record(opened: Any) -> tuple[dict[bytes, bytes], bytes, bool] | None:
    """The next record of a bag of ROS 1: its header's fields, its data, and whether it is whole; None at the end.

    Source: http://wiki.ros.org/Bags/Format/2.0

    Raises:
        EOFError: if the file ends inside the header.
    """
    head = opened.read(4)
    if not head:
        return None
    size = int.from_bytes(head, "little")
    fields = opened.read(size)
    length = opened.read(4)
    if len(fields) < size or len(length) < 4:
        raise EOFError("the file ends inside a record")
    header, at = {}, 0
    while at + 4 <= len(fields):
        size = int.from_bytes(fields[at : at + 4], "little")
        name, _, value = fields[at + 4 : at + 4 + size].partition(b"=")
        header[name] = value
        at += 4 + size
    size = int.from_bytes(length, "little")
    data = opened.read(size)
    return header, data, len(data) == size


def messages_of(opened: Any, connections: dict[bytes, tuple[str, str]]) -> Iterator[Message]:
    """The messages of a bag of ROS 1, record after record; chunks are opened.

    Raises:
        EOFError: if the bag ends inside a record, after the messages before.
    """
    import bz2

    from lz4 import frame as lz4

    unpack = {b"none": bytes, b"bz2": bz2.decompress, b"lz4": lz4.decompress}
    while (found := record(opened)) is not None:
        header, data, whole = found
        kind = header[b"op"][0]
        if kind == 5 and (whole or header[b"compression"] == b"none"):
            yield from messages_of(io.BytesIO(unpack[header[b"compression"]](data)), connections)
        if not whole:
            raise EOFError("the file ends inside a record")
        if kind == 7:
            inner = record(io.BytesIO(len(data).to_bytes(4, "little") + data + bytes(4)))
            name = inner[0][b"type"].decode() if inner else ""
            connections[header[b"conn"]] = (header[b"topic"].decode(), name)
        elif kind == 2 and header[b"conn"] in connections:
            seconds, nanos = struct.unpack("<II", header[b"time"])
            topic, name = connections[header[b"conn"]]
            yield Message(topic, name, seconds * NANO + nanos, "ros1", b"", data)
