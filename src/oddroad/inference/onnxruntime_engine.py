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


def onnxruntime_engine(path: Path, threads: int, precision: str = "float32", parallel: int = 1) -> tuple[Card, Run]:
    """Card and run function by ONNX Runtime, which may be called ``parallel`` times at once, each with its threads.

    Raises:
        InputError: if the precision is not float32: on the CPU it computes in nothing else.
    """
    if precision != "float32":
        raise InputError(f"onnxruntime does not compute in {precision} on the CPU; pass --engine openvino")
    card, outputs = read_head(path)
    host_resize = HostResize.of(card, outputs)
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

    session_for(tuple(host_resize.asked(card.scores[:1])))  # what is wrong with the graph shall be said here
    return card, host_resize.around(run)
