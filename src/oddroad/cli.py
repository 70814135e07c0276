"""The command line: one short function for each verb; a bad input is one line and exit code 2."""

from __future__ import annotations

import contextlib
import inspect
import io
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from oddroad.errors import InputError, pick


def info(model: Annotated[str, tyro.conf.Positional] = "default", json: bool = False) -> None:
    """Print the card of a detector: what it is, what it was trained on, how well it does, and its limits.

    Example: oddroad info my_detector.onnx

    Args:
        model: an .onnx file of ours, or "default" for the embedded detector.
        json: print the card as one JSON object.
    """
    from oddroad.runtime import describe, read_card

    card = read_card(model)
    print(card.to_json() if json else describe(card))


VERBS: dict[str, Callable[..., Any]] = {
    "info": info,
}
"""Verb -> function. Its parameters are the options, its docstring is the help."""


def usage() -> str:
    """The verbs, a line each."""
    lines = ["usage: oddroad VERB [options]", "", "Find what does not belong on the road.", ""]
    lines += [f"  {name:<10} {(inspect.getdoc(verb) or '').splitlines()[0]}" for name, verb in VERBS.items()]
    return "\n".join([*lines, "", "'oddroad VERB --help' explains one."])


def one_line(box: str) -> str:
    """The message of the command-line library, which frames its errors, as a single line."""
    text = re.sub(r"[─╭╮╰╯│┌┐└┘]+", "\n", box)
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

    hold.__signature__ = inspect.signature(function, eval_str=True)  # type: ignore[attr-defined]
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
    if words[0] in ("-V", "--version"):
        from importlib.metadata import version

        print(version("oddroad"))
        return 0
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
    ),
}  # fmt: skip
"""Extra of the package -> modules that come with it."""


def default_out(name: str) -> Path:
    """Folder for results where none is given."""
    return Path("out") / name


if __name__ == "__main__":
    sys.exit(main())
