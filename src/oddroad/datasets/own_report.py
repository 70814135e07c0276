"""What a set of one's own holds: pixels of each class, drives, and values of masks that its class map lacks."""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from oddroad.datasets.class_map import ClassMap, map_file, read_class_map
from oddroad.datasets.own import own_samples, splits_of
from oddroad.datasets.read import read_codes
from oddroad.datasets.samples import remarks_of
from oddroad.errors import InputError, counted
from oddroad.types import IGNORE, OUTLIER, UNNAMED, Sample

SHOWN = 6
"""Values that a line names at most."""

MEANT = {IGNORE: "ignored", OUTLIER: "outlier", UNNAMED: "in-distribution of no class"}


@dataclass(frozen=True)
class OwnInventory:
    """What one split of a set of one's own holds.

    Attributes:
        name: of the set.
        split: "train" or "val".
        images: number of images with a readable mask.
        drives: names of their drives.
        sizes: "H x W" of a mask -> number.
        pixels: class, or what a value means else -> pixels; classes that no mask shows have 0.
        unnamed: value or colour that the class map lacks -> number of masks that hold it.
        problems: one line for each thing that is wrong.
        remarks: one line for each kind of file that is left out.
    """

    name: str
    split: str
    images: int
    drives: list[str]
    sizes: dict[str, int]
    pixels: dict[str, int]
    unnamed: dict[str, int]
    problems: list[str]
    remarks: list[str]

    def describe(self) -> str:
        """As text for people."""
        total = sum(self.pixels.values()) or 1
        shares = ", ".join(f"{name} {100 * each / total:.3g} %" for name, each in self.pixels.items() if each)
        drives = [each for each in self.drives if each]
        named = (
            f": {', '.join(drives[:SHOWN])}{', ...' if len(drives) > SHOWN else ''}" if drives else ", not told apart"
        )
        lines = [
            f"{self.name} {self.split}: {counted(self.images, 'image')} with masks",
            f"  drives      {len(drives) or 1}{named}",
            f"  sizes       {', '.join(f'{size} ({number})' for size, number in self.sizes.items())}",
            f"  pixels      {shares}",
        ]
        if absent := [name for name, each in self.pixels.items() if not each]:
            lines.append(f"  no pixel of {', '.join(absent)}")
        lines += [f"  left out    {each}" for each in self.remarks]
        return "\n".join(lines + [f"  problem     {each}" for each in self.problems])


def look_at(sample: Sample) -> tuple[str, dict[int, int]] | str:
    """Size and values of a mask; a line where it, or its image, cannot be used."""
    from PIL import Image

    assert sample.label is not None
    assert sample.codes is not None
    try:
        codes = read_codes(sample.label, sample.codes.colours)
        with Image.open(sample.image) as opened:
            size = opened.size[::-1]
    except InputError as error:
        return str(error)
    except OSError as error:
        return f"'{sample.image}' is no readable image ({error})"
    if abs(size[0] * codes.shape[1] - size[1] * codes.shape[0]) > max(size[0] + size[1], sum(codes.shape)):
        return (
            f"'{sample.image}' is {size[0]} x {size[1]} and its mask {codes.shape[0]} x {codes.shape[1]}: other aspects"
        )
    values, counts = np.unique(codes, return_counts=True)
    return f"{codes.shape[0]} x {codes.shape[1]}", dict(zip(values.tolist(), counts.tolist(), strict=True))


def take_own_inventory(root: Path, name: str, split: str) -> OwnInventory:
    """Read every mask of one split.

    Raises:
        InputError: if the set cannot be found, paired or split.
    """
    samples = own_samples(root, name, split)
    path = map_file(root / name)
    assert path is not None
    given = read_class_map(path)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        looked = list(threads.map(look_at, samples))
    problems = [each for each in looked if isinstance(each, str)]
    if len(problems) > SHOWN:
        problems = [*problems[:SHOWN], f"and {counted(len(problems) - SHOWN, 'more file')}"]
    good = [each for each in looked if not isinstance(each, str)]
    pixels = dict.fromkeys(given.classes, 0)
    lacking: Counter[int] = Counter()
    for _, values in good:
        for code, count in values.items():
            label = given.codes.get(code, given.rest)
            if label is None:
                lacking[code] += 1
            else:
                meaning = MEANT.get(label) or given.classes[label]
                pixels[meaning] = pixels.get(meaning, 0) + count
    if lacking:
        problems.insert(0, lacking_words(lacking, given))
    return OwnInventory(
        name,
        split,
        len(good),
        sorted({each.sequence for each in samples}),
        dict(Counter(size for size, _ in good).most_common()),
        pixels,
        {given.shown(code): number for code, number in lacking.most_common()},
        problems,
        remarks_of(samples),
    )


def lacking_words(lacking: Counter[int], given: ClassMap) -> str:
    """The values that a class map lacks as one line, the most frequent first."""
    some = ", ".join(f"{given.shown(code)} ({counted(number, 'mask')})" for code, number in lacking.most_common(SHOWN))
    more = f" and {len(lacking) - SHOWN} more" if len(lacking) > SHOWN else ""
    smooth = "; were they saved as JPEG, or scaled with smooth edges?" if len(lacking) > 64 else ""
    what = "colours" if given.colours else "values"
    return (
        f"masks hold {what} that '{given.path.name}' does not name: {some}{more}; name them, or 'ignore: rest'{smooth}"
    )


def own_inventories(root: Path, name: str) -> list[OwnInventory]:
    """Both splits of a set of one's own; one where it has one.

    Raises:
        InputError: see ``take_own_inventory``.
    """
    return [take_own_inventory(root, name, split) for split in splits_of(root, name)]
