"""MNN: ``detector.mnn`` in float32, or with its weights in float16.

Its own quantiser was tried, by the KL divergence on ten pictures: the maps were NaN, or off by 0.9 of their standard
deviation, so there is no INT8 here.

Its command ``mnnconvert`` installs a logging package by the first pip on the path and sends the machine's identity to
the vendor; what it converts by is called here without that.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

PACKAGES = ("MNN==3.6.1", "numpy==2.4.6")
WITH_DEPENDENCIES = False
MEGABYTES = 140
FORMS = ("float32", "float16")


def refusal() -> str:
    """Why this machine cannot make the file."""
    return ""


def convert(portable: str, folder: str, form: str, pictures: Any) -> None:
    """Convert by the wheel's own library, past the script that sends logs."""
    import _tools  # type: ignore[import-not-found]

    size = ["--fp16"] if form == "float16" else []
    files = ["--modelFile", portable, "--MNNModel", "detector.mnn"]
    _tools.mnnconvert(["mnnconvert", "-f", "ONNX", *files, "--bizCode", "oddroad", *size])
    if not Path("detector.mnn").is_file():
        raise RuntimeError("MNN converted nothing")


def open_file(folder: str, outputs: list[str], threads: int) -> Callable[[Any], list[Any]]:
    """Run by MNN on the processor, in float32."""
    import MNN.expr as expr  # type: ignore[import-not-found]
    import MNN.nn as nn  # type: ignore[import-not-found]

    how = {"backend": "CPU", "precision": "high", "numThread": threads}
    manager = nn.create_runtime_manager((how,))
    net = nn.load_module_from_file(f"{folder}/detector.mnn", ["image"], outputs, runtime_manager=manager)

    def run(image: Any) -> list[Any]:
        given = expr.placeholder(list(image.shape), expr.NCHW, expr.float)
        given.write(image)
        return [expr.convert(each, expr.NCHW).read() for each in net.onForward([given])]

    return run
