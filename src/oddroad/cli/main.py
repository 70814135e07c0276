"""The command line: it finds the verb, checks its options and runs it; a bad input is one line and exit code 2."""

from __future__ import annotations

import contextlib
import inspect
import io
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tyro

from oddroad.cli.benchmark import benchmark
from oddroad.cli.calibrate import calibrate
from oddroad.cli.convert import convert
from oddroad.cli.data import verify_data
from oddroad.cli.demo import demo
from oddroad.cli.detect import detect
from oddroad.cli.evaluate import evaluate
from oddroad.cli.export import export
from oddroad.cli.info import info
from oddroad.cli.report import report
from oddroad.cli.train import train
from oddroad.errors import InputError, pick
from oddroad.recipe import read_recipe

VERBS: dict[str, Callable[..., Any]] = {
    "detect": detect,
    "demo": demo,
    "info": info,
    "train": train,
    "convert": convert,
    "export": export,
    "data verify": verify_data,
    "evaluate": evaluate,
    "benchmark": benchmark,
    "report": report,
    "calibrate": calibrate,
}
"""Verb -> function. Its parameters are the options, its docstring is the help. A verb may be two words."""


def usage() -> str:
    """The verbs, a line each."""
    lines = ["usage: oddroad VERB [options]", "", "Find what does not belong on the road.", ""]
    lines += [f"  {name:<11} {(inspect.getdoc(verb) or '').splitlines()[0]}" for name, verb in VERBS.items()]
    return "\n".join([*lines, "", "'oddroad VERB --help' explains one."])


def one_line(box: str) -> str:
    """The message of the command-line library, which frames its errors, as a single line."""
    text = re.sub(r"[─╭╮╰╯│┌┐└┘]+|-{5,}|^[|+]|[|+]$", "\n", box, flags=re.MULTILINE)
    parts = [" ".join(line.split()) for line in text.splitlines()]
    kept: list[str] = []
    for part in filter(None, parts):
        if part.startswith(("For full helptext", "Argument helptext")):
            break
        if not kept or part.rstrip(":") not in kept[-1]:
            kept.append(part)
    if len(kept) > 1 and kept[1].startswith(kept[0].rstrip(":")):
        kept = kept[1:]
    return " ".join(kept)


def recipe_file(words: Sequence[str]) -> Path | None:
    """The file after ``--recipe`` or in ``--recipe=FILE``, or None; the last one if there are several."""
    found = None
    for word, after in zip(words, [*words[1:], ""], strict=True):
        given = after if word == "--recipe" else word.removeprefix("--recipe=") if word.startswith("--recipe=") else ""
        found = Path(given) if given and not given.startswith("--") else found
    return found


def parse(verb: str, arguments: Sequence[str]) -> Callable[[], Any]:
    """A call of the verb with its options checked.

    Raises:
        InputError: if an option is unknown or has an impossible value.
    """
    function = pick(VERBS, verb, "verb")
    errors = io.StringIO()
    bound: list[Callable[[], Any]] = []

    def hold(*args: Any, **kwargs: Any) -> None:
        bound.append(lambda: function(*args, **kwargs))

    signature = inspect.signature(function, eval_str=True)
    path = recipe_file(arguments) if "recipe" in signature.parameters else None
    if path is not None:  # its values are the defaults that single options then replace
        given = [
            p.replace(default=read_recipe(path)) if p.name == "values" else p for p in signature.parameters.values()
        ]
        signature = signature.replace(parameters=given)
    hold.__signature__ = signature  # type: ignore[attr-defined]
    hold.__doc__ = function.__doc__
    hold.__annotations__ = inspect.get_annotations(function, eval_str=True)
    try:
        with contextlib.redirect_stderr(errors):
            tyro.cli(hold, prog=f"oddroad {verb}", args=list(arguments))
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise InputError(f"{one_line(errors.getvalue())} ('oddroad {verb} --help' explains)") from None
    return bound[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code: 0, 2 for bad input, 130 when interrupted."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help"):
        print(usage())
        return 0
    if " ".join(words[:2]) in VERBS:
        words[:2] = [" ".join(words[:2])]
    if words[0] in ("-V", "--version"):
        from importlib.metadata import version

        print(version("oddroad"))
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        parse(words[0], words[1:])()
    except InputError as error:
        print(f"oddroad: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        extra = next((name for name, modules in EXTRAS.items() if (error.name or "").split(".")[0] in modules), None)
        if extra is None:
            raise
        print(
            f"oddroad: '{words[0]}' needs {error.name}, which is not installed; run: pip install 'oddroad[{extra}]'",
            file=sys.stderr,
        )
        return 2
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - the reader of our output has left
        return 0
    except OSError as error:
        if error.errno is None:
            raise
        where = f" '{error.filename}'" if error.filename else ""
        print(f"oddroad: {os.strerror(error.errno)}{where}; free some space or choose another folder", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("oddroad: interrupted; what was finished is kept", file=sys.stderr)
        return 130
    return 0


EXTRAS = {
    "openvino": ("openvino",),
    "report": ("matplotlib", "h5py"),
    "learn": (
        "torch", "lightning", "albumentations", "onnx", "onnxscript", "yaml", "safetensors", "transformers", "scipy",
        "nncf",
    ),
}  # fmt: skip
"""Extra of the package -> modules that come with it."""


if __name__ == "__main__":
    sys.exit(main())
