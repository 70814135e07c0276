"""The engines that run an exported file, by name."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial
from pathlib import Path

from oddroad.card import Card
from oddroad.errors import InputError, pick
from oddroad.inference.board_files import ENDINGS
from oddroad.inference.host_resize import Run
from oddroad.inference.litert_engine import litert_engine
from oddroad.inference.ncnn_engine import ncnn_engine
from oddroad.inference.onnxruntime_engine import onnxruntime_engine
from oddroad.inference.openvino_engine import openvino_engine

Engine = Callable[..., tuple[Card, Run]]
"""(path, threads, precision, calls at the same time) -> card and run function."""

ENGINES: dict[str, Engine] = {
    "onnxruntime": onnxruntime_engine,
    "openvino": openvino_engine,
}
"""Those of every processor, which the exporter compares and ``oddroad check`` checks."""

ON_DEVICES: dict[str, Engine] = {
    "onnxruntime-cuda": partial(onnxruntime_engine, device="cuda"),
    "onnxruntime-tensorrt": partial(onnxruntime_engine, device="tensorrt"),
    "openvino-gpu": partial(openvino_engine, device="GPU"),
    "openvino-npu": partial(openvino_engine, device="NPU"),
}
"""The same on other devices; refused where there is none."""

SMALL: dict[str, Engine] = {"ncnn": ncnn_engine, "litert": litert_engine}
"""Those of boards, which run files of their own format."""

PACKAGES = {"litert": "ai_edge_litert"}
"""Module of an engine, where it is not the first word of its name."""


def every_engine() -> dict[str, Engine]:
    """All of them, by name."""
    return {**ENGINES, **ON_DEVICES, **SMALL}


def choose_engine(engine: str, path: Path | None = None) -> str:
    """The engine that "auto" stands for: that of the file's format, ONNX Runtime for ``.onnx``.

    Raises:
        InputError: if the engine does not exist, is not installed, or runs no files of this format.
    """
    own = ENDINGS.get(path.suffix, "") if path is not None else ""
    if engine == "auto":
        engine = own or "onnxruntime"
    pick(every_engine(), engine, "engine")
    if path is not None and (engine if engine in SMALL else "") != own:
        formats = {each: f"{ending} files" for ending, each in ENDINGS.items()}
        raise InputError(
            f"engine '{engine}' runs {formats.get(engine, '.onnx files')} and '{path.name}' is none; "
            "give another --model, or leave --engine out"
        )
    package = engine.partition("-")[0]
    if importlib.util.find_spec(PACKAGES.get(package, package)) is None:
        raise InputError(f"engine '{engine}' is not installed; run: pip install 'oddroad[{package}]'")
    return engine
