"""Driving logs as sources: each topic with pictures is one source, its frames at the times of the log."""

from __future__ import annotations

import fnmatch
import functools
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from oddroad.errors import InputError, counted
from oddroad.io.colours import ToRGB
from oddroad.io.decoding import Decoder
from oddroad.io.log_files import open_log
from oddroad.io.log_messages import CODECS, coded, holds, is_key, parse, picture
from oddroad.io.log_types import NANO, Log, Message
from oddroad.io.raw_pictures import Depth
from oddroad.io.reading import Gap, ReadOptions, ReadReport
from oddroad.io.sources import Source
from oddroad.io.timeline import EPOCH, Timeline
from oddroad.io.video_file import ASSUMED_RATE, HIGHEST_RATE, FrameMaker
from oddroad.types import Frame


@functools.lru_cache(8)
def known(path: Path, size: int, changed: int) -> Log:
    """What a log holds, remembered for its topics: a cut log is read to its end to be known."""
    return open_log(path)


def log_of(source: Source) -> Log:
    """The log of a source; see ``open_log``."""
    path = Path(source.place)
    try:
        found = path.stat()
    except OSError as error:
        raise InputError(f"cannot read '{path}': {error.strerror}") from None
    return known(path, found.st_size, found.st_mtime_ns)


def topics_of(source: Source, wanted: Sequence[str]) -> list[str]:
    """The topics of a log with pictures, by name: those that are wanted, or all.

    Args:
        source: the log.
        wanted: names, with * and ?.

    Raises:
        InputError: if there is none, or the log cannot be read.
    """
    log = log_of(source)
    there = ", ".join(f"{topic} ({kind or 'no type'})" for topic, kind in sorted(log.topics.items())) or "no message"
    pictures = [topic for topic, kind in sorted(log.topics.items()) if holds(kind)]
    found = [each for each in pictures if not wanted or any(fnmatch.fnmatchcase(each, word) for word in wanted)]
    if not found:
        what = f"topic {' or '.join(map(repr, wanted))} with pictures" if wanted else "topic with pictures"
        cut = (
            f"; it is cut off after {counted(sum(log.counts.values()), 'message')}: {log.ended[0]}" if log.ended else ""
        )
        raise InputError(f"'{source.place}' has no {what}; there is: {there}{cut}")
    return found


def rate_of(log: Log, topic: str) -> float | None:
    """Messages per second of a topic, by their number and the log's length; None where it is not known."""
    count, length = log.counts.get(topic, 0), ((log.end or 0) - (log.start or 0)) / NANO
    rate = (count - 1) / length if count > 1 and length > 0 else None
    return rate if rate is not None and rate <= HIGHEST_RATE else None


def probe_log(source: Source) -> tuple[int | None, float | None]:
    """Frames of a log's topic and frames per second, as far as the log says."""
    log = log_of(source)
    return log.counts.get(source.topic) or None, rate_of(log, source.topic)


class Pictures:
    """Turns the messages of one topic into pictures.

    Args:
        source: the topic.
        options: how to read.
        report: is told what is worth knowing, and what could not be decoded.

    Attributes:
        lost: messages of which no picture could be decoded.
        why: the first reason for it.
    """

    def __init__(self, source: Source, options: ReadOptions, report: ReadReport):
        self.source, self.options = source, options
        self.note = lambda words: report.note(f"{source.name}: {words}")
        self.convert = ToRGB(1.0, self.note)
        self.decoder: Decoder | None = None
        self.depth = Depth()
        self.format = ""
        self.failed, self.why = 0, ""

    @property
    def lost(self) -> int:
        """Messages of which no picture could be decoded."""
        return self.failed + (self.decoder.lost if self.decoder else 0)

    def __call__(self, message: Message) -> Iterator[tuple[np.ndarray | Any, float, str]]:
        """The pictures that a message brings: (H, W, 3) uint8 RGB or an av.VideoFrame, time in ns, and damage."""
        try:
            if holds(message.kind) == "video":
                yield from self.video(message)
            else:
                pixels, damage = picture(message, self.options.max_pixels, self.note, self.depth)
                yield pixels, message.time, damage
        except InputError as error:
            self.failed += 1
            self.why = self.why or str(error)

    def video(self, message: Message) -> Iterator[tuple[Any, float, str]]:
        """The frames that come out of the decoder when a packet goes in."""
        import av

        data, form = coded(parse(message), f"a packet on '{message.topic}'")
        codec = CODECS.get(form.lower())
        if codec is None:
            raise InputError(f"'{message.topic}' holds video in '{form[:60]}'; expected {', '.join(CODECS)}")
        if codec != self.format:
            yield from self.flush()
            context = av.CodecContext.create(codec, "r")
            self.decoder, self.format = Decoder(context, watched=True, max_pixels=self.options.max_pixels), codec
        assert self.decoder is not None
        packet = av.Packet(data)
        packet.dts, packet.time_base, packet.is_keyframe = message.time, Fraction(1, NANO), is_key(data, codec)
        yield from self.timed(self.decoder(packet), message.time)

    def timed(self, frames: Iterator[tuple[Any, float | None, str]], at: float) -> Iterator[tuple[Any, float, str]]:
        """Frames with times in ns; at the given time where the decoder knows none."""
        for frame, seconds, damage in frames:
            yield frame, at if seconds is None else seconds * NANO, damage

    def flush(self) -> Iterator[tuple[Any, float, str]]:
        """The frames that the decoder still holds."""
        if self.decoder is not None:
            yield from self.timed(self.decoder(None), 0.0)

    def rgb(self, found: np.ndarray | Any) -> np.ndarray:
        """A picture as (H, W, 3) uint8 RGB."""
        return found if isinstance(found, np.ndarray) else self.convert(found)


def read_log(source: Source, every: int, report: ReadReport, options: ReadOptions) -> Iterator[Frame]:
    """Every n-th frame of a topic, with seconds since the log's start and the log's UTC.

    Raises:
        InputError: if the log cannot be read, or gives no picture.
    """
    log = log_of(source)
    rate = rate_of(log, source.topic) or ASSUMED_RATE
    report.rates[source.name] = rate
    maker, timeline, pictures = (
        FrameMaker(source.name, every, report),
        Timeline(rate),
        Pictures(source, options, report),
    )
    began = log.start or 0
    messages = 0

    def found() -> Iterator[tuple[Any, float, str]]:
        nonlocal messages
        for message in log.messages([source.topic]):
            messages += 1
            yield from pictures(message)
        yield from pictures.flush()

    for image, at, damage in found():
        since, gap = timeline((at - began) / NANO)
        seconds = since + (timeline.start or 0.0)
        if maker.index == 0:
            report.starts[source.name] = at / NANO
        if gap is not None:
            report.gaps.append(Gap(source.name, maker.index, gap[0] + (timeline.start or 0.0), gap[1], gap[2]))
        utc = began / NANO + seconds
        image = functools.partial(pictures.rgb, image)
        made = maker(image, seconds, utc if EPOCH[0] < utc < EPOCH[1] else None, damage)
        if made is not None:
            yield made
    if maker.index == 0:
        why = pictures.why or (log.ended[0] if log.ended else "there is no message on it")
        raise InputError(f"'{source.name}' gave no picture: {why}")
    report.lose(source.name, pictures.lost, maker.index + pictures.lost)
    if pictures.why:
        report.note(f"{source.name}: {pictures.why}")
    if log.ended:
        report.skip(
            f"{source.name}: cut off after {counted(messages, 'message')}: {'; '.join(log.ended)}", source.named
        )
