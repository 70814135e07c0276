"""The command line: it finds the verb, checks its options and runs it; a bad input is one line and exit code 2."""

from __future__ import annotations

import contextlib
import errno
import inspect
import io
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import tyro

from oddroad.cli.benchmark import benchmark
from oddroad.cli.calibrate import calibrate
from oddroad.cli.check import check
from oddroad.cli.common import with_quiet
from oddroad.cli.completion import SHELLS, completion
from oddroad.cli.convert import convert
from oddroad.cli.data import verify_data
from oddroad.cli.demo import demo
from oddroad.cli.detect import detect
from oddroad.cli.evaluate import evaluate
from oddroad.cli.export import export
from oddroad.cli.info import info
from oddroad.cli.mine import mine
from oddroad.cli.mine_report import mine_report
from oddroad.cli.models import fetch, models, push
from oddroad.cli.recipes import recipes
from oddroad.cli.report import report
from oddroad.cli.results import results
from oddroad.cli.train import train
from oddroad.cli.web import web
from oddroad.errors import (
    BAD_INPUT,
    DONE,
    FAILED,
    INTERRUPTED,
    WRONG,
    InputError,
    LostSource,
    PartlyFailed,
    out_of_memory,
    pick,
    printable,
    why,
)
from oddroad.io.redaction import redact
from oddroad.recipe import read_recipe

VERBS: dict[str, Callable[..., Any]] = {
    name: with_quiet(verb)
    for name, verb in {
        "detect": detect,
        "calibrate": calibrate,
        "results": results,
        "mine": mine,
        "mine report": mine_report,
        "demo": demo,
        "info": info,
        "models": models,
        "models fetch": fetch,
        "models push": push,
        "check": check,
        "convert": convert,
        "recipes": recipes,
        "train": train,
        "export": export,
        "data verify": verify_data,
        "evaluate": evaluate,
        "report": report,
        "benchmark": benchmark,
        "web": web,
    }.items()
}
"""Verb -> function. Its parameters are the options, its docstring is the help. A verb may be two words."""


READABLE = (tyro.conf.DisallowNone, tyro.conf.PositionalMetavarFromFieldName)
"""How help texts name values: no "None" among them, and words without a flag by what they are."""

EXIT_CODES = {
    DONE: "done",
    WRONG: "a check found something wrong ('data verify', 'check')",
    BAD_INPUT: "bad input: an option, a file, a place that cannot be read or written, too little memory; one line says "
    "what to do",
    FAILED: "a source was lost and stayed away, part of an archive could not be mined, or a fault of ours",
    INTERRUPTED: "interrupted; what was finished is kept",
}
"""Exit code -> what it means."""


def usage(group: str = "") -> str:
    """The verbs, a line each; with the first word of verbs of two words, these alone."""
    chosen = {name: verb for name, verb in VERBS.items() if name.startswith(f"{group} " if group else "")}
    width = max(map(len, chosen))
    verbs = [f"  {name:<{width}}  {(inspect.getdoc(verb) or '').splitlines()[0]}" for name, verb in chosen.items()]
    if group:
        return "\n".join([f"usage: oddroad {group} VERB [options]", "", *verbs])
    lines = [
        "usage: oddroad VERB [options]", "", "Find anomalies on the road: whatever does not belong there.", "",
        *verbs, "",
        "'oddroad VERB --help' explains one. Every verb takes --quiet: no progress, no messages but errors.",
        "  --version             print the version",
        f"  --completion SHELL    print a script that completes verbs and options ({', '.join(SHELLS)})",
        "", "Exit codes:",
    ]  # fmt: skip
    return "\n".join([*lines, *(f"  {code:<5} {meaning}" for code, meaning in EXIT_CODES.items())])


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
    if len(kept) > 1 and kept[1].lower().startswith(kept[0].lower().rstrip(":")):
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
    # --no-X beside each --X serves recipes alone, whose defaults depend on a file
    flags = () if "recipe" in signature.parameters else (tyro.conf.FlagCreatePairsOff,)
    try:
        with contextlib.redirect_stderr(errors):
            tyro.cli(hold, prog=f"oddroad {verb}", args=list(arguments), config=(*flags, *READABLE))
    except SystemExit as stop:
        if stop.code in (0, None):
            sys.stdout.flush()
            raise
        said = one_line(errors.getvalue())
        if said.startswith("Required options"):
            # names are indented less than their help, which may speak of other options
            listed = set(re.findall(r"^[│|]? {3,6}(\S+)", errors.getvalue(), re.MULTILINE))
            said = f"'oddroad {verb}' needs {', '.join(name for name in required(signature) if name in listed)}"
        raise InputError(f"{said} ('oddroad {verb} --help' explains)") from None
    return bound[0]


def required(signature: inspect.Signature) -> list[str]:
    """The words and options that a verb cannot do without, as its help names them."""
    found = []
    for each in signature.parameters.values():
        if each.default is each.empty:
            positional = tyro.conf.Positional in getattr(each.annotation, "__metadata__", ())
            found.append(each.name.upper() if positional else f"--{each.name.replace('_', '-')}")
    return found


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP interrupt what runs inside, unless they are ignored; then they mean what they did."""
    STOPPED.clear()
    before: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():  # no other thread may set them
        for each in {signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}:  # a closed terminal
            if signal.getsignal(each) not in (signal.SIG_IGN, None):
                before[each] = signal.signal(each, stop)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


LAST_WORDS = b"oddroad: there is not enough memory, not even to say for what\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code, see ``EXIT_CODES``."""
    try:
        return command(arguments)
    except MemoryError:  # while saying what is wrong
        with contextlib.suppress(OSError):
            os.write(2, LAST_WORDS)
        return BAD_INPUT


