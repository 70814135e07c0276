"""Results of several trainings that differ in the seed alone: mean and standard deviation beside the published rows."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from oddroad.datasets import DATASETS
from oddroad.errors import InputError
from oddroad.reporting.sheets import Sheet
from oddroad.reporting.tables import HEADS, SAME_METHOD, published, short

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


def each_once(results: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The results without those that are given twice.

    Raises:
        InputError: if two results of one training, score and data set differ.
    """
    found: dict[tuple[str, ...], Mapping[str, Any]] = {}
    for each in results:
        key = tuple(str(each.get(name, "")) for name in ("row", "seed", "score", "temperature", "dataset", "split"))
        other = found.setdefault(key, each)
        if any(other.get(name) != each.get(name) for name in ("ap", "fpr95", "miou", "model_hash")):
            raise InputError(
                f"two results of row '{each['row']}', seed {each['seed']}, {each['score']} on {each['dataset']} differ "
                f"('{other.get('file', '')}' and '{each.get('file', '')}'); leave one out"
            )
    return list(found.values())


def lines_of(results: Sequence[Mapping[str, Any]]) -> tuple[list[Line], list[tuple[str, str]]]:
    """The lines of the table and its columns (data set, figure).

    Args:
        results: of 'oddroad evaluate --json', with ``row``, ``seed``, and ``temperature`` where there are several.

    Returns:
        the lines, and the columns; the data set of the mean IoU is "" where it was measured on one data set alone.

    Raises:
        InputError: if two results of one training, score and data set differ.
    """
    results = each_once(results)
    semantic: dict[tuple[str, str], list[float]] = {}
    found: dict[tuple[str, str, str], Line] = {}
    judged = {each["dataset"] for each in results if "miou" not in each}
    datasets = [each for each in DATASETS if each in judged]
    class_sets = [name for name in DATASETS if any(each["dataset"] == name and "miou" in each for each in results)]
    for each in results:
        if "miou" in each:
            place = each["dataset"] if len(class_sets) > 1 else ""
            semantic.setdefault((each["row"], place), []).append(100 * each["miou"])
            continue
        key = (each["row"], each["score"], str(each.get("temperature", AS_TRAINED)))
        line = found.setdefault(key, Line(*key))
        for figure in ("ap", "fpr95"):
            line.values.setdefault((each["dataset"], figure), []).append(100 * each[figure])
    places = class_sets if len(class_sets) > 1 else [""]
    for line in found.values():
        line.seeds = max(map(len, line.values.values()))
        for place in places:
            line.values[place, "miou"] = semantic.get((line.row, place), [])
        if line.temperature == AS_TRAINED:
            line.published, line.source = published_row(line.row, line.score)
    order = list(SCORES)
    lines = sorted(
        found.values(),
        key=lambda line: (order.index(line.score) if line.score in order else len(order), line.temperature != "1"),
    )
    columns = [(place, "miou") for place in places]
    return lines, [*columns, *((name, figure) for name in datasets for figure in ("ap", "fpr95"))]


def head(column: tuple[str, str]) -> str:
    """Title of a column."""
    return f"{short(column[0])} {HEADS[column[1]]}".strip()


def heads_of(columns: Sequence[tuple[str, str]]) -> list[str]:
    """Titles: each figure measured and published."""
    pairs = [title for column in columns for title in (head(column), f"{head(column)}, published")]
    return ["Score, row", "seeds", *pairs, "source"]


def cells_of(line: Line, columns: Sequence[tuple[str, str]]) -> list[str]:
    """The cells of a line; a dagger at a published AP that is not above the prevalence of its set."""
    cells = [line.name, str(line.seeds)]
    for column in columns:
        theirs = line.published.get(column)
        share = DATASETS[column[0]].prevalence if column[0] in DATASETS else None
        empty = column[1] == "ap" and theirs is not None and share is not None and theirs <= 100 * share + 0.005
        cells += [line.text(column), "-" if theirs is None else f"{theirs:.2f}" + ("†" if empty else "")]
    return [*cells, line.source or "-"]


def sheet_of(lines: Sequence[Line], columns: Sequence[tuple[str, str]]) -> Sheet:
    """The lines ready to be written; the CSV has mean, standard deviation and published figure of each column."""
    numbers: dict[str, list[Any]] = {
        "row": [line.row for line in lines],
        "score": [line.score for line in lines],
        "temperature": [line.temperature for line in lines],
        "seeds": [line.seeds for line in lines],
    }
    for column in columns:
        values = [line.values.get(column, []) for line in lines]
        numbers[f"{head(column)} mean"] = [statistics.fmean(each) if each else None for each in values]
        numbers[f"{head(column)} standard deviation"] = [
            statistics.stdev(each) if len(each) > 1 else None for each in values
        ]
        numbers[f"{head(column)} published"] = [line.published.get(column) for line in lines]
    numbers["source"] = [line.source for line in lines]
    heads, rows = heads_of(columns), [cells_of(line, columns) for line in lines]
    return Sheet(heads, rows, numbers=numbers, text_columns=frozenset({0, len(heads) - 1}))
