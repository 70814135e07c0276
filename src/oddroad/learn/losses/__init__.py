"""LOSSES: the table of losses, each ``(Outputs, labels (N, H, W) int64) -> scalar``, and their weighted sum."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from oddroad.errors import pick
from oddroad.learn.detector import Outputs
from oddroad.learn.losses.outlier import likelihood_push, outlier_head
from oddroad.learn.losses.pixel import auxiliary_cross_entropy, cross_entropy, group_cross_entropy

Loss = Callable[[Outputs, Tensor], Tensor]

LOSSES: dict[str, Loss] = {
    "cross_entropy": cross_entropy,
    "group_cross_entropy": group_cross_entropy,
    "auxiliary_cross_entropy": auxiliary_cross_entropy,
    "outlier_head": outlier_head,
    "likelihood_push": likelihood_push,
}


def weighted(terms: Mapping[str, float]) -> Callable[[Outputs, Tensor], tuple[Tensor, dict[str, Tensor]]]:
    """The sum of the named losses with weights; returns the total and each term, unweighted.

    Raises:
        InputError: if a name is not in LOSSES.
    """
    parts = {name: (pick(LOSSES, name, "loss"), weight) for name, weight in terms.items()}

    def total(outputs: Outputs, labels: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        values = {name: loss(outputs, labels) for name, (loss, _) in parts.items()}
        return sum((values[name] * weight for name, (_, weight) in parts.items()), labels.new_zeros(())), values  # type: ignore[return-value]

    return total
