"""Distillation from crops: a teacher sees each crop larger than the network that learns, with all that is pasted on it.

Sources: Hinton et al., "Distilling the Knowledge in a Neural Network", 2015, for the classes; the distance of logits is
that of Romero et al., "FitNets", 2015, with a smooth L1.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oddroad.errors import InputError
from oddroad.learn.checkpoints.format import load_network
from oddroad.learn.networks.wrapped import Scales
from oddroad.learn.outputs import Outputs
from oddroad.recipe import Recipe


class CropTeacher:
    """A network that is asked about every crop and does not learn.

    Args:
        path: the teacher, an oddroad checkpoint.
        recipe: of the network that learns from it.

    Raises:
        InputError: if it knows other classes, was trained on images normalised in another way, or has no outlier head
            where ``distillation.outlier`` asks for one.
    """

    def __init__(self, path: Path, recipe: Recipe):
        network, about = load_network(path)
        classes, how = len(about["classes"]), recipe.distillation
        if classes != recipe.network.classes:
            raise InputError(f"'{path}' knows {classes} classes, the recipe {recipe.network.classes}; choose another")
        if about["normalisation"] != recipe.network.normalisation:
            raise InputError(
                f"'{path}' was trained on images normalised as '{about['normalisation']}' and the recipe says "
                f"'{recipe.network.normalisation}'; set network.normalisation to {about['normalisation']}"
            )
        if how.outlier and not about["arguments"].get("outlier"):
            raise InputError(f"'{path}' has no outlier head; set distillation.outlier to 0, or choose another teacher")
        self.classes = classes
        self.network: nn.Module = Scales(network, (how.smaller,)) if how.smaller else network
        self.network.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def __call__(self, pixels: Tensor) -> Outputs:
        """Outputs for normalised crops (N, 3, H, W), the logits of the classes alone."""
        with torch.no_grad():
            outputs = self.network.to(pixels.device)(pixels)
        return outputs._replace(logits=outputs.logits[:, : self.classes])


def shrunk(images: Tensor, labels: Tensor, by: int) -> tuple[Tensor, Tensor]:
    """Crops (N, 3, H, W) uint8 and labels (N, H, W), both ``by`` times smaller: means of pixels, every n-th label."""
    if by == 1:
        return images, labels
    return F.avg_pool2d(images.float(), by).round().to(torch.uint8), labels[:, ::by, ::by]


def from_crops(outputs: Outputs, told: Outputs, temperature: float) -> dict[str, Tensor]:
    """Distances of a network from its teacher, means over all pixels of the network's maps.

    Args:
        outputs: of the network, (N, C, h, w).
        told: of the teacher, of crops as large or larger; its maps are averaged down to (h, w).
        temperature: by which the classes are softened; their divergence is multiplied by its square.

    Returns:
        ``distillation``, the Kullback-Leibler divergence of the classes, and, where both have an outlier head,
        ``distillation_outlier``, the smooth L1 distance of its logits.
    """
    size: Any = tuple(outputs.logits.shape[-2:])
    terms: dict[str, Tensor] = {}
    if outputs.outlier is not None and told.outlier is not None:
        logit = F.adaptive_avg_pool2d(told.outlier[:, None], size)[:, 0]
        terms["distillation_outlier"] = F.smooth_l1_loss(outputs.outlier, logit)
    target = F.adaptive_avg_pool2d((told.logits / temperature).softmax(1), size)
    own = (outputs.logits / temperature).log_softmax(1)
    divergence = (target * (target.clamp(min=1e-9).log() - own)).sum(1).mean()
    return terms | {"distillation": temperature**2 * divergence}
