"""Tables of methods that were trained alike, several seeds each: all figures with their cost, and the papers' tables.

Results of such a study name their ``method`` and ``seed``; mean IoU and cost stand beside the figures of a data set.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from oddroad.datasets import DATASETS
from oddroad.errors import InputError
from oddroad.reporting.sheets import Sheet
from oddroad.reporting.tables import HEADS, SMALLER_IS_BETTER, published, short

PAPER, TABLES = "Mask2Anomaly", (1, 2)
"""Short title of the paper whose tables have one row for each method, and the numbers of these tables."""

PUBLISHED_NAMES = {
    "PEBAL": "PEBEL", "Embedding density": "Learning Embedding", "Mask2Anomaly": "Mask2Anomaly (Ours)",
}  # fmt: skip
"""Method -> its name in the paper's tables, where they differ."""

FIGURES = ("ap", "fpr95", "f1_star")

COSTS = {
    "miou": ("mIoU", 100.0, 1), "milliseconds": ("ms an image", 1.0, 0),
    "parameters": ("parameters, M", 1e-6, 2), "training_hours": ("training, hours", 1.0, 3),
}  # fmt: skip
"""Key of a result -> title, what it is multiplied by, decimals."""

TITLE = "All methods on one network"

NOTE = (
    "Percent; mean ± standard deviation over the seeds; a row without ± has one. Bold: best mean; underlined: second. "
    "Milliseconds and hours are processor time of one core."
)

BESIDE_NOTE = (
    "Measured: this network, on the images that were there. Published: other networks, trained on other data. They are "
    "not comparable in size; what can be compared is the order of the methods. - : not measured, or not published."
)


def methods_of(results: Sequence[Mapping[str, Any]]) -> dict[str, dict[tuple[str, str], list[float]]]:
    """Method -> (data set, figure) or ("", cost) -> the values of its seeds, in percent or as COSTS says.

    Raises:
        InputError: if two results of one method, seed and data set differ.
    """
    found: dict[str, dict[tuple[str, str], list[float]]] = {}
    seen: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    counted: set[tuple[Any, ...]] = set()
    for each in results:
        key = each["method"], each["seed"], each["dataset"]
        other = seen.setdefault(key, each)
        if any(other.get(name) != each.get(name) for name in (*FIGURES, "model_hash")):
            raise InputError(
                f"two results of method '{each['method']}', seed {each['seed']}, on {each['dataset']} differ "
                f"('{other.get('file', '')}' and '{each.get('file', '')}'); leave one out"
            )
        if other is not each:
            continue
        own = found.setdefault(each["method"], {})
        for figure in FIGURES:
            if each.get(figure) is not None:
                own.setdefault((each["dataset"], figure), []).append(100 * each[figure])
        if key[:2] not in counted:  # the cost of a training is the same on every data set
            counted.add(key[:2])
            for name, (_, factor, _) in COSTS.items():
                if each.get(name) is not None:
                    own.setdefault(("", name), []).append(factor * each[name])
    return found


def spread(values: Sequence[float], places: int = 2) -> str:
    """Mean ± standard deviation (n - 1 in the denominator), the value alone of one seed, "-" for none.

    >>> spread([1.0, 3.0], 1), spread([2.0]), spread([])
    ('2.0 ± 1.4', '2.00', '-')
    """
    if not values:
        return "-"
    mean = f"{statistics.fmean(values):.{places}f}"
    return f"{mean} ± {statistics.stdev(values):.{places}f}" if len(values) > 1 else mean


def marks_of(columns: Sequence[Sequence[float | None]], smaller: Sequence[bool | None]) -> dict[tuple[int, int], str]:
    """(row, column) -> "best" or "second", of columns of means; None in ``smaller`` marks nothing."""
    found: dict[tuple[int, int], str] = {}
    for at, (column, least) in enumerate(zip(columns, smaller, strict=True)):
        ranked = sorted({round(each, 2) for each in column if each is not None}, reverse=not least)
        for row, value in enumerate(column):
            if least is not None and len(ranked) > 1 and value is not None and round(value, 2) in ranked[:2]:
                found[row, at + 1] = ("best", "second")[ranked.index(round(value, 2))]
    return found


def mean_of(values: Sequence[float]) -> float | None:
    """The mean, None of none."""
    return statistics.fmean(values) if values else None


