"""Surgery on an exported ONNX graph: any input size, short weights, and nothing of the machine that made it."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from oddroad.profile import ATTENTION

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


def shorten_weights(model: onnx.ModelProto, weights: Mapping[str, tuple[np.ndarray, np.ndarray | None]]) -> None:
    """Store float32 weights in fewer bytes, followed by Cast (Reshape, and Mul by a scale), computed at load.

    In place. A DequantizeLinear would be shorter, but ONNX Runtime keeps it and computes it for every image. Without
    the Reshape, OpenVINO takes Cast and Mul for the weights of an 8-bit network and computes something else: ENet's
    logits were off by 0.05.

    Args:
        model: the graph.
        weights: for each initializer its stored values and, for int8, their scale; their product is what is there.
            Those of modules that the graph does not use (heads for training) are passed over.

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
        name_sides(value)
    for each in graph.initializer:
        each.doc_string = ""
    onnx.checker.check_model(model)


def drop_output(model: onnx.ModelProto, name: str) -> None:
    """Remove an output, and the nodes and initializers that served nothing else. In place."""
    graph = model.graph
    kept = [each for each in graph.output if each.name != name]
    del graph.output[:]
    graph.output.extend(kept)
    needed = {each.name for each in kept}
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
