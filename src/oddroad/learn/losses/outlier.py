"""Losses that see pasted odd objects: label OUTLIER (254); every other label but IGNORE (255) is known."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from oddroad.errors import InputError
from oddroad.learn.detector import Outputs
from oddroad.learn.losses.pixel import at_labels
from oddroad.types import IGNORE, OUTLIER


def mean_where(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of the values where the mask holds; 0 where it holds nowhere."""
    return (values * mask).sum() / mask.sum().clamp(min=1)


def outlier_head(outputs: Outputs, labels: Tensor) -> Tensor:
    """Binary cross-entropy of the outlier logit, odd and known pixels weighing the same as groups.

    Raises:
        InputError: if the network has no outlier head.
    """
    if outputs.outlier is None:
        raise InputError("the loss outlier_head needs an outlier head; set network.outlier = true")
    logit = at_labels(outputs.outlier[:, None].float(), labels)[:, 0]
    odd, known = labels == OUTLIER, (labels != OUTLIER) & (labels != IGNORE)
    return 0.5 * (mean_where(F.softplus(-logit), odd) + mean_where(F.softplus(logit), known))


def likelihood_push(outputs: Outputs, labels: Tensor) -> Tensor:
    """Mean over odd pixels of logsumexp(z) - mean(z): the unnormalised likelihood of what is odd goes down.

    Source: the outlier term of Grcic et al., "DenseHybrid", 2022; the subtracted mean is detached and only centres
    the value.
    """
    logits = at_labels(outputs.logits.float(), labels)
    return mean_where(logits.logsumexp(1) - logits.mean(1).detach(), labels == OUTLIER)
