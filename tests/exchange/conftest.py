"""Results as ``oddroad detect`` writes them, with every shape that a converter can get wrong, and their pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from oddroad import regions
from oddroad.io.video_writer import VideoWriter

SIZE = (60, 80)


RUN = {
    "type": "run", "schema_version": 1, "oddroad": "0.1.0", "model": "oddroad-default", "model_sha256": "0" * 64,
    "engine": "onnxruntime", "score": "energy", "threshold": 1.0, "threshold_meaning": "1.0", "settings": {},
    "sources": ["media"], "started": "2026-01-31T12:00:00Z",
}  # fmt: skip


SUMMARY = {
    "type": "summary", "frames": 6, "with_regions": 3, "damaged": 1, "lost": [], "dropped": 0, "gaps": 1,
    "seconds": 1.5, "fps": 4.0, "skipped": [],
}  # fmt: skip


def heats() -> list[np.ndarray]:
    """Maps with a ring, a blob, a line, a point, a diagonal, two parts that are one region, and nothing."""
    ring = np.zeros(SIZE, np.float32)
    cv2.circle(ring, (30, 25), 15, 3.0, -1)
    cv2.circle(ring, (32, 24), 6, 0.0, -1)
    ring[45:52, 60:75] = 2.5
    thin = np.zeros(SIZE, np.float32)
    thin[10, 5:30] = 2.0
    thin[40, 40] = 4.0
    thin[np.arange(20, 30), np.arange(50, 60)] = 3.0
    two = np.full(SIZE, 0.0, np.float32)
    two[20:30, 10:40] = 0.9
    two[22:28, 10:20], two[22:28, 30:40] = 2.0, 3.0
    corner = np.zeros(SIZE, np.float32)
    corner[:20, :10], corner[-5:, -30:] = 2.0, 5.0
    return [ring, thin, two, corner, np.zeros(SIZE, np.float32)]


def listed(heat: np.ndarray, track: bool = False) -> list[dict[str, Any]]:
    """The regions of a map as a line has them: its parts above 1, and those inside one contour of 0.8 joined."""
    count, labels = cv2.connectedComponents((heat > 0.8).astype(np.uint8), connectivity=8)
    found: list[dict[str, Any]] = []
    for number in range(1, count):
        mask = (labels == number) & (heat > 1.0)
        rows, columns = np.nonzero(mask)
        box = [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]
        values = heat[mask].astype(float)
        found.append(
            {
                "box": box, "area": int(mask.sum()), "mean": values.mean(), "peak": values.max(), "percentile": 1.0,
                "segmentation": {"size": list(SIZE), "counts": regions.encode_rle(mask, (0, 0), SIZE)},
            }
        )  # fmt: skip
    found.sort(key=lambda each: -each["area"])
    for number, each in enumerate(found if track else (), 1):
        each["track"] = {"id": number, "hits": 3, "mean": 2.0}
    return found


def frame_line(source: str, heat: np.ndarray, **more: Any) -> dict[str, Any]:
    """A judged frame as a line."""
    line = {
        "type": "frame", "source": source, "index": None, "time": None, "utc": None, "width": SIZE[1],
        "height": SIZE[0], "status": "ok", "reason": "", "regions": listed(heat, "index" in more),
        "milliseconds": {"model": 3.5},
    }  # fmt: skip
    return {**line, **more}


def write_lines(path: Path, lines: list[dict[str, Any]]) -> Path:
    """A file of lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture
def media(tmp_path: Path) -> Path:
    """Two pictures and a video of 4 frames, of the size of the results."""
    folder = tmp_path / "media"
    (folder / "town").mkdir(parents=True)
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (8, *SIZE, 3), np.uint8)
    assert cv2.imwrite(str(folder / "town" / "a.png"), noise[0])
    assert cv2.imwrite(str(folder / "town" / "a.jpg"), noise[1])
    video = VideoWriter(folder / "drive.mp4", 10.0)
    pattern = np.broadcast_to((np.add.outer(np.arange(SIZE[0]), np.arange(SIZE[1])) % 31 - 15)[..., None], (*SIZE, 3))
    for number in range(4):
        video.write((40 * number + 20 + pattern).astype(np.uint8))
    video.close()
    return folder


@pytest.fixture
def lines() -> list[dict[str, Any]]:
    """The lines of a run over ``media``: the video's third frame is damaged and was not judged, its first has none."""
    ring, thin, two, corner, nothing = heats()
    moving = {"source": "drive.mp4"}
    return [
        RUN,
        frame_line("town/a.jpg", ring),
        frame_line("town/a.png", thin),
        frame_line(**moving, heat=nothing, index=0, time=0.0, utc="2026-01-31T12:00:00.000000001Z"),
        frame_line(**moving, heat=two, index=1, time=0.1, utc="2026-01-31T12:00:00.100000001Z"),
        {
            **frame_line(**moving, heat=nothing, index=2, time=0.2, utc="2026-01-31T12:00:00.2+00:00"),
            "status": "damaged", "reason": "concealed after lost packets", "regions": None,
        },
        {"type": "gap", "source": "drive.mp4", "index": 3, "time": 0.25, "seconds": 0.05, "reason": "hole"},
        frame_line(**moving, heat=corner, index=3, time=0.3, utc="2026-01-31T12:00:00.3Z"),
        SUMMARY,
    ]  # fmt: skip


@pytest.fixture
def results_file(tmp_path: Path, lines: list[dict[str, Any]]) -> Path:
    """``lines`` as a file."""
    return write_lines(tmp_path / "out" / "detections.jsonl", lines)
