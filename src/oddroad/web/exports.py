"""What is taken away from a view: lines of JSON, COCO, a still picture, a clip that plays."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from oddroad.detection.drawing import Painter, Style
from oddroad.detection.lines import frame_line, gap_line, run_line
from oddroad.detection.summary import Summary
from oddroad.exchange.coco import as_coco
from oddroad.exchange.results import read_results
from oddroad.io.images import encode_image, read_image
from oddroad.io.video_writer import VideoWriter
from oddroad.types import Frame
from oddroad.web.findings import Findings
from oddroad.web.view import View


def lines(view: View, findings: Findings, min_hits: int, meaning: str) -> Iterator[dict[str, Any]]:
    """The lines of ``detections.jsonl`` of all frames that are there.

    Args:
        view: whose frames.
        findings: of all of them.
        min_hits: report only tracks with at least so many hits.
        meaning: of the threshold, in words.
    """
    setting, detector = findings.setting, view.detectors[findings.setting.detector]
    roi = detector.roi if setting.roi is None else setting.roi
    least = detector.min_area if setting.min_area is None else setting.min_area
    settings = {
        "min_area": least, "every": view.every, "min_hits": min_hits, "max_age": setting.max_age, "roi": roi.values(),
    }  # fmt: skip
    sources = view.entry.sources
    yield run_line(detector.model, detector.score, setting.threshold, meaning, settings, sources)
    summary, gaps = Summary(reading=view.report), list(view.report.gaps)
    for number in range(len(findings.frames)):
        kept = view.kept.frames[number]
        while gaps and gaps[0].source == kept.source and (gaps[0].index or 0) <= (kept.index or 0):
            yield gap_line(gaps.pop(0))
        regions, tracks = findings.reported(number, min_hits)
        inside = findings.inside(number) if regions is not None else None
        values = frame_line(kept.as_frame(), regions, tracks, kept.milliseconds, inside)
        summary.add(values)
        yield values
    for each in gaps:
        yield gap_line(each)
    summary.seconds = (view.ended or view.began) - view.began
    yield summary.line()


def jsonl(view: View, findings: Findings, min_hits: int, meaning: str) -> bytes:
    """``detections.jsonl`` as its bytes; see ``lines``."""
    return "".join(f"{json.dumps(each)}\n" for each in lines(view, findings, min_hits, meaning)).encode()


def coco(view: View, findings: Findings, min_hits: int, meaning: str) -> bytes:
    """The same as a COCO file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "detections.jsonl"
        path.write_bytes(jsonl(view, findings, min_hits, meaning))
        return json.dumps(as_coco(read_results(path))).encode()


def painter(view: View, findings: Findings) -> Painter:
    """What draws the frames of a view."""
    detector = view.detectors[findings.setting.detector]
    return Painter(
        findings.setting.threshold, detector.in_distribution, detector.model.card.name, detector.score, Style()
    )


def drawn(view: View, findings: Findings, number: int, min_hits: int, paint: Painter) -> tuple[Frame, np.ndarray]:
    """A frame with what is reported of it, (H, W, 3) uint8 RGB."""
    kept = view.kept.frames[number]
    frame = kept.as_frame(read_image(view.kept.path(number, ".jpg")))
    regions, tracks = findings.reported(number, min_hits)
    if regions is None:
        return frame, paint(frame, None)
    heat = view.kept.heat(number, findings.setting.detector)
    return frame, paint(frame, heat, regions, tracks, findings.inside(number))


def still(view: View, findings: Findings, number: int, min_hits: int) -> bytes:
    """A frame with what is reported of it, as a PNG."""
    return encode_image(drawn(view, findings, number, min_hits, painter(view, findings))[1], ".png")


def clip(view: View, findings: Findings, min_hits: int, begin: int, end: int, folder: Path) -> Path:
    """Frames with what is reported of them as a video that every browser plays; the caller deletes the file.

    Args:
        view: whose frames.
        findings: of all of them.
        min_hits: report only tracks with at least so many hits.
        begin: number of the first frame.
        end: number of the first frame that is not wanted.
        folder: where the file is made.
    """
    out = Path(tempfile.mkdtemp(dir=folder)) / "clip.mp4"
    paint, writer = painter(view, findings), VideoWriter(out, (view.rate or 25.0) / view.every, quality=20)
    try:
        for number in range(max(begin, view.kept.first), end):
            frame, picture = drawn(view, findings, number, min_hits, paint)
            writer.write(picture, frame.time)
        writer.close()
    except BaseException:
        writer.close()
        shutil.rmtree(out.parent, ignore_errors=True)
        raise
    return out
