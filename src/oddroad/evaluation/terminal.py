"""Results of an evaluation as a table on the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from oddroad.errors import printable
from oddroad.metrics.intervals import DELAYS, RATES

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

HEADS = {
    "ap": "AP", "fpr95": "FPR95", "auroc": "AUROC", "prevalence": "prevalence", "f1": "F1", "siou": "sIoU",
    "ppv": "PPV", "f1_star": "F1*", "miou": "mIoU", "accuracy": "accuracy", "ece": "ECE",
    "object_recall": "object recall", "false_alarms_per_frame": "false alarms/frame",
    "frames_with_false_alarm": "frames with one", "event_recall": "event recall", "delay_frames": "delay, frames",
    "delay_seconds": "delay, s", "alarms_per_hour": "alarms/h", "false_alarms_per_hour": "false alarms/h",
    "vc_star": "VC*",
}  # fmt: skip
"""Figure -> title of its column."""

WITH_INTERVAL = ("ap", "fpr95")
"""Figures whose interval stands in the table; the others are in the JSON and in the report."""

ANOMALY_FIGURES = ("ap", "fpr95", "auroc", "prevalence", "f1", "siou", "ppv", "f1_star")
THRESHOLD_FIGURES = ("object_recall", "false_alarms_per_frame", "frames_with_false_alarm", "siou", "ppv", "f1_star")
VIDEO_FIGURES = (
    "event_recall", "delay_frames", "delay_seconds", "alarms_per_hour", "false_alarms_per_hour", "vc_star",
)  # fmt: skip
CLASS_FIGURES = ("miou", "accuracy", "ece")

WIDE = 240
"""Columns of text where there is no terminal, so that no table is cut."""


def percent(result: dict[str, Any], key: str, shown: Sequence[str] = WITH_INTERVAL) -> str:
    """A figure, in percent if it is a fraction, with its interval where that is shown; a dash where it is undefined."""
    value = result.get(key)
    if value is None or math.isnan(value):
        return "-"
    scale = 1 if key in (*RATES, *DELAYS) else 100
    ends = result.get("intervals", {}).get(key, (None, None))
    if key not in shown or None in ends or math.isnan(ends[0]):
        return f"{scale * value:.2f}"
    return f"{scale * value:.2f} [{scale * ends[0]:.1f}, {scale * ends[1]:.1f}]"


def places_of(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Where the figures at a threshold stand: at the best one, and at the deployed one where there is one."""
    return {"best": result} | ({"deployed": result["deployed"]} if "deployed" in result else {})


def threshold_tables(results: Sequence[dict[str, Any]]) -> list[Table]:
    """A table of objects and components at each threshold, and one of drives, as far as there are results."""
    from rich import box
    from rich.table import Table

    found = []
    for video, keys in ((False, THRESHOLD_FIGURES), (True, VIDEO_FIGURES)):
        rows = []
        for each in results:
            for name, place in places_of(each).items() if "object_recall" in each else ():
                if (figures := place.get("video") if video else place) is not None:
                    where = f"{each['dataset']} {each.get('split') or ''}".strip()
                    cells = (percent(figures, key, keys) for key in keys)
                    rows.append((where, each["score"], f"{name} {figures['threshold']:.4g}", *cells))
        if not rows:
            continue
        made = Table(box=box.SIMPLE_HEAD)
        for head in ("drives of" if video else "data set", "score", "threshold"):
            made.add_column(head, overflow="fold")
        for key in keys:
            made.add_column(HEADS[key], justify="right")
        for row in rows:
            made.add_row(*row)
        found.append(made)
    return found


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
    for each in (*tables(results), *threshold_tables(results)):
        console.print(each)
    protocols = sorted({f"protocol {each['protocol']}" for each in results})
    ends = {each["left_out"]["of"] for each in results if "left_out" in each}
    intervals = f"; [95 % interval over {' or '.join(sorted(ends))}]" if ends else ""
    best = "best threshold for F1, sIoU, PPV and F1* unless said otherwise"
    line = f"percent, rates and delays as they are{intervals}; {', '.join(protocols)}; {best}"
    console.print(line, soft_wrap=True)
    for each in results:
        for note in each["notes"]:
            console.print(printable(f"{each['dataset']} {each['score']}: {note}"), soft_wrap=True)
