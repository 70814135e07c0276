"""How fast a checkpoint is in PyTorch, in the public form of its network: logits at full size, then softmax.

This is what exported files are compared with: the network as published (stride 1 where it has one), eager, in
float32; and what PyTorch can do to it: channels_last, bfloat16, compilation, on CUDA also graphs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from oddroad.benchmarking.environment import CpuContention, latency_summary, peak_memory, processor
from oddroad.concurrency import available_cores
from oddroad.errors import InputError, pick
from oddroad.learn.checkpoints.format import load_network
from oddroad.learn.detector import Preprocessing
from oddroad.learn.tensor_ops import enlarge

WARM_UP, AT_LEAST = 5, 5
"""Calls at the beginning that do not count, of which the first compiles; and calls that count, however slow."""


@dataclass(frozen=True)
class Mode:
    """A way to run a network.

    Attributes:
        channels_last: memory format of weights and images.
        bfloat16: run under autocast.
        compiled: mode of torch.compile, or "" for eager.
        cuda_only: whether it needs CUDA.
    """

    channels_last: bool = False
    bfloat16: bool = False
    compiled: str = ""
    cuda_only: bool = False


BFLOAT16 = {"avx512_bf16", "amx_bf16", "bf16"}
"""Instructions of which a processor must have one to compute in bfloat16."""

MODES = {
    "eager": Mode(),
    "channels_last": Mode(channels_last=True),
    "bfloat16": Mode(channels_last=True, bfloat16=True),
    "compiled": Mode(channels_last=True, compiled="default"),
    "compiled_bfloat16": Mode(channels_last=True, bfloat16=True, compiled="default"),
    "cuda_graph": Mode(channels_last=True, bfloat16=True, compiled="reduce-overhead", cuda_only=True),
}


@dataclass(frozen=True)
class Setting:
    """One combination to measure.

    Attributes:
        model: path of a checkpoint.
        mode: key in MODES.
        device: "cpu" or "cuda".
        size: (H, W) of the frames, which the network sees at this size.
        threads: number of threads on the CPU; None for every core.
        seconds: that the measurement takes, about.
    """

    model: str
    mode: str
    device: str
    size: tuple[int, int]
    threads: int | None
    seconds: float


def public_score(logits: Tensor) -> Tensor:
    """1 - max softmax of (N, C, H, W), written as most public code does: softmax, then maximum."""
    return 1 - logits.softmax(1).amax(1)


def device_for(setting: Setting, mode: Mode) -> torch.device:
    """The device of a setting.

    Raises:
        InputError: if it does not exist, is not there, or the mode needs another.
    """
    if setting.device not in ("cpu", "cuda"):
        raise InputError(f"device '{setting.device}'; expected 'cpu' or 'cuda'")
    if setting.device == "cuda" and not torch.cuda.is_available():
        raise InputError("no CUDA device is there, or this PyTorch is built without CUDA; pass --device cpu")
    if mode.cuda_only and setting.device != "cuda":
        raise InputError(f"mode '{setting.mode}' needs --device cuda")
    if mode.bfloat16 and setting.device == "cpu" and not BFLOAT16.intersection(processor()["flags"]):
        raise InputError(f"mode '{setting.mode}': this processor has no bfloat16, and PyTorch would only imitate it")
    return torch.device(setting.device)


def timer(device: torch.device) -> Callable[[], float]:
    """A clock in seconds that waits until the device has done all that it was given."""

    def now() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    return now


def prepare(network: nn.Module, mode: Mode, device: torch.device) -> tuple[Callable[[Tensor], Tensor], str]:
    """A function from normalised images to logits at the network's stride, and the precision in words."""
    network = network.to(device).eval()
    if mode.channels_last:
        network = network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    call: Any = torch.compile(network, mode=mode.compiled) if mode.compiled else network

    def context() -> AbstractContextManager[Any]:
        return torch.autocast(device.type, torch.bfloat16) if mode.bfloat16 else nullcontext()

    def run(images: Tensor) -> Tensor:
        if mode.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        with context():
            return call(images).logits

    return run, "bfloat16 and float32" if mode.bfloat16 else "float32"


def measure(setting: Setting) -> dict[str, Any]:
    """One combination, measured in this process: stages ``network`` and ``score`` (enlarging included).

    Raises:
        InputError: if the checkpoint, the mode or the device cannot be used.
    """
    mode = pick(MODES, setting.mode, "mode")
    device = device_for(setting, mode)
    contention, began = CpuContention(), time.perf_counter()
    threads = setting.threads or available_cores()
    torch.set_num_threads(threads)
    network, about = load_network(Path(setting.model))
    stride = int(network.stride)  # pyright: ignore[reportArgumentType]
    run, precision = prepare(network, mode, device)
    loaded, now = time.perf_counter(), timer(device)
    draw = np.random.default_rng(0)
    pixels = torch.from_numpy(255 * draw.random((1, 3, *setting.size), np.float32))
    images = Preprocessing.parse(str(about.get("normalisation", "imagenet"))).normalised(pixels).to(device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    stages: dict[str, list[float]] = {"network": [], "score": [], "frame": []}
    first_call, number, start = 0.0, 0, now()
    with torch.inference_mode():
        while number < WARM_UP + AT_LEAST or now() - start < setting.seconds:
            before = now()
            logits = run(images)
            middle = now()
            public_score(enlarge(logits, stride))
            after = now()
            number += 1
            if number == 1:
                first_call = after - before
            if number == WARM_UP:
                start = now()
            if number <= WARM_UP:
                continue
            for stage, spent in (("network", middle - before), ("score", after - middle), ("frame", after - before)):
                stages[stage].append(spent * 1e3)
    row: dict[str, Any] = {
        "model": Path(setting.model).stem,
        "network": about["network"],
        "score": "msp after upsampling",
        "engine": f"torch {setting.mode} on {device_name(device)}",
        "precision": precision,
        "threads": threads,
        "frame_size": list(setting.size),
        "network_size": list(setting.size),
        "weight_storage": "float32",
        "load_ms": round((loaded - began) * 1e3, 1),
        "first_call_ms": round(first_call * 1e3, 1),
        "warm_up_frames": WARM_UP,
        "stages": {stage: latency_summary(values) for stage, values in stages.items()},
        "fps_without_overlap": round(1e3 / float(np.mean(stages["frame"])), 2),
        "peak_mb": round(peak_memory(), 1),
        "cpu_contention": contention.share,
    }
    if device.type == "cuda":
        row["gpu_allocated_mb"] = round(torch.cuda.max_memory_allocated(device) / 1e6, 1)
        row["gpu_reserved_mb"] = round(torch.cuda.max_memory_reserved(device) / 1e6, 1)
    return row


def device_name(device: torch.device) -> str:
    """The name of a device: "cpu", or that of the GPU."""
    return "cpu" if device.type == "cpu" else torch.cuda.get_device_name(device)
