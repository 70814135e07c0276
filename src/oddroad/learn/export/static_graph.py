"""An ONNX graph of one input size with nothing left in it that is known beforehand: shapes, weights, sizes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import onnx
from onnx import helper, shape_inference

from oddroad.learn.export.graph_passes import bypass, constant_of, drop_unread, put_constant, readers

ROUNDS = 8
"""Rounds of folding at most; each makes shapes known that the next one folds."""


SHAPERS = ("Reshape", "Squeeze", "Unsqueeze", "Flatten")
"""Operators that change a shape and no value."""


ELEMENTWISE = (
    "Neg", "Exp", "Log", "Sqrt", "Relu", "LeakyRelu", "Sigmoid", "Clip", "Add", "Sub", "Mul", "Div", "Reciprocal",
    "Pow", "Max", "Min", "Abs", "Softplus", "Tanh",
)  # fmt: skip
"""Operators on each value by itself, which a change of shape may come before or after."""


KEEPERS = ("Identity", "Dropout", "Cast", "Expand", "Resize", "Slice", "Pad", *SHAPERS)
"""Operators that do nothing where shape and type stay the same, but for a Slice that turns an axis round."""


Shapes = dict[str, tuple[int, tuple[int, ...]]]
"""Name of a value -> its element type and its static shape."""


def make_static(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same function with every constant computed, as float32 initializers, and without nodes that do nothing.

    Args:
        model: a graph whose inputs have static shapes.
    """
    for _ in range(ROUNDS):
        before = len(model.graph.node)
        model = inferred(model)
        fold_constants(model)
        drop_idle(model)
        keep_axes(model)
        model = inferred(model)
        lift(model)
        model = inferred(model)
        merge_shapers(model)
        drop_unread(model)
        if len(model.graph.node) == before:
            break
    return inferred(model)


