"""Parts that several networks share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oddroad.learn.tensor_ops import resize


class ConvBNReLU(nn.Module):
    """Convolution without bias, batch norm, ReLU; named ``conv`` and ``bn``."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, h, w) -> (N, outputs, h / stride, w / stride)."""
        return torch.relu(self.bn(self.conv(x)))


class Classifier(nn.Conv2d):
    """A network's last convolution, in float32 also where training is in 16 bits.

    Logits may all rise together without any loss that compares them noticing; bfloat16 has steps of 0.25 at 40 and of 4
    at 600, and what the classes differ by is rounded away.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(N, inputs, h, w) -> (N, outputs, h, w), float32 under autocast."""
        device = input.device.type
        if not torch.amp.is_autocast_available(device) or not torch.is_autocast_enabled(device):
            return super().forward(input)
        with torch.autocast(device, enabled=False):
            return super().forward(input.float())


class IsoMax(nn.Module):
    """Minus the scaled distances of unit features to unit prototypes, in place of a linear classifier.

    Source: Macedo and Ludermir, "Enhanced Isotropy Maximization Loss", 2021 (arXiv 2105.14399).
    """

    def __init__(self, features: int, classes: int):
        super().__init__()
        self.prototypes = nn.Parameter(torch.randn(classes, features))
        self.distance_scale = nn.Parameter(torch.ones(1))

    def forward(self, features: Tensor) -> Tensor:
        """(N, D, h, w) -> logits (N, C, h, w), all at or below 0."""
        prototypes = F.normalize(self.prototypes)
        length = (features * features).sum(1, keepdim=True).sqrt().clamp(min=1e-12)
        unit = features / length
        # the difference itself, since |a|^2 + |b|^2 - 2ab loses small distances
        if self.training:  # one call with a gradient of its own, several times faster than one class after the other
            points = unit.permute(0, 2, 3, 1).reshape(-1, unit.shape[1])
            found = torch.cdist(points, prototypes, compute_mode="donot_use_mm_for_euclid_dist")
            distances = found.view(unit.shape[0], *unit.shape[2:], -1).permute(0, 3, 1, 2)
        else:  # what an exported file can compute
            squares = [((unit - each.view(1, -1, 1, 1)) ** 2).sum(1, keepdim=True) for each in prototypes]
            distances = torch.cat(squares, 1).clamp(min=1e-12).sqrt()
        return -self.distance_scale.abs() * distances


def average_2x2(x: Tensor, layer: nn.ConvTranspose2d) -> Tensor:
    """What a transposed convolution of stride 2 gives, averaged over 2 x 2 pixels, at the size of its input.

    The same weights as one small convolution: (N, D, h, w) -> (N, C, h, w). For kernel 2 without padding, and for
    kernel 3 with padding 1 and output padding 1.
    """
    weight = layer.weight.transpose(0, 1)
    if layer.kernel_size == (2, 2):
        return F.conv2d(x, weight.mean((2, 3), keepdim=True), layer.bias)
    # along a side, output 2i takes tap 1 of input i, and output 2i + 1 takes tap 2 of i and tap 0 of i + 1
    rows = torch.stack((weight[:, :, 1] + weight[:, :, 2], weight[:, :, 0]), 2) / 2
    taps = torch.stack((rows[..., 1] + rows[..., 2], rows[..., 0]), 3) / 2
    return F.conv2d(F.pad(x, (0, 1, 0, 1)), taps, layer.bias)


def last_step(
    features: Tensor, layer: nn.ConvTranspose2d, head: nn.Conv2d | None, stride: int
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Logits, features and outlier logit (None without a head) of a network whose last layer doubles the size.

    At stride 1 all have twice the size of the features (N, D, h, w), each of which stands for its four pixels; at
    stride 2 all have their size. The outlier logit is (N, 2 h, 2 w) or (N, h, w).
    """
    outlier = None if head is None else head(features)
    if stride != 1:
        return average_2x2(features, layer), features, None if outlier is None else outlier[:, 0]
    logits = layer(features)
    if outlier is not None:
        outlier = resize(outlier, (logits.shape[-2], logits.shape[-1]))[:, 0]
    return logits, F.interpolate(features, scale_factor=2, mode="nearest"), outlier
