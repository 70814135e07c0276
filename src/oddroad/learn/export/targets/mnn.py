"""MNN: ``detector.mnn`` in float32, or in INT8 by its own quantiser.

Its command ``mnnconvert`` installs a logging package by the first pip on the path and sends the machine's identity to
the vendor; what it converts by is called here without that.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

PACKAGES = ("MNN==3.6.1", "numpy==2.4.6", "opencv-python-headless==4.13.0.92")
WITH_DEPENDENCIES = False
MEGABYTES = 140
FORMS = ("float32", "float16", "int8")


def refusal() -> str:
    """Why this machine cannot make the file."""
    return ""


def convert(portable: str, folder: str, form: str, pictures: Any) -> None:
    """Convert by the wheel's own library, past the script that sends logs."""
    import json

    import _tools  # type: ignore[import-not-found]
    import numpy as np

    size = ["--fp16"] if form == "float16" else []
    _tools.mnnconvert(
        [
            "mnnconvert",
            "-f",
            "ONNX",
            "--modelFile",
            portable,
            "--MNNModel",
            "detector.mnn",
            "--bizCode",
            "oddroad",
            *size,
        ]
    )
    if not Path("detector.mnn").is_file():
        raise RuntimeError("MNN converted nothing")
    if form == "int8":
        import cv2

        Path("detector.mnn").rename("float.mnn")
        Path("pictures").mkdir()
        for number, picture in enumerate(pictures):
            cv2.imwrite(f"pictures/{number}.png", picture.transpose(1, 2, 0).round().astype(np.uint8)[..., ::-1])
        settings = {
            "format": "RGB", "mean": [0.0, 0.0, 0.0], "normal": [1.0, 1.0, 1.0], "path": "pictures/",
            "width": pictures.shape[3], "height": pictures.shape[2], "used_image_num": len(pictures),
            "feature_quantize_method": "KL", "weight_quantize_method": "MAX_ABS", "model": "float.mnn",
        }  # fmt: skip
        Path("quantise.json").write_text(json.dumps(settings))
        _tools.mnnquant(["mnnquant", "float.mnn", "detector.mnn", "quantise.json"])


def open_file(folder: str, outputs: list[str], threads: int) -> Callable[[Any], list[Any]]:
    """Run by MNN on the processor, in float32 where the file is not INT8."""
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
