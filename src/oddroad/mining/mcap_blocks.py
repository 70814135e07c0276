"""MCAP files as blocks that are read alone: chunks, or runs of messages outside of them; whole files or cut off.

A block is found by the file's index, or, where that is missing or the file is cut off, by the heads of its records
alone. Source of the format: https://mcap.dev/spec
"""

from __future__ import annotations

import functools
import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from oddroad.errors import InputError
from oddroad.io.log_mcap import CHUNK, MAGIC, summary_of, unpacked, whole
from oddroad.io.log_types import Message, unbroken
from oddroad.mining.places import open_file, stat_file

SCHEMA, CHANNEL, MESSAGE, MESSAGE_INDEX, DATA_END = 3, 4, 5, 7, 15
"""Kinds of records."""

RUN = 2**23
"""Bytes up to which messages outside of chunks make one block."""


@dataclass(frozen=True)
class Block:
    """A part of an MCAP file.

    Attributes:
        offset: where it begins in the file.
        length: its bytes.
        start: log time of its earliest message in ns; 0 where not known.
        end: of its latest.
        chunk: whether it is a chunk, or a run of messages.
        indexes: for a channel's number, where the index of its messages in the chunk stands; empty where not known.
        cut: whether the file ends inside it.
    """

    offset: int
    length: int
    start: int
    end: int
    chunk: bool = True
    indexes: dict[int, int] = field(default_factory=dict, compare=False)
    cut: bool = False


@dataclass
class McapFile:
    """What is known about an MCAP file before its messages are read.

    Attributes:
        address: path or address.
        blocks: in the order of the file.
        channels: number -> topic, type, encoding, bytes of the schema.
        counts: messages of each topic, where the file says.
        ended: why it ends too early; "" if it does not.
    """

    address: str
    blocks: list[Block]
    channels: dict[int, tuple[str, str, str, bytes]]
    counts: dict[str, int]
    ended: str = ""

    @property
    def topics(self) -> dict[str, str]:
        """Type of each topic."""
        return {topic: kind for topic, kind, _, _ in self.channels.values()}

    def numbers(self, topic: str) -> set[int]:
        """The channels of a topic."""
        return {number for number, (name, *_) in self.channels.items() if name == topic}


def open_mcap_file(address: str) -> McapFile:
    """What an MCAP file holds; remembered for as long as the file stays as it is.

    Raises:
        InputError: if it is no MCAP file, or encrypted or compressed in a way that cannot be read.
        OSError: if it cannot be opened.
    """
    found = stat_file(address)
    return opened_before(address, found.size, found.changed)


@functools.lru_cache(8)
def opened_before(address: str, size: int, changed: str) -> McapFile:
    """See ``open_mcap_file``; size and state of the file are what its memory is keyed by."""
    del changed
    with open_file(address) as opened:
        if opened.read(len(MAGIC)) != MAGIC:
            raise InputError(f"'{address}' is no MCAP file, or an encrypted one")
        opened.seek(0)
        summary = summary_of(opened)
        if summary is not None and (blocks := indexed(summary)):
            return McapFile(address, blocks, channels_of(summary), counts_of(summary))
        blocks, ended = walked(opened, size)
        channels: dict[int, tuple[str, str, str, bytes]] = {}
        schemas: dict[int, tuple[str, bytes]] = {}
        note: list[str] = []
        for kind, data in records(opened, blocks, size, note):
            if kind in (SCHEMA, CHANNEL):
                next(unbroken(learned(kind, data, schemas, channels), note), None)
        return McapFile(address, blocks, channels, {}, ended or (note[0] if note else ""))


def indexed(summary: Any) -> list[Block]:
    """The blocks of a file with a complete index."""
    found = [
        Block(each.chunk_start_offset, each.chunk_length, each.message_start_time, each.message_end_time, True,
              dict(each.message_index_offsets))
        for each in summary.chunk_indexes
    ]  # fmt: skip
    return sorted(found, key=lambda each: each.offset)


def channels_of(summary: Any) -> dict[int, tuple[str, str, str, bytes]]:
    """The channels of a summary: topic, type, encoding, bytes of the schema."""
    found = {}
    for number, each in summary.channels.items():
        schema = summary.schemas.get(each.schema_id)
        encoding = each.message_encoding or (schema.encoding if schema else "")
        found[number] = (each.topic, schema.name if schema else "", encoding, schema.data if schema else b"")
    return found


def counts_of(summary: Any) -> dict[str, int]:
    """Messages of each topic."""
    counts: dict[str, int] = {}
    for number, each in summary.channels.items():
        count = summary.statistics.channel_message_counts.get(number, 0)
        counts[each.topic] = counts.get(each.topic, 0) + count
    return counts


