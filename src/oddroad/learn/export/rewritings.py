"""Exact rewritings of a float graph: channels scaled by powers of two, and the layers behind them scaled back.

Nothing changes in float32, to the bit: a power of two only moves the exponent. In INT8 it does: a tensor has one scale
for all of its channels, so that a channel of small values gets few of the 256 steps. Meller et al., "Same, Same But
Different", ICML 2019 (arXiv 1902.01917), and Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias
Correction", ICCV 2019 (arXiv 1906.04721), with powers of two so that the rewriting is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from oddroad.learn.export.graph_passes import constant_of, put_constant

Exponents = Callable[[np.ndarray], np.ndarray]
"""Largest value of each group of channels, over that of the layer where it is largest, 0 to 1 -> whole exponents."""


MOST = 4
"""Largest exponent: values are multiplied by up to 16."""


def evened(strength: float) -> Exponents:
    """Small channels made larger; at strength 1 as large as their layer, at 1/2 the weights behind share the burden."""

    def exponents(share: np.ndarray) -> np.ndarray:
        return np.clip(np.round(-strength * np.log2(np.maximum(share, 2.0**-20))), 0, MOST)

    return exponents


def shaken(seed: int) -> Exponents:
    """Every second channel doubled, by lot: no better a priori, but another rounding."""
    return lambda share: np.random.default_rng(seed).integers(0, 2, share.shape)


REWRITINGS: dict[str, Exponents | None] = {
    "as exported": None,
    "half evened": evened(0.5),
    "by lot": shaken(1),
}
"""What a float graph is rewritten by before it is quantised."""

SAME = ("Relu", "LeakyRelu", "MaxPool", "AveragePool", "GlobalAveragePool", "Identity", "Resize", "Dropout")
"""Nodes that give a channel times s where they get it times s, for s above 0."""


class Groups:
    """Channels of values that must be scaled alike: of both sides of a ReLU, of all terms of a sum.

    Args:
        graph: the float graph; convolutions tell how many channels there are.

    Attributes:
        first: value -> place of its first channel in ``root``.
        count: value -> channels.
        fixed: places of channels that something reads or makes that is not scaled: images, scores.
    """

    def __init__(self, graph: onnx.GraphProto):
        self.graph = graph
        self.first: dict[str, int] = {}
        self.count: dict[str, int] = {}
        self.parent: list[int] = []
        self.fixed = set[int]()
        for node in graph.node:
            self.add(node)
        for each in graph.output:
            self.fix(each.name)

    def root(self, place: int) -> int:
        """The channel that stands for a channel's group."""
        while self.parent[place] != place:
            self.parent[place] = self.parent[self.parent[place]]
            place = self.parent[place]
        return place

    def make(self, value: str, count: int) -> None:
        """Note a value of so many channels, each in a group of its own."""
        self.first[value], self.count[value] = len(self.parent), count
        self.parent.extend(range(len(self.parent), len(self.parent) + count))

    def join(self, one: str, other: str, at: int = 0) -> None:
        """Scale the channels of one value as those of another, from its channel ``at`` on."""
        for channel in range(self.count[one]):
            self.parent[self.root(self.first[one] + channel)] = self.root(self.first[other] + at + channel)

    def fix(self, value: str) -> None:
        """Never scale a value."""
        if value in self.first:
            self.fixed.update(range(self.first[value], self.first[value] + self.count[value]))

    def add(self, node: onnx.NodeProto) -> None:
        """Note what a node makes of the channels it reads."""
        known = [each for each in node.input if each in self.first]
        if node.op_type == "Conv" and (weight := constant_of(self.graph, node.input[1])) is not None:
            self.make(node.output[0], weight.shape[0])
        elif node.op_type in SAME and known == [node.input[0]]:
            self.make(node.output[0], self.count[known[0]])
            self.join(node.output[0], known[0])
        elif node.op_type == "Add" and len(known) == 2 and self.count[known[0]] == self.count[known[1]]:
            self.make(node.output[0], self.count[known[0]])
            for each in known:
                self.join(each, node.output[0])
        elif (
            node.op_type == "Concat"
            and known == list(node.input)
            and helper.get_attribute_value(node.attribute[0]) == 1
        ):
            self.make(node.output[0], sum(self.count[each] for each in known))
            at = 0
            for each in known:
                self.join(each, node.output[0], at)
                at += self.count[each]
        else:
            for each in known:
                self.fix(each)

    def members(self) -> dict[int, list[int]]:
        """Root of each group that may be scaled -> its channels."""
        found: dict[int, list[int]] = {}
        for place in range(len(self.parent)):
            found.setdefault(self.root(place), []).append(place)
        return {root: places for root, places in found.items() if not self.fixed.intersection(places)}


