"""Results of an evaluation as a table on the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

HEADS = {
    "ap": "AP", "fpr95": "FPR95", "auroc": "AUROC", "prevalence": "prevalence", "f1": "F1", "siou": "sIoU",
    "ppv": "PPV", "f1_star": "F1*", "miou": "mIoU", "accuracy": "accuracy", "ece": "ECE",
}  # fmt: skip
"""Figure -> title of its column."""

WITH_INTERVAL = ("ap", "fpr95")
"""Figures whose interval stands in the table; the others are in the JSON and in the report."""

ANOMALY_FIGURES = ("ap", "fpr95", "auroc", "prevalence", "f1", "siou", "ppv", "f1_star")
CLASS_FIGURES = ("miou", "accuracy", "ece")

WIDE = 240
"""Columns of text where there is no terminal, so that no table is cut."""


def percent(result: dict[str, Any], key: str) -> str:
    """A figure in percent, with its interval where there is room for one; a dash where it is undefined."""
    value = result.get(key)
    if value is None or math.isnan(value):
        return "-"
    ends = result.get("intervals", {}).get(key, (None, None))
    if key not in WITH_INTERVAL or None in ends:
        return f"{100 * value:.2f}"
    return f"{100 * value:.2f} [{100 * ends[0]:.1f}, {100 * ends[1]:.1f}]"


def tables(results: Sequence[dict[str, Any]]) -> list[Table]:
    """A table of the anomaly sets and one of the class sets, as far as there are results."""
    from rich import box
    from rich.table import Table

    found = []
    for keys in (ANOMALY_FIGURES, CLASS_FIGURES):
        rows = [each for each in results if keys[0] in each]
        if not rows:
            continue
        made = Table(box=box.SIMPLE_HEAD)
        for head in ("data set", "score"):
            made.add_column(head, overflow="fold")
        for head in ("images", "input", *(HEADS[key] for key in keys)):
            made.add_column(head, justify="right")
        for each in rows:
            names = f"{each['dataset']} {each.get('split') or ''}".strip(), each["score"] or "classes"
            made.add_row(*names, str(each["images"]), each["input_size"], *(percent(each, key) for key in keys))
        found.append(made)
    return found


def print_results(results: Sequence[dict[str, Any]], console: Console | None = None) -> None:
    """Print all results in percent, and their notes, a line each."""
    from rich.console import Console

    console = console or Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = WIDE
    for each in tables(results):
        console.print(each)
    protocols = sorted({f"protocol {each['protocol']}" for each in results})
    ends = {each["left_out"]["of"] for each in results if "left_out" in each}
    intervals = f"; [95 % interval over {' or '.join(sorted(ends))}]" if ends else ""
    line = f"percent{intervals}; {', '.join(protocols)}; best threshold for F1, sIoU, PPV and F1*"
    console.print(line, soft_wrap=True)
    for each in results:
        for note in each["notes"]:
            console.print(f"{each['dataset']} {each['score']}: {note}", soft_wrap=True)