def whole_sheet(methods: Mapping[str, Mapping[tuple[str, str], Sequence[float]]]) -> Sheet:
    """Every method with all its figures and costs, in the order of the results."""
    datasets = [name for name in DATASETS if any((name, "ap") in each for each in methods.values())]
    places = [(name, figure) for name in datasets for figure in FIGURES]
    costs = [("", name) for name in COSTS if any(("", name) in each for each in methods.values())]
    titles = [f"{short(name)} {HEADS[figure]}" for name, figure in places] + [COSTS[name][0] for _, name in costs]
    rows: list[list[str]] = []
    numbers: dict[str, list[Any]] = {"method": list(methods)}
    for method, own in methods.items():
        seeds = max(map(len, own.values()))
        cells = [spread(own.get(place, [])) for place in places]
        cells += [spread(own.get(("", name), []), COSTS[name][2]) for _, name in costs]
        rows.append([method, str(seeds), *cells])
    columns = [[mean_of(own.get(place, [])) for own in methods.values()] for place in (*places, *costs)]
    for title, place, column in zip(titles, (*places, *costs), columns, strict=True):
        numbers[f"{title} mean"] = column
        values = [own.get(place, []) for own in methods.values()]
        numbers[f"{title} standard deviation"] = [statistics.stdev(each) if len(each) > 1 else None for each in values]
    smaller = [figure in SMALLER_IS_BETTER for _, figure in places] + [None] * len(costs)
    marks = {(row, at + 1): mark for (row, at), mark in marks_of(columns, smaller).items()}
    return Sheet(["Method", "seeds", *titles], rows, marks, numbers=numbers)


def beside_sheet(methods: Mapping[str, Mapping[tuple[str, str], Sequence[float]]], table: Mapping[str, Any]) -> Sheet:
    """A table of the paper, its rows in its order with the measured figures before the published; then our other rows.

    Args:
        methods: of ``methods_of``.
        table: of the published tables: ``columns`` such as "road_obstacle21 ap", ``rows`` in percent.
    """
    places = [tuple(each.rsplit(" ", 1)) for each in table["columns"]]
    theirs = {row[0]: row[1:] for row in table["rows"]}
    names = {PUBLISHED_NAMES.get(each, each): each for each in methods}
    order = [*theirs, *(each for each in names if each not in theirs)]
    heads = ["Method"]
    for name, figure in places:
        heads += [f"{short(name)} {HEADS[figure]}", f"{short(name)} {HEADS[figure]}, published"]
    rows, means = [], []
    for each in order:
        own = methods.get(names.get(each, ""), {})
        cells, values = [names.get(each, each)], []
        for at, place in enumerate(places):
            value = theirs[each][at] if each in theirs else None
            mean = mean_of(own.get(place, []))
            share = DATASETS[place[0]].prevalence
            empty = place[1] == "ap" and mean is not None and share is not None and mean <= 100 * share + 0.005
            cells += [spread(own.get(place, [])) + ("†" if empty else ""), "-" if value is None else f"{value:.2f}"]
            values += [mean, value]
        rows.append(cells)
        means.append(values)
    columns = [[each[at] for each in means] for at in range(len(heads) - 1)]
    smaller = [figure in SMALLER_IS_BETTER for _, figure in places for _ in range(2)]
    numbers = {"method": [row[0] for row in rows], **dict(zip(heads[1:], columns, strict=True))}
    return Sheet(heads, rows, marks_of(columns, smaller), numbers=numbers)


def comparison_sheets(results: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, Sheet, str]]:
    """Name of the file, title, table and note of each table of results with ``method`` and ``seed``; none for none.

    Raises:
        InputError: if two results of one method, seed and data set differ.
    """
    if not results:
        return []
    methods = methods_of(results)
    found = [("comparison", TITLE, whole_sheet(methods), NOTE)]
    for paper in published():
        for table in paper["tables"] if paper["short"] == PAPER else ():
            if table["table"] in TABLES:
                title = (
                    f"{paper['short']}, supplement, Table {table['table']}: {table['caption']}, measured here beside"
                )
                found.append((f"supplement_{table['table']}", title, beside_sheet(methods, table), BESIDE_NOTE))
    return found
