"""Results of several trainings that differ in the seed alone: mean and standard deviation beside the published rows."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from oddroad.datasets import DATASETS
from oddroad.reporting.tables import HEADS, SAME_METHOD, for_latex, published, short

SCORES = {"msp": "MSP", "entropy": "MaxEntropy", "max_logit": "MaxLogit", "void": "Void"}
"""Scores in the order of the papers' tables, and their names there."""


PAPER = "Real-time"
"""Short title of the paper whose tables have such rows."""


AS_TRAINED = "1"
"""The temperature at which nothing is divided."""


@dataclass
class Line:
    """One row and score.

    Attributes:
        row: what was trained, in the papers' words, such as "LN + CE".
        score: key of the score.
        temperature: "1", another number, or "fitted".
        values: (data set, figure) -> percent, of each seed.
        seeds: number of seeds.
        published: (data set, figure) -> percent.
        source: of the published figures.
    """

    row: str
    score: str
    temperature: str
    values: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    seeds: int = 0
    published: dict[tuple[str, str], float] = field(default_factory=dict)
    source: str = ""

    @property
    def name(self) -> str:
        """Score, temperature and row."""
        cooled = "" if self.temperature == AS_TRAINED else f" (T {self.temperature})"
        return f"{SCORES.get(self.score, self.score)}{cooled}, {self.row}"

    def text(self, column: tuple[str, str]) -> str:
        """Mean ± standard deviation over the seeds (n - 1 in the denominator); the value alone of a single seed."""
        values = self.values.get(column, [])
        if not values:
            return "-"
        mean = f"{statistics.fmean(values):.2f}"
        return f"{mean} ± {statistics.stdev(values):.2f}" if len(values) > 1 else mean


def published_row(row: str, score: str) -> tuple[dict[tuple[str, str], float], str]:
    """The papers' figures of a row and score, and where they stand; empty if there are none.

    A row of losses is called "MSP, LN + CE" there; cross-entropy alone is the paper's pre-trained network, "MSP"; a
    void classifier is called as its network.
    """
    methods = SAME_METHOD.get(score, ())
    wanted = {row} if score == "void" else {f"{method}, {row}" for method in methods}
    wanted |= set(methods) if row == "CE" else set()
    for paper in published():
        for table in paper["tables"] if paper["short"] == PAPER else ():
            for name, *figures in table["rows"]:
                if name in wanted:
                    columns = [tuple(each.split(" ")) if " " in each else ("", each) for each in table["columns"]]
                    found = {at: value for at, value in zip(columns, figures, strict=True) if value is not None}
                    return found, f"{paper['short']}, Table {table['table']}"
    return {}, ""


def lines_of(results: Sequence[Mapping[str, Any]]) -> tuple[list[Line], list[tuple[str, str]]]:
    """The lines of the table and its columns (data set, figure); the data set of mIoU and calibration is "".

    Args:
        results: of 'oddroad evaluate --json', with ``row``, ``seed``, and ``temperature`` where there are several.
    """
    semantic: dict[str, list[Mapping[str, Any]]] = {}
    found: dict[tuple[str, str, str], Line] = {}
    judged = {each["dataset"] for each in results if "miou" not in each}
    datasets = [each for each in DATASETS if each in judged]
    for each in results:
        if "miou" in each:
            semantic.setdefault(each["row"], []).append(each)
            continue
        key = (each["row"], each["score"], str(each.get("temperature", AS_TRAINED)))
        line = found.setdefault(key, Line(*key))
        for figure in ("ap", "fpr95"):
            line.values.setdefault((each["dataset"], figure), []).append(100 * each[figure])
    for line in found.values():
        line.seeds = max(map(len, line.values.values()))
        line.values["", "miou"] = [100 * each["miou"] for each in semantic.get(line.row, [])]
        if line.temperature == AS_TRAINED:
            line.published, line.source = published_row(line.row, line.score)
    order = list(SCORES)
    lines = sorted(
        found.values(),
        key=lambda line: (order.index(line.score) if line.score in order else len(order), line.temperature != "1"),
    )
    return lines, [("", "miou"), *((name, figure) for name in datasets for figure in ("ap", "fpr95"))]


def head(column: tuple[str, str]) -> str:
    """Title of a column."""
    return f"{short(column[0])} {HEADS[column[1]]}".strip()


def heads_of(columns: Sequence[tuple[str, str]]) -> list[str]:
    """Titles: each figure measured and published."""
    pairs = [title for column in columns for title in (head(column), "published")]
    return ["Score, row", "seeds", *pairs, "source"]


def cells_of(line: Line, columns: Sequence[tuple[str, str]]) -> list[str]:
    """The cells of a line; a dagger at a published AP that is not above the prevalence of its set."""
    cells = [line.name, str(line.seeds)]
    for column in columns:
        known = line.published.get(column)
        share = DATASETS[column[0]].prevalence if column[0] in DATASETS else None
        empty = column[1] == "ap" and known is not None and share is not None and known <= 100 * share + 0.005
        cells += [line.text(column), "-" if known is None else f"{known:.2f}" + ("†" if empty else "")]
    return [*cells, line.source or "-"]


def markdown(lines: Sequence[Line], columns: Sequence[tuple[str, str]]) -> str:
    """The table for Markdown."""
    heads = heads_of(columns)
    rows = ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)]
    return "\n".join([*rows, *("| " + " | ".join(cells_of(line, columns)) + " |" for line in lines)]) + "\n"


def comma_separated(lines: Sequence[Line], columns: Sequence[tuple[str, str]]) -> str:
    """The table as CSV in percent: mean, standard deviation and published figure of each column."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    parts = ("mean", "standard deviation", "published")
    titles = [f"{head(column)} {part}" for column in columns for part in parts]
    writer.writerow(["row", "score", "temperature", "seeds", *titles, "source"])
    for line in lines:
        cells: list[str] = []
        for column in columns:
            values, known = line.values.get(column, []), line.published.get(column)
            cells += [f"{statistics.fmean(values):.6g}" if values else ""]
            cells += [f"{statistics.stdev(values):.6g}" if len(values) > 1 else "", "" if known is None else f"{known}"]
        writer.writerow([line.row, line.score, line.temperature, line.seeds, *cells, line.source])
    return out.getvalue()


def latex(lines: Sequence[Line], columns: Sequence[tuple[str, str]]) -> str:
    """The table for LaTeX (booktabs)."""

    def row(cells: Sequence[str]) -> str:
        return " & ".join(for_latex(each).replace("±", r"$\pm$") for each in cells) + r" \\"

    heads = heads_of(columns)
    body = [row(cells_of(line, columns)) for line in lines]
    top = [rf"\begin{{tabular}}{{l{'r' * (len(heads) - 2)}l}}", r"\toprule", row(heads), r"\midrule"]
    return "\n".join([*top, *body, r"\bottomrule", r"\end{tabular}"]) + "\n"
