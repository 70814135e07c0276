"""What the values or colours of somebody's masks mean: ``classes.yaml`` or ``classes.csv`` beside images and masks."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from oddroad.errors import InputError
from oddroad.types import CITYSCAPES_CLASSES, IGNORE, OUTLIER, UNNAMED

FILES = ("classes.yaml", "classes.yml", "classes.csv")
"""Names of a class map's file, in the folder of the set."""

MEANINGS = {"ignore": IGNORE, "outlier": OUTLIER, "known": UNNAMED}
"""What a value may mean beside a class: not judged and not learned, an anomaly, in-distribution of no class."""

MOST_CLASSES = 199
"""Classes at most: training labels from 200 on mean something else."""

KEYS = ("classes", *MEANINGS, "validation", "drive", "mask_suffix")

EXAMPLE = 'classes: {road: 7, car: [26, 27], person: 24}, ignore: [0, 255], outlier: 50; colours as "#804080"'


@dataclass(frozen=True)
class ClassMap:
    """A class map.

    Attributes:
        path: its file.
        classes: names of the classes in the order of the network's outputs; the first is what is driven on.
        codes: value of a mask, or red * 65536 + green * 256 + blue, -> training label: the number of a class, IGNORE,
            OUTLIER or UNNAMED.
        colours: whether masks are told apart by colours.
        rest: training label of everything that the map does not name; None if that is an error.
        validation: names of the drives that validate; none where that is chosen.
        drive: regular expression whose first group, in the path of an image below its folder, is its drive; "" for
            the folder that it lies in.
        mask_suffix: what the names of masks have behind those of their images.
    """

    path: Path
    classes: tuple[str, ...]
    codes: Mapping[int, int]
    colours: bool
    rest: int | None = None
    validation: tuple[str, ...] = ()
    drive: str = ""
    mask_suffix: str = ""

    def to_cityscapes(self) -> np.ndarray | None:
        """(256,) uint8 from own training labels to those of Cityscapes, if all classes are of these; else None."""
        if not set(self.classes) <= set(CITYSCAPES_CLASSES):
            return None
        found = np.arange(256, dtype=np.uint8)
        found[:UNNAMED] = IGNORE
        found[: len(self.classes)] = [CITYSCAPES_CLASSES.index(each) for each in self.classes]
        return found

    def shown(self, code: int) -> str:
        """A value as people write it: 7 or #804080."""
        return f"#{code:06x}" if self.colours else str(code)


def map_file(folder: Path) -> Path | None:
    """The class map of a folder; None for none.

    Raises:
        InputError: if there are several.
    """
    found = [folder / name for name in FILES if (folder / name).is_file()]
    if len(found) > 1:
        raise InputError(f"'{folder}' holds {' and '.join(each.name for each in found)}; keep one of them")
    return found[0] if found else None


