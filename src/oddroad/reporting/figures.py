"""Figures of a report: curves, reliability diagrams, and frames as image, truth and maps. They compute nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from oddroad.datasets.read import read_numbers
from oddroad.errors import InputError
from oddroad.files import written_whole
from oddroad.io.images import read_image, resize_nearest
from oddroad.types import ANOMALY, IGNORE

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C564B")
"""Okabe and Ito's colours, told apart by all kinds of sight; methods beyond them repeat with other lines."""


LINES = ("-", "--", ":", "-.")


MOST_MAPS = 6


Results = Sequence[Mapping[str, Any]]


def plotting() -> Any:
    """Matplotlib's pyplot, drawing without a screen."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.rcParams.update({"font.size": 9, "axes.grid": True, "grid.alpha": 0.3, "axes.axisbelow": True})
    pyplot.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})
    return pyplot


def save(figure: Any, path: Path) -> Path:
    """Write a figure and close it."""
    with written_whole(path, "figure") as partial:
        figure.savefig(partial, dpi=130, bbox_inches="tight", facecolor="white", format=path.suffix[1:].lower())
    plotting().close(figure)
    return path


def learning_curves(runs: Mapping[str, Sequence[tuple[int, str, float]]], path: Path) -> Path:
    """Training loss and validation mean IoU over the steps, a line a run, as in Figure 2 of the first paper.

    Args:
        runs: name -> (step, figure, value) of each line of its log.
        path: where to.

    Raises:
        InputError: if no run logged a loss or a mean IoU.
    """
    pyplot = plotting()
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9.5, 3.8))
    drawn = 0
    for number, (name, lines) in enumerate(runs.items()):
        style = {"color": COLOURS[number % len(COLOURS)], "linestyle": LINES[number // len(COLOURS) % len(LINES)]}
        for axis, wanted, scale in ((left, "loss", 1), (right, "miou", 100)):
            points = [(step, scale * value) for step, what, value in lines if what == wanted]
            if points:
                drawn += 1
                axis.plot(*zip(*points, strict=True), label=name, marker=".", markersize=3, **style)
    if not drawn:
        pyplot.close(figure)
        raise InputError(f"no loss and no mean IoU in the logs of {', '.join(runs)}; were these runs stopped at once?")
    left.set(xlabel="step", ylabel="training loss (each in its own unit)")
    right.set(xlabel="step", ylabel="validation mean IoU, %")
    (right if right.lines else left).legend(fontsize=7, loc="best")
    return save(figure, path)


def curves(results: Results, names: Sequence[str], path: Path) -> Path:
    """Precision-recall and ROC curves of the methods on one data set, the false positives on a logarithmic axis.

    Args:
        results: of one data set, each with ``curve`` (lists ``recall``, ``precision`` and ``fpr`` of one length, in
            0..1), ``ap``, ``fpr95`` and ``prevalence``.
        names: of the method of each.
        path: where to.
    """
    pyplot = plotting()
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9.5, 3.8))
    for number, (result, name) in enumerate(zip(results, names, strict=True)):
        curve = result["curve"]
        style = {"color": COLOURS[number % len(COLOURS)], "linestyle": LINES[number // len(COLOURS) % len(LINES)]}
        label = f"{name}  (AP {100 * result['ap']:.1f}, FPR95 {100 * result['fpr95']:.1f})"
        left.plot(curve["recall"], curve["precision"], label=label, **style)
        right.plot(np.maximum(curve["fpr"], 1e-6), curve["recall"], **style)
    prevalence = results[0]["prevalence"]
    left.axhline(prevalence, color="#888888", linewidth=0.8, linestyle=(0, (1, 2)))
    right.axhline(0.95, color="#888888", linewidth=0.8, linestyle=(0, (1, 2)))
    left.set(
        xlabel="recall",
        ylabel="precision",
        xlim=(0, 1),
        ylim=(0, 1.02),
        title=f"precision and recall (dotted: prevalence {100 * prevalence:.2g} %)",
    )
    floor = max(1e-5, min(float(np.min(np.maximum(each["curve"]["fpr"], 1e-6))) for each in results))
    right.set(
        xlabel="false positive rate",
        ylabel="true positive rate",
        xscale="log",
        xlim=(floor, 1),
        ylim=(0, 1.02),
        title="ROC (dotted: 95 % found)",
    )
    figure.legend(loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=2 if len(names) > 1 else 1, fontsize=8)
    figure.subplots_adjust(wspace=0.25, bottom=0.14)
    return save(figure, path)


def reliability(result: Mapping[str, Any], name: str, path: Path) -> Path:
    """Accuracy over confidence, and where the pixels are.

    Args:
        result: with ``reliability`` (lists ``pixels``, ``confidence`` and ``accuracy``, an entry a bin), ``ece``, 0..1.
        name: of the method.
        path: where to.
    """
    pyplot = plotting()
    found = {key: np.array(values) for key, values in result["reliability"].items()}
    filled = found["pixels"] > 0
    edges = np.linspace(0, 1, len(filled) + 1)
    centre, width = (edges[:-1] + edges[1:]) / 2, edges[1]
    figure, (top, bottom) = pyplot.subplots(2, 1, figsize=(4.2, 4.8), sharex=True, height_ratios=(3, 1))
    top.bar(centre[filled], found["accuracy"][filled], width * 0.95, color=COLOURS[0], label="accuracy")
    top.plot(found["confidence"][filled], found["accuracy"][filled], ".", color="black", markersize=4)
    top.plot([0, 1], [0, 1], color="#888888", linewidth=1, linestyle="--", label="perfectly calibrated")
    top.set(ylabel="accuracy", ylim=(0, 1.02), title=f"{name} on {result['dataset']}: ECE {100 * result['ece']:.2f} %")
    top.legend(loc="upper left", fontsize=8)
    bottom.bar(centre, found["pixels"] / max(found["pixels"].sum(), 1), width * 0.95, color="#999999")
    bottom.set(xlabel="confidence", ylabel="share of pixels", xlim=(0, 1))
    return save(figure, path)


def representative_frames(results: Results) -> list[tuple[str, str]]:
    """The best, median and worst frame by their AP averaged over the methods: (which, name), each frame once."""
    gathered: dict[str, list[float]] = {}
    for result in results:
        for frame in result["frames"]:
            if frame["ap"] is not None:
                gathered.setdefault(frame["name"], []).append(frame["ap"])
    ranked = sorted(
        (name for name, each in gathered.items() if len(each) == len(results)), key=lambda name: np.mean(gathered[name])
    )
    if not ranked:
        return []
    wanted = {"best": ranked[-1], "median": ranked[len(ranked) // 2], "worst": ranked[0]}
    return [
        (which, name) for which, name in wanted.items() if list(wanted.values()).count(name) == 1 or which == "best"
    ]


def of_truth(label: np.ndarray) -> np.ndarray:
    """A label (H, W) uint8 as a picture (H, W, 3) uint8 RGB: anomalies orange, in-distribution dark, the rest grey."""
    picture = np.full((*label.shape, 3), 40, np.uint8)
    picture[label == ANOMALY] = (255, 140, 0)
    picture[label == IGNORE] = (150, 150, 150)
    return picture


def of_heat(heat: np.ndarray, label: np.ndarray) -> np.ndarray:
    """A map (H, W) uint8 as a picture (H, W, 3) uint8 RGB, faded where the label (h, w) says that it is not judged."""
    bgr = cv2.applyColorMap(heat, cv2.COLORMAP_INFERNO)
    label = resize_nearest(label, (heat.shape[0], heat.shape[1]))
    bgr[label == IGNORE] = bgr[label == IGNORE] // 3 + 130
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def load(path: Path) -> np.ndarray:
    """A picture that the evaluation kept: numbers (H, W) uint8 of a .png, (H, W, 3) uint8 RGB of a .jpg.

    Raises:
        InputError: if it is gone or damaged.
    """
    try:
        return read_numbers(path) if path.suffix == ".png" else read_image(path)
    except InputError as error:
        raise InputError(f"{error}; run 'oddroad evaluate' again, it writes the pictures of a report") from None


def heat_path(folder: Path, frame: str, result: Mapping[str, Any]) -> Path:
    """Where the evaluation kept the picture of a frame's map."""
    return folder / f"{frame}.{str(result['score']).replace('/', '_')}.png"


