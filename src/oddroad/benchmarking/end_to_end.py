"""How fast a detector is, end to end and by stage, with all that the figures depend on beside them.

Each combination of model, engine and precision is measured in a process of its own, so that its memory is its own:
first `oddroad detect` as it is, with stages that overlap and a frame for each core at a time; then the same stages one
after another, all cores on one frame; then the engine's own profile divides the model into resize, network and score.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import oddroad
from oddroad.benchmarking.environment import BUSY, CpuContention, latency_summary, peak_memory, processor, versions
from oddroad.benchmarking.profile import PARTS, parts
from oddroad.concurrency import available_cores
from oddroad.detection.frame import FrameProcessor
from oddroad.detection.pipeline import MOST_TOGETHER, run, timed
from oddroad.detection.settings import Settings
from oddroad.errors import InputError, counted
from oddroad.inference.model import Model
from oddroad.io.sources import Source
from oddroad.io.video import probe, read
from oddroad.io.video_writer import VideoWriter
from oddroad.synthetic.scenes import drive
from oddroad.types import Frame

WARM_UP = 5
"""Frames at the beginning of each measurement that do not count."""


AT_LEAST = 5
"""Frames that count, however slow they are."""


RENDERED = 12
"""Frames of the rendered drive that is measured on where no video is given; it is repeated."""


STAGES = ("decode", *PARTS, "model", "regions", "draw", "write", "frame")
"""Rows of the table. ``model`` is the call as a whole, of which resize, network and score are parts; ``frame`` is
decode, model, regions, draw and write one after another."""


@dataclass(frozen=True)
class Setting:
    """One combination to measure.

    Attributes:
        model: path of an oddroad .onnx file, or "default".
        engine: "auto", "onnxruntime", "openvino".
        precision: "float32", "bfloat16".
        threads: number of threads; None for every core.
        seconds: that each of the measurements takes, about.
        video: path of the video.
    """

    model: str
    engine: str
    precision: str
    threads: int | None
    seconds: float
    video: str


def render(path: Path, size: tuple[int, int], rate: float = 25.0) -> None:
    """Write a short rendered drive with anomalies as a video of a size (H, W)."""
    video = VideoWriter(path, rate)
    for each in drive(seed=0, frames=RENDERED, size=size, rate=rate):
        video.write(each.image)
    video.close()


def level_for(model: Model, image: np.ndarray) -> tuple[float, str]:
    """A threshold and where it comes from: the card, or else the highest 1 % of the pixels of an image."""
    score = model.scores[0]
    if score in model.card.thresholds:
        return model.card.thresholds[score], "of the card"
    return float(
        np.quantile(model(image, score), 0.99)
    ), "exceeded by 1 % of the first frame's pixels, as the card has none"


def overlapped(model: Model, video: str, level: float, seconds: float, save: tuple[str, ...]) -> tuple[float, int]:
    """FPS of `oddroad detect` on the video, repeated for about some seconds, and the number of frames."""
    count, settings = probe(Source("video", video, "clip"))[0] or 1, Settings(threshold=level, save=save)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        first = run(model, [Source("video", video, "first")], Path(folder), settings)
        each = (time.perf_counter() - began) / max(first.frames, 1)
        times = max(math.ceil(seconds / (each * count)), 1)
        sources = [Source("video", video, f"again{number}") for number in range(times)]
        done = run(model, sources, Path(folder), settings)
    return round(done.rate, 2), done.frames


def one_after_another(model: Model, video: str, level: float, seconds: float) -> dict[str, list[float]]:
    """Milliseconds of each stage of each frame of the video, repeated for about some seconds, without overlap.

    Args:
        model: the detector.
        video: path of the video.
        level: the threshold.
        seconds: for about how long.

    Returns:
        the stages from decode to write and ``frame``, their sum; the first WARM_UP frames do not count.
    """
    found: dict[str, list[float]] = {stage: [] for stage in ("decode", "model", "regions", "draw", "write", "frame")}
    processor, number, began = FrameProcessor(model, threshold=level), 0, time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        out = VideoWriter(Path(folder) / "out.mp4", 25.0)
        while number < WARM_UP + AT_LEAST or time.perf_counter() - began < seconds:
            for frame, decode in timed(read([Source("video", video, "clip")])):
                judged = processor.judge(frame, decode)
                drawn = processor.draw(judged)
                start = time.perf_counter()
                out.write(drawn)
                spent = judged.milliseconds | {"write": (time.perf_counter() - start) * 1e3}
                number += 1
                if number == WARM_UP:
                    began = time.perf_counter()
                if number <= WARM_UP:
                    continue
                for stage, value in spent.items():
                    found[stage].append(value)
                found["frame"].append(sum(spent.values()))
                if number >= WARM_UP + AT_LEAST and time.perf_counter() - began > seconds:
                    break
        out.close()
    return found


def first_frames(video: str, count: int) -> list[Frame]:
    """The first frames of a video, repeated where it is shorter.

    Raises:
        InputError: if it cannot be read.
    """
    found: list[Frame] = []
    for frame in read([Source("video", video, "clip")]):
        found.append(frame)
        if len(found) == min(count, 8):  # more would cost memory
            break
    return [found[number % len(found)] for number in range(count)]


def measure(setting: Setting) -> dict[str, Any]:
    """One combination, measured in this process.

    Raises:
        InputError: if the model, engine or precision cannot be used.
    """
    contention, began = CpuContention(), time.perf_counter()
    how = (setting.model, setting.engine, setting.threads, setting.precision)
    model = Model(*how, parallel=min(setting.threads or available_cores(), MOST_TOGETHER))
    loaded = time.perf_counter()
    image = first_frames(setting.video, 1)[0].image
    opened = time.perf_counter()
    level, rule = level_for(model, image)
    model(image)
    first_call = time.perf_counter() - opened
    with_drawing, frames = overlapped(model, setting.video, level, setting.seconds, ("overlay",))
    without, _ = overlapped(model, setting.video, level, setting.seconds, ())
    memory, together = peak_memory(), model.parallel
    model = Model(*how)
    for _ in range(WARM_UP):
        model(image)
    stages = one_after_another(model, setting.video, level, setting.seconds)
    calls = min(max(round(setting.seconds * 1e3 / np.median(stages["model"])), 5), 200)
    images = [frame.image for frame in first_frames(setting.video, WARM_UP + calls)]
    stages |= parts(model, images, model.scores[0], WARM_UP)
    return {
        "model": model.card.name,
        "network": model.card.network,
        "score": model.scores[0],
        "engine": model.engine,
        "precision": model.precision,
        "threads": model.threads,
        "frames_together": together,
        "frame_size": list(image.shape[:2]),
        "network_size": list(model.card.size) if model.card.size else "the frame's",
        "weight_storage": model.card.weight_storage,
        "sha256": model.sha256,
        "threshold": rule,
        "load_ms": round((loaded - began) * 1e3, 1),
        "first_call_ms": round(first_call * 1e3, 1),
        "warm_up_frames": WARM_UP,
        "stages": {stage: latency_summary(stages[stage]) for stage in STAGES if stages.get(stage)},
        "fps_without_overlap": round(1e3 / float(np.mean(stages["frame"])), 2),
        "fps_overlap_overlay": with_drawing,
        "fps_overlap_jsonl_only": without,
        "overlap_frames": frames,
        "peak_mb": round(memory, 1),
        "cpu_contention": contention.share,
    }


def in_own_process(function: str, setting: Any) -> dict[str, Any]:
    """What ``module:function`` returns for a setting, in a new process.

    Raises:
        InputError: with its message, if the function raises one.
        RuntimeError: if the process ends without an answer; the message is the end of what it wrote.
    """
    module, _, name = function.partition(":")
    code = (
        f"from {module} import {name} as measure; from oddroad.benchmarking.end_to_end import answer; answer(measure)"
    )
    places = [str(Path(oddroad.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    given = json.dumps([type(setting).__module__, type(setting).__name__, asdict(setting)])
    done = subprocess.run([sys.executable, "-c", code], input=given, capture_output=True, text=True, env=environment)
    lines = done.stdout.splitlines()
    if done.returncode != 0 or not lines:
        raise RuntimeError(f"the measuring process ended with {done.returncode}: {done.stderr[-800:].strip()}")
    values = json.loads(lines[-1])
    if "refused" in values:
        raise InputError(values["refused"])
    return values


def answer(function: Callable[[Any], dict[str, Any]]) -> None:
    """The other side of ``in_own_process``: read a setting from standard input, print the result as JSON."""
    import importlib

    module, name, values = json.loads(sys.stdin.read())
    try:
        result = function(getattr(importlib.import_module(module), name)(**values))
    except InputError as error:
        result = {"refused": str(error)}
    print(f"\n{json.dumps(result)}")


def document(rows: list[dict[str, Any]], refused: list[str], video: str) -> dict[str, Any]:
    """Everything measured and what it depends on, as one JSON value."""
    return {
        "processor": processor(),
        "versions": versions(),
        "video": video,
        "warm_up_frames": WARM_UP,
        "rows": rows,
        "left_out": refused,
    }


def table(found: dict[str, Any]) -> str:
    """What ``document`` holds, for people."""
    cpu = found["processor"]
    flags = " ".join(cpu["flags"]) or "none of those that matter"
    lines = [
        f"{cpu['name']} ({cpu['family']}), {counted(cpu['cores'], 'core')}, {flags}; {cpu['system']}",
        ", ".join(f"{name} {version}" for name, version in found["versions"].items()),
        f"on {found['video']}; the first {found['warm_up_frames']} frames of each measurement do not count",
    ]
    for row in found["rows"]:
        size = " x ".join(map(str, row["frame_size"]))
        lines += ["", f"{row['model']} ({row['network']}, {row['score']}): {row['engine']}, {row['precision']}, "
                  f"{counted(row['threads'], 'thread')}, frames of {size}"]  # fmt: skip
        lines.append(f"  {'milliseconds':<14}{'median':>9}{'p95':>9}{'p99':>9}{'worst':>9}{'frames':>9}")
        for stage, values in row["stages"].items():
            numbers = "".join(f"{values[key]:9.2f}" for key in ("median", "p95", "p99", "worst"))
            title = f"  {stage}" if stage in PARTS else stage
            lines.append(f"  {title:<14}{numbers}{values['count']:9d}")
        lines += [f"  {each}" for each in footer(row)]
    lines += ["", *(f"left out: {each}" for each in found["left_out"])] if found["left_out"] else []
    return "\n".join(lines)


def footer(row: dict[str, Any]) -> list[str]:
    """What is said below the stages of one row."""
    lines: list[str] = []
    if "fps_overlap_overlay" in row:
        lines.append(
            f"FPS: {row['fps_without_overlap']} without overlap, {row['fps_overlap_overlay']} with overlap "
            f"and overlays, {row['fps_overlap_jsonl_only']} with overlap and detections.jsonl alone; with overlap "
            f"{row['frames_together']} at a time"
        )
    else:
        lines.append(f"FPS: {row['fps_without_overlap']} of network and score alone")
    lines.append(f"peak memory of the process {row['peak_mb']} MB; first call {row['first_call_ms']} ms")
    if "gpu_allocated_mb" in row:
        lines.append(f"memory of the GPU: {row['gpu_allocated_mb']} MB allocated, {row['gpu_reserved_mb']} MB reserved")
    if row["cpu_contention"] is None:
        lines.append("whether other processes were busy is not known on this system")
    elif row["cpu_contention"] > BUSY:
        lines.append(
            f"CPU contended: other processes took {100 * row['cpu_contention']:.0f} % of the processor; measure again "
            "alone"
        )
    return lines
