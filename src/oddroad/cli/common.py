"""What the verbs share: messages and progress bars, sizes, where results go."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import json
import re
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from oddroad.errors import InputError, printable
from oddroad.files import write_whole
from oddroad.models.telling import telling

EngineName = Literal[
    "auto", "onnxruntime", "openvino", "onnxruntime-cuda", "onnxruntime-tensorrt", "openvino-gpu", "openvino-npu",
    "ncnn", "litert",
]  # fmt: skip
"""Engines of ``oddroad.inference.engines``, which is heavy to import."""

QUIET: ContextVar[bool] = ContextVar("QUIET", default=False)
"""Whether ``--quiet`` was given; set by the command line around a verb."""


def quiet() -> bool:
    """Whether ``--quiet`` was given."""
    return QUIET.get()


def say(text: object = "", end: str = "\n") -> None:
    """Print a message about the work, unless ``--quiet`` was given; what was asked for is printed by ``print``."""
    if not quiet():
        print(printable_lines(str(text)), end=end, flush=True)


def printable_lines(text: str) -> str:
    r"""A text of several lines, each as ``printable`` makes it.

    >>> printable_lines("a" + chr(7) + chr(10) + "b")
    'a\\x07\nb'
    """
    return "\n".join(map(printable, text.split("\n")))


def one_line_an_argument(doc: str) -> str:
    """A docstring with the help of each argument on one line, which the command line then wraps at its own width."""
    lines: list[str] = []
    for line in doc.splitlines():
        if line.startswith("        ") and lines:
            lines[-1] += f" {line.strip()}"
        else:
            lines.append(line)
    return "\n".join(lines)


def with_quiet(verb: Callable[..., None]) -> Callable[..., None]:
    """The verb with the option ``--quiet``, which holds while it runs."""
    signature = inspect.signature(verb, eval_str=True)
    kind = Annotated[bool, tyro.conf.FlagCreatePairsOff]
    parameter = inspect.Parameter("quiet", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)

    def run(*args: Any, quiet: bool = False, **kwargs: Any) -> None:
        token = QUIET.set(quiet)
        try:
            with telling(None if quiet else lambda line: print(f"oddroad: {printable(line)}", file=sys.stderr)):
                verb(*args, **kwargs)
        finally:
            QUIET.reset(token)

    run.__name__ = verb.__name__
    doc = one_line_an_argument(inspect.getdoc(verb) or "")
    run.__doc__ = f"{doc}\n    quiet: no progress and no messages; errors, and what was asked for, stay."
    run.__annotations__ = {**inspect.get_annotations(verb, eval_str=True), "quiet": kind}
    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), parameter])  # type: ignore[attr-defined]
    return run


@contextlib.contextmanager
def progress_bars(unit: str = "frames") -> Iterator[Callable[[str, int, int | None], None]]:
    """Bars on the terminal's error stream, one for each name that is told; none without a terminal or with ``--quiet``.

    Args:
        unit: what is counted, for the rate.

    Yields:
        a function of a name, what is done of it, and its total or None.
    """
    from rich.console import Console

    console = Console(stderr=True)
    if quiet() or not console.is_terminal:  # before rich 14.3 even a disabled bar ends with an empty line
        yield lambda name, done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Any) -> Text:
            return Text(f"{task.speed:.1f} {unit}/s" if task.speed else "")

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        tasks: dict[str, Any] = {}

        def tell(name: str, done: int, total: int | None) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=total)
            bar.update(tasks[name], completed=done, total=total)

        yield tell


@contextlib.contextmanager
def progress_bar(total: int | None, unit: str = "frames") -> Iterator[Callable[..., None]]:
    """One bar; each call of the yielded function, whatever its arguments, moves it by one.

    Args:
        total: number of calls, or None if it is not known.
        unit: what is counted, for the rate.
    """
    counter = itertools.count(1)
    with progress_bars(unit) as tell:
        yield lambda *_: tell("", next(counter), total)


JsonTo = Annotated[tuple[Path, ...] | None, tyro.conf.arg(metavar="[FILE]")]
"""What ``--json`` takes: no file, for the standard output, or one."""


Place = Annotated[str, tyro.conf.arg(metavar="FOLDER|ADDRESS")]
"""Where results go that may lie on another machine: a folder, or an address such as ``s3://bucket/findings``."""


def json_file(given: tuple[Path, ...] | None) -> Path | None:
    """The file after ``--json``; None where there is none.

    Raises:
        InputError: if there are several, or it is a detector's.
    """
    files = list(given or ())
    if len(files) > 1 or any(each.suffix in (".onnx", ".ckpt") for each in files):
        words = "' '".join(map(str, files))
        raise InputError(f"--json '{words}'; expected one file for JSON, or none to print it (put --json last)")
    return files[0] if files else None


def write_json(given: tuple[Path, ...] | None, *values: Any, indent: int | None = None) -> None:
    """Print values as JSON, each on a line of its own, or write them into the file; nothing where ``given`` is None."""
    path = json_file(given)
    text = "".join(f"{json.dumps(value, indent=indent)}\n" for value in values)
    if path is not None:
        write_whole(path, text.encode(), "JSON")
    elif given is not None:
        print(text, end="", flush=True)


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
