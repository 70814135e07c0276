"""``/detect``: a picture or a clip in, what ``oddroad detect`` writes out, line by line."""

from __future__ import annotations

import itertools
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from oddroad.detection.frame import FrameProcessor
from oddroad.detection.lines import frame_line, gap_line, run_line
from oddroad.detection.pipeline import timed
from oddroad.detection.promise import completed, said
from oddroad.detection.settings import Settings
from oddroad.detection.summary import Summary
from oddroad.detection.tracking import ConfirmedTracks, Tracking
from oddroad.errors import counted
from oddroad.io.kinds import kind_of
from oddroad.io.reading import ReadOptions, ReadReport
from oddroad.io.sources import Source
from oddroad.io.video import read
from oddroad.web.desk import Desk
from oddroad.web.reply import Call, Refused, Reply, as_json


def detect(desk: Desk, call: Call) -> Reply:
    """Findings in a picture (JSON, one object) or in a clip (JSON lines, as they are found), sent as the body.

    ``threshold`` speaks the threshold language; ``min_area``, ``min_hits``, ``max_age``, ``every`` are those of
    ``oddroad detect``; ``name`` is the source's name in the answer.
    """
    assert call.file is not None
    folder = desk.folder / f"detect-{call.file.name}"
    folder.mkdir()
    path = folder / "file"
    shutil.move(call.file, path)
    try:
        kind = kind_of(path)
        if kind not in ("image", "video"):
            raise Refused("the body is neither a picture nor a video", 415)
        name = Path(call.query.get("name", "").replace("\\", "/")).name[:120] or kind
        lines = found_in(desk, call, Source(kind, str(path), name))
        head = next(lines)
        if kind == "video":
            return Reply(Lines(itertools.chain([head], lines), folder), "application/jsonl")
        frame = next(lines)
        shutil.rmtree(folder, ignore_errors=True)
        return as_json({**frame, "run": head})
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


class Lines(Iterator[bytes]):
    """Lines as bytes; the folder is deleted when they end, or when nobody wants them any more, begun or not."""

    def __init__(self, lines: Iterator[dict[str, Any]], folder: Path):
        self.lines, self.folder = lines, folder

    def __next__(self) -> bytes:
        """The next line."""
        try:
            return json.dumps(next(self.lines)).encode() + b"\n"
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def __del__(self) -> None:
        """As ``close``: an answer that was never begun is only let go."""
        self.close()


def found_in(desk: Desk, call: Call, source: Source) -> Iterator[dict[str, Any]]:
    """The lines of one source, as ``oddroad detect`` writes them.

    Raises:
        InputError: if nothing in it can be read, or an option is wrong.
    """
    number = desk.detector(call)
    detector = desk.detectors[number]
    own = Tracking.of(detector.model.card.calibration) if source.moving else Tracking()
    every = call.whole("every", own.every, 1)
    hits, age = call.whole("min_hits", own.min_hits, 1), call.whole("max_age", own.max_age)
    threshold = desk.threshold(call, number, min_hits=hits)
    area = call.whole("min_area") if call.query.get("min_area") else None
    if hits > 1 and source.kind == "image":
        raise Refused("'min_hits' links the frames of videos; this is a picture")
    roi, card = desk.roi(call), detector.model.card
    processor = FrameProcessor(detector.model, detector.score, threshold.value, area, roi=roi)
    looked_up = threshold.value if call.query.get("threshold") else None
    asked = Settings(
        min_area=area, roi=roi, threshold=looked_up, threshold_meaning=threshold.meaning, min_hits=hits, max_age=age,
        every=every,
    )  # fmt: skip
    meaning = said(threshold.meaning, completed(asked, card, [source])[1])
    settings = {
        "min_area": processor.min_area, "every": every, "min_hits": hits, "max_age": age, "roi": processor.roi.values(),
    }  # fmt: skip
    report = ReadReport()
    stream = timed(read([source], every, report if source.moving else None, ReadOptions(max_pixels=desk.limits.pixels)))
    yield run_line(detector.model, detector.score, threshold.value, meaning, settings, [source])
    began = time.monotonic()
    summary, tracks, told = Summary(reading=report), ConfirmedTracks(hits, age), 0
    for frame, decode in stream:
        with detector.turns:
            judged = processor.judge(frame, decode)
        if judged.regions is not None:
            judged.regions, judged.tracks = tracks(frame, judged.regions)
        for gap in report.gaps[told:]:
            yield gap_line(gap)
        told = len(report.gaps)
        values = frame_line(frame, judged.regions, judged.tracks, judged.milliseconds, judged.inside)
        summary.add(values)
        yield values
        if summary.frames + summary.damaged >= desk.limits.frames or time.monotonic() - began > desk.limits.seconds:
            report.note(f"stopped after {counted(summary.frames + summary.damaged, 'frame')}: the limit of one source")
            break
    yield summary.line()
