#!/usr/bin/env bash
# OpenVINO reads the ONNX operator Resize with antialias=1 and computes it without, in silence.
#
# Versions: openvino 2026.4.0, onnxruntime 1.32.0, onnx 1.23.0.
# Input:    noise from 0 to 1, made 4 times smaller by Resize (linear, half_pixel, antialias=1, opset 18).
# Expected: each pixel a mean over its surroundings, as ONNX Runtime computes it, or an error for the attribute.
# Seen:     the mean of 4 of the 16 pixels, as without antialias; 0.1 off on average. No warning, no error.
# Cost:     a network that was trained on antialiased pictures sees aliased ones in the car, on this engine only.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q openvino==2026.4.0 onnxruntime==1.32.0 onnx==1.23.0
cd "$folder"
venv/bin/python - <<'PYTHON'
import numpy as np
import onnx
import onnxruntime
import openvino
from onnx import TensorProto, helper

size = [1, 1, 8, 8]
graph = helper.make_graph(
    [
        helper.make_node(
            "Resize", ["image", "", "", "sizes"], ["small"],
            mode="linear", coordinate_transformation_mode="half_pixel", antialias=1,
        )
    ],
    "shrink",
    [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, 32, 32])],
    [helper.make_tensor_value_info("small", TensorProto.FLOAT, size)],
    [helper.make_tensor("sizes", TensorProto.INT64, [4], size)],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
onnx.checker.check_model(model)
onnx.save(model, "shrink.onnx")
image = np.random.default_rng(0).random((1, 1, 32, 32), np.float32)
(right,) = onnxruntime.InferenceSession("shrink.onnx").run(None, {"image": image})
found = openvino.Core().compile_model("shrink.onnx", "CPU")(image)[0]
by_hand = np.array([image[0, 0, y : y + 2, x : x + 2].mean() for y in range(1, 32, 4) for x in range(1, 32, 4)])
print("OpenVINO differs from ONNX Runtime by", np.abs(found - right).max(), "(mean", np.abs(found - right).mean(), ")")
print("from linear interpolation without antialiasing by", np.abs(found.ravel() - by_hand).max())
assert np.abs(found - right).max() > 0.1, "OpenVINO changed: it antialiases"
assert np.abs(found.ravel() - by_hand).max() < 0.01, "OpenVINO changed: it computes something else"
PYTHON
