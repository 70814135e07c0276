"""Run a detector over frames and write what it finds: overlays, maps, masks and one line of JSON a frame.

Reading, judging and writing overlap: frames are read ahead in one thread, judged in one or several, linked over time
in this one, drawn and written in another.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from oddroad import regions
from oddroad.concurrency import BackgroundWorker, available_cores, latest_only, ordered_map, prefetch
from oddroad.detection import drawing
from oddroad.detection.tracking import ConfirmedTracks, Track
from oddroad.errors import InputError
from oddroad.inference.model import Model
from oddroad.io.reading import ReadReport
from oddroad.io.results import Results
from oddroad.io.sources import Source
from oddroad.io.video import read
from oddroad.types import Frame, Region

STAGES = ("decode", "model", "regions", "draw", "write")
"""What the milliseconds of a frame are divided into. They add up to more than the time between two frames: decoding has
a thread of its own, drawing and writing another, and several frames may be judged at the same time."""


DEPTH = 2
"""Frames that may wait to be judged, and as many to be drawn and written: more would cost memory, and save no time."""


MOST_TOGETHER = 4
"""Frames judged at the same time, from which on memory grows and speed does not."""


@dataclass
class Summary:
    """What a run did.

    Attributes:
        frames: frames judged.
        found: frames with at least one region.
        seconds: from the first frame to the last.
        milliseconds: sum over the frames, by stage.
        dropped: frames of a live source that were passed over because a newer one was there.
        reading: what could not be read, and why.
    """

    frames: int = 0
    found: int = 0
    dropped: int = 0
    seconds: float = 0.0
    milliseconds: dict[str, float] = field(default_factory=dict)
    reading: ReadReport = field(default_factory=ReadReport)

    @property
    def rate(self) -> float:
        """Frames a second, everything included."""
        return self.frames / self.seconds if self.seconds else 0.0

    def line(self) -> str:
        """The summary in one line."""
        text = f"{self.frames} frames, {self.found} with findings, {self.rate:.1f} frames a second"
        if self.dropped:
            text += f"; dropped {self.dropped} older frames to keep up"
        if count := len(self.reading.skipped):
            shown = "; ".join(self.reading.skipped[:3]) + ("; ..." if count > 3 else "")
            text += f"; skipped {count}: {shown}"
        return text


def timed(frames: Iterable[Frame]) -> Iterator[tuple[Frame, float]]:
    """Each frame with the milliseconds it took to produce."""
    iterator = iter(frames)
    while True:
        began = time.perf_counter()
        try:
            frame = next(iterator)
        except StopIteration:
            return
        yield frame, (time.perf_counter() - began) * 1e3


@dataclass
class ProcessedFrame:
    """A frame on its way to the writer.

    Attributes:
        frame: as it was read.
        heat: (H, W) float32 its score.
        regions: what is reported.
        tracks: the track of each region; none for still images.
        milliseconds: by stage, as far as they have been gone through.
    """

    frame: Frame
    heat: np.ndarray
    regions: list[Region]
    tracks: list[Track]
    milliseconds: dict[str, float]


def as_line(judged: ProcessedFrame, score: str, threshold: float) -> dict[str, Any]:
    """The JSON of one frame."""
    frame = judged.frame
    height, width = frame.image.shape[:2]
    found: list[dict[str, Any]] = [
        {"box": list(each.box), "area": each.area, "mean": round(each.mean, 4), "peak": round(each.peak, 4)}
        for each in judged.regions
    ]
    for values, track in zip(found, judged.tracks, strict=False):
        values["track"] = {"id": track.id, "hits": track.hits, "mean": round(track.mean, 4)}
    return {
        "frame": frame.name,
        "time": frame.time,
        "width": width,
        "height": height,
        "score": score,
        "threshold": threshold,
        "regions": found,
        "milliseconds": {stage: round(value, 2) for stage, value in judged.milliseconds.items()},
    }


def run(
    model: Model,
    sources: Sequence[Source],
    out: Path,
    score: str | None = None,
    threshold: float | None = None,
    min_area: int | None = None,
    every: int = 1,
    save: Sequence[str] = ("overlay",),
    progress: Callable[[Summary], None] | None = None,
    min_hits: int = 1,
    latest: bool = False,
) -> Summary:
    """Detect on every frame of the sources and write the results to a folder.

    Args:
        model: the detector; as many frames are judged at the same time as it was made for, but one with ``latest``.
        sources: from ``find_sources``.
        out: gets ``detections.jsonl`` and a folder for each product.
        score: one of the model's scores; its default where None.
        threshold: in the score's unit; the card's where None.
        min_area: regions of fewer pixels are left out; where None, 1 in 10,000 of the image's pixels.
        every: of moving sources, judge every n-th frame.
        save: any of "overlay", "maps", "masks".
        progress: called after each frame, in the thread that writes.
        min_hits: of moving sources, report only regions that have been seen in this many frames; see oddroad.detection.tracking.
        latest: of cameras and streams, judge the newest frame there is and drop older ones.

    Returns:
        what was done; everything written stays, whatever stops the run.

    Raises:
        InputError: if a score does not exist, nothing can be read, or nothing can be written.
    """
    check_options(sources, every, min_area, min_hits, latest)
    name = model.pick_score(score)
    level = model.threshold(name) if threshold is None else threshold
    display_range = (level - 11.0, level + 4.0)
    summary = Summary()
    results = Results(out, save, summary.reading.rates, every)
    began = time.perf_counter()

    def write(judged: ProcessedFrame) -> None:
        frame, spent = judged.frame, judged.milliseconds
        start = time.perf_counter()
        drawn = None
        if "overlay" in save:
            drawn = drawing.overlay(frame.image, judged.heat, judged.regions, level, display_range, name)
        middle = time.perf_counter()
        results.pictures(frame, judged.heat, level, drawn)
        spent["draw"], spent["write"] = (middle - start) * 1e3, (time.perf_counter() - middle) * 1e3
        results.line(as_line(judged, name, level))
        summary.frames += 1
        summary.found += bool(judged.regions)
        summary.seconds = time.perf_counter() - began
        for stage, value in spent.items():
            summary.milliseconds[stage] = summary.milliseconds.get(stage, 0.0) + value
        if progress is not None:
            progress(summary)

    def drop() -> None:
        summary.dropped += 1

    def judge(read: tuple[Frame, float]) -> ProcessedFrame:
        frame, decode = read
        start = time.perf_counter()
        heat = model(frame.image, name)
        middle = time.perf_counter()
        found = regions.find(heat, level, heat.size // 10_000 if min_area is None else min_area)
        spent = {"decode": decode, "model": (middle - start) * 1e3, "regions": (time.perf_counter() - middle) * 1e3}
        return ProcessedFrame(frame, heat, found, [], spent)

    stream = timed(read(sources, every, summary.reading))
    frames, together = (latest_only(stream, drop), 1) if latest else (prefetch(stream, DEPTH), model.parallel)
    try:
        with BackgroundWorker(write, DEPTH) as writer:
            linked = ConfirmedTracks(min_hits)
            for judged in ordered_map(judge, frames, together):
                start = time.perf_counter()
                judged.regions, judged.tracks = linked(judged.frame, judged.regions)
                judged.milliseconds["regions"] += (time.perf_counter() - start) * 1e3
                writer.put(judged)
    finally:
        results.close()
    if summary.frames == 0:
        raise InputError("nothing could be read: " + "; ".join(summary.reading.skipped[:3]))
    return summary


def frames_together(sources: Sequence[Source]) -> int:
    """Frames to judge at the same time: one for each core where many are stored, one where they come live or alone."""
    live = any(each.kind in ("camera", "stream") for each in sources)
    many = len(sources) > 1 or any(each.kind == "video" for each in sources)
    return min(available_cores(), MOST_TOGETHER) if many and not live else 1


def check_options(sources: Sequence[Source], every: int, min_area: int | None, min_hits: int, latest: bool) -> None:
    """Raise InputError if an option of ``run`` is impossible."""
    if every < 1:
        raise InputError(f"--every is {every}; expected 1 or more")
    if min_area is not None and min_area < 0:
        raise InputError(f"--min_area is {min_area}; expected a number of pixels")
    if min_hits < 1:
        raise InputError(f"--min-hits is {min_hits}; expected a number of frames, 1 or more")
    still = next((each.name for each in sources if not each.moving), None)
    if min_hits > 1 and still is not None:
        raise InputError(f"--min-hits links the frames of videos, cameras and streams; '{still}' is a still image")
    stored = next((each.name for each in sources if each.kind not in ("camera", "stream")), None)
    if latest and stored is not None:
        raise InputError(f"--latest is for cameras and streams; '{stored}' is a file, of which no frame is late")
