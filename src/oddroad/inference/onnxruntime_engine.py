"""An exported file run by ONNX Runtime."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from oddroad.card import Card
from oddroad.errors import InputError
from oddroad.inference.common import SESSIONS, read_head
from oddroad.inference.host_resize import HostResize, Run
from oddroad.inference.onnx_graph import with_outputs


def onnx_session(
    path: Path,
    threads: int,
    optimise: bool = True,
    profile: str = "",
    names: Sequence[str] = (),
    spinning: bool = False,
    arena: bool = True,
    providers: Sequence[Any] = ("CPUExecutionProvider",),
) -> Any:
    """An ONNX Runtime session.

    Args:
        path: of the file.
        threads: number of threads.
        optimise: prepare the graph to be run.
        profile: how the file of its profile shall begin, if there is one.
        names: outputs to compute; all where there are none.
        spinning: threads that have nothing to do keep their cores busy, in case the next layer comes soon. Where others
            work on the same cores this costs them, and us, more than it saves (``benchmarks/threads.py``).
        arena: memory is kept between calls. Without it, sessions of both embedded files took more, not less
            (``benchmarks/threads.py``).
        providers: what the layers run on, the first that can.

    Raises:
        InputError: if the file is no valid ONNX model, or the first provider does not start.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.enable_cpu_mem_arena = arena
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, profile
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        data = with_outputs(path.read_bytes(), names) if names else str(path)
        session = onnxruntime.InferenceSession(data, options, providers=list(providers))
    except Exception as error:  # ONNX Runtime raises a class of its own for each kind of damage
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"model '{path}' cannot be loaded, it is damaged or no ONNX file ({reason})") from None
    wanted = providers[0] if isinstance(providers[0], str) else providers[0][0]
    if wanted not in session.get_providers():  # it goes on without one that does not start, and says so to nobody
        raise InputError(
            f"onnxruntime has {wanted}, but it does not start here (it would run on "
            f"{', '.join(session.get_providers())}); is its driver there, in the version that onnxruntime needs?"
        )
    return session


PROVIDERS: dict[str, tuple[Any, ...]] = {
    "cpu": ("CPUExecutionProvider",),
    "cuda": (("CUDAExecutionProvider", {"use_tf32": "0"}), "CPUExecutionProvider"),
    "tensorrt": (
        ("TensorrtExecutionProvider", {}),
        ("CUDAExecutionProvider", {"use_tf32": "0"}),
        "CPUExecutionProvider",
    ),
}
"""What layers run on by device, the first that can: in float32 throughout, so that maps are those of the processor."""


def providers_of(device: str) -> tuple[Any, ...]:
    """The providers of a device.

    Raises:
        InputError: if this ONNX Runtime was built without the first of them.
    """
    import onnxruntime

    wanted = PROVIDERS[device]
    name = wanted[0] if isinstance(wanted[0], str) else wanted[0][0]
    there = onnxruntime.get_available_providers()
    if name not in there:
        raise InputError(
            f"engine 'onnxruntime-{device}' needs {name} and this onnxruntime has {', '.join(there)}; install "
            "onnxruntime-gpu in the place of onnxruntime, or pass --engine onnxruntime"
        )
    return tuple(each for each in wanted if (each if isinstance(each, str) else each[0]) in there)


def onnxruntime_engine(
    path: Path, threads: int, precision: str = "float32", parallel: int = 1, device: str = "cpu"
) -> tuple[Card, Run]:
    """Card and run function by ONNX Runtime, which may be called ``parallel`` times at once, each with its threads.

    Raises:
        InputError: if the precision is not float32, in which alone it computes the float part of a file, or the device
            is not there.
    """
    if precision != "float32":
        where = "the CPU" if device == "cpu" else "a GPU here"
        raise InputError(f"onnxruntime does not compute in {precision} on {where}; pass --engine openvino")
    providers = providers_of(device)
    card, outputs = read_head(path)
    host_resize = HostResize.of(card, outputs)
    prepared: dict[tuple[str, ...], Any] = {}
    preparing = threading.Lock()

    def session_for(names: tuple[str, ...]) -> Any:
        with preparing:  # scores that nobody asks for are not computed
            if names not in prepared:
                if len(prepared) >= SESSIONS:
                    prepared.pop(next(iter(prepared)))
                prepared[names] = onnx_session(path, max(threads // parallel, 1), names=names, providers=providers)
            return prepared[names]

    def run(images: np.ndarray, names: Sequence[str]) -> list[np.ndarray]:
        session = session_for(tuple(names))
        try:
            return session.run(list(names), {"image": images})
        except Exception as error:  # ONNX Runtime raises a class of its own for each kind of fault in a graph
            reason = " ".join(str(error).split())[:160]
            raise InputError(f"model '{path}' cannot judge a picture {images.shape}: {reason}") from None

    session_for(tuple(host_resize.asked(card.scores[:1])))  # what is wrong with the graph shall be said here
    return card, host_resize.around(run)
