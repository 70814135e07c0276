"""The supplement's figure 1: outlier losses by histograms of in-distribution and anomalous pixels, by AP against steps.

    python runs/mask2anomaly_losses.py DATA OUT [--images N]

AP against steps is that of the validations during training; all is measured on held-out objects pasted on validation
scenes.
"""

from __future__ import annotations

import csv

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from mask2anomaly_shared import Run, cell, command_line, detector_of, frames_of, maps_of, save_text, table

from oddroad.learn.scores import SCORES
from oddroad.metrics import PixelMetric
from oddroad.types import ANOMALY, KNOWN

LOSSES = {
    "mask contrastive": "mask2anomaly_s1", "mask contrastive, literal": "literal_s1", "binary cross-entropy": "bce_s1",
    "RbA": "rba_s1",
}  # fmt: skip
BEFORE = "mask2anomaly"


def curve(run: Run, name: str) -> tuple[list[int], list[float]]:
    """Steps and AP in % of the validations of a training."""
    steps, values = [], []
    for log in sorted((run.out / name).glob("log*/metrics*.csv")):
        with log.open() as file:
            for row in csv.DictReader(file):
                if row.get("ap_max_logit"):
                    steps.append(int(row["step"]) + 1)
                    values.append(100 * float(row["ap_max_logit"]))
    return steps, values


def histogram(run: Run, name: str, bins: np.ndarray) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    """Shares of the known and of the odd pixels of the pasted set in each bin of 1 - max S, and the set's figures."""
    detector = detector_of(run.checkpoint(name), {"mask_msp": SCORES["mask_msp"]})
    counts, metric = np.zeros((2, len(bins) - 1)), PixelMetric()
    for frame, image, label in frames_of("pasted", run):
        heat = maps_of(detector, image)["mask_msp"]
        metric.add(heat, label, frame)
        for row, value in enumerate((KNOWN, ANOMALY)):
            counts[row] += np.histogram(np.clip(heat[label == value], 0, 1), bins)[0]
    known, odd = counts / counts.sum(1, keepdims=True).clip(1)
    return known, odd, metric.result()


def main() -> None:
    """Draw the figure, print the figures behind it."""
    run = command_line(__doc__)
    bins = np.linspace(0, 1, 41)
    figure, axes = plt.subplots(1, 2 + len(LOSSES), figsize=(4 * (2 + len(LOSSES)), 3.6), layout="constrained")
    centres, rows = (bins[1:] + bins[:-1]) / 2, []
    for axis, (title, name) in zip(axes, {"before stage two": BEFORE, **LOSSES}.items(), strict=False):
        known, odd, figures = histogram(run, name, bins)
        axis.bar(centres, known, 1 / 40, alpha=0.6, label="known", color="#33618f")
        axis.bar(centres, odd, 1 / 40, alpha=0.6, label="odd", color="#b3261e")
        axis.set(title=title, xlabel="1 - max S", yscale="log", ylim=(1e-5, 1))
        means = [float((share * centres).sum()) for share in (known, odd)]
        steps, values = curve(run, name)
        told = ", ".join(f"{value:.1f}" for value in values) or "-"
        rows.append([title, *(f"{each:.3f}" for each in (*means, means[1] - means[0])), cell(figures), told])
        if name != BEFORE:
            start = curve(run, BEFORE)[1]
            axes[-1].plot([0, *steps] if start else steps, [*start[-1:], *values], "o-", label=title)
    axes[0].legend(frameon=False)
    axes[-1].set(title="AP on pasted held-out objects", xlabel="step of stage two", ylabel="AP, %")
    axes[-1].legend(frameon=False)
    figure.savefig(run.figures / "figure_1.png", dpi=90)
    head = ["loss", "mean score of known pixels", "of odd pixels", "gap", "AP / FPR95, %", "AP at each validation, %"]
    save_text(run, "figure_1", table(head, rows))


if __name__ == "__main__":
    main()
