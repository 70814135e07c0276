"""Bags of ROS 1 and ROS 2, whole or cut off."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from oddroad.errors import InputError
from oddroad.io.log_types import NANO, REASONS, Log, Message, recount, unbroken

LARGEST = 2**28
"""Bytes of the largest value that is read of a database: a picture of 89 megapixels."""


def open_with(path: Path, reader: Callable[[], Any], encoding: str) -> Log:
    """What a bag holds that one of rosbags' readers opens whole.

    Args:
        path: of the bag.
        reader: makes the reader, a context manager.
        encoding: of its messages, "ros1" or "cdr".
    """
    log = Log(path)

    def messages(topics: Sequence[str]) -> Iterator[Message]:
        log.ended.clear()
        with reader() as opened:
            wanted = [each for each in opened.connections if not topics or each.topic in topics]
            for connection, time, data in unbroken(iter(opened.messages(wanted)) if wanted else iter(()), log.ended):
                yield Message(connection.topic, connection.msgtype, time, encoding, b"", bytes(data))

    with reader() as opened:
        for each in opened.connections:
            log.topics[each.topic] = each.msgtype
            log.counts[each.topic] = log.counts.get(each.topic, 0) + each.msgcount
        log.start, log.end = opened.start_time, opened.end_time
    log.messages = messages
    return log


def open_ros1(path: Path) -> Log:
    """What a bag of ROS 1 holds, by its index, or message after message where it has none."""
    from rosbags.rosbag1 import Reader

    try:
        return open_with(path, lambda: Reader(path), "ros1")
    except ModuleNotFoundError:
        raise
    except Exception:  # a damaged index can raise anything
        log = Log(path)
        log.messages = lambda topics: read_cut_bag(path, topics, log.ended)
        return recount(log)


def open_compressed(folder: Path) -> Log:
    """What a bag folder of ROS 2 with compressed files or messages holds; its ``metadata.yaml`` says which.

    Raises:
        InputError: if it cannot be read.
    """
    from rosbags.highlevel import AnyReader
    from rosbags.typesys import Stores, get_typestore

    try:
        store = get_typestore(Stores.ROS2_HUMBLE)
        return open_with(folder, lambda: AnyReader([folder], default_typestore=store), "cdr")
    except ModuleNotFoundError:
        raise
    except Exception as error:  # damaged files and metadata can raise anything
        raise InputError(f"'{folder}' cannot be read: {' '.join(str(error).split())[:200]}") from None


def open_database(path: Path) -> Log:
    """What the SQLite file of a bag of ROS 2 holds, also one that is cut off."""
    import sqlite3

    log = Log(path)
    log.messages = lambda topics: read_database(path, topics, log.ended)
    try:
        database = connect(path)
        try:
            counts = "SELECT name, type, COUNT(m.id), MIN(m.timestamp), MAX(m.timestamp) FROM topics t"
            rows = database.execute(f"{counts} LEFT JOIN messages m ON m.topic_id = t.id GROUP BY t.id").fetchall()
        finally:
            database.close()
    except (sqlite3.Error, OverflowError, ValueError):
        return recount(log)
    for name, kind, count, first, last in rows:
        if not isinstance(name, str):
            continue
        log.topics[name] = kind if isinstance(kind, str) else ""
        log.counts[name] = count
        if isinstance(first, int) and isinstance(last, int):
            log.start = first if log.start is None else min(log.start, first)
            log.end = last if log.end is None else max(log.end, last)
    return log


def connect(path: Path) -> Any:
    """An open SQLite database, which is not written to; views in the place of tables, which could run for ever, are
    refused.

    Raises:
        sqlite3.Error: if it is damaged, or not what recorders write.
    """
    import sqlite3

    database = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)
    try:
        database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST)
        database.execute("PRAGMA trusted_schema = OFF")
        database.execute("PRAGMA writable_schema = ON")  # else SQLite opens no file with fewer pages than it says
        made = database.execute("SELECT name, type, sql FROM sqlite_master WHERE name IN ('topics', 'messages')")
        for name, kind, words in made:
            if kind != "table" or str(words).upper().lstrip().startswith("CREATE VIRTUAL"):
                raise sqlite3.DatabaseError(f"its {name} are no table, but something that is computed")
    except BaseException:
        database.close()
        raise
    return database


def read_database(path: Path, topics: Sequence[str], ended: list[str]) -> Iterator[Message]:
    """The messages of the SQLite file of a bag of ROS 2, as far as its pages are there."""
    import sqlite3

    ended.clear()
    database = None
    try:
        database = connect(path)
        kinds = {number: (name, kind) for number, name, kind in database.execute("SELECT id, name, type FROM topics")}
        rows = database.execute("SELECT topic_id, timestamp, data FROM messages NOT INDEXED ORDER BY id")
        for number, time, data in unbroken(iter(rows), ended):
            name, kind = kinds.get(number, ("", ""))
            if not (isinstance(name, str) and isinstance(time, int) and isinstance(data, bytes)):
                ended[REASONS - 1 :] = ["a row holds something else than a message"]
            elif name and (not topics or name in topics):
                yield Message(name, kind if isinstance(kind, str) else "", time, "cdr", b"", data)
    except (sqlite3.Error, OverflowError, ValueError) as error:  # texts that are none, among others
        ended.append(str(error))
    finally:
        if database is not None:
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


def read_up_to(opened: Any, size: int) -> bytes:
    """The next bytes of a file: so many, or what is left; memory is taken for what is there alone."""
    at = opened.tell()
    left = opened.seek(0, io.SEEK_END) - at
    opened.seek(at)
    return opened.read(min(size, left))


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
    fields = read_up_to(opened, size)
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
    data = read_up_to(opened, size)
    return header, data, len(data) == size


def unpack_chunk(compression: bytes, data: bytes) -> bytes:
    """The records of a chunk of a bag of ROS 1.

    Raises:
        ValueError: if it is packed in a way that is not known, or unpacks to more than LARGEST bytes.
    """
    if compression == b"none":
        return data
    if compression == b"bz2":
        import bz2

        content = bz2.BZ2Decompressor().decompress(data, LARGEST + 1)
    elif compression == b"lz4":
        from lz4.frame import LZ4FrameDecompressor

        content = LZ4FrameDecompressor().decompress(data, max_length=LARGEST + 1)
    else:
        raise ValueError(f"a chunk is packed with {compression[:40]!r}; expected bz2 or lz4")
    if len(content) > LARGEST:
        raise ValueError(f"a chunk unpacks to more than {LARGEST} bytes")
    return content


def messages_of(opened: Any, connections: dict[bytes, tuple[str, str]], inside: bool = False) -> Iterator[Message]:
    """The messages of a bag of ROS 1, record after record; chunks are opened, but none inside of another.

    Raises:
        EOFError: if the bag ends inside a record, after the messages before.
    """
    while (found := record(opened)) is not None:
        header, data, whole = found
        kind = header[b"op"][0]
        if kind == 5 and not inside and (whole or header[b"compression"] == b"none"):
            yield from messages_of(io.BytesIO(unpack_chunk(header[b"compression"], data)), connections, True)
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
