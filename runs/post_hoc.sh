#!/bin/sh
# Tables 1, 2 and 3 of "Real-Time Anomaly Segmentation for Road Scenes": every score on ERFNet and ENet.
#
#   sh runs/post_hoc.sh DATA OUT [IMAGES]
#
# DATA holds cityscapes_small, camvid, coco128-seg, the benchmark sets and weights/erfnet_cityscapes_20.pth and
# weights/enet_cityscapes_void_20.pth. IMAGES limits every set to its first so many images: 2 to see it work.
# Three quarters of an hour on one core; each network runs once on an image, whatever the number of scores, and ERFNet six times
# more for ODIN and four samples of dropout. It goes on where it was stopped. Milliseconds are measured last:
# nothing else may run then. OUT/tables.md is the result, with a picture of the first frame of each set beside it.
set -eu
data=$1 out=$2 images=${3:-0}
most=100
[ "$images" = 0 ] || most=$images
step() { if [ -n "${DRY:-}" ]; then echo "$@"; else "$@"; fi; } # DRY=1 prints the commands and runs nothing
[ -n "${DRY:-}" ] || mkdir -p "$out"
for name in erfnet:erfnet_cityscapes_20 enet:enet_cityscapes_void_20; do
    network=${name%%:*}
    [ -f "$out/$network.ckpt" ] ||
        step python -m oddroad.cli convert "$data/weights/${name##*:}.pth" --network "$network" --out "$out/$network.ckpt"
    [ -f "$out/$network.calibrated.ckpt" ] ||
        step python -m oddroad.cli calibrate "$out/$network.ckpt" --data cityscapes_small --root "$data" --max-frames "$most" \
            --scores sml mahalanobis embedding_density --size 512x1024 --out "$out/$network.calibrated.ckpt"
done
step python "$(dirname "$0")/post_hoc.py" --root "$data" --out "$out" --images "$images"
step python "$(dirname "$0")/post_hoc.py" --root "$data" --out "$out" --images "$images" --cost 5
