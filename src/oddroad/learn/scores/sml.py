"""Standardised max logits: the largest logit compared with what is usual for the predicted class.

Source: Jung, Lee, Gwak, Choi, Choo, "Standardized Max Logits", ICCV 2021.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oddroad.errors import InputError
from oddroad.learn.outputs import Outputs
from oddroad.learn.scores.moments import Moments, known_pixels


def spread(mask: Tensor) -> Tensor:
    """A map (N, 1, h, w) of zeros and ones grown by one pixel up, down, left and right."""
    return torch.maximum(F.max_pool2d(mask, (3, 1), 1, (1, 0)), F.max_pool2d(mask, (1, 3), 1, (0, 1)))


def boundary(prediction: Tensor) -> Tensor:
    """Where classes meet: 1 where the largest label of the cross differs from the smallest of the 3x3 square.

    Args:
        prediction: (N, 1, h, w) class numbers as float.
    """
    return (spread(prediction) != -F.max_pool2d(-prediction, 3, 1, 1)).to(prediction.dtype)


def suppress(maps: Tensor, edges: list[Tensor]) -> Tensor:
    """Replace boundary pixels by the mean of their neighbours that are none, from the widest boundary to the narrowest.

    Args:
        maps: (N, 1, h, w).
        edges: boundary maps (N, 1, h, w), the widest last; a pixel without such neighbours keeps its value.
    """
    for edge in reversed(edges):
        inside = F.pad(1 - edge, (1, 1, 1, 1), mode="replicate")
        total = F.avg_pool2d(F.pad(maps, (1, 1, 1, 1), mode="replicate") * inside, 3, 1)
        share = F.avg_pool2d(inside, 3, 1)
        mean = total / share.clamp(min=1e-6)
        maps = torch.where((edge > 0) & (share > 1e-6), mean, maps)
    return maps


def smooth(maps: Tensor, dilation: int) -> Tensor:
    """(N, 1, h, w) under one 7x7 Gaussian of sigma 1 whose taps lie ``dilation`` pixels apart, border repeated."""
    tap = torch.exp(-0.5 * torch.arange(-3, 4, dtype=maps.dtype, device=maps.device) ** 2)
    kernel = torch.outer(tap, tap) / tap.sum() ** 2
    margin = 3 * dilation
    padded = F.pad(maps, (margin, margin, margin, margin), mode="replicate")
    return F.conv2d(padded, kernel[None, None], dilation=dilation)


class StandardizedMaxLogit(nn.Module):
    """Minus (largest logit - mean of its class) / deviation of its class, boundaries suppressed, then smoothed.

    The widths of the paper, 4 and 6 pixels of the full image, are given in pixels of the map: see ``build``.

    Args:
        classes: number of closed-set classes.
        iterations: steps of boundary suppression, each a pixel narrower than the one before; 0 leaves it out.
        dilation: distance of the taps of the smoothing; 0 leaves it out.
    """

    mean: Tensor
    deviation: Tensor
    reads_features = False

    def __init__(self, classes: int = 19, iterations: int = 4, dilation: int = 6):
        super().__init__()
        self.arguments = {"classes": classes, "iterations": iterations, "dilation": dilation}
        self.iterations, self.dilation = iterations, dilation
        self.register_buffer("mean", torch.zeros(classes))
        self.register_buffer("deviation", torch.ones(classes))
        self.moments = Moments(classes, 1)

    @classmethod
    def build(cls, outputs: Outputs, stride: int) -> StandardizedMaxLogit:
        """For a network of this stride: the widths of the paper, rounded to its map, at least 1."""
        return cls(outputs.logits.shape[1], max(1, round(4 / stride)), max(1, round(6 / stride)))

    def add(self, outputs: Outputs, labels: Tensor) -> None:
        """Gather the largest logits of the labelled pixels (N, H, W) by predicted class."""
        values, predicted = outputs.logits.max(1)
        both, _ = known_pixels(torch.stack([values, predicted.to(values.dtype)], 1), labels)
        self.moments.add(both[:, :1], both[:, 1].long())

    def finish(self) -> None:
        """Set mean and deviation; a class predicted on fewer than two pixels gets those of all pixels together.

        Raises:
            InputError: if fewer than two labelled pixels were seen.
        """
        if self.moments.count.sum() < 2:
            raise InputError("no labelled pixel to fit sml on; pass a data set of in-distribution scenes with labels")
        mean, variance = self.moments.pooled()
        enough = self.moments.count >= 2
        own = self.moments.scatter[:, 0, 0] / (self.moments.count - 1).clamp(min=1)
        smallest = 1e-12 * variance[0, 0].clamp(min=1e-12)
        self.mean.copy_(torch.where(enough, self.moments.mean[:, 0], mean[0]))
        self.deviation.copy_(torch.where(enough, own, variance[0, 0]).clamp(min=smallest).sqrt())

    def fit(self, stream: Iterable[tuple[Outputs, Tensor]]) -> StandardizedMaxLogit:
        """Fit on in-distribution scenes: pairs of Outputs and labels (N, H, W) int64."""
        for outputs, labels in stream:
            self.add(outputs, labels)
        self.finish()
        return self

    def forward(self, outputs: Outputs) -> Tensor:
        """Outputs -> (N, h, w), in standard deviations of the largest logit of the class."""
        largest, predicted = outputs.logits.max(1)
        maps = ((largest - self.mean[predicted]) / self.deviation[predicted])[:, None]
        if self.iterations:
            edges = [boundary(predicted[:, None].to(maps.dtype))]
            while len(edges) < self.iterations:
                edges.append(spread(edges[-1]))
            maps = suppress(maps, edges)
        if self.dilation:
            maps = smooth(maps, self.dilation)
        return -maps[:, 0]
