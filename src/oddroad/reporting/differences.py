"""Paired tests of the measured methods on the same images, as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from oddroad.metrics.intervals import Difference, LeftOut, paired_difference
from oddroad.reporting.sheets import Sheet
from oddroad.reporting.tables import AS_THEY_ARE, HEADS, short

FIGURES = {
    (): ("ap", "fpr95", "f1_star"),
    ("deployed",): ("object_recall", "false_alarms_per_frame"),
    ("deployed", "video"): ("event_recall", "false_alarms_per_hour"),
}
"""Where in a result figures stand -> those of them that are compared."""

TITLE = "Differences on the same images"

NOTE = (
    "Percentage points, of false alarms their number, first method minus second, objects and alarms each at its own "
    "deployed threshold; 95 % interval and p of a paired test that leaves out one image, or "
    "one sequence of frames, at a time. The last p holds for all lines of this table together (Holm): where it is "
    "below 0.05, the two methods differ."
)

COLUMNS = ["data set", "figure", "first", "second", "difference", "95 % interval", "p", "p of all", "units"]


def left_out_of(result: Mapping[str, Any], figure: str) -> LeftOut | None:
    """The figure of a result with each unit left out; None where the result does not keep it."""
    kept = result.get("left_out")
    if result.get(figure) is None or not kept or figure not in kept["figures"]:
        return None
    values = np.array([np.nan if each is None else each for each in kept["figures"][figure]], float)
    return LeftOut(tuple(kept["units"]), {figure: values}, {figure: kept["degrees"][figure]}, {})


def at(result: Mapping[str, Any], place: Sequence[str]) -> Mapping[str, Any]:
    """A part of a result; empty where there is none."""
    for name in place:
        result = result.get(name) or {}
    return result


def pairs(
    results: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> Iterator[tuple[str, str, str, str, Difference, int]]:
    """Data set, figure, both methods, their difference and the number of units, of all methods on the same images."""
    for (one, first), (other, second) in combinations(list(zip(results, names, strict=True)), 2):
        if any(one.get(key) != other.get(key) for key in ("dataset", "split", "protocol", "anomaly_pixels")):
            continue
        for place, figures in FIGURES.items():
            here, there = at(one, place), at(other, place)
            for figure in figures:
                mine, theirs = left_out_of(here, figure), left_out_of(there, figure)
                if mine is None or theirs is None or mine.units != theirs.units:
                    continue
                found = paired_difference((here[figure], there[figure]), (mine, theirs), figure)
                yield one["dataset"], figure, first, second, found, len(mine.units)


def holm(values: Sequence[float]) -> list[float]:
    """The p of each test that holds for all of them together (Holm, Scandinavian Journal of Statistics 6, 1979)."""
    p = np.array(values, float)
    order = np.argsort(p)
    numbers = np.count_nonzero(~np.isnan(p)) - np.arange(len(p))
    adjusted = np.empty(len(p))
    adjusted[order] = np.maximum.accumulate((p[order] * np.maximum(numbers, 1)).clip(max=1))
    return adjusted.tolist()


def differences_sheet(results: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Sheet | None:
    """The table of all pairs; None if no two methods were judged on the same images.

    Args:
        results: of 'oddroad evaluate --json'.
        names: of the row of each.
    """
    found = list(pairs(results, names))
    if not found:
        return None
    together = holm([each.p for *_, each, _ in found])
    rows, numbers = [], {name: [] for name in (*COLUMNS[:5], "low", "high", *COLUMNS[6:])}
    for (dataset, figure, first, second, each, units), p in zip(found, together, strict=True):
        none = np.isnan(each.low)
        scale = 1 if figure in AS_THEY_ARE else 100
        ends = "-" if none else f"[{scale * each.low:+.1f}, {scale * each.high:+.1f}]"
        tests = ["-", "-"] if none else [p_text(each.p), p_text(p)]
        about = [short(dataset), HEADS[figure], first, second]
        rows.append([*about, f"{scale * each.difference:+.2f}", ends, *tests, str(units)])
        values = (dataset, figure, first, second, each.difference, each.low, each.high, each.p, p, units)
        for name, value in zip(numbers, values, strict=True):
            numbers[name].append(scale * value if name in ("difference", "low", "high") else value)
    return Sheet(COLUMNS, rows, numbers=numbers, text_columns=frozenset({0, 1, 2, 3}))


def p_text(p: float) -> str:
    """A p with two digits."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
