"""A conditional generator: class map in, image out, with spatially-adaptive normalisation (SPADE).

Source: Park, Liu, Wang, Zhu, "Semantic Image Synthesis with Spatially-Adaptive Normalization", CVPR 2019. Smaller than
the published one: five levels from stride 16 to 1, an embedding of the classes before the modulation, and scale and
shift from it by a 3x3 and a 1x1 convolution. Like the published one without an encoder, it is a function of the class
map alone.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oddroad.learn.tensor_ops import resize

LEVELS = ((16, 8), (8, 8), (4, 4), (2, 2), (1, 1))
"""Stride of each level of the generator, and its channels as a multiple of the width."""

COARSEST = LEVELS[0][0]
"""Sides of the generator's size are multiples of this."""


def leaky(x: Tensor) -> Tensor:
    """Leaky ReLU of slope 0.2, SPADE's."""
    return F.leaky_relu(x, 0.2)


class Spade(nn.Module):
    """Batch norm without parameters, then a scale and a shift of each pixel that the class map decides.

    y = norm(x) (1 + gamma(labels)) + beta(labels).

    Args:
        channels: of x.
        labels: channels of the class map.
        hidden: channels between the class map and scale and shift.
    """

    def __init__(self, channels: int, labels: int, hidden: int):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.shared = nn.Conv2d(labels, hidden, 3, 1, 1)
        self.scale_and_shift = nn.Conv2d(hidden, 2 * channels, 1)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """(N, channels, h, w) and a class map (N, labels, h, w) -> (N, channels, h, w)."""
        scale, shift = self.scale_and_shift(torch.relu(self.shared(labels))).chunk(2, 1)
        return self.norm(x) * (1 + scale) + shift


class SpadeBlock(nn.Module):
    """A residual block whose two convolutions each follow a SPADE; where the channels change, the shortcut has a third.

    Args:
        inputs: channels in.
        outputs: channels out.
        labels: channels of the class map.
        hidden: of each SPADE.
    """

    def __init__(self, inputs: int, outputs: int, labels: int, hidden: int):
        super().__init__()
        middle = min(inputs, outputs)
        self.first_norm, self.first = Spade(inputs, labels, hidden), nn.Conv2d(inputs, middle, 3, 1, 1)
        self.second_norm, self.second = Spade(middle, labels, hidden), nn.Conv2d(middle, outputs, 3, 1, 1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False) if inputs != outputs else None

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """(N, inputs, h, w) and a class map (N, labels, h, w) -> (N, outputs, h, w)."""
        inner = self.first(leaky(self.first_norm(x, labels)))
        inner = self.second(leaky(self.second_norm(inner, labels)))
        return inner + (x if self.shortcut is None else self.shortcut(x))


class Generator(nn.Module):
    """Class map -> image in [-1, 1], of any size whose sides are multiples of 16.

    Args:
        classes: channels of the class map.
        width: channels at full size; eight times as many at stride 16.
        hidden: of each SPADE.
        embedding: channels that the classes are embedded in first.
    """

    def __init__(self, classes: int, width: int = 16, hidden: int = 16, embedding: int = 16):
        super().__init__()
        self.embed = nn.Conv2d(classes, embedding, 1, bias=False)
        channels = [width * factor for _, factor in LEVELS]
        self.first = nn.Conv2d(embedding, channels[0], 3, 1, 1)
        inputs = [channels[0], *channels[:-1]]
        self.blocks = nn.ModuleList(
            SpadeBlock(before, after, embedding, hidden) for before, after in zip(inputs, channels, strict=True)
        )
        self.last = nn.Conv2d(channels[-1], 3, 3, 1, 1)

    def forward(self, labels: Tensor) -> Tensor:
        """Class map (N, C, H, W), the shares of the classes in each pixel -> image (N, 3, H, W) in [-1, 1]."""
        embedded = self.embed(labels)
        x = self.first(F.avg_pool2d(embedded, COARSEST))
        for (stride, _), block in zip(LEVELS, self.blocks, strict=True):
            here = embedded if stride == 1 else F.avg_pool2d(embedded, stride)
            x = x if stride == COARSEST else F.interpolate(x, scale_factor=2, mode="nearest")
            x = block(x, here)
        return torch.tanh(self.last(leaky(x)))


def to_unit(images: Tensor) -> Tensor:
    """Images in [-1, 1] -> RGB in [0, 1]."""
    return (images + 1) / 2


def shares(logits: Tensor, size: tuple[int, int], sharpness: float) -> Tensor:
    """The class map (N, C, *size) that a generator is given of logits (N, C, h, w).

    The softmax of the logits times the sharpness: one class a pixel, but for pixels at which two are nearly as likely,
    which get a share of both. An argmax would jump there, and no two engines would give the same map.
    """
    return torch.softmax(resize(logits, size) * sharpness, 1)


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """Labels (N, H, W) -> (N, C, H, W) of 0 and 1; a label that is no class gives zeros."""
    return torch.stack([labels == each for each in range(classes)], 1).float()
