"""DDRNet-23-slim: two branches, one at stride 8 throughout, that exchange features.

Source: Hong, Pan, Sun, Jia, "Deep Dual-resolution Networks for Real-time and Accurate Semantic Segmentation of Road
Scenes", 2021 (arXiv 2101.06085). Parameter names and outputs equal those of the authors' public code
(ydhongHIT/DDRNet, segmentation/DDRNet_23_slim.py), so that its checkpoints load.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from oddroad.learn.networks.blocks import Classifier, IsoMax
from oddroad.learn.outputs import Outputs, crop_outputs
from oddroad.learn.tensor_ops import pad_to_multiple, resize


def conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """A 3x3 convolution without bias that keeps the size at stride 1."""
    return nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)


def conv1x1(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """A 1x1 convolution without bias."""
    return nn.Conv2d(inputs, outputs, 1, stride, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; the last block of a stage leaves the ReLU to its readers."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, relu: bool = True):
        super().__init__()
        self.conv1, self.bn1 = conv3x3(inputs, outputs, stride), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = conv3x3(outputs, outputs), nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(conv1x1(inputs, outputs, stride), nn.BatchNorm2d(outputs))
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, h, w) -> (N, outputs, h / stride, w / stride)."""
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        y = y + (x if self.downsample is None else self.downsample(x))
        return torch.relu(y) if self.relu else y


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions that double the channels, and a shortcut; no ReLU at its end."""

    def __init__(self, inputs: int, planes: int, stride: int = 1):
        super().__init__()
        self.conv1, self.bn1 = conv1x1(inputs, planes), nn.BatchNorm2d(planes)
        self.conv2, self.bn2 = conv3x3(planes, planes, stride), nn.BatchNorm2d(planes)
        self.conv3, self.bn3 = conv1x1(planes, 2 * planes), nn.BatchNorm2d(2 * planes)
        self.downsample = None
        if stride != 1 or inputs != 2 * planes:
            self.downsample = nn.Sequential(conv1x1(inputs, 2 * planes, stride), nn.BatchNorm2d(2 * planes))

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, h, w) -> (N, 2 planes, h / stride, w / stride)."""
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        return self.bn3(self.conv3(y)) + (x if self.downsample is None else self.downsample(x))


def pre_activated(inputs: int, outputs: int, convolution: nn.Conv2d | None = None) -> list[nn.Module]:
    """Batch norm, ReLU, convolution (1x1 unless given)."""
    return [nn.BatchNorm2d(inputs), nn.ReLU(), convolution or conv1x1(inputs, outputs)]


class GlobalPool(nn.Module):
    """Mean over the whole map, kept as a 1x1 map."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C, 1, 1)."""
        return x.mean((2, 3), keepdim=True)


