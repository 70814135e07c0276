"""The verb ``benchmark``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from oddroad.cli.common import EngineName, JsonTo, parse_size, say, write_json
from oddroad.errors import InputError


def benchmark(
    models: Annotated[tuple[str, ...], tyro.conf.Positional] = ("default",),
    /,
    size: str = "512x1024",
    engine: tuple[EngineName, ...] = ("auto",),
    precision: tuple[Literal["float32", "bfloat16"], ...] = ("float32",),
    mode: tuple[str, ...] = ("eager",),
    device: str = "cpu",
    threads: int | None = None,
    seconds: float = 5.0,
    video: Path | None = None,
    json: JsonTo = None,
) -> None:
    """Measure how fast detectors are: every stage, end to end, with memory, processor, versions and precision.

    Example: oddroad benchmark default mine.onnx --engine onnxruntime openvino --precision float32 bfloat16

    The last line is all of it as JSON. Combinations that cannot be are named with the reason.

    Args:
        models: oddroad .onnx files, "default", or checkpoints (.ckpt), which PyTorch runs.
        size: HxW of the frames.
        engine: of .onnx files: what runs the network.
        precision: of .onnx files: what is computed in, apart from what the file itself does in INT8.
        mode: of checkpoints: eager, channels_last, bfloat16, compiled, compiled_bfloat16, and on CUDA cuda_graph.
        device: of checkpoints: cpu or cuda.
        threads: by default every core.
        seconds: that each measurement takes, about; there are four for each combination of an .onnx file.
        video: of .onnx files: frames to measure on, at their own size; by default a rendered drive.
        json: FILE for the JSON that is printed at the end.
    """
    import itertools
    import tempfile
    from json import dumps

    from oddroad.benchmarking import end_to_end as bench

    if seconds <= 0:
        raise InputError(f"--seconds is {seconds}; expected more than 0")
    if threads is not None and threads < 1:
        raise InputError(f"--threads is {threads}; expected 1 or more")
    sides = parse_size(size)
    if sides is None:
        raise InputError("--size is 'any'; expected the height and width of the frames, such as 512x1024")
    if video is not None and not video.is_file():
        raise InputError(f"no such video: '{video}'")
    settings: list[tuple[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        clip = video or Path(folder) / "drive.mp4"
        if video is None and any(not each.endswith(".ckpt") for each in models):
            bench.render(clip, sides)
        for model in models:
            if model.endswith(".ckpt"):
                from oddroad.learn.benchmark import Setting

                settings += [
                    ("oddroad.learn.benchmark:measure", Setting(model, each, device, sides, threads, seconds))
                    for each in mode
                ]
                continue
            for how in itertools.product(engine, precision):
                settings.append(
                    ("oddroad.benchmarking.end_to_end:measure", bench.Setting(model, *how, threads, seconds, str(clip)))
                )
        rows: list[dict[str, Any]] = []
        refused: list[str] = []
        for function, setting in settings:
            try:
                rows.append(bench.in_own_process(function, setting))
            except InputError as error:
                refused.append(str(error))
    if not rows:
        raise InputError("; ".join(dict.fromkeys(refused)))
    words = f"'{video.name}'" if video is not None else f"a rendered drive of {size}, {bench.RENDERED} frames, repeated"
    found = bench.document(rows, refused, words)
    say(bench.table(found))
    if json:
        write_json(json, found, indent=1)
    print(dumps(found))
