"""An exported detector, run by ONNX Runtime or OpenVINO: ``heat = Model()(image)``."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from oddroad.errors import InputError, pick
from oddroad.onnxfile import metadata, output_names, with_outputs
from oddroad.types import Card

EMBEDDED = {"default": "oddroad-small.onnx", "default-fp32": "oddroad-small-fp32.onnx", "lite": "oddroad-lite.onnx"}
"""Detectors of the package, name -> file in ``oddroad/models``: in 8 bits, its twin in float32, a smaller network."""

CARD_KEY = "oddroad"
"""Key of the card in the metadata of an ONNX file."""


def find_model(model: str | Path) -> Path:
    """Path of a detector given by its path or by the name of an embedded one.

    Raises:
        InputError: if there is no such file.
    """
    if str(model) in EMBEDDED:
        path = Path(str(resources.files("oddroad"))) / "models" / EMBEDDED[str(model)]
        if not path.is_file():
            raise InputError(f"'{path.name}' is missing from this installation; pass the path of an .onnx file")
        return path
    path = Path(model)
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no file"
        raise InputError(f"model '{model}' is {what}; expected an .onnx file or one of: {', '.join(EMBEDDED)}")
    return path


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


def read_card(model: str | Path) -> Card:
    """The card of a detector.

    Raises:
        InputError: if it is not a detector of ours.
    """
    return read_head(find_model(model))[0]


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


class Model:
    """A detector: an RGB image in, a score map of the same size out, higher is stranger.

    >>> import numpy as np
    >>> model = Model()
    >>> heat = model(np.zeros((90, 160, 3), np.uint8))
    >>> heat.shape, heat.dtype
    ((90, 160), dtype('float32'))

    Args:
        model: path of an .onnx file of ours, "default" for the embedded detector, or "default-fp32" for its twin that
            computes in float32.
        engine: "onnxruntime", "openvino", or "auto".
        threads: number of threads; by default every core this process may use.
        precision: "float32", or "bfloat16" by OpenVINO where the processor has it.
        parallel: calls that may run at the same time, from as many threads of the caller, and share the threads.
            A video is done sooner with a frame for each core than with all cores on one frame; a single frame is not.

    Attributes:
        card: what the detector is.
        scores: names of its score maps, the default first.
        engine: the engine that runs it.
        precision: what it computes in, in words: "int8 and float32" for a quantised file.
        threads: that it computes with in all.
        parallel: calls that may run at the same time.

    Raises:
        InputError: if the file or the engine cannot be used.
    """

    def __init__(
        self,
        model: str | Path = "default",
        engine: str = "auto",
        threads: int | None = None,
        precision: str = "float32",
        parallel: int = 1,
    ):
        self.path = find_model(model)
        self.engine = choose_engine(engine)
        self.threads = threads or available_cores()
        self.parallel = max(min(parallel, self.threads), 1)
        pick(PRECISIONS, precision, "precision")
        self.card, self._run = ENGINES[self.engine](self.path, self.threads, precision, self.parallel)
        self.scores, self.float_precision = self.card.scores, precision
        self.precision = precision if self.card.precision == "float32" else f"{self.card.precision} and {precision}"

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the file, in hexadecimal."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    def pick_score(self, score: str | None) -> str:
        """A score by name, or the default one.

        Raises:
            InputError: if the detector does not have it.
        """
        if score is None:
            return self.scores[0]
        return pick({name: name for name in self.scores}, score, f"score in {self.path.name}")

    def threshold(self, score: str | None = None) -> float:
        """The threshold of a score that the card proposes.

        Raises:
            InputError: if the card has none.
        """
        name = self.pick_score(score)
        if name not in self.card.thresholds:
            raise InputError(f"{self.path.name} has no threshold for score '{name}'; pass --threshold")
        return self.card.thresholds[name]

    def maps(self, image: np.ndarray, scores: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """Score maps (H, W) float32 of an image (H, W, 3) uint8 RGB, by name.

        Raises:
            InputError: if the image has another shape or type, or a score does not exist.
        """
        names = [self.pick_score(name) for name in scores] if scores is not None else list(self.scores)
        return self.outputs(image, names)

    def outputs(self, image: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Any outputs (H, W) of the file for an image (H, W, 3) uint8 RGB: scores, or ``classes`` (uint8).

        Raises:
            InputError: if the image has another shape or type, or an output does not exist.
        """
        if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            given = f"{image.shape} {image.dtype}" if isinstance(image, np.ndarray) else type(image).__name__
            raise InputError(f"the image is {given}; expected an array (height, width, 3) of uint8 in RGB")
        try:
            found = self._run(np.ascontiguousarray(image[None]), names)
        except Exception as error:  # the engines raise classes of their own for an unknown output
            if set(names) <= set(self.scores):
                raise
            raise InputError(f"{self.path.name} does not give all of: {', '.join(names)}") from error
        return {name: values[0] for name, values in zip(names, found, strict=True)}

    def __call__(self, image: np.ndarray, score: str | None = None) -> np.ndarray:
        """The map (H, W) float32 of one score, by default the first, of an image (H, W, 3) uint8 RGB."""
        name = self.pick_score(score)
        return self.maps(image, [name])[name]


def describe(card: Card) -> str:
    """The card as text for people."""
    size = "the image's own" if card.size is None else f"{card.size[0]} x {card.size[1]}"
    if card.second is not None:
        size += f" and once more at {card.second[0]} x {card.second[1]}"
    lines = [
        f"{card.name}",
        f"  network     {card.network}, input {size}, stride {card.stride}, weights stored as {card.weights}, "
        f"computed in {card.precision}",
        f"  scores      {', '.join(card.scores)} (the first is the default), computed before upsampling"
        if card.upsample == "score"
        else f"  scores      {', '.join(card.scores)} (the first is the default), computed after upsampling",
    ]
    lines += [f"  threshold   {name} > {value:.4g}" for name, value in card.thresholds.items()]
    if card.threshold_rule:
        lines.append(f"              {card.threshold_rule}")
    lines.append(f"  classes     {', '.join(card.classes)}")
    for title, values in (
        ("origin", card.origin),
        ("measured", card.measured),
        ("parity", card.parity),
        ("quantised", card.quantisation),
    ):
        lines += [f"  {title:<11} {key}: {value}" for key, value in values.items()]
    return "\n".join([*lines, f"  licence     {card.licence or 'not stated'}"])
