#!/usr/bin/env bash
# MNN's command mnnconvert installs a package by the first pip on the PATH, and then sends what it did to its vendor.
#
# Versions: MNN 3.6.1, onnx 1.23.0.
# Input:    a convolution of ONNX opset 13; a pip first on the PATH that only writes down what it was asked for.
# Expected: a converter reads a file and writes a file.
# Seen:     'pip install -U aliyun-log-python-sdk' runs on every call until it succeeds, into whatever environment that
#           pip belongs to; MNN/tools/utils/log.py holds an address in base64 and reads /etc/machine-id for the message.
#           The library below it, _tools.mnnconvert, does neither.
# Cost:     a build machine changes its packages and tells a third party which model was converted when.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q MNN==3.6.1 onnx==1.23.0
mkdir "$folder/first"
printf '#!/bin/sh\necho "$@" >> "%s/asked"\nexit 1\n' "$folder" > "$folder/first/pip"
chmod +x "$folder/first/pip"
cd "$folder"
venv/bin/python - <<'PYTHON'
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

image, made = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 3, 8, 8]) for n in ("image", "made"))
weights = numpy_helper.from_array(np.ones((3, 3, 1, 1), np.float32), "weights")
graph = helper.make_graph([helper.make_node("Conv", ["image", "weights"], ["made"])], "g", [image], [made], [weights])
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7), "small.onnx")
PYTHON
export http_proxy=http://127.0.0.1:9 https_proxy=http://127.0.0.1:9
PATH="$folder/first:$PATH" venv/bin/mnnconvert -f ONNX --modelFile small.onnx --MNNModel small.mnn --bizCode x > said 2>&1 || true
echo "mnnconvert asked pip for: $(cat asked)"
grep -q "install -U aliyun-log-python-sdk" asked || { echo "MNN changed: it installs nothing"; exit 1; }
log=$(venv/bin/python -c "import importlib.util as u, pathlib; print(pathlib.Path(u.find_spec('MNN').origin).parent / 'tools/utils/log.py')")
grep -q "/etc/machine-id" "$log" || { echo "MNN changed: it does not read the machine's identity"; exit 1; }
echo "its logger reads /etc/machine-id and posts to $(venv/bin/python - "$log" <<'PYTHON'
import base64, re, sys
(place,) = re.findall(r"_endpoint = base64.urlsafe_b64decode\(b'([^']+)'", open(sys.argv[1]).read())
print(base64.urlsafe_b64decode(place).decode())
PYTHON
)"
rm asked small.mnn
PATH="$folder/first:$PATH" venv/bin/python -c "
import _tools
_tools.mnnconvert(['mnnconvert', '-f', 'ONNX', '--modelFile', 'small.onnx', '--MNNModel', 'small.mnn', '--bizCode', 'x'])" > said 2>&1
test -s small.mnn && test ! -e asked && echo "the library below it converts without either"