def largest(model: onnx.ModelProto, names: Sequence[str], images: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """The largest absolute value of each channel of some values, over images (1, H, W, 3) uint8."""
    import onnxruntime

    watched = onnx.ModelProto.FromString(model.SerializeToString())
    del watched.graph.value_info[:]
    graph = watched.graph
    del graph.output[:]
    for name in names:
        graph.node.append(helper.make_node("Abs", [name], [f"{name}.abs"]))
        graph.node.append(helper.make_node("GlobalMaxPool", [f"{name}.abs"], [f"{name}.largest"]))
        graph.output.append(helper.make_tensor_value_info(f"{name}.largest", TensorProto.FLOAT, None))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(watched.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found: dict[str, np.ndarray] = {}
    for image in images:
        given: Any = session.run(None, {"image": image})
        for name, value in zip(names, given, strict=True):
            found[name] = np.maximum(found.get(name, 0.0), value.reshape(-1))
    return found


def rewrite(model: onnx.ModelProto, exponents: Exponents, images: Sequence[np.ndarray]) -> onnx.ModelProto:
    """A copy that computes the same to the bit, its channels scaled by powers of two.

    Args:
        model: the float graph.
        exponents: for each group of channels that must be scaled alike.
        images: (1, H, W, 3) uint8, what the sizes of channels are seen on.
    """
    model = onnx.ModelProto.FromString(model.SerializeToString())
    graph = model.graph
    groups = Groups(graph)
    members = groups.members()
    seen = [
        name
        for name, at in groups.first.items()
        if any(groups.root(at + c) in members for c in range(groups.count[name]))
    ]
    share = np.zeros(len(groups.parent))
    for name, values in largest(model, seen, images).items():
        share[groups.first[name] : groups.first[name] + len(values)] = values / max(float(values.max()), 1e-30)
    power = np.zeros(len(groups.parent), int)
    if members:
        chosen = exponents(np.array([share[places].max() for places in members.values()]))
        for places, exponent in zip(members.values(), chosen, strict=True):
            power[places] = int(exponent)
    scaled: dict[str, np.ndarray] = {
        name: np.ldexp(np.float32(1), power[at : at + groups.count[name]]) for name, at in groups.first.items()
    }
    for number, node in enumerate(graph.node):
        if node.op_type == "Conv" and node.output[0] in scaled:
            rescale(graph, node, scaled.get(node.input[0]), scaled[node.output[0]], number)
    return model


def rescale(
    graph: onnx.GraphProto, node: onnx.NodeProto, before: np.ndarray | None, behind: np.ndarray, number: int
) -> None:
    """Scale a convolution's channels behind it, and take back the scale of those before it. In place."""
    weight = constant_of(graph, node.input[1])
    assert weight is not None
    factor = behind.reshape(-1, 1, 1, 1)
    if before is not None:
        per = weight.shape[1]
        parts = weight.shape[0] // (len(before) // per)
        rows = np.array([before[row // parts * per :][:per] for row in range(weight.shape[0])])
        factor = factor / rows.reshape(*rows.shape, 1, 1)
    if (factor == 1).all():
        return
    shared = sum(node.input[1] in each.input for each in graph.node) > 1
    node.input[1] = put(graph, node.input[1], weight * factor, shared, number)
    if len(node.input) > 2:
        bias = constant_of(graph, node.input[2])
        assert bias is not None
        shared = sum(node.input[2] in each.input for each in graph.node) > 1
        node.input[2] = put(graph, node.input[2], bias * behind, shared, number)


def put(graph: onnx.GraphProto, name: str, value: np.ndarray, shared: bool, number: int) -> str:
    """Replace a constant, or add one beside it where others read it too; its name."""
    name = f"{name}.{number}" if shared else name
    put_constant(graph, name, value.astype(np.float32))
    return name
