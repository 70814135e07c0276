"""TensorRT: ``detector.engine`` in float32 or float16 for the NVIDIA GPU that it is built on."""

from __future__ import annotations

import ctypes.util
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

PACKAGES = ("tensorrt-cu12==10.13.3.9", "cuda-bindings==12.9.4", "numpy==2.4.6")
WITH_DEPENDENCIES = True
MEGABYTES = 5000
FORMS = ("float16", "float32")


def refusal() -> str:
    """Why this machine cannot make the file."""
    if sys.platform not in ("linux", "win32"):
        return "TensorRT runs on Linux and Windows"
    library = ctypes.util.find_library("cuda" if sys.platform == "linux" else "nvcuda")
    if shutil.which("nvidia-smi") is None or library is None:
        return "an engine is built on the GPU that shall run it, and there is no NVIDIA GPU or driver here"
    return ""


def convert(portable: str, folder: str, form: str, pictures: Any) -> None:
    """Build the engine; float32 is without TF32, which rounds to 10 bits."""
    import tensorrt  # type: ignore[import-not-found]

    logger = tensorrt.Logger(tensorrt.Logger.WARNING)
    builder = tensorrt.Builder(logger)
    network = builder.create_network(0)
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse(Path(portable).read_bytes()):
        raise RuntimeError(f"TensorRT cannot read the file: {parser.get_error(0)}")
    config = builder.create_builder_config()
    if form == "float16":
        config.set_flag(tensorrt.BuilderFlag.FP16)
    else:
        config.clear_flag(tensorrt.BuilderFlag.TF32)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise RuntimeError("TensorRT cannot build the engine")
    Path("detector.engine").write_bytes(plan)


def open_file(folder: str, outputs: list[str], threads: int) -> Callable[[Any], list[Any]]:
    """Run on the GPU; copying to it and back is part of the time."""
    import numpy as np
    import tensorrt  # type: ignore[import-not-found]
    from cuda.bindings import runtime  # type: ignore[import-not-found]

    def checked(found: tuple[Any, ...]) -> Any:
        if found[0] != runtime.cudaError_t.cudaSuccess:
            raise RuntimeError(f"CUDA: {found[0]}")
        return found[1] if len(found) > 1 else None

    logger = tensorrt.Logger(tensorrt.Logger.WARNING)
    engine = tensorrt.Runtime(logger).deserialize_cuda_engine(Path(f"{folder}/detector.engine").read_bytes())
    context = engine.create_execution_context()
    arrays = {name: np.empty(tuple(engine.get_tensor_shape(name)), np.float32) for name in ("image", *outputs)}
    places = {name: checked(runtime.cudaMalloc(each.nbytes)) for name, each in arrays.items()}
    for number in range(engine.num_io_tensors):  # an output that nobody asks for needs a place, too
        name = engine.get_tensor_name(number)
        if name not in places:
            places[name] = checked(runtime.cudaMalloc(4 * int(np.prod(tuple(engine.get_tensor_shape(name))))))
        context.set_tensor_address(name, int(places[name]))
    kinds = runtime.cudaMemcpyKind

    def run(image: Any) -> list[Any]:
        pixels = np.ascontiguousarray(image, np.float32)
        to_device, to_host = kinds.cudaMemcpyHostToDevice, kinds.cudaMemcpyDeviceToHost
        checked(runtime.cudaMemcpy(places["image"], pixels.ctypes.data, pixels.nbytes, to_device))
        if not context.execute_async_v3(0):
            raise RuntimeError("TensorRT did not run")
        checked(runtime.cudaStreamSynchronize(0))
        for name in outputs:
            checked(runtime.cudaMemcpy(arrays[name].ctypes.data, places[name], arrays[name].nbytes, to_host))
        return [arrays[name].copy() for name in outputs]

    return run
