"""Losses of mask networks: bipartite matching of queries and classes, and the outlier losses of stage two.

The matching loss is that of Mask2Former. The outlier losses ask the semantic map to be sure of in-distribution pixels
and unsure of outlier pixels; each is the mean over in-distribution pixels plus the mean over outlier pixels, halved.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from oddroad.learn.losses.outlier import outlier_and_inlier
from oddroad.learn.losses.pixel import at_labels, mean_where
from oddroad.learn.mask_ops import parts_of, semantic_map
from oddroad.learn.outputs import Outputs
from oddroad.types import OUTLIER

CLASS_WEIGHT, MASK_WEIGHT, DICE_WEIGHT, NO_OBJECT_WEIGHT = 2.0, 5.0, 5.0, 0.1
"""Weights of the class's cross-entropy, of the masks' binary cross-entropy and dice, and of the class "no object"."""

POINTS, OVERSAMPLE, IMPORTANT = 12544, 3, 0.75
"""Points drawn for each mask at most, how many are looked at for the unsure ones, and the share of unsure ones."""

MARGIN = 0.75
"""What the anomaly score of outlier pixels shall reach, of 1; the paper's value."""

SMALLEST_DOUBT = 0.01
"""Added inside the logarithms of the binary cross-entropy: a pixel with S = 1 has a finite loss and a gradient."""


def sample(maps: Tensor, points: Tensor, outside: str = "zeros") -> Tensor:
    """Bilinear values of (M, h, w) at points (M, P, 2) in [0, 1], as (x, y) -> (M, P)."""
    where = 2 * points[:, :, None] - 1
    return F.grid_sample(maps[:, None], where, padding_mode=outside, align_corners=False)[:, 0, :, 0]