class PyramidPooling(nn.Module):
    """DAPPM: pooled views of the coarsest map, each refined together with the finer one before it."""

    def __init__(self, inputs: int, branch: int, outputs: int):
        super().__init__()
        self.scale0 = nn.Sequential(*pre_activated(inputs, branch))
        self.scale1 = nn.Sequential(nn.AvgPool2d(5, 2, 2), *pre_activated(inputs, branch))
        self.scale2 = nn.Sequential(nn.AvgPool2d(9, 4, 4), *pre_activated(inputs, branch))
        self.scale3 = nn.Sequential(nn.AvgPool2d(17, 8, 8), *pre_activated(inputs, branch))
        self.scale4 = nn.Sequential(GlobalPool(), *pre_activated(inputs, branch))
        self.process1 = nn.Sequential(*pre_activated(branch, branch, conv3x3(branch, branch)))
        self.process2 = nn.Sequential(*pre_activated(branch, branch, conv3x3(branch, branch)))
        self.process3 = nn.Sequential(*pre_activated(branch, branch, conv3x3(branch, branch)))
        self.process4 = nn.Sequential(*pre_activated(branch, branch, conv3x3(branch, branch)))
        self.compression = nn.Sequential(*pre_activated(5 * branch, outputs))
        self.shortcut = nn.Sequential(*pre_activated(inputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, h, w) -> (N, outputs, h, w)."""
        size = (x.shape[-2], x.shape[-1])
        views = [self.scale0(x)]
        views.append(self.process1(resize(self.scale1(x), size) + views[-1]))
        views.append(self.process2(resize(self.scale2(x), size) + views[-1]))
        views.append(self.process3(resize(self.scale3(x), size) + views[-1]))
        views.append(self.process4(self.scale4(x) + views[-1]))
        return self.compression(torch.cat(views, 1)) + self.shortcut(x)


class Head(nn.Module):
    """Batch norm, ReLU, 3x3 convolution, batch norm, ReLU: the features; then a 1x1 classifier."""

    def __init__(self, inputs: int, inner: int, classes: int):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(inputs), conv3x3(inputs, inner)
        self.bn2, self.conv2 = nn.BatchNorm2d(inner), Classifier(inner, classes, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, inputs, h, w) -> logits (N, classes, h, w), features (N, inner, h, w)."""
        features = torch.relu(self.bn2(self.conv1(torch.relu(self.bn1(x)))))
        return self.conv2(features), features


class DDRNet(nn.Module):
    """DDRNet-23-slim; logits at stride 8.

    Args:
        classes: number of class logits, a void class included if there is one.
        outlier: add a 1x1 outlier head on the features.
        auxiliary: add the training head on the fine branch.
        planes: channels of the first stage.
        pooled: channels of a branch of the pyramid pooling.
        head: channels of the features before the classifier.
        isomax: put an IsoMax+ head on that many channels in the place of the linear classifier; 0 for none.
    """

    stride = 8
    multiple = 64

    def __init__(
        self,
        classes: int = 19,
        outlier: bool = False,
        auxiliary: bool = False,
        planes: int = 32,
        pooled: int = 128,
        head: int = 64,
        isomax: int = 0,
    ):
        super().__init__()
        self.isomax = IsoMax(isomax, classes) if isomax else None
        fine = 2 * planes
        self.channels = [planes, 4 * planes, 4 * planes, 8 * planes]

        def stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
            return nn.Sequential(BasicBlock(inputs, outputs, stride), BasicBlock(outputs, outputs, relu=False))

        def norm(convolution: nn.Conv2d) -> list[nn.Module]:
            return [convolution, nn.BatchNorm2d(convolution.out_channels)]

        self.conv1 = nn.Sequential(
            *norm(nn.Conv2d(3, planes, 3, 2, 1)), nn.ReLU(), *norm(nn.Conv2d(planes, planes, 3, 2, 1)), nn.ReLU()
        )
        self.layer1 = stage(planes, planes, 1)
        self.layer2 = stage(planes, 2 * planes, 2)
        self.layer3 = stage(2 * planes, 4 * planes, 2)
        self.layer4 = stage(4 * planes, 8 * planes, 2)
        self.layer5 = nn.Sequential(Bottleneck(8 * planes, 8 * planes, 2))
        self.layer3_ = stage(2 * planes, fine, 1)
        self.layer4_ = stage(fine, fine, 1)
        self.layer5_ = nn.Sequential(Bottleneck(fine, fine))
        self.compression3 = nn.Sequential(*norm(conv1x1(4 * planes, fine)))
        self.compression4 = nn.Sequential(*norm(conv1x1(8 * planes, fine)))
        self.down3 = nn.Sequential(*norm(conv3x3(fine, 4 * planes, 2)))
        self.down4 = nn.Sequential(
            *norm(conv3x3(fine, 4 * planes, 2)), nn.ReLU(), *norm(conv3x3(4 * planes, 8 * planes, 2))
        )
        self.spp = PyramidPooling(16 * planes, pooled, 4 * planes)
        self.seghead_extra = Head(fine, head, classes) if auxiliary else None
        self.final_layer = Head(4 * planes, head, isomax or classes)
        self.outlier = Classifier(head, 1, 1) if outlier else None
        for each in self.modules():
            if isinstance(each, nn.Conv2d):
                nn.init.kaiming_normal_(each.weight, mode="fan_out", nonlinearity="relu")

    def stages(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """(N, 3, H, W), sides multiples of 64 -> maps at strides 4, 8, 16 and 32, and the early fine map at 8.

        Their channels are ``channels``; the map at 8 is both branches, joined: what the classifier reads.
        """
        at4 = self.layer1(self.conv1(images))
        shared = self.layer2(torch.relu(at4))
        size = (shared.shape[-2], shared.shape[-1])
        coarse = self.layer3(torch.relu(shared))
        fine = self.layer3_(torch.relu(shared))
        at16 = coarse + self.down3(torch.relu(fine))
        fine = fine + resize(self.compression3(torch.relu(coarse)), size)
        early = fine
        coarse = self.layer4(torch.relu(at16))
        fine = self.layer4_(torch.relu(fine))
        at32 = coarse + self.down4(torch.relu(fine))
        fine = fine + resize(self.compression4(torch.relu(coarse)), size)
        fine = self.layer5_(torch.relu(fine))
        coarse = resize(self.spp(self.layer5(torch.relu(at32))), size)
        return at4, coarse + fine, at16, at32, early

    def forward(self, images: Tensor) -> Outputs:
        """(N, 3, H, W) normalised -> Outputs at ceil(H / 8) x ceil(W / 8); any size."""
        height, width = images.shape[-2:]
        _, joined, _, _, early = self.stages(pad_to_multiple(images, self.multiple))
        logits, features = self.final_layer(joined)
        outlier = None if self.outlier is None else self.outlier(features)[:, 0]
        if self.isomax is not None:
            features, logits = logits, self.isomax(logits)
        outputs = Outputs(
            logits=logits,
            features=features,
            outlier=outlier,
            auxiliary=(self.seghead_extra(early)[0],) if self.seghead_extra is not None and self.training else (),
        )
        return crop_outputs(outputs, height, width, self.stride)
