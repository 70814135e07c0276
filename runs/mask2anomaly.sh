#!/bin/sh
# Mask2Anomaly at laptop size, with everything that the supplement compares it with: trainings, tables, figures.
#
#   sh runs/mask2anomaly.sh DATA OUT START [FIRST] [SECOND] [IMAGES]
#
# DATA holds cityscapes_small, camvid, coco128-seg and the benchmarks. START is a checkpoint of ddrnet23_slim, whose body
# all networks start from: published weights by 'oddroad convert --network ddrnet23_slim', or a run of 'oddroad train'
# with --recipe.network.name ddrnet23_slim. FIRST and SECOND are the steps
# of the two stages, IMAGES limits every set that is judged on: 8, 4 and 2 to see it work. About an hour on one core.
# A run that was stopped goes on where it was.
set -eu
data=$1 out=$2 start=$3 first=${4:-600} second=${5:-80} images=${6:-0}
every=${EVERY:-$((second / 2))}
here=$(dirname "$0") python=${PYTHON:-python}
step() { if [ -n "${DRY:-}" ]; then echo "$@"; else "$@"; fi; } # DRY=1 prints the commands and runs nothing
[ -n "${DRY:-}" ] || mkdir -p "$out"
[ -d "$out/data/coco_s2" ] || step $python "$here/mask2anomaly_subsets.py" "$data" "$out/data"
for network in mask2former_small mask2anomaly_small ddrnet23_slim; do
    [ -f "$out/$network.start.ckpt" ] ||
        step $python "$here/mask2anomaly_start.py" "$start" "$network" "$out/$network.start.ckpt"
done

train() { # NAME RECIPE START STEPS EVERY FLAGS...
    name=$1 recipe=$2 from=$3 steps=$4 interval=$5
    shift 5
    [ -f "$out/$name/model.ckpt" ] && return
    echo "== $name: $steps steps"
    step $python -m oddroad.cli train --recipe "$here/../recipes/$recipe.yaml" --root "$out/data" --out "$out/$name" \
        --init-from "$from" --validate-every "$interval" --recipe.optim.steps "$steps" "$@"
}
pixels="--recipe.network.name ddrnet23_slim --recipe.network.outlier"
train mask2anomaly mask2anomaly_small_first "$out/mask2anomaly_small.start.ckpt" "$first" "$first"
train mask2anomaly_s1 mask2anomaly_small_second "$out/mask2anomaly/model.ckpt" "$second" "$every" \
    --recipe.outliers.objects coco_s1 1
train mask2former mask2anomaly_small_first "$out/mask2former_small.start.ckpt" "$first" "$first" \
    --recipe.network.name mask2former_small
train bce_s1 mask2anomaly_small_second "$out/mask2anomaly/model.ckpt" "$second" "$every" \
    --recipe.outliers.objects coco_s1 1 --recipe.losses mask_matching 1.0 mask_bce 1.0
train rba_s1 mask2anomaly_small_second "$out/mask2anomaly/model.ckpt" "$second" "$every" \
    --recipe.outliers.objects coco_s1 1 --recipe.losses mask_matching 1.0 mask_rba 1.0
train ddrnet mask2anomaly_small_first "$out/ddrnet23_slim.start.ckpt" "$((first / 3))" "$((first / 3))" $pixels \
    --recipe.losses cross_entropy 1.0 auxiliary_cross_entropy 0.4
for subset in s1 s2; do
    train "densehybrid_$subset" mask2anomaly_small_second "$out/ddrnet/model.ckpt" "$second" "$every" $pixels \
        --recipe.losses dense_hybrid 1.0 --recipe.outliers.objects "coco_$subset" 1
done
train mask2anomaly_s2 mask2anomaly_small_second "$out/mask2anomaly/model.ckpt" "$second" "$every" \
    --recipe.outliers.objects coco_s2 1
train literal_s1 mask2anomaly_small_second "$out/mask2anomaly/model.ckpt" "$second" "$every" \
    --recipe.outliers.objects coco_s1 1 --recipe.losses mask_matching 1.0 mask_contrastive_literal 1.0

for analysis in compare inference losses stability classes attention ablation failures; do
    echo "== $analysis"
    step $python "$here/mask2anomaly_$analysis.py" "$data" "$out" --images "$images"
done
