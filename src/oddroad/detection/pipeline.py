"""Run a detector over frames and write what it finds: overlays, maps, masks and one line of JSON a frame.

Reading, judging and writing overlap: frames are read ahead in one thread, judged in one or several, linked over time
in this one, drawn and written in another.
"""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from oddroad.concurrency import BackgroundWorker, available_cores, latest_only, ordered_map, prefetch
from oddroad.detection.drift_monitor import DriftMonitor
from oddroad.detection.frame import FrameProcessor, ProcessedFrame
from oddroad.detection.lines import frame_line, gap_line, heartbeat_line, run_line
from oddroad.detection.own_results import keep_apart
from oddroad.detection.promise import completed, said
from oddroad.detection.settings import Settings, check_settings
from oddroad.detection.summary import Summary
from oddroad.detection.tracking import MAX_AGE, ConfirmedTracks
from oddroad.errors import InputError, LostSource
from oddroad.inference.model import Model
from oddroad.io.earlier import Earlier, frames_in
from oddroad.io.reading import ReadReport
from oddroad.io.results import LINES, Results, base_names
from oddroad.io.rotation import parse_rotation
from oddroad.io.sources import Source
from oddroad.io.video import read
from oddroad.types import Frame

STAGES = ("decode", "model", "regions", "draw", "write")
"""What the milliseconds of a frame are divided into. They add up to more than the time between two frames: decoding has
a thread of its own, drawing and writing another, and several frames may be judged at the same time."""


DEPTH = 2
"""Frames that may wait to be judged, and as many to be drawn and written: more would cost memory, and save no time."""


MOST_TOGETHER = 4
"""Frames judged at the same time, from which on memory grows and speed does not."""


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


def run(
    model: Model,
    sources: Sequence[Source],
    out: Path | None,
    settings: Settings | None = None,
    progress: Callable[[Summary], None] | None = None,
    report: ReadReport | None = None,
) -> Summary:
    """Detect on every frame of the sources and write the results to a folder.

    Args:
        model: the detector; as many frames are judged at the same time as it was made for, but one with ``latest``.
        sources: from ``find_sources``.
        out: gets ``detections.jsonl`` and a folder for each product; None to write no file.
        settings: how; the defaults where None.
        progress: called after each frame, in the thread that writes.
        report: what is known of the sources already; the reader goes on with it.

    Returns:
        what was done; everything written stays, whatever stops the run.

    Raises:
        LostSource: if a live source went away and did not come back.
        InputError: if a score does not exist, nothing can be read or judged, an output is an input, the folder belongs
            to another run, or nothing can be written.
    """
    return Run(model, sources, out, settings or Settings(), progress, report).work()


