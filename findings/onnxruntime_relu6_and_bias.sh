#!/usr/bin/env bash
# ONNX Runtime's static quantiser, asked for convolutions, sums and ReLUs, rounds a convolution before its ReLU6, and writes a
# bias whose scale and zero point have different shapes.
#
# Versions: onnxruntime 1.32.0, onnx 1.23.0.
# Input:    a 1x1 convolution with one output channel, a Clip from 0 to 6 (ReLU6), another such convolution.
# Expected: as for Relu, one QuantizeLinear behind the activation, of range 6; scale and zero point of one shape, as ONNX wants.
# Seen:     without "Clip" in op_types_to_quantize the values before it are quantised too, by their whole range (here 70, so
#           that what ReLU6 keeps gets 22 of 256 levels); with it, not. per_channel: bias scale of shape (1,), zero point ().
# Cost:     an EfficientNet-Lite's maps were off by 0.44 of their standard deviation instead of 0.06, and slower by half; a
#           WebGPU runtime refuses the file for the shapes. No warning for either.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q onnxruntime==1.32.0 onnx==1.23.0
cd "$folder"
venv/bin/python - <<'PYTHON'
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import quantization as ort

held = {
    "w1": np.full((1, 1, 1, 1), 70, np.float32), "b1": np.array([-1], np.float32), "low": np.array(0, np.float32),
    "high": np.array(6, np.float32), "w2": np.ones((1, 1, 1, 1), np.float32), "b2": np.array([0.5], np.float32),
}
nodes = [
    helper.make_node("Conv", ["image", "w1", "b1"], ["wide"], "first"),
    helper.make_node("Clip", ["wide", "low", "high"], ["kept"], "relu6"),
    helper.make_node("Conv", ["kept", "w2", "b2"], ["map"], "second"),
]
values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 8, 8]) for name in ("image", "map")]
graph = helper.make_graph(
    nodes, "relu6", values[:1], values[1:], [numpy_helper.from_array(each, name) for name, each in held.items()]
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
onnx.checker.check_model(model)
onnx.save(model, "float.onnx")


class Reader(ort.CalibrationDataReader):
    def __init__(self):
        self.images = iter([np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 1, 8, 8)])

    def get_next(self):
        image = next(self.images, None)
        return None if image is None else {"image": image}


def quantised(kinds):
    ort.quantize_static(
        "float.onnx", "int8.onnx", Reader(), quant_format=ort.QuantFormat.QDQ, op_types_to_quantize=kinds,
        per_channel=True, activation_type=ort.QuantType.QUInt8, weight_type=ort.QuantType.QInt8,
    )
    found = onnx.load("int8.onnx").graph
    held = {each.name: numpy_helper.to_array(each) for each in found.initializer}
    scales = {
        node.input[0]: float(held[node.input[1]]) for node in found.node
        if node.op_type == "QuantizeLinear" and node.input[0] in ("wide", "kept")
    }
    bias = next(n for n in found.node if n.op_type == "DequantizeLinear" and n.input[0].startswith("b2"))
    return scales, held[bias.input[1]].shape, held[bias.input[2]].shape


without, scale, zero = quantised(["Conv", "Add", "Relu"])
with_clip, _, _ = quantised(["Conv", "Add", "Relu", "Clip"])
print("scales of what is rounded, without and with Clip:", without, with_clip)
print("shapes of the bias's scale and zero point:", scale, zero)
assert without["wide"] > 0.25, "onnxruntime changed: what stands before ReLU6 is not rounded by its whole range"
assert "wide" not in with_clip, "onnxruntime changed: with Clip in the list, too, what stands before it is rounded"
assert (scale, zero) == ((1,), ()), "onnxruntime changed: the shapes"
PYTHON
