"""ERFNet: an encoder and a small decoder of factorised residual blocks.

Source: Romera, Alvarez, Bergasa, Arroyo, "ERFNet: Efficient Residual Factorized ConvNet for Real-time Semantic
Segmentation", IEEE Transactions on Intelligent Transportation Systems, 2018. Parameter names and outputs equal those
of the authors' public code (Eromera/erfnet_pytorch), so that its checkpoints load. It sees RGB in [0, 1], without mean
and standard deviation.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oddroad.learn.networks.blocks import Classifier, IsoMax, last_step
from oddroad.learn.outputs import Outputs, crop_outputs
from oddroad.learn.tensor_ops import pad_to_multiple

EPSILON = 1e-3
"""Of every batch norm here; the other networks keep 1e-5."""


class Downsampler(nn.Module):
    """A strided 3x3 convolution beside a max pooling, joined; then batch norm and ReLU."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs - inputs, 3, 2, 1)
        self.bn = nn.BatchNorm2d(outputs, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, h, w) -> (N, outputs, h / 2, w / 2)."""
        return torch.relu(self.bn(torch.cat((self.conv(x), F.max_pool2d(x, 2)), 1)))

    def folded(self) -> nn.Module:
        """The same function in evaluation mode, without a batch norm."""
        return FoldedDownsampler(self)


class FoldedDownsampler(nn.Module):
    """A Downsampler whose batch norm is part of its convolution, and of a 1x1 one behind its pooling.

    A batch norm behind a concatenation belongs to no convolution, so that engines leave INT8 and their own order of
    the channels for it, and for all sums of the blocks behind it.
    """

    def __init__(self, given: Downsampler):
        super().__init__()
        norm, convolution = given.bn, given.conv
        scale = (norm.weight / torch.sqrt(norm.running_var + norm.eps)).detach()  # pyright: ignore
        shift = (norm.bias - norm.running_mean * scale).detach()  # pyright: ignore
        made = convolution.out_channels
        pooled = scale.numel() - made
        self.conv = nn.Conv2d(pooled, made, 3, 2, 1)
        self.pooled = nn.Conv2d(pooled, pooled, 1)
        assert convolution.bias is not None
        with torch.no_grad():
            self.conv.weight.copy_(convolution.weight * scale[:made, None, None, None])
            self.pooled.weight.copy_(torch.diag(scale[made:])[:, :, None, None])
            for each, bias in (
                (self.conv, convolution.bias * scale[:made] + shift[:made]),
                (self.pooled, shift[made:]),
            ):
                assert each.bias is not None
                each.bias.copy_(bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, h, w) -> (N, outputs, h / 2, w / 2)."""
        return torch.cat((torch.relu(self.conv(x)), torch.relu(self.pooled(F.max_pool2d(x, 2)))), 1)


