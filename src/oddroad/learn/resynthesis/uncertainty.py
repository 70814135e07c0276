"""Uncertainty maps of a softmax, both in [0, 1], that SynBoost reads beside image and synthesis."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def softmax_entropy(probabilities: Tensor) -> Tensor:
    """Entropy (N, h, w) of probabilities (N, C, h, w), divided by log C."""
    logs = probabilities.clamp(min=1e-12).log()
    return -(probabilities * logs).sum(1) / math.log(probabilities.shape[1])


def softmax_distance(probabilities: Tensor) -> Tensor:
    """1 - (largest - second largest probability), (N, h, w). Source: Di Biase et al., CVPR 2021."""
    two = torch.topk(probabilities, 2, dim=1).values
    return 1 - (two[:, 0] - two[:, 1])
