"""Videos, cameras and streams as frames; videos written."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from oddroad.errors import InputError
from oddroad.io.images import read_image
from oddroad.io.reading import ReadOptions, ReadReport
from oddroad.io.sources import Source
from oddroad.types import Frame

BROKEN_AT_MOST = 1000  # frames of a video in a row that cannot be decoded, before the rest is given up


STREAM_TIMEOUT = 10_000  # milliseconds to open a stream, and to wait for its next frame


def open_capture(source: Source) -> cv2.VideoCapture:
    """An open video, camera or stream.

    Raises:
        InputError: if it cannot be opened.
    """
    if source.kind == "camera":
        capture = cv2.VideoCapture(int(source.place))
        problem = f"no camera {source.place}: it is not there or in use"
    elif source.kind == "stream":
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, STREAM_TIMEOUT, cv2.CAP_PROP_READ_TIMEOUT_MSEC, STREAM_TIMEOUT]
        capture = cv2.VideoCapture(source.place, cv2.CAP_FFMPEG, limits)
        problem = f"cannot open the stream '{source.place}'"
    else:
        capture = cv2.VideoCapture(source.place, cv2.CAP_FFMPEG)
        problem = f"'{source.place}' is not a video that can be read: it is cut off, damaged or of an unknown format"
    if not capture.isOpened():
        raise InputError(problem)
    return capture


def probe(source: Source) -> tuple[int | None, float | None]:
    """Frames that a source says it has, and frames a second; None where it does not say before it is read."""
    if source.kind == "image":
        return 1, None
    if source.kind != "video":
        return None, None
    try:
        capture = open_capture(source)
    except InputError:  # it is reported when it is its turn to be read
        return None, None
    count, rate = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), capture.get(cv2.CAP_PROP_FPS)
    capture.release()
    return count if count > 0 else None, rate if 1 <= rate <= 240 else None


def read_moving(source: Source, every: int, report: ReadReport) -> Iterator[Frame]:
    """Every n-th frame of a video, camera or stream, until it ends.

    Frames that cannot be decoded are left out and counted in ``report``.
    """
    capture = open_capture(source)
    try:
        expected = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if source.kind == "video" else 0
        rate = capture.get(cv2.CAP_PROP_FPS)
        rate = report.rates[source.name] = rate if 1 <= rate <= 240 else 25.0
        began, number, decoded, broken, seconds = time.monotonic(), 0, 0, 0, 0.0
        while True:
            if not capture.grab():  # a frame that cannot be decoded, or the end
                broken += 1
                if decoded + broken < min(expected, decoded + BROKEN_AT_MOST):
                    continue
                break
            broken = 0
            if source.kind == "video":
                seconds = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                number = max(round(seconds * rate), number)
            else:
                seconds = time.monotonic() - began
            if number % every == 0:
                good, image = capture.retrieve()
                if good and image is not None:
                    rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
                    yield Frame(rgb, source.name, number, round(seconds, 4))
            decoded += 1
            number += 1
        if decoded == 0:
            raise InputError(f"'{source.place}' gave no frame: it is cut off, damaged, or has ended")
        if expected > 0 and number < expected - max(2, expected // 50):
            report.skip(f"{source.name}: ends after frame {number} of {expected}, the rest is cut off or damaged", True)
        elif expected > 0 and decoded < expected:
            report.skipped.append(f"{source.name}: {expected - decoded} of {expected} frames could not be decoded")
    finally:
        capture.release()


def read(
    sources: Sequence[Source],
    every: int = 1,
    report: ReadReport | None = None,
    options: ReadOptions | None = None,
) -> Iterator[Frame]:
    """Frames of all the sources in order.

    Args:
        sources: from ``find_sources``.
        every: of moving sources, take every n-th frame.
        report: is told what could not be read; without it the first such thing is an error.
        options: how to read.

    Raises:
        LostSource: if a camera or stream stays away for longer than ``options.patience``.
        InputError: if a camera or stream cannot be opened, or ``report`` is None and something else cannot be read.
    """
    known = report if report is not None else ReadReport()
    for source in sources:
        try:
            if source.moving:
                yield from read_moving(source, every, known)
            else:
                yield Frame(read_image(Path(source.place)), source.name)
        except InputError as error:
            if report is None or source.kind in ("camera", "stream"):
                raise
            report.skip(str(error), source.named)


class VideoOut:
    """An mp4 file that frames are appended to.

    Args:
        path: the file.
        rate: frames a second.

    Raises:
        InputError: if the file cannot be written.
    """

    def __init__(self, path: Path, rate: float):
        self.path, self.rate = path, rate
        self.writer: cv2.VideoWriter | None = None
        self.size = (0, 0)

    def write(self, image: np.ndarray) -> None:
        """Append an image (H, W, 3) uint8 RGB; one of another size than the first is resized to it."""
        height, width = image.shape[:2]
        if self.writer is None:
            self.size = (width - width % 2, height - height % 2)
            self.writer = cv2.VideoWriter(str(self.path), cv2.VideoWriter_fourcc(*"mp4v"), self.rate, self.size)
            if not self.writer.isOpened():
                raise InputError(f"cannot write the video '{self.path}'; choose another folder with --out")
        if (width, height) != self.size:
            if (width - width % 2, height - height % 2) == self.size:
                image = image[: self.size[1], : self.size[0]]
            else:
                image = cv2.resize(image, self.size, interpolation=cv2.INTER_AREA)
        self.writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        """Finish the file, so that it can be played."""
        if self.writer is not None:
            self.writer.release()
            self.writer = None
