"""Which of ERFNet's encoder blocks it can spare: mean IoU with each of them, and with some together, left out.

Run as ``python runs/embedded_spared.py ERFNET.ckpt DATA``; nothing is trained. It reads 40 *training* scenes of
``cityscapes_small`` at 384x768, so that no validation scene takes part in the choice, and judges every fourth pixel.
``networks.erfnet_lite`` leaves out what this found.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from oddroad.io.images import resize_nearest
from oddroad.learn.checkpoints.format import load_network
from oddroad.learn.data.scenes import SceneList
from oddroad.metrics import SemanticMetric

SIZE = (384, 768)
STRIDE = 4
TOGETHER = ((2, 3), (2, 3, 10), (2, 3, 14), (2, 3, 10, 13), (2, 3, 10, 14), (2, 3, 13, 14), (2, 3, 9, 13), (1, 2, 3))


def scenes(data: Path, count: int = 40) -> tuple[list[Tensor], list[np.ndarray]]:
    """Images (1, 3, H, W) in [0, 1] and labels (H / 4, W / 4), IGNORE where no class is named, of training scenes."""
    images, labels = [], []
    for scene in SceneList(data, ("cityscapes_small",), "train", count):
        image = cv2.resize(scene.image, SIZE[::-1], interpolation=cv2.INTER_LINEAR)
        images.append(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)
        labels.append(resize_nearest(scene.label, (SIZE[0] // STRIDE, SIZE[1] // STRIDE)))
    return images, labels


def mean_iou(network: nn.Module, images: Sequence[Tensor], labels: Sequence[np.ndarray]) -> float:
    """Mean IoU in percent over the 19 classes."""
    metric = SemanticMetric(19)
    with torch.inference_mode():
        for image, label in zip(images, labels, strict=True):
            likely = network(image).logits[0, :19, STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE].argmax(0)
            metric.add(likely.numpy().astype(np.uint8), label)
    return 100 * metric.result()["miou"]


def main() -> None:
    """Measure and print, a line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("data", type=Path)
    given = parser.parse_args()
    network, _ = load_network(given.checkpoint)
    images, labels = scenes(given.data)
    layers = network.eval().encoder.layers
    assert isinstance(layers, nn.ModuleList)
    whole = list(layers)
    blocks = [(number,) for number, each in enumerate(whole) if type(each).__name__ == "NonBottleneck1d"]
    for out in ((), *blocks, *TOGETHER):
        for number, each in enumerate(whole):
            layers[number] = nn.Identity() if number in out else each
        print(f"without {', '.join(map(str, out)) or 'nothing'}: {mean_iou(network, images, labels):.1f}", flush=True)


if __name__ == "__main__":
    main()