def read_class_map(path: Path) -> ClassMap:
    """A class map, every line checked.

    Raises:
        InputError: if it is not as described; the message names what is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the class map '{path}': {error}") from None
    try:
        return from_rows(path, csv.DictReader(text.splitlines())) if path.suffix == ".csv" else from_yaml(path, text)
    except InputError as error:
        raise InputError(f"class map '{path}': {error}") from None


def from_yaml(path: Path, text: str) -> ClassMap:
    """A class map in YAML; see ``read_class_map``."""
    import yaml

    try:
        given = yaml.load(text, Loader=unique_keys(yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise InputError(f"no YAML: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(given, dict) or not isinstance(given.get("classes"), dict):
        raise InputError(f"expected such as {EXAMPLE}")
    if strange := [str(each) for each in given if each not in KEYS]:
        raise InputError(f"no key '{strange[0]}'. There are: {', '.join(KEYS)}")
    pairs = [(str(name), each) for name, values in given["classes"].items() for each in listed(values)]
    empty = [str(name) for name, values in given["classes"].items() if not listed(values)]
    if empty:
        raise InputError(f"class '{empty[0]}' has no value; give it one, or take it out")
    rest = None
    for meaning in MEANINGS:
        for each in listed(given.get(meaning)):
            if each == "rest":
                rest = MEANINGS[meaning]
            else:
                pairs.append((f"={meaning}", each))
    texts = {key: given.get(key, "") for key in ("drive", "mask_suffix")}
    if wrong := [key for key, value in texts.items() if not isinstance(value, str)]:
        raise InputError(f"'{wrong[0]}' should be a text")
    return build(path, pairs, rest, tuple(map(str, listed(given.get("validation")))), **texts)


def unique_keys(loader: Any) -> Any:
    """A YAML loader that refuses a key that stands twice."""
    import yaml

    class Loader(loader):
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            keys = [self.construct_object(key, deep=True) for key, _ in node.value]
            if twice := [each for at, each in enumerate(keys) if each in keys[:at]]:
                raise yaml.YAMLError(f"'{twice[0]}' stands twice")
            return super().construct_mapping(node, deep)

    return Loader


def from_rows(path: Path, rows: csv.DictReader[str]) -> ClassMap:
    """A class map in CSV with the columns name, value or colour, and optionally means; see ``read_class_map``."""
    columns = [(each or "").strip().lower() for each in rows.fieldnames or ()]
    rows.fieldnames = columns
    value = next((each for each in ("value", "colour", "color") if each in columns), None)
    if "name" not in columns or value is None:
        raise InputError(f"has the columns {', '.join(columns) or 'none'}; expected name, value (or colour), and means")
    pairs, rest = [], None
    for number, row in enumerate(rows, 2):
        name, given = (row.get("name") or "").strip(), (row[value] or "").strip()
        means = (row.get("means") or "class").strip().lower()
        if means not in ("class", *MEANINGS):
            raise InputError(f"line {number} means '{means}'; expected class, {', '.join(MEANINGS)}")
        if given == "rest" and means != "class":
            rest = MEANINGS[means]
        elif not name or not given:
            raise InputError(f"line {number} has no name or no value")
        else:
            pairs.append((name if means == "class" else f"={means}", given))
    return build(path, pairs, rest)


def listed(value: Any) -> list[Any]:
    """A value, or several, as a list; empty for none."""
    return [] if value is None else list(value) if isinstance(value, (list, tuple)) else [value]


def code_of(given: Any) -> tuple[int, bool]:
    """A value or colour as a number, and whether it is a colour: 7, "7", "#804080", "128 64 128".

    >>> code_of("#804080") == code_of("128 64 128") == (0x804080, True)
    True

    Raises:
        InputError: if it is neither.
    """
    text = str(given).strip()
    if not isinstance(given, bool):
        if re.fullmatch(r"[0-9]{1,5}", text) and int(text) < 65536:
            return int(text), False
        if re.fullmatch(r"#[0-9a-fA-F]{6}", text):
            return int(text[1:], 16), True
        parts = re.split(r"[\s,;]+", text.strip("()[]"))
        if len(parts) == 3 and all(re.fullmatch(r"[0-9]{1,3}", each) and int(each) < 256 for each in parts):
            red, green, blue = map(int, parts)
            return red << 16 | green << 8 | blue, True
    raise InputError(f'\'{text}\' is no value from 0 to 65535 and no colour such as "#804080" or "128 64 128"')


def build(
    path: Path,
    pairs: Iterable[tuple[str, Any]],
    rest: int | None,
    validation: tuple[str, ...] = (),
    drive: str = "",
    mask_suffix: str = "",
) -> ClassMap:
    """A class map of names, or "=" and a meaning, each with a value.

    Raises:
        InputError: if a value stands twice, values and colours are mixed, or there is no class.
    """
    classes: list[str] = []
    codes: dict[int, int] = {}
    named: dict[int, str] = {}
    kinds: set[bool] = set()
    for name, given in pairs:
        code, colour = code_of(given)
        kinds.add(colour)
        if code in codes:
            raise InputError(f"{given} stands for '{named[code]}' and for '{name.lstrip('=')}'; give it one meaning")
        if name.startswith("="):
            codes[code] = MEANINGS[name[1:]]
        else:
            if name not in classes:
                classes.append(name)
            codes[code] = classes.index(name)
        named[code] = name.lstrip("=")
    if len(kinds) > 1:
        raise InputError("has values and colours; masks hold one or the other")
    if not 2 <= len(classes) <= MOST_CLASSES:
        raise InputError(f"has {len(classes)} classes; expected 2 to {MOST_CLASSES}, what is driven on first")
    if "road" in classes[1:]:
        raise InputError("the class 'road' comes first, for objects are pasted on the first class; move it up")
    try:
        groups = re.compile(drive).groups
    except re.error as error:
        raise InputError(f"'drive' is no regular expression: {error}") from None
    if drive and groups < 1:
        raise InputError(f"'drive' is '{drive}'; expected one group that is the drive, such as \"(.+)_[0-9]+\"")
    return ClassMap(path, tuple(classes), codes, kinds == {True}, rest, validation, drive, mask_suffix)
