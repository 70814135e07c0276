"""The generator's opponent in training, and what both are trained by.

Sources: the multi-scale patch discriminator and feature matching of Wang et al., "High-Resolution Image Synthesis and
Semantic Manipulation with Conditional GANs" (pix2pixHD), CVPR 2018; hinge loss and spectral normalisation (Miyato et
al., 2018) as in SPADE.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

Maps = list[Tensor]
"""Maps of the layers of one discriminator, the verdict (N, 1, h, w) last."""


class PatchDiscriminator(nn.Module):
    """Judges patches of an image with its class map: convolutions of stride 2, spectrally normalised.

    Args:
        inputs: channels of image and class map together.
        width: channels of the first layer; doubled by each.
        layers: of stride 2.
    """

    def __init__(self, inputs: int, width: int = 32, layers: int = 3):
        super().__init__()
        channels = [inputs, *(width * 2**each for each in range(layers))]
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(before, after, 4, 2, 1)) for before, after in itertools.pairwise(channels)
        )
        self.verdict = spectral_norm(nn.Conv2d(channels[-1], 1, 3, 1, 1))

    def forward(self, pair: Tensor) -> Maps:
        """Image and class map (N, inputs, H, W) -> the maps of all layers, the verdict last: above 0 is real."""
        found: Maps = []
        for layer in self.layers:
            pair = F.leaky_relu(layer(pair), 0.2)
            found.append(pair)
        return [*found, self.verdict(pair)]


class Discriminator(nn.Module):
    """A patch discriminator at full size, and others at a half, a quarter of it.

    Args:
        classes: channels of the class map.
        width: channels of the first layers.
        scales: number of discriminators.
    """

    def __init__(self, classes: int, width: int = 32, scales: int = 2):
        super().__init__()
        self.scales = nn.ModuleList(PatchDiscriminator(3 + classes, width) for _ in range(scales))

    def forward(self, images: Tensor, labels: Tensor) -> list[Maps]:
        """Images (N, 3, H, W) in [-1, 1] and class maps (N, C, H, W) -> the maps of each scale."""
        pair, found = torch.cat((images, labels), 1), []
        for number, each in enumerate(self.scales):
            pair = pair if number == 0 else F.avg_pool2d(pair, 2)
            found.append(each(pair))
        return found


def discriminator_loss(real: Sequence[Maps], fake: Sequence[Maps]) -> Tensor:
    """Hinge loss of the discriminator: real verdicts above 1, fake ones below -1 cost nothing; mean over the scales."""
    values = [F.relu(1 - one[-1]).mean() + F.relu(1 + other[-1]).mean() for one, other in zip(real, fake, strict=True)]
    return torch.stack(values).mean()


def generator_loss(fake: Sequence[Maps]) -> Tensor:
    """Hinge loss of the generator: minus the verdict on what it made, mean over the scales."""
    return torch.stack([-each[-1].mean() for each in fake]).mean()


def feature_matching(real: Sequence[Maps], fake: Sequence[Maps]) -> Tensor:
    """Mean absolute difference of the discriminator's inner maps, mean over layers and scales; real ones teach only."""
    values = [
        (one.detach() - other).abs().mean()
        for truth, made in zip(real, fake, strict=True)
        for one, other in zip(truth[:-1], made[:-1], strict=True)
    ]
    return torch.stack(values).mean()
