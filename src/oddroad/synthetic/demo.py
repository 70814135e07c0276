"""The demonstration: a real drive with rendered things on the road, as a video, a contact sheet and figures."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from oddroad.concurrency import prefetch
from oddroad.detection.drawing import contact_sheet
from oddroad.detection.frame import FrameProcessor
from oddroad.detection.summary import Summary
from oddroad.detection.tracking import ConfirmedTracks
from oddroad.errors import InputError
from oddroad.files import write_whole
from oddroad.inference.model import Model
from oddroad.io.images import write_image
from oddroad.io.video_writer import VideoWriter
from oddroad.metrics import PixelMetric
from oddroad.synthetic.motorway_drive import CLIP_FRAMES, CLIP_RATE, motorway_drive
from oddroad.types import ANOMALY

SHEET = 9
"""Pictures of the contact sheet."""


def demo(
    model: Model,
    out: Path,
    seed: int = 0,
    frames: int = CLIP_FRAMES,
    progress: Callable[[Summary], None] | None = None,
) -> dict[str, Any]:
    """Detect on the motorway drive and write ``demo.mp4``, ``contact_sheet.jpg`` and ``demo.json``.

    Args:
        model: the detector.
        out: folder for the files.
        seed: chooses which thing lies where.
        frames: length of the drive; the clip has 150.
        progress: called after each frame.

    Returns:
        what ``demo.json`` holds: AP and FPR95 (fractions) of the pixels of the drive, the prevalence of anomalous ones,
        FPS, frames with a region, how many of the frames with a thing of 200 pixels or more show a region on one, and
        how many regions lie on none.

    Raises:
        InputError: if the folder cannot be written, or the clip has not as many frames.
    """
    if not 1 <= frames <= CLIP_FRAMES:
        raise InputError(f"--frames is {frames}; expected 1 to {CLIP_FRAMES}, the length of the clip")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to '{out}': {error.strerror}; choose another folder with --out") from None
    partial = out / ".demo.partial.mp4"
    video, processor, tracks = VideoWriter(partial, CLIP_RATE, "veryfast"), FrameProcessor(model), ConfirmedTracks(1)
    metric, summary, shown = PixelMetric(), Summary(), list[np.ndarray]()
    with_thing = found = elsewhere = 0
    chosen = set(np.linspace(frames // 18, frames - 1 - frames // 18, min(frames, SHEET)).astype(int).tolist())
    try:
        for number, frame in enumerate(prefetch(motorway_drive(seed, frames))):
            began = time.perf_counter()
            judged = processor.judge(frame)
            assert judged.heat is not None
            assert judged.regions is not None
            judged.regions, judged.tracks = tracks(frame, judged.regions)
            drawn = processor.draw(judged)
            video.write(drawn, frame.time)
            summary.seconds += time.perf_counter() - began
            assert frame.label is not None
            metric.add(judged.heat, frame.label)
            hits = [touches(frame.label, each.box) for each in judged.regions]
            with_thing += large_thing(frame.label)
            found += large_thing(frame.label) and any(hits)
            elsewhere += len(hits) - sum(hits)
            summary.frames += 1
            summary.with_regions += bool(judged.regions)
            if number in chosen:
                shown.append(drawn)
            if progress is not None:
                progress(summary)
        video.close()
        partial.replace(out / "demo.mp4")
    finally:
        video.close()
        partial.unlink(missing_ok=True)
    write_image(out / "contact_sheet.jpg", contact_sheet(shown, 3, 640))
    figures = metric.result()
    values = {
        "frames": summary.frames,
        "frames_with_regions": summary.with_regions,
        "frames_with_a_thing": with_thing,
        "frames_with_a_thing_found": found,
        "regions_elsewhere": elsewhere,
        "fps": round(summary.rate, 2),
        "ap": figures["ap"],
        "fpr95": figures["fpr95"],
        "prevalence": figures["prevalence"],
        "model": model.card.name,
        "engine": model.engine,
        "score": processor.score,
        "threshold": processor.threshold,
        "seed": seed,
    }
    write_whole(out / "demo.json", (json.dumps(values, indent=1) + "\n").encode(), "figures of the demo")
    return values


def touches(label: np.ndarray, box: tuple[int, int, int, int]) -> bool:
    """Whether a box holds a pixel of a thing."""
    x0, y0, x1, y1 = box
    return bool((label[y0:y1, x0:x1] == ANOMALY).any())


def large_thing(label: np.ndarray) -> bool:
    """Whether a thing covers 200 pixels or more, which is a box of half a metre some 35 metres ahead."""
    _, _, stats, _ = cv2.connectedComponentsWithStats((label == ANOMALY).view(np.uint8))
    return bool((stats[1:, cv2.CC_STAT_AREA] >= 200).any())
