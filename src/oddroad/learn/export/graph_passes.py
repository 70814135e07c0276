"""Surgery on an exported ONNX graph: any input size, fewer nodes, short weights, nothing of the machine behind it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from oddroad.benchmarking.profile import ATTENTION
from oddroad.inference.host_resize import LOW_RES

SCOPES = "pkg.torch.onnx.name_scopes"
"""Where the exporter notes the modules that a node comes from."""


def name_sides(value: onnx.ValueInfoProto) -> None:
    """Call the two dynamic sides of an image (1, H, W, 3) or a map (1, H, W) height and width."""
    for axis, side in ((1, "height"), (2, "width")):
        value.type.tensor_type.shape.dim[axis].Clear()
        value.type.tensor_type.shape.dim[axis].dim_param = side


def accept_any_size(model: onnx.ModelProto, multiple: int) -> None:
    """Make a graph for sides that are multiples take any sides: extend the border before it, crop after it.

    In place. The image (1, H, W, 3) is extended below and to the right by repeating its border; every output
    (1, H, W) is cut back.
    """
    graph = model.graph
    constants = {
        "size_from": np.array([1], np.int64), "size_to": np.array([3], np.int64), "zeros": np.zeros(2, np.int64),
        "step": np.array([multiple], np.int64), "five": np.zeros(5, np.int64), "one": np.zeros(1, np.int64),
        "sides": np.array([1, 2], np.int64),
    }  # fmt: skip
    graph.initializer.extend(numpy_helper.from_array(value, f"any.{name}") for name, value in constants.items())
    for node in graph.node:
        for place, given in enumerate(node.input):
            if given == "image":
                node.input[place] = "any.image"
        for place, made in enumerate(node.output):
            if made in {each.name for each in graph.output}:
                node.output[place] = f"any.{made}"
    for node in graph.node:  # an output may also be read inside the graph
        for place, given in enumerate(node.input):
            if given in {each.name for each in graph.output}:
                node.input[place] = f"any.{given}"
    before = [
        helper.make_node("Shape", ["image"], ["any.shape"]),
        helper.make_node("Slice", ["any.shape", "any.size_from", "any.size_to"], ["any.size"]),
        helper.make_node("Neg", ["any.size"], ["any.minus"]),
        helper.make_node("Mod", ["any.minus", "any.step"], ["any.missing"]),
        helper.make_node("Concat", ["any.five", "any.missing", "any.one"], ["any.pads"], axis=0),
        helper.make_node("Pad", ["image", "any.pads"], ["any.image"], mode="edge"),
    ]
    after = [
        helper.make_node("Slice", [f"any.{each.name}", "any.zeros", "any.size", "any.sides"], [each.name])
        for each in graph.output
    ]
    nodes = [*before, *graph.node, *after]
    del graph.node[:]
    graph.node.extend(nodes)


def constant_of(graph: onnx.GraphProto, name: str) -> np.ndarray | None:
    """The value of an initializer, or None where the name is no initializer's."""
    return next((numpy_helper.to_array(each) for each in graph.initializer if each.name == name), None)


def put_constant(graph: onnx.GraphProto, name: str, value: np.ndarray) -> None:
    """Add an initializer, or replace the one of that name."""
    held = next((each for each in graph.initializer if each.name == name), None)
    if held is not None:
        graph.initializer.remove(held)
    graph.initializer.append(numpy_helper.from_array(np.array(value, order="C"), name))


def readers(graph: onnx.GraphProto, name: str) -> list[onnx.NodeProto]:
    """The nodes that read a value."""
    return [node for node in graph.node if name in node.input]


def maker(graph: onnx.GraphProto, name: str) -> onnx.NodeProto | None:
    """The node that makes a value."""
    return next((node for node in graph.node if name in node.output), None)


def bypass(graph: onnx.GraphProto, node: onnx.NodeProto) -> None:
    """Remove a node of one output; its readers read its first input instead."""
    for each in readers(graph, node.output[0]):
        for place, given in enumerate(each.input):
            if given == node.output[0]:
                each.input[place] = node.input[0]
    graph.node.remove(node)


def normalisation(graph: onnx.GraphProto) -> tuple[list[onnx.NodeProto], list[onnx.NodeProto]]:
    """The nodes that take off the mean colour and those that divide by its deviation: one of each in a pass."""
    subtract, divide = (
        [node for node in graph.node if len(node.input) > 1 and node.input[1].endswith(each)]
        for each in ("colour_mean", "colour_std")
    )
    return subtract, divide


