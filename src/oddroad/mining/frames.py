"""The frames of a segment, each with its time in nanoseconds, and the count of every one of them."""

from __future__ import annotations

import functools
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from oddroad.errors import InputError
from oddroad.io.damage import blank
from oddroad.io.decoding import lacking
from oddroad.io.images import decode_image
from oddroad.io.log_messages import CODECS, holds, is_key, parse
from oddroad.io.log_types import NANO, Message
from oddroad.io.logs import Pictures
from oddroad.io.reading import ReadOptions, ReadReport
from oddroad.io.sources import Source
from oddroad.io.video_file import FrameMaker
from oddroad.mining.message_logs import Rows, open_message_log
from oddroad.mining.places import read_bytes
from oddroad.mining.plan import Segment, time_in_name
from oddroad.mining.video_logs import VideoPart
from oddroad.types import Frame

MOST_PIXELS = 100_000_000


@dataclass(frozen=True)
class Fix:
    """A position from a log.

    Attributes:
        time: ns.
        latitude: degrees.
        longitude: degrees.
        altitude: metres; None where not known.
    """

    time: int
    latitude: float
    longitude: float
    altitude: float | None


@dataclass
class Counts:
    """What became of the frames of a segment: read = judged + skipped + damaged + lost.

    Attributes:
        read: frames that the log holds of the segment.
        judged: frames that the detector saw.
        skipped: frames that were left out because not every frame was asked for.
        damaged: frames that could be decoded in parts only, or show nothing; they are not judged.
        lost: frames of which no picture could be decoded.
    """

    read: int = 0
    judged: int = 0
    skipped: int = 0
    damaged: int = 0
    lost: int = 0


@dataclass(frozen=True)
class Taken:
    """A frame that is wanted.

    Attributes:
        frame: the frame; its number counts from the segment's start.
        time: ns; None where nothing tells it.
        key: whether it decodes alone.
    """

    frame: Frame
    time: int | None
    key: bool


