#!/usr/bin/env bash
# Repeats oddroad-small, the embedded detector until November 2026: seven stages of training, the choice of the score, the file, its thresholds, its figures.
# Needs the data sets below DATA (cityscapes_small, camvid, idd20k_lite, coco128-seg; the benchmarks for the last step)
# and everything installed (make test). About 3.5 hours on one 2026 server core; stopped runs go on where they were.
set -euo pipefail
DATA=${1:?usage: runs/embedded_small.sh DATA [OUT]}
OUT=${2:-checkpoints/embedded_small}
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
python runs/embedded_export.py "$OUT/seventh/model.ckpt" "$OUT/choice.json" "$OUT/int8.onnx" --name oddroad-small \
  --scores energy joint max_logit outlier_head --int8 "$DATA"
oddroad calibrate "$OUT/int8.onnx" --data cityscapes_small camvid --root "$DATA" --split val \
  --rule "alarms=10/100frames" --out "$MODEL"
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