def fold_normalisation(model: onnx.ModelProto, fixed: Collection[str] = ()) -> None:
    """Divide the first convolution's weights by the colours' deviation instead of every pixel. In place, and exactly.

    The mean stays: the convolution extends the image by zeros, which stand for the mean colour. A mean of zero goes.
    A maximum may be taken before the convolution, or the image made smaller. Where something else reads the normalised
    image, or the weights, nothing is changed. A graph that runs on the mirror image too has two divisions, and one
    convolution's weights for both.

    Args:
        model: the graph.
        fixed: weights that must keep their values.
    """
    graph = model.graph
    subtract, divide = normalisation(graph)
    for node in subtract:
        if not np.any(constant_of(graph, node.input[1])):
            bypass(graph, node)
    drop_unread(model)
    after = [each for node in divide for each in readers(graph, node.output[0])]
    pools = [node for node in after if node.op_type in ("MaxPool", "Resize")]
    after = [node for node in after if node not in pools] + [
        each for node in pools for each in readers(graph, node.output[0])
    ]
    if not after or any(node.op_type != "Conv" for node in after):
        return
    names = list(dict.fromkeys(node.input[1] for node in after))
    others = [node for name in names for node in readers(graph, name) if node not in after]
    weights = [constant_of(graph, name) for name in names]
    deviation = constant_of(graph, divide[0].input[1])
    if deviation is None or others or set(names) & set(fixed) or any(each is None for each in weights):
        return
    for name, weight in zip(names, weights, strict=True):
        assert weight is not None
        put_constant(graph, name, weight / deviation.astype(np.float32))
    for node in divide:
        bypass(graph, node)
    drop_unread(model)


def add_low_res_outputs(model: onnx.ModelProto, names: Collection[str]) -> None:
    """Give each output also as it is before its one enlargement, (1, 1, h, w) float32. In place.

    Args:
        model: the graph.
        names: of outputs.
    """
    graph = model.graph
    for name in names:
        node = maker(graph, name)
        while node is not None and node.op_type != "Resize":
            node = maker(graph, node.input[0])
        if node is not None:
            graph.node.append(helper.make_node("Identity", [node.input[0]], [name + LOW_RES]))
            graph.output.append(helper.make_tensor_value_info(name + LOW_RES, TensorProto.FLOAT, [1, 1, None, None]))


def fold_mean_into_padding(model: onnx.ModelProto, size: tuple[int, int]) -> None:
    """Put the mean colour around the image and the subtraction of it into the first convolution's bias. In place.

    The same function. What the convolution then reads are the pixels themselves, 0 to 255, which INT8 holds without
    any error but the rounding of what resizing interpolated. Where the graph does not begin with one convolution that
    extends the image by one pixel, nothing is changed.

    Args:
        model: a graph after ``fold_normalisation``.
        size: (H, W) at the first convolution.
    """
    found, _ = normalisation(model.graph)
    if len(found) == 1:
        fold_into_border(model.graph, found[0], size)
    drop_unread(model)


def fold_into_border(
    graph: onnx.GraphProto, subtract: onnx.NodeProto, size: tuple[int, int], name: str = "border"
) -> None:
    """Make a border of the mean colour, whose constants and nodes begin with a name. In place."""
    after = readers(graph, subtract.output[0])
    mean, weight = constant_of(graph, subtract.input[1]), constant_of(graph, after[0].input[1])
    given = {each.name: helper.get_attribute_value(each) for each in after[0].attribute}
    plain = len(after) == 1 and after[0].op_type == "Conv" and list(given.get("pads", [])) == [1, 1, 1, 1]
    bias = constant_of(graph, after[0].input[2]) if len(after[0].input) > 2 else None
    if not plain or mean is None or weight is None or bias is None or weight.shape[2:] != (3, 3):
        return
    column, (height, width) = mean.reshape(1, 3, 1, 1).astype(np.float32), size
    below, right = (int(step == 1 or side % step != 0) for side, step in zip(size, given["strides"], strict=True))
    rows, columns = np.broadcast_to(column, (1, 3, 1, width)), np.broadcast_to(column, (1, 3, height + 1 + below, 1))
    put_constant(graph, f"{name}.rows", rows)
    put_constant(graph, f"{name}.columns", columns)
    put_constant(graph, after[0].input[2], bias - np.einsum("oikl,i->o", weight, mean.reshape(3)).astype(np.float32))
    tall = [f"{name}.rows", subtract.input[0], *[f"{name}.rows"] * below]
    wide = [f"{name}.columns", f"{name}.tall", *[f"{name}.columns"] * right]
    vertical = helper.make_node("Concat", tall, [f"{name}.tall"], f"{name}_rows", axis=2)
    across = helper.make_node("Concat", wide, [f"{name}.image"], f"{name}_columns", axis=3)
    after[0].input[0] = f"{name}.image"
    pads = next(each for each in after[0].attribute if each.name == "pads")
    pads.ints[:] = [0, 0, 0, 0]
    place = list(graph.node).index(subtract)
    graph.node.remove(subtract)
    graph.node.insert(place, vertical)
    graph.node.insert(place + 1, across)


def give_each_its_weights(model: onnx.ModelProto) -> None:
    """Copy the weights and biases that several convolutions read, so that each has its own. In place, and exactly.

    A network that looks at two sizes of the image has two convolutions to a weight. A bias is rounded by the range of
    what comes in, which differs: a shared one gets two scales, of which ``qdq_repairs`` would see the first.
    """
    graph = model.graph
    held = {each.name: each for each in graph.initializer}
    readers_of: dict[str, int] = {}
    for node in graph.node:
        if node.op_type not in ("Conv", "ConvTranspose"):
            continue
        for place, given in list(enumerate(node.input))[1:]:
            if given not in held:
                continue
            readers_of[given] = number = readers_of.get(given, 0) + 1
            if number > 1:
                copied = onnx.TensorProto.FromString(held[given].SerializeToString())
                copied.name = node.input[place] = f"{given}_{number}"
                graph.initializer.append(copied)


