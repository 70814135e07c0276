"""One source that is looked at: read and judged once in a thread of its own, then kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from oddroad.calibration.calibrator import alarm_level
from oddroad.calibration.frame_statistics import frame_statistics
from oddroad.concurrency import latest_only, ordered_map, prefetch
from oddroad.detection.pipeline import DEPTH, timed
from oddroad.detection.tracking import CameraShift
from oddroad.errors import InputError, counted
from oddroad.inference.host_resize import enlarged
from oddroad.io.images import encode_image
from oddroad.io.reading import ReadOptions, ReadReport
from oddroad.io.video import probe, read
from oddroad.regions import default_min_area
from oddroad.roi import Roi
from oddroad.types import Frame
from oddroad.web.detectors import Detector
from oddroad.web.kept import Kept, KeptFrame
from oddroad.web.library import Entry
from oddroad.web.limits import Limits
from oddroad.web.reply import failure

QUALITY = 90
"""Of the JPEGs that the page shows; what is judged are the frames themselves."""


@dataclass
class Judged:
    """A frame on its way to the disk; see KeptFrame."""

    frame: Frame
    picture: bytes
    maps: list[np.ndarray | None]
    roads: list[np.ndarray | None]
    levels: list[float | None]
    statistics: list[np.ndarray | None]
    milliseconds: dict[str, float] = field(default_factory=dict)


class View:
    """One source under the detectors.

    Args:
        key: unique.
        entry: what is read.
        detectors: that judge every frame.
        folder: for what is kept.
        limits: of frames, pixels and time.
        every: of moving sources, judge every n-th frame.
        room: called with this view after each frame; it may stop the view.

    Attributes:
        state: "working", "done", "stopped" or "failed".
        error: why it failed, or where it stopped; one line.
        total: frames there will be; None where that is not known.
        rate: frames per second of the source; None of still images.
        levels: of detectors within other regions of interest than their cards', by number of the frame; grows as asked.
        seen: when a client last asked for it, monotonic seconds.
    """

    def __init__(
        self,
        key: str,
        entry: Entry,
        detectors: Sequence[Detector],
        folder: Path,
        limits: Limits,
        every: int = 1,
        room: Callable[[View], None] = lambda _: None,
    ):
        self.key, self.entry, self.detectors, self.limits, self.every = key, entry, list(detectors), limits, every
        self.kept = Kept(folder, limits.live_frames if entry.live else None)
        self.levels: dict[tuple[int, Roi], dict[int, float | None]] = {}
        self.report, self.room = ReadReport(), room
        self.state, self.error = "working", ""
        self.stopping = threading.Event()
        self.began = self.seen = time.monotonic()
        self.ended: float | None = None
        counts = [probe(each)[0] for each in entry.sources] if entry.kind != "images" else [len(entry.sources)]
        self.rate = None if entry.kind == "images" else probe(entry.sources[0])[1]
        total = None if None in counts else sum(-(-(each or 0) // every) for each in counts)
        self.total = None if total is None else min(total, limits.frames)
        self.worker = threading.Thread(target=self.work, daemon=True, name=f"view-{key}")

    @property
    def done(self) -> int:
        """Frames that are there."""
        return len(self.kept.frames)

    def start(self) -> None:
        """Begin to read and judge."""
        self.worker.start()

    def stop(self, why: str = "stopped") -> None:
        """End the work after the frame that is being judged; what is there stays."""
        self.error = self.error or why
        self.stopping.set()

    def cut(self, why: str) -> None:
        """Read no further; what was read is judged."""
        self.error = why

    def judge(self, given: tuple[Frame, float]) -> Judged:
        """Picture, maps and levels of a frame; threads may call it at once."""
        frame, decode = given
        began = time.perf_counter()
        picture = encode_image(frame.image, ".jpg", QUALITY)
        stages = {"decode": decode, "draw": (time.perf_counter() - began) * 1e3}
        if frame.status != "ok":
            nothing: list[Any] = [None] * len(self.detectors)
            return Judged(frame, picture, nothing, nothing, nothing, nothing, stages)
        began = time.perf_counter()
        found = [each.judge(frame.image) for each in self.detectors]
        middle = time.perf_counter()
        size = (frame.image.shape[0], frame.image.shape[1])
        levels: list[float | None] = []
        statistics: list[np.ndarray | None] = []
        for detector, (low, road) in zip(self.detectors, found, strict=True):
            inside = road if road is not None else detector.roi.inside(size)
            heat = enlarged(low[None], size)[0]
            levels.append(level_of(heat, detector.min_area, inside))
            statistics.append(None if self.entry.live else frame_statistics(frame.image, heat))
        stages |= {"model": (middle - began) * 1e3, "regions": (time.perf_counter() - middle) * 1e3}
        maps: list[np.ndarray | None] = [low for low, _ in found]
        roads = [road for _, road in found]
        return Judged(frame, picture, maps, roads, levels, statistics, stages)

    def frames(self) -> Iterator[tuple[Frame, float]]:
        """The frames of the source until something bounds them."""
        options = ReadOptions(patience=10.0, max_pixels=self.limits.pixels)
        stream = timed(read(self.entry.sources, self.every, self.report, options))
        for count, each in enumerate(stream):
            if self.stopping.is_set():
                return
            if count >= self.limits.frames and not self.entry.live:
                return self.cut(f"stopped at {counted(count, 'frame')}, the limit of one source")
            if time.monotonic() - self.began > self.limits.seconds and not self.entry.live:
                return self.cut(
                    f"stopped after {counted(self.limits.seconds, 'second', '.0f')}, the limit of one source"
                )
            if self.entry.live and time.monotonic() - self.seen > self.limits.unseen_seconds:
                return self.cut("nobody looked any more")
            yield each

    def work(self) -> None:
        """Read, judge and keep, in the order of the source."""
        try:
            live, parallel = self.entry.live, self.detectors[0].model.parallel
            stream = self.frames()
            ahead = latest_only(stream, lambda: None) if live else prefetch(stream, DEPTH)
            camera, source = CameraShift(), ""
            for judged in ordered_map(self.judge, ahead, 1 if live else parallel):
                frame = judged.frame
                if frame.source != source:
                    camera, source = CameraShift(), frame.source
                moving = frame.time is not None and frame.status == "ok"
                self.keep(judged, camera(frame.image) if moving else (0.0, 0.0))
                self.room(self)
                if self.stopping.is_set():
                    break
            self.state = "stopped" if self.error else "done"
            if not self.kept.frames and self.state == "done":
                self.state, self.error = "failed", "; ".join(self.report.skipped[:3]) or "there was no frame in it"
        except BaseException as error:
            self.state, self.error = "failed", failure(error)
            if not isinstance(error, InputError):
                raise
        finally:
            self.ended = time.monotonic()

    def keep(self, judged: Judged, shift: tuple[float, float]) -> None:
        """Keep a frame as the next one."""
        frame = judged.frame
        size = (frame.image.shape[0], frame.image.shape[1])
        milliseconds = {name: round(value, 2) for name, value in judged.milliseconds.items()}
        kept = KeptFrame(
            self.done, frame.source, frame.index, frame.time, frame.utc, size, frame.status, frame.reason, shift,
            tuple(judged.levels), tuple(judged.statistics), milliseconds,
        )  # fmt: skip
        self.kept.add(kept, judged.picture, judged.maps, judged.roads)

    def inside(self, number: int, detector: int, roi: Roi | None) -> np.ndarray | None:
        """The pixels (H, W) bool of a frame that count; None for all.

        Args:
            number: of the frame.
            detector: number of the detector.
            roi: region of interest; the one of its card where None.

        Raises:
            InputError: if it is the road, and the detector's card has another one, or a mask of another aspect.
        """
        wanted = self.detectors[detector].roi if roi is None else roi
        if wanted.kind != "road":
            return wanted.inside(self.kept.frames[number].size)
        if self.detectors[detector].roi.kind != "road":
            raise InputError(
                "the road is found where the card was calibrated within it: 'oddroad calibrate --roi road'"
            )
        return self.kept.road(number, detector)

    def about(self, since: int = 0, most: int = 2000) -> dict[str, Any]:
        """How far it is, and what is known of the frames from one on.

        Args:
            since: number of the first frame that is told.
            most: frames that are told.
        """
        self.seen = time.monotonic()
        frames = self.kept.frames[since : since + most]
        seconds = (self.ended or time.monotonic()) - self.began
        return {
            "key": self.key, "title": self.entry.title, "kind": self.entry.kind, "live": self.entry.live,
            "state": self.state, "error": self.error, "done": self.done, "total": self.total, "rate": self.rate,
            "every": self.every, "first": self.kept.first, "fps": self.done / seconds if seconds > 0 else 0.0,
            "notes": [*self.report.notes, *self.report.skipped[:20]],
            "gaps": [{"index": each.index, "time": each.time, "reason": each.reason} for each in self.report.gaps],
            "detectors": [each.name for each in self.detectors],
            "since": since,
            "frames": [
                {
                    "source": each.source, "index": each.index, "time": each.time, "utc": each.utc,
                    "size": each.size, "status": each.status, "reason": each.reason,
                    "shift": each.shift, "levels": each.levels,
                }
                for each in frames
            ],
        }  # fmt: skip


def level_of(heat: np.ndarray, min_area: int | None, inside: np.ndarray | None) -> float | None:
    """The lowest threshold of a map (H, W) above which no region is reported.

    Args:
        heat: (H, W) float32.
        min_area: pixels of the smallest region; None for 1 in 10,000.
        inside: (H, W) bool, where regions count; None for everywhere.

    Returns:
        None where nothing counts.
    """
    valid = np.ones(heat.shape, bool) if inside is None else inside
    if not valid.any():
        return None
    return alarm_level(heat, valid, max(1, default_min_area(heat) if min_area is None else min_area))
