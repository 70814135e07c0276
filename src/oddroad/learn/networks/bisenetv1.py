"""BiSeNet V1 with ResNet-18: a spatial path at stride 8 and a context path with attention, fused.

Source: Yu, Wang, Peng, Gao, Yu, Sang, "BiSeNet: Bilateral Segmentation Network for Real-time Semantic Segmentation",
ECCV 2018 (arXiv 1808.00897). Parameter names and outputs equal those of a widely used public code (CoinCheung/BiSeNet,
lib/models/bisenetv1.py), so that its checkpoints load; like it, the spatial path has its first convolution 7x7.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oddroad.learn.networks.blocks import Classifier, ConvBNReLU, IsoMax
from oddroad.learn.networks.ddrnet import BasicBlock
from oddroad.learn.outputs import Outputs, crop_outputs
from oddroad.learn.tensor_ops import pad_to_multiple


def whole_mean(x: Tensor) -> Tensor:
    """(N, C, h, w) -> its mean over the map (N, C, 1, 1)."""
    return x.mean((2, 3), keepdim=True)


def double(x: Tensor) -> Tensor:
    """(N, C, h, w) -> (N, C, 2 h, 2 w), each value four times."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


class ResNet18(nn.Module):
    """The layers of ResNet-18 before its classifier. Source: He et al., 2016."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(BasicBlock(64, 64), BasicBlock(64, 64))
        self.layer2 = nn.Sequential(BasicBlock(64, 128, 2), BasicBlock(128, 128))
        self.layer3 = nn.Sequential(BasicBlock(128, 256, 2), BasicBlock(256, 256))
        self.layer4 = nn.Sequential(BasicBlock(256, 512, 2), BasicBlock(512, 512))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) -> 256 channels at stride 16 and 512 at stride 32."""
        x = F.max_pool2d(torch.relu(self.bn1(self.conv1(images))), 3, 2, 1)
        at16 = self.layer3(self.layer2(self.layer1(x)))
        return at16, self.layer4(at16)


class AttentionRefinement(nn.Module):
    """A 3x3 convolution whose channels are weighted by what the whole map contains."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.conv = ConvBNReLU(inputs, outputs)
        self.conv_atten = nn.Conv2d(outputs, outputs, 1, bias=False)
        self.bn_atten = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, h, w) -> (N, outputs, h, w)."""
        x = self.conv(x)
        return x * torch.sigmoid(self.bn_atten(self.conv_atten(whole_mean(x))))


class ContextPath(nn.Module):
    """ResNet-18, attention at strides 16 and 32, and the mean of everything."""

    def __init__(self):
        super().__init__()
        self.resnet = ResNet18()
        self.arm16, self.arm32 = AttentionRefinement(256, 128), AttentionRefinement(512, 128)
        self.conv_head32, self.conv_head16 = ConvBNReLU(128, 128), ConvBNReLU(128, 128)
        self.conv_avg = ConvBNReLU(512, 128, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) -> 128 channels at stride 8 and at stride 16."""
        at16, at32 = self.resnet(images)
        up32 = self.conv_head32(double(self.arm32(at32) + self.conv_avg(whole_mean(at32))))
        up16 = self.conv_head16(double(self.arm16(at16) + up32))
        return up16, up32


class SpatialPath(nn.Module):
    """Three strided convolutions and a 1x1 one."""

    def __init__(self):
        super().__init__()
        self.conv1 = ConvBNReLU(3, 64, 7, 2)
        self.conv2, self.conv3 = ConvBNReLU(64, 64, 3, 2), ConvBNReLU(64, 64, 3, 2)
        self.conv_out = ConvBNReLU(64, 128, 1)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 128, H / 8, W / 8)."""
        return self.conv_out(self.conv3(self.conv2(self.conv1(images))))


class FeatureFusion(nn.Module):
    """Both paths joined by a 1x1 convolution, plus itself weighted by channel."""

    def __init__(self):
        super().__init__()
        self.convblk = ConvBNReLU(256, 256, 1)
        self.conv, self.bn = nn.Conv2d(256, 256, 1, bias=False), nn.BatchNorm2d(256)

    def forward(self, spatial: Tensor, context: Tensor) -> Tensor:
        """Two of (N, 128, h, w) -> (N, 256, h, w)."""
        x = self.convblk(torch.cat((spatial, context), 1))
        return x * torch.sigmoid(self.bn(self.conv(whole_mean(x)))) + x


class Output(nn.Module):
    """A 3x3 convolution: the features; then a 1x1 classifier."""

    def __init__(self, inputs: int, inner: int, classes: int):
        super().__init__()
        self.conv = ConvBNReLU(inputs, inner)
        self.conv_out = Classifier(inner, classes, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, inputs, h, w) -> logits (N, classes, h, w), features (N, inner, h, w)."""
        features = self.conv(x)
        return self.conv_out(features), features


class BiSeNetV1(nn.Module):
    """BiSeNet V1 with ResNet-18; logits at stride 8 (the published code enlarges them 8 times, bilinearly).

    Args:
        classes: number of class logits, a void class included if there is one.
        outlier: add a 1x1 outlier head on the features.
        auxiliary: add the two training heads on the context path.
        isomax: put an IsoMax+ head on that many channels in the place of the linear classifier; 0 for none.
    """

    stride = 8
    multiple = 32

    def __init__(self, classes: int = 19, outlier: bool = False, auxiliary: bool = False, isomax: int = 0):
        super().__init__()
        self.isomax = IsoMax(isomax, classes) if isomax else None
        self.cp, self.sp, self.ffm = ContextPath(), SpatialPath(), FeatureFusion()
        self.conv_out = Output(256, 256, isomax or classes)
        self.conv_out16 = Output(128, 64, classes) if auxiliary else None
        self.conv_out32 = Output(128, 64, classes) if auxiliary else None
        self.outlier = Classifier(256, 1, 1) if outlier else None
        for each in self.modules():
            if isinstance(each, nn.Conv2d):
                nn.init.kaiming_normal_(each.weight, a=1)

    def forward(self, images: Tensor) -> Outputs:
        """(N, 3, H, W) normalised -> Outputs at ceil(H / 8) x ceil(W / 8); any size."""
        height, width = images.shape[-2:]
        images = pad_to_multiple(images, self.multiple)
        up16, up32 = self.cp(images)
        logits, features = self.conv_out(self.ffm(self.sp(images), up16))
        auxiliary: tuple[Tensor, ...] = ()
        if self.training and self.conv_out16 is not None and self.conv_out32 is not None:
            auxiliary = (self.conv_out16(up16)[0], self.conv_out32(up32)[0])
        outlier = None if self.outlier is None else self.outlier(features)[:, 0]
        if self.isomax is not None:
            features, logits = logits, self.isomax(logits)
        outputs = Outputs(logits, features, outlier=outlier, auxiliary=auxiliary)
        return crop_outputs(outputs, height, width, self.stride)
