#!/usr/bin/env bash
# torch.set_flush_denormal reaches the calling thread alone: one product comes out flushed in one half and not in the other.
#
# Version:  torch 2.13.0 (large: some 200 MB without CUDA), x86 with two cores.
# Input:    a million float32 numbers of 1e-40, times 1.0, with two threads.
# Expected: after set_flush_denormal(True) all results are 0, as its documentation says of the processor.
# Seen:     where any parallel operation ran before, half of them are; called before the first one, all are, for a new
#           thread takes over the mode of the one that makes it. The call returns True both times.
# Cost:     weight decay leaves dead channels with such weights. Training from the published ERFNet, which holds 2158
#           of them, took two to three times as long; with the call made late, the other threads stay as slow.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy
cat > "$folder/share.py" <<'PYTHON'
import sys

import numpy as np
import torch

torch.set_num_threads(2)
numbers = torch.from_numpy(np.full(1 << 20, 1e-40, np.float32))
if sys.argv[1] == "late":
    assert (numbers * 1.0).min() > 0  # the first parallel operation makes the other thread
assert torch.set_flush_denormal(True)
found = numbers * 1.0
torch.set_flush_denormal(False)
print(int((found.numpy() == 0).sum()) / found.numel())
PYTHON
early=$("$folder/venv/bin/python" "$folder/share.py" early)
late=$("$folder/venv/bin/python" "$folder/share.py" late)
echo "share of the results that are 0: set before the first parallel operation $early, after it $late"
[ "$early" = 1.0 ] || { echo "torch changed: set first, it no longer reaches all threads"; exit 1; }
[ "$late" = 0.5 ] || { echo "torch changed: set later, it reaches $late of the results"; exit 1; }
