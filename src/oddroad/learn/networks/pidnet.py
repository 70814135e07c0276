"""PIDNet-S: three branches, for detail, context and boundaries; the boundaries say where detail wins over context.

Source: Xu, Xiong, Bhattacharyya, "PIDNet: A Real-time Semantic Segmentation Network Inspired by PID Controllers", CVPR
2023 (arXiv 2206.02066). The structure and the parameter names are those of the authors' public code
(XuJiacong/PIDNet, MIT), which it was compared with by reading; no stored outputs were at hand.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from oddroad.learn.networks.blocks import Classifier, IsoMax
from oddroad.learn.networks.ddrnet import BasicBlock, Bottleneck, GlobalPool, Head, conv1x1, conv3x3, pre_activated
from oddroad.learn.outputs import Outputs, crop_outputs
from oddroad.learn.tensor_ops import pad_to_multiple, resize


def stage(inputs: int, outputs: int, blocks: int, stride: int = 1) -> nn.Sequential:
    """Basic blocks, the first of the stride, the last one without its ReLU."""
    rest = [BasicBlock(outputs, outputs, relu=number < blocks - 1) for number in range(1, blocks)]
    return nn.Sequential(BasicBlock(inputs, outputs, stride), *rest)


def norm(convolution: nn.Conv2d) -> nn.Sequential:
    """The convolution and a batch norm."""
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels))


class PixelAttention(nn.Module):
    """Takes of the coarse map where both maps agree, and keeps the fine map elsewhere (Pag)."""

    def __init__(self, channels: int, inner: int):
        super().__init__()
        self.f_x, self.f_y = norm(conv1x1(channels, inner)), norm(conv1x1(channels, inner))

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """(N, C, h, w), (N, C, h', w') -> (N, C, h, w)."""
        size = (fine.shape[-2], fine.shape[-1])
        likeness = torch.sigmoid((self.f_x(fine) * resize(self.f_y(coarse), size)).sum(1, keepdim=True))
        return (1 - likeness) * fine + likeness * resize(coarse, size)


class ParallelPooling(nn.Module):
    """PAPPM: pooled views of the coarsest map, refined side by side."""

    def __init__(self, inputs: int, branch: int, outputs: int):
        super().__init__()
        self.scale0 = nn.Sequential(*pre_activated(inputs, branch))
        self.scale1 = nn.Sequential(nn.AvgPool2d(5, 2, 2), *pre_activated(inputs, branch))
        self.scale2 = nn.Sequential(nn.AvgPool2d(9, 4, 4), *pre_activated(inputs, branch))
        self.scale3 = nn.Sequential(nn.AvgPool2d(17, 8, 8), *pre_activated(inputs, branch))
        self.scale4 = nn.Sequential(GlobalPool(), *pre_activated(inputs, branch))
        together = nn.Conv2d(4 * branch, 4 * branch, 3, 1, 1, groups=4, bias=False)
        self.scale_process = nn.Sequential(*pre_activated(4 * branch, 4 * branch, together))
        self.compression = nn.Sequential(*pre_activated(5 * branch, outputs))
        self.shortcut = nn.Sequential(*pre_activated(inputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, h, w) -> (N, outputs, h, w)."""
        size = (x.shape[-2], x.shape[-1])
        first = self.scale0(x)
        views = [resize(scale(x), size) + first for scale in (self.scale1, self.scale2, self.scale3)]
        views.append(self.scale4(x) + first)
        return self.compression(torch.cat((first, self.scale_process(torch.cat(views, 1))), 1)) + self.shortcut(x)


