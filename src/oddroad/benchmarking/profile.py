"""Where the time of a graph goes: resize, network and score, from the engine's own profile."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from oddroad.inference.common import read_head
from oddroad.inference.host_resize import HostResize
from oddroad.inference.model import Model
from oddroad.inference.onnxruntime_engine import onnx_session
from oddroad.inference.openvino_engine import openvino_config, openvino_graph

PARTS = ("resize", "network", "attention", "score")
"""Of a graph: what comes before its first convolution or attention, what goes to its last one, what of that is spent in
attention, and what comes after."""


ATTENTION = "attention/"
"""The exporter begins the names of the nodes of attention modules with this; engines keep it when they fuse nodes."""


def divide(nodes: Sequence[tuple[str, float]]) -> dict[str, float] | None:
    """Milliseconds of each part of one call.

    >>> divide([("Cast", 1.0), ("Conv", 5.0), ("Relu", 1.0), ("FusedConv", 4.0), ("Exp", 0.5)])
    {'resize': 1.0, 'network': 10.0, 'score': 0.5}

    >>> divide([("Conv", 5.0), ("attention/MatMul", 3.0), ("Exp", 0.5)])
    {'resize': 0, 'network': 8.0, 'attention': 3.0, 'score': 0.5}

    Args:
        nodes: kind and milliseconds of each node in the order of their execution; the kind begins with ATTENTION where
            the node belongs to an attention module.

    Returns:
        None if there is neither a convolution nor attention; no "attention" where there is none.
    """
    inside = [kind.startswith(ATTENTION) for kind, _ in nodes]
    places = [
        at
        for at, (kind, _) in enumerate(nodes)
        if inside[at] or ("conv" in kind.lower() and "convert" not in kind.lower())
    ]
    if not places:
        return None
    first, last = places[0], places[-1] + 1
    attention = sum(spent for (_, spent), within in zip(nodes, inside, strict=True) if within)
    found = {
        "resize": sum(spent for _, spent in nodes[:first]),
        "network": sum(spent for _, spent in nodes[first:last]),
        "attention": attention,
        "score": sum(spent for _, spent in nodes[last:]),
    }
    return found if any(inside) else {part: spent for part, spent in found.items() if part != "attention"}


def marked(name: str, kind: str) -> str:
    """The kind of a node, with ATTENTION before it if its name says so."""
    return f"{ATTENTION}{kind}" if name.startswith(ATTENTION) else kind


def onnxruntime_nodes(model: Model, images: Sequence[np.ndarray], score: str) -> list[list[tuple[str, float]]]:
    """Nodes of each call, by ONNX Runtime."""
    host_resize = HostResize.of(*read_head(model.path))
    with tempfile.TemporaryDirectory() as folder:
        names = host_resize.asked([score])
        session = onnx_session(model.path, model.threads, profile=str(Path(folder) / "profile"), names=names)
        for image in images:
            session.run(names, {"image": image})
        events: list[dict[str, Any]] = json.loads(Path(session.end_profiling()).read_text())
    calls = [each for each in events if each.get("cat") == "Session" and each["name"] == "model_run"]
    nodes = [each for each in events if each.get("cat") == "Node" and each["name"].endswith("_kernel_time")]
    nodes.sort(key=lambda each: each["ts"])
    return [
        [
            (marked(each["name"], str(each["args"]["op_name"])), each["dur"] / 1e3)
            for each in nodes
            if call["ts"] <= each["ts"] <= call["ts"] + call["dur"]
        ]
        for call in calls
    ]


def openvino_nodes(model: Model, images: Sequence[np.ndarray], score: str) -> list[list[tuple[str, float]]]:
    """Nodes of each call, by OpenVINO."""
    import openvino

    core = openvino.Core()
    host_resize = HostResize.of(*read_head(model.path))
    graph = openvino_graph(core, model.path, images[0].shape, host_resize.asked([score]))
    config = openvino_config(model.threads, model.float_precision) | {"PERF_COUNT": True}
    request = core.compile_model(graph, "CPU", config).create_infer_request()
    found: list[list[tuple[str, float]]] = []
    for image in images:
        request.infer({"image": image})
        found.append(
            [
                (marked(each.node_name, each.node_type), each.real_time.total_seconds() * 1e3)
                for each in request.get_profiling_info()
            ]
        )
    return found


PROFILERS = {"onnxruntime": onnxruntime_nodes, "openvino": openvino_nodes}


def parts(model: Model, images: Sequence[np.ndarray], score: str, warm_up: int) -> dict[str, list[float]]:
    """Milliseconds of each part of a call for each image but the first few, in a session of its own.

    What OpenCV does before and after the graph belongs to the parts ``resize`` and ``score``. Empty for engines that
    have no profile here.

    Args:
        model: the detector.
        images: (H, W, 3) uint8, all of one size.
        score: its score.
        warm_up: number of images at the beginning that are not counted.
    """
    if model.engine not in PROFILERS:
        return {}
    host_resize = HostResize.of(*read_head(model.path))
    pixels, before, after = [], [], []
    for image in images:
        began = time.perf_counter()
        pixels.append(host_resize.before(image[None]))
        before.append((time.perf_counter() - began) * 1e3)
    sides = pixels[0].shape[2:] if host_resize.portable else pixels[0].shape[1:3]
    coarse = np.zeros((1, 1, *(side // model.card.stride for side in sides)), np.float32)
    for image in images:
        began = time.perf_counter()
        host_resize.after(coarse, image[None])
        after.append((time.perf_counter() - began) * 1e3)
    found: dict[str, list[float]] = {}
    for number, nodes in enumerate(PROFILERS[model.engine](model, pixels, score)):
        if number < warm_up or (spent := divide(nodes)) is None:
            continue
        spent["resize"] += before[number]
        spent["score"] += after[number] if host_resize.portable or score in host_resize.low_res else 0.0
        for part, value in spent.items():
            found.setdefault(part, []).append(value)
    return found
