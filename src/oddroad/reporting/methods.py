"""Which results are of one method, so that they share a row, and the names of the rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

Result = Mapping[str, Any]

OPTIONS = ("engine", "precision", "weight_storage", "upsample", "flip_tta", "plugin")
"""Keys of a result, where they are there, that make another method of the same model."""

FIGURES = ("ap", "fpr95", "auroc", "f1", "siou", "ppv", "f1_star", "miou", "accuracy", "ece")
"""Figures that two results of one method on one data set must share to be the same result twice."""


def row_key(result: Result) -> tuple[Any, ...]:
    """What makes the method of a result: content of the model, score, protocol and options.

    A folder of saved maps is told by its place, for its content is another one for each data set; what has neither
    hash nor place by the file of results that it stands in.
    """
    saved = result.get("saved_maps", not result["model_hash"])
    content = "" if saved else result["model_hash"]
    place = "" if content else str(result.get("model_file") or result.get("file") or "")
    options = tuple(str(result.get(name, "")) for name in OPTIONS)
    return result["model"], content, place, result["score"], result["protocol"], result["input_size"], options


def row_numbers(results: Sequence[Result]) -> list[int]:
    """The row of each result: a row has one method, and one result for each data set at most.

    The same result twice shares a row; another result of the same method on the same set gets a row of its own.
    """
    rows: list[tuple[tuple[Any, ...], dict[str, Result]]] = []
    numbers = []
    for result in results:
        key, dataset = row_key(result), str(result["dataset"])
        fitting = (
            number
            for number, (other, taken) in enumerate(rows)
            if other == key and (dataset not in taken or same_result(taken[dataset], result))
        )
        number = next(fitting, len(rows))
        if number == len(rows):
            rows.append((key, {}))
        rows[number][1].setdefault(dataset, result)
        numbers.append(number)
    return numbers


def same_result(one: Result, other: Result) -> bool:
    """Whether two results of one method on one data set say the same."""
    where = ("split", "root", "model_hash", "images", *FIGURES)
    return all(one.get(name) == other.get(name) for name in where)


def method_names(results: Sequence[Result]) -> list[str]:
    """The name of the row of each result: model and score, and as much more as tells the rows apart.

    Protocol and size are named where they differ among all results. Rows that still have one name are told apart by
    the folder of the model, then by options, split, file of results, hash, and last by a number.
    """
    numbers = row_numbers(results)
    first = dict(reversed(list(zip(numbers, results, strict=True))))
    settings = {(each["protocol"], each["input_size"]) for each in results}
    names = {}
    for number, each in first.items():
        name = f"{each['model']} {each['score']}".strip()
        names[number] = name if len(settings) == 1 else f"{name} ({each['protocol']}, {each['input_size']})"
    ways: list[Callable[[Result], str]] = [
        *(lambda each, name=name: str(each.get(name) or "")[:24] for name in (*OPTIONS, "split")),
        lambda each: str(each.get("root") or ""),
        lambda each: Path(str(each.get("file") or "")).name,
        lambda each: str(each.get("file") or ""),
        lambda each: str(each["model_hash"])[:12],
    ]
    for group in alike(names):
        folders = told_by_folder([str(first[number].get("model_file") or "") for number in group])
        for number, folder in zip(group, folders, strict=True):
            model = first[number]["model"]
            names[number] = folder + names[number].removeprefix(model) if folder else names[number]
    for way in ways:
        for group in alike(names):
            told = {number: way(first[number]) for number in group}
            if len(set(told.values())) > 1:
                names |= {number: f"{names[number]} [{text}]" for number, text in told.items() if text}
    for group in alike(names):
        names |= {number: f"{names[number]} [{at}]" for at, number in enumerate(group, 1)}
    return [names[number] for number in numbers]


def alike(names: Mapping[int, str]) -> list[list[int]]:
    """The rows that have one name, as lists of two or more, each in order."""
    groups: dict[str, list[int]] = {}
    for number in sorted(names):
        groups.setdefault(names[number], []).append(number)
    return [group for group in groups.values() if len(group) > 1]


def told_by_folder(files: Sequence[str]) -> list[str]:
    """The shortest ends of some paths, without the ending, that tell different paths apart: "a/maps" and "b/maps"."""
    parts = [(*Path(each).parts[:-1], Path(each).stem) if each else () for each in files]
    longest = max(map(len, parts), default=0)
    for depth in range(1, longest + 1):
        ends = ["/".join(each[-depth:]) for each in parts]
        if len(set(ends)) == len(set(files)):
            return ends
    return [""] * len(files)
