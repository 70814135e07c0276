#!/usr/bin/env bash
# The study of the losses (docs/research/loss_study.md): the seven loss rows of the first paper's Table 4, three seeds each, a sweep
# of the weights in two sums, and the void classifiers of its Table 3, all laptop-sized. Then every trained network is
# judged on Road Anomaly and RoadObstacle21, and the table is printed beside the published one. Stopped, it goes on.
# Needs below DATA: cityscapes_small, coco128-seg, weights/erfnet_cityscapes_20.pth, weights/enet_cityscapes_void_20.pth
# (published weights to start from; nothing trained from them is shipped), and the two benchmarks. Figures go to RESULTS.
# usage: [WORDS="--seeds 0 1 2 3 4"] runs/loss_study.sh DATA [OUT] [RESULTS]
set -euo pipefail
DATA=${1:?usage: runs/loss_study.sh DATA [OUT] [RESULTS]}
OUT=${2:-checkpoints/loss_study}
RESULTS=${3:-runs/loss_study}
PYTHON=${PYTHON:-python}
step() { if [ -n "${DRY:-}" ]; then echo "$@"; else "$@"; fi; } # DRY=1 prints the commands and runs nothing

step $PYTHON runs/loss_study_train.py "$DATA" "$OUT" ${WORDS:-}
step $PYTHON runs/loss_study.py "$OUT" --root "$DATA" --results "$RESULTS"
step $PYTHON -m oddroad.cli report "$RESULTS"/*.json "$OUT"/*/0 --out "$OUT/report"
step $PYTHON runs/loss_study_tables.py "$RESULTS" | if [ -n "${DRY:-}" ]; then cat; else tee "$OUT/tables.md"; fi
step $PYTHON runs/loss_study_figures.py "$RESULTS" --out "$OUT/report" --trained "$OUT"
