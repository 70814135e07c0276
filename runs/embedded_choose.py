"""Which score the embedded detector should give first: every score on the validation set of held-out objects.

Run as ``python runs/embedded_choose.py CHECKPOINT DATA [--json FILE]``. No benchmark is read. Prints AP, FPR95 and
the median score of known and of odd pixels (the colours of the pictures) for each score, and mean
IoU on their known pixels; the last line is JSON.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from oddroad.learn.checkpoint import load_network
from oddroad.learn.data import Validation
from oddroad.learn.detector import Detector
from oddroad.learn.scores import SCORES
from oddroad.metrics import PixelMetric, SemanticMetric
from oddroad.types import ANOMALY, IGNORE, KNOWN, OUTLIER

CANDIDATES = ("msp", "max_logit", "entropy", "energy", "outlier_head", "dense_hybrid", "joint")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--size", default="512x1024", help="HxW of the images")
    parser.add_argument("--scenes", type=int, default=100, help="scenes of each of the two sets")
    parser.add_argument("--json", type=Path, help="file for the figures")
    given = parser.parse_args()
    height, width = map(int, given.size.split("x"))
    network, about = load_network(given.checkpoint)
    scores = {name: SCORES[name] for name in CANDIDATES}
    detector = Detector(network, scores, about["normalisation"], classes=True).eval()
    pixels = {name: PixelMetric() for name in scores}
    medians: dict[str, list[list[float]]] = {name: [[], []] for name in scores}
    classes = SemanticMetric(len(about["classes"]))
    held_out = Validation(given.data, "coco128-seg", given.scenes, (height, width))
    for index in range(len(held_out)):
        image, label = held_out[index]
        truth = label.numpy()
        odd = np.where(truth == OUTLIER, ANOMALY, np.where(truth == IGNORE, IGNORE, KNOWN)).astype(np.uint8)
        with torch.inference_mode():
            *maps, likely = (each[0].numpy() for each in detector(image.permute(1, 2, 0)[None]))
        named = np.where(truth < len(about["classes"]), truth, IGNORE).astype(np.uint8)
        classes.add(likely, named)
        for heat, name in zip(maps, scores, strict=True):
            pixels[name].add(heat, odd, f"validation {index}")
            for kind in (KNOWN, ANOMALY):
                if (odd == kind).any():
                    medians[name][kind].append(float(np.median(heat[odd == kind])))
    found = {"miou": classes.result()["miou"], "scenes": len(held_out), "size": given.size}
    print(f"{len(held_out)} scenes at {given.size}, mean IoU {100 * found['miou']:.1f} %")
    for name, metric in pixels.items():
        figures = metric.result()
        span = [float(np.median(values)) for values in medians[name]]
        found[name] = {"ap": figures["ap"], "fpr95": figures["fpr95"], "span": span}
        ap, fpr = 100 * figures["ap"], 100 * figures["fpr95"]
        print(f"{name:<13} AP {ap:6.2f}  FPR95 {fpr:6.2f}  known {span[0]:.2f} odd {span[1]:.2f}")
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
