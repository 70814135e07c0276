"""Tables in the shape of the papers', methods x data sets, measured and published."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from typing import Any

from oddroad.datasets import DATASETS
from oddroad.metrics.intervals import DELAYS, RATES
from oddroad.reporting.sheets import Sheet

SAME_METHOD = {
    "msp": ("MSP", "Max Softmax"),
    "max_logit": ("MaxLogit", "Max Logit"),
    "entropy": ("MaxEntropy", "Entropy"),
    "energy": ("Energy",),
    "sml": ("SML",),
    "mahalanobis": ("Mahalanobis",),
    "void": ("Void Classifier",),
    "gambler": ("Deep Gambler",),
    "dense_hybrid": ("Dense Hybrid",),
    "pebal": ("PEBEL",),
    "mutual_information": ("MC Dropout",),
}
"""Score -> what the papers call it; other networks and data lie behind it, so it is a comparison and no check."""


SHORT = {
    "road_anomaly21": "RA-21",
    "road_obstacle21": "RO-21",
    "fishyscapes_lost_and_found": "FS L&F",
    "fishyscapes_static": "FS Static",
    "road_anomaly": "Road Anomaly",
    "lost_and_found": "L&F",
    "cityscapes": "Cityscapes",
    "cityscapes_small": "Cityscapes small",
    "camvid": "CamVid",
    "idd_lite": "IDD-Lite",
}


AS_THEY_ARE = {*RATES, *DELAYS}
"""Figures that are no fractions, and not shown in percent."""


SMALLER_IS_BETTER = {"fpr95", "ece", "frames_with_false_alarm", *AS_THEY_ARE}


HEADS = {
    "ap": "AP", "fpr95": "FPR95", "siou": "sIoU", "ppv": "PPV", "f1_star": "F1*", "miou": "mIoU", "ece": "ECE",
    "object_recall": "object recall", "false_alarms_per_frame": "false alarms/frame", "event_recall": "event recall",
    "delay_frames": "delay, frames", "delay_seconds": "delay, s", "false_alarms_per_hour": "false alarms/h",
    "vc_star": "VC*",
}  # fmt: skip


@dataclass(frozen=True)
class Table:
    """A table in the shape of the papers'.

    Attributes:
        title: what it shows.
        columns: (data set, figure) of each column.
        rows: method -> percent of each column (of AS_THEY_ARE the value), None where there is none.
        sources: method -> where it comes from; "" for a measured one.
        prevalence: data set -> percent, for the remark on AP.
        intervals: (method, column) -> low and high in percent, where a value has an interval.
    """

    title: str
    columns: list[tuple[str, str]]
    rows: dict[str, list[float | None]]
    sources: dict[str, str]
    prevalence: dict[str, float]
    intervals: dict[tuple[str, int], tuple[float, float]] = field(default_factory=dict)

    def marks(self) -> dict[tuple[str, int], str]:
        """(method, column) -> "best" or "second", among the measured methods where there are at least two."""
        found = {}
        for at, (_, figure) in enumerate(self.columns):
            values = [row[at] for name, row in self.rows.items() if not self.sources[name]]
            ranked = sorted(
                {round(value, 2) for value in values if value is not None}, reverse=figure not in SMALLER_IS_BETTER
            )
            for name, row in self.rows.items():
                value = row[at]
                if len(ranked) > 1 and not self.sources[name] and value is not None and round(value, 2) in ranked[:2]:
                    found[name, at] = ("best", "second")[ranked.index(round(value, 2))]
        return found

    def informs(self, name: str, at: int) -> bool:
        """Whether a value is no AP at or below the prevalence."""
        dataset, figure = self.columns[at]
        value = self.rows[name][at]
        return not (figure == "ap" and value is not None and value <= self.prevalence.get(dataset, -1) + 0.005)


def published() -> list[dict[str, Any]]:
    """The papers' tables: each paper with ``title`` and ``tables`` of ``columns`` and ``rows`` in percent."""
    folder = resources.files("oddroad.reporting") / "published"
    names = sorted(each.name for each in folder.iterdir() if each.name.endswith(".json"))
    return [json.loads((folder / name).read_text(encoding="utf-8")) for name in names]


def measured_table(
    results: Sequence[Mapping[str, Any]], names: Sequence[str], wanted: Sequence[str], title: str
) -> Table | None:
    """Methods x data sets with the wanted figures; None if no result has them.

    Args:
        results: of 'oddroad evaluate --json'.
        names: of the row of each, see ``method_names``: results of one row are of different data sets, or the same.
        wanted: keys of the figures.
        title: of the table.
    """
    having = [(each, name) for each, name in zip(results, names, strict=True) if wanted[0] in each]
    if not having:
        return None
    datasets = [name for name in DATASETS if any(each["dataset"] == name for each, _ in having)]
    columns = [(dataset, figure) for dataset in datasets for figure in wanted]
    rows: dict[str, list[float | None]] = {name: [None] * len(columns) for _, name in having}
    intervals: dict[tuple[str, int], tuple[float, float]] = {}
    filled: set[tuple[str, str]] = set()
    for each, name in having:
        if (name, each["dataset"]) in filled:  # the cells of a row and a data set are of one result
            continue
        filled.add((name, each["dataset"]))
        for at, (dataset, figure) in enumerate(columns):
            if each["dataset"] == dataset and each.get(figure) is not None:
                scale = 1 if figure in AS_THEY_ARE else 100
                rows[name][at] = scale * each[figure]
                low, high = each.get("intervals", {}).get(figure, (None, None))
                if low is not None and high is not None:
                    intervals[name, at] = scale * low, scale * high
    prevalence = {each["dataset"]: 100 * each["prevalence"] for each, _ in having if each.get("prevalence") is not None}
    return Table(title, columns, rows, dict.fromkeys(rows, ""), prevalence, intervals)


