#!/usr/bin/env bash
# Repeats the embedded detector: seven stages of training, the choice of the score, the file, its thresholds, its figures.
# Needs the data sets below DATA (cityscapes_small, camvid, idd20k_lite, coco128-seg; the benchmarks for the last step)
# and everything installed (make test). About 3.5 hours on one 2026 server core; stopped runs go on where they were.
set -euo pipefail
DATA=${1:?usage: runs/embedded.sh DATA [OUT]}
OUT=${2:-checkpoints/embedded}
MODEL=$OUT/oddroad-small.onnx

oddroad train --recipe recipes/embedded_first.yaml --root "$DATA" --out "$OUT/first" --until 3000
oddroad train --recipe recipes/embedded_second.yaml --root "$DATA" --out "$OUT/second" --until 1250 \
  --start "$OUT/first/model.ckpt"
oddroad train --recipe recipes/embedded_third.yaml --root "$DATA" --out "$OUT/third" \
  --start "$OUT/second/model.ckpt" --fresh final_layer.conv2 seghead_extra.conv2
oddroad train --recipe recipes/embedded_fourth.yaml --root "$DATA" --out "$OUT/fourth" --start "$OUT/third/model.ckpt"
oddroad train --recipe recipes/embedded_fifth.yaml --root "$DATA" --out "$OUT/fifth" --start "$OUT/fourth/model.ckpt"
# The published file's sixth stage started from the 8-bit weights of the fifth, which were all that was left of it:
# python runs/embedded_restore.py FIFTH.onnx "$DATA" "$OUT/fifth/model.ckpt"
oddroad train --recipe recipes/embedded_sixth.yaml --root "$DATA" --out "$OUT/sixth" --until 500 \
  --start "$OUT/fifth/model.ckpt"
oddroad train --recipe recipes/embedded_seventh.yaml --root "$DATA" --out "$OUT/seventh" --start "$OUT/sixth/model.ckpt"

python runs/embedded_choose.py "$OUT/seventh/model.ckpt" "$DATA" --json "$OUT/choice.json"
SCORES="energy joint max_logit outlier_head"
# shellcheck disable=SC2086
python runs/embedded_export.py "$OUT/seventh/model.ckpt" "$OUT/choice.json" "$OUT/int8.onnx" --scores $SCORES --int8 "$DATA"
# shellcheck disable=SC2086
python runs/embedded_export.py "$OUT/seventh/model.ckpt" "$OUT/choice.json" "$OUT/fp32.onnx" --scores $SCORES
for pair in int8:oddroad-small fp32:oddroad-small-fp32; do
  oddroad calibrate "$OUT/${pair%%:*}.onnx" --data cityscapes_small camvid --root "$DATA" --split val \
    --rule "alarms=10/100frames" --out "$OUT/${pair##*:}.onnx"
done
oddroad evaluate "$MODEL" --data road_anomaly road_obstacle21 fishyscapes_lost_and_found cityscapes_small:val \
  --root "$DATA" --bootstrap 1000 --json "$OUT/results.json"
python runs/embedded_card.py "$MODEL" "$OUT/results.json"

# What was tried since, and not published (docs/embedded.md): a teacher, rare classes, the mean with the seventh stage, two looks.
# oddroad convert "$DATA/weights/erfnet_cityscapes_20.pth" --network erfnet --out "$OUT/teacher.ckpt"
# oddroad train --recipe recipes/embedded_eighth.yaml --root "$DATA" --out "$OUT/eighth" \
#   --start "$OUT/seventh/model.ckpt" --teacher "$OUT/teacher.ckpt"
# python runs/embedded_average.py "$DATA" "$OUT/mean.ckpt" "$OUT/eighth/model.ckpt" "$OUT/seventh/model.ckpt" --crops 200
# python runs/embedded_choose.py "$OUT/mean.ckpt" "$DATA" --size 512x896 --second 256x448 --json "$OUT/mean.json"
# python runs/embedded_export.py "$OUT/mean.ckpt" "$OUT/mean.json" "$OUT/mean.onnx" --size 512x896 --second 256x448 \
#   --scores outlier_head joint energy max_logit --int8 "$DATA"

# The second embedded detector, ERFNet's encoder from its published weights (docs/embedded.md); 111 minutes of two cores.
# python runs/embedded_spared.py "$OUT/teacher.ckpt" "$DATA"
# oddroad train --recipe recipes/embedded_lite_first.yaml --root "$DATA" --out "$OUT/lite1" --start "$OUT/teacher.ckpt" \
#   --fresh decoder encoder.output_conv encoder.layers.2. encoder.layers.3. encoder.layers.13. encoder.layers.14.
# oddroad train --recipe recipes/embedded_lite_second.yaml --root "$DATA" --out "$OUT/lite2" --start "$OUT/lite1/model.ckpt"
# python runs/embedded_average.py "$DATA" "$OUT/lite12.ckpt" "$OUT/lite2/model.ckpt" "$OUT/lite1/model.ckpt" \
#   --shares 0.7 0.3 --crops 160
# oddroad train --recipe recipes/embedded_lite_third.yaml --root "$DATA" --out "$OUT/lite3" --start "$OUT/lite12.ckpt"
# python runs/embedded_choose.py "$OUT/lite3/model.ckpt" "$DATA" --size 384x768 --scenes 25 --json "$OUT/lite.json"
# python runs/embedded_export.py "$OUT/lite3/model.ckpt" "$OUT/lite.json" "$OUT/lite.onnx" --size 384x768 \
#   --name oddroad-lite --scores outlier_head --int8 "$DATA"
# oddroad calibrate "$OUT/lite.onnx" --data cityscapes_small camvid --root "$DATA" --split val \
#   --rule "alarms=1/100frames" --out "$OUT/oddroad-lite.onnx"
