"""What the verbs share: progress bars, sizes, where results go."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from oddroad.errors import InputError

if TYPE_CHECKING:
    from oddroad.detection.pipeline import Summary


@contextlib.contextmanager
def progress_bar(total: int | None) -> Iterator[Callable[[Summary], None]]:
    """A bar with frames a second and the time left, on the terminal's error stream; silent where there is none."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]:.1f} frames/s"), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("", total=total, rate=0.0)
        yield lambda summary: bar.update(task, completed=summary.frames, rate=summary.rate)


@contextlib.contextmanager
def ticking_bar(total: int | None) -> Iterator[Callable[[], None]]:
    """A bar that each call moves by one frame, on the terminal's error stream; silent where there is none."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda: bar.advance(task)


def parse_size(text: str) -> tuple[int, int] | None:
    """A size given as HxW, or "any".

    Raises:
        InputError: if it is neither.
    """
    if text == "any":
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})", text)
    if found is None:
        raise InputError(f"size '{text}'; expected height x width such as 512x1024, or 'any'")
    return int(found[1]), int(found[2])


def default_out(name: str) -> Path:
    """Folder for results where none is given."""
    return Path("out") / name
