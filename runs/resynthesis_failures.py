"""Failure detection of a SynthCP checkpoint on in-distribution scenes: where is the closed-set network wrong?

    python runs/resynthesis_failures.py SYNTHCP.ckpt --root DATA

AP, FPR95 and AUROC of the misclassified pixels among the labelled ones, beside the closed-set network's own MSP,
entropy and largest logit; and how far the predicted IoU of the classes in an image is from what it is.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from oddroad.learn.checkpoints.format import load_network
from oddroad.learn.data.validation import Validation
from oddroad.learn.detector import Preprocessing
from oddroad.learn.losses.failures import class_iou, wrong_and_right
from oddroad.learn.scores import SCORES
from oddroad.learn.tensor_ops import resize
from oddroad.metrics import PixelMetric

NAMES = ("failure", "msp", "entropy", "max_logit")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="Failure detection of a SynthCP checkpoint.")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--root", type=Path, required=True, help="folder that holds cityscapes_small")
    parser.add_argument("--scenes", type=int, default=60, help="validation scenes")
    parser.add_argument("--json", type=Path, help="the figures as JSON")
    given = parser.parse_args()
    network, about = load_network(given.checkpoint)
    if about["network"] != "synthcp":
        parser.error(f"'{given.checkpoint}' holds {about['network']}; failures are predicted by synthcp")
    rows, columns = network.size  # pyright: ignore
    images = Validation(given.root, (), given.scenes, (2 * rows, 2 * columns), clean=True, sets=("cityscapes_small",))
    preprocessing = Preprocessing.parse(str(about["normalisation"]))
    metrics = {name: PixelMetric() for name in NAMES}
    off, typical, there = 0.0, 0.0, 0
    for number in range(len(images)):
        image, label = images[number]
        with torch.inference_mode():
            outputs = network(preprocessing.normalised(image[None].float()))
        wrong, right = wrong_and_right(outputs.logits, label[None])
        truth = torch.where(wrong, 1, torch.where(right, 0, 255)).to(torch.uint8)[0].numpy()
        for name, metric in metrics.items():
            metric.add(resize(SCORES[name](outputs)[:, None], truth.shape)[0, 0].numpy(), truth)
        true, inside = class_iou(outputs.logits, label[None])
        off += float(((outputs.iou - true).abs() * inside).sum())
        typical += float(((true[inside].mean() - true).abs() * inside).sum())
        there += int(inside.sum())
    found = {name: metric.result() for name, metric in metrics.items()}
    share = found["msp"]["prevalence"]
    print(f"{len(images)} scenes, {100 * share:.1f} % of the labelled pixels misclassified")
    for name, each in found.items():
        print(
            f"  {name:<10} AP {100 * each['ap']:.1f}  FPR95 {100 * each['fpr95']:.1f}  AUROC {100 * each['auroc']:.1f}"
        )
    print(
        f"  IoU of {there} classes in images: off by {off / there:.3f}; the image's own mean by {typical / there:.3f}"
    )
    if given.json:
        figures = {name: {key: each[key] for key in ("ap", "fpr95", "auroc")} for name, each in found.items()}
        values = {"scenes": len(images), "misclassified": share, "scores": figures}
        given.json.write_text(json.dumps({**values, "iou_off": off / there, "iou_off_by_mean": typical / there}))


if __name__ == "__main__":
    main()
