#!/usr/bin/env bash
# The supplement's video: image, pixel network, Mask2Anomaly and truth side by side, of a rendered drive and of the motorway clip.
# PIXEL and MASK are checkpoints of 'oddroad train', exported here, or files of 'oddroad export', or names of embedded detectors;
# mask2anomaly.sh trains both. Writes OUT/rendered.mp4 and OUT/CLIP.mp4 with a still and figures beside. About 5 minutes.
# usage: runs/supplement_video.sh DATA OUT PIXEL MASK [FRAMES]
set -euo pipefail
usage="usage: runs/supplement_video.sh DATA OUT PIXEL MASK [FRAMES]"
DATA=${1:?$usage} OUT=${2:?$usage} PIXEL=${3:?$usage} MASK=${4:?$usage} FRAMES=${5:-150}
PYTHON=${PYTHON:-python}
step() { if [ -n "${DRY:-}" ]; then echo "$@"; else "$@"; fi; } # DRY=1 prints the commands and runs nothing
[ -n "${DRY:-}" ] || mkdir -p "$OUT"

if [[ $PIXEL == *.ckpt ]]; then
    [ -f "$OUT/pixel.onnx" ] || step $PYTHON -m oddroad.cli export "$PIXEL" --scores max_logit --size 384x768 --out "$OUT/pixel.onnx"
    PIXEL=$OUT/pixel.onnx
fi
if [[ $MASK == *.ckpt ]]; then
    [ -f "$OUT/mask.onnx" ] || step $PYTHON -m oddroad.cli export "$MASK" --scores mask2anomaly --size 384x768 --out "$OUT/mask.onnx"
    MASK=$OUT/mask.onnx
fi
step $PYTHON runs/supplement_video.py "$PIXEL" "$MASK" --frames "$FRAMES" --out "$OUT"
step $PYTHON runs/supplement_video.py "$PIXEL" "$MASK" --frames "$FRAMES" --out "$OUT" --video "$DATA/video/udacity_solidWhiteRight.mp4"
