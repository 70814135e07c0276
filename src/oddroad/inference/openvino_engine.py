"""An exported file run by OpenVINO."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from oddroad.card import Card
from oddroad.errors import InputError
from oddroad.inference.common import PRECISIONS, SESSIONS, read_head
from oddroad.inference.host_resize import HostResize, Run


def openvino_config(threads: int, precision: str = "float32", parallel: int = 1, device: str = "CPU") -> dict[str, Any]:
    """OpenVINO's settings for so many frames at a time.

    Raises:
        InputError: if the device is not there, or cannot compute in the precision.
    """
    import openvino

    core = openvino.Core()
    there = core.available_devices
    if not any(each == device or each.startswith(f"{device}.") for each in there):  # GPU.0, GPU.1
        raise InputError(
            f"engine 'openvino-{device.lower()}' finds no {device} here; OpenVINO sees: {', '.join(there)}; is its "
            "driver installed? Or pass --engine openvino"
        )
    able = core.get_property(device, "OPTIMIZATION_CAPABILITIES")
    if precision != "float32" and PRECISIONS[precision].upper() not in able:
        raise InputError(
            f"this processor does not compute in {precision} ({', '.join(able)}); pass --precision float32"
        )
    hint = {"PERFORMANCE_HINT": "LATENCY" if parallel == 1 else "THROUGHPUT"}
    if device == "NPU":  # it has 16 bits and nothing else
        return hint
    hint["INFERENCE_PRECISION_HINT"] = PRECISIONS[precision]
    return hint if device == "GPU" else hint | {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": parallel}


def openvino_graph(core: Any, path: Path, shape: Sequence[int], names: Sequence[str]) -> Any:
    """A file as OpenVINO's graph for images of one shape, with only the outputs (or inner values) that are wanted."""
    import openvino

    graph = core.read_model(str(path))
    graph.reshape({"image": list(shape)})
    for node in graph.get_ops():  # a resize to the size that is there already; OpenVINO would go through with it
        if node.get_type_name() == "Interpolate" and node.input(0).get_shape() == node.output(0).get_shape():
            node.output(0).replace(node.input_value(0))
    there = {name for output in graph.outputs for name in output.get_names()}
    graph.add_outputs([name for name in names if name not in there])
    make: Any = openvino.Model
    return make([graph.output(name) for name in names], graph.get_parameters(), "oddroad")


def openvino_engine(
    path: Path, threads: int, precision: str = "float32", parallel: int = 1, device: str = "CPU"
) -> tuple[Card, Run]:
    """Card and run function by OpenVINO, which may be called ``parallel`` times at once, from as many threads.

    Raises:
        InputError: if the device is not there, or cannot compute in the precision.
    """
    import openvino

    card, outputs = read_head(path)
    host_resize = HostResize.of(card, outputs)
    core, config = openvino.Core(), openvino_config(threads, precision, parallel, device)
    compiled: dict[tuple[tuple[int, ...], tuple[str, ...]], Any] = {}
    compiling, own = threading.Lock(), threading.local()  # an infer request serves one thread at a time

    def compile_for(key: tuple[tuple[int, ...], tuple[str, ...]]) -> Any:
        with compiling:
            if key not in compiled:
                if len(compiled) >= SESSIONS:  # a folder of many sizes: forget the oldest
                    compiled.pop(next(iter(compiled)))
                compiled[key] = core.compile_model(openvino_graph(core, path, *key), device, config)
            return compiled[key]

    def run(images: np.ndarray, names: Sequence[str]) -> list[np.ndarray]:
        key = tuple(images.shape), tuple(names)
        requests: dict[Any, Any] = own.__dict__.setdefault("requests", {})
        if key not in requests:
            if len(requests) >= SESSIONS:
                requests.pop(next(iter(requests)))
            requests[key] = compile_for(key).create_infer_request()
        request = requests[key]
        request.infer({"image": images}, share_inputs=True)
        return [request.get_tensor(name).data.copy() for name in names]

    return card, host_resize.around(run)
