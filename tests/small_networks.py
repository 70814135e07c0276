"""Small networks, their metadata and labelled noise, for tests of export and calibration."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from oddroad.learn.outputs import Outputs, crop_outputs
from oddroad.learn.scores.masks import INFERENCE
from oddroad.learn.tensor_ops import pad_to_multiple, resize

MASK_SCORES = {"mask2anomaly", "rba", "eam", "uno", *INFERENCE}

SLIM_ARGUMENTS = {"classes": 5, "planes": 8, "pooled": 8, "head": 8}
SLIM_ABOUT = {
    "network": "ddrnet23_slim", "arguments": SLIM_ARGUMENTS, "normalisation": "imagenet", "classes": list("abcd"),
}  # fmt: skip


def labelled_noise(count: int = 3) -> list[tuple[np.ndarray, np.ndarray]]:
    """Noise images of different sizes with labels 0 to 3 and some ignored rows."""
    draw, found = np.random.default_rng(0), []
    for i in range(count):
        height, width = 64 + 8 * i, 96
        image = draw.integers(0, 256, (height, width, 3), dtype=np.uint8)
        label = draw.integers(0, 4, (height, width), dtype=np.uint8)
        label[:8] = 255
        found.append((image, label))
    return found


TINY_ABOUT = {"network": "tiny", "normalisation": "cityscapes", "classes": ["road", "sky", "car"], "licence": "test"}


class Tiny(nn.Module):
    """A network of stride 4 in which every kind of folding occurs."""

    stride, multiple = 4, 8

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.down = nn.Sequential(nn.Conv2d(16, 64, 3, 4, 1), nn.BatchNorm2d(64))
        self.up, self.norm = nn.ConvTranspose2d(64, 64, 2, 2, bias=False), nn.BatchNorm2d(64)
        self.before, self.head = nn.BatchNorm2d(64), nn.Conv2d(64, 4, 1)
        self.auxiliary = nn.Conv2d(64, 128, 1)

    def forward(self, images: torch.Tensor) -> Outputs:
        height, width = images.shape[-2:]
        x = self.down(self.first(pad_to_multiple(images, self.multiple)))
        wide = self.norm(self.up(x.relu()))
        features = (wide + resize(x, (wide.shape[-2], wide.shape[-1]))).relu()
        outputs = Outputs(self.head(self.before(features)), features, outlier=features.mean(1))
        return crop_outputs(outputs, height, width, self.stride)
