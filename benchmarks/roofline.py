"""The roofline bound of each network on this machine: its operations over the highest rate of any engine here.

    python benchmarks/roofline.py --size 512x1024 --seconds 2

The rate is that of six 3x3 convolutions of 128 channels on 64x128 in ONNX Runtime and OpenVINO, in float32, bfloat16
and INT8, after a warm-up; the best counts. Operations are two for each multiplication with addition, counted by
PyTorch. A time of `oddroad benchmark` over this bound says how far it is from it. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.utils.flop_counter import FlopCounterMode

from oddroad.benchmarking.environment import CpuContention, processor, versions
from oddroad.concurrency import available_cores
from oddroad.learn.networks import NETWORKS

CHANNELS, ROWS, COLUMNS, REPEATS = 128, 64, 128, 6
WARM_UP = 5
OPERATIONS = 2 * 9 * CHANNELS * CHANNELS * ROWS * COLUMNS * REPEATS


def convolutions(eight_bits: bool) -> onnx.ModelProto:
    """Six convolutions with ReLU, one after another; in INT8 as quantised files have them."""
    rng = np.random.default_rng(0)
    nodes: list[onnx.NodeProto] = []
    values: list[onnx.TensorProto] = []

    def constant(name: str, value: np.ndarray) -> str:
        values.append(numpy_helper.from_array(value, name))
        return name

    def through_8_bits(name: str) -> str:
        nodes.append(helper.make_node("QuantizeLinear", [name, "scale", "zero"], [f"{name}.q"]))
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}.q", "scale", "zero"], [f"{name}.d"]))
        return f"{name}.d"

    constant("scale", np.float32(0.02))
    constant("zero", np.uint8(0))
    last = "x"
    for number in range(REPEATS):
        weight = constant(f"w{number}", rng.normal(0, 0.03, (CHANNELS, CHANNELS, 3, 3)).astype(np.float32))
        if eight_bits:
            last = through_8_bits(last)
            stored = (numpy_helper.to_array(values.pop()) / 0.001).round().clip(-127, 127).astype(np.int8)
            constant(f"w{number}.q", stored)
            constant(f"w{number}.s", np.full(CHANNELS, 0.001, np.float32))
            constant(f"w{number}.z", np.zeros(CHANNELS, np.int8))
            named = [f"w{number}.q", f"w{number}.s", f"w{number}.z"]
            nodes.append(helper.make_node("DequantizeLinear", named, [weight], axis=0))
        nodes.append(helper.make_node("Conv", [last, weight], [f"c{number}"], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"c{number}"], [f"r{number}"]))
        last = f"r{number}"
    shape = [1, CHANNELS, ROWS, COLUMNS]
    nodes.append(helper.make_node("Identity", [last], ["y"]))
    graph = helper.make_graph(
        nodes,
        "roofline",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        values,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def onnxruntime_call(path: Path, threads: int, image: np.ndarray) -> Callable[[], object]:
    """One call by ONNX Runtime."""
    from oddroad.inference.onnxruntime_engine import onnx_session

    session = onnx_session(path, threads)
    return lambda: session.run(None, {"x": image})


def openvino_call(path: Path, threads: int, image: np.ndarray, precision: str) -> Callable[[], object]:
    """One call by OpenVINO."""
    import openvino

    from oddroad.inference.openvino_engine import openvino_config

    core = openvino.Core()
    compiled = core.compile_model(core.read_model(path), "CPU", openvino_config(threads, precision))
    request = compiled.create_infer_request()
    return lambda: request.infer({"x": image})


def rate(call: Callable[[], object], seconds: float) -> float:
    """GFLOP/s (or GOP/s) of the median call."""
    for _ in range(WARM_UP):
        call()
    spent: list[float] = []
    began = time.perf_counter()
    while time.perf_counter() - began < seconds or len(spent) < 5:
        start = time.perf_counter()
        call()
        spent.append(time.perf_counter() - start)
    return round(OPERATIONS / float(np.median(spent)) / 1e9, 1)


def rates(threads: int, seconds: float) -> dict[str, dict[str, float]]:
    """The rate of each precision in each engine."""
    image = np.random.default_rng(1).random((1, CHANNELS, ROWS, COLUMNS), np.float32)
    found: dict[str, dict[str, float]] = {"float32": {}, "bfloat16": {}, "int8": {}}
    with tempfile.TemporaryDirectory() as folder:
        paths = {bits: Path(folder) / f"{bits}.onnx" for bits in ("float32", "int8")}
        for bits, path in paths.items():
            onnx.save(convolutions(bits == "int8"), path)
            found[bits]["onnxruntime"] = rate(onnxruntime_call(path, threads, image), seconds)
        for precision, name in (("float32", "float32"), ("bfloat16", "float32"), ("int8", "int8")):
            try:
                call = openvino_call(paths[name], threads, image, "float32" if precision == "int8" else precision)
            except ValueError as problem:
                print(f"left out: {problem}")
                continue
            found[precision]["openvino"] = rate(call, seconds)
    return found


def operations(name: str, size: tuple[int, int]) -> float:
    """GFLOP of one image through a network, its heads for training left out."""
    network = NETWORKS[name]().eval()
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, *size))
    return counter.get_total_flops() / 1e9


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="512x1024", help="HxW of the images")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each rate")
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--networks", nargs="+", default=["erfnet", "enet", "bisenetv2", "ddrnet23_slim"])
    given = parser.parse_args()
    height, width = map(int, given.size.split("x"))
    contention = CpuContention()
    found = rates(given.threads, given.seconds)
    peak = {precision: max(values.values()) for precision, values in found.items() if values}
    rows: dict[str, dict[str, float]] = {}
    for name in given.networks:
        work = operations(name, (height, width))
        rows[name] = {"gflop": round(work, 2)} | {
            f"{precision}_ms": round(work / value * 1e3, 2) for precision, value in peak.items()
        }
    print(f"{processor()['name']}, {given.threads} threads, images of {given.size}, warm-up {WARM_UP} calls")
    for precision, values in found.items():
        print(f"  {precision:<9} " + "  ".join(f"{engine} {value} G/s" for engine, value in values.items()))
    for name, values in rows.items():
        print(f"  {name:<15} " + "  ".join(f"{key} {value}" for key, value in values.items()))
    machine = {"processor": processor(), "versions": versions(), "threads": given.threads, "size": given.size}
    print(json.dumps(machine | {"rates": found, "roofline_bound": rows, "cpu_contention": contention.share}))


if __name__ == "__main__":
    main()
