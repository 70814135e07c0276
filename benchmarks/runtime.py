"""How long the runtime takes: start of `oddroad detect`, import, frames a second by stage, peak memory.

Run as ``python benchmarks/runtime.py [video]`` on a quiet machine; without a video it renders one. The last line is
the table as JSON. Whole processes are measured from outside, each several times after a warm-up; medians are printed.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPEATS = 5

PREPARE = """
import sys
from pathlib import Path
from oddroad.frames import VideoOut, write_image
from oddroad.scenes import drive
video = VideoOut(Path(sys.argv[1]) / "clip.mp4", 25)
for number, frame in enumerate(drive(seed=0, frames=100)):
    video.write(frame.image)
    if number == 0:
        write_image(Path(sys.argv[1]) / "one.jpg", frame.image)
video.close()
"""


def run(words: list[str]) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak memory in MB of one process."""
    began = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(words)} ended with {process.returncode}")
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def measure(words: list[str], repeats: int = REPEATS) -> dict[str, float]:
    """Medians over several runs after one that does not count."""
    runs = [run(words) for _ in range(repeats + 1)][1:]
    names = ("wall_s", "cpu_s", "peak_mb")
    return {
        name: round(statistics.median(values), 3) for name, values in zip(names, zip(*runs, strict=True), strict=True)
    }


def stages(out: Path) -> dict[str, float]:
    """Median milliseconds of each stage, from detections.jsonl."""
    lines = [json.loads(line)["milliseconds"] for line in (out / "detections.jsonl").read_text().splitlines()]
    return {stage: round(statistics.median(line[stage] for line in lines), 2) for stage in lines[0]}


def main() -> None:
    """Measure and print."""
    table: dict[str, dict[str, float]] = {}
    python, detect = sys.executable, [sys.executable, "-m", "oddroad.cli.main", "detect"]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        # In a process of its own: a child's peak memory counts what its parent held when it was started.
        subprocess.run([python, "-c", PREPARE, folder], check=True)
        clip = Path(sys.argv[1]) if len(sys.argv) > 1 else place / "clip.mp4"
        table["python alone"] = measure([python, "-c", "pass"])
        table["import oddroad"] = measure([python, "-c", "import oddroad"])
        table["import oddroad.inference.model"] = measure(
            [python, "-c", "import oddroad.inference.model, onnxruntime, cv2"]
        )
        table["oddroad --help"] = measure([python, "-m", "oddroad.cli.main", "--help"])
        table["detect one.jpg"] = measure([*detect, str(place / "one.jpg"), "--out", str(place / "one")])
        for engine in ("onnxruntime", "openvino"):
            for save in (["overlay"], []):
                name = f"detect video, {engine}, {'overlay' if save else 'jsonl only'}"
                out = place / name.replace(" ", "_").replace(",", "")
                words = [*detect, str(clip), "--engine", engine, "--out", str(out), "--save", *save]
                try:
                    table[name] = measure(words, 2)
                except SystemExit as problem:
                    print(f"left out: {problem}")
                    continue
                count = len((out / "detections.jsonl").read_text().splitlines())
                table[name]["fps"] = round(count / table[name]["wall_s"], 2)
                table[name] |= {f"{stage}_ms": value for stage, value in stages(out).items()}
    for name, values in table.items():
        print(f"{name:<45}", "  ".join(f"{key} {value}" for key, value in values.items()))
    print(json.dumps(table))


if __name__ == "__main__":
    main()
