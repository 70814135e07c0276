"""What a network says about a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from oddroad.errors import InputError, counted


class Outputs(NamedTuple):
    """What a network says about a batch; absent parts are None.

    Attributes:
        logits: (N, C, h, w) class logits.
        features: (N, D, h, w) the last layer before the classifier.
        outlier: (N, h, w) a learned outlier logit, the log-odds of "anomaly".
        void: (N, h, w) the logit of one more output beside the classes: void, or abstention.
        mutual_information: (N, h, w) mutual information over samples or members.
        masks: (N, Q, h, w) mask logits of a mask network.
        queries: (N, Q, C + 1) class logits of its queries, the last one "no object".
        deep: queries and masks after each inner decoder layer of a mask network, in training only.
        layers: (N, D', h', w') outputs of inner layers, where they are asked for.
        boundary: (N, h, w) logit of "here two classes meet", from a head that exists in training only.
        auxiliary: logits (N, C, h', w') of heads that exist in training only.
        anomaly: (N, h, w) the verdict of a network that judges by itself, such as SynBoost's.
        failure: (N, h, w) the log-odds of "the most likely class is wrong".
        iou: (N, C) the IoU of each class in the image as the network predicts it, in [0, 1].
    """

    logits: Tensor
    features: Tensor | None = None
    outlier: Tensor | None = None
    void: Tensor | None = None
    mutual_information: Tensor | None = None
    masks: Tensor | None = None
    queries: Tensor | None = None
    deep: tuple[tuple[Tensor, Tensor], ...] = ()
    layers: tuple[Tensor, ...] = ()
    boundary: Tensor | None = None
    auxiliary: tuple[Tensor, ...] = ()
    anomaly: Tensor | None = None
    failure: Tensor | None = None
    iou: Tensor | None = None


Score = Callable[[Outputs], Tensor]
"""Outputs -> (N, h, w), higher means more anomalous: a function, or a module with buffers."""


def crop_outputs(outputs: Outputs, height: int, width: int, stride: int) -> Outputs:
    """Cut maps of a padded input back to the ceil(height / stride) x ceil(width / stride) that cover the image."""
    if not isinstance(height, int) or not isinstance(width, int):
        return outputs  # an export is traced: nothing was padded
    rows, columns = (height + stride - 1) // stride, (width + stride - 1) // stride
    if tuple(outputs.logits.shape[-2:]) == (rows, columns):
        return outputs

    def cut(maps: Tensor | None) -> Tensor | None:
        return None if maps is None else maps[..., :rows, :columns]

    logits = outputs.logits[..., :rows, :columns]
    return outputs._replace(
        logits=logits,
        features=cut(outputs.features),
        outlier=cut(outputs.outlier),
        void=cut(outputs.void),
        mutual_information=cut(outputs.mutual_information),
        masks=cut(outputs.masks),
        deep=tuple((queries, masks[..., :rows, :columns]) for queries, masks in outputs.deep),
        boundary=cut(outputs.boundary),
        anomaly=cut(outputs.anomaly),
        failure=cut(outputs.failure),
    )


def split_void(outputs: Outputs, known: int) -> Outputs:
    """Outputs whose logits are the closed-set classes only; one output more becomes ``void``.

    ERFNet, for one, has 20 outputs for 19 classes: the last must not take part in a maximum, a sum or an entropy.

    Raises:
        InputError: if the network has fewer outputs than closed-set classes, or more than one beyond them.
    """
    count = outputs.logits.shape[1]
    if count == known:
        return outputs
    if count != known + 1:
        raise InputError(
            f"the network has {counted(count, 'output')}; expected {known} classes, or {known + 1} with a void output"
        )
    return outputs._replace(logits=outputs.logits[:, :known], void=outputs.logits[:, known])
