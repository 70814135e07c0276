"""Write the embedded detector's file from its checkpoint: 512x1024, weights stored in 8 bits, its card filled.

Run as ``python runs/embedded_export.py CHECKPOINT CHOICE OUT --scores NAME ...`` with CHOICE the JSON that
``runs/embedded_choose.py`` wrote; thresholds come afterwards from ``oddroad calibrate``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from oddroad.learn.checkpoint import load_network
from oddroad.learn.export import export

LICENCE = (
    "research and non-commercial use: the weights were trained on Cityscapes (non-commercial), CamVid and IDD-Lite "
    "(research) and COCO cut-outs; the code around them is Apache-2.0"
)


def main() -> None:
    """Export and print the parity."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("choice", type=Path, help="JSON of runs/embedded_choose.py")
    parser.add_argument("out", type=Path)
    parser.add_argument("--scores", nargs="+", required=True, help="the first is the default")
    given = parser.parse_args()
    choice = json.loads(given.choice.read_text())
    network, about = load_network(given.checkpoint)
    about["licence"] = LICENCE
    measured = {
        f"held-out objects pasted on {choice['scenes']} validation scenes at {choice['size']}": {
            name: f"AP {100 * choice[name]['ap']:.1f}, FPR95 {100 * choice[name]['fpr95']:.1f}" for name in given.scores
        }
        | {"mean IoU of their known pixels": f"{100 * choice['miou']:.1f}"}
    }
    card = export(
        network,
        about,
        given.scores,
        given.out,
        size=(512, 1024),
        weights="int8",
        classes=True,
        name="oddroad-small",
        card={"spans": {name: tuple(choice[name]["span"]) for name in given.scores}, "measured": measured},
    )
    print(f"{given.out}: {given.out.stat().st_size / 1e6:.2f} MB; {card.parity}")


if __name__ == "__main__":
    main()
