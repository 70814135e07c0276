#!/usr/bin/env bash
# PyAV's seek goes to a key frame at or before the target in MP4, and after it in MPEG-TS.
#
# Versions: av 18.1.0 (FFmpeg 8).
# Input:    the same 10 s of H.264, a key frame a second, as .mp4 and as .ts; seek(target) with its default
#           backward=True to 25 times, then the first decoded frame.
# Expected: a frame at or before the target in both, as the documentation of backward says.
# Seen:     in .mp4 always; in .ts the first frame lies after the target every time, by up to a group of pictures.
# Cost:     "seek, then decode up to the time" silently leaves frames out in recordings of dashcams and streams.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q av==18.1.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import av
import numpy as np


def write(name):
    rng = np.random.default_rng(0)
    with av.open(name, "w") as file:
        stream = file.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        stream.options = {"g": "25", "sc_threshold": "0"}
        for _ in range(250):
            frame = av.VideoFrame.from_ndarray(rng.integers(0, 256, (120, 160, 3), np.uint8), format="rgb24")
            file.mux(stream.encode(frame))
        file.mux(stream.encode())


def late(name):
    """Seconds from each target to the first frame after the seek."""
    found = []
    for target in np.linspace(0.9, 8.9, 25):
        with av.open(name) as file:
            stream = file.streams.video[0]
            start = stream.start_time * stream.time_base
            file.seek(int((float(start) + target) / stream.time_base), stream=stream)
            first = next(file.decode(stream))
            found.append(float(first.pts * stream.time_base - start) - target)
    return np.array(found)


for name in ("drive.mp4", "drive.ts"):
    write(name)
mp4, ts = late("drive.mp4"), late("drive.ts")
late_mp4, late_ts = int((mp4 > 0.001).sum()), int((ts > 0.001).sum())
print(f"first frame after the target: MP4 {late_mp4} of 25, TS {late_ts} of 25, by up to {ts.max():.2f} s")
assert late_mp4 == 0, "PyAV changed: MP4"
assert late_ts >= 20, "PyAV changed: MPEG-TS seeks before the target"
PYTHON
