"""Videos that every browser plays: H.264 in MP4, frames at their true times, playable whenever the writing stops."""

from __future__ import annotations

import contextlib
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from oddroad.errors import InputError, counted, why

TICKS = 90_000
"""Time stamps a second."""


KEY_EVERY = 50
"""Frames from one key frame to the next: a player can jump to each, and they cost space."""


class VideoWriter:
    """An MP4 file that frames are appended to.

    While it is written it is a fragmented MP4, to which each frame is added whole: after a crash it plays up to its
    last frame. ``close`` makes a plain one of it, with the index in front, so that it plays while it is downloaded.

    Args:
        path: the file; its folder is made.
        rate: frames per second, for frames without a time and for how long the last one is shown.
        preset: of x264: how hard it tries to make the file small; ultrafast costs as much as OpenCV's MPEG-4.
        quality: of x264 (crf), lower is better and larger.

    Raises:
        InputError: at the first frame, if the file cannot be written.
    """

    def __init__(self, path: Path, rate: float = 25.0, preset: str = "ultrafast", quality: int = 23):
        self.path, self.rate, self.preset, self.quality = path, rate, preset, quality
        self.container: Any = None
        self.stream: Any = None
        self.size = (0, 0)
        self.began = 0.0
        self.count = 0
        self.pending: Any = None
        self.failed = False
        self.last_duration = max(round(TICKS / rate), 1)
        self.durations: dict[int, int] = {}

    def open(self, width: int, height: int) -> None:
        """Open the file for frames of a size."""
        import av

        if width < 2 or height < 2:
            raise InputError(f"frames of {width} x {height} are too small for the video '{self.path}'")
        self.size = (width - width % 2, height - height % 2)
        options = {"movflags": "empty_moov+default_base_moof+frag_every_frame", "flush_packets": "1"}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.container = av.open(f"file:{self.path}", "w", format="mp4", options=options)
        except (OSError, av.error.FFmpegError) as error:
            said = why(error) if isinstance(error, OSError) else error.strerror
            raise InputError(
                f"cannot write the video '{self.path}': {said}; choose another folder with --out"
            ) from None
        stream = self.container.add_stream("libx264", rate=Fraction(self.rate).limit_denominator(1001))
        stream.width, stream.height = self.size
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = Fraction(1, TICKS)
        context.thread_count = 1
        context.colorspace, context.color_range = 5, 1  # BT.601, limited range: what OpenCV's conversion gives
        context.color_primaries, context.color_trc = 1, 1
        stream.options = {"preset": self.preset, "crf": str(self.quality), "g": str(KEY_EVERY), "bf": "0"}
        self.stream = stream

    def write(self, image: np.ndarray, time: float | None = None) -> None:
        """Append a frame.

        Args:
            image: (H, W, 3) uint8 RGB; one of another size than the first is resized to it, odd sizes lose a pixel.
            time: seconds, in any order of magnitude; it is shown until the time of the next one. By default the number
                of the frame divided by the rate.

        Raises:
            InputError: if the file cannot be written.
        """
        import av

        height, width = image.shape[:2]
        if self.container is None:
            self.open(width, height)
        if (width, height) != self.size:
            if (width - width % 2, height - height % 2) == self.size:
                image = image[: self.size[1], : self.size[0]]
            else:
                image = cv2.resize(image, self.size, interpolation=cv2.INTER_AREA)
        seconds = self.count / self.rate if time is None else time
        if self.count == 0:
            self.began = seconds
        stamp = round((seconds - self.began) * TICKS)
        planes: Any = cv2.cvtColor(image, cv2.COLOR_RGB2YUV_I420)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.time_base = Fraction(1, TICKS)
        if self.pending is not None:
            stamp = max(stamp, self.pending.pts + 1)
            self.last_duration = stamp - self.pending.pts
            self.encode(self.pending)
        frame.pts = stamp
        self.pending = frame
        self.count += 1

    def encode(self, frame: Any) -> None:
        """Encode a frame, or None for the end, and write what comes out."""
        import av

        if frame is not None:
            self.durations[frame.pts] = self.last_duration
        try:
            for packet in self.stream.encode(frame):
                packet.duration = self.durations.pop(packet.pts, self.last_duration)
                self.container.mux(packet)
        except (OSError, av.error.FFmpegError) as error:
            raise self.unwritten(error) from None

    def unwritten(self, error: Any) -> InputError:
        """What to raise where the library could not write; nothing more is written then."""
        self.failed = True
        said = why(error) if isinstance(error, OSError) else error.strerror
        return InputError(f"cannot write the video '{self.path}': {said}; what was written before plays")

    def close(self) -> None:
        """Finish the file; where there is no room for a second copy it stays a fragmented MP4, which plays as well.

        After a failure nothing more is given to the container: the library can crash when it is written to again.
        """
        import av

        if self.container is None:
            return
        if not self.failed:
            self.encode(self.pending)
            self.encode(None)
        container, self.container = self.container, None
        if self.failed:
            return
        try:
            container.close()  # writes the last frame
        except (OSError, av.error.FFmpegError) as error:
            raise self.unwritten(error) from None
        if (there := packets_in(self.path)) < self.count:  # the library does not say that the last ones are missing
            raise InputError(
                f"cannot write the video '{self.path}': {there} of {counted(self.count, 'frame')} reached the disk, "
                "which is full or failing; what was written before plays"
            )
        with contextlib.suppress(OSError, av.error.FFmpegError):
            index_first(self.path)


def packets_in(path: Path) -> int:
    """Number of whole packets that a video holds; 0 where it cannot be read."""
    import av

    try:
        with av.open(f"file:{path}") as container:
            return sum(1 for packet in container.demux(video=0) if packet.size and not packet.is_corrupt)
    except (OSError, IndexError, av.error.FFmpegError):  # one that was cut off is InvalidDataError, no OSError
        return 0


def partial_of(path: Path) -> Path:
    """Where the copy of a video grows that then takes its place; a run that is killed leaves it."""
    return path.with_name(f".{path.name}.partial")


def index_first(path: Path) -> None:
    """Rewrite an MP4 file so that its index stands in front ("faststart"); pictures and times stay as they are.

    Raises:
        OSError: if it cannot be written; the file is as it was.
    """
    import av

    partial = partial_of(path)
    try:
        with (
            av.open(f"file:{path}") as source,
            av.open(f"file:{partial}", "w", format="mp4", options={"movflags": "faststart"}) as target,
        ):
            stream = target.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    target.mux(packet)
        with partial.open("rb") as opened:
            os.fsync(opened.fileno())
        partial.replace(path)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
