"""Look at every image and label of a set and say what is there."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from oddroad.datasets import DATASETS, completeness
from oddroad.datasets.anomaly import READY
from oddroad.datasets.read import check_shapes, read_image, read_raw_label
from oddroad.datasets.samples import remarks_of
from oddroad.errors import InputError, counted
from oddroad.types import ANOMALY, IGNORE, KNOWN


@dataclass(frozen=True)
class Inventory:
    """What one split of a set holds.

    Attributes:
        name: of the set.
        split: of the set.
        images: number of readable images with a readable label.
        published: number that was published, or None.
        sizes: "H x W" as stored -> number of images.
        labels: label in our terms -> pixels.
        prevalence: share of anomaly pixels among the valid ones; None for a semantic set.
        problems: one line for each thing that is wrong.
        remarks: one line for each kind of file that is left out of the set, with the reason.
    """

    name: str
    split: str
    images: int
    published: int | None
    sizes: dict[str, int]
    labels: dict[int, int]
    prevalence: float | None
    problems: list[str]
    remarks: list[str]


def take_inventory(name: str, root: Path, split: str) -> Inventory:
    """Read every image and label of one split.

    Raises:
        InputError: if the set is not there.
    """
    entry = DATASETS[name]
    samples = entry.load(root, split)
    sizes: Counter[str] = Counter()
    raw = np.zeros(256, np.int64)
    ours = np.zeros(256, np.int64)
    problems = []
    for sample in samples:
        try:
            image, label = read_image(sample), read_raw_label(sample)
            if sample.size is None:
                check_shapes(sample, image.shape[:2], label.shape, None)
        except InputError as error:
            problems.append(str(error))
            continue
        stored = label.shape
        sizes[f"{stored[0]} x {stored[1]}"] += 1
        counts = np.bincount(label.ravel(), minlength=256)
        raw += counts
        np.add.at(ours, sample.lookup, counts)
    if lacking := completeness(name, split, sum(sizes.values())):
        problems.insert(0, lacking)
    lookup = samples[0].lookup
    said = entry.task == "anomaly" and not np.array_equal(lookup, READY)  # by the set's own rule, or by classes.json
    meant = 0 if entry.task == "anomaly" and not said else 34
    if unmapped := [each for each in np.flatnonzero(raw).tolist() if lookup[each] == IGNORE and meant < each < IGNORE]:
        problems.append(f"labels {unmapped} mean nothing in this set and are not judged")
    judged = int(ours[KNOWN] + ours[ANOMALY])
    if entry.task == "anomaly" and not ours[ANOMALY]:
        problems.append(f"no anomaly pixel in any label; {found_values(raw, lookup, name)}")
    return Inventory(
        name,
        split,
        sum(sizes.values()),
        entry.counts.get(split),
        dict(sizes.most_common()),
        {int(value): int(ours[value]) for value in np.flatnonzero(ours)},
        int(ours[ANOMALY]) / judged if entry.task == "anomaly" and judged else None,
        problems,
        remarks_of(samples),
    )


def verify(root: Path, names: list[str] | None = None) -> Iterator[Inventory]:
    """The inventories of all sets found below a root, one after the other.

    Args:
        root: where the sets are.
        names: of the sets to look for; by default all but "folder".

    Raises:
        InputError: if the root does not exist, nothing is found, or a named set is not there.
    """
    if not root.is_dir():
        raise InputError(f"no folder '{root}'; pass the folder that holds the data sets as --root")
    found = 0
    for name in names or [each for each in DATASETS if each != "folder"]:
        entry = DATASETS[name]
        missing: list[InputError] = []
        splits = list(entry.counts) or [entry.split]
        for split in splits:
            try:
                inventory = take_inventory(name, root, split)
            except InputError as error:
                missing.append(error)
                continue
            found += 1
            yield inventory
        if names and len(missing) == len(splits):
            raise missing[0]
    if not found:
        raise InputError(f"no data set below '{root}'; 'oddroad data verify --help' lists the layouts that are read")


def describe(inventory: Inventory) -> str:
    """An inventory as text for people."""
    entry = DATASETS[inventory.name]
    title = f"{inventory.name} {inventory.split}".strip()
    total = sum(inventory.labels.values()) or 1
    names = (
        {KNOWN: "in-distribution", ANOMALY: "anomaly"} if entry.task == "anomaly" else dict(enumerate(entry.classes))
    )
    shares = [
        f"{'not judged' if value == IGNORE else names.get(value, value)} {100 * pixels / total:.3g} %"
        for value, pixels in inventory.labels.items()
    ]
    published = "" if inventory.published is None else f" of {inventory.published} published"
    lines = [
        f"{title}: {counted(inventory.images, 'image')} with masks{published}",
        f"  sizes       {', '.join(f'{size} ({number})' for size, number in inventory.sizes.items())}",
        f"  labels      {', '.join(shares)}",
    ]
    if inventory.prevalence is not None:
        beside = f" (published: {100 * entry.prevalence:.4g} %)" if entry.prevalence else ""
        lines.append(f"  prevalence  {100 * inventory.prevalence:.4g} %{beside}")
    lines += [f"  left out    {each}" for each in inventory.remarks]
    return "\n".join(lines + [f"  problem     {each}" for each in inventory.problems])


def found_values(raw: np.ndarray, lookup: np.ndarray, dataset: str) -> str:
    """Which values some labels hold and what they stand for, in words; for a set of one's own, the line of
    ``classes.json`` that would map them.

    Args:
        raw: (256,) number of pixels of each value.
        lookup: (256,) uint8, value -> KNOWN, ANOMALY or IGNORE.
        dataset: name of the set.
    """
    total = max(int(raw.sum()), 1)
    words = {KNOWN: "in-distribution", ANOMALY: "anomaly", IGNORE: "not judged"}
    values = np.flatnonzero(raw).tolist()
    shares = [f"{each} ({100 * raw[each] / total:.3g} %, {words.get(int(lookup[each]), 'a class')})" for each in values]
    said = f"the labels hold {', '.join(shares[:6])}{', ...' if len(shares) > 6 else ''}"
    if dataset != "folder" or not values:
        return said
    most = int(np.argmax(raw))
    rest = [each for each in values if each != most and (each != IGNORE or len(values) == 2)]
    if not rest:
        return f"{said}: a single value, which no line of classes.json can tell apart; are they the right files?"
    line = json.dumps({"known": [most], "anomaly": rest})
    return f"{said}; classes.json says what they mean: if the rarer values are the anomalies, write {line}"
