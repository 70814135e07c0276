"""Videos from the middle: where they are cut into segments, and the frames of one, decoded from its own key frame on.

A segment owns the frames that are shown from the first key frame at or behind its start up to the first one at or
behind its stop. So each frame has one owner, wherever the key frames are, and finding them reads nothing in advance.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from oddroad.errors import InputError, counted
from oddroad.io.colours import ToRGB
from oddroad.io.decoding import Decoder
from oddroad.io.reading import ReadOptions
from oddroad.io.sources import Source
from oddroad.io.video_file import (
    ASSUMED_RATE,
    LOSSY,
    any_metadata,
    cut_short,
    nominal_rate,
    open_container,
    pick_stream,
    reason_of,
    recorded_at,
)
from oddroad.mining.message_logs import Cut, Position
from oddroad.mining.places import is_remote, open_file, stat_file

MICRO = 1_000_000
TIMES, BYTES = 0, 1
"""What a position in a video counts, as its first number: microseconds of its time stamps, or bytes of the file."""

OPEN = 2**62
"""Behind the end of every video."""

BY_BYTES = {"mpegts", "h264", "hevc"}
"""Formats without an index: a seek to a time lands behind it, and times may begin anew where files were joined."""

BACK = 2 * 188 * 1024
"""Bytes in front of the start of a segment from which on an MPEG transport stream is read, to find its tables."""


def open_video(address: str) -> Any:
    """An open av.container.InputContainer of a path or address.

    Raises:
        InputError: if it is no video that can be read.
        OSError: if it cannot be opened.
    """
    import av

    if not is_remote(address):
        return open_container(address)
    try:
        return av.open(open_file(address), **any_metadata())
    except (av.error.FFmpegError, ValueError):
        raise InputError(
            f"'{address}' is not a video that can be read: it is cut off, damaged or of an unknown format"
        ) from None


def video_stream(container: Any, address: str) -> Any:
    """The video stream that is read: the first.

    Raises:
        InputError: if there is none, or its codec is unknown.
    """
    return pick_stream(container, Source("video", address, Path(address).name), ReadOptions())


def cuts_of_video(address: str, seconds: float) -> tuple[list[Cut], str, list[str]]:
    """A video in parts of about so many seconds, the clock of their times ("utc" or "file"), and what is to be known.

    Raises:
        InputError: if it is no video that can be read.
        OSError: if it cannot be opened.
    """
    size, notes = stat_file(address).size, []
    with open_video(address) as container:
        stream = video_stream(container, address)
        length = float(container.duration or 0) / MICRO
        if stream.duration and stream.time_base:
            length = float(stream.duration * stream.time_base)
        recorded, first = recorded_at(container), start_of(stream)
        by_bytes = container.format.name in BY_BYTES
    parts = max(int(length / seconds + 0.75), 1) if length > 0 else 1
    cuts: list[Cut] = []
    for number in range(parts):
        if by_bytes:
            start, stop = ((BYTES, size * each // parts) for each in (number, number + 1))
        else:
            start, stop = ((TIMES, first + round(each * seconds * MICRO)) for each in (number, number + 1))
        last = number == parts - 1
        took = max(length - number * seconds, 0.0) if last and not by_bytes else length / parts if by_bytes else seconds
        time = round(((recorded or 0.0) + (number * length / parts if by_bytes else number * seconds)) * 1e9)
        cuts.append(Cut(start, (start[0], OPEN) if last else stop, time, took, size // parts))
    return cuts, "file" if recorded is None else "utc", notes


def start_of(stream: Any) -> int:
    """The time stamp at which a stream says it begins, in microseconds."""
    return round(float((stream.start_time or 0) * stream.time_base) * MICRO) if stream.time_base else 0


class VideoPart:
    """The frames of one part of a video.

    Args:
        address: of the video.
        start: position of the part.
        stop: position at which the next one begins.
        keys_only: decode nothing but key frames; the others are skipped.
        note: is told what is worth knowing about the pictures.

    Attributes:
        read: frames that belong to the part, as far as it was read.
        skipped: of them, those that were not decoded because of ``keys_only``.
        why: why the file ends too early; "" where all is well.
        utc: of the file's first frame in seconds since 1970; None where it does not tell.
    """

    def __init__(self, address: str, start: Position, stop: Position, keys_only: bool, note: Callable[[str], None]):
        self.address, self.start, self.stop, self.keys_only, self.note = address, start, stop, keys_only, note
        self.read = self.skipped = 0
        self.why = ""
        self.utc: float | None = None

    def frames(self) -> Iterator[tuple[Callable[[], Any], float, str, bool]]:
        """For each frame what makes it RGB, its time in seconds since the file's start, damage, whether it is a key."""
        with open_video(self.address) as container:
            stream = video_stream(container, self.address)
            if self.keys_only:
                stream.codec_context.skip_frame = "NONKEY"
            decoder = Decoder(stream.codec_context, watched=container.format.name in LOSSY)
            aspect = stream.sample_aspect_ratio
            convert = ToRGB(float(aspect) if aspect else 1.0, self.note)
            first, interval = start_of(stream), 1 / (nominal_rate(stream) or ASSUMED_RATE)
            self.utc = recorded_at(container)
            self.seek(container, stream, first)
            owned, packets, last = Owned(self.start, self.stop, first), container.demux(stream), first / MICRO

            def shown(packet: Any) -> Iterator[tuple[Callable[[], Any], float, str, bool]]:
                nonlocal last
                for frame, stamp, damage in decoder(packet):
                    if frame.opaque not in owned.foreign:
                        last = last + interval if stamp is None else stamp
                        yield functools.partial(convert, frame), last - first / MICRO, damage, bool(frame.key_frame)

            ended = ""
            while not owned.finished:
                packet, ended = next_packet(packets)
                if packet is None or packet.size == 0:
                    break
                if container.format.name == "avi":  # it stores times of decoding only
                    packet.pts = None
                if not owned.takes(packet, decoder.sent, stream.time_base):
                    continue
                if self.keys_only and not packet.is_keyframe:
                    self.skipped += decoder.sent not in owned.foreign
                else:
                    yield from shown(packet)
            yield from shown(None)
            self.read = owned.count
            if not owned.finished:
                self.missing(container, stream, owned, ended)

    def missing(self, container: Any, stream: Any, owned: Owned, ended: str) -> None:
        """Count what the file's index names behind the end of what could be read; say why it ends."""
        if "mp4" in container.format.name and stream.time_base:
            unit = float(stream.time_base) * MICRO
            low, high = self.start[1] / unit - 1, self.stop[1] / unit
            low = low if owned.seen is None else max(low, owned.seen)
            lost = sum(low < each.timestamp < high for each in stream.index_entries)
            self.read += lost
            ended = ended or (f"its index has {counted(lost, 'frame')} more" if lost else "")
        elif not ended and self.stop[1] >= OPEN and container.format.name == "avi":
            ended = cut_short(container, stream, 0, None)
        self.why = ended

    def seek(self, container: Any, stream: Any, first: int) -> None:
        """Go to a key frame at or before the start; to the beginning where that cannot be done."""
        import av

        try:
            if self.start[0] == BYTES:
                if self.start[1] > BACK:
                    container.seek(self.start[1] - BACK, stream=stream, unsupported_byte_offset=True)
            elif self.start[1] > first:
                container.seek(round(self.start[1] / MICRO / float(stream.time_base)), stream=stream, backward=True)
        except (av.error.FFmpegError, OSError):
            container.seek(0)


