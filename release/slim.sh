#!/usr/bin/env bash
# Leave out of an environment what a detector that runs does not need: pip, tests of libraries, tools for training,
# ONNX Runtime's library for C (Python has its own copy), symbols. Usage: slim.sh FOLDER_OF_THE_ENVIRONMENT
set -euo pipefail
packages=$(echo "$1"/lib/python3*/site-packages)
"$1/bin/python" -m pip uninstall --quiet --yes pip
rm -rf "$packages"/{numpy,numpy/*}/tests "$packages"/numpy/f2py
rm -rf "$packages"/onnxruntime/{transformers,quantization,tools,datasets,backend}
rm -f "$packages"/onnxruntime/capi/libonnxruntime.so.*
find "$packages" -name __pycache__ -type d -prune -exec rm -rf {} +
find "$packages" -name '*.pyi' -delete
find "$packages" -name '*.so*' -type f -exec strip --strip-unneeded {} + || true # some are signed by their hash, or odd
"$1/bin/python" -B -c "import cv2, av, numpy, onnxruntime, PIL, oddroad; oddroad.Model()"
