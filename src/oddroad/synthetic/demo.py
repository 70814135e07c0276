"""The demonstration: render a drive with odd objects, detect on it, and write a video, a contact sheet and figures."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from oddroad.concurrency import prefetch
from oddroad.detection.drawing import contact_sheet
from oddroad.detection.frame import FrameProcessor
from oddroad.detection.summary import Summary
from oddroad.errors import InputError
from oddroad.inference.model import Model
from oddroad.io.images import write_image
from oddroad.io.video_writer import VideoWriter
from oddroad.metrics import PixelMetric
from oddroad.synthetic.scenes import drive

RATE = 25.0


def demo(
    model: Model,
    out: Path,
    seed: int = 0,
    frames: int = 150,
    size: tuple[int, int] = (540, 960),
    progress: Callable[[Summary], None] | None = None,
) -> dict[str, Any]:
    """Detect on a rendered drive and write ``demo.mp4``, ``contact_sheet.jpg`` and ``demo.json``.

    Args:
        model: the detector.
        out: folder for the files.
        seed: of the drive.
        frames: its length.
        size: (H, W) of its images.
        progress: called after each frame.

    Returns:
        what ``demo.json`` holds: AP and FPR95 (fractions) of the pixels of the drive, its prevalence, frames a second.

    Raises:
        InputError: if the folder cannot be written or there are no frames.
    """
    if frames < 1:
        raise InputError(f"--frames is {frames}; expected 1 or more")
    try:
        out.mkdir(parents=True, exist_ok=True)
        video = VideoWriter(out / "demo.mp4", RATE)
    except OSError as error:
        raise InputError(f"cannot write to '{out}': {error.strerror}; choose another folder with --out") from None
    processor = FrameProcessor(model)
    score, threshold = processor.score, processor.threshold
    metric, summary, spent = PixelMetric(), Summary(), 0.0
    shown: list[np.ndarray] = []
    chosen = set(np.linspace(0, frames - 1, min(frames, 9)).astype(int).tolist())
    try:
        for number, frame in enumerate(prefetch(drive(seed, frames, size, RATE))):
            began = time.perf_counter()
            judged = processor.judge(frame)
            drawn = processor.draw(judged)
            video.write(drawn)
            spent += time.perf_counter() - began
            assert frame.label is not None
            assert judged.heat is not None
            metric.add(judged.heat, frame.label)
            summary.frames += 1
            summary.with_regions += bool(judged.regions)
            summary.seconds = spent
            if number in chosen:
                shown.append(drawn)
            if progress is not None:
                progress(summary)
    finally:
        video.close()
    write_image(out / "contact_sheet.jpg", contact_sheet(shown, 3, 640))
    figures = metric.result()
    values = {
        "frames": summary.frames,
        "frames_with_findings": summary.with_regions,
        "fps": round(summary.rate, 2),
        "ap": figures["ap"],
        "fpr95": figures["fpr95"],
        "prevalence": figures["prevalence"],
        "model": model.card.name,
        "engine": model.engine,
        "score": score,
        "threshold": threshold,
        "seed": seed,
        "size": list(size),
    }
    (out / "demo.json").write_text(json.dumps(values, indent=1) + "\n")
    return values
