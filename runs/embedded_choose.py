"""Which score the embedded detector should give first: every score on validation sets of our own.

Run as ``python runs/embedded_choose.py CHECKPOINT DATA [--size HxW] [--json FILE]``. No benchmark is read. Sets:
objects of classes that training never saw (931 cut-outs and those of the COCO pictures), with shadows and varied edges,
pasted on small validation scenes ("small") and on sharp ones of two cameras ("sharp"), there also small and on the
road ("far"), so on mended roads of two surfaces ("mended"), and in bad weather ("weather"), and rendered drives
("rendered"); and all but the last once more with the road as the only known thing ("small road" and so on), as sets of
obstacles have it. Prints AP and FPR95 of each score on each, mean IoU on the known pixels of the first two, and the
median score of known and of odd pixels (the colours of the pictures); the last line is JSON.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from oddroad.cli.common import parse_size
from oddroad.learn.checkpoints.format import load_network
from oddroad.learn.data.sharp_scenes import sharp_scenes
from oddroad.learn.data.validation import Validation
from oddroad.learn.detector import Detector
from oddroad.learn.networks.wrapped import Scales
from oddroad.learn.scores import SCORES
from oddroad.metrics import PixelMetric, SemanticMetric
from oddroad.synthetic.scenes import drive
from oddroad.types import ANOMALY, IGNORE, KNOWN, OUTLIER

CANDIDATES = ("msp", "max_logit", "entropy", "energy", "outlier_head", "dense_hybrid", "joint")
ROAD = 0
SIZE = (512, 1024)
"""Of the images and labels, whatever the network sees of them."""
FAR = (8, 40)
"""Heights in pixels of the objects of "far"."""

HELD_OUT_OBJECTS = (
    ("coco128-seg", 1.0), ("objects/heldout/coco", 2.0), ("objects/heldout/animals", 1.0),
    ("objects/heldout/ikea", 1.0), ("objects/heldout/imagenet", 1.0),
)  # fmt: skip
"""Folders of objects whose classes training never sees, with their shares."""

DRIVES = range(100, 106)
"""Seeds of the rendered drives; neither the demo nor a test shows them."""


def pasted(held_out: Validation) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Image, KNOWN / ANOMALY / IGNORE, and classes of each validation image."""
    for index in range(len(held_out)):
        image, label = held_out[index]
        truth = label.numpy()
        odd = np.where(truth == OUTLIER, ANOMALY, np.where(truth == IGNORE, IGNORE, KNOWN)).astype(np.uint8)
        yield image.permute(1, 2, 0).numpy(), odd, truth.astype(np.uint8)


def rendered(frames: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The same of the rendered drives, whose classes are not told."""
    for seed in DRIVES:
        for frame in drive(seed=seed, frames=frames):
            assert frame.label is not None
            yield frame.image, frame.label, np.full_like(frame.label, IGNORE)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--size", default="512x1024", help="HxW that the network sees")
    parser.add_argument("--scenes", type=int, default=50, help="small scenes of each of the two sets")
    parser.add_argument("--frames", type=int, default=10, help="frames of each rendered drive")
    parser.add_argument("--scores", nargs="+", default=CANDIDATES, help="the scores to judge")
    parser.add_argument("--smaller", type=float, nargs="*", default=[], help="as of oddroad export")
    parser.add_argument("--json", type=Path, help="file for the figures")
    given = parser.parse_args()
    seen = parse_size(given.size)
    network, about = load_network(given.checkpoint)
    network = Scales(network, given.smaller) if given.smaller else network
    names = len(about["classes"])
    scores = {name: SCORES[name] for name in given.scores}
    detector = Detector(network, scores, about["normalisation"], size=seen, classes=True).eval()
    sharp = sharp_scenes(given.data)
    sets = {
        "small": pasted(Validation(given.data, HELD_OUT_OBJECTS, given.scenes, SIZE, varied=1.0)),
        "sharp": pasted(Validation(given.data, HELD_OUT_OBJECTS, sharp, SIZE, varied=1.0)),
        "far": pasted(Validation(given.data, HELD_OUT_OBJECTS, sharp, SIZE, heights=FAR, varied=1.0)),
        "weather": pasted(Validation(given.data, HELD_OUT_OBJECTS, sharp, SIZE, varied=1.0, weather=-1)),
        "mended": pasted(Validation(given.data, HELD_OUT_OBJECTS, sharp, SIZE, heights=FAR, varied=1.0, roads=True)),
        "rendered": rendered(given.frames),
    }
    size = " + ".join([given.size, *(f"{each:g}" for each in given.smaller)])
    found: dict[str, Any] = {"size": size, "scenes": 2 * given.scenes, "sets": {}}
    medians: dict[str, list[list[float]]] = {name: [[], []] for name in scores}
    for kind, samples in sets.items():
        pixels = {name: PixelMetric() for name in scores}
        on_road = {name: PixelMetric() for name in scores}
        classes = SemanticMetric(names)
        for number, (image, label, truth) in enumerate(samples):
            with torch.inference_mode():
                *maps, likely = (each[0].numpy() for each in detector(torch.from_numpy(image)[None]))
            classes.add(likely, np.where(truth < names, truth, IGNORE).astype(np.uint8))
            for heat, name in zip(maps, scores, strict=True):
                pixels[name].add(heat, label, f"{kind} {number}")
                on_road[name].add(heat, np.where((label == KNOWN) & (truth != ROAD), IGNORE, label), f"{kind} {number}")
                for value in (KNOWN, ANOMALY) if kind == "small" else ():
                    if (label == value).any():
                        medians[name][value].append(float(np.median(heat[label == value])))
        found["sets"][kind] = {"images": number + 1}
        if kind != "rendered":
            found["sets"][kind]["miou"] = classes.result()["miou"]
        for name, metric in pixels.items():
            figures = metric.result()
            found["sets"][kind][name] = {"ap": figures["ap"], "fpr95": figures["fpr95"]}
        if kind != "rendered":
            both = {name: metric.result() for name, metric in on_road.items()}
            found["sets"][f"{kind} road"] = {"images": number + 1} | {
                name: {"ap": figures["ap"], "fpr95": figures["fpr95"]} for name, figures in both.items()
            }
    sets = list(found["sets"])
    print(" " * 14 + "".join(f"{kind:>20}" for kind in sets) + "   mean AP")
    for name in scores:
        each = [found["sets"][kind][name] for kind in sets]
        mean = float(np.mean([one["ap"] for one in each]))
        found[name] = {"ap": mean, "span": [float(np.median(values)) for values in medians[name]]}
        cells = "".join(f"{100 * one['ap']:>13.1f} /{100 * one['fpr95']:>5.1f}" for one in each)
        print(f"{name:<14}{cells}{100 * mean:>10.1f}")
    print(
        "".join(f"mean IoU of {kind}: {100 * found['sets'][kind]['miou']:.1f}\n" for kind in ("small", "sharp")), end=""
    )
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