class NonBottleneck1d(nn.Module):
    """A residual block of two 3x3 convolutions, each split into 3x1 and 1x3; the second one dilated."""

    def __init__(self, channels: int, dropout: float, dilation: int):
        super().__init__()
        d = dilation
        self.conv3x1_1 = nn.Conv2d(channels, channels, (3, 1), 1, (1, 0))
        self.conv1x3_1 = nn.Conv2d(channels, channels, (1, 3), 1, (0, 1))
        self.bn1 = nn.BatchNorm2d(channels, eps=EPSILON)
        self.conv3x1_2 = nn.Conv2d(channels, channels, (3, 1), 1, (d, 0), (d, 1))
        self.conv1x3_2 = nn.Conv2d(channels, channels, (1, 3), 1, (0, d), (1, d))
        self.bn2 = nn.BatchNorm2d(channels, eps=EPSILON)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, h, w) -> the same shape."""
        y = torch.relu(self.conv3x1_1(x))
        y = torch.relu(self.bn1(self.conv1x3_1(y)))
        y = torch.relu(self.conv3x1_2(y))
        return torch.relu(self.dropout(self.bn2(self.conv1x3_2(y))) + x)


class Upsampler(nn.Module):
    """A transposed 3x3 convolution of stride 2, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.conv = nn.ConvTranspose2d(inputs, outputs, 3, 2, 1, 1)
        self.bn = nn.BatchNorm2d(outputs, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, h, w) -> (N, outputs, 2 h, 2 w)."""
        return torch.relu(self.bn(self.conv(x)))


class Encoder(nn.Module):
    """Image -> 128 channels at stride 8; ``output_conv`` classifies them while the encoder is trained alone.

    Args:
        classes: outputs of ``output_conv``; None for none.
        dropout: share of the channels that the deeper blocks drop in training.
    """

    def __init__(self, classes: int | None, dropout: float = 0.3):
        super().__init__()
        self.initial_block = Downsampler(3, 16)
        blocks: list[nn.Module] = [Downsampler(16, 64), *(NonBottleneck1d(64, 0.03, 1) for _ in range(5))]
        blocks += [Downsampler(64, 128), *(NonBottleneck1d(128, dropout, d) for d in (2, 4, 8, 16, 2, 4, 8, 16))]
        self.layers = nn.ModuleList(blocks)
        self.output_conv = None if classes is None else Classifier(128, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 128, H / 8, W / 8)."""
        x = self.initial_block(images)
        for layer in self.layers:
            x = layer(x)
        return x


class Decoder(nn.Module):
    """128 channels at stride 8 -> 16 channels at stride 2, which ``output_conv`` classifies at stride 1."""

    def __init__(self, outputs: int):
        super().__init__()
        self.layers = nn.ModuleList(
            [
                *(Upsampler(128, 64), NonBottleneck1d(64, 0, 1), NonBottleneck1d(64, 0, 1)),
                *(Upsampler(64, 16), NonBottleneck1d(16, 0, 1), NonBottleneck1d(16, 0, 1)),
            ]
        )
        self.output_conv = nn.ConvTranspose2d(16, outputs, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 128, h, w) -> (N, 16, 4 h, 4 w)."""
        for layer in self.layers:
            x = layer(x)
        return x


class ERFNet(nn.Module):
    """ERFNet; logits at stride 1 as published, or at stride 2.

    Args:
        classes: number of class logits, a void class included if there is one (the published weights have 20).
        outlier: add a 1x1 outlier head on the features.
        auxiliary: add the encoder's own classifier, which gives ``Outputs.auxiliary`` in training: for the first of
            the two stages of the published training.
        stride: 1, or 2 for the published logits averaged over 2 x 2 pixels, from the same weights and cheaper.
        isomax: put an IsoMax+ head on that many channels in the place of the linear classifier; 0 for none.
    """

    multiple = 8

    def __init__(
        self, classes: int = 19, outlier: bool = False, auxiliary: bool = False, stride: int = 1, isomax: int = 0
    ):
        super().__init__()
        self.stride = stride
        self.encoder = Encoder(classes if auxiliary else None)
        self.decoder = Decoder(isomax or classes)
        self.isomax = IsoMax(isomax, classes) if isomax else None
        self.outlier = Classifier(16, 1, 1) if outlier else None

    def forward(self, images: Tensor) -> Outputs:
        """(N, 3, H, W) RGB in [0, 1] -> Outputs at H x W, or half of it at stride 2; any size.

        The 16 features belong to stride 2; at stride 1 each stands for its four pixels.
        """
        height, width = images.shape[-2:]
        encoded = self.encoder(pad_to_multiple(images, self.multiple))
        features = self.decoder(encoded)
        logits, features, outlier = last_step(features, self.decoder.output_conv, self.outlier, self.stride)
        if self.isomax is not None:
            features, logits = logits, self.isomax(logits)
        head = self.encoder.output_conv
        outputs = Outputs(
            logits=logits,
            features=features,
            outlier=outlier,
            auxiliary=(head(encoded),) if head is not None and self.training else (),
        )
        return crop_outputs(outputs, height, width, self.stride)
