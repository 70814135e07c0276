"""Cameras and network streams as frames: connected again when they break off, each gap recorded."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np

from oddroad.errors import InputError, LostSource, counted
from oddroad.io.colours import ToRGB
from oddroad.io.decoding import Decoder
from oddroad.io.reading import Gap, ReadOptions, ReadReport
from oddroad.io.sources import Source
from oddroad.io.video_file import (
    ASSUMED_RATE,
    FrameMaker,
    decoded,
    nominal_rate,
    open_container,
    pick_stream,
    read_container,
)
from oddroad.types import Frame

TIMEOUT = 10.0
"""Seconds to open a stream, and to wait for its next frame."""


FIRST_WAIT, LONGEST_WAIT = 0.5, 8.0
"""Seconds between two tries to connect: doubled each time, up to the longest."""


STEADY = 10.0
"""Seconds that a connection must hold before the source counts as back. A camera that is lost again and again within
less than that is given up like one that stays away."""


class Stream:
    """One connection to a network stream.

    Args:
        source: what to connect to.
        options: how to read it.
        report: is told what is worth knowing about its pictures.

    Raises:
        InputError: if it cannot be opened.
    """

    def __init__(self, source: Source, options: ReadOptions, report: ReadReport):
        self.container = open_container(source.place, TIMEOUT)
        try:
            self.stream = pick_stream(self.container, source, options, report.note)
        except InputError:
            self.container.close()
            raise
        self.rate = nominal_rate(self.stream)
        self.decoder = Decoder(self.stream.codec_context, watched=True)
        self.ended: list[str] = []
        aspect = self.stream.sample_aspect_ratio
        self.convert = ToRGB(float(aspect) if aspect else 1.0, lambda words: report.note(f"{source.name}: {words}"))

    @property
    def finite(self) -> bool:
        """Whether it is a file with an end, rather than something that happens now."""
        return bool(self.container.duration and self.container.duration > 0)

    @property
    def undecoded(self) -> int:
        """Packets from which no picture could be decoded."""
        return self.decoder.lost

    def pictures(self) -> Iterator[tuple[Any, str]]:
        """Each frame, not yet converted, and why it is damaged."""
        for frame, _, damage in decoded(self.container, self.stream, self.decoder, self.ended):
            yield frame, damage

    def close(self) -> None:
        """Break the connection off."""
        self.container.close()


class Camera:
    """One connection to a camera of this computer, by its number; as ``Stream``. OpenCV reads it on every system."""

    finite, undecoded = False, 0

    def __init__(self, source: Source, options: ReadOptions, report: ReadReport):
        self.capture = cv2.VideoCapture(int(source.place))
        self.ended: list[str] = []
        if not self.capture.isOpened():
            raise InputError(f"no camera {source.place}: it is not there or in use")
        rate = self.capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if 0 < rate <= 1000 else None

    def pictures(self) -> Iterator[tuple[np.ndarray, str]]:
        """Each frame (H, W, 3) uint8 BGR; none is known to be damaged."""
        while True:
            good, image = self.capture.read()
            if not good or image is None:
                self.ended.append("the camera gives no more frames")
                return
            yield image, ""

    def convert(self, image: np.ndarray) -> np.ndarray:
        """The frame in RGB."""
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)

    def close(self) -> None:
        """Let the camera go."""
        self.capture.release()


def read_live(source: Source, every: int, report: ReadReport, options: ReadOptions) -> Iterator[Frame]:
    """Every n-th frame of a camera or stream, with seconds since its first frame and UTC of when it came.

    A source that breaks off is connected again, with waits that grow from FIRST_WAIT to LONGEST_WAIT. Each time
    without frames is a gap in the report. It is lost when for ``options.patience`` seconds no connection held for
    STEADY. Of a stream that is a file with an end, the end is the end.

    Raises:
        InputError: if it cannot be opened the first time.
        LostSource: if it stays away.
    """
    kind = Camera if source.kind == "camera" else Stream
    connection = kind(source, options, report)
    if isinstance(connection, Stream) and connection.finite:
        try:
            yield from read_container(connection.container, source, every, report, options)
        finally:
            connection.close()
        return
    report.rates[source.name] = connection.rate or ASSUMED_RATE
    maker = FrameMaker(source.name, every, report)
    try:
        yield from while_it_comes(source, connection, maker, report, options)
    finally:
        report.lose(source.name, 0, maker.index)


def while_it_comes(
    source: Source,
    connection: Stream | Camera | None,
    maker: FrameMaker,
    report: ReadReport,
    options: ReadOptions,
) -> Iterator[Frame]:
    """The frames of a source that happens now, connected again and again; see ``read_live``.

    Args:
        source: it.
        connection: the first one.
        maker: of its frames.
        report: gets the gaps, and the number of packets from which no picture could be decoded.
        options: how to read.
    """
    kind = Camera if source.kind == "camera" else Stream
    began = last = None
    steady, wait, reason = time.monotonic(), FIRST_WAIT, ""
    while True:
        connected = time.monotonic()
        if connection is not None:
            try:
                for picture, damage in connection.pictures():
                    now = time.monotonic()
                    began = now if began is None else began
                    if reason and last is not None:
                        report.gaps.append(gap_of(source, maker, last - began, now - last, reason))
                        reason, wait = "", FIRST_WAIT
                    if now - connected > STEADY:
                        steady = now
                    last = now
                    convert = functools.partial(connection.convert, picture)
                    made = maker(convert, now - began, time.time(), damage)
                    if made is not None:
                        yield made
            finally:
                connection.close()
                report.lost[source.name] = report.lost.get(source.name, 0) + connection.undecoded
            reason = reason or (connection.ended[0] if connection.ended else "the connection was closed")
            if began is None:
                raise InputError(f"'{source.shown}' gave no frame: it is cut off, damaged, or has ended")
        if time.monotonic() - steady + wait > options.patience:
            away = time.monotonic() - (last or connected)
            report.gaps.append(gap_of(source, maker, (last or connected) - (began or connected), None, reason))
            raise LostSource(
                f"{source.name} is lost after {counted(maker.index, 'frame')}: {reason}; it was tried to connect "
                f"again for {options.patience:g} s, the last frame came {away:.0f} s ago"
            )
        time.sleep(wait)
        wait = min(2 * wait, LONGEST_WAIT)
        try:
            connection = kind(source, options, report)
        except InputError as error:
            connection, reason = None, str(error)


def gap_of(source: Source, maker: FrameMaker, begins: float, seconds: float | None, reason: str) -> Gap:
    """The gap before the next frame."""
    return Gap(source.name, maker.index, round(begins, 4), None if seconds is None else round(seconds, 4), reason)
