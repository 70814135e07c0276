#!/bin/sh
# Every network, engine and precision in one run, at 512x1024, batch 1; then the embedded detector end to end.
#
#   sh runs/speed.sh DATA OUT [SECONDS [CHECKPOINT]]
#   STEPS="prepare" sh runs/speed.sh DATA OUT          # some of the steps, in their order; what is there is kept
#
# DATA holds weights/erfnet_cityscapes_20.pth, weights/enet_cityscapes_void_20.pth, cityscapes_small, camvid,
# coco128-seg and, for the end-to-end rows, video/udacity_solidWhiteRight.mp4. CHECKPOINT is a trained ddrnet23_slim
# (runs/embedded.sh makes one); without it that network has random weights, as BiSeNetV2 has here: times do not depend
# on them, and their INT8 forms are not judged. SECONDS is the time of each measurement (3); 0.1 shows that it works.
# STEPS: prepare (converts, exports and quantises: about half an hour on two cores, may run beside other work); then
# what must run alone, a few minutes each, rows that others disturbed say CPU contended: erfnet, enet, bisenetv2,
# ddrnet23_slim, video, roofline, and cuda where there is one; then table. What this processor cannot do, such as bfloat16,
# is named with the reason. The table is OUT/speed.md, everything measured OUT/speed.json.
set -eu
data=$1 out=$2 seconds=${3:-3} checkpoint=${4:-}
steps=${STEPS:-prepare erfnet enet bisenetv2 ddrnet23_slim video roofline cuda table}
here=$(dirname "$0")
[ -n "${DRY:-}" ] || mkdir -p "$out"
step() { if [ -n "${DRY:-}" ]; then echo "$@"; else "$@"; fi; } # DRY=1 prints the commands and runs nothing
oddroad() { step python -m oddroad.cli "$@"; }
out_to() { if [ -n "${DRY:-}" ]; then cat; else tee "$1"; fi; }
trained() { [ "$1" = erfnet ] || [ "$1" = enet ] || { [ "$1" = ddrnet23_slim ] && [ -n "$checkpoint" ]; }; }

export_float() { # NETWORK STRIDE FILE
    [ -f "$3.onnx" ] || oddroad export "$out/$1.ckpt" --scores msp --size 512x1024 $2 --out "$3.onnx"
}

export_int8() { # NETWORK STRIDE FILE
    [ ! -f "$3.int8.onnx" ] || return 0
    if trained "$1"; then
        oddroad export "$out/$1.ckpt" --scores msp --size 512x1024 $2 --precision int8 --quantisation-data "$data" \
            --out "$3.int8.onnx" || echo "no INT8 form of $1 $2" >&2
    else
        step python "$here/speed.py" quantise "$3.onnx" "$3.int8.onnx" "$data"
    fi
}

prepare() {
    for name in erfnet:erfnet_cityscapes_20 enet:enet_cityscapes_void_20; do
        network=${name%%:*}
        [ -f "$out/$network.ckpt" ] ||
            oddroad convert "$data/weights/${name##*:}.pth" --network "$network" --out "$out/$network.ckpt"
    done
    [ -f "$out/ddrnet23_slim.ckpt" ] || [ -z "$checkpoint" ] || step cp "$checkpoint" "$out/ddrnet23_slim.ckpt"
    step python "$here/speed.py" random "$out" bisenetv2 ddrnet23_slim
    for form in export_float export_int8; do
        for network in ddrnet23_slim bisenetv2; do $form $network "" "$out/$network.1"; done
        for network in enet erfnet; do
            for stride in 1 2; do $form $network "--stride $stride" "$out/$network.$stride"; done
        done
    done
}

networks() { # NETWORK: its checkpoint and its files
    oddroad benchmark "$out/$1.ckpt" "$out/$1".*.onnx --engine onnxruntime openvino --precision float32 bfloat16 \
        --mode eager channels_last bfloat16 compiled compiled_bfloat16 --seconds "$seconds" \
        --json "$out/network_$1.json"
}

for step in $steps; do
    case $step in
    prepare) prepare ;;
    erfnet | enet | bisenetv2 | ddrnet23_slim) networks "$step" ;;
    cuda)
        if [ -n "${DRY:-}" ] || python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
            oddroad benchmark "$out"/*.ckpt --device cuda --mode eager channels_last bfloat16 compiled_bfloat16 \
                cuda_graph --seconds "$seconds" --json "$out/cuda.json"
        fi
        ;;
    video)
        video=$data/video/udacity_solidWhiteRight.mp4
        if [ -n "${DRY:-}" ] || [ -f "$video" ]; then
            oddroad benchmark default default-fp32 --video "$video" --engine onnxruntime openvino \
                --precision float32 bfloat16 --seconds "$seconds" --json "$out/end_to_end.json"
            step python "$here/../benchmarks/tracks.py" --video "$video" | out_to "$out/tracks.txt"
        fi
        ;;
    roofline) step python "$here/../benchmarks/roofline.py" --seconds "$seconds" | out_to "$out/roofline.txt" ;;
    table) step python "$here/speed.py" table "$out" ;;
    *) echo "no step '$step'; the steps are: prepare erfnet enet bisenetv2 ddrnet23_slim video roofline cuda table" >&2 && exit 2 ;;
    esac
done
