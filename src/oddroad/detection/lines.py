"""The lines of ``detections.jsonl``: what ran, what each frame gave, gaps, signs of life."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from oddroad.detection.tracking import Track
from oddroad.inference.model import Model
from oddroad.io.reading import Gap
from oddroad.io.results import SCHEMA_VERSION
from oddroad.io.sources import Source
from oddroad.types import Frame, Region


def utc(seconds: float | None) -> str | None:
    """Seconds since 1970 as ISO 8601 in UTC.

    >>> utc(0.25)
    '1970-01-01T00:00:00.250000Z'
    """
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def run_line(
    model: Model, score: str, threshold: float, meaning: str, settings: Mapping[str, Any], sources: Sequence[Source]
) -> dict[str, Any]:
    """The first line: what ran on what.

    Args:
        model: the detector.
        score: name of the score.
        threshold: a pixel is anomalous above it.
        meaning: of the threshold, in words.
        settings: options of the run that its results depend on.
        sources: what is read.
    """
    from importlib.metadata import version

    return {
        "type": "run",
        "schema_version": SCHEMA_VERSION,
        "oddroad": version("oddroad"),
        "model": model.card.name,
        "model_sha256": model.sha256,
        "engine": model.engine,
        "score": score,
        "threshold": threshold,
        "threshold_meaning": meaning,
        "settings": dict(settings) | {"precision": model.float_precision},
        "sources": [each.name for each in sources],
        "started": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def frame_line(
    frame: Frame,
    regions: Sequence[Region] | None,
    tracks: Sequence[Track],
    milliseconds: Mapping[str, float],
    inside: np.ndarray | None = None,
) -> dict[str, Any]:
    """The line of a frame.

    Args:
        frame: what was read.
        regions: what was found; None where it was not judged.
        tracks: of the regions, in their order; none for still images.
        milliseconds: by stage.
        inside: (H, W) bool, the region of interest; None for the whole picture.
    """
    height, width = frame.image.shape[:2]
    found = None if regions is None else [region_values(each) for each in regions]
    for values, track in zip(found or [], tracks, strict=False):
        values["track"] = {"id": track.id, "hits": track.hits, "mean": round(track.mean, 4)}
    return {
        "type": "frame",
        "source": frame.source,
        "index": frame.index,
        "time": frame.time,
        "utc": utc(frame.utc),
        "width": width,
        "height": height,
        "status": frame.status,
        "reason": frame.reason,
        "regions": found,
        **({} if inside is None else {"roi_share": round(float(inside.mean()), 4)}),
        "milliseconds": {stage: round(value, 2) for stage, value in milliseconds.items()},
    }


def region_values(region: Region) -> dict[str, Any]:
    """A region in a line."""
    return {
        "box": list(region.box),
        "area": region.area,
        "mean": round(region.mean, 4),
        "peak": round(region.peak, 4),
        "percentile": None if region.percentile is None else round(region.percentile, 6),
        "segmentation": {"size": list(region.size), "counts": region.counts},
    }


def gap_line(gap: Gap) -> dict[str, Any]:
    """The line of a stretch of time without frames."""
    finite = None if gap.seconds is None or not math.isfinite(gap.seconds) else round(gap.seconds, 3)
    return {
        "type": "gap",
        "source": gap.source,
        "index": gap.index,
        "time": gap.time,
        "seconds": finite,
        "reason": gap.reason,
    }


def heartbeat_line(frames: int, seconds: float) -> dict[str, Any]:
    """A sign of life.

    Args:
        frames: read so far.
        seconds: since the last frame.
    """
    return {
        "type": "heartbeat",
        "utc": utc(datetime.now(UTC).timestamp()),
        "frames": frames,
        "since_last_frame": round(seconds, 1),
    }
