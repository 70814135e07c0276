"""How fast and how small the metrics are: pixels against scikit-learn, components against a plain loop.

Run as ``python benchmarks/metrics.py`` on a quiet machine (``--maps 4`` for a short look). 30 maps of 1024 x 2048 are
written to a temporary folder; every method reads them in a process of its own. Seconds count the metric alone, reading
left out; memory is how far the process rose above where it stood after the imports (Linux). The last line is JSON.

``--against FOLDER`` measures another build, whose package lies in that folder (``git archive COMMIT src | tar -x -C
/some/place``, then ``/some/place/src``), in turn with this one, in seconds of the processor: the figures of both
must be the same to the last digit, but for the threshold, which may be another one inside the same bin.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

HEIGHT, WIDTH = 1024, 2048
KINDS = ("gauss", "msp")
THRESHOLDS = (0.5, 1.0, 1.5)


def write_maps(folder: Path, count: int) -> None:
    """Synthetic labels (2 % anomalies, shifted by 1.5 sigma) and two kinds of scores with the same order."""
    draw = np.random.default_rng(0)
    for number in range(count):
        label = (draw.random((HEIGHT, WIDTH)) < 0.02).astype(np.uint8)
        score = (draw.standard_normal((HEIGHT, WIDTH), dtype=np.float32) + np.float32(1.5) * label).astype(np.float32)
        np.save(folder / f"label{number}.npy", label)
        np.save(folder / f"gauss{number}.npy", score)
        np.save(folder / f"msp{number}.npy", (1 / (1 + np.exp(6 - 3 * score))).astype(np.float32))


def read_maps(folder: Path, kind: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Scores and labels, one map after the other."""
    for number in range(len(list(folder.glob("label*.npy")))):
        yield np.load(folder / f"{kind}{number}.npy"), np.load(folder / f"label{number}.npy")


def streaming(folder: Path, kind: str, make: Callable[[], Any]) -> tuple[float, dict[str, float]]:
    """One of our metrics over the maps."""
    metric, seconds = make(), 0.0
    for scores, labels in read_maps(folder, kind):
        began = time.perf_counter()
        metric.add(scores, labels)
        seconds += time.perf_counter() - began
    began = time.perf_counter()
    result = metric.result()
    return seconds + time.perf_counter() - began, result


def scikit_learn(folder: Path, kind: str) -> tuple[float, dict[str, float]]:
    """The same by average_precision_score and roc_curve on all pixels."""
    from sklearn.metrics import average_precision_score, roc_curve

    pairs = list(read_maps(folder, kind))
    scores = np.concatenate([each.ravel() for each, _ in pairs])
    odd = np.concatenate([each.ravel() for _, each in pairs])
    del pairs
    began = time.perf_counter()
    ap = average_precision_score(odd, scores)
    fpr, tpr, _ = roc_curve(odd, scores)
    return time.perf_counter() - began, {"ap": float(ap), "fpr95": float(fpr[np.argmax(tpr >= 0.95)])}


BUILD = """
import json, sys, time
from pathlib import Path
import cv2
import numpy as np
sys.path.insert(0, sys.argv[1])
sys.path.insert(1, sys.argv[2])
from metrics import memory, read_maps, THRESHOLDS, HEIGHT, WIDTH
from oddroad.metrics import PixelMetric, components
if sys.argv[4] == "components":
    draw = np.random.default_rng(0)
    fields = [cv2.GaussianBlur(draw.standard_normal((HEIGHT, WIDTH)).astype(np.float32), (0, 0), s) for s in (6, 10)]
    label, seconds = (fields[1] > 2 * fields[1].std()).astype(np.uint8), 0.0
    label[:200] = 255
    for threshold in THRESHOLDS * 5:
        predicted = fields[0] > threshold * fields[0].std()
        began = time.process_time()
        found = components(predicted, label, 50, 10)
        seconds += time.process_time() - began
    result = {"siou": float(found.siou.sum()), "ppv": float(found.ppv.sum())}
    peak = before = 0
else:
    Path("/proc/self/clear_refs").write_text("5")
    before, metric, seconds = memory("VmRSS"), PixelMetric(), 0.0
    for scores, labels in read_maps(Path(sys.argv[3]), sys.argv[4]):
        began = time.process_time()
        metric.add(scores, labels)
        seconds += time.process_time() - began
    began = time.process_time()
    result = metric.result()
    seconds += time.process_time() - began
    peak = memory("VmHWM")
result.pop("threshold", None)
print(json.dumps({"seconds": seconds, "memory_mb": (peak - before) / 2**20, "result": result}))
"""
"""What one build does in a process of its own: package, this folder, maps, kind of scores or "components"."""


def against(other: Path, folder: Path, rounds: int = 5) -> dict[str, Any]:
    """This build and another in turn: processor seconds (the least of the rounds), memory, and their ratios."""
    here, table = Path(__file__).resolve().parent, {}
    builds = {"this": here.parent / "src", "other": other}
    for kind in (*KINDS, "components"):
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in builds}
        for _ in range(rounds):
            for name, package in builds.items():
                words = [sys.executable, "-c", BUILD, str(package), str(here), str(folder), kind]
                found[name].append(json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout))
        if found["this"][0]["result"] != found["other"][0]["result"]:
            raise SystemExit(f"{kind}: the two builds give other figures")
        least = {name: min(each["seconds"] for each in runs) for name, runs in found.items()}
        most = {name: max(each["memory_mb"] for each in runs) for name, runs in found.items()}
        table[kind] = {"seconds": least, "memory_mb": most, "times_faster": least["other"] / least["this"]}
        print(f"{kind:12}" + "".join(f"{name} {least[name]:.3f} s {most[name]:.0f} MB  " for name in builds)
              + f"{table[kind]['times_faster']:.2f} times faster", flush=True)  # fmt: skip
    return table


