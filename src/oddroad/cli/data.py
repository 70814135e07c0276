"""The verbs ``data ...``."""

from __future__ import annotations

from pathlib import Path

from oddroad.errors import pick


def verify_data(root: Path, data: tuple[str, ...] = (), json: bool = False) -> None:
    """List what data sets a folder holds: images, sizes, labels, prevalence, against the published counts.

    Example: oddroad data verify --root ~/datasets

    Ends with exit code 1 if a set is incomplete or something else is wrong with it.

    Args:
        root: folder at or below which the sets lie, in their official layouts or as Validation_Dataset.
        data: names of the sets to look for; by default all.
        json: print one JSON object a line.
    """
    from dataclasses import asdict
    from json import dumps

    from oddroad.datasets import DATASETS
    from oddroad.datasets.verify import describe, verify

    names = [name for name in data if pick(DATASETS, name, "data set")]
    sound = True
    for inventory in verify(root, names):
        sound = sound and not inventory.problems
        print(dumps(asdict(inventory)) if json else describe(inventory), flush=True)
    if not sound:
        raise SystemExit(1)