def walked(opened: BinaryIO, size: int) -> tuple[list[Block], str]:
    """The blocks of a file without a complete index, by the heads of its records, and why it ends too early."""
    blocks: list[Block] = []
    run = [0, 0, 0, 0]  # offset, bytes, start, end
    at = len(MAGIC)

    def close() -> None:
        if run[1]:
            blocks.append(Block(run[0], run[1], run[2], run[3], chunk=False))
        run[1] = 0

    while True:
        opened.seek(at)
        head = opened.read(9 + 22)
        if len(head) < 9 or head[0] == DATA_END:
            close()
            return blocks, "" if head[:1] == bytes([DATA_END]) else "the file ends without its end mark"
        kind, length = head[0], int.from_bytes(head[1:9], "little")
        cut = at + 9 + length > size
        if kind == CHUNK and len(head) >= 25:
            close()
            start, end = struct.unpack_from("<QQ", head, 9)
            blocks.append(Block(at, min(9 + length, size - at), start, end, cut=cut))
        elif kind in (MESSAGE, SCHEMA, CHANNEL) and not cut:
            if not run[1]:
                run[0], run[2], run[3] = at, 0, 0
            if kind == MESSAGE and len(head) >= 23:
                time = struct.unpack_from("<Q", head, 15)[0]
                run[2], run[3] = min(run[2] or time, time), max(run[3], time)
            run[1] = at + 9 + length - run[0]
            if run[1] >= RUN:
                close()
        elif kind == MESSAGE_INDEX and blocks and not cut:
            blocks[-1].indexes[int.from_bytes(head[9:11], "little")] = at
        else:
            close()
        if cut:
            close()
            return blocks, "the file ends inside a record"
        at += 9 + length


def records_in(opened: BinaryIO, block: Block) -> Iterator[tuple[int, memoryview]]:
    """Kind and content of each whole record of a block.

    Raises:
        ValueError: if it is a chunk that is whole but damaged: its length or check sum is not what it says.
    """
    opened.seek(block.offset)
    data = opened.read(block.length)
    content = data if not block.chunk else unpacked(data[9:]) if block.cut else whole(data[9:], block.offset)
    view, at = memoryview(content), 0
    while at + 9 <= len(view):
        length = int.from_bytes(view[at + 1 : at + 9], "little")
        if at + 9 + length > len(view):
            return
        yield view[at], view[at + 9 : at + 9 + length]
        at += 9 + length


def records(opened: BinaryIO, blocks: list[Block], size: int, note: list[str]) -> Iterator[tuple[int, memoryview]]:
    """The records of all blocks, and those of schemas and channels between them; ``note`` is told of damage."""
    ends = [len(MAGIC), *(each.offset + each.length for each in blocks)]
    starts = [*(each.offset for each in blocks), size]
    for number, (end, start) in enumerate(zip(ends, starts, strict=True)):
        at = end
        while at + 9 <= start:  # what stands between two blocks
            opened.seek(at)
            head = opened.read(9)
            length = int.from_bytes(head[1:9], "little") if len(head) == 9 else start
            if at + 9 + length > start:
                break
            if head[0] in (SCHEMA, CHANNEL):
                yield head[0], memoryview(opened.read(length))
            at += 9 + length
        if number < len(blocks):
            yield from unbroken(records_in(opened, blocks[number]), note)


def learned(
    kind: int,
    data: memoryview,
    schemas: dict[int, tuple[str, bytes]],
    channels: dict[int, tuple[str, str, str, bytes]],
) -> Iterator[None]:
    """Take in the record of a schema or channel.

    Raises:
        Exception: of many kinds, if it is damaged.
    """
    from mcap.data_stream import ReadDataStream
    from mcap.records import Channel, Schema

    if kind == SCHEMA:
        schema = Schema.read(ReadDataStream(io.BytesIO(data)))
        schemas[schema.id] = (schema.name, schema.data)
    elif kind == CHANNEL:
        channel = Channel.read(ReadDataStream(io.BytesIO(data)))
        name, text = schemas.get(channel.schema_id, ("", b""))
        channels[channel.id] = (channel.topic, name, channel.message_encoding, text)
    yield


def messages_in(
    file: McapFile, opened: BinaryIO, block: Block, numbers: set[int], broken: list[str]
) -> Iterator[Message]:
    """The messages of some channels in a block; ``broken`` is told why there are no more, where it is damaged."""
    for kind, data in unbroken(records_in(opened, block), broken):
        if kind == MESSAGE and len(data) >= 22:
            number, _, time = struct.unpack_from("<HIQ", data, 0)
            if number in numbers and number in file.channels:
                topic, name, encoding, text = file.channels[number]
                yield Message(topic, name, time, encoding, text, bytes(data[22:]))
    if block.cut:
        broken.append("the file ends inside a chunk")


def times_in(file: McapFile, opened: BinaryIO, block: Block, numbers: set[int]) -> list[int]:
    """Log times of the messages of some channels in a block, in their order; from its index where there is one."""
    if not block.indexes:
        return [each.time for each in messages_in(file, opened, block, numbers, [])]
    found: list[tuple[int, int]] = []
    for number in numbers & block.indexes.keys():
        opened.seek(block.indexes[number])
        head = opened.read(9)
        if head[:1] != bytes([MESSAGE_INDEX]):
            return [each.time for each in messages_in(file, opened, block, numbers, [])]
        body = opened.read(int.from_bytes(head[1:9], "little"))
        entries = (len(body) - 6) // 16
        pairs = [struct.unpack_from("<QQ", body, 6 + 16 * entry) for entry in range(entries)]
        found += [(offset, time) for time, offset in pairs]
    return [time for _, time in sorted(found)]
