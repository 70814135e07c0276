"""Write the detector on commercial terms from its checkpoint: computes in float32, weights stored in INT8.

Run as ``python runs/commercial_export.py CHECKPOINT OUT``. It is not quantised: the ranges would come from Cityscapes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from oddroad.learn.checkpoints.format import load_network
from oddroad.learn.export.onnx import export

LICENCE = (
    "Apache-2.0, as the code: the weights were trained on drives of our own generator, a motorway clip of Udacity "
    "(MIT), cut-outs of animals (CC BY 4.0) and of TrashNet's litter (MIT), textures (CC0); they began from "
    "EfficientNet-Lite0's ImageNet weights, published under Apache-2.0, whose pictures are for research; whether that "
    "binds weights is not settled in law"
)


def main() -> None:
    """Export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    network, about = load_network(given.checkpoint)
    about["licence"] = LICENCE
    export(
        network, about, ["outlier_head"], given.out, size=(384, 768), weight_storage="int8", classes=True,
        name="oddroad-commercial",
    )  # fmt: skip


if __name__ == "__main__":
    main()
