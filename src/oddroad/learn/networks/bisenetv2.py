"""BiSeNet V2: a shallow wide detail branch and a deep narrow semantic branch, joined by guided aggregation.

Source: Yu, Gao, Wang, Yu, Shen, Sang, "BiSeNet V2: Bilateral Network with Guided Aggregation for Real-time Semantic
Segmentation", IJCV 2021 (arXiv 2004.02147). Parameter names and outputs equal those of a widely used public code
(CoinCheung/BiSeNet, lib/models/bisenetv2.py), so that its checkpoints load.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oddroad.learn.networks.blocks import Classifier, ConvBNReLU, IsoMax
from oddroad.learn.networks.ddrnet import conv1x1, conv3x3
from oddroad.learn.outputs import Outputs, crop_outputs
from oddroad.learn.tensor_ops import pad_to_multiple


def depthwise(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
    """A 3x3 convolution of each channel by itself, and batch norm."""
    return [nn.Conv2d(inputs, outputs, 3, stride, 1, groups=inputs, bias=False), nn.BatchNorm2d(outputs)]


def pointwise(inputs: int, outputs: int) -> list[nn.Module]:
    """A 1x1 convolution, and batch norm."""
    return [nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]


class DetailBranch(nn.Module):
    """Eight plain 3x3 convolutions."""

    def __init__(self):
        super().__init__()
        self.S1 = nn.Sequential(ConvBNReLU(3, 64, 3, 2), ConvBNReLU(64, 64))
        self.S2 = nn.Sequential(ConvBNReLU(64, 64, 3, 2), ConvBNReLU(64, 64), ConvBNReLU(64, 64))
        self.S3 = nn.Sequential(ConvBNReLU(64, 128, 3, 2), ConvBNReLU(128, 128), ConvBNReLU(128, 128))

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 128, H / 8, W / 8)."""
        return self.S3(self.S2(self.S1(images)))


class StemBlock(nn.Module):
    """Two ways of shrinking, joined."""

    def __init__(self):
        super().__init__()
        self.conv = ConvBNReLU(3, 16, 3, 2)
        self.left = nn.Sequential(ConvBNReLU(16, 8, 1), ConvBNReLU(8, 16, 3, 2))
        self.fuse = ConvBNReLU(32, 16)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 16, H / 4, W / 4)."""
        x = self.conv(images)
        return self.fuse(torch.cat((self.left(x), F.max_pool2d(x, 3, 2, 1)), 1))


class GatherExpansion(nn.Module):
    """Gather-and-expansion layer of stride 1: 3x3, depthwise to six times the channels, 1x1 back, and the input."""

    def __init__(self, channels: int):
        super().__init__()
        wide = 6 * channels
        self.conv1 = ConvBNReLU(channels, channels)
        self.dwconv = nn.Sequential(*depthwise(channels, wide), nn.ReLU())
        self.conv2 = nn.Sequential(*pointwise(wide, channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, h, w) -> the same shape."""
        return torch.relu(self.conv2(self.dwconv(self.conv1(x))) + x)


class GatherExpansionDown(nn.Module):
    """Gather-and-expansion layer of stride 2, with a depthwise shortcut."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        wide = 6 * inputs
        self.conv1 = ConvBNReLU(inputs, inputs)
        self.dwconv1 = nn.Sequential(*depthwise(inputs, wide, 2))
        self.dwconv2 = nn.Sequential(*depthwise(wide, wide), nn.ReLU())
        self.conv2 = nn.Sequential(*pointwise(wide, outputs))
        self.shortcut = nn.Sequential(*depthwise(inputs, inputs, 2), *pointwise(inputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, h, w) -> (N, outputs, h / 2, w / 2)."""
        return torch.relu(self.conv2(self.dwconv2(self.dwconv1(self.conv1(x)))) + self.shortcut(x))