def command(arguments: Sequence[str] | None) -> int:
    """As ``main``, where there is memory to say what is wrong."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    groups = {name.split()[0] for name in VERBS if " " in name}
    try:
        if not words or words[0] in ("-h", "--help"):
            print(usage())
        elif words[0] in ("-V", "--version"):
            from importlib.metadata import version

            print(version("oddroad"))
        elif words[0].split("=")[0] == "--completion":
            print(completion("".join([*words[0].split("=")[1:], *words[1:]]), VERBS))
        elif words[0] in groups - VERBS.keys() and words[1:] in ([], ["-h"], ["--help"]):
            print(usage(words[0]))
        else:
            length = 2 if words[0] in groups and (" ".join(words[:2]) in VERBS or words[0] not in VERBS) else 1
            with interruptible(), watched_threads():
                parse(" ".join(words[:length]), words[length:])()
        sys.stdout.flush()  # a reader that has left is noticed here, not after the end
    except (LostSource, PartlyFailed) as error:
        return complain(str(error), FAILED)
    except InputError as error:
        return complain(str(error))
    except ModuleNotFoundError as error:
        extra = next((name for name, modules in EXTRAS.items() if (error.name or "").split(".")[0] in modules), None)
        if extra is None:
            return bug()
        return complain(f"'{words[0]}' needs {error.name}, which is not installed; run: pip install 'oddroad[{extra}]'")
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - the reader of our output has left
        return 0
    except OSError as error:
        if error.errno is None or error.errno == errno.ENOMEM:
            return short_of_memory() if out_of_memory(error) else bug()
        what, hint, rest = why(error).partition("; ")
        where = f" '{error.filename}'" if error.filename else ""
        return complain(f"{what}{where}{hint}{rest}")
    except KeyboardInterrupt:
        return complain("interrupted; what was finished is kept", INTERRUPTED)
    except Exception as error:
        # a library that is being loaded answers Ctrl-C with an error of its own (onnxruntime: ImportError)
        if STOPPED:
            return complain("interrupted; what was finished is kept", INTERRUPTED)
        if isinstance(error, SystemError) and "without setting an exception" in str(error):
            return short_of_memory(f"a library failed without saying why ({error}), as where ")
        return short_of_memory() if out_of_memory(error) else bug()
    return 0


def short_of_memory(before: str = "") -> int:
    """Say that there is no memory, behind other words; returns the exit code."""
    return complain(
        f"{before}there is not enough memory; close other programs, or give it less: smaller or fewer pictures at a "
        "time, fewer --workers. What was finished is kept"
    )


@contextlib.contextmanager
def watched_threads() -> Iterator[None]:
    """A thread of a library that dies for want of a disk or of memory ends the run with one line, at its end at last.

    Raises:
        OSError, MemoryError: that of the first such thread, where the block itself came to its end.
    """
    failed: list[BaseException] = []
    before = threading.excepthook

    def note(died: threading.ExceptHookArgs) -> None:
        if isinstance(died.exc_value, OSError) or (died.exc_value is not None and out_of_memory(died.exc_value)):
            failed.append(died.exc_value)
        else:
            before(died)

    threading.excepthook = note
    try:
        yield
    finally:
        threading.excepthook = before
    if failed:
        raise failed[0]


STOPPED: list[int] = []
"""Signals that have told this run to stop."""


def stop(number: int, frame: Any) -> None:
    """Stop the run as Ctrl-C does, and remember it."""
    STOPPED.append(number)
    raise KeyboardInterrupt


def complain(message: str, code: int = BAD_INPUT) -> int:
    """Print an error as one line without passwords, shortened in its middle where it is no line; returns the code."""
    text = printable(without_secrets(message))
    text = text if len(text) <= LONGEST else f"{text[: LONGEST * 3 // 4]} ... {text[-LONGEST // 4 :]}"
    print(f"oddroad: {text}", file=sys.stderr)
    return code


LONGEST = 3000
"""Letters of an error that are printed."""


ADDRESS = re.compile(r"[A-Za-z][\w+.-]*://[^\s'\"]+")
"""An address in some text; it may hold a password."""


def without_secrets(text: str) -> str:
    """A text with its addresses as they may be shown."""
    return ADDRESS.sub(lambda found: redact(found[0]), text)


def bug() -> int:
    """Print the traceback of what nobody foresaw; returns the exit code."""
    for line in without_secrets(traceback.format_exc()).splitlines():
        print(printable(line), file=sys.stderr)
    return complain("this is a fault in oddroad; please report it with the lines above", FAILED)


EXTRAS = {
    "openvino": ("openvino",),
    "supervision": ("supervision",),
    "fiftyone": ("fiftyone",),
    "rerun": ("rerun",),
    "logs": ("mcap", "mcap_protobuf", "rosbags"),
    "mine": ("pyarrow", "ray", "fsspec"),
    "mcap": ("foxglove",),
    "hub": ("huggingface_hub",),
    "web": ("starlette", "uvicorn", "anyio", "prometheus_client"),
    "report": ("matplotlib", "h5py", "pandas", "jinja2", "tabulate"),
    "learn": (
        "torch", "lightning", "albumentations", "onnx", "onnxscript", "yaml", "safetensors", "transformers", "scipy",
        "nncf",
    ),
}  # fmt: skip
"""Extra of the package -> modules that come with it."""


if __name__ == "__main__":
    sys.exit(main())
