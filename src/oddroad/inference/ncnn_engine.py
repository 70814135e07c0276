"""A portable file in ncnn's format (``.param``, ``.bin``), run by ncnn: an engine of a few MB for boards."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from oddroad.card import Card
from oddroad.errors import InputError
from oddroad.inference.board_files import read_beside
from oddroad.inference.host_resize import CLASSES, HostResize, Run


def ncnn_engine(path: Path, threads: int, precision: str = "float32", parallel: int = 1) -> tuple[Card, Run]:
    """Card and run function by ncnn, in float32 throughout; calls at the same time share its threads.

    Raises:
        InputError: if the precision is another, or the files are damaged or not all there.
    """
    import ncnn  # type: ignore[import-not-found]

    if precision != "float32":
        raise InputError(f"engine 'ncnn' does not compute in {precision}; pass --precision float32")
    card, outputs = read_beside(path)
    weights = path.with_suffix(".bin")
    if not weights.is_file():
        raise InputError(f"model '{path}' has no weights: there is no '{weights.name}' beside it")
    net = ncnn.Net()
    net.opt.num_threads = max(threads // parallel, 1)
    for each in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
        setattr(net.opt, each, False)
    if net.load_param(str(path)) or net.load_model(str(weights)):
        raise InputError(f"model '{path}' cannot be loaded, it is damaged or no ncnn file")
    blobs = {name: f"out{number}" for number, name in enumerate(each for each in outputs if each != CLASSES)}
    loading = threading.Lock()

    def run(images: np.ndarray, names: Sequence[str]) -> list[np.ndarray]:
        with loading:
            extractor = net.create_extractor()
        extractor.input("in0", ncnn.Mat(images[0]).clone())
        found: list[np.ndarray] = []
        for name in names:
            status, made = extractor.extract(blobs[name])
            if status:
                raise InputError(f"ncnn cannot compute '{name}' of '{path}' ({status}); export the file again")
            each: Any = np.array(made)
            found.append(each[None] if each.ndim == 3 else each[None, None])
        return found

    return card, HostResize.of(card, outputs).around(run)
