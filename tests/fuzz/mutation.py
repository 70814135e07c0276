"""Valid inputs made wrong, by bytes, by the parts of their format, by the words of a text, or by the values of JSON.

Everything is drawn from a ``random.Random``, so that an input is known by its target, seed and number.
"""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

NUMBERS = (0, 1, 2, 3, 127, 128, 255, 256, 1023, 4096, 32767, 32768, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
"""Numbers at which programs go wrong."""

TEXTS = (
    "",
    " ",
    "0",
    "-1",
    "1e309",
    "nan",
    "inf",
    "-inf",
    "1_0",
    "１２",
    "é",
    "\0",
    "\n",
    "\r\n",
    "\t",
    "'",
    '"',
    "\\",
    "../",
    "/",
    "%",
    "%00",
    "=",
    "@",
    "x",
    "{",
    "}",
    "[",
    "]",
    "<",
    ">",
    "null",
    "true",
    "🐄",
    "\ud800",
    "9" * 30,
    "1.5.2",
    "a" * 300,
)
"""Words that no grammar expects."""

ODD: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2,
    0.5,
    -0.0,
    1e308,
    1e-320,
    2**31,
    2**63,
    -(2**63) - 1,
    10**400,
    float("nan"),
    float("inf"),
    "",
    "x",
    "0",
    "a" * 2000,
    "é\n",
    "\0",
    [],
    {},
    [[]],
    [None],
    {"": None},
    [1, 2, 3],
    ["a", "b"],
    {"a": 1},
    [[1, 2], [3]],
    {"a": {"b": [1]}},
)
"""JSON values to put in the place of others."""


def few(rng: Random, most: int = 4) -> int:
    """A number of changes: mostly one."""
    return 1 if rng.random() < 0.5 else rng.randint(1, most)