@dataclass
class SegmentReader:
    """Reads a segment once.

    Attributes:
        segment: what to read.
        copies: folder for local copies of files that cannot be read where they are.
        every: seconds from one wanted frame to the next; 0 for every frame.
        keys_only: of videos nothing but key frames, and at most one a second of all that decodes alone.
        counts: of what was read; ``judged`` is what was given out and not damaged.
        fixes: positions that the log holds within the segment, in their order.
        why: why the segment ends too early or lacks frames, in words.
        notes: what is worth knowing about the pictures.
        first: time of the first frame, ns.
        last: of the last one.
        driven: seconds from the first to the last frame, without leaps of the clock.
    """

    segment: Segment
    copies: str
    every: float = 0.0
    keys_only: bool = False
    counts: Counts = field(default_factory=Counts)
    fixes: list[Fix] = field(default_factory=list)
    why: str = ""
    notes: list[str] = field(default_factory=list)
    first: int | None = None
    last: int | None = None
    driven: float = 0.0

    def frames(self) -> Iterator[Taken]:
        """The wanted frames in their order; when they are all taken, the counts are those of the whole segment.

        Raises:
            InputError: if nothing of it can be read.
            OSError: if a file cannot be opened.
        """
        self.report = ReadReport()
        self.maker = FrameMaker(self.segment.source.name, 1, self.report)
        self.next: int | None = None
        self.shown = 0
        kinds = {"video": self.of_video, "images": self.of_pictures}
        yield from kinds.get(self.segment.source.kind, self.of_messages)()
        self.counts.lost = self.counts.read - self.counts.skipped - self.shown
        self.notes = self.report.notes

    def wanted(self, time: int | None) -> bool:
        """Whether the frame at a time is to be judged; keeps account of times."""
        if time is not None:
            if self.last is not None:
                self.driven += min(max(time - self.last, 0) / NANO, 5.0)
            self.first, self.last = time if self.first is None else self.first, time
        every = 1.0 if self.keys_only and not self.every else self.every
        if not every or time is None or self.next is None or time >= self.next or time < self.next - 2 * every * NANO:
            self.next = None if time is None else time + round((every - 1e-3) * NANO)
            return True
        return False

    def take(self, image: Callable[[], np.ndarray], number: int, time: int | None, damage: str, key: bool) -> Taken:
        """A frame of a moving source, and whether it shows anything."""
        self.shown += 1
        self.maker.index = number
        seconds = 0.0 if time is None or self.first is None else (time - self.first) / NANO
        utc = time / NANO if time is not None and self.segment.clock == "utc" else None
        frame = self.maker(image, seconds, utc, damage)
        assert frame is not None
        if frame.status == "ok":
            self.counts.judged += 1
        else:
            self.counts.damaged += 1
            self.why = self.why or f"damaged frames: {frame.reason}"
        return Taken(frame, time, key)

    def of_video(self) -> Iterator[Taken]:
        """The frames of a part of a video."""
        segment = self.segment
        part = VideoPart(segment.source.addresses[0], segment.start, segment.stop, self.keys_only, self.note)
        for number, (image, seconds, damage, key) in enumerate(part.frames()):
            time = round(seconds * NANO) + (0 if part.utc is None else round(part.utc * NANO))
            if self.wanted(time):
                yield self.take(image, number, time, damage, key)
            else:
                self.counts.skipped += 1
        self.counts.read = part.read
        self.counts.skipped += part.skipped
        self.why = self.why or part.why

    def note(self, words: str) -> None:
        """Take down what is worth knowing."""
        self.report.note(f"{self.segment.source.name}: {words}")

    def of_pictures(self) -> Iterator[Taken]:
        """The pictures of a part of a folder."""
        segment = self.segment
        for number in range(segment.start[1], segment.stop[1]):
            address = segment.source.addresses[number]
            self.counts.read += 1
            time = time_in_name(address) if segment.clock else None
            order = round(number / 10 * NANO) if time is None else time
            if not self.wanted(order):
                self.counts.skipped += 1
                continue
            try:
                data = read_bytes(address)
                image = decode_image(data, address, MOST_PIXELS, self.note)
            except (InputError, FileNotFoundError) as error:
                self.why = self.why or str(error)
                continue
            self.shown += 1
            reason = lacking(data) or blank(image)
            seconds = (order - (self.first or 0)) / NANO
            name = address.rpartition("/")[2]
            status = "damaged" if reason else "ok"
            frame = Frame(image, segment.source.name, number, seconds, status=status, reason=reason)
            self.counts.judged += not reason
            self.counts.damaged += bool(reason)
            self.why = self.why or (f"{name}: {reason}" if reason else "")
            yield Taken(frame, time, True)
        if segment.clock != "utc":
            self.first = self.last = None

    def of_messages(self) -> Iterator[Taken]:
        """The pictures of a part of a topic of a log."""
        segment = self.segment
        log = open_message_log(segment.source.addresses, self.copies)
        broken: list[str] = []
        rows = log.messages([segment.topic, *segment.gnss], segment.start, broken)
        video = holds(log.topics.get(segment.topic, "")) == "video"
        yield from self.of_packets(rows) if video else self.of_stills(rows)
        self.why = self.why or "; ".join(broken[:2])

    def of_stills(self, rows: Rows) -> Iterator[Taken]:
        """Pictures that each decode alone."""
        pictures = self.pictures()
        for position, message in rows:
            if position >= self.segment.stop:
                break
            if message is not None and message.topic != self.segment.topic:
                self.locate(message)
                continue
            number = self.counts.read
            self.counts.read += 1
            if message is None:
                continue
            if not self.wanted(message.time):
                self.counts.skipped += 1
                continue
            for image, _, damage in pictures(message):
                yield self.take(functools.partial(pictures.rgb, image), number, message.time, damage, True)
        self.why = self.why or pictures.why

    def of_packets(self, rows: Rows) -> Iterator[Taken]:
        """The frames of a video of which each message is a packet, from the first key frame in the part on."""
        segment, times, wanted_keys = self.segment, [], self.keys_only
        pictures, number, started = self.pictures(), 0, segment.start <= (0, 0)

        def given(found: Iterator[tuple[Any, float, str]], key: bool) -> Iterator[Taken]:
            nonlocal number
            for image, at, damage in found:
                time = nearest(times, round(at))
                if self.wanted(time):
                    yield self.take(functools.partial(pictures.rgb, image), number, time, damage, key)
                else:
                    self.counts.skipped += 1
                number += 1

        for position, message in rows:
            if message is not None and message.topic != segment.topic:
                if position < segment.stop:
                    self.locate(message)
                continue
            key = message is not None and (position >= segment.stop or not started or wanted_keys) and key_in(message)
            if (key or not started) and position >= segment.stop:
                break
            started = started or key
            if not started:
                continue
            self.counts.read += 1
            if message is None:
                continue
            times.append(message.time)
            if wanted_keys:
                if not key:
                    self.counts.skipped += 1
                    continue
                pictures = self.pictures()
                yield from given(pictures(message), True)
                yield from given(pictures.flush(), True)
            else:
                yield from given(pictures(message), False)
        if not wanted_keys:
            yield from given(pictures.flush(), False)
        self.why = self.why or pictures.why
        if self.counts.read and not self.shown and not self.counts.skipped:
            self.why = self.why or "no key frame, from which a decoder could begin"

    def pictures(self) -> Pictures:
        """What decodes the topic."""
        source = Source("log", self.segment.source.addresses[0], self.segment.source.name, topic=self.segment.topic)
        return Pictures(source, ReadOptions(), self.report)

    def locate(self, message: Message) -> None:
        """Take in a message with a position; those without a fix, or that cannot be read, are left out."""
        try:
            fields = parse(message)
            status = getattr(getattr(fields, "status", None), "status", 0)
            latitude, longitude, altitude = float(fields.latitude), float(fields.longitude), float(fields.altitude)
        except (InputError, AttributeError, TypeError, ValueError):
            return
        if (status is not None and int(status) < 0) or not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
            return
        height = altitude if np.isfinite(altitude) else None
        self.fixes.append(Fix(message.time, latitude, longitude, height))


