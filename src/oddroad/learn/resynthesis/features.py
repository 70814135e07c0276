"""Features that image and synthesis are compared in: an ImageNet encoder, or VGG19 with weights of the user's own.

VGG19's weights are not distributed with oddroad. Its layers carry torchvision's names (``features.0.weight`` ...), so
that a state dict in that layout loads. Source: Simonyan and Zisserman, "Very Deep Convolutional Networks for
Large-Scale Image Recognition", 2015; as a loss: Johnson, Alahi, Fei-Fei, "Perceptual Losses", 2016.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oddroad.errors import InputError
from oddroad.learn.detector import NORMALISATION
from oddroad.learn.tensor_ops import resize

VGG19_LAYERS = (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512)
"""Channels of VGG19's convolutions up to relu5_1, which is the last that is used; 0 is a max pooling."""

VGG19_TAPS = (1, 6, 11, 20, 29)
"""Positions of relu1_1, relu2_1, relu3_1, relu4_1, relu5_1 in torchvision's ``features``: strides 1, 2, 4, 8, 16."""


class Features(nn.Module):
    """What both kinds share: RGB in [0, 1] is normalised as ImageNet's, and nothing is trained.

    Attributes:
        strides: of the maps, finest first.
        channels: of the maps.
        multiple: sides of the images are multiples of this.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, strides: Sequence[int], channels: Sequence[int], multiple: int):
        super().__init__()
        self.strides, self.channels, self.coarsest = tuple(strides), tuple(channels), multiple
        mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in NORMALISATION["imagenet"])
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    def normalised(self, images: Tensor) -> Tensor:
        """RGB in [0, 1] as ImageNet's networks see it."""
        return (images - self.mean) / self.std


class EncoderFeatures(Features):
    """The maps of EfficientNet-Lite's encoder at strides 2, 4, 8, 16 and 32.

    Args:
        encoder: with ``conv_stem``, ``bn0``, ``blocks``, and for each stride ``last_of`` and ``channels``.
    """

    def __init__(self, encoder: nn.Module):
        ends: dict[int, int] = encoder.last_of  # pyright: ignore[reportAssignmentType]
        channels: dict[int, int] = encoder.channels  # pyright: ignore[reportAssignmentType]
        strides = sorted(ends)
        super().__init__(strides, [channels[each] for each in strides], strides[-1])
        self.encoder = encoder
        self.ends = {ends[each] for each in strides}

    def forward(self, images: Tensor) -> list[Tensor]:
        """RGB (N, 3, H, W) in [0, 1], sides multiples of 32 -> (N, D, H / stride, W / stride), finest first."""
        encoder, found = self.encoder, []
        x = F.relu6(encoder.bn0(encoder.conv_stem(self.normalised(images))))  # pyright: ignore[reportCallIssue]
        for number, block in enumerate(encoder.blocks):  # pyright: ignore[reportArgumentType]
            x = block(x)
            if number in self.ends:
                found.append(x)
        return found


class VGG19Features(Features):
    """The maps of VGG19 after the first convolution of each of its five levels."""

    def __init__(self):
        super().__init__((1, 2, 4, 8, 16), (64, 128, 256, 512, 512), 16)
        layers: list[nn.Module] = []
        inputs = 3
        for outputs in VGG19_LAYERS:
            layers += [nn.MaxPool2d(2)] if outputs == 0 else [nn.Conv2d(inputs, outputs, 3, 1, 1), nn.ReLU()]
            inputs = outputs or inputs
        self.features = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> list[Tensor]:
        """RGB (N, 3, H, W) in [0, 1], sides multiples of 16 -> (N, D, H / stride, W / stride), finest first."""
        found, x = [], self.normalised(images)
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in VGG19_TAPS:
                found.append(x)
        return found


def vgg19_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The parameters of ``VGG19Features`` in a state dict of torchvision's VGG19; its later layers are left out.

    Raises:
        InputError: if it is no such state dict.
    """
    wanted = VGG19Features().state_dict()
    wrong = [name for name, each in wanted.items() if name not in state or state[name].shape != each.shape]
    if wrong:
        raise InputError(
            f"the weights have no '{wrong[0]}' of shape {tuple(wanted[wrong[0]].shape)}; expected a state dict of "
            "torchvision's vgg19 (features.0.weight to features.28.bias)"
        )
    return {name: state[name].float() for name in wanted}


def perceptual_loss(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """Mean absolute difference of the features, each level over the mean size of the real ones, mean over the levels.

    VGG's levels differ in size by less than tenfold and the published losses give them fixed weights; an encoder's with
    batch norm and linear bottlenecks do not, hence the division.
    """
    values = [
        (one.detach() - other).abs().mean() / one.detach().abs().mean().clamp(min=1e-6)
        for one, other in zip(real, fake, strict=True)
    ]
    return torch.stack(values).mean()


def perceptual_difference(
    real: Sequence[Tensor], fake: Sequence[Tensor], typical: Tensor, size: tuple[int, int]
) -> Tensor:
    """The map (N, *size), at or above 0: the mean absolute difference of the channels, enlarged, mean over the levels.

    Source: the perceptual difference of Di Biase et al., "Pixel-wise Anomaly Detection in Complex Driving Scenes", CVPR
    2021, which stretches the map of each image to [0, 1]; here each level is divided by a constant.

    Args:
        real: features of the image, finest first.
        fake: those of the synthesis.
        typical: (levels,) mean size of the features of real images.
        size: (H, W) of the map.
    """
    levels = [
        resize((one - other).abs().mean(1, keepdim=True) / typical[number], size)[:, 0]
        for number, (one, other) in enumerate(zip(real, fake, strict=True))
    ]
    return torch.stack(levels).mean(0)
