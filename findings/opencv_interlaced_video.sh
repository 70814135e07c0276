#!/usr/bin/env bash
# OpenCV reads interlaced video as black pictures, and says that every read worked.
#
# Versions: opencv-python-headless 5.0.0.93 (4.13.0.92 and 4.14.0.94 too; 4.12.0.88 is right); av 18.1.0 as reference.
# Input:    ten grey frames in H.264 flagged as interlaced, as dashcams, DV and AVCHD give them.
# Expected: grey pictures, or read() returning False.
# Seen:     ten times True with a black picture (whatever lay in the memory); PyAV gives the grey of the file. The
#           only sign is a line of FFmpeg on stderr, "Cannot convert interlaced to progressive frames or vice versa".
# Cost:     a detector that is fed by cv2.VideoCapture reports "nothing on the road" for the whole drive.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q opencv-python-headless==5.0.0.93 av==18.1.0
cd "$folder"
venv/bin/python - <<'PYTHON'
import av
import cv2
import numpy as np

with av.open("interlaced.mp4", "w") as file:
    stream = file.add_stream("libx264", rate=25)
    stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
    stream.options = {"x264-params": "tff=1"}
    for number in range(10):
        picture = np.full((240, 320, 3), 80 + 10 * number, np.uint8)
        file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
    file.mux(stream.encode())

with av.open("interlaced.mp4") as file:
    frames = list(file.decode(video=0))
right = [float(frame.to_ndarray(format="rgb24").mean()) for frame in frames]
flagged = [frame.interlaced_frame for frame in frames]

capture, found = cv2.VideoCapture("interlaced.mp4"), []
for _ in range(10):
    good, picture = capture.read()
    found.append((good, None if picture is None else float(picture.mean())))

print("PyAV:  ", [round(value) for value in right], "interlaced:", all(flagged))
print("OpenCV:", found)
assert all(flagged)
assert all(abs(value - (80 + 10 * number)) < 3 for number, value in enumerate(right)), "PyAV changed"
assert all(good and mean < 5 for good, mean in found), "OpenCV changed: the finding no longer holds"
PYTHON