def targets_of(labels: Tensor, classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """One label map (H, W) -> its classes (M,), their masks (M, H, W) float, and which pixels count (H, W) float.

    A pasted outlier object belongs to no mask, and counts: every mask has to leave it out. Pixels that are ignored, and
    those whose label is no class, do not count.
    """
    present = torch.unique(labels)
    present = present[present < classes]
    return present, (labels == present[:, None, None]).float(), ((labels < classes) | (labels == OUTLIER)).float()


def match(queries: Tensor, masks: Tensor, present: Tensor, wanted: Tensor, counts: Tensor, points: int):
    """Which query shall have which class: the assignment of least cost.

    Args:
        queries: (Q, C + 1) class logits.
        masks: (Q, h, w) mask logits.
        present: (M,) classes of the targets.
        wanted: (M, H, W) their masks.
        counts: (H, W) 1 where a pixel counts.
        points: how many random points the cost is computed at.

    Returns:
        indices of the queries and of the targets, in pairs.
    """
    from scipy.optimize import linear_sum_assignment

    with torch.no_grad():
        where = torch.rand(1, points, 2, device=masks.device)
        drawn = sample(masks.float(), where.expand(len(masks), -1, -1))
        goal = sample(wanted, where.expand(len(wanted), -1, -1))
        weight = sample(counts[None], where, "border")
        inside, total = goal * weight, weight.sum().clamp(min=1)
        entropy = (F.softplus(-drawn) @ inside.T + F.softplus(drawn) @ (weight - inside).T) / total
        shares = drawn.sigmoid() * weight
        dice = 1 - (2 * shares @ inside.T + 1) / (shares.sum(1)[:, None] + inside.sum(1)[None] + 1)
        cost = (
            MASK_WEIGHT * entropy - CLASS_WEIGHT * queries.float().softmax(-1)[:, present] + DICE_WEIGHT * dice
        ).nan_to_num(1e9, 1e9, 1e9)
        rows, columns = linear_sum_assignment(cost.cpu().numpy())
    return torch.as_tensor(rows, device=masks.device), torch.as_tensor(columns, device=masks.device)


def unsure_points(masks: Tensor, points: int) -> Tensor:
    """Points (M, P, 2) for masks (M, h, w): three quarters where the logit is nearest to 0, the rest anywhere."""
    count, kept = len(masks), int(IMPORTANT * points)
    where = torch.rand(count, OVERSAMPLE * points, 2, device=masks.device)
    chosen = (-sample(masks.float(), where).abs()).topk(kept, dim=1).indices
    near = where.gather(1, chosen[..., None].expand(-1, -1, 2))
    return torch.cat([near, torch.rand(count, points - kept, 2, device=masks.device)], 1)


def set_loss(queries: Tensor, masks: Tensor, labels: Tensor) -> Tensor:
    """The matching loss of one set of queries (N, Q, C + 1) and masks (N, Q, h, w) for labels (N, H, W)."""
    classes, points = queries.shape[-1] - 1, min(POINTS, labels[0].numel())
    told = torch.full(queries.shape[:2], classes, device=queries.device)
    taken: list[Tensor] = []
    wanted: list[Tensor] = []
    counted: list[Tensor] = []
    with_targets: list[int] = []
    for image, label in enumerate(labels):
        present, goals, counts = targets_of(label, classes)
        if not len(present):
            continue
        rows, columns = match(queries[image], masks[image], present, goals, counts, points)
        told[image, rows] = present[columns]
        taken.append(masks[image, rows])
        wanted.append(goals[columns])
        counted.append(counts.expand(len(columns), -1, -1))
        with_targets.append(image)
    if not taken:
        return (queries.sum() + masks.sum()) * 0
    weights = torch.ones(classes + 1, device=queries.device, dtype=queries.dtype)
    weights[-1] = NO_OBJECT_WEIGHT
    named = F.cross_entropy(queries[with_targets].transpose(1, 2), told[with_targets], weight=weights)
    chosen, goal, counts = torch.cat(taken).float(), torch.cat(wanted), torch.cat(counted)
    with torch.no_grad():
        where = unsure_points(chosen, points)
        goal, weight = sample(goal, where), sample(counts, where, "border")
    drawn = sample(chosen, where)
    entropy = F.binary_cross_entropy_with_logits(drawn, goal, weight, reduction="none").sum(1)
    entropy = (entropy / weight.sum(1).clamp(min=1)).mean()
    shares, inside = drawn.sigmoid() * weight, goal * weight
    dice = (1 - (2 * (shares * inside).sum(1) + 1) / (shares.sum(1) + inside.sum(1) + 1)).mean()
    return CLASS_WEIGHT * named + MASK_WEIGHT * entropy + DICE_WEIGHT * dice


def mask_matching(outputs: Outputs, labels: Tensor) -> Tensor:
    """Mask2Former's loss: each class in the image is given to one query; summed over the decoder's layers.

    2 x cross-entropy of the classes ("no object" weighs 0.1) + 5 x binary cross-entropy + 5 x dice of the matched
    masks at 12544 points, three quarters of them where the mask is unsure, or as many as the labels have pixels. Random
    points come from torch's generator. Unlike the published code, ignored pixels weigh nothing instead of counting as
    outside of every mask; without such pixels the value is the same. Source: Cheng et al., "Masked-attention Mask
    Transformer", 2022.

    Raises:
        InputError: if the network is no mask network.
    """
    last = parts_of(outputs, "the loss mask_matching")
    return sum((set_loss(queries, masks, labels) for queries, masks in (*outputs.deep, last)), last[0].new_zeros(()))  # type: ignore[return-value]


def largest_share(outputs: Outputs, loss: str) -> Tensor:
    """Max over the classes of the semantic map S, (N, h, w).

    Raises:
        InputError: if the network is no mask network.
    """
    return semantic_map(*parts_of(outputs, f"the loss {loss}")).amax(1)


def halves(inlier: Tensor, outlier: Tensor, labels: Tensor) -> Tensor:
    """Half the mean of ``inlier`` over in-distribution pixels plus half that of ``outlier`` over outliers; or 0."""
    outliers, inliers = outlier_and_inlier(labels)
    return 0.5 * (mean_where(inlier, inliers) + mean_where(outlier, outliers))


def to_corners(maps: Tensor, labels: Tensor) -> Tensor:
    """(N, h, w) enlarged to the labels (N, H, W), corner pixels on corner pixels, as in the published code."""
    return F.interpolate(maps[:, None], labels.shape[-2:], mode="bilinear", align_corners=True)[:, 0]


def mask_contrastive(outputs: Outputs, labels: Tensor, margin: float = MARGIN) -> Tensor:
    """Mask contrastive loss as meant: l = 1 - max S, in-distribution pixels at 0, outliers at the margin or above.

    Source: Rai et al., "Unmasking Anomalies in Road-Scene Segmentation", 2023. See ``mask_contrastive_literal``.
    """
    anomalous = at_labels(1 - largest_share(outputs, "mask_contrastive")[:, None], labels)[:, 0]
    return halves(anomalous.square(), F.relu(margin - anomalous).square(), labels)


def mask_contrastive_literal(outputs: Outputs, labels: Tensor, margin: float = 1.0) -> Tensor:
    """Mask contrastive loss as the public code has it: l = -max S, which lies in [-1, 0].

    Its in-distribution term pulls max S to 0, as its outlier term does; the matching loss alone holds
    in-distribution pixels up.
    """
    negative = to_corners(-largest_share(outputs, "mask_contrastive_literal"), labels)
    return halves(negative.square(), F.relu(margin - negative).square(), labels)


def mask_bce(outputs: Outputs, labels: Tensor) -> Tensor:
    """Binary cross-entropy of 1 - max S, taken for the probability of "anomaly": the supplement's equation 8 as meant.

    Where S is above 1 it counts as 1, with its gradient.
    """
    share = at_labels(largest_share(outputs, "mask_bce")[:, None], labels)[:, 0]
    share = share / share.detach().clamp(min=1)
    return halves(-(share + SMALLEST_DOUBT).log(), -(1 - share + SMALLEST_DOUBT).log(), labels)


def mask_bce_literal(outputs: Outputs, labels: Tensor) -> Tensor:
    """Binary cross-entropy as the public code has it: -max S, which lies in [-1, 0], taken for a logit of "anomaly"."""
    negative = to_corners(-largest_share(outputs, "mask_bce_literal"), labels)
    return halves(F.softplus(negative), F.softplus(-negative), labels)


def mask_rba(outputs: Outputs, labels: Tensor, inlier: float = 0.0, outlier: float = 5.0) -> Tensor:
    """Squared hinges of r = -sum of tanh(S): in-distribution pixels below ``inlier``, outliers above ``outlier``.

    r is never above 0: with the published ``inlier`` of 0 the first hinge is never active.
    Source: Nayal et al., "RbA: Segmenting Unknown Regions Rejected by All", 2023.
    """
    rejected = -semantic_map(*parts_of(outputs, "the loss mask_rba")).tanh().sum(1)
    rejected = to_corners(rejected, labels)
    return halves(F.relu(rejected - inlier).square(), F.relu(outlier - rejected).square(), labels)
