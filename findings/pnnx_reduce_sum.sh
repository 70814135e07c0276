#!/usr/bin/env bash
# pnnx drops the axes of ONNX's ReduceSum from opset 13 on, and ncnn then gives back what it got.
#
# Versions: pnnx 20261020, ncnn 1.0.20261020, onnx 1.23.0.
# Input:    a 1x1 convolution to 8 channels, then the sum over the channels (axes [1], keepdims 1).
# Expected: one channel, the sum; or an error for axes that are an input, as they are in ReduceSum since opset 13.
# Seen:     pnnx ends with 0; the layer in the file has no axes (-23303=0); ncnn gives 8 channels, unchanged.
#           ReduceMax and ReduceMean, whose axes are an attribute up to opset 17, are right.
# Cost:     the gates of PIDNet and every score that sums over classes are wrong on the device, without a message.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-deps pnnx==20261020 ncnn==1.0.20261020 numpy==2.4.6
"$folder/venv/bin/pip" install -q onnx==1.23.0
cd "$folder"
cat > make.py <<'PYTHON'
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

rng = np.random.default_rng(0)
weights = rng.normal(size=(8, 3, 1, 1)).astype(np.float32)
np.save("weights.npy", weights)
np.save("image.npy", rng.normal(size=(3, 6, 10)).astype(np.float32))
reduce = {
    "sum": helper.make_node("ReduceSum", ["x", "axes"], ["made"], keepdims=1),
    "max": helper.make_node("ReduceMax", ["x"], ["made"], axes=[1], keepdims=1),
}
for name, node in reduce.items():
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 6, 10])
    made = helper.make_tensor_value_info("made", TensorProto.FLOAT, [1, 1, 6, 10])
    held = [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(np.array([1]), "axes")]
    nodes = [helper.make_node("Conv", ["image", "weights"], ["x"]), node]
    model = helper.make_model(
        helper.make_graph(nodes, "g", [image], [made], held), opset_imports=[helper.make_opsetid("", 13)], ir_version=7
    )
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, f"{name}.onnx")
PYTHON
venv/bin/python make.py
program=$(venv/bin/python -c "import importlib.util as u, pathlib; print(pathlib.Path(u.find_spec('pnnx').origin).parent / 'pnnx')")
"$program" sum.onnx fp16=0 > said && "$program" max.onnx fp16=0 > said
grep Reduction sum.ncnn.param
venv/bin/python - <<'PYTHON'
import ncnn
import numpy as np

weights, image = np.load("weights.npy")[:, :, 0, 0], np.load("image.npy")
channels = np.einsum("oc,chw->ohw", weights, image)


def run(name):
    net = ncnn.Net()
    net.load_param(f"{name}.ncnn.param")
    net.load_model(f"{name}.ncnn.bin")
    extractor = net.create_extractor()
    extractor.input("in0", ncnn.Mat(image).clone())
    return np.array(extractor.extract("out0")[1])


most, total = run("max"), run("sum")
print("the maximum over 8 channels:", most.shape, "off by", np.abs(most.reshape(6, 10) - channels.max(0)).max())
print("the sum over 8 channels:", total.shape, "which is the channels themselves:", np.allclose(total, channels, atol=1e-4))
assert np.allclose(most.reshape(6, 10), channels.max(0), atol=1e-4), "pnnx changed: the maximum is wrong"
assert total.shape == (8, 6, 10) and np.allclose(total, channels, atol=1e-4), "pnnx changed: the sum is one"
PYTHON