def memory(what: str) -> int:
    """A line of this process's memory in bytes: VmRSS now, VmHWM at its peak."""
    line = next(each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith(what))
    return 1024 * int(line.split()[1])


def one(method: str, folder: Path, kind: str) -> dict[str, float]:
    """Run one method in this process."""
    import sklearn.metrics  # noqa: F401  imported by all, so that all start from the same memory

    from oddroad.metrics import ExactPixelMetric, PixelMetric

    Path("/proc/self/clear_refs").write_text("5")  # the peak starts here
    before = memory("VmRSS")
    if method == "scikit-learn":
        seconds, result = scikit_learn(folder, kind)
    else:
        seconds, result = streaming(folder, kind, PixelMetric if method == "oddroad" else ExactPixelMetric)
    peak = memory("VmHWM")
    figures = {"ap": result["ap"], "fpr95": result["fpr95"]}
    return {"seconds": seconds, "memory_mb": (peak - before) / 2**20, "peak_mb": peak / 2**20, **figures}


def plain_components(
    predicted: np.ndarray, label: np.ndarray, smallest: tuple[int, int]
) -> tuple[list[float], list[float]]:
    """SIoU and PPV by the definition: a mask of the whole frame for each component."""
    truths, truth = cv2.connectedComponents((label == 1).astype(np.uint8), connectivity=8)
    guesses, guess = cv2.connectedComponents((predicted & (label != 255)).astype(np.uint8), connectivity=8)
    judged = label != 255
    for each in range(1, guesses):
        mask = guess == each
        if mask.sum() < smallest[0]:
            guess[mask] = 0
    for each in range(1, truths):
        mask = truth == each
        if mask.sum() < smallest[1]:
            truth[mask] = 0
            judged &= ~mask
    guess[~judged] = 0
    siou, ppv = [], []
    for each in np.unique(truth[truth > 0]):
        own = truth == each
        touching = np.isin(guess, np.unique(guess[own & (guess > 0)]))
        inside = (own & touching).sum()
        siou.append(inside / ((own | touching).sum() - (touching & (truth > 0) & ~own).sum()))
    for each in np.unique(guess[guess > 0]):
        mask = guess == each
        ppv.append((mask & (truth > 0)).sum() / mask.sum())
    return siou, ppv


def components_benchmark() -> dict[str, float]:
    """Ours against the plain loop on smooth noise, at three thresholds; the figures must agree."""
    from oddroad.metrics import components

    draw, smallest = np.random.default_rng(0), (50, 10)
    noise = cv2.GaussianBlur(draw.standard_normal((HEIGHT, WIDTH)).astype(np.float32), (0, 0), 6)
    other = cv2.GaussianBlur(draw.standard_normal((HEIGHT, WIDTH)).astype(np.float32), (0, 0), 10)
    label = (other > 2 * other.std()).astype(np.uint8)
    label[:200] = 255
    seconds = {"oddroad": 0.0, "plain loop": 0.0}
    predicted_components = 0
    for threshold in THRESHOLDS:
        predicted = noise > threshold * noise.std()
        began = time.perf_counter()
        siou, ppv = plain_components(predicted, label, smallest)
        seconds["plain loop"] += time.perf_counter() - began
        times = []
        for _ in range(5):
            began = time.perf_counter()
            found = components(predicted, label, *smallest)
            times.append(time.perf_counter() - began)
        seconds["oddroad"] += sorted(times)[2]
        if not (np.allclose(np.sort(siou), np.sort(found.siou)) and np.allclose(np.sort(ppv), np.sort(found.ppv))):
            raise SystemExit("the component metric and the plain loop disagree")
        predicted_components += len(ppv)
    return {
        **seconds,
        "predicted_components": predicted_components,
        "times_faster": seconds["plain loop"] / seconds["oddroad"],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--maps", type=int, default=30)
    parser.add_argument("--against", type=Path, help="the folder with the package of another build")
    parser.add_argument("--one", nargs=3, help="internal: method, folder, kind")
    given = parser.parse_args()
    if given.one:
        print(json.dumps(one(given.one[0], Path(given.one[1]), given.one[2])))
        return
    table: dict[str, Any] = {"maps": given.maps, "size": [HEIGHT, WIDTH]}
    with tempfile.TemporaryDirectory() as folder:
        write_maps(Path(folder), given.maps)
        if given.against is not None:
            print(json.dumps(table | {"against": against(given.against.resolve(), Path(folder))}))
            return
        print(f"{'scores':8}{'method':14}{'seconds':>9}{'MB':>8}{'faster':>8}{'AP error':>10}{'FPR95 error':>12}")
        for kind in KINDS:
            for method in ("scikit-learn", "oddroad", "exact"):
                words = [sys.executable, __file__, "--one", method, folder, kind]
                found = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
                table[f"{kind} {method}"] = found
                truth = table[f"{kind} scikit-learn"]
                errors = [abs(found[name] - truth[name]) for name in ("ap", "fpr95")]
                found |= {
                    "times_faster": truth["seconds"] / found["seconds"],
                    "ap_error": errors[0],
                    "fpr95_error": errors[1],
                }
                found["times_smaller"] = truth["memory_mb"] / max(found["memory_mb"], 0.1)
                print(
                    f"{kind:8}{method:14}{found['seconds']:9.2f}{found['memory_mb']:8.0f}{found['times_faster']:8.1f}"
                    f"{errors[0]:10.1e}{errors[1]:12.1e}",
                    flush=True,
                )
    table["components"] = components_benchmark()
    print("components: " + ", ".join(f"{name} {value:.4g}" for name, value in table["components"].items()))
    print(json.dumps(table))


if __name__ == "__main__":
    main()
