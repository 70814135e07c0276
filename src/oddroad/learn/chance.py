"""Random numbers for a batch of crops, on the device that they are made on."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


class Chance:
    """Random numbers for each of some crops, from one seed.

    Args:
        seed: of all of them.
        count: number of crops, n.
        device: where they lie.
    """

    def __init__(self, seed: int, count: int, device: torch.device):
        self.count, self.device = count, device
        self.generator = torch.Generator(device).manual_seed(seed)

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """(n, *shape) float32."""
        return low + (high - low) * torch.rand(self.count, *shape, generator=self.generator, device=self.device)

    def even(self, low: float, high: float, *shape: int) -> Tensor:
        """(n, *shape) float32, uniform in the logarithm."""
        return self.uniform(float(np.log(low)), float(np.log(high)), *shape).exp()

    def normal(self, deviation: float, *shape: int) -> Tensor:
        """(n, *shape) float32 around 0."""
        return deviation * torch.randn(self.count, *shape, generator=self.generator, device=self.device)

    def holds(self, probability: float, *shape: int) -> Tensor:
        """(n, *shape) bool."""
        return torch.rand(self.count, *shape, generator=self.generator, device=self.device) < probability

    def index(self, below: int) -> Tensor:
        """(n,) int64."""
        return torch.randint(below, (self.count,), generator=self.generator, device=self.device)

    def pixel(self, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """A pixel of each of the masks (n, H, W), x and y (n,) float32, to 4 pixels; and whether it has any."""
        coarse = mask[:, ::4, ::4]
        chosen = torch.multinomial(coarse.flatten(1).float() + 1e-9, 1, generator=self.generator)[:, 0]
        x, y = (chosen % coarse.shape[2]) * 4.0, (chosen // coarse.shape[2]) * 4.0
        return x + self.uniform(0, 4), y + self.uniform(0, 4), coarse.flatten(1).any(1)


def column(values: Tensor) -> Tensor:
    """(n,) as (n, 1, 1, 1)."""
    return values[:, None, None, None]
