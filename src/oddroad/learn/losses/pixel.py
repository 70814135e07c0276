"""Losses of the closed set, one value for each known pixel; labels 0 to C - 1 count, all others get no gradient."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from oddroad.learn.detector import Outputs, resize
from oddroad.types import GROUPS, IGNORE


def at_labels(maps: Tensor, labels: Tensor) -> Tensor:
    """(N, C, h, w) enlarged to the labels (N, H, W)."""
    return resize(maps, (labels.shape[-2], labels.shape[-1]))


def mean_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean of -log softmax over the pixels whose label is a class; 0 if there is none."""
    targets = labels.where(labels < logits.shape[1], IGNORE)
    known = (targets != IGNORE).sum().clamp(min=1)
    return F.cross_entropy(at_labels(logits.float(), labels), targets, ignore_index=IGNORE, reduction="sum") / known


def cross_entropy(outputs: Outputs, labels: Tensor) -> Tensor:
    """Cross-entropy of the logits."""
    return mean_cross_entropy(outputs.logits, labels)


def group_cross_entropy(outputs: Outputs, labels: Tensor) -> Tensor:
    """Mean of -log(sum of the probabilities of a group) over the pixels whose label is a group of classes.

    It lets a data set with coarser classes teach what it knows, and nothing that it does not; 0 if there is none.
    """
    logits = at_labels(outputs.logits.float(), labels).movedim(1, -1)
    total, count = outputs.logits.new_zeros(()), 0
    for value, members in GROUPS.items():
        found = logits[labels == value]
        total = total + (found.logsumexp(1) - found[:, list(members)].logsumexp(1)).sum()
        count += len(found)
    return total / max(count, 1)


def auxiliary_cross_entropy(outputs: Outputs, labels: Tensor) -> Tensor:
    """Cross-entropy summed over the heads that exist in training only."""
    return sum((mean_cross_entropy(each, labels) for each in outputs.auxiliary), outputs.logits.new_zeros(()))  # type: ignore[return-value]
