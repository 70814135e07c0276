"""Rockchip's NPUs: ``detector.rknn`` for RK3588 in float16, or in INT8 by its own quantiser; run in its simulator."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from typing import Any

PACKAGES = (
    "rknn-toolkit2==2.5.0", "onnx==1.18.0", "onnxruntime==1.26.0", "numpy==1.26.4", "torch==2.4.0",
    "protobuf==4.25.4", "opencv-python==4.11.0.86", "setuptools==80.9.0",
)  # fmt: skip
WITH_DEPENDENCIES = True
MEGABYTES = 5500
FORMS = ("float16", "int8")

PLATFORM = "rk3588"
"""The chip; the toolkit's simulator computes as it does."""


def refusal() -> str:
    """Why this machine cannot make the file."""
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"):
        return "rknn-toolkit2 runs on Linux on x86-64 and ARM64"
    if not (3, 8) <= sys.version_info[:2] <= (3, 12):
        return "rknn-toolkit2 2.5 runs on Python 3.8 to 3.12"
    return ""


def toolkit(portable: str, form: str, pictures: Any) -> Any:
    """The toolkit with the network built."""
    import numpy as np
    from rknn.api import RKNN  # type: ignore[import-not-found]

    made = RKNN(verbose=False)
    made.config(mean_values=[[0, 0, 0]], std_values=[[1, 1, 1]], target_platform=PLATFORM)
    dataset = None
    if form == "int8":
        dataset = "pictures.txt"
        for number, each in enumerate(pictures):
            np.save(f"picture{number}.npy", each[None])
        with open(dataset, "w") as listed:
            listed.write("".join(f"picture{number}.npy\n" for number in range(len(pictures))))
    if made.load_onnx(portable) or made.build(do_quantization=form == "int8", dataset=dataset):
        raise RuntimeError("rknn-toolkit2 cannot build the network")
    return made


KEPT: dict[str, Any] = {}
"""The toolkit of the last conversion: its simulator runs what it has built, and no file."""


def convert(portable: str, folder: str, form: str, pictures: Any) -> None:
    """Build, and export for the chip."""
    made = toolkit(portable, form, pictures)
    if made.export_rknn("detector.rknn"):
        raise RuntimeError("rknn-toolkit2 cannot write the file")
    KEPT[folder] = made


def open_file(folder: str, outputs: list[str], threads: int) -> Callable[[Any], list[Any]]:
    """Run in the toolkit's simulator."""
    made = KEPT[folder]
    if made.init_runtime():
        raise RuntimeError("rknn-toolkit2's simulator does not start")
    return lambda image: made.inference(inputs=[image], data_format=["nchw"])
