"""Scores of mask networks, each ``Outputs -> (N, h, w)``, higher means more anomalous.

Notation: P = softmax of the class logits of a query without "no object", M = sigmoid of its mask logits, S_c = sum over
the queries of P_c x M, the semantic map. Outputs beyond the closed-set classes (void, or UNO's negative class) are
skipped. None of the values is clipped: EAM and UNO may leave [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from oddroad.errors import InputError
from oddroad.learn.mask_ops import class_probabilities, marginal, parts_of
from oddroad.learn.outputs import Outputs
from oddroad.learn.scores.logits import msp

STUFF = (2, 10)
"""First and last train id of Cityscapes whose masks the refinement trusts: building to sky."""

SURE, INSIDE = 0.95, 0.5
"""A query is trusted above this probability, and its mask suppresses where probability x M reaches the second value."""


def known_semantic_map(outputs: Outputs) -> Tensor:
    """S (N, C, h, w) of the closed-set classes.

    Raises:
        InputError: if the network is no mask network.
    """
    queries, masks = parts_of(outputs, "this score")
    return marginal(class_probabilities(queries)[..., : outputs.logits.shape[1]], masks.sigmoid())


def refinement_mask(outputs: Outputs) -> Tensor:
    """1.0 where a sure mask of "stuff" other than road and sidewalk says what is there, else 0.0: (N, h, w).

    Queries whose most likely class is building to sky with a probability above 0.95 are kept; R = 1 where probability
    x M of any is at least 0.5. Where an image keeps fewer than two queries, R = 0. Source: Rai et al., 2023.

    Raises:
        InputError: if the network is no mask network.
    """
    queries, masks = parts_of(outputs, "this score")
    sure, likely = queries.softmax(-1).max(-1)
    kept = ((sure > SURE) & (likely >= STUFF[0]) & (likely <= STUFF[1])).to(masks.dtype)
    inside = (masks.sigmoid() * (sure * kept)[..., None, None]).amax(1) >= INSIDE
    enough = kept.sum(1) > 1
    return inside.to(masks.dtype) * enough.to(masks.dtype)[:, None, None]


def rba(outputs: Outputs) -> Tensor:
    """Minus the sum of tanh(S_c), in [-C, 0]. Source: Nayal et al., "RbA: Segmenting Unknown Regions", 2023."""
    return -known_semantic_map(outputs).tanh().sum(1)


def eam(outputs: Outputs) -> Tensor:
    """1 - sum over the queries of M x max_c P_c. Source: Grcic et al., "Advantages of Mask-level Recognition", 2023."""
    queries, masks = parts_of(outputs, "eam")
    best = class_probabilities(queries)[..., : outputs.logits.shape[1]].amax(-1, keepdim=True)
    return 1 - marginal(best, masks.sigmoid())[:, 0]


def uno(outputs: Outputs) -> Tensor:
    """- sum over the queries of M x (max_c P_c - P_negative), for a network with one class more: what is negative.

    Source: Delic et al., "Outlier Detection by Ensembling Uncertainty with Negative Objectness", 2024.

    Raises:
        InputError: if the network has no class beyond the closed set.
    """
    queries, masks = parts_of(outputs, "uno")
    known = outputs.logits.shape[1]
    if queries.shape[-1] != known + 2:
        raise InputError(
            f"uno needs a class for anomalies beside the {known} closed-set ones; this network's queries have "
            f"{queries.shape[-1] - 1} classes: train it with network.classes = {known + 1}"
        )
    p = class_probabilities(queries)
    return -marginal(p[..., :known].amax(-1, keepdim=True) - p[..., known:], masks.sigmoid())[:, 0]


def plain(queries: Tensor) -> Tensor:
    """Class logits as they are, without "no object"."""
    return queries[..., :-1]


def sigmoids(queries: Tensor) -> Tensor:
    """Sigmoid of each class logit, without "no object"."""
    return queries[..., :-1].sigmoid()


def over_queries(masks: Tensor) -> Tensor:
    """Softmax of the mask logits over the queries of each pixel."""
    return masks.softmax(1)


CLASS_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": plain, "softmax": class_probabilities, "sigmoid": sigmoids,
}  # fmt: skip
MASK_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda masks: masks, "softmax": over_queries, "sigmoid": torch.sigmoid,
}  # fmt: skip


def inference(classes: str, masks: str, after: str) -> Callable[[Outputs], Tensor]:
    """One row of the supplement's table 3: functions of the class logits C and the masks M, and f of their product.

    The score is 1 - max over the classes of f(sum over the queries of g(C) x h(M)); f is "identity", or "softmax" over
    the classes.
    """

    def score(outputs: Outputs) -> Tensor:
        """Outputs -> (N, h, w)."""
        queries, logits = parts_of(outputs, "this score")
        weights = CLASS_FUNCTIONS[classes](queries)[..., : outputs.logits.shape[1]]
        summed = marginal(weights, MASK_FUNCTIONS[masks](logits))
        return msp(outputs._replace(logits=summed)) if after == "softmax" else 1 - summed.amax(1)

    return score


INFERENCE: dict[str, Callable[[Outputs], Tensor]] = {
    "mask_identity": inference("identity", "identity", "identity"),
    "mask_softmax": inference("softmax", "softmax", "identity"),
    "mask_sigmoid": inference("sigmoid", "sigmoid", "identity"),
    "mask_sigmoid_softmax": inference("sigmoid", "softmax", "identity"),
    "mask_msp": inference("softmax", "sigmoid", "identity"),
    "mask_msp_softmax": inference("softmax", "sigmoid", "softmax"),
}
"""The six rows of the supplement's table 3, in its order: functions of C, of M, and f of their product."""


def mask2anomaly(outputs: Outputs) -> Tensor:
    """(1 - max S) x (1 - refinement mask). Source: Rai et al., "Unmasking Anomalies in Road Scenes", 2023."""
    return INFERENCE["mask_msp"](outputs) * (1 - refinement_mask(outputs))