def change_bytes(rng: Random, data: bytes, others: Sequence[bytes] = ()) -> bytes:
    """Some bytes with a few changes: bits, numbers, pieces left out, doubled, put in, moved, cut off."""
    found = bytearray(data)
    for _ in range(few(rng)):
        if not found:
            return bytes(rng.randbytes(rng.randint(0, 16)))
        kind, at = rng.randrange(10), place(rng, len(found))
        length = min(len(found) - at, rng.choice((1, 2, 4, 8, rng.randint(1, 64), rng.randint(1, len(found)))))
        if kind == 0:
            found[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            found[at] = rng.choice((0, 255, rng.randrange(256)))
        elif kind in (2, 3):
            size, order = rng.choice("HIQ"), rng.choice("<>")
            value = rng.choice((rng.choice(NUMBERS), rng.choice(NUMBERS), rng.getrandbits(64)))
            packed = struct.pack(f"{order}{size}", value % 2 ** (8 * struct.calcsize(size)))
            found[at : at + len(packed)] = packed
        elif kind == 4:
            del found[at : at + length]
        elif kind == 5:
            found[at:at] = found[at : at + length] * rng.choice((1, 1, 2, 20))
        elif kind == 6:
            found[at:at] = rng.randbytes(rng.randint(1, 16))
        elif kind == 7:
            del found[at:]
        elif kind == 8:
            piece = found[at : at + length]
            del found[at : at + length]
            to = rng.randint(0, len(found))
            found[to:to] = piece
        elif others:
            other = rng.choice(others)
            start = rng.randint(0, len(other))
            found[at : at + length] = other[start : start + length]
        del found[2**20 :]
    return bytes(found)


def place(rng: Random, length: int) -> int:
    """A place in some bytes, more often at the beginning or the end, where the formats say what they are."""
    kind = rng.random()
    if kind < 0.3:
        return rng.randrange(min(length, 128))
    return length - 1 - rng.randrange(min(length, 256)) if kind < 0.4 else rng.randrange(length)


def change_number(rng: Random, data: bytes, at: int, kind: str) -> bytes:
    """Some bytes with another number of a struct's kind at a place."""
    size = struct.calcsize(kind)
    value = rng.choice((rng.choice(NUMBERS), rng.getrandbits(64), struct.unpack_from(kind, data, at)[0] + 1))
    return data[:at] + struct.pack(kind, value % 2 ** (8 * size)) + data[at + size :]


def change_text(rng: Random, text: str, words: Sequence[str] = ()) -> str:
    """A text with a few changes of its words, signs and letters."""
    for _ in range(few(rng)):
        parts = re.findall(r"\w+|\s+|[^\w\s]", text) or [""]
        at, kind = rng.randrange(len(parts)), rng.randrange(8)
        if kind == 0:
            del parts[at]
        elif kind == 1:
            parts.insert(at, parts[rng.randrange(len(parts))])
        elif kind == 2:
            parts[at] = rng.choice(TEXTS)
        elif kind == 3:
            parts.insert(at, rng.choice(TEXTS))
        elif kind == 4 and words:
            parts[at] = rng.choice(words)
        elif kind == 5:
            other = rng.randrange(len(parts))
            parts[at], parts[other] = parts[other], parts[at]
        elif kind == 6:
            parts[at] = parts[at] * rng.choice((2, 3, 50))
        else:
            parts[at] = str(rng.choice((rng.choice(NUMBERS), -rng.choice(NUMBERS), rng.uniform(-2, 2), 1e300)))
        text = "".join(parts)[:100_000]
    return text


def change_values(rng: Random, values: Any) -> Any:
    """JSON values with a few of them replaced, left out, doubled, moved or renamed."""
    found = json.loads(json.dumps(values))
    for _ in range(few(rng)):
        homes = [each for each in containers(found) if each]
        if not homes:
            return rng.choice(ODD)
        home, kind = rng.choice(homes), rng.randrange(8)
        key = rng.choice(list(home)) if isinstance(home, dict) else rng.randrange(len(home))
        if kind == 0:
            del home[key]
        elif kind == 1 and isinstance(home, dict):
            home[rng.choice((*TEXTS, *home))] = home.pop(key)
        elif kind == 1:
            home.insert(key, home[key])
        elif kind == 2:
            other = rng.choice(homes)
            copied = rng.choice(list(other.values()) if isinstance(other, dict) else other)
            home[key] = json.loads(json.dumps(copied))
        elif kind == 3 and isinstance(home[key], (int, float)) and not isinstance(home[key], bool):
            home[key] = rng.choice(
                (
                    home[key] + 1,
                    -home[key],
                    home[key] * 10,
                    float(home[key]) if abs(home[key]) < 1e300 else 0,
                    rng.choice(NUMBERS),
                )
            )
        elif kind == 3 and isinstance(home[key], str):
            home[key] = change_text(rng, home[key])
        else:
            home[key] = json.loads(json.dumps(rng.choice(ODD)))
    return found


def containers(values: Any) -> list[Any]:
    """Every list and object of some JSON values."""
    inner = list(values.values()) if isinstance(values, dict) else values if isinstance(values, list) else []
    own = [values] if isinstance(values, (dict, list)) else []
    return own + [each for one in inner for each in containers(one)]


def as_text(rng: Random, values: Any) -> str:
    """Values as JSON; now and then with what ``json.dumps`` does not write: deep nests, long numbers, cut off."""
    text = json.dumps(values, ensure_ascii=rng.random() < 0.8)
    kind = rng.random()
    if kind < 0.03:
        deep = rng.choice((100, 900, 5000, 100_000))
        return text.replace("1", "[" * deep + "]" * deep, 1)
    if kind < 0.06:
        return re.sub(r"\d+", lambda _: "7" * rng.choice((30, 400, 5000)), text, count=1)
    if kind < 0.09:
        return text[: rng.randint(0, len(text))]
    return change_text(rng, text) if kind < 0.15 else text


def encoded(text: str) -> bytes:
    """A text as bytes; halves of letters, which UTF-8 does not have, as they are."""
    return text.encode("utf-8", "surrogatepass")


def change_chunks_of_png(rng: Random, data: bytes, others: Sequence[bytes] = ()) -> bytes:
    """A PNG with changed chunks, whose lengths and check sums are right again."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    for _ in range(few(rng, 3)):
        number, kind = rng.randrange(len(chunks)), rng.randrange(4)
        name, body = chunks[number]
        if kind == 0:
            chunks.insert(number, chunks[rng.randrange(len(chunks))])
        elif kind == 1 and len(chunks) > 1:
            del chunks[number]
        elif kind == 2 and name == b"IDAT":
            chunks[number] = name, zlib.compress(change_bytes(rng, unpacked(body)))
        else:
            chunks[number] = rng.choice((name, name, name, b"tRNS", b"gAMA", b"PLTE")), change_bytes(rng, body)
    packed = [
        len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big") for name, body in chunks
    ]
    return data[:8] + b"".join(packed)


def unpacked(body: bytes) -> bytes:
    """The rows of a PNG; none where they were changed before."""
    try:
        return zlib.decompressobj().decompress(body, 2**20)
    except zlib.error:
        return b""


def change_boxes(rng: Random, data: bytes, others: Sequence[bytes] = ()) -> bytes:
    """An MP4 with a number changed inside of one of its boxes but that of the pictures' data."""
    inside = [
        found.start()
        for found in re.finditer(
            rb"moov|mvhd|trak|tkhd|mdia|mdhd|stsd|stts|stss|stsc|stsz|stco|ctts|elst|avc1|avcC|mp4v|esds|ftyp", data
        )
    ]
    if not inside:
        return change_bytes(rng, data, others)
    for _ in range(few(rng, 3)):
        at = rng.choice(inside) + rng.choice((-4, 4, 8, 12, 16, 20, 24, 32, 40))
        if 0 <= at <= len(data) - 4:
            data = change_number(rng, data, at, rng.choice((">I", ">I", ">H")))
    return data


def change_records(rng: Random, data: bytes, others: Sequence[bytes] = ()) -> bytes:
    """An MCAP file with changed records, whose lengths are right again; those inside of plain chunks too."""
    records, at = [], 8
    while at + 9 <= len(data) - 8:
        length = int.from_bytes(data[at + 1 : at + 9], "little")
        records.append((data[at], data[at + 9 : at + 9 + length]))
        at += 9 + length
    for _ in range(few(rng, 3)):
        if not records:
            break
        number, kind = rng.randrange(len(records)), rng.randrange(6)
        code, body = records[number]
        if kind == 0:
            records.insert(number, records[rng.randrange(len(records))])
        elif kind == 1:
            del records[number]
        elif kind == 2:
            records[number] = rng.choice((code, rng.randrange(20))), change_bytes(rng, body)
        elif kind == 3 and len(body) >= 8:
            records[number] = (
                code,
                change_number(rng, body, rng.randrange(min(len(body) - 7, 48)), rng.choice(("<H", "<I", "<Q"))),
            )
        else:
            records[number] = code, change_bytes(rng, body)
    return (
        data[:8]
        + b"".join(bytes([code]) + len(body).to_bytes(8, "little") + body for code, body in records)
        + data[-8:]
    )


def change_message(rng: Random, data: bytes, others: Sequence[bytes] = (), depth: int = 0) -> bytes:
    """A protocol buffer with a field changed, left out, doubled or moved; messages inside of it stay messages."""
    fields = list(split_message(data))
    if not fields or depth > 8:
        return change_bytes(rng, data)
    number, kind = rng.randrange(len(fields)), rng.randrange(10)
    head, body, wire = fields[number]
    if kind == 0:
        del fields[number]
    elif kind == 1:
        fields.insert(rng.randrange(len(fields)), fields[number])
    elif kind == 2:
        fields[number] = (
            varint(rng.choice((rng.randrange(40) << 3 | wire, rng.getrandbits(40) << 3 | wire))),
            body,
            wire,
        )
    elif wire == 0:
        fields[number] = head, varint(rng.choice((rng.choice(NUMBERS), 2**63, 2**64 - 1, rng.getrandbits(8)))), wire
    elif wire == 2:
        fields[number] = head, change_message(rng, body, others, depth + 1) if body else rng.randbytes(4), wire
    else:
        fields[number] = head, rng.randbytes(len(body)), wire
    return b"".join(head + (varint(len(body)) if wire == 2 else b"") + body for head, body, wire in fields)


def split_message(data: bytes) -> list[tuple[bytes, bytes, int]]:
    """The fields of a protocol buffer: key, value, kind; none where it is something else."""
    found, at = [], 0
    while at < len(data):
        key, begin = read_varint(data, at)
        wire = key & 7
        if begin == at or wire not in (0, 1, 2, 5) or key >> 3 == 0:
            return []
        if wire == 0:
            start, end = begin, read_varint(data, begin)[1]
        elif wire == 2:
            length, start = read_varint(data, begin)
            end = start + length
        else:
            start, end = begin, begin + (8 if wire == 1 else 4)
        if end > len(data) or end == begin:
            return []
        found.append((data[at:begin], data[start:end], wire))
        at = end
    return found


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of variable length and the place behind it; the same place where there is none."""
    value = 0
    for length, byte in enumerate(data[at : at + 10]):
        value |= (byte & 127) << 7 * length
        if byte < 128:
            return value, at + length + 1
    return 0, at


def varint(value: int) -> bytes:
    """A number of variable length."""
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def one_of(*ways: Callable[..., bytes]) -> Callable[..., bytes]:
    """A way of changing bytes that is another one each time."""

    def change(rng: Random, data: bytes, others: Sequence[bytes] = ()) -> bytes:
        return rng.choice(ways)(rng, data, others)

    return change
