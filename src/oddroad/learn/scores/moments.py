"""Counts, means and scatter of groups of vectors, gathered in pieces, in float64."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from oddroad.errors import InputError
from oddroad.learn.outputs import Outputs
from oddroad.learn.tensor_ops import resize
from oddroad.types import IGNORE


class Moments:
    """Count, mean and scatter of the vectors of each group, merged piece by piece without loss of precision.

    Source: Chan, Golub, LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances", 1979.

    Attributes:
        count: (G,) float64.
        mean: (G, D) float64.
        scatter: (G, D, D) float64, the sum of (x - mean)(x - mean)^T.
    """

    def __init__(self, groups: int, dimension: int):
        self.count = torch.zeros(groups, dtype=torch.float64)
        self.mean = torch.zeros(groups, dimension, dtype=torch.float64)
        self.scatter = torch.zeros(groups, dimension, dimension, dtype=torch.float64)

    def add(self, values: Tensor, groups: Tensor) -> None:
        """Merge vectors (P, D) that belong to groups (P,) int64."""
        for group in groups.unique().tolist():
            part = values[groups == group].to("cpu", torch.float64)
            count, mean = part.shape[0], part.mean(0)
            centred = part - mean
            step, total = mean - self.mean[group], self.count[group] + count
            self.scatter[group] += centred.T @ centred + torch.outer(step, step) * (self.count[group] * count / total)
            self.mean[group] += step * (count / total)
            self.count[group] = total

    def pooled(self) -> tuple[Tensor, Tensor]:
        """Mean (D,) and covariance (D, D), unbiased, of all vectors whatever their group."""
        mean = (self.count[:, None] * self.mean).sum(0) / self.count.sum()
        step = self.mean - mean
        between = torch.einsum("g,gi,gj->ij", self.count, step, step)
        return mean, (self.scatter.sum(0) + between) / (self.count.sum() - 1)

    def within(self) -> Tensor:
        """Covariance (D, D) around the mean of each vector's own group, shared by all groups."""
        return self.scatter.sum(0) / (self.count.sum() - 1)


def whitening(covariance: Tensor, ridge: float) -> Tensor:
    """W (..., D, D), lower triangular, with W (covariance + ridge * mean variance) W^T = identity; float64.

    Raises:
        InputError: if the covariance has no positive variance at all.
    """
    variance = covariance.diagonal(dim1=-2, dim2=-1).mean(-1)
    if not (variance > 0).all():
        raise InputError("the features do not vary at all over the data they are fitted on; is the network trained?")
    eye = torch.eye(covariance.shape[-1], dtype=covariance.dtype)
    factor = torch.linalg.cholesky(covariance + ridge * variance[..., None, None] * eye)
    return torch.linalg.solve_triangular(factor, eye.expand_as(covariance), upper=False)


def labels_at(labels: Tensor, maps: Tensor) -> Tensor:
    """Labels (N, H, W) int64 at the size of maps (N, D, h, w): the label at the middle of each cell."""
    size = (maps.shape[-2], maps.shape[-1])
    return F.interpolate(labels[:, None].float(), size=size, mode="nearest-exact")[:, 0].long()


def known_pixels(maps: Tensor, labels: Tensor, classes: int | None = None) -> tuple[Tensor, Tensor]:
    """Vectors (P, D) of the labelled pixels of maps (N, D, h, w) and their labels (P,).

    Args:
        maps: (N, D, h, w).
        labels: (N, H, W) int64.
        classes: keep labels below this number only; None keeps all but IGNORE.
    """
    small = labels_at(labels, maps)
    keep = small != IGNORE if classes is None else small < classes
    return maps.permute(0, 2, 3, 1)[keep], small[keep]


def features_of(outputs: Outputs) -> Tensor:
    """The features (N, D, h, w).

    Raises:
        InputError: if the network gives none.
    """
    if outputs.features is None:
        raise InputError("this score needs the last features of the network, and this network gives none")
    return outputs.features


def at_logits(maps: Tensor, outputs: Outputs) -> Tensor:
    """Maps (N, h', w') at the size of the logits, as (N, h, w)."""
    return resize(maps[:, None], (outputs.logits.shape[-2], outputs.logits.shape[-1]))[:, 0]
