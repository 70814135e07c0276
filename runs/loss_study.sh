#!/usr/bin/env bash
# The study of the losses (docs/loss_study.md): the seven loss rows of the first paper's Table 4, three seeds each, a sweep
# of the weights in two sums, and the void classifiers of its Table 3, all laptop-sized. Then every trained network is
# judged on Road Anomaly and RoadObstacle21, and the table is printed beside the published one. Stopped, it goes on.
# Needs below DATA: cityscapes_small, coco128-seg, weights/erfnet_cityscapes_20.pth, weights/enet_cityscapes_void_20.pth
# (published weights to start from; nothing trained from them is shipped), and the two benchmarks. Figures go to RESULTS.
# usage: runs/loss_study.sh DATA [OUT] [RESULTS]
set -euo pipefail
DATA=${1:?usage: runs/loss_study.sh DATA [OUT] [RESULTS]}
OUT=${2:-checkpoints/loss_study}
RESULTS=${3:-runs/loss_study}
LIMIT=${LIMIT:-}                 # words after every training, such as "--recipe.optimiser.steps 2" to try the script
PYTHON=${PYTHON:-python}
ODDROAD="$PYTHON -m oddroad.cli"
mkdir -p "$OUT"

[ -f "$OUT/erfnet.ckpt" ] || $ODDROAD convert "$DATA/weights/erfnet_cityscapes_20.pth" --network erfnet --out "$OUT/erfnet.ckpt"
[ -f "$OUT/enet.ckpt" ] || $ODDROAD convert "$DATA/weights/enet_cityscapes_void_20.pth" --network enet --out "$OUT/enet.ckpt"

run() { # run FOLDER RECIPE SEED WORDS...: one training, skipped when it is done
  local folder=$OUT/$1 recipe=recipes/laptop/$2.yaml seed=$3
  shift 3
  [ -f "$folder/model.ckpt" ] || $ODDROAD train --recipe "$recipe" --root "$DATA" --out "$folder" \
    --validation-scenes 12 --save-every 40 --recipe.seed "$seed" "$@" $LIMIT
}

row() { # row NAME RECIPE SEED WORDS...: ERFNet from the published encoder and decoder with a new classifier
  local name=$1 recipe=$2 seed=$3 every=100000
  shift 3
  [ "$seed" = 0 ] && every=30      # learning curves of the first seed
  run "$name/$seed" "$recipe" "$seed" --start "$OUT/erfnet.ckpt" --fresh decoder.output_conv encoder.output_conv \
    --validate-every "$every" "$@"
}

rows() { # rows SEED: the seven rows of losses
  for loss in ce ln ln_ce ln_fl eiml eiml_fl eiml_ce; do row "$loss" "$loss" "$1"; done
}

rows 0
row void_erfnet void_erfnet 0
run void_enet/0 void_enet 0 --start "$OUT/enet.ckpt" --fresh transposed_conv --validate-every 30
run void_bisenetv2/0 void_bisenetv2 0 --validate-every 60
rows 1
rows 2
for seed in 0 1 2; do
  for weight in 0.25 4; do         # weight 1 is the row itself, weight 0 the row of the first term alone
    row "eiml_fl_$weight" eiml_fl "$seed" --recipe.losses isomax 1 isomax_focal "$weight"
    row "ln_ce_$weight" ln_ce "$seed" --recipe.losses logit_norm 1 cross_entropy "$weight"
  done
done
$PYTHON runs/loss_study.py "$OUT" --root "$DATA" --results "$RESULTS"
$ODDROAD report "$RESULTS"/*.json "$OUT"/*/0 --out "$OUT/report"
cat "$OUT/report/seeds.md" "$OUT/report/temperatures.md"
