#!/usr/bin/env bash
# A float16 convolution on the processor runs forward as fast as others and backward hundreds of times slower.
#
# Version:  torch 2.13.0 (large: some 200 MB without CUDA), x86 with AVX-512, one thread.
# Input:    3x1 convolution of 64 channels over 8 maps of 32x64, as in ERFNet, in float32 and in float16.
# Expected: torch.autocast takes float16 on the processor: a step costs some factor more or less.
# Seen:     forward 1.2 to 1.8 times float32, backward 200 to 260 times (1.7 s for 7 ms), without a warning.
# Cost:     "mixed precision" of a laptop looks like a hung training.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy
"$folder/venv/bin/python" - <<'PYTHON'
import time

import torch

torch.set_num_threads(1)
took = {}
for kind in (torch.float32, torch.float16):
    images = torch.randn(8, 64, 32, 64).to(kind).contiguous(memory_format=torch.channels_last).requires_grad_()
    layer = torch.nn.Conv2d(64, 64, (3, 1), padding=(1, 0)).to(kind)
    forward, backward = [], []
    for _ in range(4):
        began = time.perf_counter()
        found = layer(images)
        forward.append(time.perf_counter() - began)
        began = time.perf_counter()
        found.backward(torch.ones_like(found))
        backward.append(time.perf_counter() - began)
    took[kind] = min(forward), min(backward)
ratios = [half / single for half, single in zip(took[torch.float16], took[torch.float32], strict=True)]
print(f"float16 to float32, time: forward {ratios[0]:.1f}, backward {ratios[1]:.0f}")
assert ratios[0] < 20, "torch changed, or this processor has no float16: forward is slow too"
assert ratios[1] > 20, "torch changed: backward in float16 is no longer slow"
PYTHON
