"""Losses of failure detection: where the most likely class is wrong, and how good each class is in the image.

Source: Xia et al., "Synthesize then Compare", ECCV 2020.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from oddroad.errors import InputError
from oddroad.learn.losses.pixel import at_labels, mean_where
from oddroad.learn.outputs import Outputs


def wrong_and_right(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Masks (N, H, W) of the labelled pixels whose most likely class is wrong, and of those where it is right."""
    likely = at_labels(logits, labels).argmax(1)
    known = labels < logits.shape[1]
    return known & (likely != labels), known & (likely == labels)


def failure(outputs: Outputs, labels: Tensor) -> Tensor:
    """Binary cross-entropy of the failure logit; wrong and right pixels weigh the same as groups.

    Raises:
        InputError: if the network does not predict its failures.
    """
    if outputs.failure is None:
        raise InputError("the loss failure needs a network that predicts its failures; set network.name = synthcp")
    logit = at_labels(outputs.failure[:, None], labels)[:, 0]
    wrong, right = wrong_and_right(outputs.logits, labels)
    return 0.5 * (mean_where(F.softplus(-logit), wrong) + mean_where(F.softplus(logit), right))


def class_iou(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """IoU (N, C) of each class in each image, and whether the class is in it, seen or true."""
    likely = at_labels(logits, labels).argmax(1)
    known, classes = labels < logits.shape[1], logits.shape[1]
    seen = torch.stack([(likely == each) & known for each in range(classes)], 1).flatten(2)
    true = torch.stack([labels == each for each in range(classes)], 1).flatten(2)
    either = (seen | true).sum(2)
    return (seen & true).sum(2) / either.clamp(min=1), either > 0


def failure_iou(outputs: Outputs, labels: Tensor) -> Tensor:
    """Smooth absolute difference of the predicted IoU of the classes in the image from what it is.

    Raises:
        InputError: if the network does not predict it.
    """
    if outputs.iou is None:
        raise InputError("the loss failure_iou needs a network that predicts its IoU; set network.name = synthcp")
    wanted, there = class_iou(outputs.logits, labels)
    return mean_where(
        F.smooth_l1_loss(outputs.iou.float(), wanted.to(torch.float32), reduction="none", beta=0.1), there
    )
