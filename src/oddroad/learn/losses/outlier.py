"""Losses that see pasted anomalies: label OUTLIER (254); every other label but IGNORE (255) is in-distribution.

PEBAL and Deep Gambler need an output beyond the classes, the abstention: ``Outputs.void``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from oddroad.errors import InputError
from oddroad.learn.losses.pixel import at_labels, class_targets, cross_entropy, mean_where
from oddroad.learn.outputs import Outputs
from oddroad.learn.tensor_ops import gaussian_blur
from oddroad.types import IGNORE, OUTLIER

MARGIN_INLIER, MARGIN_OUTLIER = -12.0, -6.0
"""Energies that in-distribution pixels shall stay below and outliers above; PEBAL's values, for its own logits."""


def outlier_and_inlier(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Masks (N, H, W) of the outlier and of the in-distribution pixels."""
    return labels == OUTLIER, (labels != OUTLIER) & (labels != IGNORE)


def outlier_logit(outputs: Outputs, labels: Tensor, loss: str) -> Tensor:
    """The outlier logit at the labels' size.

    Raises:
        InputError: if the network has no outlier head.
    """
    if outputs.outlier is None:
        raise InputError(f"the loss {loss} needs an outlier head; set network.outlier = true")
    return at_labels(outputs.outlier[:, None], labels)[:, 0]


def with_abstention(outputs: Outputs, labels: Tensor, loss: str) -> Tensor:
    """Logits of the classes and of the abstention (N, C + 1, H, W) at the labels' size.

    Raises:
        InputError: if the network has no output beyond the classes.
    """
    if outputs.void is None:
        raise InputError(f"the loss {loss} needs an output beyond the classes; this network has none")
    return at_labels(torch.cat([outputs.logits, outputs.void[:, None]], 1), labels)


def outlier_head(outputs: Outputs, labels: Tensor) -> Tensor:
    """Binary cross-entropy of the outlier logit, outlier and in-distribution pixels weighing the same as groups.

    Raises:
        InputError: if the network has no outlier head.
    """
    logit = outlier_logit(outputs, labels, "outlier_head")
    outliers, inliers = outlier_and_inlier(labels)
    return 0.5 * (mean_where(F.softplus(-logit), outliers) + mean_where(F.softplus(logit), inliers))


def outlier_cross_entropy(outputs: Outputs, labels: Tensor) -> Tensor:
    """Binary cross-entropy of the outlier logit, every valid pixel weighing the same.

    Anomalous pixels are few, so that a false alarm costs what it costs in the field's metrics; outlier_head weighs both
    kinds alike and finds more, with more false alarms. Source: the last term of Grcic et al., "DenseHybrid", 2022.

    Raises:
        InputError: if the network has no outlier head.
    """
    logit = outlier_logit(outputs, labels, "outlier_cross_entropy")
    outliers, inliers = outlier_and_inlier(labels)
    return mean_where(F.softplus(torch.where(outliers, -logit, logit)), outliers | inliers)


def odd_side(labels: Tensor, share: float) -> int:
    """The odd number of pixels nearest to a share of the labels' height."""
    return 2 * round((share * labels.shape[1] - 1) / 2) + 1 if share * labels.shape[1] > 1 else 1


def outlier_objects(outputs: Outputs, labels: Tensor, window: float = 0.25, most: float = 20.0) -> Tensor:
    """Binary cross-entropy of the outlier logit on outlier pixels, small objects weighing about as much as large ones.

    A pixel weighs 1 over the share of outlier pixels in the window around it, at most ``most``: pixels alone let one
    cow outweigh fifty tyres. It says nothing of in-distribution pixels; give it beside a loss that does.

    Args:
        outputs: outlier (N, h, w).
        labels: (N, H, W).
        window: side of the neighbourhood as a share of the labels' height.
        most: bound of a pixel's weight.

    Raises:
        InputError: if the network has no outlier head.
    """
    logit = outlier_logit(outputs, labels, "outlier_objects")
    outliers, _ = outlier_and_inlier(labels)
    side = odd_side(labels, window)
    share = F.avg_pool2d(outliers.float()[:, None], side, 1, side // 2)[:, 0]
    weight = (1 / share.clamp(min=1 / most)) * outliers
    return (weight * F.softplus(-logit)).sum() / weight.sum().clamp(min=1)


def outlier_hardest(outputs: Outputs, labels: Tensor, share: float = 0.005, margin: float = 0.06) -> Tensor:
    """Binary cross-entropy of the outlier logit on each image's hardest in-distribution pixels.

    A threshold without false alarms is set by the few in-distribution pixels that score highest, which a mean over all
    of them does not see. Source: the online hard example mining of Shrivastava et al., 2016, on one side alone.

    Args:
        outputs: outlier (N, h, w).
        labels: (N, H, W).
        share: of the pixels of an image that count, the highest scores first.
        margin: side of the square around an outlier or ignored pixel in which no pixel counts, as a share of the rows.

    Raises:
        InputError: if the network has no outlier head.
    """
    logit = outlier_logit(outputs, labels, "outlier_hardest")
    near = (labels == OUTLIER) | (labels == IGNORE)
    side = odd_side(labels, margin)
    near = F.max_pool2d(near.float()[:, None], side, 1, side // 2)[:, 0] > 0
    scores = logit.masked_fill(near, float("-inf")).flatten(1)
    highest = scores.topk(max(int(share * scores.shape[1]), 1), dim=1).values
    return mean_where(F.softplus(highest), highest.isfinite())


def vos(outputs: Outputs, labels: Tensor) -> Tensor:
    """Binary cross-entropy of the energy taken as the log-odds of "anomaly", every valid pixel weighing the same.

    It makes a detector of the class logits themselves: logsumexp(z) above 0 in-distribution, below on outliers.
    Source: the uncertainty loss of Du et al., "VOS: Learning What You Don't Know by Virtual Outlier Synthesis", 2022,
    with slope 1 and no offset.
    """
    total = at_labels(outputs.logits, labels).logsumexp(1)
    outliers, inliers = outlier_and_inlier(labels)
    return mean_where(F.softplus(torch.where(outliers, total, -total)), outliers | inliers)


def densehybrid_ood(outputs: Outputs, labels: Tensor) -> Tensor:
    """Mean over outlier pixels of logsumexp(z), less the mean logit: the unnormalised likelihood of outliers goes down.

    Source: the outlier term of Grcic et al., "DenseHybrid", 2022; the subtracted mean over the batch is detached and
    only centres the value.
    """
    logits = at_labels(outputs.logits, labels)
    outliers, _ = outlier_and_inlier(labels)
    return mean_where(logits.logsumexp(1) - logits.mean().detach(), outliers)


def rpl(outputs: Outputs, labels: Tensor) -> Tensor:
    """Mean over outlier pixels of relu(logsumexp(z)): their energy shall not be negative, and no more than that.

    Unlike densehybrid_ood it is bounded below, so that training from random weights does not drive the logits away.
    Source: Liu et al., "Residual Pattern Learning for Pixel-wise Out-of-Distribution Detection", 2023.
    """
    outliers, _ = outlier_and_inlier(labels)
    return mean_where(F.relu(at_labels(outputs.logits, labels).logsumexp(1)), outliers)


def dense_hybrid(outputs: Outputs, labels: Tensor, beta: float = 0.03, ignored_as_inlier: bool = False) -> Tensor:
    """Cross-entropy + beta x densehybrid_ood + 10 beta x cross-entropy of the outlier head.

    Source: Grcic et al., "DenseHybrid", 2022, whose code counts ignored pixels as in-distribution in the last term.

    Args:
        outputs: logits (N, C, h, w) and outlier (N, h, w).
        labels: (N, H, W).
        beta: the small weight.
        ignored_as_inlier: count ignored pixels as in-distribution in the head's term, as the authors' code does.

    Raises:
        InputError: if the network has no outlier head.
    """
    logit = outlier_logit(outputs, labels, "dense_hybrid")
    outliers, inliers = outlier_and_inlier(labels)
    counted = torch.ones_like(outliers) if ignored_as_inlier else outliers | inliers
    head = mean_where(F.softplus(torch.where(outliers, -logit, logit)), counted)
    return cross_entropy(outputs, labels) + beta * densehybrid_ood(outputs, labels) + 10 * beta * head


def maximised_entropy(outputs: Outputs, labels: Tensor, alpha: float = 0.9) -> Tensor:
    """Cross-entropy to the label on in-distribution pixels, to the uniform one on outliers, weights 1 - alpha, alpha.

    The mean runs over all N x C x H x W elements, so that its scale is 1 / C of the usual. Source: Chan et al.,
    "Entropy Maximization and Meta Classification", 2021.
    """
    logits = at_labels(outputs.logits, labels)
    log_p = logits.log_softmax(1)
    targets = class_targets(labels, logits.shape[1])
    outliers, _ = outlier_and_inlier(labels)
    closed_set = F.nll_loss(log_p, targets, ignore_index=IGNORE, reduction="sum")
    return ((1 - alpha) * closed_set - alpha * (log_p.mean(1) * outliers).sum()) / logits.numel()


def energy_margin(outputs: Outputs, labels: Tensor, low: float = MARGIN_INLIER, high: float = MARGIN_OUTLIER) -> Tensor:
    """Squared distance of the energy to the wrong side of a margin: inliers below ``low``, outliers above ``high``.

    Source: Liu et al., "Energy-based Out-of-distribution Detection", 2020.
    """
    values = -at_labels(outputs.logits, labels).logsumexp(1)
    return margins(values, labels, low, high)


def margins(values: Tensor, labels: Tensor, low: float, high: float) -> Tensor:
    """Mean of both squared hinges; that of the in-distribution pixels alone where there is no outlier."""
    outliers, inliers = outlier_and_inlier(labels)
    below = mean_where(F.relu(values - low).square(), inliers)
    return 0.5 * (below + mean_where(F.relu(high - values).square(), outliers)) if outliers.any() else below


def pebal_energy(outputs: Outputs, labels: Tensor) -> Tensor:
    """Energy margins with sparsity of outlier energies, smoothness of all. Source: Tian et al., "PEBAL", 2022."""
    values = -at_labels(outputs.logits, labels).logsumexp(1)
    outliers, _ = outlier_and_inlier(labels)
    sparsity = 5e-4 * values[outliers].norm() if outliers.any() else 0.0
    steps = values.diff(dim=1).square().sum() + values.diff(dim=2).square().sum()
    return margins(values, labels, MARGIN_INLIER, MARGIN_OUTLIER) + sparsity + 3e-6 * 0.5 * steps


def pebal_abstention(outputs: Outputs, labels: Tensor, share: float = 0.1) -> Tensor:
    """Abstention loss whose reward is, for each pixel, the blurred squared energy. Source: Tian et al., "PEBAL", 2022.

    Args:
        outputs: logits (N, C, h, w) and void (N, h, w), the abstention.
        labels: (N, H, W).
        share: weight of the outlier pixels.
    """
    logits = with_abstention(outputs, labels, "pebal")
    reward = gaussian_blur(logits[:, :-1].logsumexp(1).square())
    p = logits.softmax(1)
    gambled = (p[:, :-1] + (p[:, -1] / reward)[:, None]).clamp(min=1e-7).log()
    outliers, _ = outlier_and_inlier(labels)
    targets = class_targets(labels, gambled.shape[1])
    inliers = targets != IGNORE
    own = gambled.gather(1, targets.where(inliers, 0)[:, None])[:, 0]
    return -mean_where(own, inliers) - share * mean_where(gambled.mean(1), outliers)


def pebal(outputs: Outputs, labels: Tensor) -> Tensor:
    """PEBAL: abstention + 0.1 x energy."""
    return pebal_abstention(outputs, labels) + 0.1 * pebal_energy(outputs, labels)


def deep_gambler(outputs: Outputs, labels: Tensor, reward: float = 2.2) -> Tensor:
    """Mean of -log(p_y + p_abstain / reward) over in-distribution pixels. Source: Liu et al., "Deep Gamblers", 2019.

    Args:
        outputs: logits (N, C, h, w) and void (N, h, w), the abstention.
        labels: (N, H, W).
        reward: above 1, at most C; the higher, the less it abstains.
    """
    p = with_abstention(outputs, labels, "deep_gambler").softmax(1)
    targets = class_targets(labels, p.shape[1] - 1)
    inliers = targets != IGNORE
    own = p.gather(1, targets.where(inliers, 0)[:, None])[:, 0]
    return -mean_where((own + p[:, -1] / reward).log(), inliers)