def key_in(message: Message) -> bool:
    """Whether a message of a video is a key frame; one that cannot be read is none."""
    try:
        fields = parse(message)
        codec = CODECS.get(str(fields.format).lower())
        return codec is not None and is_key(bytes(fields.data), codec)
    except (InputError, AttributeError):
        return False


def nearest(times: list[int], at: int) -> int:
    """The time among those of the last packets that is nearest to one that went through a float."""
    recent = sorted(times[-64:])
    where = bisect_left(recent, at)
    return min(recent[max(where - 1, 0) : where + 1], key=lambda each: abs(each - at), default=at)


def position_at(fixes: list[Fix], time: int | None) -> Fix | None:
    """The position at a time, between the two fixes around it, which may be 2 s away; None where there is none."""
    near = [each for each in fixes if time is not None and abs(each.time - time) <= 2 * NANO]
    if time is None or not near:
        return None
    before = max((each for each in near if each.time <= time), key=lambda each: each.time, default=None)
    after = min((each for each in near if each.time >= time), key=lambda each: each.time, default=None)
    if before is None or after is None or before.time == after.time:
        return before or after
    share = (time - before.time) / (after.time - before.time)
    height = None
    if before.altitude is not None and after.altitude is not None:
        height = before.altitude + share * (after.altitude - before.altitude)
    return Fix(
        time,
        before.latitude + share * (after.latitude - before.latitude),
        before.longitude + share * (after.longitude - before.longitude),
        height,
    )
