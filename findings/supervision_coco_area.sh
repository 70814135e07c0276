#!/usr/bin/env bash
# supervision writes a mask to COCO as a polygon that pycocotools fills smaller, and one with a hole as a crowd.
#
# Versions: supervision 0.31.2, pycocotools 2.0.11.
# Input:    a solid mask of 10 x 10 pixels, and the same with a hole of 4 x 4.
# Expected: a file whose masks have 100 and 84 pixels for pycocotools, both ordinary objects (iscrowd 0).
# Seen:     81 pixels for the solid one: the polygon goes through the centres of the outermost pixels, and
#           pycocotools fills between them. The other is exact as run-length code, but iscrowd is 1, and COCOeval
#           leaves crowds out of the count.
# Cost:     small objects lose a fifth of their area, and evaluation ignores objects with holes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q supervision==0.31.2 pycocotools==2.0.11 opencv-python-headless==5.0.0.93
cd "$folder"
venv/bin/python - <<'PYTHON'
import numpy as np
import supervision as sv
from pycocotools.coco import COCO

solid = np.zeros((40, 40), bool)
solid[5:15, 5:15] = True
holed = solid.copy()
holed[8:12, 8:12] = False
picture = np.zeros((40, 40, 3), np.uint8)
masks = {"solid.png": solid, "holed.png": holed}
dataset = sv.DetectionDataset(
    ["thing"],
    {name: picture for name in masks},
    {
        name: sv.Detections(xyxy=np.array([[5.0, 5, 15, 15]]), mask=mask[None], class_id=np.array([0]))
        for name, mask in masks.items()
    },
)
dataset.as_coco(annotations_path="coco.json")
coco = COCO("coco.json")
found = {}
for image in coco.loadImgs(coco.getImgIds()):
    (annotation,) = coco.loadAnns(coco.getAnnIds(imgIds=[image["id"]]))
    found[image["file_name"]] = (int(coco.annToMask(annotation).sum()), annotation["iscrowd"])
print("pixels and iscrowd:", found, "of", {name: int(mask.sum()) for name, mask in masks.items()})
assert found == {"solid.png": (81, 0), "holed.png": (84, 1)}, "supervision or pycocotools changed"
PYTHON
