"""One file that every runtime computes right: static, float32, opset 13, nothing but the network and its scores.

What runtimes disagree about stays outside: resizing the picture, enlarging the maps, the arg max, INT8. The card, in
the file and beside it as ``.json``, says what the caller does instead.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from oddroad.card import Card
from oddroad.errors import InputError
from oddroad.files import sha256_of, write_whole, written_whole
from oddroad.inference.common import read_head
from oddroad.inference.engines import ENGINES
from oddroad.inference.host_resize import CLASSES, LOGITS, LOW_RES
from oddroad.inference.integrity import with_card
from oddroad.inference.self_test import add_reference
from oddroad.learn.export.graph_passes import add_low_res_outputs, drop_unread, maker, put_constant, readers
from oddroad.learn.export.opset13 import check_plain, lower
from oddroad.learn.export.parity import TOLERANCE, compare_sizes, scene
from oddroad.learn.export.static_graph import make_static, shapes_of

RESIZED_TOLERANCE = 1e-3
"""Largest allowed difference, as TOLERANCE, for images that are resized, by OpenCV instead of inside the graph."""


def portable_graph(model: onnx.ModelProto, card: Card) -> onnx.ModelProto:
    """The graph of an exported file of one size as a portable one.

    Input ``image`` (1, 3, H, W) float32, RGB, 0 to 255; outputs: each score (1, 1, h, w) float32 before its enlarging,
    and ``logits`` (1, C, h, w) where the file gives ``classes``.

    Raises:
        InputError: if the file is quantised, takes images of any size, or holds an operator that is not portable.
    """
    if card.precision != "float32" or any("QuantizeLinear" in node.op_type for node in model.graph.node):
        raise InputError(
            f"'{card.name}' is an INT8 file, which few runtimes compute right; give its float32 version or its "
            "checkpoint"
        )
    if card.size is None:
        raise InputError(
            f"'{card.name}' takes images of any size and a portable file has one; export it with --size HxW, such as "
            "--size 512x1024"
        )
    graph = model.graph
    names = list(card.scores)
    add_low_res_outputs(model, [name for name in names if name + LOW_RES not in {each.name for each in graph.output}])
    sources = {name: f"{name}{LOW_RES}" for name in names}
    likely = maker(graph, CLASSES)
    while likely is not None and likely.op_type != "ArgMax":
        likely = maker(graph, likely.input[0])
    if likely is not None:
        sources[LOGITS] = likely.input[0]
    take_pixels(graph, card.size)
    del graph.output[:]
    for name, source in sources.items():
        graph.node.append(helper.make_node("Identity", [source], [f"{name}.portable"]))
        graph.output.append(helper.make_tensor_value_info(f"{name}.portable", TensorProto.FLOAT, None))
    drop_unread(model)
    model = make_static(model)
    lower(model)
    check_plain(model)
    model = make_static(model)
    name_outputs(model, list(sources))
    return model


def take_pixels(graph: onnx.GraphProto, size: tuple[int, int]) -> None:
    """Let the graph begin where the resized picture enters the network, by an input ``image`` (1, 3, H, W). In place.

    Channels that the network wants in another order are put there by a convolution with a permutation, which is exact.
    """
    turned, value = False, "image"
    while True:
        (node,) = [each for each in readers(graph, value) if each.op_type != "Shape"]
        value = node.output[0]
        if node.op_type in ("Slice", "Gather"):
            turned = not turned
        elif node.op_type == "Resize":
            break
        elif node.op_type not in ("Transpose", "Cast"):
            raise InputError(f"the file resizes images in a way that is not oddroad's ({node.op_type})")
    place = list(graph.node).index(node)
    if turned:
        put_constant(graph, "channel_order", np.eye(3, dtype=np.float32)[::-1].reshape(3, 3, 1, 1))
        graph.node.insert(place + 1, helper.make_node("Conv", ["image", "channel_order"], [value], kernel_shape=[1, 1]))
    else:
        graph.node.insert(place + 1, helper.make_node("Identity", ["image"], [value]))
    graph.node.remove(node)
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, *size]))


def name_outputs(model: onnx.ModelProto, names: list[str]) -> None:
    """Give each output its plain name and what makes it that name too, without a node between them. In place."""
    graph = model.graph
    shapes = shapes_of(graph)
    for output, name in zip(graph.output, names, strict=True):
        made = f"{name}.portable"
        for node in graph.node:
            node.input[:] = [f"{each}.inner" if each == name else each for each in node.input]
            node.output[:] = [
                name if each == made else f"{each}.inner" if each == name else each for each in node.output
            ]
        identity = maker(graph, name)
        assert identity is not None
        source = maker(graph, identity.input[0])
        if identity.op_type == "Identity" and source is not None and identity.input[0] not in names:
            inner = identity.input[0]
            graph.node.remove(identity)
            for node in graph.node:
                node.input[:] = [name if each == inner else each for each in node.input]
                node.output[:] = [name if each == inner else each for each in node.output]
        output.CopyFrom(helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[made][1]))
    del graph.value_info[:]


def export_portable(source: Path, out: Path) -> Card:
    """Write the portable form of an exported file and its card as ``.json`` beside it: both, compared, or neither.

    Thresholds and calibration stay as they are: the maps do.

    Args:
        source: an oddroad .onnx file of one size, in float32.
        out: the file to write, ``.onnx``.

    Returns:
        the card in the file; ``parity`` has the differences to the source, by engine and image size.

    Raises:
        InputError: if the file cannot be made portable, or gives other maps than the source.
    """
    if out.suffix != ".onnx":
        raise InputError(f"'{out.name}' is to be a portable file; expected a name that ends in .onnx")
    if not out.parent.is_dir():
        raise InputError(f"cannot write to '{out.parent}': there is no such folder; create it first")
    card, _ = read_head(source)
    if card.portable:
        raise InputError(f"'{source}' is portable already; use it as it is, or copy it")
    model = portable_graph(onnx.load(source), card)
    result = replace(card, portable=True, weight_storage="float32", reference={})
    with written_whole(out, "portable file") as partial:
        write_whole(partial, with_card(model.SerializeToString(), result), "portable file")
        result = replace(result, parity=compare(source, partial, result))
        write_whole(partial, with_card(model.SerializeToString(), result), "portable file")
        result = add_reference(partial)
        about = beside(model, result, out.name, sha256_of(partial))
        write_whole(out.with_suffix(".json"), json.dumps(about, indent=1).encode(), "card")
    return result


def compare(source: Path, path: Path, card: Card) -> dict[str, Any]:
    """Largest differences of the portable file's scores in each engine to the source's in ONNX Runtime.

    Relative to the largest score, at least 1; for an image of the file's size, and for one that is resized, where a
    network may make much of the last digits in which two libraries' resizing differs.

    Raises:
        InputError: if one is above the tolerance.
    """
    size = card.size
    assert size is not None
    _, whole = ENGINES["onnxruntime"](source, 1)
    names = list(card.scores)
    found: dict[str, Any] = {"tolerance": TOLERANCE, "reference": "the file it was made from, in ONNX Runtime"}
    runs = {engine: make(path, 1)[1] for engine, make in ENGINES.items()}
    for number, (height, width) in enumerate(compare_sizes(card, 1)):
        image = scene(height, width, number)
        expected = whole(image, names)
        for engine, run in runs.items():
            worst = 0.0
            for name, wanted, theirs in zip(names, expected, run(image, names), strict=True):
                off = np.abs(theirs.astype(np.float64) - wanted).max() / max(1.0, float(np.abs(wanted).max()))
                worst = max(worst, off if np.isfinite(off) else np.inf)
                if worst > (allowed := TOLERANCE if (height, width) == size else RESIZED_TOLERANCE):
                    raise InputError(
                        f"the portable form gives another {name} in {engine}: off by {worst:.3g} of the largest score "
                        f"at {height} x {width}, {allowed:g} allowed; nothing was written"
                    )
            found[f"{engine} {height}x{width}"] = float(f"{worst:.3g}")
    return found


def beside(model: onnx.ModelProto, card: Card, name: str, digest: str) -> dict[str, Any]:
    """What a program needs that runs the file without oddroad, as JSON values."""
    shapes = {each.name: shape for each, shape in named_shapes(model.graph.output)}
    linear = "bilinear, half-pixel centres, no antialiasing (OpenCV's INTER_LINEAR, PyTorch's align_corners=False)"
    outputs = [
        {
            "name": each,
            "shape": shape,
            "kind": "logits" if each == LOGITS else "score",
            "after": "arg max over axis 1, then nearest" if each == LOGITS else f"enlarge to the image: {linear}",
            **({"threshold": card.thresholds[each]} if each in card.thresholds else {}),
        }
        for each, shape in shapes.items()
    ]
    ((_, taken),) = named_shapes(model.graph.input)
    return {
        "file": name,
        "sha256": digest,
        "input": {
            "name": "image", "shape": taken, "layout": "NCHW", "type": "float32", "channels": "RGB", "range": [0, 255],
            "resize": linear, "normalisation": "inside the graph",
        },
        "outputs": outputs,
        "classes": card.classes,
        "card": asdict(card),
    }  # fmt: skip


def named_shapes(values: Any) -> list[tuple[onnx.ValueInfoProto, list[int]]]:
    """Values of a graph, each with its static shape."""
    return [(each, [side.dim_value for side in each.type.tensor_type.shape.dim]) for each in values]
