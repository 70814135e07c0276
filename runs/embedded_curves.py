"""Draw the learning curves of the embedded detector: its stages one behind the other, seeds of the last one together.

Run as ``python runs/embedded_curves.py PICTURE STAGE ... --seeds RUN ...``; stages and runs are folders that ``oddroad
train`` wrote, and the runs of ``--seeds`` all went on where the last stage ended.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from oddroad.reporting.figures import COLOURS, plotting, save
from oddroad.reporting.learning_curves import PLACE, read_curves

PANELS = {
    "cross_entropy": ("cross-entropy of crops, running mean of 10", 1),
    "ap_outlier_head": ("AP of pasted held-out objects, outlier_head, %", 100),
    "miou": ("mean IoU of validation scenes, %", 100),
}
"""Figure of the log -> title of its panel and its unit; validation is drawn as points."""


def running(values: Sequence[float], width: int = 10) -> np.ndarray:
    """Mean of each value and those before it, ``width`` at most; the same length."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - width, 0)
    return (sums[ends] - sums[starts]) / (ends - starts)


def main() -> None:
    """Draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("picture", type=Path)
    parser.add_argument("stages", type=Path, nargs="+", help="folders of runs, the first first")
    parser.add_argument("--seeds", type=Path, nargs="*", default=[], help="runs from the last stage's weights")
    given = parser.parse_args()
    pyplot = plotting()
    figure, axes = pyplot.subplots(1, len(PANELS), figsize=(4.6 * len(PANELS), 3.6))
    start = 0
    for number, runs in enumerate([*([each] for each in given.stages), given.seeds]):
        longest = start
        for turn, run in enumerate(runs):
            lines = read_curves(run / PLACE)
            longest = max(longest, start + max(step for step, _, _ in lines))
            for axis, (name, (_, scale)) in zip(axes, PANELS.items(), strict=True):
                steps = [start + step for step, what, _ in lines if what == name]
                values = [scale * value for _, what, value in lines if what == name]
                if not steps:
                    continue
                drawn = running(values) if name == "cross_entropy" else values
                style = {"linewidth": 0.9} if name == "cross_entropy" else {"marker": "o", "markersize": 4}
                axis.plot(steps, drawn, color=COLOURS[(number + turn) % len(COLOURS)], label=run.name, **style)
        start = longest
    for axis, (title, _) in zip(axes, PANELS.values(), strict=True):
        axis.set(xlabel="step, all stages", title=title)
        axis.title.set_fontsize(9)
    axes[0].legend(fontsize=7)
    save(figure, given.picture)


if __name__ == "__main__":
    main()