def next_packet(packets: Iterator[Any]) -> tuple[Any, str]:
    """The next packet, or None with the reason where reading breaks off."""
    import av

    try:
        return next(packets, None), ""
    except av.error.FFmpegError as error:
        return None, reason_of(error)


class Owned:
    """Decides which packets belong to a part, in the order of decoding.

    Args:
        start: position of the part.
        stop: position of the next one.
        first: the time stamp at which the stream begins, in microseconds.

    Attributes:
        started: whether the part's first packet was there.
        finished: whether everything that belongs to the part was there.
        count: packets that belong to it.
        foreign: numbers of packets that are decoded but do not belong to it.
        seen: decoding time of the last packet that was there, whosever it is, in the stream's unit.
    """

    def __init__(self, start: Position, stop: Position, first: int):
        self.start, self.stop = start, stop
        self.started = start[1] <= (first if start[0] == TIMES else 0)
        self.finished, self.count = False, 0
        self.foreign: set[int] = set()
        self.seen: int | None = None
        self.edge: float | None = None  # time of the key frame at the start or at the stop
        self.trailing = False

    def takes(self, packet: Any, number: int, base: Any) -> bool:
        """Whether a packet, which the decoder would give a number, is to be decoded for the part.

        A key frame at either end may be followed by frames that are shown before it: they belong to the part before.
        """
        self.seen = packet.dts if packet.dts is not None else self.seen
        stamp = packet.pts if packet.pts is not None else packet.dts
        seconds = float(stamp * base) if stamp is not None and base is not None else None
        place = packet.pos if self.start[0] == BYTES else None if seconds is None else round(seconds * MICRO)
        early = seconds is not None and self.edge is not None and seconds < self.edge
        own = True
        if packet.is_keyframe and place is not None and not self.trailing:
            if self.started:
                self.edge, early = None, False
            if place >= self.stop[1]:
                if not self.started:
                    self.finished = True
                    return False
                self.trailing, self.edge, own = True, seconds, False
            elif not self.started and place >= self.start[1]:
                self.started, self.edge = True, seconds
        elif self.trailing:
            self.finished = packet.is_keyframe or not early
            own = not self.finished
        else:
            own = not early
        if not self.started or self.finished:
            return False
        if own:
            self.count += 1
        else:
            self.foreign.add(number)
        return True
