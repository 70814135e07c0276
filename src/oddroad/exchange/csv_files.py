"""CSV: a line a region, and beside it a file with a line a frame."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from oddroad.exchange.media import Media
from oddroad.exchange.results import FrameResult, Results
from oddroad.files import write_whole

REGION_COLUMNS = (
    "source", "index", "time", "utc", "width", "height", "x0", "y0", "x1", "y1", "area", "mean", "peak", "percentile",
    "track_id", "track_hits", "model", "score", "threshold",
)  # fmt: skip
"""Columns of the file of regions."""


FRAME_COLUMNS = ("source", "index", "time", "utc", "width", "height", "status", "reason", "judged", "regions", "peak")
"""Columns of the file of frames; ``regions`` is empty, not 0, where a frame was not judged."""


def region_rows(results: Results) -> Iterable[Sequence[object]]:
    """A row a region, in the order of ``REGION_COLUMNS``; None where there is no value."""
    for frame in results.judged:
        for region, track in frame.found():
            yield (
                *place(frame), *region.box, region.area, region.mean, region.peak, region.percentile,
                track.id if track else None, track.hits if track else None,
                frame.run.model, frame.run.score, frame.run.threshold,
            )  # fmt: skip


def frame_rows(results: Results) -> Iterable[Sequence[object]]:
    """A row a frame, in the order of ``FRAME_COLUMNS``; None where there is no value."""
    for frame in results.frames:
        found = frame.regions
        count = None if found is None else len(found)
        peak = max((each.peak for each in found or ()), default=None)
        yield (*place(frame), frame.status, frame.reason, int(found is not None), count, peak)


def place(frame: FrameResult) -> Sequence[object]:
    """The first six columns of both files."""
    return frame.source, frame.index, frame.time, frame.utc, frame.size[1], frame.size[0]


def write_csv(results: Results, out: Path, media: Media | None) -> list[str]:
    """Write the regions to ``out`` and the frames to ``NAME.frames.csv`` beside it; masks are not in them."""
    frames = out.with_name(f"{out.stem}.frames.csv")
    for path, columns, rows in (
        (out, REGION_COLUMNS, region_rows(results)),
        (frames, FRAME_COLUMNS, frame_rows(results)),
    ):
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
        write_whole(path, text.getvalue().encode(), "CSV file")
    return [f"{frames}: a line a frame, also those without regions; the masks of regions are not in CSV"]
