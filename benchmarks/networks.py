"""Milliseconds of every network in every engine: run from the project's root on a machine with nothing else to do.

    python benchmarks/networks.py --size 512x1024 --seconds 2

Times are of the network alone: float32 images (1, 3, H, W) in, logits at its stride out, weights random, one process,
batch 1. The engines of a network take turns, call by call, so that a change of the machine's clock meets all of them.
``enet, published`` is ENet with max-unpooling as its code has it, for comparison with the form used here. The last
line is the same as JSON.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import openvino
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from oddroad.learn.export.module_passes import constant_slopes, fold_batchnorm
from oddroad.learn.export.onnx import quiet
from oddroad.learn.networks import NETWORKS, enet

FORMS = {name: (name, {}) for name in NETWORKS if not name.endswith(("_frozen", "_lean"))} | {
    "erfnet, stride 2": ("erfnet", {"stride": 2}),
    "enet, stride 2": ("enet", {"stride": 2}),
    "enet, published": ("enet", {}),
}
"""Row of the table -> network and arguments."""


class Logits(nn.Module):
    """The network's logits alone, which is what an engine is given."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """(1, 3, H, W) -> (1, C, h, w)."""
        return self.network(images).logits


def published_enet(active: bool) -> None:
    """Switch ENet to max pooling with indices and max-unpooling, or back."""
    if active:
        enet.max_pool_corners = lambda x: F.max_pool2d(x, 2, return_indices=True)
        enet.max_unpool_corners = lambda x, indices: F.max_unpool2d(x, indices, 2)
    else:
        enet.max_pool_corners, enet.max_unpool_corners = OWN


OWN = enet.max_pool_corners, enet.max_unpool_corners


def count_macs(network: nn.Module, height: int, width: int) -> float:
    """Multiplications of the convolutions for one image; nothing is computed."""
    with FlopCounterMode(display=False) as counter:
        network.to("meta")(torch.zeros(1, 3, height, width, device="meta"))
    return counter.get_total_flops() / 2


def calls(network: nn.Module, images: Tensor, threads: int, folder: Path) -> dict[str, Callable[[], object]]:
    """One call without arguments for each engine."""
    module = Logits(network).eval()
    last = Logits(constant_slopes(fold_batchnorm(network, images))).eval()
    channels_last = Logits(copy.deepcopy(network)).eval().to(memory_format=torch.channels_last)
    striped = images.contiguous(memory_format=torch.channels_last)
    path, array = folder / "network.onnx", images.numpy()
    with quiet():
        torch.onnx.export(last, (images,), str(path), input_names=["x"], dynamo=True, opset_version=18, verbose=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    common = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
    core = openvino.Core()
    f32 = core.compile_model(str(path), "CPU", {**common, "INFERENCE_PRECISION_HINT": "f32"})
    found: dict[str, Callable[[], object]] = {
        "torch": lambda: module(images),
        "torch channels_last": lambda: channels_last(striped),
        "onnxruntime": lambda: session.run(None, {"x": array}),
        "openvino": lambda: f32(array),
    }
    if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        bf16 = core.compile_model(str(path), "CPU", {**common, "INFERENCE_PRECISION_HINT": "bf16"})
        found["openvino bf16"] = lambda: bf16(array)
    return found


def measure(runs: dict[str, Callable[[], object]], seconds: float) -> dict[str, dict[str, float]]:
    """Median and 95th percentile in milliseconds, after three calls to warm up, by turns."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        for _ in range(3):
            run()
    began = time.perf_counter()
    while time.perf_counter() - began < seconds * len(runs) or min(map(len, times.values())) < 5:
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(1e3 * (time.perf_counter() - start))
    return {
        name: {"median": float(np.median(each)), "p95": float(np.percentile(each, 95)), "calls": len(each)}
        for name, each in times.items()
    }


def main() -> None:
    """Measure, print the table, print the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="512x1024", help="height x width, multiples of 64")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seconds", type=float, default=2.0, help="for each engine of each network")
    parser.add_argument("--networks", nargs="+", default=list(FORMS), choices=list(FORMS), metavar="NAME")
    chosen = parser.parse_args()
    height, width = map(int, chosen.size.split("x"))
    torch.set_num_threads(chosen.threads)
    rows: dict[str, dict[str, object]] = {}
    for name in chosen.networks:
        kind, arguments = FORMS[name]
        torch.manual_seed(0)
        published_enet(name == "enet, published")
        network = NETWORKS[kind](**arguments).eval()
        row: dict[str, object] = {"parameters": sum(each.numel() for each in network.parameters())}
        with torch.inference_mode(), tempfile.TemporaryDirectory() as folder:
            row["ms"] = measure(
                calls(network, torch.rand(1, 3, height, width), chosen.threads, Path(folder)), chosen.seconds
            )
            row["gmac"] = count_macs(network, height, width) / 1e9
        rows[name] = row
        print(name, row, flush=True)
    published_enet(False)
    engines = list(next(iter(rows.values()))["ms"])  # type: ignore[call-overload]
    table = Table(
        "network", "M parameters", "GMAC", *engines, title=f"ms a frame at {chosen.size}, {chosen.threads} threads"
    )
    for name, row in rows.items():
        spent = [f"{row['ms'][engine]['median']:.1f}" for engine in engines]  # type: ignore[index]
        table.add_row(name, f"{row['parameters'] / 1e6:.2f}", f"{row['gmac']:.2f}", *spent)  # type: ignore[operator]
    Console().print(table)
    versions = {"torch": torch.__version__, "onnxruntime": onnxruntime.__version__, "openvino": openvino.__version__}
    about = {"size": [height, width], "threads": chosen.threads, "cpu": cpu_name(), "versions": versions}
    print(json.dumps({**about, "networks": rows}))


def cpu_name() -> str:
    """The processor's name as the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    return next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), platform.processor())


if __name__ == "__main__":
    main()
