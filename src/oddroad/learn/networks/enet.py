"""ENet: a narrow early-downsampling network of bottlenecks whose decoder puts values back where the maxima were.

Source: Paszke, Chaurasia, Kim, Culurciello, "ENet: A Deep Neural Network Architecture for Real-Time Semantic
Segmentation", 2016 (arXiv 1606.02147). Parameter names and outputs equal those of a widely used public code
(davidtvs/PyTorch-ENet), so that its checkpoints load. It sees RGB in [0, 1].

The published max-unpooling runs as a scatter in ONNX Runtime and OpenVINO, 3 and 8 times slower than the rest of the
network together. Here the place of the maximum is four masks, one for each corner of the 2 x 2 window, and unpooling
is a product and an interleaving: the same function, ties included (the first of equal values is the maximum).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oddroad.learn.networks.blocks import Classifier, IsoMax, last_step
from oddroad.learn.outputs import Outputs, crop_outputs
from oddroad.learn.tensor_ops import pad_to_multiple


def unit(inputs: int, outputs: int, activation: type[nn.Module], kernel: int = 1, stride: int = 1) -> nn.Sequential:
    """Convolution without bias, batch norm, activation."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), activation())


def corners(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The four pixels of each 2 x 2 window of (N, C, 2 h, 2 w), each (N, C, h, w), in reading order."""
    return x[:, :, 0::2, 0::2], x[:, :, 0::2, 1::2], x[:, :, 1::2, 0::2], x[:, :, 1::2, 1::2]


def max_pool_corners(x: Tensor) -> tuple[Tensor, Tensor]:
    """2 x 2 max pooling of (N, C, 2 h, 2 w), and where each maximum was.

    Returns:
        the maxima (N, C, h, w), and masks (N, C, 4, h, w) of 0 and 1, one 1 in each window: the first in reading order
        that equals the maximum.
    """
    upper_left, upper_right, lower_left, lower_right = corners(x)
    upper, lower = torch.maximum(upper_left, upper_right), torch.maximum(lower_left, lower_right)
    # a knock-out: each comparison is between values of one kind, so that exactly one corner wins in INT8 too
    in_upper = (upper >= lower).to(x.dtype)
    left_of_upper = (upper_left >= upper_right).to(x.dtype)
    left_of_lower = (lower_left >= lower_right).to(x.dtype)
    in_lower = 1 - in_upper
    masks = (
        *(in_upper * left_of_upper, in_upper * (1 - left_of_upper)),
        *(in_lower * left_of_lower, in_lower * (1 - left_of_lower)),
    )
    return torch.maximum(upper, lower), torch.stack(masks, 2)


def max_unpool_corners(x: Tensor, masks: Tensor) -> Tensor:
    """Put (N, C, h, w) where the masks (N, C, 4, h, w) say, zero elsewhere: (N, C, 2 h, 2 w)."""
    return F.pixel_shuffle((x[:, :, None] * masks).flatten(1, 2), 2)


class InitialBlock(nn.Module):
    """A strided 3x3 convolution beside a strided 3x3 max pooling, joined."""

    def __init__(self, outputs: int):
        super().__init__()
        self.main_branch = nn.Conv2d(3, outputs - 3, 3, 2, 1, bias=False)
        self.batch_norm = nn.BatchNorm2d(outputs)
        self.out_activation = nn.PReLU()

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, outputs, H / 2, W / 2)."""
        joined = torch.cat((self.main_branch(images), F.max_pool2d(images, 3, 2, 1)), 1)
        return self.out_activation(self.batch_norm(joined))


class Regular(nn.Module):
    """Bottleneck that keeps the size: 1x1, then 3x3 (dilated) or 5x1 and 1x5, then 1x1; and the input itself."""

    def __init__(
        self,
        channels: int,
        dropout: float,
        dilation: int = 1,
        asymmetric: bool = False,
        activation: type[nn.Module] = nn.PReLU,
    ):
        super().__init__()
        inner = channels // 4
        if asymmetric:
            shape = [((5, 1), (2, 0)), ((1, 5), (0, 2))]
            middle = [nn.Conv2d(inner, inner, kernel, 1, padding, bias=False) for kernel, padding in shape]
        else:
            middle = [nn.Conv2d(inner, inner, 3, 1, dilation, dilation, bias=False)]
        self.ext_conv1 = unit(channels, inner, activation)
        self.ext_conv2 = nn.Sequential(*(part for c in middle for part in (c, nn.BatchNorm2d(inner), activation())))
        self.ext_conv3 = unit(inner, channels, activation)
        self.ext_regul = nn.Dropout2d(dropout)
        self.out_activation = activation()

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, h, w) -> the same shape."""
        return self.out_activation(x + self.ext_regul(self.ext_conv3(self.ext_conv2(self.ext_conv1(x)))))


class Downsampling(nn.Module):
    """Bottleneck that halves the size; the shortcut is a max pooling that tells where the maxima were."""

    def __init__(self, inputs: int, outputs: int, dropout: float):
        super().__init__()
        inner = inputs // 4
        self.wider = outputs - inputs
        self.ext_conv1 = unit(inputs, inner, nn.PReLU, 2, 2)
        middle = nn.Conv2d(inner, inner, 3, 1, 1, bias=False)
        self.ext_conv2 = nn.Sequential(middle, nn.BatchNorm2d(inner), nn.PReLU())
        self.ext_conv3 = unit(inner, outputs, nn.PReLU)
        self.ext_regul = nn.Dropout2d(dropout)
        self.out_activation = nn.PReLU()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, inputs, 2 h, 2 w) -> (N, outputs, h, w), masks (N, inputs, 4, h, w)."""
        largest, masks = max_pool_corners(x)
        y = self.ext_regul(self.ext_conv3(self.ext_conv2(self.ext_conv1(x))))
        return self.out_activation(F.pad(largest, (0, 0, 0, 0, 0, self.wider)) + y), masks


