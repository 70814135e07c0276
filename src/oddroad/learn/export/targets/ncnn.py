"""ncnn: ``detector.param`` and ``detector.bin`` in float32, by pnnx.

Without ``fp16=0`` pnnx stores the weights in 16 bits, and the library computes in 16 bits unless told otherwise. The
tools for its INT8 are not in its Python package.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

PACKAGES = ("ncnn==1.0.20261020", "pnnx==20261020", "numpy==2.4.6")
WITH_DEPENDENCIES = False  # pnnx's Python half wants PyTorch, its converter does not
MEGABYTES = 200
FORMS = ("float32", "float16")


def refusal() -> str:
    """Why this machine cannot make the file."""
    return ""


def convert(portable: str, folder: str, form: str, pictures: Any) -> None:
    """Convert by pnnx's program, which comes in its package."""
    import importlib.util
    import shutil
    import subprocess

    spec = importlib.util.find_spec("pnnx")
    assert spec is not None
    assert spec.origin is not None
    shutil.copyfile(portable, "model.onnx")
    program = Path(spec.origin).parent / ("pnnx.exe" if sys.platform == "win32" else "pnnx")
    done = subprocess.run(
        [str(program), "model.onnx", f"fp16={int(form == 'float16')}"], stdout=sys.stderr, stderr=sys.stderr
    )
    made = Path("model.ncnn.param")
    if done.returncode or not made.is_file():
        raise RuntimeError(f"pnnx ended with {done.returncode}")
    unknown = sorted({line.split()[0] for line in made.read_text().splitlines()[2:] if "." in line.split()[0]})
    if unknown:
        raise RuntimeError(f"ncnn has no layer for {', '.join(unknown)}")
    Path("model.ncnn.param").rename("detector.param")
    Path("model.ncnn.bin").rename("detector.bin")
    for each in Path().glob("model*"):
        each.unlink()


def open_file(folder: str, outputs: list[str], threads: int) -> Callable[[Any], list[Any]]:
    """Run by ncnn, in float32 throughout."""
    import ncnn  # type: ignore[import-not-found]
    import numpy as np

    net = ncnn.Net()
    net.opt.num_threads = threads
    for each in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
        setattr(net.opt, each, False)
    if net.load_param(f"{folder}/detector.param") or net.load_model(f"{folder}/detector.bin"):
        raise RuntimeError("ncnn cannot load what pnnx made")

    def run(image: Any) -> list[Any]:
        extractor = net.create_extractor()
        extractor.input("in0", ncnn.Mat(image[0]).clone())
        maps = [np.array(extractor.extract(f"out{number}")[1]) for number in range(len(outputs))]
        return [each[None] if each.ndim == 3 else each[None, None] for each in maps]

    return run
