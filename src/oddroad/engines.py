"""What runs an exported file: ONNX Runtime or OpenVINO, and the resizing around them by OpenCV."""

from __future__ import annotations

import importlib.util
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from oddroad.errors import InputError, pick
from oddroad.onnxfile import metadata, output_names, with_outputs
from oddroad.types import Card

CARD_KEY = "oddroad"
"""Key of the card in the metadata of an ONNX file."""


def onnx_session(path: Path, threads: int, optimise: bool = True, profile: str = "", names: Sequence[str] = ()) -> Any:
    """An ONNX Runtime session on the CPU.

    Args:
        path: of the file.
        threads: number of threads.
        optimise: prepare the graph to be run.
        profile: how the file of its profile shall begin, if there is one.
        names: outputs to compute; all where there are none.

    Raises:
        InputError: if the file is no valid ONNX model.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, profile
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        data = with_outputs(path.read_bytes(), names) if names else str(path)
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises a class of its own for each kind of damage
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"model '{path}' cannot be loaded, it is damaged or no ONNX file ({reason})") from None


def read_head(path: Path) -> tuple[Card, list[str]]:
    """The card of a file and the names of its outputs, without preparing it to run.

    Raises:
        InputError: if the file is damaged, has no card, or one that this version cannot read.
    """
    data = path.read_bytes()
    try:
        text, outputs = metadata(data).get(CARD_KEY), output_names(data)
    except (ValueError, IndexError) as error:
        raise InputError(f"model '{path}' cannot be loaded, it is damaged or no ONNX file ({error})") from None
    if text is None:
        raise InputError(f"model '{path}' is an ONNX file but not a detector of ours; 'oddroad export' writes those")
    try:
        card = Card.from_json(text)
    except InputError as error:
        raise InputError(f"model '{path}': {error}") from None
    if missing := [name for name in card.scores if name not in outputs]:
        raise InputError(f"model '{path}' lacks the outputs {', '.join(missing)} that its card names; export it again")
    return card, outputs


Run = Callable[..., list[np.ndarray]]
"""(1, H, W, 3) uint8 and names of outputs -> their arrays (1, H, W); with ``inside`` by the graph and nothing else."""

COARSE = ".coarse"
"""What the name of an output has at its end that is the same map, (1, 1, h, w), at the network's stride."""


@dataclass(frozen=True)
class Outside:
    """What OpenCV does around a graph, several times faster than the engines do it inside: resizing.

    A file resizes the image and enlarges its maps by itself, so that it can be used anywhere. Here, maps are fetched
    at the network's stride where the file offers that, and enlarged by the same formula. Images for 8-bit files are
    brought to the network's size beforehand: such a file rounds them to 8 bits after its own resizing, too.

    Attributes:
        size: (H, W) to bring images to; None leaves that to the graph.
        coarse: names that the file also gives at the network's stride.
    """

    size: tuple[int, int] | None
    coarse: frozenset[str]

    @classmethod
    def of(cls, card: Card, outputs: Sequence[str]) -> Outside:
        """For a file with a card and outputs of these names."""
        ends = frozenset(name.removesuffix(COARSE) for name in outputs if name.endswith(COARSE))
        return cls(card.size if card.precision == "int8" else None, ends)

    def before(self, images: np.ndarray) -> np.ndarray:
        """The image (1, H, W, 3) as the graph gets it."""
        if self.size is None or images.shape[1:3] == self.size:
            return images
        import cv2

        return cv2.resize(images[0], self.size[::-1], interpolation=cv2.INTER_LINEAR)[None]

    def asked(self, names: Sequence[str]) -> list[str]:
        """The outputs to fetch."""
        return [name + COARSE if name in self.coarse else name for name in names]

    def after(self, found: np.ndarray, images: np.ndarray) -> np.ndarray:
        """An output as a map (1, H, W) of the image's size."""
        height, width = images.shape[1:3]
        flat = found[0] if found.ndim == 4 else found
        if flat.shape[1:] == (height, width):
            return flat
        import cv2

        how = cv2.INTER_LINEAR if flat.dtype == np.float32 else cv2.INTER_NEAREST
        return cv2.resize(flat[0], (width, height), interpolation=how)[None]

    def around(self, run: Callable[[np.ndarray, Sequence[str]], list[np.ndarray]]) -> Run:
        """A run function of the graph alone -> one with these steps."""

        def whole(images: np.ndarray, names: Sequence[str], inside: bool = False) -> list[np.ndarray]:
            if inside:
                return run(images, names)
            return [self.after(found, images) for found in run(self.before(images), self.asked(names))]

        return whole


