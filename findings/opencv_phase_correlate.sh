#!/usr/bin/env bash
# OpenCV's phaseCorrelate multiplies the pictures that it is given by the window, in place.
#
# Versions: opencv-python-headless 5.0.0.93 (4.10.0.84, 4.12.0.88 and 4.13.0.92 too).
# Input:    two crops of a smooth random picture, 1.5 pixels apart, and a Hanning window, at a size without padding.
# Expected: arrays that are only read stay as they are, and asking twice gives the same answer.
# Seen:     both arrays are changed by the call; the second answer is another one. Where frames are kept from call to
#           call, the earlier one is windowed twice and the later one once.
# Cost:     trackers and stabilisers that keep the last frame measure something else than they ask for; nothing says so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q opencv-python-headless==5.0.0.93
"$folder/venv/bin/python" - <<'PYTHON'
import cv2
import numpy as np

wide = cv2.GaussianBlur(np.random.default_rng(0).uniform(0, 255, (96, 400)).astype(np.float32), (0, 0), 2)
before, after = (cv2.getRectSubPix(wide, (160, 96), (100 + 1.5 * number, 47.5)) for number in range(2))
window = cv2.createHanningWindow((160, 96), cv2.CV_32F)

untouched = before.copy()
with_copies = [cv2.phaseCorrelate(before.copy(), after.copy(), window) for _ in range(3)]
without = [cv2.phaseCorrelate(before, after, window) for _ in range(3)]
print("with copies:   ", with_copies)
print("without copies:", without)
print("the picture was changed:", not np.array_equal(before, untouched))
assert len(set(with_copies)) == 1
assert len(set(without)) == 3, "OpenCV changed: the finding no longer holds"
assert not np.array_equal(before, untouched), "OpenCV changed: the finding no longer holds"
PYTHON
