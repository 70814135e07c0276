"""What the quantisers write, made true and portable: the same INT8 kernels, fewer roundings, plain ONNX.

Each function mends one thing that ``qdq_checks`` looks for.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, version_converter

from oddroad.learn.export.graph_passes import bypass, constant_of, drop_unread, maker, put_constant, readers

CONVOLUTIONS = ("Conv", "ConvTranspose")

ACTIVATIONS = ("Relu", "Clip")
"""What a quantiser may leave to the range of a QuantizeLinear: values below its smallest become it."""

OPSET = 19
"""The first in which the ONNX standard says how a scale and what it stands for may be typed; tools that follow it, such
as ONNX's own reference, refuse QuantizeLinear below."""

SMALLEST = 2.0**-20
"""Scale of a channel's weights over the largest of its layer's, below which the channel is nothing beside the others.

A bias is stored as a 32-bit integer in units of input scale times weight scale: with a scale of next to nothing it does
not fit."""


def repair(model: onnx.ModelProto, original: onnx.ModelProto) -> onnx.ModelProto:
    """All of what follows, in a copy.

    Args:
        model: the quantised graph.
        original: the graph that it was made from.
    """
    model = onnx.ModelProto.FromString(model.SerializeToString())
    del model.graph.value_info[:]
    float_heads(model)
    restore_activations(model, original)
    repair_scales(model, original)
    match_shapes(model)
    return newer_opset(model)


def behind_convolutions(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The QuantizeLinear nodes that no convolution stands behind."""
    leads = set[str]()
    found: list[onnx.NodeProto] = []
    for node in reversed(graph.node):
        if node.op_type in CONVOLUTIONS or leads.intersection(node.output):
            leads.update(node.input)
        elif node.op_type == "QuantizeLinear":
            found.append(node)
    return found


def float_heads(model: onnx.ModelProto) -> None:
    """Take away the quantisers behind the last convolutions: scores and classes are not rounded. In place."""
    graph = model.graph
    for quantise in behind_convolutions(graph):
        for dequantise in readers(graph, quantise.output[0]):
            bypass(graph, dequantise)
        bypass(graph, quantise)
    drop_unread(model)


def restore_activations(model: onnx.ModelProto, original: onnx.ModelProto) -> None:
    """Put ReLU and Clip back before the quantiser that was given their range. In place.

    The same values to the bit: engines join them again with the layer before. But a tool that drops the quantisers
    still has the network.
    """
    graph = model.graph
    have = {output for node in graph.node if node.op_type in ACTIVATIONS for output in node.output}
    for wanted in original.graph.node:
        node = maker(graph, wanted.output[0])
        if wanted.op_type not in ACTIVATIONS or wanted.output[0] in have or node is None:
            continue
        before = f"{wanted.output[0]}.before"
        node.output[list(node.output).index(wanted.output[0])] = before
        again = helper.make_node(
            wanted.op_type, [before, *wanted.input[1:]], [wanted.output[0]], wanted.name or f"{before}.{wanted.op_type}"
        )
        for bound in wanted.input[1:]:
            value = constant_of(original.graph, bound)
            if value is not None and constant_of(graph, bound) is None:
                put_constant(graph, bound, value)
        graph.node.insert(list(graph.node).index(node) + 1, again)


def repair_scales(model: onnx.ModelProto, original: onnx.ModelProto) -> None:
    """Give channels whose weights are nothing beside the layer's a scale like the others', and round them by it.

    In place. Their bias is stored anew, in the units that follow.
    """
    graph = model.graph
    for node in graph.node:
        if node.op_type not in CONVOLUTIONS:
            continue
        dequantise = maker(graph, node.input[1])
        if dequantise is None or dequantise.op_type != "DequantizeLinear":
            continue
        scale, stored = constant_of(graph, dequantise.input[1]), constant_of(graph, dequantise.input[0])
        if scale is None or stored is None or scale.size < 2:
            continue
        bad = scale < SMALLEST * scale.max()
        if not bad.any():
            continue
        axis = next((helper.get_attribute_value(each) for each in dequantise.attribute if each.name == "axis"), 1)
        shape = [-1 if place == axis else 1 for place in range(stored.ndim)]
        repaired = np.where(bad, np.median(scale[~bad]), scale).astype(np.float32)
        values = np.round(stored * (scale / repaired).reshape(shape)).astype(stored.dtype)
        own = [f"{node.output[0]}.weight.{each}" for each in ("stored", "scale")]
        for name, value in zip(own, (values, repaired), strict=True):
            put_constant(graph, name, value)
        dequantise.input[0], dequantise.input[1] = own
        if len(node.input) > 2:
            repair_bias(graph, original.graph, node, repaired / scale, bad)


def repair_bias(
    graph: onnx.GraphProto, original: onnx.GraphProto, node: onnx.NodeProto, larger: np.ndarray, bad: np.ndarray
) -> None:
    """Store the bias of some channels of a convolution in units that are larger by a factor. In place."""
    dequantise = maker(graph, node.input[2])
    if dequantise is None or dequantise.op_type != "DequantizeLinear":
        return
    stored, scale = constant_of(graph, dequantise.input[0]), constant_of(graph, dequantise.input[1])
    true = next((constant_of(original, each.input[2]) for each in original.node if each.name == node.name), None)
    if stored is None or scale is None or true is None:
        return
    scale = np.where(bad, scale * larger, scale).astype(np.float32)
    limit = np.iinfo(stored.dtype)
    again = np.clip(np.round(true.astype(np.float64) / scale), limit.min, limit.max).astype(stored.dtype)
    own = [f"{node.output[0]}.bias.{each}" for each in ("stored", "scale")]
    put_constant(graph, own[0], np.where(bad, again, stored))
    put_constant(graph, own[1], scale)
    dequantise.input[0], dequantise.input[1] = own


def match_shapes(model: onnx.ModelProto) -> None:
    """Give each zero point the shape of its scale, as ONNX wants it. In place."""
    graph = model.graph
    for node in graph.node:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear") or len(node.input) < 3:
            continue
        scale, zero = constant_of(graph, node.input[1]), constant_of(graph, node.input[2])
        if scale is None or zero is None or scale.shape == zero.shape:
            continue
        if zero.size not in (1, scale.size):
            raise ValueError(f"{node.name} has a scale of shape {scale.shape} and a zero point of shape {zero.shape}")
        node.input[2] = f"{node.output[0]}.zero"
        put_constant(graph, node.input[2], np.broadcast_to(zero.reshape(-1), scale.shape))


def newer_opset(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph in OPSET, if it is of an older one."""
    if max(each.version for each in model.opset_import if each.domain in ("", "ai.onnx")) >= OPSET:
        return model
    return version_converter.convert_version(model, OPSET)