SESSIONS = 4
"""Forms of a file that an engine keeps ready: for other outputs or, in OpenVINO, images of other sizes."""

PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}
"""What the float part of a network may be computed in, and OpenVINO's name of it."""


def onnxruntime_engine(path: Path, threads: int, precision: str = "float32", parallel: int = 1) -> tuple[Card, Run]:
    """Card and run function by ONNX Runtime, which may be called ``parallel`` times at once, each with its threads.

    Raises:
        InputError: if the precision is not float32: on the CPU it computes in nothing else.
    """
    if precision != "float32":
        raise InputError(f"onnxruntime does not compute in {precision} on the CPU; pass --engine openvino")
    card, outputs = read_head(path)
    outside = Outside.of(card, outputs)
    prepared: dict[tuple[str, ...], Any] = {}
    preparing = threading.Lock()

    def session_for(names: tuple[str, ...]) -> Any:
        with preparing:  # scores that nobody asks for are not computed
            if names not in prepared:
                if len(prepared) >= SESSIONS:
                    prepared.pop(next(iter(prepared)))
                prepared[names] = onnx_session(path, max(threads // parallel, 1), names=names)
            return prepared[names]

    def run(images: np.ndarray, names: Sequence[str]) -> list[np.ndarray]:
        return session_for(tuple(names)).run(list(names), {"image": images})

    session_for(tuple(outside.asked(card.scores[:1])))  # what is wrong with the graph shall be said here
    return card, outside.around(run)


def openvino_config(threads: int, precision: str = "float32", parallel: int = 1) -> dict[str, Any]:
    """OpenVINO's settings on the CPU for so many frames at a time.

    Raises:
        InputError: if the processor cannot compute in the precision.
    """
    import openvino

    able = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if precision != "float32" and PRECISIONS[precision].upper() not in able:
        raise InputError(
            f"this processor does not compute in {precision} ({', '.join(able)}); pass --precision float32"
        )
    return {
        "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": parallel,
        "PERFORMANCE_HINT": "LATENCY" if parallel == 1 else "THROUGHPUT",
    }


def openvino_graph(core: Any, path: Path, shape: Sequence[int], names: Sequence[str]) -> Any:
    """A file as OpenVINO's graph for images of one shape, with only the outputs that are wanted."""
    import openvino

    graph = core.read_model(str(path))
    graph.reshape({"image": list(shape)})
    for node in graph.get_ops():  # a resize to the size that is there already; OpenVINO would go through with it
        if node.get_type_name() == "Interpolate" and node.input(0).get_shape() == node.output(0).get_shape():
            node.output(0).replace(node.input_value(0))
    make: Any = openvino.Model
    return make([graph.output(name) for name in names], graph.get_parameters(), "oddroad")


def openvino_engine(path: Path, threads: int, precision: str = "float32", parallel: int = 1) -> tuple[Card, Run]:
    """Card and run function by OpenVINO, which may be called ``parallel`` times at once, from as many threads.

    Raises:
        InputError: if the processor cannot compute in the precision.
    """
    import openvino

    card, outputs = read_head(path)
    outside = Outside.of(card, outputs)
    core, config = openvino.Core(), openvino_config(threads, precision, parallel)
    compiled: dict[tuple[tuple[int, ...], tuple[str, ...]], Any] = {}
    compiling, own = threading.Lock(), threading.local()  # an infer request serves one thread at a time

    def compile_for(key: tuple[tuple[int, ...], tuple[str, ...]]) -> Any:
        with compiling:
            if key not in compiled:
                if len(compiled) >= SESSIONS:  # a folder of many sizes: forget the oldest
                    compiled.pop(next(iter(compiled)))
                compiled[key] = core.compile_model(openvino_graph(core, path, *key), "CPU", config)
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

    return card, outside.around(run)


ENGINES: dict[str, Callable[..., tuple[Card, Run]]] = {
    "onnxruntime": onnxruntime_engine,
    "openvino": openvino_engine,
}


def choose_engine(engine: str) -> str:
    """The engine that "auto" stands for: ONNX Runtime, which starts fastest and is always installed.

    Raises:
        InputError: if the engine does not exist or is not installed.
    """
    if engine == "auto":
        return "onnxruntime"
    pick(ENGINES, engine, "engine")
    if importlib.util.find_spec(engine) is None:
        raise InputError(f"engine '{engine}' is not installed; run: pip install 'oddroad[{engine}]'")
    return engine


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
