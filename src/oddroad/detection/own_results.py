"""Which of the sources are results of the folder that a run writes to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from oddroad.errors import InputError, counted
from oddroad.io.earlier import is_output
from oddroad.io.reading import ReadReport
from oddroad.io.results import PRODUCTS
from oddroad.io.sources import Source


def keep_apart(sources: Sequence[Source], out: Path, report: ReadReport | None = None) -> list[Source]:
    """The sources that are no results of the folder that is written to.

    Files of an input folder that a run into ``out`` writes are left out and said; one that was named is refused.

    Raises:
        InputError: if a source that was named lies where this run writes, or nothing else is left.
    """
    kept: list[Source] = []
    own: list[Source] = []
    inside = out.resolve()
    for each in sources:
        if each.path is None:
            kept.append(each)
            continue
        path = each.path.resolve()
        folder_given = not each.named and path.is_relative_to(inside) and below_input(each, inside)
        if is_output(each.path, out, PRODUCTS) or folder_given:
            own.append(each)
        else:
            kept.append(each)
    refused = next((each for each in own if each.named), None)
    if refused is not None or (own and not kept):
        raise InputError(
            f"'{(refused or own[0]).place}' lies in the folder of the results, '{out}', where this run would write "
            "over it; choose another folder with --out"
        )
    if own and report is not None:
        report.note(f"left out {counted(len(own), 'file')} of earlier results in '{out}'")
    return kept


def below_input(source: Source, out: Path) -> bool:
    """Whether the folder of the results lies below the folder that a source was found in."""
    assert source.path is not None
    path = source.path.resolve()
    depth = len(Path(source.name).parts)
    root = path.parents[depth - 1] if depth <= len(path.parents) else path.parent
    return out.is_relative_to(root) and out != root
