#!/usr/bin/env bash
# Repeats the embedded detector: four stages of training from ERFNet's published weights, three seeds of the last one and
# the mean of their weights, the file and its float32 version, their thresholds, their figures, the learning curves.
# Needs the data sets below DATA (cityscapes_small, camvid, idd20k_lite, coco128-seg, weights; the benchmarks for the last
# step) and everything installed (make test). About three hours of two server cores; stopped runs go on where they were.
set -euo pipefail
DATA=${1:?usage: runs/embedded.sh DATA [OUT]}
OUT=${2:-checkpoints/embedded}
# DRY=1 prints the commands and runs nothing.
here=$(cd "$(dirname "$0")" && pwd)
step() { if [ -n "${DRY:-}" ]; then printf '%q ' "$@" && echo; else "$@"; fi; }
[ -n "${DRY:-}" ] || mkdir -p "$OUT"

step oddroad convert "$DATA/weights/erfnet_cityscapes_20.pth" --network erfnet --out "$OUT/erfnet.ckpt"
step oddroad train --recipe "$here"/../recipes/embedded_first.yaml --root "$DATA" --out "$OUT/first" --init-from "$OUT/erfnet.ckpt" \
  --reinit decoder encoder.output_conv encoder.layers.2. encoder.layers.3. encoder.layers.13. encoder.layers.14.
step oddroad train --recipe "$here"/../recipes/embedded_second.yaml --root "$DATA" --out "$OUT/second" --init-from "$OUT/first/model.ckpt"
step python "$here"/embedded_average.py "$DATA" "$OUT/before.ckpt" "$OUT/second/model.ckpt" "$OUT/first/model.ckpt" \
  --shares 0.7 0.3 --crops 160
step oddroad train --recipe "$here"/../recipes/embedded_third.yaml --root "$DATA" --out "$OUT/third" --init-from "$OUT/before.ckpt"
step python "$here"/embedded_average.py "$DATA" "$OUT/start.ckpt" "$OUT/third/model.ckpt" "$OUT/before.ckpt" \
  --shares 0.6 0.4 --crops 160
for seed in 31 32 33; do
  step oddroad train --recipe "$here"/../recipes/embedded_fourth.yaml --root "$DATA" --out "$OUT/seed$seed" \
    --init-from "$OUT/start.ckpt" --recipe.seed "$seed"
  step python "$here"/embedded_choose.py "$OUT/seed$seed/model.ckpt" "$DATA" --size 384x768 --scenes 25 --json "$OUT/seed$seed.json"
done
step python "$here"/embedded_average.py "$DATA" "$OUT/mean.ckpt" "$OUT"/seed3?/model.ckpt --crops 160
step python "$here"/embedded_choose.py "$OUT/mean.ckpt" "$DATA" --size 384x768 --scenes 25 --json "$OUT/choice.json"

ABOUT=(--size 384x768 --name oddroad-lite --scores outlier_head)
step python "$here"/embedded_export.py "$OUT/mean.ckpt" "$OUT/choice.json" "$OUT/int8.onnx" "${ABOUT[@]}" --int8 "$DATA"
step python "$here"/embedded_export.py "$OUT/mean.ckpt" "$OUT/choice.json" "$OUT/fp32.onnx" "${ABOUT[@]}"
for pair in int8:oddroad-lite fp32:oddroad-lite-fp32; do
  model=$OUT/${pair##*:}.onnx
  step oddroad calibrate "$OUT/${pair%%:*}.onnx" --data cityscapes_small camvid --root "$DATA" --split val \
    --threshold no-alarms --scope same-drives --out "$model"
  step oddroad evaluate "$model" --data road_anomaly road_obstacle21 fishyscapes_lost_and_found cityscapes_small:val \
    --root "$DATA" --json "${model%.onnx}.json"
  step python "$here"/embedded_card.py "$model" "${model%.onnx}.json"
done
step python "$here"/embedded_curves.py "$OUT/curves.png" "$OUT/first" "$OUT/second" "$OUT/third" --seeds "$OUT"/seed3?
