"""MCAP files, by their index, or from their beginning on where that is incomplete or the file is cut off."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from oddroad.io.log_types import Log, Message, recount, unbroken

MAGIC = b"\x89MCAP0\r\n"
CHUNK = 6


def open_mcap(path: Path) -> Log:
    """What an MCAP file holds.

    It is read by its index where that is complete; else, or where the file is cut off, from its beginning on.
    """
    from mcap.reader import SeekingReader

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
                rows = unbroken(
                    SeekingReader(opened).iter_messages(list(topics) or None, log_time_order=False), log.ended
                )
            for schema, channel, message in rows:
                kind, text = (schema.name, schema.data) if schema else ("", b"")
                encoding = channel.message_encoding or (schema.encoding if schema else "")
                yield Message(channel.topic, kind, message.log_time, encoding, text, message.data)

    log.messages = messages
    return recount(log) if summary is None else log


def whole_summary(path: Path) -> Any:
    """The summary of an MCAP file if it names every channel, schema and chunk; else None."""
    with path.open("rb") as opened:
        return summary_of(opened)


def summary_of(opened: BinaryIO) -> Any:
    """The summary of an open MCAP file; see ``whole_summary``."""
    from mcap.exceptions import McapError
    from mcap.reader import SeekingReader

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


def in_order(opened: BinaryIO, topics: Sequence[str], ended: list[str]) -> Iterator[tuple[Any, Any, Any]]:
    """(schema or None, channel, message) of the messages of some topics, or of all, record after record.

    Where the file is cut off inside a chunk, what is there of it is unpacked too; ``ended`` is told of the cut.
    """
    from mcap.records import Channel, Schema
    from mcap.records import Message as Record
    from mcap.stream_reader import StreamReader

    schemas: dict[int, Any] = {}
    channels: dict[int, Any] = {}

    def found() -> Iterator[Any]:
        yield from unbroken(iter(StreamReader(opened).records), ended)
        if ended:
            yield from unbroken(iter(StreamReader(io.BytesIO(cut_chunk(opened)), skip_magic=True).records), [])

    for record in found():
        if isinstance(record, Schema):
            schemas[record.id] = record
        elif isinstance(record, Channel):
            channels[record.id] = record
        elif isinstance(record, Record) and record.channel_id in channels:
            channel = channels[record.channel_id]
            if not topics or channel.topic in topics:
                yield schemas.get(channel.schema_id), channel, record


def cut_chunk(opened: BinaryIO) -> bytes:
    """The records of the chunk in which an MCAP file is cut off, as far as they are there; empty if it is in none.

    Source: https://mcap.dev/spec
    """
    size = opened.seek(0, io.SEEK_END)
    at = len(MAGIC)
    while True:
        opened.seek(at)
        head = opened.read(9)
        if len(head) < 9:
            return b""
        length = int.from_bytes(head[1:], "little")
        if at + 9 + length > size:
            break
        at += 9 + length
    return unpacked(opened.read()) if head[0] == CHUNK else b""


def unpacked(body: bytes) -> bytes:
    """The records of a chunk, as far as its bytes go.

    Args:
        body: the content of the chunk's record.

    Raises:
        ValueError: if it is packed in a way that is not known.
    """
    if len(body) < 32:
        return b""
    named = 32 + int.from_bytes(body[28:32], "little")
    compression, records = body[32:named], body[named + 8 :]
    if compression == b"zstd":
        import zstandard

        return zstandard.ZstdDecompressor().decompressobj().decompress(records)
    if compression == b"lz4":
        from lz4.frame import LZ4FrameDecompressor

        return LZ4FrameDecompressor().decompress(records)
    if compression:
        words = compression.decode(errors="replace")
        raise ValueError(f"a chunk is packed or encrypted with '{words}'; expected zstd or lz4")
    return records
