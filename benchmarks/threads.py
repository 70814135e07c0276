"""Whether sessions of several threads shall spin while they wait, and whether they shall keep an arena of memory.

Run as ``python benchmarks/threads.py [MODEL ...]``. Sessions with and without spinning take turns: alone, and beside a
process that keeps one core busy. Memory is the peak of a process of its own. The last line is the table as JSON.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

ROUNDS, CALLS = 5, 8
"""Turns of each session, and calls in one turn."""

MEMORY = """
import sys
import numpy as np
from pathlib import Path
from oddroad.inference.onnxruntime_engine import onnx_session
session = onnx_session(Path(sys.argv[1]), 2, arena=sys.argv[2] == "True", names=["outlier_head.low_res"])
for _ in range(5):
    session.run(None, {"image": np.zeros((1, 384, 768, 3), np.uint8)})
status = Path("/proc/self/status").read_text()  # ru_maxrss would begin with that of the parent process
print(int(status.partition("VmHWM:")[2].split()[0]) / 1024)
"""


def spin_for_ever() -> None:
    """Keep a core busy."""
    while True:
        pass


def turns(path: Path, threads: int) -> dict[str, dict[str, float]]:
    """Frames a second and processor milliseconds a frame, medians over turns, with and without spinning."""
    from oddroad.inference.onnxruntime_engine import onnx_session

    image = np.random.default_rng(0).integers(0, 256, (1, 540, 960, 3), np.uint8)
    found: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    for _ in range(ROUNDS):
        for spinning in found:
            # one session at a time: the threads of one that spins would disturb the other
            session = onnx_session(path, threads, spinning=spinning)
            session.run(None, {"image": image})
            began, used = time.perf_counter(), time.process_time()
            for _ in range(CALLS):
                session.run(None, {"image": image})
            found[spinning].append((CALLS / (time.perf_counter() - began), 1e3 * (time.process_time() - used) / CALLS))
            del session
    return {
        "spinning" if spinning else "waiting": {
            "fps": round(statistics.median(each for each, _ in rows), 2),
            "cpu_ms": round(statistics.median(each for _, each in rows), 1),
        }
        for spinning, rows in found.items()
    } | {
        "ratio_of_each_turn": {
            str(n): round(b[0] / a[0], 2) for n, (a, b) in enumerate(zip(*found.values(), strict=True))
        }
    }


def main() -> None:
    """Measure and print."""
    from oddroad.inference.model import find_model

    models = [find_model(each) for each in sys.argv[1:] or ("default", "default-fp32")]
    threads = max(len(os.sched_getaffinity(0)), 2)
    table: dict[str, Any] = {}
    for path in models:
        row = table[path.name] = {"threads": threads, "alone": turns(path, threads)}
        busy = multiprocessing.Process(target=spin_for_ever, daemon=True)
        busy.start()
        row["beside a busy process"] = turns(path, threads)
        busy.terminate()
        for arena in (True, False):
            words = [sys.executable, "-c", MEMORY, str(path), str(arena)]
            done = subprocess.run(words, check=True, capture_output=True, text=True)
            row[f"peak MB, arena {'on' if arena else 'off'}"] = round(float(done.stdout.split()[-1]), 1)
        print(path.name, json.dumps(row, indent=1))
    print(json.dumps(table))


if __name__ == "__main__":
    main()
