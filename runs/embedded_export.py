"""Write the embedded detector's file from its checkpoint: weights stored in INT8, its card filled.

Run as ``python runs/embedded_export.py CHECKPOINT CHOICE OUT --scores NAME ... [--int8 DATA]``; CHOICE is the JSON that
``runs/embedded_choose.py`` wrote. Thresholds come afterwards from ``oddroad calibrate``, for each file its own. With
``--int8`` the file computes in INT8, and DATA gives its ranges and the report of what that costs; without it, it
computes in float32.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from oddroad.cli.common import parse_size
from oddroad.learn.checkpoints.format import load_network
from oddroad.learn.export.onnx import export
from oddroad.learn.export.quantise import export_int8
from oddroad.learn.networks.wrapped import Scales

LICENCE = (
    "research and non-commercial use: the weights were trained on Cityscapes (non-commercial), CamVid and IDD-Lite "
    "(research), with cut-outs of COCO, product photos, animals and ImageNet (research, non-commercial); the code "
    "around them is Apache-2.0"
)
WORDS = {
    "small": "held-out objects pasted on small validation scenes",
    "small road": "those small scenes with road as the only in-distribution class",
    "sharp": "held-out objects pasted on sharp validation scenes",
    "sharp road": "those sharp scenes with road as the only in-distribution class",
    "far": "small held-out objects on the road of sharp validation scenes",
    "far road": "the same with road as the only in-distribution class",
    "weather": "held-out objects pasted on sharp validation scenes in fog, rain, at night, in a low sun, with drops",
    "weather road": "the same in bad weather with road as the only in-distribution class",
    "mended": "small held-out objects on mended roads of two surfaces in sharp validation scenes",
    "mended road": "the same mended roads with road as the only in-distribution class",
    "rendered": "rendered drives",
}
"""What runs/embedded_choose.py calls its sets."""


def main() -> None:
    """Export and print the parity."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("choice", type=Path, help="JSON of runs/embedded_choose.py")
    parser.add_argument("out", type=Path)
    parser.add_argument("--scores", nargs="+", required=True, help="the first is the default")
    parser.add_argument("--size", default="512x1024", help="HxW that the network sees")
    parser.add_argument("--name", default="oddroad-default", help="of the detector")
    parser.add_argument("--quantiser", default="auto", help="for --int8: nncf, onnxruntime, or the better of both")
    parser.add_argument("--int8", type=Path, metavar="DATA", help="compute in INT8; folder of the data sets")
    parser.add_argument("--smaller", type=float, nargs="*", default=[], help="as of oddroad export")
    given = parser.parse_args()
    choice = json.loads(given.choice.read_text())
    network, about = load_network(given.checkpoint)
    about["licence"] = LICENCE
    if given.smaller:
        network = Scales(network, given.smaller)
        about["origin"] = {**about.get("origin", {}), "smaller": network.words}
    measured = {
        f"{WORDS[kind]}, {found['images']} images at {choice['size']}": {
            name: f"AP {100 * found[name]['ap']:.1f}, FPR95 {100 * found[name]['fpr95']:.1f}" for name in given.scores
        }
        | ({"mean IoU of their in-distribution pixels": f"{100 * found['miou']:.1f}"} if "miou" in found else {})
        for kind, found in choice["sets"].items()
    }
    options: dict[str, Any] = {"size": parse_size(given.size), "card": {"measured": measured}}
    if given.int8 is not None:
        card = export_int8(
            network,
            about,
            given.scores,
            given.out,
            given.int8,
            by=given.quantiser,
            classes=True,
            say=print,
            name=given.name,
            **options,
        )
        print("\n".join(f"{key}: {value}" for key, value in card.quantisation.items()))
    else:
        card = export(
            network,
            about,
            given.scores,
            given.out,
            weight_storage="int8",
            classes=True,
            name=given.name,
            **options,
        )
    print(f"{given.out}: {given.out.stat().st_size / 1e6:.2f} MB; {card.parity}")


if __name__ == "__main__":
    main()
