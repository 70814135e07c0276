"""Mahalanobis distance of the last features to the nearest class, as 1x1 convolutions.

Sources: Lee, Lee, Lee, Shin, "A Simple Unified Framework for Detecting Out-of-Distribution Samples", 2018 (shared
covariance); Chan et al., "SegmentMeIfYouCan", 2021 (a covariance for each class, per pixel).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oddroad.errors import InputError
from oddroad.learn.outputs import Outputs
from oddroad.learn.scores.moments import Moments, at_logits, features_of, known_pixels, whitening

FAR = 1e12
"""Squared distance of a class that the data does not contain."""


class Mahalanobis(nn.Module):
    """Smallest squared Mahalanobis distance to a class mean; about D for the features of closed-set classes.

    Statistics are gathered in float64. The covariance gets 1e-6 of its mean variance on its diagonal.

    Args:
        classes: number of closed-set classes.
        channels: D, number of features.
        per_class: a covariance for each class instead of one for all; a class with fewer than 2 D labelled pixels
            uses the shared one.
    """

    centre: Tensor
    weight: Tensor
    shift: Tensor
    means: Tensor
    offset: Tensor
    reads_features = True

    def __init__(self, classes: int = 19, channels: int = 64, per_class: bool = False):
        super().__init__()
        self.arguments = {"classes": classes, "channels": channels, "per_class": per_class}
        self.classes, self.channels, self.per_class = classes, channels, per_class
        rows = classes * channels if per_class else channels
        self.register_buffer("centre", torch.zeros(channels))
        self.register_buffer("weight", torch.zeros(rows, channels, 1, 1))
        self.register_buffer("shift", torch.zeros(rows if per_class else 0))
        self.register_buffer("means", torch.zeros(0 if per_class else classes, channels, 1, 1))
        self.register_buffer("offset", torch.zeros(classes))
        self.moments = Moments(classes, channels)

    @classmethod
    def build(cls, outputs: Outputs, stride: int) -> Mahalanobis:
        """For a network with these outputs."""
        return cls(outputs.logits.shape[1], features_of(outputs).shape[1])

    def add(self, outputs: Outputs, labels: Tensor) -> None:
        """Gather the features of the pixels whose label (N, H, W) is a class."""
        self.moments.add(*known_pixels(features_of(outputs), labels, self.classes))

    def finish(self) -> None:
        """Turn the statistics into convolutions.

        Raises:
            InputError: if no pixel of a closed-set class was seen.
        """
        count, mean = self.moments.count, self.moments.mean
        if count.sum() < 2:
            raise InputError(
                "no labelled pixel to fit mahalanobis on; pass a data set of in-distribution scenes with labels"
            )
        shared, present = self.moments.within(), count > 0
        centre = self.moments.pooled()[0]
        self.centre.copy_(centre)
        if self.per_class:
            enough = (count >= 2 * self.channels)[:, None, None]
            own = self.moments.scatter / (count - 1).clamp(min=1)[:, None, None]
            whiten = whitening(torch.where(enough, own, shared), 1e-6)
            self.weight.copy_(whiten.reshape(-1, self.channels, 1, 1))
            self.shift.copy_(-torch.einsum("gij,gj->gi", whiten, mean - centre).reshape(-1))
            self.offset.copy_(torch.where(present, 0.0, FAR))
        else:
            whiten = whitening(shared, 1e-6)
            means = torch.where(present[:, None], (mean - centre) @ whiten.T, 0.0)
            self.weight.copy_(whiten[:, :, None, None])
            self.means.copy_(means[:, :, None, None])
            self.offset.copy_(torch.where(present, means.square().sum(1), FAR))

    def fit(self, stream: Iterable[tuple[Outputs, Tensor]]) -> Mahalanobis:
        """Fit on in-distribution scenes: pairs of Outputs and labels (N, H, W) int64."""
        for outputs, labels in stream:
            self.add(outputs, labels)
        self.finish()
        return self

    def forward(self, outputs: Outputs) -> Tensor:
        """Outputs -> (N, h, w), squared distance in [0, inf)."""
        features = features_of(outputs) - self.centre.view(1, -1, 1, 1)
        if self.per_class:
            white = F.conv2d(features, self.weight, self.shift)
            parts = [white[:, g * self.channels : (g + 1) * self.channels] for g in range(self.classes)]
            squared = torch.stack([part.square().sum(1) for part in parts], 1) + self.offset.view(1, -1, 1, 1)
        else:
            white = F.conv2d(features, self.weight)
            squared = white.square().sum(1, keepdim=True) + F.conv2d(white, -2 * self.means, self.offset)
        return at_logits(squared.amin(1).clamp(min=0), outputs)
