"""The verb ``detect``."""

from __future__ import annotations

import sys
from datetime import UTC
from pathlib import Path
from typing import Annotated, Literal

import tyro

from oddroad.cli.common import EngineName, default_out, progress_bar, quiet
from oddroad.errors import InputError, counted, printable

Words = Annotated[tuple[str, ...], tyro.conf.Positional]
"""Any number of words without a flag before them."""


def detect(
    source: Words,
    /,
    model: str = "default",
    score: str | None = None,
    threshold: str | None = None,
    min_area: int | None = None,
    roi: str | None = None,
    engine: EngineName = "auto",
    precision: Literal["float32", "bfloat16"] = "float32",
    every: int | None = None,
    min_hits: int | None = None,
    max_age: int | None = None,
    speed: str | None = None,
    latest: bool = False,
    max_frames: int | None = None,
    save: tuple[Literal["overlay", "maps", "masks"], ...] = ("overlay",),
    out: Path | None = None,
    out_per_start: bool = False,
    rotate: str = "",
    stdout: bool = False,
    resume: bool = False,
    heartbeat: float = 60.0,
    drift: str = "1%",
    alpha: float = 0.5,
    no_legend: bool = False,
    side_by_side: bool = False,
    topic: tuple[str, ...] = (),
    stream: int | None = None,
    patience: float = 60.0,
    max_pixels: int = 100_000_000,
) -> None:
    """Mark what does not belong on the road, in images, folders, videos, cameras, streams and driving logs.

    Example: oddroad detect drive.mp4 --save overlay masks

    Args:
        source: images, folders (those of labels are left out), globs, videos, a camera's number, addresses of
            streams (rtsp, http), driving logs (MCAP, ROS bags).
        model: an oddroad .onnx file, "default" for the embedded detector, "default-fp32" for it in float32,
            "accurate" for the slower one of larger sizes, an address or hf:ORG/NAME; each with @sha256:... or without.
        score: which of its scores; by default its first.
        threshold: a pixel is anomalous above it: a number in the score's unit, or a guaranteed rate on in-distribution
            frames, "no-alarms", "alarms=1/100frames", "alarms=6/hour", "alarms=2/100km", "fpr=0.1%"; by default the
            one of its card.
        min_area: leave out regions of fewer pixels; by default as the card was calibrated, which is 1 in 10,000 of the
            image's pixels where nothing else was asked for.
        roi: report nothing outside of this region of interest: "road" (road, sidewalk, and what they enclose), "all",
            corners of a polygon such as "0,1 0.4,0.5 0.6,0.5 1,1" (x,y as shares; or pixels, then the picture's
            size, "@540x960"), or a mask (PNG, 0 outside); by default the one that the card was calibrated with.
        engine: what runs the network.
        precision: what it computes in, apart from what the file itself does in INT8; bfloat16 needs openvino and a
            processor that has it.
        every: of videos, cameras and streams, judge every n-th frame; by default as alarms were counted in the
            calibration, else every one.
        min_hits: of videos, cameras and streams, report only tracks with at least this many hits; by default as alarms
            were counted, else 1.
        max_age: of videos, cameras and streams, frames in a row that a track may miss before it ends; by default as
            alarms were counted, else 2.
        speed: how fast is driven, such as 90km/h, for a threshold of alarms in 100 km.
        latest: of cameras and streams, judge the newest frame and drop older ones instead of falling behind.
        max_frames: stop after so many frames.
        save: what to write beside detections.jsonl. overlay: pictures (a video for a video); maps: scores as .npy;
            masks: anomalous pixels as .png. An empty list writes the jsonl alone.
        out: folder for the results; by default out/NAME, NAME being the first source's.
        out_per_start: write to a folder of its own for each start, named by the time in UTC, below that folder; always
            so for live sources without --out.
        rotate: go on in another folder below it after a time or a size, such as 10min or 500MB.
        stdout: print the lines of detections.jsonl for a pipe; nothing is written to a folder unless --out is given.
        resume: go on with an interrupted run of the same settings, after its last complete line.
        heartbeat: seconds between signs of life in the lines of cameras and streams; 0 for none.
        drift: test whether the frames still look like the drives calibrated on; the rate of false alarms, as a share of
            runs, or "off".
        alpha: opacity of the overlay's colours, 0 to 1.
        no_legend: leave the overlay's legend away.
        side_by_side: the untouched picture beside the overlay.
        topic: of driving logs, the topics to read; with * and ?. By default all with images.
        stream: of files with several video streams, the number of the one to read, from 0.
        patience: seconds that a camera or stream may stay away before it is lost (exit code 3).
        max_pixels: images and videos of more pixels are refused.
    """
    from oddroad.calibration.thresholds import parse_speed, threshold_for
    from oddroad.detection.drawing import Style
    from oddroad.detection.drift_monitor import parse_drift
    from oddroad.detection.own_results import keep_apart
    from oddroad.detection.pipeline import frames_together, run
    from oddroad.detection.promise import completed, said
    from oddroad.detection.settings import Settings, check_settings
    from oddroad.inference.model import Model
    from oddroad.io.reading import ReadOptions, ReadReport
    from oddroad.io.sources import find_sources
    from oddroad.io.video import probe
    from oddroad.roi import Roi

    def tell(words: str) -> None:
        if not quiet():
            print(printable(words), file=sys.stderr if stdout else sys.stdout, flush=True)

    report = ReadReport()
    sources = find_sources(source, topic, report)
    folder = place_for(source[0], sources[0].name, any(each.live for each in sources), out, out_per_start)
    settings = Settings(
        score=score,
        min_area=min_area,
        roi=None if roi is None else Roi.parse(roi),
        every=every,
        save=() if stdout and out is None else save,
        min_hits=min_hits,
        max_age=max_age,
        latest=latest,
        max_frames=max_frames,
        style=Style(alpha, not no_legend, side_by_side),
        rotate=rotate,
        stdout=stdout,
        resume=resume,
        heartbeat=heartbeat,
        drift=parse_drift(drift),
        reading=ReadOptions(stream, patience, max_pixels),
    )
    check_settings(sources, settings)
    sources = keep_apart(sources, folder, report)
    detector = Model(model, engine, precision=precision, parallel=frames_together(sources))
    detector.roi(settings.roi)  # that it cannot be found is said before anything else
    lengths = [probe(each) for each in sources]
    if threshold is None:
        detector.threshold(detector.pick_score(score))  # that there is none is said before anything else
    meaning = detector.card.threshold_meaning or "of the card"
    if threshold is not None:
        at = f"@{parse_speed(speed):g}km/h" if speed is not None and threshold.strip().endswith("km") else ""
        found = threshold_for(detector.card, threshold + at, detector.pick_score(score), min_hits)
        settings, meaning = settings.with_threshold(found.value, found.meaning), found.meaning
    whole, broken = completed(settings, detector.card, sources)
    counts = [count for count, _ in lengths]
    total = None if None in counts else sum(-(-(count or 0) // (whole.every or 1)) for count in counts)
    tell(
        f"{detector.card.name} on {detector.engine} with {counted(detector.threads, 'thread')}, "
        f"{counted(detector.parallel, 'frame')} at a time, in {detector.precision}, "
        f"score {detector.pick_score(score)}"
    )
    tell(f"threshold {said(meaning, broken)}")
    if whole.roi is not None and whole.roi.kind != "all":
        tell(f"nothing is reported outside of {whole.roi.words}")
    with progress_bar(total) as advance:
        summary = run(detector, sources, None if stdout and out is None else folder, settings, advance, report)
    for note in summary.reading.notes:
        tell(note)
    tell(summary.text() + ("" if stdout and out is None else f"; results in {folder}"))
    if summary.reading.named:
        raise InputError("; ".join(summary.reading.named[:3]))


def place_for(word: str, name: str, live: bool, out: Path | None, per_start: bool) -> Path:
    """Folder of the results.

    Args:
        word: the first source as the user gave it.
        name: of the first source, without secrets.
        live: whether a source is live.
        out: the folder that was given.
        per_start: whether each start gets a folder of its own.
    """
    from datetime import datetime

    stem = name if live else Path(name).stem  # the dots of a stream's name are those of its host
    folder = out or default_out(Path(word).resolve().name if Path(word).is_dir() else stem or "frames")
    if per_start or (live and out is None):
        return folder / datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    return folder
