"""What a quantised graph must be so that engines and tools read it alike; each fault was seen in a file that ran."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import helper

from oddroad.errors import InputError
from oddroad.learn.export.graph_passes import constant_of, maker
from oddroad.learn.export.qdq_repairs import ACTIVATIONS, OPSET, SMALLEST, behind_convolutions


def check(model: onnx.ModelProto, original: onnx.ModelProto) -> None:
    """Refuse a quantised graph that some engine or tool would compute something else from.

    Args:
        model: the quantised graph.
        original: the graph that it was made from.

    Raises:
        InputError: naming every fault.
    """
    if found := [*old_opset(model), *rounded_heads(model), *lost_activations(model, original), *bad_scales(model)]:
        raise InputError(f"the quantised graph is not sound: {'; '.join(found)}; nothing was written")


def old_opset(model: onnx.ModelProto) -> Iterator[str]:
    """An opset in which QuantizeLinear is not defined as it is used; tools that follow the standard refuse it."""
    version = max(each.version for each in model.opset_import if each.domain in ("", "ai.onnx"))
    if version < OPSET:
        yield f"it is of opset {version}, expected {OPSET} or newer"


def rounded_heads(model: onnx.ModelProto) -> Iterator[str]:
    """Quantisers behind the last convolutions: scores and logits would be rounded for no gain in time."""
    for node in behind_convolutions(model.graph):
        yield f"{node.input[0]}, which no convolution reads, is rounded to INT8"


def lost_activations(model: onnx.ModelProto, original: onnx.ModelProto) -> Iterator[str]:
    """ReLU and Clip that only the range of a quantiser stands for: a tool that drops quantisers loses the network."""
    for wanted in original.graph.node:
        if wanted.op_type not in ACTIVATIONS:
            continue
        now = maker(model.graph, wanted.output[0])
        if now is None or now.op_type not in (wanted.op_type, "LeakyRelu"):
            yield f"{wanted.op_type} {wanted.name or wanted.output[0]} is gone"
        elif now.op_type == "LeakyRelu" and any(helper.get_attribute_value(each) != 0 for each in now.attribute):
            yield f"{wanted.op_type} {wanted.name or wanted.output[0]} has become a leaky one"


def bad_scales(model: onnx.ModelProto) -> Iterator[str]:
    """Scales that are not above 0, of channels of next to nothing, or of another shape than their zero point."""
    graph = model.graph
    seen = set[tuple[str, ...]]()
    for node in graph.node:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear") or tuple(node.input[1:]) in seen:
            continue
        seen.add(tuple(node.input[1:]))
        scale = constant_of(graph, node.input[1])
        zero = constant_of(graph, node.input[2]) if len(node.input) > 2 else None
        if scale is None:
            yield f"the scale of {node.name} is no constant"
        elif not np.isfinite(scale).all() or (scale <= 0).any():
            yield f"the scale of {node.name} is not above 0 everywhere"
        elif scale.size > 1 and maker(graph, node.input[0]) is None and scale.min() < SMALLEST * scale.max():
            yield f"{node.name} has a channel of scale {scale.min():.2g} beside one of {scale.max():.2g}"
        if scale is not None and zero is not None and scale.shape != zero.shape:
            yield f"{node.name} has a scale of shape {scale.shape} and a zero point of shape {zero.shape}"