class ContextEmbedding(nn.Module):
    """Adds what the whole map contains."""

    def __init__(self):
        super().__init__()
        self.bn = nn.BatchNorm2d(128)
        self.conv_gap, self.conv_last = ConvBNReLU(128, 128, 1), ConvBNReLU(128, 128)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 128, h, w) -> the same shape."""
        return self.conv_last(self.conv_gap(self.bn(x.mean((2, 3), keepdim=True))) + x)


class SegmentBranch(nn.Module):
    """The semantic branch."""

    def __init__(self):
        super().__init__()
        self.S1S2 = StemBlock()
        self.S3 = nn.Sequential(GatherExpansionDown(16, 32), GatherExpansion(32))
        self.S4 = nn.Sequential(GatherExpansionDown(32, 64), GatherExpansion(64))
        self.S5_4 = nn.Sequential(GatherExpansionDown(64, 128), *(GatherExpansion(128) for _ in range(3)))
        self.S5_5 = ContextEmbedding()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """(N, 3, H, W) -> 16 channels at stride 4, 32 at 8, 64 at 16, 128 at 32, and 128 with context at 32."""
        x2 = self.S1S2(images)
        x3 = self.S3(x2)
        x4 = self.S4(x3)
        x5 = self.S5_4(x4)
        return x2, x3, x4, x5, self.S5_5(x5)


class GuidedAggregation(nn.Module):
    """Each branch weights the other at its own resolution; the sum of both."""

    def __init__(self):
        super().__init__()
        self.left1 = nn.Sequential(*depthwise(128, 128), conv1x1(128, 128))
        self.left2 = nn.Sequential(conv3x3(128, 128, 2), nn.BatchNorm2d(128), nn.AvgPool2d(3, 2, 1))
        self.right1 = nn.Sequential(conv3x3(128, 128), nn.BatchNorm2d(128))
        self.right2 = nn.Sequential(*depthwise(128, 128), conv1x1(128, 128))
        self.conv = nn.Sequential(conv3x3(128, 128), nn.BatchNorm2d(128), nn.ReLU())

    def forward(self, detail: Tensor, segment: Tensor) -> Tensor:
        """(N, 128, h, w) at stride 8, (N, 128, h / 4, w / 4) at stride 32 -> (N, 128, h, w)."""
        guide = F.interpolate(self.right1(segment), scale_factor=4.0, mode="nearest")
        fine = self.left1(detail) * torch.sigmoid(guide)
        coarse = self.left2(detail) * torch.sigmoid(self.right2(segment))
        return self.conv(fine + F.interpolate(coarse, scale_factor=4.0, mode="nearest"))


class SegmentHead(nn.Module):
    """A 3x3 convolution, dropout: the features; a 1x1 classifier. Heads for training double the size in between."""

    def __init__(self, inputs: int, inner: int, classes: int, doubled: int = 0):
        super().__init__()
        self.conv = ConvBNReLU(inputs, inner)
        self.drop = nn.Dropout(0.1)
        up = nn.Sequential(nn.Upsample(scale_factor=2.0), ConvBNReLU(inner, doubled)) if doubled else nn.Identity()
        self.conv_out = nn.Sequential(up, Classifier(doubled or inner, classes, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, inputs, h, w) -> logits (N, classes, h, w) or twice that size, features (N, inner, h, w)."""
        features = self.drop(self.conv(x))
        return self.conv_out(features), features


class BiSeNetV2(nn.Module):
    """BiSeNet V2; logits at stride 8 (the published code enlarges them 8 times, bilinearly).

    Args:
        classes: number of class logits, a void class included if there is one.
        outlier: add a 1x1 outlier head on the features.
        auxiliary: add the four training heads on the semantic branch.
        isomax: put an IsoMax+ head on that many channels in the place of the linear classifier; 0 for none.
    """

    stride = 8
    multiple = 32

    def __init__(self, classes: int = 19, outlier: bool = False, auxiliary: bool = False, isomax: int = 0):
        super().__init__()
        self.isomax = IsoMax(isomax, classes) if isomax else None
        self.detail, self.segment, self.bga = DetailBranch(), SegmentBranch(), GuidedAggregation()
        self.head = SegmentHead(128, 1024, isomax or classes)
        self.heads: list[str] = []
        if auxiliary:
            for name, inputs, factor in (("aux2", 16, 4), ("aux3", 32, 8), ("aux4", 64, 16), ("aux5_4", 128, 32)):
                self.heads.append(name)
                self.add_module(name, SegmentHead(inputs, 128, classes, factor * factor))
        self.outlier = Classifier(1024, 1, 1) if outlier else None
        for each in self.modules():
            if isinstance(each, nn.Conv2d):
                nn.init.kaiming_normal_(each.weight, mode="fan_out")

    def forward(self, images: Tensor) -> Outputs:
        """(N, 3, H, W) normalised -> Outputs at ceil(H / 8) x ceil(W / 8); any size."""
        height, width = images.shape[-2:]
        images = pad_to_multiple(images, self.multiple)
        *inner, last = self.segment(images)
        logits, features = self.head(self.bga(self.detail(images), last))
        auxiliary: tuple[Tensor, ...] = ()
        if self.training:
            pairs = zip(self.heads, inner, strict=False)
            auxiliary = tuple(self.get_submodule(name)(x)[0] for name, x in pairs)
        outlier = None if self.outlier is None else self.outlier(features)[:, 0]
        if self.isomax is not None:
            features, logits = logits, self.isomax(logits)
        outputs = Outputs(logits, features, outlier=outlier, auxiliary=auxiliary)
        return crop_outputs(outputs, height, width, self.stride)
