"""What a picture's file says before it is decoded: its format, its size, and where it ends."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator

JPEG, PNG, TIFF = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", (b"II*\0", b"MM\0*")


MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""A marker in the coded data of a JPEG: what is stuffed (00), a restart (d0 to d7) or a fill byte (ff) is none."""


HEADER = 2000
"""Bytes in which the header of a Netpbm picture ends."""

GAP = rb"(?:\s|#[^\n]*\n)+"
"""Between the numbers of such a header: white space and comments."""

BITMAP = re.compile(rb"P[14]%s(\d{1,9})%s(\d{1,9})\s" % (GAP, GAP))
PNM = re.compile(rb"P[2356]%s(\d{1,9})%s(\d{1,9})%s(?P<most>\d{1,5})\s" % (GAP, GAP, GAP))
"""Headers of Netpbm pictures: width, height and, but for bitmaps, the largest value."""


def end_of_jpeg(data: bytes) -> tuple[int | None, tuple[int, int] | None]:
    """Where the first JPEG of some bytes ends, None if it is cut off, and its (height, width), None if it lacks one.

    Its segments are walked, so that thumbnails inside and videos or pictures behind it do not matter.
    """
    at, size = 2, None
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            found = MARKER.search(data, at)
            if found is None:
                return None, size
            at = found.start()
        kind = data[at + 1]
        if kind == 0xD9:
            return at + 2, size
        if kind == 0xFF:
            at += 1
        elif kind in (0x01, 0xD8) or 0xD0 <= kind <= 0xD7:
            at += 2
        else:
            length = int.from_bytes(data[at + 2 : at + 4], "big")
            if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC) and at + 9 <= len(data):
                size = (int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(data[at + 7 : at + 9], "big"))
            at += 2 + length
            if kind == 0xDA:  # coded data, which runs to the next marker
                found = MARKER.search(data, at)
                if found is None:
                    return None, size
                at = found.start()
    return (at + 2, size) if data[at : at + 2] == b"\xff\xd9" else (None, size)


