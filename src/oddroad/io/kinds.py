"""What a file is, told from its first bytes or from opening it, never from its ending alone."""

from __future__ import annotations

import re
from pathlib import Path

from oddroad.io.headers import JPEG, PNG, TIFF, end_of_jpeg, is_animated
from oddroad.io.images import MAX_PIXELS

IMAGE_ENDINGS = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".pnm"}
"""Endings whose files are taken as images even where their first bytes are damaged, so that this is said."""


VIDEO_ENDINGS = {
    ".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".3gp", ".wmv", ".flv",
    ".h264", ".h265", ".hevc", ".264", ".265", ".mjpeg", ".mjpg", ".asf", ".vob", ".dv", ".gif", ".ogv", ".mxf",
}  # fmt: skip
"""Endings whose files are taken as videos even where they cannot be opened, so that this is said."""


LOG_ENDINGS = {".mcap", ".bag", ".db3"}
"""Endings of driving logs, likewise."""


HEAD = 256
"""Bytes from which most kinds are told."""


PNG_HEAD = 2**20
"""Bytes that hold everything that a PNG says before its first picture."""


FIRST_PICTURE = 2**24
"""Bytes in which the first picture of a file of JPEGs ends, if there are several."""


NETPBM = re.compile(rb"P[1-7][\s#]")
"""The beginning of a PBM, PGM, PPM or PAM."""

STILL, SEQUENCES = {b"avif", b"heic", b"heix", b"mif1"}, {b"avis", b"hevc", b"hevx", b"msf1"}
"""Brands of AVIF and HEIF: files of one picture, and of many."""


def kind_of(path: Path) -> str | None:
    """What a file is: "image", "video", "log", or None for anything else; of unreadable files, what the ending says.

    A GIF or PNG of several pictures and a row of JPEGs are videos.
    """
    ending = path.suffix.lower()
    by_ending = next(
        (kind for kind, endings in (("image", IMAGE_ENDINGS), ("video", VIDEO_ENDINGS), ("log", LOG_ENDINGS))
         if ending in endings), None,
    )  # fmt: skip
    try:
        with path.open("rb") as opened:
            head = opened.read(HEAD)
            if head.startswith(JPEG) and ending not in IMAGE_ENDINGS:
                head += opened.read(FIRST_PICTURE)
            elif head.startswith(PNG):  # what says that it is animated may stand behind a profile of colours
                head += opened.read(PNG_HEAD)
    except OSError:
        return by_ending
    if head.startswith((b"\x89MCAP0\r\n", b"#ROSBAG V2.0", b"SQLite format 3\0")):
        return "log"
    if head.startswith(JPEG):
        if by_ending == "image":
            return "image"
        end = end_of_jpeg(head)[0]
        several = end is not None and head[end : end + 3] == JPEG and b"MPF\0" not in head[:end]
        return "video" if several else "image"
    if head.startswith(b"GIF8"):
        return "video" if holds_video(path, pictures=2) else "image"
    if head.startswith(PNG) and is_animated(head):
        return "video"
    if head.startswith((PNG, b"BM", *TIFF, b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")) or head[8:12] == b"WEBP":
        return "image"
    if is_still(head) or NETPBM.match(head):
        return "image"
    if by_ending == "video" or is_text(head):
        return by_ending
    return "video" if holds_video(path) else by_ending


def is_still(head: bytes) -> bool:
    """Whether the first bytes are those of an AVIF or HEIF of one picture, by any of the brands that it names."""
    if head[4:8] != b"ftyp":
        return False
    rest = head[16 : int.from_bytes(head[:4], "big")]
    brands = {head[8:12], *(rest[at : at + 4] for at in range(0, len(rest), 4))}
    return head[8:12] not in SEQUENCES and bool(brands & STILL)


def is_text(head: bytes) -> bool:
    """Whether the first bytes are those of a text, or of an empty file; no video begins so."""
    return not head.strip(b"\t\n\r\f" + bytes(range(0x20, 0x7F)))


def holds_video(path: Path, pictures: int = 1) -> bool:
    """Whether a file can be opened as a video and gives at least so many pictures; covers of music are none."""
    import av
    from av.stream import Disposition

    try:
        with av.open(f"file:{path}", options={"protocol_whitelist": "file"}) as container:
            moving = [each for each in container.streams.video if not each.disposition & Disposition.attached_pic]
            if container.format.name in ("tty", "image2", "ico") or not moving:
                return False
            context = moving[0].codec_context
            context.options = {**context.options, "max_pixels": str(MAX_PIXELS)}
            found = container.decode(moving[0])
            return all(next(found, None) is not None for _ in range(pictures))
    except (av.error.FFmpegError, ValueError):
        return False