def inferred(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with the shapes of its values, as far as they follow from those of its inputs."""
    del model.graph.value_info[:]
    for each in model.graph.output:
        each.type.tensor_type.ClearField("shape")
    return shape_inference.infer_shapes(model, data_prop=True)


def shapes_of(graph: onnx.GraphProto) -> Shapes:
    """What is known of the values of a graph, its initializers among them."""
    found: Shapes = {each.name: (each.data_type, tuple(each.dims)) for each in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        kind = value.type.tensor_type
        sides = kind.shape.dim
        if kind.HasField("shape") and all(side.HasField("dim_value") for side in sides):
            found[value.name] = kind.elem_type, tuple(side.dim_value for side in sides)
    return found


def fold_constants(model: onnx.ModelProto) -> None:
    """Compute, by ONNX Runtime, whatever does not depend on an input. In place."""
    import onnxruntime

    graph = model.graph
    shapes, known = shapes_of(graph), {each.name for each in graph.initializer}
    computed: list[onnx.NodeProto] = []
    for node in list(graph.node):
        if node.op_type == "Shape" and node.input[0] in shapes and node.input[0] not in known:
            given = {each.name: each.i for each in node.attribute}
            sides = shapes[node.input[0]][1][slice(given.get("start", 0), given.get("end"))]
            put_constant(graph, node.output[0], np.array(sides, np.int64))
            known.add(node.output[0])
            graph.node.remove(node)
        elif all(name in known for name in node.input if name):
            computed.append(node)
            known.update(node.output)
    for node in computed:
        graph.node.remove(node)
    wanted = {name for node in graph.node for name in node.input} | {each.name for each in graph.output}
    names = [name for node in computed for name in node.output if name in wanted]
    if not names:
        return
    outputs = [helper.make_empty_tensor_value_info(name) for name in names]
    part = helper.make_graph(computed, "constants", [], outputs, list(graph.initializer))
    whole = helper.make_model(part, opset_imports=list(model.opset_import), ir_version=model.ir_version)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        inferred(whole).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    for name, value in zip(names, session.run(names, {}), strict=True):
        put_constant(graph, name, np.asarray(value))


def drop_idle(model: onnx.ModelProto) -> None:
    """Remove nodes that give back what they get: a resize to the size that is there, a cast to the same type."""
    graph = model.graph
    shapes, outputs = shapes_of(graph), {each.name for each in graph.output}
    for node in list(graph.node):
        if node.op_type not in KEEPERS or node.output[0] in outputs or turns_round(graph, node):
            continue
        if node.op_type == "Identity" or (
            node.input[0] in shapes and shapes[node.input[0]] == shapes.get(node.output[0])
        ):
            bypass(graph, node)


def turns_round(graph: onnx.GraphProto, node: onnx.NodeProto) -> bool:
    """Whether a Slice has steps that are not all known and positive."""
    if node.op_type != "Slice" or len(node.input) < 5:
        return False
    steps = constant_of(graph, node.input[4])
    return steps is None or bool((steps < 1).any())


def is_shaper(node: onnx.NodeProto, shapes: Shapes) -> bool:
    """Whether a node changes a shape and no value; a Gather does that takes all there is along an axis of 1."""
    if node.op_type == "Gather" and node.input[0] in shapes:
        axis = next((each.i for each in node.attribute if each.name == "axis"), 0)
        return shapes[node.input[0]][1][axis] == 1 and math.prod(shapes.get(node.input[1], (0, (2,)))[1]) == 1
    return node.op_type in SHAPERS


def merge_shapers(model: onnx.ModelProto) -> None:
    """Put one Reshape, or nothing, in the place of several shape changes on end. In place, and exactly."""
    graph = model.graph
    shapes, outputs = shapes_of(graph), {each.name for each in graph.output}
    makers = {node.output[0]: node for node in graph.node}
    for node in graph.node:
        first = makers.get(node.input[0]) if len(node.input) else None
        if not is_shaper(node, shapes) or first is None or not is_shaper(first, shapes):
            continue
        while (before := makers.get(first.input[0])) is not None and is_shaper(before, shapes):
            first = before
        source, made = first.input[0], shapes.get(node.output[0])
        if made is None or source not in shapes:
            continue
        if made == shapes[source] and node.output[0] not in outputs:
            for reader in readers(graph, node.output[0]):
                reader.input[:] = [source if name == node.output[0] else name for name in reader.input]
            continue
        put_constant(graph, f"{node.output[0]}.shape", np.array(made[1], np.int64))
        again = helper.make_node("Reshape", [source, f"{node.output[0]}.shape"], [node.output[0]], node.name)
        node.CopyFrom(again)


def keep_axes(model: onnx.ModelProto) -> None:
    """Let reductions and the choice of a channel keep their axes, each followed by a Squeeze. In place, and exactly."""
    graph = model.graph
    for node in list(graph.node):
        if node.op_type == "Gather":
            slice_one(graph, node)
        keep = next((each for each in node.attribute if each.name == "keepdims"), None)
        if not node.op_type.startswith("Reduce") or keep is None or keep.i:
            continue
        given = next((each.ints for each in node.attribute if each.name == "axes"), None)
        axes = constant_of(graph, node.input[1]) if len(node.input) > 1 else None if given is None else np.array(given)
        if axes is None:
            continue
        name, keep.i = node.output[0], 1
        node.output[0] = f"{name}.kept"
        put_constant(graph, f"{name}.axes", axes.astype(np.int64))
        squeeze = helper.make_node("Squeeze", [f"{name}.kept", f"{name}.axes"], [name])
        graph.node.insert(list(graph.node).index(node) + 1, squeeze)


def slice_one(graph: onnx.GraphProto, node: onnx.NodeProto) -> None:
    """Write a Gather of one constant index as a Slice and a Squeeze. In place, and exactly."""
    index, axis = constant_of(graph, node.input[1]), next((each.i for each in node.attribute if each.name == "axis"), 0)
    if index is None or index.ndim or index < 0:
        return
    name = node.output[0]
    names = [f"{name}.{part}" for part in ("from", "to", "axes")]
    for each, value in zip(names, (int(index), int(index) + 1, axis), strict=True):
        put_constant(graph, each, np.array([value], np.int64))
    place = list(graph.node).index(node)
    graph.node.insert(place + 1, helper.make_node("Squeeze", [f"{name}.kept", names[2]], [name]))
    graph.node.insert(place + 1, helper.make_node("Slice", [node.input[0], *names], [f"{name}.kept"]))
    graph.node.remove(node)


def lift(model: onnx.ModelProto) -> None:
    """Compute maps (N, h, w) value by value as (N, 1, h, w), so that no shape changes in between. In place, exactly.

    What is computed of squeezed maps and single numbers is computed of the maps before they were squeezed.
    """
    graph = model.graph
    shapes, flat = shapes_of(graph), {}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        nodes.append(node)
        made = shapes.get(node.output[0], (0, ()))[1]
        given = shapes.get(node.input[0], (0, ()))[1] if len(node.input) else ()
        if is_shaper(node, shapes) and len(given) == 4 and given[1] == 1 and made == (given[0], *given[2:]):
            flat[node.output[0]] = node.input[0]
        elif is_shaper(node, shapes) and node.input[0] in flat and len(made) == 4 and made[1] == 1:
            nodes[-1] = helper.make_node("Identity", [flat[node.input[0]]], list(node.output))
        elif node.op_type in ELEMENTWISE and any(name in flat for name in node.input):
            known = (constant_of(graph, name) for name in node.input if name and name not in flat)
            if all(each is not None and each.size == 1 for each in known):
                lifted = onnx.NodeProto.FromString(node.SerializeToString())
                lifted.input[:] = [flat.get(name, name) for name in node.input]
                lifted.output[0] = flat[node.output[0]] = f"{node.output[0]}.lifted"
                nodes.append(lifted)
    kept = [onnx.NodeProto.FromString(each.SerializeToString()) for each in nodes]
    del graph.node[:]
    graph.node.extend(kept)
    drop_unread(model)


def each_node(model: onnx.ModelProto, change: Callable[[onnx.GraphProto, onnx.NodeProto], list | None]) -> None:
    """Put what a function gives in the place of each node; None leaves it. In place."""

    def nodes() -> Iterator[onnx.NodeProto]:
        for node in model.graph.node:
            instead = change(model.graph, node)
            yield from [node] if instead is None else instead

    found = list(nodes())
    kept = [onnx.NodeProto.FromString(each.SerializeToString()) for each in found]
    del model.graph.node[:]
    model.graph.node.extend(kept)