def chunks_of_png(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, beginning and end of each chunk of a PNG, as far as its bytes go; the last one may end behind them."""
    at = 8
    while at + 12 <= len(data):
        begin, kind = at, data[at + 4 : at + 8]
        at += 12 + int.from_bytes(data[at : at + 4], "big")
        yield kind, begin, at


def end_of_png(data: bytes) -> int | None:
    """Where a PNG ends; None if it is cut off."""
    last = next((end for kind, _, end in chunks_of_png(data) if kind == b"IEND"), None)
    return last if last is not None and last <= len(data) else None


def damaged_png(data: bytes) -> bool:
    """Whether a chunk that a PNG's picture needs is not what its check sum says."""
    needed = ((begin, end) for kind, begin, end in chunks_of_png(data) if kind in (b"IHDR", b"PLTE", b"IDAT"))
    return any(zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big") for at, end in needed)


def end_of(data: bytes) -> int | None:
    """Where the picture in some bytes ends: behind it may stand what belongs to it no more; None if it is cut off."""
    if data.startswith(JPEG):
        return end_of_jpeg(data)[0]
    if data.startswith(PNG):
        return end_of_png(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        end = int.from_bytes(data[4:8], "little") + 8
        return end if end <= len(data) else None
    return len(data)


def size_of(data: bytes) -> tuple[int, int] | None:
    """(height, width) that a picture's header tells; None where the format is not known here.

    >>> size_of(b"P6 640 480 255 ")
    (480, 640)
    """
    if data.startswith(JPEG):
        return end_of_jpeg(data)[1]
    try:
        if data.startswith(PNG):
            width, height = struct.unpack(">II", data[16:24])
        elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return size_of_webp(data)
        elif data[:2] == b"BM":
            width, height = struct.unpack("<ii", data[18:26])
        elif data[:4] == b"GIF8":
            width, height = struct.unpack("<HH", data[6:10])
        elif data[:4] in TIFF:
            return size_of_tiff(data)
        elif found := PNM.match(data[:HEADER]) or BITMAP.match(data[:HEADER]):
            width, height = int(found[1]), int(found[2])
        elif data[:4] == b"\x59\xa6\x6a\x95":  # Sun raster
            width, height = struct.unpack(">II", data[4:12])
        elif data[:3] == b"P7\n":
            found = [re.search(rb"\n%s\s+(\d{1,9})" % word, data[:HEADER]) for word in (b"WIDTH", b"HEIGHT")]
            width, height = (int(each[1]) if each is not None else 0 for each in found)
        elif data[:4] == b"\xff\x4f\xff\x51":  # JPEG 2000 without its box
            width, height = struct.unpack(">II", data[8:16])
        elif (at := data[:4000].find(b"ispe")) > 0:  # AVIF
            width, height = struct.unpack(">II", data[at + 8 : at + 16])
        elif (at := data[:200].find(b"ihdr")) > 0:  # JPEG 2000
            height, width = struct.unpack(">II", data[at + 4 : at + 12])
        else:
            return None
    except struct.error:
        return None
    return abs(height), abs(width)


def range_of_pnm(data: bytes) -> tuple[int, int, int] | None:
    """The largest value that the header of a PGM, PPM or PAM allows, and between which places it stands; else None.

    >>> range_of_pnm(b"P5 7 1 # a comment" + bytes([10]) + b"100 ")
    (100, 19, 22)

    Source: the Netpbm formats, https://netpbm.sourceforge.net/doc/
    """
    found = PNM.match(data[:HEADER])
    if found is None and data[:3] == b"P7\n":
        found = re.match(
            rb"P7\n.*?\nMAXVAL\s+(?P<most>\d{1,5})\s", data[:HEADER].partition(b"\nENDHDR")[0] + b"\n", re.S
        )
    return None if found is None else (int(found["most"]), *found.span("most"))


def size_of_webp(data: bytes) -> tuple[int, int] | None:
    """(height, width) of a WebP, whichever of its three kinds it is."""
    kind = data[12:16]
    if kind == b"VP8X":
        return int.from_bytes(data[27:30], "little") + 1, int.from_bytes(data[24:27], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack("<HH", data[26:30])
        return height & 0x3FFF, width & 0x3FFF
    return None


def size_of_tiff(data: bytes) -> tuple[int, int] | None:
    """(height, width) of the first picture in a TIFF."""
    order = "<" if data[:2] == b"II" else ">"
    (at,) = struct.unpack(f"{order}I", data[4:8])
    (count,) = struct.unpack(f"{order}H", data[at : at + 2])
    sides: dict[int, int] = {}
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind = struct.unpack(f"{order}HH", data[entry : entry + 4])
        if tag in (256, 257):
            value = data[entry + 8 : entry + (10 if kind == 3 else 12)]
            (sides[tag],) = struct.unpack(f"{order}{'H' if kind == 3 else 'I'}", value)
    return (sides[257], sides[256]) if len(sides) == 2 else None


def has_pages(data: bytes) -> bool:
    """Whether a TIFF holds more than one page; smaller copies of a page are none. False for what is no TIFF.

    Source: Adobe, "TIFF Revision 6.0", 1992, sections 2 and 8 (NewSubfileType).
    """
    if not data.startswith(TIFF):
        return False
    order = "<" if data[:2] == b"II" else ">"
    at, seen, pages = int(struct.unpack(f"{order}I", data[4:8])[0]) if len(data) >= 8 else 0, set[int](), 0
    while 8 <= at <= len(data) - 2 and at not in seen and pages < 2:
        seen.add(at)
        (count,) = struct.unpack_from(f"{order}H", data, at)
        end = at + 2 + 12 * count
        if end + 4 > len(data):
            break
        kinds = [struct.unpack_from(f"{order}HHII", data, at + 2 + 12 * each) for each in range(count)]
        pages += not any(tag == 254 and value & 1 for tag, _, _, value in kinds)
        (at,) = struct.unpack_from(f"{order}I", data, end)
    return pages > 1


def is_animated(head: bytes) -> bool:
    """Whether the first bytes are those of a PNG or WebP of more than one picture."""
    if head.startswith(PNG):
        return any(kind == b"acTL" for kind, *_ in chunks_of_png(head))
    return head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and bool(head[20] & 2)
