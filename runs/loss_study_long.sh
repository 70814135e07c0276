#!/usr/bin/env bash
# The study of the losses at real length (docs/research/loss_study.md): what loss_study.sh trains, with the encoder trained too and
# 20,000 crops a run, three seeds for every row and every void classifier; each run is judged when it has ended, and the tables are
# made from the runs that are there and say which are not. The budget is measured and told first: 33 runs, about 21 hours of one
# core; on a GPU minutes a run. Stopped at any moment, it goes on.
# usage: [WORDS="--minutes 90"] runs/loss_study_long.sh DATA [OUT] [RESULTS]
set -euo pipefail
DATA=${1:?usage: runs/loss_study_long.sh DATA [OUT] [RESULTS]}
OUT=${2:-checkpoints/loss_study_long}
RESULTS=${3:-runs/loss_study/long}
PYTHON=${PYTHON:-python}
step() { if [ -n "${DRY:-}" ]; then echo "$@"; else "$@"; fi; } # DRY=1 prints the commands and runs nothing

step $PYTHON runs/loss_study_long.py "$DATA" "$OUT" "$RESULTS" ${WORDS:-}
step $PYTHON runs/loss_study_tables.py "$RESULTS" | if [ -n "${DRY:-}" ]; then cat; else tee "$OUT/tables.md"; fi
