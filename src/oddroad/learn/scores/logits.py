"""Scores computed from the logits or a head beside them, each ``Outputs -> (N, h, w)``, higher means more anomalous.

They are written as maximum, exponential and sum, never as a softmax over an axis: the same value, and ten times faster
in ONNX Runtime. The logits are those of the closed-set classes; a void output is in ``Outputs.void``.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from oddroad.errors import InputError
from oddroad.learn.outputs import Outputs
from oddroad.learn.tensor_ops import gaussian_blur


def shifted(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Largest logit (N, 1, h, w), the logits below it (N, C, h, w), and the sum of their exponentials (N, h, w)."""
    largest = logits.amax(1, keepdim=True)
    below = logits - largest
    return largest, below, below.exp().sum(1)


def outlier_logit(outputs: Outputs) -> Tensor:
    """The learned outlier logit (N, h, w).

    Raises:
        InputError: if the network has no outlier head.
    """
    if outputs.outlier is None:
        raise InputError("this score needs an outlier head; train the network with outlier = true")
    return outputs.outlier


def max_logit(outputs: Outputs) -> Tensor:
    """Minus the largest logit. Source: Hendrycks et al., "Scaling Out-of-Distribution Detection", 2022."""
    return -outputs.logits.amax(1)


def energy(outputs: Outputs) -> Tensor:
    """Minus the logsumexp of the logits. Source: Liu et al., "Energy-based Out-of-distribution Detection", 2020."""
    largest, _, total = shifted(outputs.logits)
    return -(largest[:, 0] + total.log())


def msp(outputs: Outputs) -> Tensor:
    """1 - largest softmax probability, in [0, 1 - 1/C]. Source: Hendrycks and Gimpel, 2017."""
    return 1 - 1 / shifted(outputs.logits)[2]


def entropy(outputs: Outputs) -> Tensor:
    """Entropy of the softmax divided by log C, in [0, 1]. Source: Chan et al., "Entropy Maximization", 2021."""
    _, below, total = shifted(outputs.logits)
    value = total.log() - (below.exp() * below).sum(1) / total
    return value / math.log(outputs.logits.shape[1])


def void(outputs: Outputs) -> Tensor:
    """Probability of the void output in the softmax over classes and void, in [0, 1].

    Source: the void classifier of Blum et al., "The Fishyscapes Benchmark", 2021.

    Raises:
        InputError: if the network has no void output.
    """
    if outputs.void is None:
        raise InputError(
            "this score needs an output beyond the closed-set classes (void or abstention); this network has none"
        )
    return torch.sigmoid(outputs.void + energy(outputs))


def gambler(outputs: Outputs) -> Tensor:
    """Probability of abstaining, in [0, 1]: the extra output of a network trained with the gambler's loss.

    Source: Liu et al., "Deep Gamblers", 2019. The same formula as the void classifier; the training differs.
    """
    return void(outputs)


def min_distance(outputs: Outputs) -> Tensor:
    """Distance to the nearest prototype, in [0, inf), of a network whose logits are minus distances (IsoMax+).

    Source: Macedo and Ludermir, "Enhanced Isotropy Maximization Loss", 2021.
    """
    return -outputs.logits.amax(1)


def pebal(outputs: Outputs) -> Tensor:
    """Energy smoothed by a 7x7 Gaussian of sigma 1, reflected at the border.

    Source: Tian et al., "Pixel-wise Energy-biased Abstention Learning", 2022.
    """
    return gaussian_blur(energy(outputs))


def mutual_information(outputs: Outputs) -> Tensor:
    """Mutual information between the class and the sample or member, in [0, log C] nats: what they disagree about.

    Source: Mukhoti and Gal, "Evaluating Bayesian Deep Learning Methods for Semantic Segmentation", 2018.

    Raises:
        InputError: if the network is neither an ensemble nor sampled with dropout.
    """
    if outputs.mutual_information is None:
        raise InputError("mutual_information needs several members; wrap the network in Ensemble or McDropout")
    return outputs.mutual_information


def resynthesis(outputs: Outputs) -> Tensor:
    """The verdict of Image Resynthesis, SynBoost (both in [0, 1]) or SynthCP (in [0, 2]), each as its paper has it.

    Raises:
        InputError: if the network is none of them.
    """
    if outputs.anomaly is None:
        raise InputError(
            "resynthesis needs a network that compares with a synthesis: image_resynthesis, synthcp or synboost"
        )
    return outputs.anomaly


def failure(outputs: Outputs) -> Tensor:
    """The log-odds of "the most likely class is wrong", in (-inf, inf): SynthCP's failure detection.

    Raises:
        InputError: if the network does not predict its failures.
    """
    if outputs.failure is None:
        raise InputError("failure needs a network that predicts its failures: synthcp")
    return outputs.failure


def outlier_head(outputs: Outputs) -> Tensor:
    """The log-odds of "anomaly" by the learned outlier head, in (-inf, inf)."""
    return outlier_logit(outputs)


def dense_hybrid(outputs: Outputs) -> Tensor:
    """Energy plus log-probability of "anomaly" by the outlier head. Source: Grcic et al., "DenseHybrid", 2022."""
    return energy(outputs) + F.logsigmoid(outlier_logit(outputs))


def joint(outputs: Outputs) -> Tensor:
    """Minus the largest logit plus the log-odds of "anomaly": both views, neither saturating."""
    return outlier_logit(outputs) - outputs.logits.amax(1)
