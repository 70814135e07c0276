"""LiteRT (TensorFlow Lite): ``detector.tflite`` in float32 or float16, or in INT8 with float inputs and outputs.

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
FORMS = ("float32", "float16", "int8")

FETCHED = "calibration_image_sample_data_20x128x128x3_float32.npy"


def refusal() -> str:
    """Why this machine cannot make the file."""
    if sys.version_info[:2] not in ((3, 10), (3, 11), (3, 12)):
        return "TensorFlow 2.19, which converts, runs on Python 3.10 to 3.12"
    return ""


def convert(portable: str, folder: str, form: str, pictures: Any) -> None:
    """Convert by onnx2tf; the INT8 ranges come from the pictures."""
    import numpy as np
    import onnx2tf  # type: ignore[import-not-found]

    np.save(FETCHED, np.full((20, 128, 128, 3), 0.5, np.float32))
    options: dict[str, Any] = {}
    if form == "int8":
        np.save("pictures.npy", pictures.transpose(0, 2, 3, 1))
        zero, one = np.zeros((1, 1, 1, 3), np.float32), np.ones((1, 1, 1, 3), np.float32)
        options = {
            "output_integer_quantized_tflite": True, "quant_type": "per-channel",
            "custom_input_op_name_np_data_path": [["image", "pictures.npy", zero.tolist(), one.tolist()]],
        }  # fmt: skip
    onnx2tf.convert(
        input_onnx_file_path=portable, output_folder_path="made", not_use_onnxsim=True, non_verbose=True,
        **options,
    )  # fmt: skip
    endings = {"float32": "_float32", "float16": "_float16", "int8": "_integer_quant"}
    (made,) = [each for each in Path("made").glob(f"*{endings[form]}.tflite") if "full_" not in each.name]
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