def grid(results: Results, names: Sequence[str], folders: Sequence[Path], path: Path) -> Path | None:
    """Rows of frames, columns of image, truth and the map of each method; None if no pictures were kept.

    Every map is drawn on one scale for all frames of its set, from the 5 % to the 99.9 % quantile of its scores.

    Args:
        results: of 'oddroad evaluate --json' on one data set.
        names: of the method of each.
        folders: of the pictures of each.
        path: where to.

    Raises:
        InputError: if a picture is damaged.
    """
    shown = [
        (result, name, folder) for result, name, folder in zip(results, names, folders, strict=True) if folder.is_dir()
    ][:MOST_MAPS]
    if not shown:
        return None
    frames = [
        (which, frame)
        for which, frame in representative_frames([result for result, _, _ in shown])
        if all(heat_path(folder, frame, result).is_file() for result, _, folder in shown)
    ]
    if not frames:
        return None
    pyplot = plotting()
    columns = 2 + len(shown)
    first = load(shown[0][2] / f"{frames[0][1]}.truth.png")
    height = 2.6 * first.shape[0] / first.shape[1]
    figure, axes = pyplot.subplots(
        len(frames), columns, figsize=(2.6 * columns, (height + 0.25) * len(frames)), squeeze=False
    )
    for row, (which, frame) in zip(axes, frames, strict=True):
        place = shown[0][2]
        image = load(place / f"{frame}.image.jpg")
        label = load(place / f"{frame}.truth.png")
        row[0].imshow(image)
        row[1].imshow(of_truth(label))
        for axis, (result, _, folder) in zip(row[2:], shown, strict=True):
            heat = load(heat_path(folder, frame, result))
            axis.imshow(of_heat(heat, label))
            ap = next(each["ap"] for each in result["frames"] if each["name"] == frame)
            axis.set_xlabel(f"AP {100 * ap:.1f}", fontsize=8)
        row[0].set_ylabel(which, fontsize=10)
        row[0].set_xlabel(frame if len(frame) < 32 else f"{frame[:30]}...", fontsize=8)
        for axis in row:
            axis.set(xticks=[], yticks=[])
            axis.grid(visible=False)
    for axis, title in zip(axes[0], ["image", "truth", *(name for _, name, _ in shown)], strict=True):
        axis.set_title(title.replace(" (", "\n("), fontsize=9)
    figure.subplots_adjust(wspace=0.04, hspace=0.2)
    return save(figure, path)
