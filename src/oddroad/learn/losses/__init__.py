"""LOSSES: the table of losses, each ``(Outputs, labels (N, H, W) int64) -> scalar``, and their weighted sum."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Mapping

from torch import Tensor

from oddroad.errors import pick
from oddroad.learn.losses.failures import failure, failure_iou
from oddroad.learn.losses.masks import (
    mask_bce,
    mask_bce_literal,
    mask_contrastive,
    mask_contrastive_literal,
    mask_matching,
    mask_rba,
)
from oddroad.learn.losses.outlier import (
    deep_gambler,
    dense_hybrid,
    densehybrid_ood,
    energy_margin,
    maximised_entropy,
    outlier_cross_entropy,
    outlier_hardest,
    outlier_head,
    outlier_objects,
    pebal,
    rpl,
    vos,
)
from oddroad.learn.losses.pixel import (
    auxiliary_cross_entropy,
    auxiliary_ohem,
    cross_entropy,
    focal,
    group_cross_entropy,
    isomax,
    isomax_focal,
    logit_norm,
    ohem,
)
from oddroad.learn.outputs import Outputs

Loss = Callable[..., Tensor]

LOSSES: dict[str, Loss] = {
    "cross_entropy": cross_entropy,
    "group_cross_entropy": group_cross_entropy,
    "auxiliary_cross_entropy": auxiliary_cross_entropy,
    "auxiliary_ohem": auxiliary_ohem,
    "focal": focal,
    "ohem": ohem,
    "logit_norm": logit_norm,
    "isomax": isomax,
    "isomax_focal": isomax_focal,
    "outlier_head": outlier_head,
    "outlier_objects": outlier_objects,
    "outlier_hardest": outlier_hardest,
    "outlier_cross_entropy": outlier_cross_entropy,
    "densehybrid_ood": densehybrid_ood,
    "rpl": rpl,
    "dense_hybrid": dense_hybrid,
    "maximised_entropy": maximised_entropy,
    "energy_margin": energy_margin,
    "vos": vos,
    "pebal": pebal,
    "deep_gambler": deep_gambler,
    "mask_matching": mask_matching,
    "mask_contrastive": mask_contrastive,
    "mask_contrastive_literal": mask_contrastive_literal,
    "mask_bce": mask_bce,
    "mask_bce_literal": mask_bce_literal,
    "mask_rba": mask_rba,
    "failure": failure,
    "failure_iou": failure_iou,
}


def weighted(
    terms: Mapping[str, float], class_weights: Tensor | None = None
) -> Callable[[Outputs, Tensor], tuple[Tensor, dict[str, Tensor]]]:
    """The sum of the named losses with weights; returns the total and each term, unweighted.

    Args:
        terms: key in LOSSES -> its weight.
        class_weights: (C,) weights of the classes, for those losses that take them.

    Raises:
        InputError: if a name is not in LOSSES.
    """
    if "logit_norm" in terms and {"isomax", "isomax_focal"} & set(terms):
        warnings.warn(
            "isomax together with logit_norm collapses: the norm divides away the distances that isomax scores by",
            stacklevel=2,
        )
    parts: dict[str, tuple[Loss, float]] = {}
    for name, weight in terms.items():
        loss = pick(LOSSES, name, "loss")
        takes = class_weights is not None and "weights" in inspect.signature(loss).parameters
        parts[name] = (functools.partial(loss, weights=class_weights) if takes else loss, weight)

    def total(outputs: Outputs, labels: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        values = {name: loss(outputs, labels) for name, (loss, _) in parts.items()}
        return sum((values[name] * weight for name, (_, weight) in parts.items()), labels.new_zeros(())), values  # type: ignore[return-value]

    return total
