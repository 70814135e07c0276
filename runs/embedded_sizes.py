"""Which encoder at which size: time of a frame against AP on our own validation sets, as a figure.

Run as ``python runs/embedded_sizes.py DATA --models default --checkpoint CKPT --sizes 256x512 384x768
[--json FILE] [--figure FILE]``. No benchmark is read. Every point is an .onnx in float32 (that of the checkpoint is
exported for each size) or a file as it is. Times are of ONNX Runtime on two threads, medians of rounds in which the
points take turns; AP is that of the first score on sharp scenes of two cameras with held-out objects ("sharp"), on
those with small ones on the road ("far"), and on both with the road as the only known thing. A size such as
384x768+mirror averages with the mirror image, 640x1280+0.5 with the image made smaller by half.
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
from embedded_choose import FAR, HELD_OUT_OBJECTS, ROAD, SIZE, pasted

import oddroad
from oddroad.cli.common import parse_size
from oddroad.learn.checkpoints.format import load_network
from oddroad.learn.data.sharp_scenes import sharp_scenes
from oddroad.learn.data.validation import Validation
from oddroad.learn.export.onnx import export
from oddroad.learn.networks.wrapped import Scales
from oddroad.metrics import PixelMetric
from oddroad.types import IGNORE, KNOWN


def milliseconds(models: dict[str, oddroad.Model], image: np.ndarray, rounds: int) -> dict[str, float]:
    """Median time of a frame of each model, the models in turn."""
    times: dict[str, list[float]] = {name: [] for name in models}
    for number in range(rounds + 2):
        for name, model in models.items():
            start = time.perf_counter()
            model(image)
            if number >= 2:
                times[name].append(time.perf_counter() - start)
    return {name: 1e3 * statistics.median(each) for name, each in times.items()}


def main() -> None:
    """Export, time, judge, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--models", nargs="*", default=[], help=".onnx files, or names such as default")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--score", default="outlier_head")
    parser.add_argument("--sizes", nargs="*", default=[])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--every", type=int, default=1, help="judge every n-th image of the sets")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args()
    sharp = sharp_scenes(given.data)
    sets = {
        "sharp": list(pasted(Validation(given.data, HELD_OUT_OBJECTS, sharp, SIZE, varied=1.0)))[:: given.every],
        "far": list(pasted(Validation(given.data, HELD_OUT_OBJECTS, sharp, SIZE, heights=FAR, varied=1.0)))[
            :: given.every
        ],
    }
    with tempfile.TemporaryDirectory() as folder:
        models = {Path(each).stem: oddroad.Model(each, engine="onnxruntime", threads=2) for each in given.models}
        for size in given.sizes:
            network, about = load_network(given.checkpoint)
            path = Path(folder) / f"{size}.onnx"
            shape, _, more = size.partition("+")
            if more not in ("", "mirror"):
                network = Scales(network, [float(more)])
            export(network, about, [given.score], path, size=parse_size(shape), flip_tta=more == "mirror")
            models[f"{about['network']} {size}"] = oddroad.Model(path, engine="onnxruntime", threads=2)
        took = milliseconds(models, sets["sharp"][0][0], given.rounds)
        found: dict[str, Any] = {}
        for name, model in models.items():
            found[name] = {"ms": took[name]}
            for kind, samples in sets.items():
                whole, on_road = PixelMetric(), PixelMetric()
                for number, (image, label, truth) in enumerate(samples):
                    heat = model(image)
                    whole.add(heat, label, f"{kind} {number}")
                    on_road.add(heat, np.where((label == KNOWN) & (truth != ROAD), IGNORE, label), f"{kind} {number}")
                found[name] |= {kind: whole.result()["ap"], f"{kind} road": on_road.result()["ap"]}
            figures = "  ".join(f"{kind} {100 * found[name][kind]:.1f}" for kind in found[name] if kind != "ms")
            print(f"{name:<34}{took[name]:7.1f} ms   {figures}", flush=True)
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=1) + "\n")
    if given.figure is not None:
        draw(found, [each for each in found[name] if each != "ms"], given.figure)


def draw(found: dict[str, Any], kinds: list[str], path: Path) -> None:
    """AP against milliseconds, one panel a set."""
    from matplotlib.figure import Figure

    figure = Figure((3.4 * len(kinds), 3.5), layout="constrained")
    for axes, kind in zip(figure.subplots(1, len(kinds)), kinds, strict=True):
        for name, each in found.items():
            axes.plot(each["ms"], 100 * each[kind], "o", label=name)
        axes.set(title=kind, xlabel="ms a frame, two cores", ylabel="AP, %")
        axes.grid(alpha=0.3)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
