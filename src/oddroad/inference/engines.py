"""The engines that run an exported file, by name."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

from oddroad.card import Card
from oddroad.errors import InputError, pick
from oddroad.inference.host_resize import Run
from oddroad.inference.onnxruntime_engine import onnxruntime_engine
from oddroad.inference.openvino_engine import openvino_engine

ENGINES: dict[str, Callable[..., tuple[Card, Run]]] = {
    "onnxruntime": onnxruntime_engine,
    "openvino": openvino_engine,
}


def choose_engine(engine: str) -> str:
    """The engine that "auto" stands for: ONNX Runtime, which starts fastest and is always installed.

    Raises:
        InputError: if the engine does not exist or is not installed.
    """
    if engine == "auto":
        return "onnxruntime"
    pick(ENGINES, engine, "engine")
    if importlib.util.find_spec(engine) is None:
        raise InputError(f"engine '{engine}' is not installed; run: pip install 'oddroad[{engine}]'")
    return engine
