"""Losses of the closed set, one value for each known pixel; labels 0 to C - 1 count, all others get no gradient."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from oddroad.learn.detector import Outputs, resize
from oddroad.types import GROUPS, IGNORE

ENTROPIC_SCALE = 10.0
"""Factor on the logits of IsoMax+ in training; at inference they are used as they are."""


def at_labels(maps: Tensor, labels: Tensor) -> Tensor:
    """(N, C, h, w) enlarged to the labels (N, H, W), in float32 at least."""
    maps = maps if maps.dtype == torch.float64 else maps.float()
    return resize(maps, (labels.shape[-2], labels.shape[-1]))


def class_targets(labels: Tensor, classes: int) -> Tensor:
    """Labels (N, H, W) with IGNORE for everything that is no class."""
    return labels.where(labels < classes, IGNORE)


def pixel_cross_entropy(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """-log softmax (N, H, W), 0 where the label is no class, and the mask of the pixels whose label is one."""
    targets = class_targets(labels, logits.shape[1])
    values = F.cross_entropy(at_labels(logits, labels), targets, ignore_index=IGNORE, reduction="none")
    return values, targets != IGNORE


def mean_where(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of the values where the mask holds; 0 where it holds nowhere."""
    return (values * mask).sum() / mask.sum().clamp(min=1)


def cross_entropy(outputs: Outputs, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean of -log softmax over the pixels whose label is a class; 0 if there is none.

    Args:
        outputs: logits (N, C, h, w).
        labels: (N, H, W).
        weights: (C,) weights of the classes; the mean is then sum(weight x value) / sum(weight).
    """
    values, known = pixel_cross_entropy(outputs.logits, labels)
    if weights is None:
        return mean_where(values, known)
    share = weights.to(values.dtype)[labels.where(known, 0)] * known
    return (values * share).sum() / share.sum().clamp(min=1e-12)


def focal(outputs: Outputs, labels: Tensor, gamma: float = 2.0) -> Tensor:
    """Mean of (1 - p)^gamma x -log p, with its full gradient. Source: Lin et al., "Focal Loss", 2017."""
    values, known = pixel_cross_entropy(outputs.logits, labels)
    return mean_where((-torch.expm1(-values)).pow(gamma) * values, known)


def ohem(outputs: Outputs, labels: Tensor, threshold: float = 0.7, least: int = 16) -> Tensor:
    """Mean cross-entropy of the hard pixels: probability below the threshold, but at least 1 in ``least`` of them.

    Source: Shrivastava et al., "Online Hard Example Mining", 2016; in the form of BiSeNet's training.
    """
    values, known = pixel_cross_entropy(outputs.logits, labels)
    values = values[known]
    hard = values > -math.log(threshold)
    count = max(len(values) // least, 1)
    if int(hard.sum()) < count:
        return values.topk(min(count, len(values))).values.sum() / count
    return values[hard].mean()


def logit_norm(outputs: Outputs, labels: Tensor, temperature: float = 0.04) -> Tensor:
    """Cross-entropy of the logits divided by their norm over the classes and by a temperature.

    At inference the raw logits are used. Source: Wei et al., "Mitigating Neural Network Overconfidence with Logit
    Normalization", 2022.
    """
    logits = at_labels(outputs.logits, labels)
    scaled = logits / (logits.norm(dim=1, keepdim=True) + 1e-7) / temperature
    return cross_entropy(outputs._replace(logits=scaled), labels)


def isomax(outputs: Outputs, labels: Tensor) -> Tensor:
    """Cross-entropy of ENTROPIC_SCALE x logits, for a head whose logits are minus distances to prototypes.

    The scale exists in training only. Source: Macedo and Ludermir, "Enhanced Isotropy Maximization Loss", 2021.
    """
    return cross_entropy(outputs._replace(logits=ENTROPIC_SCALE * outputs.logits), labels)


def group_cross_entropy(outputs: Outputs, labels: Tensor) -> Tensor:
    """Mean of -log(sum of the probabilities of a group) over the pixels whose label is a group of classes.

    It lets a data set with coarser classes teach what it knows, and nothing that it does not; 0 if there is none.
    """
    logits = at_labels(outputs.logits, labels).movedim(1, -1)
    total, count = outputs.logits.new_zeros(()), 0
    for value, members in GROUPS.items():
        found = logits[labels == value]
        total = total + (found.logsumexp(1) - found[:, list(members)].logsumexp(1)).sum()
        count += len(found)
    return total / max(count, 1)


def auxiliary_cross_entropy(outputs: Outputs, labels: Tensor) -> Tensor:
    """Cross-entropy summed over the heads that exist in training only."""
    heads = (cross_entropy(Outputs(each), labels) for each in outputs.auxiliary)
    return sum(heads, outputs.logits.new_zeros(()))  # type: ignore[return-value]
