"""The verb ``detect``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from oddroad.cli.common import default_out, progress_bar, say
from oddroad.errors import InputError

Words = Annotated[tuple[str, ...], tyro.conf.Positional]
"""Any number of words without a flag before them."""


def detect(
    source: Words,
    /,
    model: str = "default",
    score: str | None = None,
    threshold: str | None = None,
    min_area: int | None = None,
    engine: Literal["auto", "onnxruntime", "openvino"] = "auto",
    precision: Literal["float32", "bfloat16"] = "float32",
    every: int = 1,
    min_hits: int = 1,
    latest: bool = False,
    save: tuple[Literal["overlay", "maps", "masks"], ...] = ("overlay",),
    out: Path | None = None,
) -> None:
    """Mark anomalies on the road in images, folders, videos, cameras and streams.

    Example: oddroad detect drive.mp4 --save overlay masks

    Args:
        source: images, folders (those of labels are left out), globs, videos, a camera's number, addresses of
            streams (rtsp, http).
        model: an oddroad .onnx file, "default" for the embedded detector, or "default-fp32" for it in float32.
        score: which of its scores; by default its first.
        threshold: a pixel is anomalous above it: a number in the score's unit, or a target rate, "fpr=0.1%",
            "alarms=1/100frames", "alarms=30/hour"; by default the one of the detector's card.
        min_area: leave out regions of fewer pixels; by default 1 in 10,000 of the image's pixels.
        engine: what runs the network.
        precision: what it computes in, apart from what the file itself does in INT8; bfloat16 needs openvino and a
            processor that has it.
        every: of videos, cameras and streams, judge every n-th frame.
        min_hits: of videos, cameras and streams, report only tracks with at least so many hits.
        latest: of cameras and streams, judge the newest frame and drop older ones instead of falling behind.
        save: what to write beside detections.jsonl. overlay: pictures (a video for a video); maps: scores as .npy;
            masks: anomaly pixels as .png. An empty list writes the jsonl alone.
        out: folder for the results; by default out/NAME, NAME being the first source's.
    """
    from oddroad.calibration.thresholds import threshold_for
    from oddroad.detection.pipeline import frames_together, run
    from oddroad.inference.model import Model
    from oddroad.io.sources import find_sources
    from oddroad.io.video import probe

    sources = find_sources(source)
    detector = Model(model, engine, precision=precision, parallel=frames_together(sources))
    lengths = [probe(each) for each in sources]
    level, found = None, None
    if threshold is not None:
        rates = [rate / max(every, 1) for _, rate in lengths if rate is not None]
        found = threshold_for(detector.card, threshold, detector.pick_score(score), max(rates, default=None))
        level = found.value
    folder = out or default_out(Path(source[0].rstrip("/")).stem or "frames")
    counts = [count for count, _ in lengths]
    total = None if None in counts else sum(-(-(count or 0) // every) for count in counts) if every > 0 else None
    say(
        f"{detector.card.name} on {detector.engine} with {detector.threads} threads, {detector.parallel} "
        f"frame{'s' if detector.parallel > 1 else ''} at a time, in {detector.precision}, "
        f"score {detector.pick_score(score)}"
    )
    say(f"threshold {found.meaning if found is not None else detector.card.threshold_meaning or 'of the card'}")
    with progress_bar(total) as advance:
        summary = run(detector, sources, folder, score, level, min_area, every, save, advance, min_hits, latest)
    say(f"{summary.line()}; results in {folder}")
    if summary.reading.named:
        raise InputError("; ".join(summary.reading.named[:3]))
