"""What a timing depends on: the processor, the libraries, the memory of this process, and who else was busy."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np

FLAGS = (
    "avx2", "fma", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_int8", "amx_bf16",
    "asimd", "asimddp", "bf16", "i8mm", "sve",
)  # fmt: skip
"""Instructions that decide how fast a network runs, as Linux calls them."""


LIBRARIES = ("oddroad", "numpy", "opencv-python-headless", "onnxruntime", "openvino", "torch")


BUSY = 0.05
"""Share of the processor that others may take before a timing counts as CPU contended."""


def processor() -> dict[str, Any]:
    """Name, instructions and cores of the processor; ``cores`` are those that this process may use."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    fields = {
        key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())
    }
    flags = set((fields.get("flags") or fields.get("features") or "").split())
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {
        "name": fields.get("model name") or platform.processor() or platform.machine(),
        "family": " ".join(fields[key] for key in ("cpu family", "model") if key in fields),
        "flags": [each for each in FLAGS if each in flags],
        "cores": allowed,
        "system": f"{platform.system()} {platform.machine()}",
    }


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that are installed."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def peak_memory() -> float:
    """Most memory that this process has held so far, in MB (1e6 bytes): its resident set."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    import resource

    scale = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 1e6


class CpuContention:
    """Watches how busy the processor is with other processes than this one.

    Attributes:
        share: of the whole processor, 0 to 1, since the beginning; None where the system does not tell.
    """

    def __init__(self) -> None:
        self.began = self.now()

    def now(self) -> tuple[float, float, float] | None:
        """Seconds on the clock, busy seconds of all cores, and processor seconds of this process."""
        stat = Path("/proc/stat")
        if not stat.exists():
            return None
        user, nice, system, _, _, irq, soft, *_ = map(int, stat.read_text().split("\n", 1)[0].split()[1:])
        own = os.times()
        busy = (user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK")
        return time.perf_counter(), busy, own.user + own.system

    @property
    def share(self) -> float | None:
        """See the attributes."""
        now = self.now()
        if now is None or self.began is None:
            return None
        clock, busy, own = (after - before for after, before in zip(now, self.began, strict=True))
        return round(min(max((busy - own) / (clock * (os.cpu_count() or 1)), 0.0), 1.0), 3)


def latency_summary(milliseconds: list[float]) -> dict[str, float]:
    """How many there are, and their median, mean, 95th and 99th percentile and worst."""
    values = np.array(milliseconds)
    return {
        "count": len(values),
        "median": round(float(np.median(values)), 3),
        "mean": round(float(values.mean()), 3),
        "p95": round(float(np.percentile(values, 95)), 3),
        "p99": round(float(np.percentile(values, 99)), 3),
        "worst": round(float(values.max()), 3),
    }
