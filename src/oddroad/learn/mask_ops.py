"""Arithmetic of mask networks that networks, losses and scores share: class logits of queries and mask logits."""

from __future__ import annotations

import torch
from torch import Tensor

from oddroad.errors import InputError
from oddroad.learn.outputs import Outputs


def class_probabilities(queries: Tensor) -> Tensor:
    """Class logits of the queries (N, Q, C + 1) -> probabilities (N, Q, C) without the last one, "no object"."""
    return queries.softmax(-1)[..., :-1]


def marginal(weights: Tensor, masks: Tensor) -> Tensor:
    """Sum over the queries of weights (N, Q, C) times masks (N, Q, h, w) -> (N, C, h, w)."""
    summed = torch.matmul(weights.transpose(1, 2), masks.flatten(2))
    return summed.unflatten(2, masks.shape[-2:])


def semantic_map(queries: Tensor, masks: Tensor) -> Tensor:
    """The semantic map S (N, C, h, w): sum over queries of P(class) times sigmoid(mask), in [0, Q], mostly in [0, 1].

    Source: Cheng et al., "Per-Pixel Classification is Not All You Need for Semantic Segmentation", 2021.

    Args:
        queries: (N, Q, C + 1) class logits.
        masks: (N, Q, h, w) mask logits.
    """
    return marginal(class_probabilities(queries), masks.sigmoid())


def parts_of(outputs: Outputs, who: str) -> tuple[Tensor, Tensor]:
    """The queries and masks of a mask network.

    Raises:
        InputError: if the network is none.
    """
    if outputs.queries is None or outputs.masks is None:
        raise InputError(f"{who} needs a mask network, such as mask2anomaly; this network classifies pixels")
    return outputs.queries, outputs.masks
