"""The verb ``recipes``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import tyro

from oddroad.cli.common import JsonTo, write_json


def recipes(name: Annotated[str, tyro.conf.Positional] = "", json: JsonTo = None) -> None:
    """List the recipes that come with oddroad, or print one of them, to be changed and trained by.

    Example: oddroad recipes laptop/ce > mine.yaml

    Args:
        name: of a recipe; without one, all are listed.
        json: the list as JSON, or with a name what its file says: printed, or into FILE.
    """
    from pathlib import Path

    from oddroad.shipped_recipes import find_recipe, shipped

    if name:
        path = find_recipe(Path(name))
        if json is None:
            print(path.read_text(encoding="utf-8"), end="")
            return
        from oddroad.recipe import read_recipe

        write_json(json, read_recipe(path).to_dict())
        return
    if json is None:
        for each in shipped():
            print(f"{each.name}\n    {each.about}{f' Cost: {each.cost}' if each.cost else ''}")
    write_json(json, [{**asdict(each), "path": str(each.path)} for each in shipped()])
