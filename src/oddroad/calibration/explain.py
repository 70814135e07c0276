"""What thresholds and smallest numbers of hits trade: alarms an hour against the delay until an alarm."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from oddroad.card import Card
from oddroad.errors import InputError, counted
from oddroad.files import write_whole

if TYPE_CHECKING:
    from rich.table import Table

SHOWN = 8
"""Thresholds of a table for each smallest number of hits, at most."""

FIGURES, TABLES = (".png", ".svg", ".pdf"), (".json",)


def check_files(files: Sequence[Path]) -> None:
    """Refuse files that are neither figure nor table, before any work.

    Raises:
        InputError: naming the file, or the package that is missing for a figure.
    """
    for each in files:
        if each.suffix.lower() not in (*FIGURES, *TABLES):
            raise InputError(f"--explain '{each}'; expected a figure ({', '.join(FIGURES)}) or a table (.json)")
        if each.suffix.lower() in FIGURES:
            try:
                import matplotlib  # noqa: F401
            except ModuleNotFoundError:
                raise InputError("the figure of --explain needs matplotlib: pip install 'oddroad[report]'") from None


def trade(card: Card, score: str) -> list[dict[str, Any]]:
    """A row for each smallest number of hits and threshold, the highest thresholds first.

    Args:
        card: calibrated with counts of tracks.
        score: its name.

    Returns:
        rows of ``min_hits``, ``threshold``, alarms an hour that were seen and that are promised (None where nothing can
        be), the same in 100 km where the distance is known, and ``delay`` in frames from the first hit to the alarm:
        ``min_hits`` - 1 at least, more where hits were missed.
    """
    rows = []
    for hits, curve in sorted(
        card.calibration["scores"][score]["tracks"]["curves"].items(), key=lambda each: int(each[0])
    ):
        for threshold, promised, seen, far_promised, far_seen, delay in curve:
            row = {"min_hits": int(hits), "threshold": threshold, "seen_per_hour": seen, "promised_per_hour": promised}
            if far_seen is not None:
                row |= {"seen_per_100km": far_seen, "promised_per_100km": far_promised}
            rows.append(row | {"delay_frames": int(hits) - 1 if delay is None else delay})
    return rows


def trade_table(rows: Sequence[dict[str, Any]]) -> Table:
    """The rows of ``trade`` for the terminal, SHOWN thresholds of each smallest number of hits."""
    from rich import box
    from rich.table import Table

    far = any("seen_per_100km" in each for each in rows)
    table = Table(box=box.SIMPLE, caption="promised: of a row that was chosen beforehand")
    heads = ["min_hits", "threshold", "alarms/h seen", "promised"] + ["alarms/100 km seen", "promised"] * far
    for head in [*heads, "delay, frames"]:
        table.add_column(head, justify="right")
    for hits in dict.fromkeys(each["min_hits"] for each in rows):
        own = [each for each in rows if each["min_hits"] == hits]
        for number in np.unique(np.linspace(0, len(own) - 1, SHOWN).round().astype(int)):
            row = own[number]
            cells = [str(hits), f"{row['threshold']:.4g}", *pair(row, "hour"), *(pair(row, "100km") if far else ())]
            table.add_row(*cells, f"{row['delay_frames']:.1f}")
    return table


def pair(row: dict[str, Any], per: str) -> tuple[str, str]:
    """The rates of a row in words: seen and promised, "-" where nothing can be."""
    promised = row[f"promised_per_{per}"]
    return f"{row[f'seen_per_{per}']:.3g}", "-" if promised is None else f"{promised:.3g}"


def trade_figure(rows: Sequence[dict[str, Any]], score: str, path: Path) -> None:
    """Draw the rows of ``trade``: alarms an hour over the threshold and the delay, a line for each number of hits."""
    from oddroad.reporting.figures import COLOURS, plotting, save

    pyplot = plotting()
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9.5, 3.8), sharey=True, width_ratios=(2, 1))
    for colour, hits in zip(COLOURS, dict.fromkeys(each["min_hits"] for each in rows), strict=False):
        own = [each for each in rows if each["min_hits"] == hits]
        known = [each for each in own if each["promised_per_hour"] is not None]
        label = counted(hits, "hit")
        left.plot([e["threshold"] for e in own], [e["seen_per_hour"] for e in own], ":", color=colour)
        left.plot([e["threshold"] for e in known], [e["promised_per_hour"] for e in known], color=colour, label=label)
        right.plot([e["delay_frames"] for e in known], [e["promised_per_hour"] for e in known], ".", color=colour)
    left.set(xlabel=f"threshold of {score}", ylabel="alarms an hour", yscale="symlog")
    left.set_title("promised (lines) and seen (dots)", fontsize=9)
    if left.get_legend_handles_labels()[0]:
        left.legend(title="min_hits")
    right.set(xlabel="frames from first hit to alarm")
    save(figure, path)


def explain(card: Card, files: Sequence[Path]) -> None:
    """Print the trade of each score as a table, and write it to files by their endings: figures and JSON."""
    from rich.console import Console

    console = Console()
    wide = Console(width=200) if not console.is_terminal else console
    found = {score: trade(card, score) for score in card.calibration["scores"]}
    for score, rows in found.items():
        wide.print(score)
        wide.print(trade_table(rows))
    for path in files:
        if path.suffix.lower() in TABLES:
            write_whole(path, json.dumps({"tracking": card.calibration["tracking"], "scores": found}).encode(), "table")
            continue
        for number, (score, rows) in enumerate(found.items()):
            trade_figure(rows, score, path if not number else path.with_stem(f"{path.stem}_{score}"))
