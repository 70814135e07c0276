"""The supplement's table 5: IoU of each class, Mask2Former against Mask2Anomaly, and the pixel network.

python runs/mask2anomaly_classes.py DATA OUT [--images N]
"""

from __future__ import annotations

import cv2
import numpy as np
from mask2anomaly_shared import Run, command_line, detector_of, outputs_of, save_text, table

from oddroad.datasets import DATASETS, read_image, read_label
from oddroad.learn.tensor_ops import resize
from oddroad.metrics import SemanticMetric
from oddroad.types import CITYSCAPES_CLASSES

NETWORKS = (
    ("DDRNet-23-slim", "ddrnet"), ("Mask2Former", "mask2former"), ("Mask2Anomaly, stage one", "mask2anomaly"),
    ("Mask2Anomaly, stage two", "mask2anomaly_s1"),
)  # fmt: skip
EVERY = 5
"""One validation scene in five is judged."""


def iou(run: Run, name: str) -> np.ndarray:
    """IoU of each class on validation scenes of cityscapes_small at 256x512, the labels too."""
    detector = detector_of(run.checkpoint(name), {})
    metric = SemanticMetric(19)
    samples = DATASETS["cityscapes_small"].load(run.data, "val")[::EVERY]
    for sample in samples[: run.images or None]:
        image = cv2.resize(read_image(sample), (512, 256), interpolation=cv2.INTER_LINEAR)
        label = cv2.resize(read_label(sample), (512, 256), interpolation=cv2.INTER_NEAREST)
        logits = resize(outputs_of(detector, image).logits, (256, 512))
        metric.add(logits.argmax(1)[0].numpy().astype(np.uint8), label)
    return metric.iou()


def main() -> None:
    """Print the table."""
    run = command_line(__doc__)
    rows = []
    for title, name in NETWORKS:
        values = iou(run, name)
        rows.append([title, *("-" if np.isnan(each) else f"{100 * each:.1f}" for each in values)])
        rows[-1].append(f"{100 * np.nanmean(values):.1f}")
    save_text(run, "table_5", table(["IoU, %", *CITYSCAPES_CLASSES, "mean"], rows))


if __name__ == "__main__":
    main()
