"""Resizing, blurring and padding of tensors, the same in PyTorch and in an exported graph."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

ALIGNED: dict[str, dict[str, bool]] = {"bilinear": {"align_corners": False}, "nearest": {}}
"""Arguments of each kind of interpolation."""


def resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear resize of (N, C, h, w) to (N, C, *size), half-pixel centres, no antialiasing."""
    numbers = all(isinstance(side, int) for side in (*maps.shape[-2:], *size))  # symbols while an export is traced
    if numbers and tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)


def gaussian_blur(maps: Tensor) -> Tensor:
    """(N, h, w) smoothed by a 7x7 Gaussian of sigma 1, reflected at the border; repeated there if 3 pixels or fewer."""
    sides = [each for each in maps.shape[-2:] if isinstance(each, int)]  # no numbers while an export is traced
    mode = "replicate" if min(sides, default=4) <= 3 else "reflect"
    tap = torch.exp(-0.5 * torch.arange(-3, 4, dtype=maps.dtype, device=maps.device) ** 2)
    tap = tap / tap.sum()
    padded = F.pad(maps[:, None], (3, 3, 3, 3), mode=mode)
    return F.conv2d(F.conv2d(padded, tap.view(1, 1, 1, 7)), tap.view(1, 1, 7, 1))[:, 0]


def pad_to_multiple(images: Tensor, multiple: int) -> Tensor:
    """Extend (N, C, H, W) below and to the right, repeating the border, to sides that are multiples."""
    height, width = images.shape[-2:]
    if not isinstance(height, int) or not isinstance(width, int):
        return images  # an export is traced, and the exporter guarantees multiples
    below, right = -height % multiple, -width % multiple
    if below == 0 and right == 0:
        return images
    return F.pad(images, (0, right, 0, below), mode="replicate")


def enlarge(maps: Tensor, stride: int) -> Tensor:
    """Bring (N, C, h, w) at a stride to (N, C, h * stride, w * stride): exactly, so that nothing drifts."""
    return maps if stride == 1 else resize(maps, (maps.shape[-2] * stride, maps.shape[-1] * stride))
