"""The recipes that come with the package, by name. In a checkout, ``oddroad/recipes`` is a link to ``recipes/``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from oddroad.errors import InputError

FOLDER = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class Shipped:
    """A recipe that comes with the package.

    Attributes:
        name: what ``--recipe`` takes, such as ``laptop/ce``.
        path: the file.
        about: what it trains, in a sentence.
        cost: what it takes, as its file says; "" where it does not.
    """

    name: str
    path: Path
    about: str
    cost: str


def shipped() -> list[Shipped]:
    """Every recipe of the package, in alphabetical order, those in folders last.

    >>> [each.name for each in shipped() if each.name.startswith("laptop/c")]
    ['laptop/ce']
    """
    found = sorted(FOLDER.rglob("*.yaml"), key=lambda path: (len(path.relative_to(FOLDER).parts), str(path)))
    return [Shipped(path.relative_to(FOLDER).with_suffix("").as_posix(), path, *told(path)) for path in found]


def told(path: Path) -> tuple[str, str]:
    """What the comment at the beginning of a recipe says it trains, and what it costs."""
    lines = path.read_text(encoding="utf-8").splitlines()
    end = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
    text = " ".join(line.lstrip("# ").strip() for line in lines[:end])
    about, _, rest = text.partition("Cost: ")
    return about.strip().split(". ")[0].rstrip(".") + ".", re.split(r"(?<=[.)]) (?=[A-Z-])", rest)[0].strip()


def find_recipe(given: Path) -> Path:
    """The file of a recipe: the path that was given, or the recipe of that name which comes with the package.

    >>> find_recipe(Path("embedded_first")).name
    'embedded_first.yaml'

    Raises:
        InputError: if there is neither.
    """
    if given.is_file():
        return given
    name = given.with_suffix("") if given.suffix == ".yaml" else given
    names = {name.as_posix(), *((name.relative_to("recipes").as_posix(),) if name.parts[:1] == ("recipes",) else ())}
    found = next((each.path for each in shipped() if each.name in names), None)
    if found is not None:
        return found
    raise InputError(
        f"no recipe '{given}'; expected a YAML file, or the name of one that comes with oddroad, such as "
        "embedded_first ('oddroad recipes' lists them)"
    )
