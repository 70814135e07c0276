"""Surgery on INT8 graphs, in which QuantizeLinear and DequantizeLinear stand around each layer (QDQ).

What the quantisers write is right but not all of it is fast: ONNX Runtime joins a layer and its neighbours into one
INT8 kernel only where their numbers are of one kind. And parts of the network are brought back to float32 here,
without quantising anew.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from oddroad.learn.export.graph_passes import constant_of, drop_unread, maker, put_constant, readers


def make_fast(model: onnx.ModelProto) -> None:
    """All of what follows that does not change what the graph computes. In place."""
    del model.graph.value_info[:]  # the quantisers leave types there that do not hold any more
    exact_pixels(model)
    pad_channels_to_4(model)
    unsigned(model)
    fuse_add_requant(model)
    drop_unread(model)


def unsigned(model: onnx.ModelProto) -> None:
    """Write signed values that are only added as unsigned ones, and their zero point too, 128 higher. In place.

    The same values.

    ONNX Runtime adds two INT8 values without leaving INT8 only if both are of the same type. Values that a
    convolution reads stay as they are: OpenVINO 2026.4 computes something else from those with a zero point.
    """
    graph = model.graph
    for node in graph.node:
        if node.op_type != "QuantizeLinear" or len(node.input) < 3:
            continue
        zero = constant_of(graph, node.input[2])
        after = [each for found in readers(graph, node.output[0]) for each in readers(graph, found.output[0])]
        if zero is not None and zero.dtype == np.int8 and after and all(each.op_type == "Add" for each in after):
            put_constant(graph, node.input[2], (zero.astype(np.int16) + 128).astype(np.uint8))


def exact_pixels(model: onnx.ModelProto, name: str = "border") -> None:
    """Let the first convolution read the pixels themselves, 0 to 255: scale 1, and the border of the mean colour too.

    In place, on a graph after ``fold_mean_into_padding`` whose first convolution is in INT8.
    """
    graph = model.graph
    border = [node for node in graph.node if node.name in (f"{name}_rows", f"{name}_columns")]
    after = readers(graph, f"{name}.image")
    if len(border) != 2 or len(after) != 1 or after[0].op_type != "QuantizeLinear":
        return
    quantise, pixels = after[0], border[0].input[1]
    put_constant(graph, "pixel.scale", np.array(1, np.float32))
    put_constant(graph, "pixel.zero", np.array(0, np.uint8))
    for constant in (f"{name}.rows", f"{name}.columns"):
        value = constant_of(graph, constant)
        assert value is not None
        put_constant(graph, constant, value.round().astype(np.uint8))
    (dequantise,) = readers(graph, quantise.output[0])
    border[1].output[0], dequantise.input[0] = f"{name}.pixels", f"{name}.pixels"
    quantise.input[0], quantise.output[0] = pixels, f"{name}.seen"
    for node in (quantise, dequantise):
        del node.input[1:]
        node.input.extend(["pixel.scale", "pixel.zero"])
    for place, given in enumerate(border[0].input):
        if given == pixels:
            border[0].input[place] = f"{name}.seen"
    graph.node.remove(quantise)
    graph.node.insert(list(graph.node).index(border[0]), quantise)


def pad_channels_to_4(model: onnx.ModelProto, name: str = "border") -> None:
    """Add a channel of zeros to the pixels and to the first convolution's weights. In place, on exact pixels.

    ONNX Runtime's fast INT8 convolution takes channels by fours; with three it falls back to one that is several
    times slower.
    """
    graph = model.graph
    dequantise = next(iter(readers(graph, f"{name}.pixels")), None)
    if dequantise is None or dequantise.op_type != "DequantizeLinear":
        return
    (convolution,) = readers(graph, dequantise.output[0])
    stored = maker(graph, convolution.input[1])
    weight = None if stored is None else constant_of(graph, stored.input[0])
    rows, columns = constant_of(graph, f"{name}.rows"), constant_of(graph, f"{name}.columns")
    if stored is None or weight is None or weight.shape[1] != 3 or rows is None or columns is None:
        return
    put_constant(graph, stored.input[0], np.concatenate([weight, np.zeros_like(weight[:, :1])], 1))
    for constant, strip in ((f"{name}.rows", rows), (f"{name}.columns", columns)):
        put_constant(graph, constant, np.concatenate([strip, np.zeros_like(strip[:, :1])], 1))
    tall = next(node for node in graph.node if node.name == f"{name}_rows")
    height, width = columns.shape[2] - (len(tall.input) - 1), rows.shape[3]
    put_constant(graph, f"{name}.shape", np.array([1, 1, height, width], np.int64))
    fill = numpy_helper.from_array(np.zeros(1, np.uint8))
    zeros = helper.make_node("ConstantOfShape", [f"{name}.shape"], [f"{name}.fourth"], f"{name}_fourth", value=fill)
    both = [f"{name}.seen", f"{name}.fourth"]
    joined = helper.make_node("Concat", both, [f"{name}.four"], f"{name}_four", axis=1)
    for place, given in enumerate(tall.input):
        if given == f"{name}.seen":
            tall.input[place] = f"{name}.four"
    place = list(graph.node).index(tall)
    graph.node.insert(place, zeros)
    graph.node.insert(place + 1, joined)


def fuse_add_requant(model: onnx.ModelProto) -> None:
    """Quantise a sum once where it was quantised twice, as it is and after a ReLU: ReLU of the INT8 values. In place.

    ONNX Runtime joins a sum with its quantisation only where nothing else reads it. Leaky ReLU of slope 0 is the same
    function, and the one for which it has an INT8 kernel.
    """
    graph = model.graph
    for node in list(graph.node):
        if node.op_type != "Add":
            continue
        after = readers(graph, node.output[0])
        quantise = [each for each in after if each.op_type == "QuantizeLinear"]
        relu = [each for each in after if each.op_type == "Relu"]
        if len(after) != 2 or len(quantise) != 1 or len(relu) != 1:
            continue
        dequantise = readers(graph, quantise[0].output[0])
        if not dequantise:
            continue
        relu[0].input[0] = dequantise[0].output[0]
        relu[0].op_type = "LeakyRelu"
        relu[0].attribute.append(helper.make_attribute("alpha", 0.0))
        graph.node.remove(relu[0])
        graph.node.insert(list(graph.node).index(dequantise[0]) + 1, relu[0])


def back_to_float(model: onnx.ModelProto, original: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """A copy in which the named nodes read float32 values and their own weights, as in the original.

    What they give may still be rounded for the nodes behind them.

    Args:
        model: the quantised graph.
        original: the graph that it was made from, with the same names of nodes.
        names: of convolutions.
    """
    model = onnx.ModelProto.FromString(model.SerializeToString())
    graph, own = model.graph, {node.name: node for node in original.graph.node}
    for node in list(graph.node):
        if node.name not in names:
            continue
        for place, given in enumerate(node.input):
            wanted = own[node.name].input[place]
            weight = constant_of(original.graph, wanted)
            if weight is not None:
                node.input[place] = f"float.{wanted}"
                put_constant(graph, node.input[place], weight)
                continue
            dequantise = maker(graph, given)
            quantise = None if dequantise is None else maker(graph, dequantise.input[0])
            if dequantise is None or quantise is None or quantise.op_type != "QuantizeLinear":
                continue
            node.input[place] = quantise.input[0]
            first, now = maker(original.graph, wanted), maker(graph, quantise.input[0])
            if first is not None and first.op_type == "Relu" and (now is None or now.op_type != "Relu"):
                node.input[place] = f"float.{node.name}.{place}"  # a quantiser may leave it to the zero point
                relu = helper.make_node("Relu", [quantise.input[0]], [node.input[place]])
                graph.node.insert(list(graph.node).index(node), relu)
    drop_unread(model)
    return model
