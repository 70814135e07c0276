"""LiteRT (TensorFlow Lite): ``detector.tflite`` in float32, or with its weights in float16.

Its INT8 by onnx2tf lost the names of the outputs, and was not shown right.

Converted by onnx2tf, which fetches pictures from the network unless a file of the name that it looks for lies in the
working directory: one is put there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

PACKAGES = (
    "onnx2tf==1.29.24", "ai-edge-litert==2.1.0", "tensorflow==2.19.0", "tf_keras==2.19.0", "numpy==1.26.4",
    "onnx==1.19.1", "onnxruntime==1.23.0", "onnxsim==0.4.36", "onnxoptimizer==0.4.2", "onnx_graphsurgeon==0.5.8",
    "opencv-python==4.11.0.86", "simple_onnx_processing_tools==1.1.32", "psutil==5.9.5", "protobuf==4.25.5",
    "h5py==3.11.0", "ml_dtypes==0.5.1", "flatbuffers==25.12.19", "requests==2.32.5", "keras==3.15.1",
    "tensorboard==2.19.0", "setuptools==80.9.0",
)  # fmt: skip
WITH_DEPENDENCIES = True
MEGABYTES = 2400
FORMS = ("float32", "float16")

FETCHED = "calibration_image_sample_data_20x128x128x3_float32.npy"


def refusal() -> str:
    """Why this machine cannot make the file."""
    if sys.version_info[:2] not in ((3, 10), (3, 11), (3, 12)):
        return "TensorFlow 2.19, which converts, runs on Python 3.10 to 3.12"
    return ""


def convert(portable: str, folder: str, form: str, pictures: Any) -> None:
    """Convert by onnx2tf."""
    import numpy as np
    import onnx2tf  # type: ignore[import-not-found]

    np.save(FETCHED, np.full((20, 128, 128, 3), 0.5, np.float32))
    onnx2tf.convert(
        input_onnx_file_path=portable, output_folder_path="made", not_use_onnxsim=True, non_verbose=True,
    )  # fmt: skip
    endings = {"float32": "_float32", "float16": "_float16"}
    (made,) = Path("made").glob(f"*{endings[form]}.tflite")
    made.rename("detector.tflite")


def open_file(folder: str, outputs: list[str], threads: int) -> Callable[[Any], list[Any]]:
    """Run by LiteRT's interpreter; the file takes (1, H, W, 3) and gives (1, C, h, w)."""
    from ai_edge_litert.interpreter import Interpreter  # type: ignore[import-not-found]

    interpreter = Interpreter(f"{folder}/detector.tflite", num_threads=threads)
    signature = interpreter.get_signature_runner("serving_default")  # its outputs have the names of the file's

    def run(image: Any) -> list[Any]:
        found = signature(image=image.transpose(0, 2, 3, 1).copy())
        return [found[name] for name in outputs]

    return run
