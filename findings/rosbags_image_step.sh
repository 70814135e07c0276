#!/usr/bin/env bash
# rosbags-image takes images with padded rows for images without, and gives a sheared picture.
#
# Versions: rosbags-image 0.10.4 with rosbags 0.11.9.
# Input:    sensor_msgs/Image of 4 x 6 pixels, mono8, whose rows are padded to 8 bytes (step = 8), as drivers with
#           aligned buffers send them.
# Expected: the 4 x 6 pixels: the message says by step where each row begins.
# Seen:     the first 24 bytes as 4 x 6, so that every row is shifted against the last by the padding; no error.
# Cost:     a whole drive of sheared pictures, in which a detector finds nothing, or anything.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "rosbags-image[opencv-headless]==0.10.4" rosbags==0.11.9
cd "$folder"
venv/bin/python - <<'PYTHON'
import numpy as np
from rosbags.image import message_to_cvimage
from rosbags.typesys import Stores, get_typestore

store = get_typestore(Stores.ROS2_HUMBLE)
types = store.types
pixels = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10
padded = np.zeros((4, 8), np.uint8)
padded[:, :6] = pixels
header = types["std_msgs/msg/Header"](
    stamp=types["builtin_interfaces/msg/Time"](sec=0, nanosec=0), frame_id="camera"
)
message = types["sensor_msgs/msg/Image"](
    header=header, height=4, width=6, encoding="mono8", is_bigendian=0, step=8, data=padded.ravel()
)
found = message_to_cvimage(message, "mono8")
print("sent:", *pixels, "found:", *found, sep="\n")
assert np.array_equal(found, padded.ravel()[:24].reshape(4, 6)), "rosbags-image changed"
assert not np.array_equal(found, pixels)
PYTHON