def at_thresholds(
    results: Sequence[Mapping[str, Any]], names: Sequence[str], video: bool = False
) -> tuple[list[dict[str, Any]], list[str]]:
    """The figures of results at the deployed threshold and at the best one as results of their own, and their names.

    Args:
        results: of 'oddroad evaluate --json'.
        names: of the row of each.
        video: the figures of drives instead of those of frames.
    """
    found, called = [], []
    for each, name in zip(results, names, strict=True):
        for kind, place in (("deployed", each.get("deployed")), ("best", each)):
            figures = (place or {}).get("video") if video else place
            if figures is not None and "threshold" in figures:
                found.append({**figures, "dataset": each["dataset"]})
                called.append(f"{name}, {kind} threshold")
    return found, called


def with_published(table: Table) -> Table:
    """The table with the rows of the papers that have one of its columns."""
    rows, sources = dict(table.rows), dict(table.sources)
    for paper in published():
        for each in paper["tables"]:
            at = {
                tuple(column.rsplit(" ", 1)): number + 1
                for number, column in enumerate(each["columns"])
                if " " in column
            }
            if not any(column in at for column in table.columns):
                continue
            for row in each["rows"]:
                if row[0].startswith("σ"):
                    continue
                name = f"{row[0]} [{paper['short']}, Table {each['table']}]"
                rows[name] = [row[at[column]] if column in at else None for column in table.columns]
                sources[name] = f"{paper['title']}, Table {each['table']}"
    official = {name: 100 * entry.prevalence for name, entry in DATASETS.items() if entry.prevalence is not None}
    return replace(table, rows=rows, sources=sources, prevalence={**official, **table.prevalence})


def beside(results: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[list[str]]:
    """Measured and published AP and FPR95 of the same score on the same set, a line each, with what is to be said."""
    lines: list[list[str]] = []
    for result, name in zip(results, names, strict=True):
        seen: set[tuple[str, float]] = set()  # the second table repeats a line of the first
        for paper in published():
            for table in paper["tables"]:
                at = {column: number + 1 for number, column in enumerate(table["columns"])}
                key = f"{result['dataset']} ap"
                if key not in at or result.get("ap") is None:
                    continue
                for row in table["rows"]:
                    if row[0] not in SAME_METHOD.get(result["score"], ()) or row[at[key]] is None:
                        continue
                    official = DATASETS[result["dataset"]].prevalence
                    prevalence = result["prevalence"] if official is None else official
                    if (paper["short"], row[at[key]]) in seen:
                        continue
                    seen.add((paper["short"], row[at[key]]))
                    empty = row[at[key]] <= 100 * prevalence + 0.005
                    fpr95 = row[at[f"{result['dataset']} fpr95"]]
                    lines.append([
                        short(result["dataset"]), name,
                        f"{100 * result['ap']:.2f} / {100 * result['fpr95']:.2f}", f"{row[at[key]]:.2f} / {fpr95:.2f}",
                        f"{paper['short']}, Table {table['table']}", f"{100 * prevalence:.2f}",
                        "the published AP is not above the prevalence: it carries no information" if empty else "",
                    ])  # fmt: skip
    return lines


BESIDE_HEADS = ["data set", "method", "measured AP / FPR95", "published", "source", "prevalence", "remark"]


def text_of(table: Table, name: str, at: int) -> str:
    """A value with two decimals and its interval, "-" for none, a dagger where an AP carries no information."""
    value = table.rows[name][at]
    ends = table.intervals.get((name, at))
    text = "" if ends is None else f" [{ends[0]:.1f}, {ends[1]:.1f}]"
    return "-" if value is None else f"{value:.2f}" + ("" if table.informs(name, at) else "†") + text


def short(dataset: str) -> str:
    """The papers' name of a data set."""
    return SHORT.get(dataset, dataset)


def head(column: tuple[str, str]) -> str:
    """Title of a column."""
    return f"{short(column[0])} {HEADS.get(column[1], column[1])}"


def sheet_of(table: Table) -> Sheet:
    """The table ready to be written: two decimals; the CSV unrounded, with each interval and the source of a row."""
    marks = table.marks()
    names = list(table.rows)
    rows = [[name, *(text_of(table, name, at) for at in range(len(table.columns)))] for name in names]
    first = next((number for number, name in enumerate(names) if table.sources[name]), None)
    numbers: dict[str, list[Any]] = {"method": names, "source": [table.sources[name] or "measured" for name in names]}
    for at, (dataset, figure) in enumerate(table.columns):
        numbers[f"{dataset} {figure}"] = [table.rows[name][at] for name in names]
        ends = [table.intervals.get((name, at), (None, None)) for name in names]
        if any(low is not None for low, _ in ends):
            numbers[f"{dataset} {figure} low"], numbers[f"{dataset} {figure} high"] = map(list, zip(*ends, strict=True))
    return Sheet(
        ["Method", *map(head, table.columns)],
        rows,
        {(names.index(name), at + 1): mark for (name, at), mark in marks.items()},
        first,
        numbers,
    )
