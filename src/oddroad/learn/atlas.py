"""Many small pictures in one tensor, each at several sizes, read at any points of many crops at once."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

SIDE = 128
"""Pixels of a picture's side at its largest, margins included; each level below has half of them."""

LEVELS = 5
MARGIN = 1 / 8
"""Share of the side that each margin takes, one pixel at the lowest level. Pictures go on there, outlines do not."""

CONTENT = SIDE * (1 - 2 * MARGIN)
"""Pixels across a picture at level 0, without its margins."""


def square(picture: np.ndarray, empty: bool) -> np.ndarray:
    """(SIDE, SIDE, C) uint8: a picture stretched to a square, its margins empty or continued."""
    inner, edge = round(CONTENT), round(SIDE * MARGIN)
    way = cv2.INTER_AREA if max(picture.shape[:2]) > inner else cv2.INTER_LINEAR
    resized = cv2.resize(picture, (inner, inner), interpolation=way)
    border = cv2.BORDER_CONSTANT if empty else cv2.BORDER_REPLICATE
    return cv2.copyMakeBorder(resized, edge, edge, edge, edge, border).reshape(SIDE, SIDE, -1)


class Atlas:
    """Pictures stretched to squares, at sides of SIDE, SIDE / 2, ... pixels, beside each other in one tensor.

    Args:
        pictures: (h, w) or (h, w, C) uint8 each.
        device: where the tensor lies.
        empty: the margins are 0, as outlines want it; else the picture goes on in them.
    """

    def __init__(self, pictures: Sequence[np.ndarray], device: torch.device, empty: bool = False):
        squares = np.stack([square(each, empty) for each in pictures]).transpose(0, 3, 1, 2)
        level = torch.from_numpy(np.ascontiguousarray(squares)).float()
        sheet = level.new_zeros((*level.shape[:2], SIDE, SIDE * 3 // 2))
        self.corners = torch.tensor([[0, 0], *([SIDE, SIDE - (SIDE >> at - 1)] for at in range(1, LEVELS))]).to(device)
        for at, (x, y) in enumerate(self.corners.tolist()):
            side = SIDE >> at
            sheet[..., y : y + side, x : x + side] = level
            level = F.avg_pool2d(level, 2)
        self.sheet = sheet.round().to(torch.uint8).to(device)

    def __len__(self) -> int:
        return len(self.sheet)

    def read(self, which: Tensor, level: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """The pictures at points, between their pixels by linear interpolation.

        Args:
            which: (N,) int64, the picture of each crop.
            level: (N,) int64, 0 to LEVELS - 1: the size that it is read from.
            u: (N, H, W) across the picture, 0 at its left edge and 1 at its right one; beyond it is continued.
            v: (N, H, W) down the picture, likewise.

        Returns:
            (N, C, H, W) float32 in 0 to 255.
        """
        side = (SIDE >> level)[:, None, None].float()
        x0, y0 = self.corners[level].float().T[..., None, None]
        inner = 1 - 2 * MARGIN
        x = x0 + ((MARGIN + inner * u) * side - 0.5).clamp(min=0).minimum(side - 1)
        y = y0 + ((MARGIN + inner * v) * side - 0.5).clamp(min=0).minimum(side - 1)
        rows, columns = self.sheet.shape[-2:]
        grid = torch.stack([2 * x / (columns - 1) - 1, 2 * y / (rows - 1) - 1], -1)
        return F.grid_sample(self.sheet[which].float(), grid, align_corners=True)
