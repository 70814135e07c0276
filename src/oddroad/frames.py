"""Read images, folders, videos, cameras and streams as Frames, ahead of their use; write video."""

from __future__ import annotations

import glob
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2
import numpy as np

from oddroad.errors import InputError
from oddroad.types import Frame

IMAGES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm"}
VIDEOS = {".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".ts"}
STREAMS = ("rtsp://", "rtsps://", "http://", "https://", "rtmp://", "udp://", "tcp://")
BROKEN_AT_MOST = 1000  # frames of a video in a row that cannot be decoded, before the rest is given up
STREAM_TIMEOUT = 10_000  # milliseconds to open a stream, and to wait for its next frame

Item = TypeVar("Item")


@dataclass
class Reading:
    """What a reader learns on its way.

    Attributes:
        reasons: what could not be read: a line each, file or frame, and the reason.
        named: those of them that the user named one by one.
        rates: frames a second of each moving source that was opened, by its name.
    """

    reasons: list[str] = field(default_factory=list)
    named: list[str] = field(default_factory=list)
    rates: dict[str, float] = field(default_factory=dict)

    def lost(self, reason: str, named: bool) -> None:
        """Note what could not be read."""
        self.reasons.append(reason)
        if named:
            self.named.append(reason)


@dataclass(frozen=True)
class Source:
    """One thing to read frames from.

    Attributes:
        kind: "image", "video", "camera" or "stream".
        place: path, camera index, or address.
        name: short unique name; with "/" below a folder.
        named: the user named this very file, rather than its folder.
    """

    kind: str
    place: str
    name: str
    named: bool = True

    @property
    def moving(self) -> bool:
        """Whether its frames follow each other in time."""
        return self.kind != "image"


def find_sources(given: Sequence[str]) -> list[Source]:
    """What the user's words stand for: files, folders, globs, camera numbers, addresses.

    Raises:
        InputError: if something does not exist, or there is nothing to read.
    """
    if not given:
        raise InputError("nothing to read; pass an image, a folder, a video, a camera number or a stream's address")
    sources: list[Source] = []
    for word in given:
        path = Path(word)
        if word.startswith(STREAMS):
            sources.append(Source("stream", word, word.rstrip("/").rpartition("/")[2] or "stream"))
        elif word.isdigit() and not path.exists():
            sources.append(Source("camera", word, f"camera{word}"))
        elif path.is_dir():
            sources += in_folder(path)
        elif path.exists():
            sources.append(of_file(path, path.name, named=True))
        elif any(mark in word for mark in "*?["):
            matches = [Path(each) for each in sorted(glob.glob(word, recursive=True)) if Path(each).is_file()]
            known = [each for each in matches if each.suffix.lower() in IMAGES | VIDEOS]
            if not known:
                raise InputError(f"nothing matches '{word}'; expected images or videos")
            sources += [of_file(each, each.name, named=False) for each in known]
        else:
            raise InputError(f"no such file or folder: '{word}'")
    return unique(sources)


def of_file(path: Path, name: str, named: bool) -> Source:
    """The source of one file, by its ending; what is not a known video ending is tried as an image."""
    return Source("video" if path.suffix.lower() in VIDEOS else "image", str(path), name, named)


def holds_labels(folder: str) -> bool:
    """Whether a folder's name says that it holds the labels of a data set, not images."""
    return folder.endswith(".labels") or folder in ("labels", "labels_masks", "masks", "gtFine")


def in_folder(folder: Path) -> list[Source]:
    """Every image and video below a folder, in the order of their names; folders of labels are left out.

    Raises:
        InputError: if there is none.
    """
    found = sorted(each for each in folder.rglob("*") if each.is_file() and each.suffix.lower() in IMAGES | VIDEOS)
    kept = [each for each in found if not any(map(holds_labels, each.relative_to(folder).parts[:-1]))] or found
    if not kept:
        raise InputError(f"folder '{folder}' holds no image and no video ({', '.join(sorted(IMAGES | VIDEOS))})")
    return [of_file(each, each.relative_to(folder).as_posix(), named=False) for each in kept]


def unique(sources: list[Source]) -> list[Source]:
    """The same sources, with a number before a name that was taken."""
    taken: set[str] = set()
    result: list[Source] = []
    for each in sources:
        name, number = each.name, 2
        while name in taken:
            name, number = f"{number}_{each.name}", number + 1
        taken.add(name)
        result.append(Source(each.kind, each.place, name, each.named))
    return result


def whole(data: bytes) -> bool:
    """Whether the bytes of a JPEG, PNG or WebP go to their end; True for other formats."""
    if data[:2] == b"\xff\xd8":
        return data.rfind(b"\xff\xd9") > data.rfind(b"\xff\xda")
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return b"IEND" in data[-64:]
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return int.from_bytes(data[4:8], "little") + 8 <= len(data)
    return True


def read_image(path: Path) -> np.ndarray:
    """An image file as (H, W, 3) uint8 RGB: turned as EXIF says, 16 bit reduced to 8, grey repeated, alpha dropped.

    Raises:
        InputError: if there is no such file, it is no image, or it is cut off.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"no such file: '{path}'") from None
    except OSError as error:
        raise InputError(f"cannot read '{path}': {error.strerror}") from None
    if not data:
        raise InputError(f"'{path}' is empty")
    if not whole(data):
        raise InputError(f"'{path}' is cut off: its last part is missing")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        image = None
    if image is None:
        raise InputError(f"'{path}' is not an image that can be read")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


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


def read_moving(source: Source, every: int, reading: Reading) -> Iterator[Frame]:
    """Every n-th frame of a video, camera or stream, until it ends.

    Frames that cannot be decoded are left out and counted in ``reading``.
    """
    capture = open_capture(source)
    try:
        expected = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if source.kind == "video" else 0
        rate = capture.get(cv2.CAP_PROP_FPS)
        rate = reading.rates[source.name] = rate if 1 <= rate <= 240 else 25.0
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
                    yield Frame(rgb, f"{source.name}#{number}", round(seconds, 4))
            decoded += 1
            number += 1
        if decoded == 0:
            raise InputError(f"'{source.place}' gave no frame: it is cut off, damaged, or has ended")
        if expected > 0 and number < expected - max(2, expected // 50):
            reading.lost(
                f"{source.name}: ends after frame {number} of {expected}, the rest is cut off or damaged", True
            )
        elif expected > 0 and decoded < expected:
            reading.reasons.append(f"{source.name}: {expected - decoded} of {expected} frames could not be decoded")
    finally:
        capture.release()


def read(sources: Sequence[Source], every: int = 1, reading: Reading | None = None) -> Iterator[Frame]:
    """Frames of all the sources in order.

    Args:
        sources: from ``find_sources``.
        every: of moving sources, take every n-th frame.
        reading: is told what could not be read; without it the first such thing is an error.

    Raises:
        InputError: if a camera or stream cannot be opened, or ``reading`` is None and something else cannot be read.
    """
    known = reading if reading is not None else Reading()
    for source in sources:
        try:
            if source.moving:
                yield from read_moving(source, every, known)
            else:
                yield Frame(read_image(Path(source.place)), source.name)
        except InputError as error:
            if reading is None or source.kind in ("camera", "stream"):
                raise
            reading.lost(str(error), source.named)


def ahead(items: Iterable[Item], depth: int = 4) -> Iterator[Item]:
    """The same items in order, produced by a thread that runs up to ``depth`` items ahead.

    An error of the producer is raised here, after the items before it; leaving the loop stops the producer.
    """
    waiting: queue.Queue[tuple[bool, Item | BaseException | None]] = queue.Queue(maxsize=max(depth, 1))
    stop = threading.Event()

    def put(entry: tuple[bool, Item | BaseException | None]) -> bool:
        while not stop.is_set():
            try:
                waiting.put(entry, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def produce() -> None:
        iterator = iter(items)
        try:
            for item in iterator:
                if not put((True, item)):
                    return
            put((False, None))
        except BaseException as error:
            put((False, error))
        finally:
            close: Callable[[], None] | None = getattr(iterator, "close", None)
            if close is not None:
                close()

    worker = threading.Thread(target=produce, daemon=True, name="read-ahead")
    worker.start()
    try:
        while True:
            good, value = waiting.get()
            if good:
                yield value  # type: ignore[misc]
            elif value is None:
                return
            else:
                assert isinstance(value, BaseException)
                raise value
    finally:
        stop.set()
        worker.join(timeout=STREAM_TIMEOUT / 1000)


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


def write_image(path: Path, image: np.ndarray, quality: int = 92) -> None:
    """Write (H, W, 3) uint8 RGB or (H, W) uint8 in the format of the path's ending; raises OSError if it cannot."""
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    good, data = cv2.imencode(path.suffix, pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not good:
        raise InputError(f"cannot encode '{path}'")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.tobytes())