def deduplicate_weights(model: onnx.ModelProto) -> None:
    """Keep each value once that several initializers hold. In place, and exactly; the last step: names mean more then.

    Scales and zero points too: OpenVINO computes convolutions in float32 whose INT8 weights, but not their scales, are
    those of another.
    """
    graph = model.graph
    first: dict[tuple[int, tuple[int, ...], bytes], str] = {}
    same: dict[str, str] = {}
    for each in graph.initializer:
        value = numpy_helper.to_array(each)
        same[each.name] = first.setdefault((each.data_type, value.shape, value.tobytes()), each.name)
    for node in graph.node:
        for place, given in enumerate(node.input):
            node.input[place] = same.get(given, given)
    drop_unread(model)


def shorten_weights(model: onnx.ModelProto, weights: Mapping[str, tuple[np.ndarray, np.ndarray | None]]) -> None:
    """Store float32 weights in fewer bytes, followed by Cast (Reshape, and Mul by a scale), computed at load.

    In place. A DequantizeLinear would be shorter, but ONNX Runtime keeps it and computes it for every image. Without
    the Reshape, OpenVINO takes Cast and Mul for the weights of an INT8 network and computes something else: ENet's
    logits were off by 0.05.

    Args:
        model: the graph.
        weights: for each initializer its stored values and, for int8, their scale; their product is what is there.
            Those of modules that the graph does not use (heads for training) are skipped.

    Raises:
        ValueError: if an initializer holds other values.
    """
    graph = model.graph
    held = {each.name: each for each in graph.initializer}
    casts: list[onnx.NodeProto] = []
    for name, (stored, scale) in weights.items():
        if name not in held:
            continue
        value = stored.astype(np.float32) * (1 if scale is None else scale)
        if not np.array_equal(numpy_helper.to_array(held[name]), value):
            raise ValueError(f"the exporter changed the weight {name}")
        graph.initializer.remove(held[name])
        graph.initializer.append(numpy_helper.from_array(stored.reshape(-1), f"{name}.stored"))
        graph.initializer.append(numpy_helper.from_array(np.array(stored.shape, np.int64), f"{name}.shape"))
        if scale is None:
            casts.append(helper.make_node("Cast", [f"{name}.stored"], [f"{name}.flat"], to=TensorProto.FLOAT))
            casts.append(helper.make_node("Reshape", [f"{name}.flat", f"{name}.shape"], [name]))
            continue
        graph.initializer.append(numpy_helper.from_array(scale, f"{name}.scale"))
        casts.append(helper.make_node("Cast", [f"{name}.stored"], [f"{name}.flat"], to=TensorProto.FLOAT))
        casts.append(helper.make_node("Reshape", [f"{name}.flat", f"{name}.shape"], [f"{name}.float"]))
        casts.append(helper.make_node("Mul", [f"{name}.float", f"{name}.scale"], [name]))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def mark_attention(model: onnx.ModelProto) -> None:
    """Begin the names of the nodes of attention modules with ATTENTION, so that a profile can tell them. In place."""
    for node in model.graph.node:
        scopes = next((each.value for each in node.metadata_props if each.key == SCOPES), "")
        if re.search(r"\b(self_attn|cross_attn|attention)\b", scopes):
            node.name = f"{ATTENTION}{node.name}"


def tidy(model: onnx.ModelProto) -> None:
    """Remove what the exporter noted for its developers (stack traces with paths), and check the graph. In place."""
    mark_attention(model)
    graph = model.graph
    del graph.value_info[:]
    del graph.metadata_props[:]
    model.doc_string = graph.doc_string = ""
    model.producer_name, model.producer_version = "oddroad", ""
    graph.name = "oddroad"
    for node in graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*graph.input, *graph.output):
        del value.metadata_props[:]
        value.doc_string = ""
        if not value.name.endswith(LOW_RES):
            name_sides(value)
    for each in graph.initializer:
        each.doc_string = ""
    onnx.checker.check_model(model)


def drop_output(model: onnx.ModelProto, name: str) -> None:
    """Remove an output, and the nodes and initializers that served nothing else. In place."""
    kept = [each for each in model.graph.output if each.name != name]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    drop_unread(model)


def drop_unread(model: onnx.ModelProto) -> None:
    """Remove the nodes and initializers that serve no output. In place."""
    graph = model.graph
    needed = {each.name for each in graph.output}
    nodes: list[onnx.NodeProto] = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            nodes.append(node)
            needed.update(node.input)
    del graph.node[:]
    graph.node.extend(reversed(nodes))
    held = [each for each in graph.initializer if each.name in needed]
    del graph.initializer[:]
    graph.initializer.extend(held)
