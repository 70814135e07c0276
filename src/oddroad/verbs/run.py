"""Verbs that run a detector: detect, demo, info."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from oddroad.errors import InputError
from oddroad.verbs.common import default_out, progress_bar

Words = Annotated[tuple[str, ...], tyro.conf.Positional]
"""Any number of words without a flag before them."""


def detect(
    source: Words,
    /,
    model: str = "default",
    score: str | None = None,
    threshold: str | None = None,
    smallest: int | None = None,
    engine: Literal["auto", "onnxruntime", "openvino"] = "auto",
    precision: Literal["float32", "bfloat16"] = "float32",
    every: int = 1,
    persist: int = 1,
    latest: bool = False,
    save: tuple[Literal["overlay", "maps", "masks"], ...] = ("overlay",),
    out: Path | None = None,
) -> None:
    """Mark what does not belong on the road, in images, folders, videos, cameras and streams.

    Example: oddroad detect drive.mp4 --save overlay masks

    Args:
        source: images, folders (those of labels are left out), globs, videos, a camera's number, addresses of
            streams (rtsp, http).
        model: an .onnx file of ours, "default" for the embedded detector, or "default-fp32" for it in float32.
        score: which of its scores; by default its first.
        threshold: a pixel is odd above it: a number in the score's unit, or what it shall promise, "fpr=0.1%",
            "alarms=1/100frames", "alarms=30/hour", from known frames; by default the one of the detector's card.
        smallest: leave out regions of fewer pixels; by default 1 in 10,000 of the image's pixels.
        engine: what runs the network.
        precision: what it computes in, apart from what the file itself does in 8 bits; bfloat16 needs openvino and a
            processor that has it.
        every: of videos, cameras and streams, judge every n-th frame.
        persist: of videos, cameras and streams, report only what has been seen in so many frames.
        latest: of cameras and streams, judge the newest frame and drop older ones instead of falling behind.
        save: what to write beside detections.jsonl. overlay: pictures (a video for a video); maps: scores as .npy;
            masks: odd pixels as .png. An empty list writes the jsonl alone.
        out: folder for the results; by default out/NAME, NAME being the first source's.
    """
    from oddroad.detect import frames_together, run
    from oddroad.frames import find_sources, probe
    from oddroad.runtime import Model
    from oddroad.thresholds import threshold_for

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
    print(
        f"{detector.card.name} on {detector.engine} with {detector.threads} threads, {detector.parallel} "
        f"frame{'s' if detector.parallel > 1 else ''} at a time, in {detector.precision}, "
        f"score {detector.pick_score(score)}"
    )
    print(f"threshold {found.meaning if found is not None else detector.card.threshold_rule or 'of the card'}")
    with progress_bar(total) as advance:
        summary = run(detector, sources, folder, score, level, smallest, every, save, advance, persist, latest)
    print(f"{summary.line()}; results in {folder}")
    if summary.reading.named:
        raise InputError("; ".join(summary.reading.named[:3]))


def demo(
    out: Path = Path("demo"), seed: int = 0, frames: int = 150, model: str = "default", engine: str = "auto"
) -> None:
    """Render a drive with odd objects on the road, detect on it, and write a video, a contact sheet and figures.

    Example: oddroad demo --out demo --seed 3

    Args:
        out: folder for demo.mp4, contact_sheet.jpg and demo.json.
        seed: of the drive.
        frames: its length.
        model: an .onnx file of ours, or "default".
        engine: what runs the network: auto, onnxruntime, openvino.
    """
    from oddroad.demo import demo as run_demo
    from oddroad.runtime import Model

    detector = Model(model, engine)
    with progress_bar(frames) as advance:
        values = run_demo(detector, out, seed, frames, progress=advance)
    print(
        f"AP {100 * values['ap']:.1f} %, FPR95 {100 * values['fpr95']:.2f} % "
        f"(odd pixels: {100 * values['prevalence']:.2f} %), {values['frames_a_second']:.1f} frames a second on "
        f"{values['engine']} while the drive was rendered beside it ('oddroad benchmark' measures alone)"
    )
    print(f"look at {out / 'contact_sheet.jpg'} and {out / 'demo.mp4'}")


def info(model: Annotated[str, tyro.conf.Positional] = "default", json: bool = False) -> None:
    """Print the card of a detector: what it is, what it was trained on, how well it does, and its limits.

    Example: oddroad info my_detector.onnx

    Args:
        model: an .onnx file of ours, "default" for the embedded detector, or "default-fp32" for it in float32.
        json: print the card as one JSON object.
    """
    from oddroad.runtime import describe, read_card

    card = read_card(model)
    print(card.to_json() if json else describe(card))
