"""MCAP files, by their index, or from their beginning on where that is incomplete or the file is cut off."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from oddroad.io.log_types import LATEST, REASONS, Log, Message, recount, unbroken

MAGIC = b"\x89MCAP0\r\n"
CHUNK = 6

MOST = 2**29
"""Bytes to which a chunk may unpack: writers make chunks of about 1 MB, and a small file can hold one that fills the
memory."""


def open_mcap(path: Path) -> Log:
    """What an MCAP file holds.

    It is read by its index where that is complete; else, or where the file is cut off, from its beginning on. Chunks
    that are damaged, by their check sums or in themselves, are left out, and said.
    """
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
            if summary is None:
                rows = in_order(opened, topics, log.ended)
            else:
                rows = by_index(opened, summary, topics, log.ended)
            for schema, channel, message in rows:
                if message.log_time > LATEST:
                    log.ended[REASONS - 1 :] = ["a message has an impossible time"]
                    continue
                kind, text = (schema.name, schema.data) if schema else ("", b"")
                encoding = channel.message_encoding or (schema.encoding if schema else "")
                yield Message(channel.topic, kind, message.log_time, encoding, text, message.data)

    log.messages = messages
    return recount(log) if summary is None else log


def whole_summary(path: Path) -> Any:
    """The summary of an MCAP file if it names every channel, schema and chunk; else None."""
    with path.open("rb") as opened:
        return summary_of(opened)


def size_of(opened: BinaryIO) -> int:
    """Bytes of an open file; no record of it can have more. It is at its beginning then."""
    size = opened.seek(0, os.SEEK_END)
    opened.seek(0)
    return size


def summary_of(opened: BinaryIO) -> Any:
    """The summary of an open MCAP file; see ``whole_summary``."""
    from mcap.reader import SeekingReader

    def found() -> Iterator[Any]:
        yield SeekingReader(opened, record_size_limit=size_of(opened)).get_summary()

    summary = next(unbroken(found(), []), None)
    if summary is None or summary.statistics is None or not summary.chunk_indexes:
        return None
    stated = summary.statistics
    complete = (
        len(summary.channels) == stated.channel_count
        and len(summary.chunk_indexes) == stated.chunk_count
        and all(not each.schema_id or each.schema_id in summary.schemas for each in summary.channels.values())
    )
    return summary if complete else None


def by_index(opened: BinaryIO, summary: Any, topics: Sequence[str], ended: list[str]) -> Iterator[tuple[Any, Any, Any]]:
    """(schema or None, channel, message) of the messages of some topics, or of all, chunk after chunk of the index.

    ``ended`` is told of chunks that are damaged, and where there are other messages than the index counts.
    """
    from mcap.records import Message as Record

    size = size_of(opened)
    wanted = {number for number, each in summary.channels.items() if not topics or each.topic in topics}
    found: Counter[int] = Counter()
    for each in sorted(summary.chunk_indexes, key=lambda index: index.chunk_start_offset):
        if each.message_index_offsets and not wanted & each.message_index_offsets.keys():
            continue
        for record in unbroken(records_at(opened, each.chunk_start_offset, size), ended):
            if isinstance(record, Record) and record.channel_id in wanted:
                found[record.channel_id] += 1
                channel = summary.channels[record.channel_id]
                yield summary.schemas.get(channel.schema_id), channel, record
    counts = summary.statistics.channel_message_counts
    there, expected = sum(found.values()), sum(counts.get(number, 0) for number in wanted)
    if counts and there != expected and not ended:
        ended.append(f"its index counts {expected} messages, and {there} are there")


def records_at(opened: BinaryIO, place: int, size: int) -> Iterator[Any]:
    """The records of the chunk that begins at a place of a file of a size.

    Raises:
        ValueError: if there is no chunk, or it is damaged.
    """
    opened.seek(min(place, size))
    head = opened.read(9)
    length = int.from_bytes(head[1:], "little")
    if len(head) < 9 or head[0] != CHUNK or place + 9 + length > size:
        raise ValueError(f"there is no whole chunk at byte {place}, where the index says one")
    yield from records_of(whole(opened.read(length), place))


def records_of(content: bytes) -> Iterator[Any]:
    """The records of an unpacked chunk."""
    from mcap.stream_reader import StreamReader

    stream = io.BytesIO(content)
    rows = iter(StreamReader(stream, skip_magic=True, record_size_limit=len(content)).records)
    while stream.tell() < len(content):
        yield next(rows)


def in_order(opened: BinaryIO, topics: Sequence[str], ended: list[str]) -> Iterator[tuple[Any, Any, Any]]:
    """(schema or None, channel, message) of the messages of some topics, or of all, record after record.

    Where the file is cut off inside a chunk, what is there of it is unpacked too; ``ended`` is told of the cut.
    """
    from mcap.records import Channel, Chunk, Schema
    from mcap.records import Message as Record
    from mcap.stream_reader import StreamReader

    schemas: dict[int, Any] = {}
    channels: dict[int, Any] = {}

    def found() -> Iterator[Any]:
        cut: list[str] = []
        for each in unbroken(iter(StreamReader(opened, emit_chunks=True, record_size_limit=size).records), cut):
            if isinstance(each, Chunk):
                yield from unbroken(chunk_records(each), ended)
            else:
                yield each
        ended.extend(cut)
        if cut:
            yield from unbroken(cut_records(opened), [])

    def chunk_records(chunk: Any) -> Iterator[Any]:
        content = unpack(chunk.compression.encode(), chunk.data, chunk.uncompressed_size)
        yield from records_of(checked(content, chunk.uncompressed_size, chunk.uncompressed_crc, "a chunk"))

    size = size_of(opened)
    for record in found():
        if isinstance(record, Schema):
            schemas[record.id] = record
        elif isinstance(record, Channel):
            channels[record.id] = record
        elif isinstance(record, Record) and record.channel_id in channels:
            channel = channels[record.channel_id]
            if not topics or channel.topic in topics:
                yield schemas.get(channel.schema_id), channel, record


def cut_records(opened: BinaryIO) -> Iterator[Any]:
    """The records of the chunk in which an MCAP file is cut off, as far as they are there; none if it is in none.

    Source: https://mcap.dev/spec
    """
    size = opened.seek(0, io.SEEK_END)
    at = len(MAGIC)
    while True:
        opened.seek(at)
        head = opened.read(9)
        if len(head) < 9:
            return
        length = int.from_bytes(head[1:], "little")
        if at + 9 + length > size:
            break
        at += 9 + length
    if head[0] == CHUNK:
        yield from records_of(unpacked(opened.read()))


def unpacked(body: bytes) -> bytes:
    """The records of a chunk, as far as its bytes go.

    Args:
        body: the content of the chunk's record.

    Raises:
        ValueError: if it is packed in a way that is not known, or says that it unpacks to more than MOST.
    """
    if len(body) < 32:
        return b""
    size = int.from_bytes(body[16:24], "little")
    named = 32 + int.from_bytes(body[28:32], "little")
    return unpack(body[32:named], body[named + 8 :], size)


def whole(body: bytes, place: int) -> bytes:
    """The records of a chunk whose record is whole.

    Args:
        body: the content of the chunk's record.
        place: where it begins, for the message.

    Raises:
        ValueError: if it is damaged: its length or check sum is not what it says.
    """
    if len(body) < 32:
        raise ValueError(f"the chunk at byte {place} is damaged")
    size, check = struct.unpack_from("<QI", body, 16)
    named = 32 + int.from_bytes(body[28:32], "little")
    length = int.from_bytes(body[named : named + 8], "little")
    content = unpack(body[32:named], body[named + 8 : named + 8 + length], size)
    return checked(content, size, check, f"the chunk at byte {place}")


def checked(content: bytes, size: int, check: int, what: str) -> bytes:
    """The records of a chunk if their length and check sum (0 for none) are what it says.

    Raises:
        ValueError: if they are not.
    """
    if len(content) != size or (check and zlib.crc32(content) != check):
        raise ValueError(f"{what} is damaged")
    return content


def unpack(compression: bytes, records: bytes, size: int) -> bytes:
    """The records of a chunk, at most one byte more than its size says.

    Args:
        compression: how they are packed: "zstd", "lz4" or "".
        records: the packed bytes, which may be cut off.
        size: bytes that they unpack to, as the chunk says.

    Raises:
        ValueError: if they are packed in a way that is not known, or the size is above MOST.
    """
    if size > MOST:
        raise ValueError(f"a chunk says that it unpacks to {size} bytes, more than the limit of {MOST}")
    if compression == b"zstd":
        import zstandard

        with zstandard.ZstdDecompressor().stream_reader(records) as reader:
            return reader.read(size + 1)
    if compression == b"lz4":
        from lz4.frame import LZ4FrameDecompressor

        return LZ4FrameDecompressor().decompress(records, max_length=size + 1)
    if compression:
        words = compression[:40].decode(errors="replace")
        raise ValueError(f"a chunk is packed or encrypted with '{words}'; expected zstd or lz4")
    return records
