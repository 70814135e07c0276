"""ONNX opset 18 to opset 13, which the converters of devices read; and the operators that all of them compute right.

The onnx package converts upwards; of what the exporter writes it takes little down. Where opset 13 has no such
operator, plainer ones of the same function stand in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import helper

from oddroad.errors import InputError
from oddroad.learn.export.graph_passes import constant_of, put_constant
from oddroad.learn.export.static_graph import each_node, shapes_of

OPSET, IR_VERSION = 13, 7
"""What a portable file is written in; IR 7 came with opset 12."""


PLAIN = frozenset({
    "Add", "AveragePool", "BatchNormalization", "Clip", "Concat", "Conv", "ConvTranspose", "Div", "Exp",
    "GlobalAveragePool", "LeakyRelu", "Log", "MaxPool", "Mul", "Neg", "ReduceMax", "ReduceMean", "Relu", "Resize",
    "Sigmoid", "Softmax", "Sub",
})  # fmt: skip
"""Operators that a portable file may hold. docs/devices.md says in which runtimes each was found right."""


REDUCTIONS = ("ReduceMax", "ReduceMin", "ReduceMean", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceLogSumExp")
"""Reductions whose axes are an input since opset 18 and an attribute before."""


Nodes = list[onnx.NodeProto]


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """The attributes of a node by name."""
    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


def remade(node: onnx.NodeProto, inputs: list[str] | None = None, **changes: Any) -> Nodes:
    """The node with other inputs and attributes; an attribute of None goes."""
    given = {name: value for name, value in {**attributes(node), **changes}.items() if value is not None}
    names = list(node.input) if inputs is None else inputs
    return [helper.make_node(node.op_type, names, list(node.output), node.name, **given)]


def resize(graph: onnx.GraphProto, node: onnx.NodeProto) -> Nodes:
    """A Resize without antialiasing, which no opset below 18 has; nothing else differs."""
    given = attributes(node)
    if given.get("antialias") or given.get("axes") or given.get("keep_aspect_ratio_policy", b"stretch") != b"stretch":
        raise InputError(f"Resize '{node.name}' is antialiased or keeps a ratio, which opset {OPSET} cannot say")
    linear = given.get("mode") == b"linear"
    changes: dict[str, Any] = dict.fromkeys(
        ("antialias", "axes", "keep_aspect_ratio_policy", "exclude_outside", "extrapolation_value", "cubic_coeff_a")
    )
    return remade(node, **changes, nearest_mode=None if linear else given.get("nearest_mode"))


def reduction(graph: onnx.GraphProto, node: onnx.NodeProto) -> Nodes:
    """A reduction with its axes as an attribute; log-sum-exp by its parts, which more runtimes have."""
    axes = constant_of(graph, node.input[1]) if len(node.input) > 1 and node.input[1] else None
    if axes is None:
        raise InputError(f"{node.op_type} '{node.name}' has no constant axes")
    keep = attributes(node).get("keepdims", 1)  # all do after make_static
    chosen = [int(each) for each in axes.ravel()]
    if node.op_type == "ReduceMean" and keep and sorted(chosen) == [2, 3]:
        return [helper.make_node("GlobalAveragePool", [node.input[0]], list(node.output), node.name)]
    over_channels = keep and chosen in ([1], [-3]) and len(shapes_of(graph).get(node.input[0], (0, ()))[1]) == 4
    if node.op_type != "ReduceLogSumExp" or not over_channels:
        return [
            helper.make_node(node.op_type, [node.input[0]], list(node.output), node.name, axes=chosen, keepdims=keep)
        ]
    name, source = node.output[0], node.input[0]
    parts = {part: f"{name}.{part}" for part in ("most", "below", "powers", "sum", "log")}
    return [
        helper.make_node("ReduceMax", [source], [parts["most"]], axes=chosen, keepdims=1),
        helper.make_node("Sub", [source, parts["most"]], [parts["below"]]),
        helper.make_node("Exp", [parts["below"]], [parts["powers"]]),
        *channel_sum(graph, parts["powers"], parts["sum"], shapes_of(graph)[source][1]),
        helper.make_node("Log", [parts["sum"]], [parts["log"]]),
        helper.make_node("Add", [parts["log"], parts["most"]], [name]),
    ]


def channel_sum(graph: onnx.GraphProto, source: str, name: str, shape: tuple[int, ...]) -> Nodes:
    """The sum over the channels as a convolution with ones; pnnx drops the axes of a ReduceSum of opset 13."""
    put_constant(graph, f"{name}.ones", np.ones((1, shape[1], 1, 1), np.float32))
    return [helper.make_node("Conv", [source, f"{name}.ones"], [name], kernel_shape=[1, 1])]


def reduce_sum(graph: onnx.GraphProto, node: onnx.NodeProto) -> Nodes | None:
    """A sum over the channels of (1, C, h, w) as a convolution; others stay."""
    axes = constant_of(graph, node.input[1]) if len(node.input) > 1 and node.input[1] else None
    shape = shapes_of(graph).get(node.input[0], (0, ()))[1]
    if axes is None or axes.ravel().tolist() not in ([1], [-3]) or len(shape) != 4:
        return None
    return channel_sum(graph, node.input[0], node.output[0], shape)


def channel_slice(graph: onnx.GraphProto, node: onnx.NodeProto) -> Nodes | None:
    """A choice of channels of (1, C, h, w) as a convolution with ones and zeros, which is exact; other slices stay."""
    shape = shapes_of(graph).get(node.input[0], (0, ()))[1]
    parts = [constant_of(graph, name) for name in node.input[1:]]
    if len(shape) != 4 or len(parts) < 3 or any(each is None or each.size != 1 for each in parts):
        return None
    start, stop, axis, *step = (int(each.ravel()[0]) for each in parts if each is not None)
    if axis not in (1, -3):
        return None
    rows = np.eye(shape[1], dtype=np.float32)[slice(start, stop, *step)]
    put_constant(graph, f"{node.output[0]}.rows", rows[..., None, None])
    return [helper.make_node("Conv", [node.input[0], f"{node.output[0]}.rows"], list(node.output), kernel_shape=[1, 1])]


def reciprocal(graph: onnx.GraphProto, node: onnx.NodeProto) -> Nodes:
    """One over x as a division."""
    put_constant(graph, f"{node.output[0]}.one", np.array(1, np.float32))
    return [helper.make_node("Div", [f"{node.output[0]}.one", node.input[0]], list(node.output))]


def hard_swish(graph: onnx.GraphProto, node: onnx.NodeProto) -> Nodes:
    """A HardSwish by its parts: x * clip(x / 6 + 1/2, 0, 1)."""
    name, source = node.output[0], node.input[0]
    for part, value in (("sixth", 1 / 6), ("half", 0.5), ("zero", 0.0), ("one", 1.0)):
        put_constant(graph, f"{name}.{part}", np.array(value, np.float32))
    return [
        helper.make_node("Mul", [source, f"{name}.sixth"], [f"{name}.small"]),
        helper.make_node("Add", [f"{name}.small", f"{name}.half"], [f"{name}.raised"]),
        helper.make_node("Clip", [f"{name}.raised", f"{name}.zero", f"{name}.one"], [f"{name}.gate"]),
        helper.make_node("Mul", [source, f"{name}.gate"], [name]),
    ]


DOWN: dict[str, Callable[[onnx.GraphProto, onnx.NodeProto], Nodes | None]] = {
    "Resize": resize, "ReduceSum": reduce_sum, "HardSwish": hard_swish, "Slice": channel_slice,
    "Reciprocal": reciprocal, **dict.fromkeys(REDUCTIONS, reduction),
}  # fmt: skip
"""Operator -> what stands for a node of it in opset 13; the others mean the same in both."""


def lower(model: onnx.ModelProto) -> None:
    """Write a graph of opset 18 in opset 13. In place, and exactly.

    Raises:
        InputError: if it holds what opset 13 cannot say.
    """
    each_node(model, lambda graph, node: DOWN[node.op_type](graph, node) if node.op_type in DOWN else None)
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", OPSET))
    model.ir_version = IR_VERSION


def check_plain(model: onnx.ModelProto) -> None:
    """Refuse a graph with operators that not every runtime computes right.

    Raises:
        InputError: naming the operators and where they stand.
    """
    others: dict[str, list[str]] = {}
    for node in model.graph.node:
        if node.op_type not in (*PLAIN, "Identity") or node.domain:
            others.setdefault(node.op_type, []).append(node.name or node.output[0])
    if others:
        words = ", ".join(f"{kind} ({len(names)}, first '{names[0]}')" for kind, names in others.items())
        raise InputError(
            f"not portable: the network uses {words}, which not every runtime computes right; export it without --for "
            "and run it with ONNX Runtime or OpenVINO"
        )
