"""The two quantisers, and which nodes of a graph they may touch."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from oddroad.errors import InputError
from oddroad.learn.export.onnx import quiet

Graph = onnx.ModelProto


Quantiser = Callable[[Graph, Sequence[np.ndarray], Sequence[str], bool], Graph]
"""(float graph, images (1, H, W, 3) uint8, names of the nodes that stay float, ranges averaged) -> quantised graph."""


def with_nncf(model: Graph, images: Sequence[np.ndarray], kept: Sequence[str], averaged: bool = True) -> Graph:
    """By NNCF: symmetric weights per channel, and the bias of each layer corrected for the error it makes.

    It takes the largest values of each image, averaged over images; another way is not asked for.
    """
    import nncf

    logging.getLogger("nncf").setLevel(logging.ERROR)
    with quiet(), contextlib.redirect_stdout(io.StringIO()):
        return nncf.quantize(
            model,
            nncf.Dataset(images, lambda image: {"image": image}),
            preset=nncf.QuantizationPreset.PERFORMANCE,
            subset_size=len(images),
            ignored_scope=nncf.IgnoredScope(names=list(kept), validate=False),
        )


def with_onnxruntime(model: Graph, images: Sequence[np.ndarray], kept: Sequence[str], averaged: bool = False) -> Graph:
    """By ONNX Runtime: convolutions, sums and activations, per channel.

    Ranges go from the smallest to the largest value in all images, or in each image on average. ReLU6, which is a Clip,
    is among the activations: without it the values before it would be rounded by their own, much wider range.
    """
    from onnxruntime import quantization as ort

    class Reader(ort.CalibrationDataReader):
        """Gives the images one by one."""

        def __init__(self) -> None:
            self.images = iter(images)

        def get_next(self) -> Any:
            """The next image, or None."""
            image = next(self.images, None)
            return None if image is None else {"image": image}

    level = logging.root.level
    logging.root.setLevel(logging.ERROR)
    try:
        with tempfile.TemporaryDirectory() as folder, quiet():
            before, after = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
            onnx.save(model, before)
            ort.quantize_static(
                before,
                after,
                Reader(),
                quant_format=ort.QuantFormat.QDQ,
                op_types_to_quantize=["Conv", "Add", "Relu", "Clip"],
                per_channel=True,
                activation_type=ort.QuantType.QUInt8,
                weight_type=ort.QuantType.QInt8,
                nodes_to_exclude=list(kept),
                extra_options={"CalibMovingAverage": averaged},
            )
            return onnx.load(after)
    finally:
        logging.root.setLevel(level)


QUANTISERS: dict[str, Quantiser] = {"nncf": with_nncf, "onnxruntime": with_onnxruntime}


def convolutions(model: Graph) -> dict[str, str]:
    """Name of each convolution of the network and the name of its weight inside the network, in order."""
    found: dict[str, str] = {}
    for node in model.graph.node:
        if node.op_type in ("Conv", "ConvTranspose") and "network." in node.input[1]:
            found[node.name] = node.input[1].partition("network.")[2]
    return found


def outside(model: Graph) -> list[str]:
    """Names of the nodes with no convolution before or behind them: resizing and scores, in each pass over the image.

    Raises:
        InputError: if there is no convolution.
    """
    inside, nodes = set(convolutions(model)), list(model.graph.node)
    if not inside:
        raise InputError(
            "the network has no convolution: there is nothing to quantise; export with --precision float32"
        )
    fed, feeds = set[str](), set[str]()
    for node in nodes:
        if node.name in inside or fed.intersection(node.input):
            fed.update(node.output)
    for node in reversed(nodes):
        if node.name in inside or feeds.intersection(node.output):
            feeds.update(node.input)
    return [
        node.name
        for node in nodes
        if node.name not in inside and not (fed.intersection(node.output) and feeds.intersection(node.output))
    ]


def layers(model: Graph) -> dict[str, list[str]]:
    """The network's convolutions by the part of it that they belong to: 6 to 12 parts, where there are as many.

    No part has more than half of the convolutions, where their names tell as much.
    """
    found: dict[str, list[str]] = {}
    for depth in (1, 2, 3):
        found = {}
        for node, weight in convolutions(model).items():
            found.setdefault(".".join(weight.split(".")[:-1][:depth]), []).append(node)
        if len(found) >= 6 and 2 * max(map(len, found.values())) <= len(convolutions(model)):
            break
    names = list(found)
    joined: dict[str, list[str]] = {}
    for chunk in np.array_split(np.arange(len(names)), min(len(names), 12)):
        title = names[chunk[0]] if len(chunk) == 1 else f"{names[chunk[0]]} to {names[chunk[-1]]}"
        joined[title] = [node for each in chunk for node in found[names[each]]]
    return joined