class BoundaryFusion(nn.Module):
    """Detail where the boundary branch sees an edge, context elsewhere (Light-Bag)."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.conv_p, self.conv_i = norm(conv1x1(inputs, outputs)), norm(conv1x1(inputs, outputs))

    def forward(self, detail: Tensor, context: Tensor, boundary: Tensor) -> Tensor:
        """Three of (N, inputs, h, w) -> (N, outputs, h, w)."""
        edge = torch.sigmoid(boundary)
        return self.conv_p((1 - edge) * context + detail) + self.conv_i(context + edge * detail)


class PIDNetS(nn.Module):
    """PIDNet-S; logits at stride 8.

    Args:
        classes: number of class logits, a void class included if there is one.
        outlier: add a 1x1 outlier head on the features.
        auxiliary: add the training heads: classes on the detail branch, and boundaries on the boundary branch.
        isomax: put an IsoMax+ head on that many channels in the place of the linear classifier; 0 for none.
    """

    stride = 8
    multiple = 64

    def __init__(self, classes: int = 19, outlier: bool = False, auxiliary: bool = False, isomax: int = 0):
        super().__init__()
        self.isomax = IsoMax(isomax, classes) if isomax else None
        first, second = nn.Conv2d(3, 32, 3, 2, 1), nn.Conv2d(32, 32, 3, 2, 1)
        self.conv1 = nn.Sequential(*norm(first), nn.ReLU(), *norm(second), nn.ReLU())
        self.layer1, self.layer2 = stage(32, 32, 2), stage(32, 64, 2, 2)
        self.layer3, self.layer4 = stage(64, 128, 3, 2), stage(128, 256, 3, 2)
        self.layer5 = nn.Sequential(Bottleneck(256, 256, 2), Bottleneck(512, 256))
        self.compression3, self.compression4 = norm(conv1x1(128, 64)), norm(conv1x1(256, 64))
        self.pag3, self.pag4 = PixelAttention(64, 32), PixelAttention(64, 32)
        self.layer3_, self.layer4_ = stage(64, 64, 2), stage(64, 64, 2)
        self.layer5_ = nn.Sequential(Bottleneck(64, 64))
        self.layer3_d = BasicBlock(64, 32, relu=False)
        self.layer4_d = nn.Sequential(Bottleneck(32, 32))
        self.layer5_d = nn.Sequential(Bottleneck(64, 64))
        self.diff3, self.diff4 = norm(conv3x3(128, 32)), norm(conv3x3(256, 64))
        self.spp = ParallelPooling(512, 96, 128)
        self.dfm = BoundaryFusion(128, 128)
        self.seghead_p = Head(64, 128, classes) if auxiliary else None
        self.seghead_d = Head(64, 32, 1) if auxiliary else None
        self.final_layer = Head(128, 128, isomax or classes)
        self.outlier = Classifier(128, 1, 1) if outlier else None
        for each in self.modules():
            if isinstance(each, nn.Conv2d):
                nn.init.kaiming_normal_(each.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Outputs:
        """(N, 3, H, W) normalised -> Outputs at ceil(H / 8) x ceil(W / 8); any size."""
        height, width = images.shape[-2:]
        x = self.layer1(self.conv1(pad_to_multiple(images, self.multiple)))
        x = torch.relu(self.layer2(torch.relu(x)))
        size = (x.shape[-2], x.shape[-1])
        detail, edge = self.layer3_(x), self.layer3_d(x)
        x = torch.relu(self.layer3(x))
        detail = self.pag3(detail, self.compression3(x))
        edge = edge + resize(self.diff3(x), size)
        early = detail
        x = torch.relu(self.layer4(x))
        detail, edge = self.layer4_(torch.relu(detail)), self.layer4_d(torch.relu(edge))
        detail = self.pag4(detail, self.compression4(x))
        edge = edge + resize(self.diff4(x), size)
        contour = edge
        detail, edge = self.layer5_(torch.relu(detail)), self.layer5_d(torch.relu(edge))
        context = resize(self.spp(self.layer5(x)), size)
        logits, features = self.final_layer(self.dfm(detail, context, edge))
        outlier = None if self.outlier is None else self.outlier(features)[:, 0]
        if self.isomax is not None:
            features, logits = logits, self.isomax(logits)
        heads = self.training and self.seghead_p is not None and self.seghead_d is not None
        outputs = Outputs(
            logits=logits,
            features=features,
            outlier=outlier,
            boundary=self.seghead_d(contour)[0][:, 0] if heads else None,  # pyright: ignore[reportOptionalCall]
            auxiliary=(self.seghead_p(early)[0],) if heads else (),  # pyright: ignore[reportOptionalCall]
        )
        return crop_outputs(outputs, height, width, self.stride)