class Upsampling(nn.Module):
    """Bottleneck that doubles the size; the shortcut puts its values where the maxima were."""

    def __init__(self, inputs: int, outputs: int, dropout: float):
        super().__init__()
        inner = inputs // 4
        self.main_conv1 = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.ext_conv1 = unit(inputs, inner, nn.ReLU)
        self.ext_tconv1 = nn.ConvTranspose2d(inner, inner, 2, 2, bias=False)
        self.ext_tconv1_bnorm = nn.BatchNorm2d(inner)
        self.ext_conv2 = nn.Sequential(nn.Conv2d(inner, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.ext_regul = nn.Dropout2d(dropout)

    def forward(self, x: Tensor, masks: Tensor) -> Tensor:
        """(N, inputs, h, w), masks (N, outputs, 4, h, w) -> (N, outputs, 2 h, 2 w)."""
        y = torch.relu(self.ext_tconv1_bnorm(self.ext_tconv1(self.ext_conv1(x))))
        y = self.ext_regul(self.ext_conv2(y))
        return torch.relu(max_unpool_corners(self.main_conv1(x), masks) + y)


class ENet(nn.Module):
    """ENet; logits at stride 1 as published, or at stride 2.

    Args:
        classes: number of class logits, a void class included if there is one.
        outlier: add a 1x1 outlier head on the features.
        auxiliary: there is no head for training only; accepted so that all networks are called alike.
        stride: 1, or 2 for the published logits averaged over 2 x 2 pixels, from the same weights and cheaper.
        isomax: put an IsoMax+ head on that many channels in the place of the linear classifier; 0 for none.
    """

    multiple = 8
    discontinuous = 0.02
    """Share of the pixels where two correct computations may differ: at ties the last bit moves a maximum."""

    def __init__(
        self, classes: int = 19, outlier: bool = False, auxiliary: bool = False, stride: int = 1, isomax: int = 0
    ):
        super().__init__()
        self.isomax = IsoMax(isomax, classes) if isomax else None
        self.stride = stride
        self.initial_block = InitialBlock(16)
        self.downsample1_0 = Downsampling(16, 64, 0.01)
        for number in range(1, 5):
            self.add_module(f"regular1_{number}", Regular(64, 0.01))
        self.downsample2_0 = Downsampling(64, 128, 0.1)
        kinds = (
            *(("regular", 1), ("dilated", 2), ("asymmetric", 1), ("dilated", 4)),
            *(("regular", 1), ("dilated", 8), ("asymmetric", 1), ("dilated", 16)),
        )
        self.middle: list[str] = []
        for stage, start in ((2, 1), (3, 0)):
            for number, (kind, dilation) in enumerate(kinds, start):
                self.middle.append(f"{kind}{stage}_{number}")
                self.add_module(self.middle[-1], Regular(128, 0.1, dilation, kind == "asymmetric"))
        self.upsample4_0 = Upsampling(128, 64, 0.1)
        self.regular4_1 = Regular(64, 0.1, activation=nn.ReLU)
        self.regular4_2 = Regular(64, 0.1, activation=nn.ReLU)
        self.upsample5_0 = Upsampling(64, 16, 0.1)
        self.regular5_1 = Regular(16, 0.1, activation=nn.ReLU)
        self.transposed_conv = nn.ConvTranspose2d(16, isomax or classes, 3, 2, 1, 1, bias=False)
        self.outlier = Classifier(16, 1, 1) if outlier else None

    def forward(self, images: Tensor) -> Outputs:
        """(N, 3, H, W) RGB in [0, 1] -> Outputs at H x W, or half of it at stride 2; any size.

        The 16 features belong to stride 2; at stride 1 each stands for its four pixels.
        """
        height, width = images.shape[-2:]
        x, outer = self.downsample1_0(self.initial_block(pad_to_multiple(images, self.multiple)))
        for number in range(1, 5):
            x = self.get_submodule(f"regular1_{number}")(x)
        x, inner = self.downsample2_0(x)
        for name in self.middle:
            x = self.get_submodule(name)(x)
        x = self.regular4_2(self.regular4_1(self.upsample4_0(x, inner)))
        features = self.regular5_1(self.upsample5_0(x, outer))
        logits, features, outlier = last_step(features, self.transposed_conv, self.outlier, self.stride)
        if self.isomax is not None:
            features, logits = logits, self.isomax(logits)
        outputs = Outputs(logits, features, outlier=outlier)
        return crop_outputs(outputs, height, width, self.stride)
