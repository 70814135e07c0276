"""The verb ``report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from oddroad.cli.common import say


def report(results: Annotated[tuple[Path, ...], tyro.conf.Positional], out: Path) -> None:
    """Make tables and figures of results, in the shape of the papers' and with published results, on one page.

    Example: oddroad report default.json erfnet.json runs/one --out report

    Args:
        results: files of 'oddroad evaluate --json', the pictures beside them are used; and folders of 'oddroad train',
            whose learning curves are drawn.
        out: folder for report.html and the tables (.md, .csv, .tex) and figures (.png) in it.
    """
    from oddroad.reporting.report import write_report

    for path in write_report(results, out):
        say(path)
