"""Figures of docs/research/loss_study.md: AP of every seed and over the temperature, curves, maps of a rendered frame.

    python runs/loss_study_figures.py RESULTS --out docs/research [--trained OUT]

The first three are drawn from the results in the repository; the maps need the trained networks.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np

from oddroad.reporting.figures import COLOURS, learning_curves, plotting, save
from oddroad.reporting.learning_curves import read_curves
from oddroad.reporting.seeds import SCORES
from oddroad.reporting.tables import short
from oddroad.types import ANOMALY

MAIN = ("CE", "LN", "LN + CE", "LN + FL", "EIML", "EIML + FL", "EIML + CE")
SETS = ("road_anomaly", "road_obstacle21")
USUAL = ("msp", "entropy", "max_logit")


def read_results(folder: Path) -> list[dict[str, Any]]:
    """All results of the study."""
    return [each for path in sorted(folder.glob("*.json")) for each in json.loads(path.read_text())["results"]]


def of(results: list[dict[str, Any]], **wanted: Any) -> list[dict[str, Any]]:
    """The results with these values."""
    return [each for each in results if all(each.get(key) == value for key, value in wanted.items())]


def seeds_figure(results: list[dict[str, Any]], path: Path) -> None:
    """A dot a seed, a bar the mean, for each row and score on each set; the prevalence dotted."""
    pyplot = plotting()
    figure, axes = pyplot.subplots(1, len(SETS), figsize=(11, 3.8))
    for axis, dataset in zip(axes, SETS, strict=True):
        for number, score in enumerate(USUAL):
            for at, row in enumerate(MAIN):
                values = [
                    100 * each["ap"] for each in of(results, dataset=dataset, score=score, row=row, temperature="1")
                ]
                place = at + 0.25 * (number - 1)
                axis.bar(place, statistics.fmean(values) if values else 0, 0.22, color=COLOURS[number], alpha=0.45,
                         label=SCORES[score] if at == 0 else None)  # fmt: skip
                axis.plot([place] * len(values), values, "k.", markersize=4)
        axis.axhline(100 * of(results, dataset=dataset, score="msp")[0]["prevalence"], color="k", linestyle=":")
        axis.set_xticks(range(len(MAIN)), MAIN, rotation=30, ha="right")
        axis.set(title=short(dataset), ylabel="AP, % (dotted: prevalence)")
    axes[0].legend(fontsize=8)
    save(figure, path)


def temperature_figure(results: list[dict[str, Any]], path: Path) -> None:
    """Mean AP of MSP and entropy over the temperature, less that at T = 1; crosses at the fitted temperatures."""
    pyplot = plotting()
    figure, axes = pyplot.subplots(2, len(SETS), figsize=(11, 6.4), sharex=True)
    for line, score in zip(axes, USUAL[:2], strict=True):
        for axis, dataset in zip(line, SETS, strict=True):
            for at, row in enumerate(MAIN):
                own = of(results, dataset=dataset, score=score, row=row)
                if not own:
                    continue
                base = {each["seed"]: each["ap"] for each in own if each["temperature"] == "1"}
                gains: dict[str, list[tuple[float, float]]] = {}
                for each in own:
                    gains.setdefault(each["temperature"], []).append(
                        (each["temperature_value"], 100 * (each["ap"] - base[each["seed"]]))
                    )
                points = {word: tuple(np.mean(pairs, axis=0)) for word, pairs in gains.items()}
                fitted = points.pop("fitted")
                axis.plot(*zip(*sorted(points.values()), strict=True), marker=".", color=COLOURS[at], label=row)
                axis.plot(*fitted, marker="x", color=COLOURS[at], markersize=8, linestyle="")
            axis.axhline(0, color="k", linewidth=0.8)
            axis.set(xscale="log", title=f"{SCORES[score]}, {short(dataset)}", ylabel="AP less AP at T = 1, points")
    for axis in axes[1]:
        axis.set_xlabel("temperature (cross: fitted on validation likelihood)")
    axes[0][0].legend(fontsize=7)
    save(figure, path)


def maps_figure(trained: Path, path: Path) -> None:
    """MSP, entropy and largest logit of the first seed of some rows on a rendered frame, each over its own range."""
    import torch

    from oddroad.learn.checkpoints.format import load_network
    from oddroad.learn.post_hoc import bare_detector
    from oddroad.learn.scores import SCORES as FUNCTIONS
    from oddroad.synthetic.scenes import drive

    *_, frame = drive(seed=3, frames=41, size=(256, 512))
    assert frame.label is not None
    rows = {"CE": "ce", "LN": "ln", "LN + CE": "ln_ce", "EIML": "eiml", "EIML + FL": "eiml_fl"}
    pyplot = plotting()
    figure, axes = pyplot.subplots(len(rows) + 1, 3, figsize=(10, 1.75 * (len(rows) + 1)), layout="constrained")
    for axis in axes.flat:
        axis.set_axis_off()
    axes[0][0].imshow(frame.image)
    axes[0][0].contour(frame.label == ANOMALY, levels=[0.5], colors="cyan", linewidths=1)
    axes[0][0].set_title("the frame, the anomaly outlined", fontsize=8)
    voids = ("void_erfnet", "void_bisenetv2")
    shown = [(axes[0][1 + at], name, "void", f"{name.partition('_')[2]}, void") for at, name in enumerate(voids)]
    for at, (row, name) in enumerate(rows.items()):
        shown += [(axes[at + 1][k], name, score, f"{row}, {SCORES[score]}") for k, score in enumerate(USUAL)]
    for axis, name, score, title in shown:
        network, about = load_network(trained / name / "0" / "model.ckpt")
        with torch.inference_mode():
            heat = FUNCTIONS[score](bare_detector(network, about, None).outputs(torch.from_numpy(frame.image)[None]))[
                0
            ].numpy()
        low, high = np.quantile(heat, [0.5, 0.995])
        axis.imshow(heat, cmap="inferno", vmin=low, vmax=max(high, low + 1e-9), aspect="equal")
        axis.set_title(title, fontsize=8)
    figure.savefig(path, dpi=80)
    pyplot.close(figure)


def main() -> None:
    """Draw all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--trained", type=Path)
    given = parser.parse_args()
    results = read_results(given.results)
    seeds_figure(results, given.out / "loss_study_ap.png")
    temperature_figure(results, given.out / "loss_study_temperature.png")
    names = {path.stem.removesuffix("_0"): read_curves(path) for path in sorted(given.results.glob("*_0.csv"))}
    learning_curves(names, given.out / "loss_study_curves.png")
    if given.trained:
        maps_figure(given.trained, given.out / "loss_study_maps.jpg")


if __name__ == "__main__":
    main()
