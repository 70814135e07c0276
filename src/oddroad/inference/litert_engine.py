"""A portable file in TensorFlow Lite's format (``.tflite``), run by LiteRT."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from oddroad.card import Card
from oddroad.errors import InputError
from oddroad.inference.board_files import read_beside
from oddroad.inference.host_resize import HostResize, Run


def litert_engine(path: Path, threads: int, precision: str = "float32", parallel: int = 1) -> tuple[Card, Run]:
    """Card and run function by LiteRT; calls at the same time each have an interpreter of their own.

    Raises:
        InputError: if the precision is another than float32, or the file is damaged.
    """
    from ai_edge_litert.interpreter import Interpreter  # type: ignore[import-not-found]

    if precision != "float32":
        raise InputError(f"engine 'litert' does not compute in {precision}; pass --precision float32")
    card, outputs = read_beside(path)
    own = threading.local()

    def make() -> Any:
        try:
            interpreter: Any = Interpreter(model_path=str(path), num_threads=max(threads // parallel, 1))
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:160]
            raise InputError(f"model '{path}' cannot be loaded, it is damaged or no LiteRT file ({reason})") from None
        return interpreter

    own.interpreter = make()  # what is wrong with the file shall be said here

    def run(images: np.ndarray, names: Sequence[str]) -> list[np.ndarray]:
        if not hasattr(own, "interpreter"):
            own.interpreter = make()
        interpreter = own.interpreter
        (given,) = interpreter.get_input_details()
        channels_last = given["shape"][-1] == 3
        pixels = np.ascontiguousarray(images.transpose(0, 2, 3, 1)) if channels_last else images
        interpreter.set_tensor(given["index"], pixels)
        interpreter.invoke()
        made = {each["name"].split(":")[0]: each["index"] for each in interpreter.get_output_details()}
        if missing := [name for name in names if name not in made]:
            raise InputError(f"'{path}' gives no '{missing[0]}', it has: {', '.join(made)}; export it again")
        return [interpreter.get_tensor(made[name]) for name in names]

    return card, HostResize.of(card, outputs).around(run)
