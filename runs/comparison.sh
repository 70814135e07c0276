#!/usr/bin/env bash
# Every method of both papers on one closed-set network, trained alike (docs/comparison.md): trainings, native protocol on the
# benchmarks that are there, tables beside the second paper's. Each network's figures are written when it is judged; stopped, it
# goes on. About 35 minutes of one core for three seeds. Needs below DATA: cityscapes_small, coco128-seg, the benchmarks, and
# weights/erfnet_cityscapes_20.pth (published weights to start from; nothing trained from them is shipped).
# Networks that other scripts train enter as rows of their own, judged alike, each TITLE=CHECKPOINT:SCORE:
# EXTRA="Mask2Anomaly=OUT/mask2anomaly_s1/model.ckpt:mask2anomaly Max_Logit,_DDRNet=OUT/ddrnet/model.ckpt:max_logit"
# usage: [WORDS="--seeds 0 1 2 3 4"] [EXTRA=...] runs/comparison.sh DATA [OUT] [RESULTS]
set -euo pipefail
DATA=${1:?usage: runs/comparison.sh DATA [OUT] [RESULTS]}
OUT=${2:-checkpoints/comparison}
RESULTS=${3:-runs/comparison}
PYTHON=${PYTHON:-python}
step() { if [ -n "${DRY:-}" ]; then echo "$@"; else "$@"; fi; } # DRY=1 prints the commands and runs nothing

step $PYTHON runs/comparison.py "$DATA" "$OUT" "$RESULTS" ${WORDS:-} ${EXTRA:+--extra $EXTRA}
step $PYTHON -m oddroad.cli report "$RESULTS"/*.json --out "$OUT/report"
[ -n "${DRY:-}" ] || cat "$OUT/report/comparison.md" "$OUT/report/supplement_1.md" "$OUT/report/supplement_2.md"