class Run:
    """One detection run; see ``run`` for the arguments."""

    def __init__(
        self,
        model: Model,
        sources: Sequence[Source],
        out: Path | None,
        settings: Settings,
        progress: Callable[[Summary], None] | None = None,
        report: ReadReport | None = None,
    ):
        check_settings(sources, settings)
        settings, broken = completed(settings, model.card, sources)
        self.model, self.settings, self.progress = model, settings, progress
        self.sources = list(sources) if out is None else keep_apart(sources, out, report)
        style = settings.style
        self.processor = FrameProcessor(
            model, settings.score, settings.threshold, settings.min_area, style, settings.roi
        )
        self.summary = Summary(reading=report or ReadReport())
        meaning = said(settings.threshold_meaning or model.card.threshold_meaning, broken)
        header = run_line(
            model, self.processor.score, self.processor.threshold, meaning, settings.for_results(), self.sources
        )
        self.earlier = self.find_earlier(out, header) if settings.resume and out is not None else None
        self.results = Results(
            out,
            settings.save,
            self.sources,
            header,
            self.summary.reading.rates,
            settings.every or 1,
            sys.stdout if settings.stdout else None,
            parse_rotation(settings.rotate) if settings.rotate else None,
            self.earlier,
        )
        self.tracks = ConfirmedTracks(
            settings.min_hits or 1,
            MAX_AGE if settings.max_age is None else settings.max_age,
            self.earlier.most_tracks if self.earlier else 0,
        )
        began_with = self.earlier.last_source if self.earlier is not None else ""
        self.drift = DriftMonitor(model.card, self.processor.score, self.sources, self.settings.drift, began_with)
        self.told_gaps, self.source = 0, ""
        self.last_frame = self.began = time.perf_counter()

    def find_earlier(self, out: Path, header: dict[str, Any]) -> Earlier | None:
        """The unfinished run in the folder, as far as its overlay goes; None where there is none."""
        found = Earlier.read(out / LINES)
        if found is None:
            return None
        found.check(header)
        if "overlay" in self.settings.save and found.last_index is not None:
            bases = base_names(self.sources)
            found.keep_last(frames_in(out / "overlay" / f"{bases.get(found.last_source, found.last_source)}.mp4"))
        self.summary.frames, self.summary.damaged = found.counts["frames"], found.counts["damaged"]
        self.summary.with_regions = found.counts["with_regions"]
        self.summary.without_roi = found.counts["without_roi"]
        self.summary.drift_before = found.counts["drift_alarms"]
        self.summary.earlier = self.summary.frames + self.summary.damaged
        return found

    def frames(self) -> Iterator[Frame]:
        """The frames that are still to be judged."""
        settings, earlier = self.settings, self.earlier
        left = list(self.sources)
        if earlier is not None:
            moving = earlier.last_index is not None
            left = [
                each for each in left if each.name not in earlier.done or (moving and each.name == earlier.last_source)
            ]
        stream = read(left, settings.every or 1, self.summary.reading, settings.reading)
        if earlier is not None and earlier.last_index is not None:
            last = earlier.last_index
            stream = (
                each for each in stream
                if each.source != earlier.last_source or each.index is None or each.index > last
            )  # fmt: skip
        return stream if settings.max_frames is None else itertools.islice(stream, settings.max_frames)

    def write(self, judged: ProcessedFrame) -> None:
        """Draw a frame, write what is wanted of it, and count it."""
        self.source = judged.frame.source
        drawn = self.processor.draw(judged) if "overlay" in self.settings.save else None
        self.tell_gaps(judged.frame)
        start = time.perf_counter()
        self.results.products(judged.frame, judged.heat, self.processor.threshold, drawn, judged.inside)
        for line in judged.drift:
            self.results.line(line)
        judged.milliseconds["write"] = (time.perf_counter() - start) * 1e3
        values = frame_line(judged.frame, judged.regions, judged.tracks, judged.milliseconds, judged.inside)
        self.results.line(values)
        self.summary.add(values)
        self.last_frame = time.perf_counter()
        self.summary.seconds = self.last_frame - self.began
        if self.progress is not None:
            self.progress(self.summary)

    def tell_gaps(self, frame: Frame | None) -> None:
        """Write the gaps that lie before a frame, or all that are left."""
        gaps = self.summary.reading.gaps
        while self.told_gaps < len(gaps):
            gap = gaps[self.told_gaps]
            later = frame is not None and frame.source == gap.source and (frame.index or 0) < (gap.index or 0)
            if later or (frame is None and not self.results.started):
                return
            self.results.line(gap_line(gap))
            self.told_gaps += 1

    def beat(self, stop: threading.Event) -> None:
        """Write a sign of life every now and then, once the first line is written."""
        while not stop.wait(self.settings.heartbeat):
            if self.results.started:
                since = time.perf_counter() - self.last_frame
                try:
                    self.results.line(heartbeat_line(self.summary.frames + self.summary.damaged, since))
                except InputError:  # the next frame meets the same and ends the run
                    return

    def drop(self) -> None:
        """Count a frame that a newer one replaced."""
        self.summary.dropped += 1

    def work(self) -> Summary:
        """Judge and write all frames; see ``run``."""
        summary, stop = self.summary, threading.Event()
        lost: LostSource | None = None
        ended = False
        heart = threading.Thread(target=self.beat, args=(stop,), daemon=True, name="heartbeat")
        try:
            if self.earlier is not None and self.earlier.finished:
                return summary
            if self.settings.heartbeat > 0 and any(each.live for each in self.sources):
                heart.start()
            self.began = time.perf_counter()
            try:
                self.judge_all()
            except LostSource as error:
                if not self.results.started:
                    raise
                lost = error
                summary.lost = [self.source]
            self.tell_gaps(None)
            for line in self.drift.end():
                self.results.line(line)
            summary.drift, summary.drift_first = self.drift.state(summary.drift_before), self.drift.first
            ended = True
        finally:
            stop.set()
            self.results.close(summary.line() if ended else None)
        if lost is not None:
            raise LostSource(f"{lost}; {summary.text()}")
        if not summary.frames and not summary.damaged:
            raise InputError("nothing could be read: " + "; ".join(summary.reading.skipped[:3]))
        if not summary.frames:
            raise InputError(f"{summary.text()}; results in {self.results.out}")
        return summary

    def judge_all(self) -> None:
        """Read, judge, link and write, each in threads of its own."""
        stream = timed(self.frames())
        live = self.settings.latest
        frames, together = (
            (latest_only(stream, self.drop), 1) if live else (prefetch(stream, DEPTH), self.model.parallel)
        )
        with BackgroundWorker(self.write, DEPTH) as writer:
            for judged in ordered_map(lambda each: self.processor.judge(*each), frames, together):
                if judged.regions is not None:
                    start = time.perf_counter()
                    judged.regions, judged.tracks = self.tracks(judged.frame, judged.regions)
                    assert judged.heat is not None
                    judged.drift = self.drift.take(judged.frame, judged.heat)
                    judged.milliseconds["regions"] += (time.perf_counter() - start) * 1e3
                writer.put(judged)


def frames_together(sources: Sequence[Source]) -> int:
    """Frames to judge at the same time: one for each core where many are stored, one where they come live or alone."""
    live = any(each.live for each in sources)
    many = len(sources) > 1 or any(each.moving for each in sources)
    return min(available_cores(), MOST_TOGETHER) if many and not live else 1
