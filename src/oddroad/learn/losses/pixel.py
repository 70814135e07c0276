"""Losses of the closed set, one value a pixel; labels 0 to C - 1 count, all others get no gradient.

Where a loss takes ``weights``, they are (C,) weights of the classes, as in ``cross_entropy``.
"""

from __future__ import annotations

import math

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from oddroad.learn.outputs import Outputs
from oddroad.learn.tensor_ops import resize
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


def across_processes(count: Tensor) -> Tensor:
    """A count averaged over the processes of a run, so that their mean of sum / count is the mean over all pixels.

    Every process has to call it the same number of times; with one process the count stays as it is.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return count
    total = count.detach().to(torch.float64, copy=True)
    dist.all_reduce(total)
    return (total / dist.get_world_size()).to(count.dtype if count.is_floating_point() else torch.float32)


def class_mean(values: Tensor, labels: Tensor, known: Tensor, weights: Tensor | None) -> Tensor:
    """sum(weight x value) / sum(weight) over the pixels whose label is a class, in all processes; 0 if there is none.

    Args:
        values: (N, H, W).
        labels: (N, H, W).
        known: (N, H, W), where the label is a class.
        weights: (C,) weights of the classes; None weighs all alike.
    """
    share = known.to(values.dtype)
    if weights is not None:
        share = share * weights.to(values)[labels.where(known, 0)]
    return (values * share).sum() / across_processes(share.sum()).clamp(min=1e-12)


def cross_entropy(outputs: Outputs, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean of -log softmax over the pixels whose label is a class; 0 if there is none.

    Args:
        outputs: logits (N, C, h, w).
        labels: (N, H, W).
        weights: (C,) weights of the classes; the mean is then sum(weight x value) / sum(weight).
    """
    values, known = pixel_cross_entropy(outputs.logits, labels)
    return class_mean(values, labels, known, weights)


def focal(outputs: Outputs, labels: Tensor, weights: Tensor | None = None, gamma: float = 2.0) -> Tensor:
    """Mean of (1 - p)^gamma x -log p, with its full gradient. Source: Lin et al., "Focal Loss", 2017."""
    values, known = pixel_cross_entropy(outputs.logits, labels)
    return class_mean((-torch.expm1(-values)).pow(gamma) * values, labels, known, weights)


def ohem(
    outputs: Outputs, labels: Tensor, weights: Tensor | None = None, threshold: float = 0.7, least: int = 16
) -> Tensor:
    """Mean cross-entropy of the hard pixels: probability below the threshold, but at least 1 in ``least`` of them.

    Each process of a run chooses among its own pixels, as the public code does. Source: Shrivastava et al., "Online
    Hard Example Mining", 2016; in the form of BiSeNet's training.
    """
    values, known = pixel_cross_entropy(outputs.logits, labels)
    classes, values = labels[known], values[known]
    chosen = values > -math.log(threshold)
    count = max(len(values) // least, 1)
    if int(chosen.sum()) < count:
        chosen = values.topk(min(count, len(values))).indices
    share = torch.ones_like(values[chosen]) if weights is None else weights.to(values)[classes[chosen]]
    return (values[chosen] * share).sum() / share.sum().clamp(min=1e-12)


def logit_norm(outputs: Outputs, labels: Tensor, weights: Tensor | None = None, temperature: float = 0.04) -> Tensor:
    """Cross-entropy of the logits divided by their norm over the classes and by a temperature.

    At inference the raw logits are used. Source: Wei et al., "Mitigating Neural Network Overconfidence with Logit
    Normalization", 2022.
    """
    logits = at_labels(outputs.logits, labels)
    scaled = logits / (logits.norm(dim=1, keepdim=True) + 1e-7) / temperature
    return cross_entropy(outputs._replace(logits=scaled), labels, weights)


def isomax(outputs: Outputs, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Cross-entropy of ENTROPIC_SCALE x logits, for a head whose logits are minus distances to prototypes.

    The scale exists in training only. Source: Macedo and Ludermir, "Enhanced Isotropy Maximization Loss", 2021.
    """
    return cross_entropy(outputs._replace(logits=ENTROPIC_SCALE * outputs.logits), labels, weights)


def isomax_focal(outputs: Outputs, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Focal loss of ENTROPIC_SCALE x logits, to be added to ``isomax``.

    Cross-entropy of the scaled logits would be ``isomax`` once more; ``cross_entropy`` beside it sees them unscaled.
    """
    return focal(outputs._replace(logits=ENTROPIC_SCALE * outputs.logits), labels, weights)


def group_cross_entropy(outputs: Outputs, labels: Tensor) -> Tensor:
    """Mean of -log(sum of the probabilities of a group) over the pixels whose label is a group of classes.

    It lets a data set with coarser classes teach what it knows, and nothing that it does not; 0 if there is none.
    """
    logits = at_labels(outputs.logits, labels).movedim(1, -1)
    total, count = outputs.logits.new_zeros(()), outputs.logits.new_zeros(())
    for value, members in GROUPS.items():
        found = logits[labels == value]
        total = total + (found.logsumexp(1) - found[:, list(members)].logsumexp(1)).sum()
        count += len(found)
    return total / across_processes(count).clamp(min=1e-12)


def auxiliary_cross_entropy(outputs: Outputs, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Cross-entropy summed over the heads that exist in training only."""
    heads = (cross_entropy(Outputs(each), labels, weights) for each in outputs.auxiliary)
    return sum(heads, outputs.logits.new_zeros(()))  # type: ignore[return-value]


def auxiliary_ohem(outputs: Outputs, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """``ohem`` summed over the heads that exist in training only, as in BiSeNet's training."""
    heads = (ohem(Outputs(each), labels, weights) for each in outputs.auxiliary)
    return sum(heads, outputs.logits.new_zeros(()))  # type: ignore[return-value]
