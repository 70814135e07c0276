"""What scoring costs inside the exported graph: each score beside the network alone, in both engines.

    python benchmarks/scores.py --network ddrnet23_slim --size 512x1024 --out scores.json

The weights are random: time does not depend on them. ``network alone`` is the file with one logit as its only output,
enlarged like a score: everything but the score itself. The overhead of a score is the difference, in percent of it.
Repetitions of all files are interleaved, so that a disturbance hits each alike; medians are reported.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from oddroad.concurrency import available_cores
from oddroad.inference.engines import ENGINES
from oddroad.inference.model import Model
from oddroad.learn.export.onnx import export
from oddroad.learn.networks import NETWORKS
from oddroad.learn.scores import FITTED, SCORES
from oddroad.types import CITYSCAPES_CLASSES


def fitted_scores(network: torch.nn.Module, stride: int) -> dict[str, Any]:
    """Fitted scores of the right shapes, fitted on noise."""
    found = {}
    with torch.no_grad():
        outputs = network(torch.randn(1, 3, 256, 512))
    labels = torch.randint(0, 19, (1, 256, 512))
    for name, kind in FITTED.items():
        found[name] = kind.build(outputs, stride)
        found[name].steps = 1
        found[name].fit([(outputs, labels)])
    return found


def main() -> None:
    """Export, time, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="ddrnet23_slim")
    parser.add_argument("--stride", type=int, default=0)
    parser.add_argument("--size", default="512x1024")
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    height, width = (int(each) for each in given.size.split("x"))
    torch.manual_seed(0)
    extra = {"stride": given.stride} if given.stride else {}
    network = NETWORKS[given.network](classes=19, **extra).eval()
    about = {"network": given.network, "normalisation": "imagenet", "classes": list(CITYSCAPES_CLASSES)}
    on_logits = ("msp", "max_logit", "entropy", "energy")
    table: dict[str, Any] = {"network alone": lambda outputs: outputs.logits[:, 0]}
    table |= {name: SCORES[name] for name in on_logits} | fitted_scores(network, int(network.stride))  # pyright: ignore
    groups = {name: {name.replace(" ", "_"): score} for name, score in table.items()}
    groups["all four on logits"] = {name: SCORES[name] for name in on_logits}
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    spent: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        models = {}
        for name, scores in groups.items():
            path = Path(folder) / f"{name.replace(' ', '_')}.onnx"
            export(network, about, scores, path, size=(height, width))
            for engine in ENGINES:
                models[name, engine] = Model(path, engine, given.threads)
        for repeat in range(given.repeats + 3):
            for key, model in models.items():
                began = time.perf_counter()
                model.maps(image)
                if repeat >= 3:
                    spent.setdefault(key, []).append((time.perf_counter() - began) * 1e3)
    results = []
    for (name, engine), times in spent.items():
        alone = statistics.median(spent["network alone", engine])
        middle = statistics.median(times)
        results.append({"score": name, "engine": engine, "ms": middle, "overhead": middle / alone - 1})
        print(f"{engine:<12} {name:<20} {middle:8.2f} ms  {100 * (middle / alone - 1):+6.1f} %")
    if given.out:
        setting = {"network": given.network, "stride": int(network.stride), "size": given.size}  # pyright: ignore
        setting |= {"threads": given.threads, "repeats": given.repeats}
        given.out.write_text(json.dumps({**setting, "results": results}, indent=1))


if __name__ == "__main__":
    main()
