"""Mask2Anomaly beside Mask2Former and a pixel network of the same training; pictures as in figures 2 and 3.

python runs/mask2anomaly_compare.py DATA OUT [--images N]
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from mask2anomaly_shared import (
    MAIN,
    Run,
    by_set,
    command_line,
    detector_of,
    frames_of,
    heat_picture,
    judged,
    maps_of,
    outputs_of,
    save_text,
    sheet,
    titled,
    truth_picture,
)  # fmt: skip

from oddroad.datasets import DATASETS, read_image
from oddroad.learn.scores import SCORES

ROWS = (
    ("DDRNet-23-slim, max_logit", "ddrnet", "max_logit"),
    ("DDRNet-23-slim, entropy", "ddrnet", "entropy"),
    ("DDRNet-23-slim, stage two: DenseHybrid", "densehybrid_s1", "dense_hybrid"),
    ("Mask2Former, 1 - max S", "mask2former", "mask_msp"),
    ("Mask2Anomaly, stage one, 1 - max S", "mask2anomaly", "mask_msp"),
    ("Mask2Anomaly, stage one, refined", "mask2anomaly", "mask2anomaly"),
    ("Mask2Anomaly, stage two, 1 - max S", "mask2anomaly_s1", "mask_msp"),
    ("Mask2Anomaly, stage two, refined", "mask2anomaly_s1", "mask2anomaly"),
    ("Mask2Anomaly, stage two, RbA", "mask2anomaly_s1", "rba"),
    ("Mask2Anomaly, stage two, EAM", "mask2anomaly_s1", "eam"),
)

COLOURS = np.uint8(
    [
        (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153), (153, 153, 153), (250, 170, 30),
        (220, 220, 0), (107, 142, 35), (152, 251, 152), (70, 130, 180), (220, 20, 60), (255, 0, 0), (0, 0, 142),
        (0, 0, 70), (0, 60, 100), (0, 80, 100), (0, 0, 230), (119, 11, 32), *[(0, 0, 0)] * 237,
    ]
)  # fmt: skip
"""Cityscapes' own colours of the 19 classes; all other values are black."""

SHOWN = ("Mask2Former", "Mask2Anomaly, stage one", "Mask2Anomaly, stage two", "DenseHybrid")


def segmentations(run: Run, count: int = 4) -> None:
    """Classes of validation scenes by both networks, like figure 2."""
    samples = DATASETS["cityscapes_small"].load(run.data, "val")
    networks = {name: detector_of(run.checkpoint(name), {}) for name in ("mask2former", "mask2anomaly")}
    rows = []
    for number in np.linspace(0, len(samples) - 1, count).astype(int):
        sample = samples[number]
        image = cv2.resize(read_image(sample), (512, 256), interpolation=cv2.INTER_AREA)
        truth = sample.lookup[cv2.imread(str(sample.label), cv2.IMREAD_UNCHANGED)]
        row = [titled(image, "scene")]
        for name, detector in networks.items():
            classes = outputs_of(detector, image).logits.argmax(1)[0].numpy()
            row.append(titled(cv2.resize(COLOURS[classes], (512, 256), interpolation=cv2.INTER_NEAREST), name))
        rows.append([*row, titled(cv2.resize(COLOURS[truth], (512, 256), interpolation=cv2.INTER_NEAREST), "label")])
    sheet(run, "figure_2", rows)


def qualities(run: Run, each: int = 3) -> None:
    """Score maps of benchmark images by four detectors, like figure 3; one range of colours for each detector."""
    ways = dict(
        zip(
            SHOWN,
            (
                ("mask2former", "mask_msp"), ("mask2anomaly", "mask2anomaly"), ("mask2anomaly_s1", "mask2anomaly"),
                ("densehybrid_s1", "dense_hybrid"),
            ),
            strict=True,
        )
    )  # fmt: skip
    detectors = {
        title: detector_of(run.checkpoint(name), {score: SCORES[score]}) for title, (name, score) in ways.items()
    }
    frames = []
    for name in ("road_anomaly", "road_obstacle21"):
        found = list(frames_of(name, run))
        frames += [found[i] for i in np.linspace(0, len(found) - 1, min(each, len(found))).astype(int)]
    maps = {
        title: [next(iter(maps_of(detector, image).values())) for _, image, _ in frames]
        for title, detector in detectors.items()
    }
    rows = []
    for number, (_, image, label) in enumerate(frames):
        row = [titled(image, "image", 300), titled(truth_picture(image, label), "label", 300)]
        for title in SHOWN:
            every = np.concatenate([heat[::8, ::8].ravel() for heat in maps[title]])
            span = (0.0, 1.0) if title != "DenseHybrid" else tuple(np.percentile(every, (2, 99)).tolist())
            row.append(titled(heat_picture(maps[title][number], span), title, 300))
        rows.append(row)
    sheet(run, "figure_3", rows)


def main() -> None:
    """Judge every training once, print the table, draw the pictures."""
    run = command_line(__doc__)
    torch.manual_seed(0)
    results = {name: judged(name, run) for name in dict.fromkeys(name for _, name, _ in ROWS)}
    rows = [(title, results[name], score) for title, name, score in ROWS]
    mirrored = judged(MAIN, run, flip_tta=True)
    rows.append(("Mask2Anomaly, stage two, refined, flip TTA", mirrored, "mask2anomaly"))
    save_text(run, "compare", by_set(rows))
    segmentations(run)
    qualities(run)


if __name__ == "__main__":
    main()
