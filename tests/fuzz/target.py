"""What a target of the fuzzing is, and how an input is judged."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from oddroad.errors import InputError

LONGEST = 3000
"""Letters of a message that is still one line for people."""


class Differs(Exception):
    """A file was read, and an independent reader reads something else."""


@dataclass(frozen=True)
class Target:
    """One reader.

    Attributes:
        name: of the target.
        seeds: makes the valid inputs; called once in the process that reads.
        change: makes an input of them.
        read: reads an input, which may be written to the folder; raises what our reader raises, or Differs.
        second: what an accepted input is compared with, in words; "" for nothing.
    """

    name: str
    seeds: Callable[[], Any]
    change: Callable[[Random, Any], Any]
    read: Callable[[Any, Path], None]
    second: str = ""


@contextmanager
def may_be_refused() -> Iterator[None]:
    """What is read inside may be refused, in a message of one line."""
    try:
        yield
    except InputError as error:
        if len(str(error)) > LONGEST:
            raise


def judged(target: Target, given: Any, folder: Path) -> tuple[str, str]:
    """Read an input: ("read" or "refused", ""), or ("fault" or "differs", what happened and where)."""
    try:
        target.read(given, folder)
    except Differs as error:
        return "differs", str(error)[:300]
    except InputError as error:
        if len(str(error)) > LONGEST:
            return "fault", f"a message of {len(str(error))} letters at {place(error)}"
        return "refused", ""
    except OSError as error:
        return ("refused", "") if error.errno is not None else ("fault", described(error))
    except Exception as error:
        return "fault", described(error)
    return "read", ""


def described(error: BaseException) -> str:
    """A failure in one line that is the same for the same place in the code."""
    words = re.sub(r"\d+|0x\w+|'[^']*'|\"[^\"]*\"", "_", " ".join(str(error).split()))[:70]
    words = "".join(each if each.isascii() and each.isprintable() else "_" for each in words)
    return f"{type(error).__name__} at {place(error)}: {words}"


def place(error: BaseException) -> str:
    """The last line of ours that an error came through."""
    frames = [each for each in traceback.extract_tb(error.__traceback__) if "/oddroad/" in each.filename]
    if not frames:
        frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1]
    return f"{last.filename.rpartition('/oddroad/')[2]}:{last.lineno}"


def same(what: str, ours: Any, theirs: Any) -> None:
    """Raise Differs where two readers say different things."""
    if ours != theirs:
        raise Differs(f"{what}: {str(ours)[:100]} and, by the second reader, {str(theirs)[:100]}")


def quietly() -> None:
    """Libraries compute in one thread."""
    for name in ("cv2", "torch"):
        module = sys.modules.get(name)
        if module is not None:
            getattr(module, "setNumThreads", getattr(module, "set_num_threads", lambda _: None))(1)
