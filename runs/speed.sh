#!/bin/sh
# Every network, engine and precision in one run, at 512x1024, batch 1; then the embedded detector end to end.
#
#   sh runs/speed.sh DATA OUT [SECONDS [CHECKPOINT]]
#
# DATA holds weights/erfnet_cityscapes_20.pth, weights/enet_cityscapes_void_20.pth, cityscapes_small, camvid,
# coco128-seg and, for the end-to-end rows, video/udacity_solidWhiteRight.mp4. CHECKPOINT is a trained ddrnet23_slim
# (runs/embedded.sh makes one); without it that network has random weights, as BiSeNetV2 has here: times do not depend
# on them, but what 8 bits cost does, and is then not to be read. SECONDS is the time of each measurement (3); 0.1 shows
# that it works. Nothing else may run meanwhile: rows that others disturbed say DISTURBED. About half an hour.
# The table is OUT/speed.md, everything measured OUT/speed.json. Where there is CUDA, the checkpoints run there too.
set -eu
data=$1 out=$2 seconds=${3:-3} checkpoint=${4:-}
here=$(dirname "$0")
oddroad() { python -m oddroad.cli "$@"; }
mkdir -p "$out"
for name in erfnet:erfnet_cityscapes_20 enet:enet_cityscapes_void_20; do
    network=${name%%:*}
    [ -f "$out/$network.ckpt" ] || oddroad convert "$data/weights/${name##*:}.pth" --network "$network" --out "$out/$network.ckpt"
done
[ -f "$out/ddrnet23_slim.ckpt" ] || [ -z "$checkpoint" ] || cp "$checkpoint" "$out/ddrnet23_slim.ckpt"
python "$here/speed.py" random "$out" bisenetv2 ddrnet23_slim
for network in erfnet enet bisenetv2 ddrnet23_slim; do
    strides=1
    case $network in erfnet | enet) strides="1 2" ;; esac
    for stride in $strides; do
        flag=
        [ "$strides" = 1 ] || flag="--stride $stride"
        file=$out/$network.$stride
        # shellcheck disable=SC2086
        [ -f "$file.onnx" ] || oddroad export "$out/$network.ckpt" --scores msp --size 512x1024 $flag --out "$file.onnx"
        # shellcheck disable=SC2086
        [ -f "$file.int8.onnx" ] || oddroad export "$out/$network.ckpt" --scores msp --size 512x1024 $flag \
            --int8 --calibration "$data" --out "$file.int8.onnx" || echo "no 8-bit form of $network at stride $stride" >&2
    done
done
oddroad benchmark "$out"/*.ckpt "$out"/*.onnx --engine onnxruntime openvino --precision float32 bfloat16 \
    --mode eager channels_last bfloat16 compiled compiled_bfloat16 --seconds "$seconds" --json "$out/networks.json"
if python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
    oddroad benchmark "$out"/*.ckpt --device cuda --mode eager channels_last bfloat16 compiled_bfloat16 cuda_graph \
        --seconds "$seconds" --json "$out/cuda.json"
fi
video=$data/video/udacity_solidWhiteRight.mp4
if [ -f "$video" ]; then
    oddroad benchmark default --video "$video" --engine onnxruntime openvino --precision float32 bfloat16 \
        --seconds "$seconds" --json "$out/end_to_end.json"
    python "$here/../benchmarks/tracks.py" --video "$video" | tee "$out/tracks.txt"
fi
python "$here/../benchmarks/floor.py" --seconds "$seconds" | tee "$out/floor.txt"
python "$here/speed.py" table "$out"
