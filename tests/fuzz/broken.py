"""A target that goes wrong in every way, for the test of the watch."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from random import Random

from fuzz.target import Differs, Target

KINDS = ("raise", "differ", "die", "fill", "hang", "read")


OF = {Random(f"s/broken/{number}").random(): kind for number, kind in enumerate(KINDS)}
"""What a generator gives first, by the number of the input -> what is done then."""


def change(rng: Random, seeds: list[str]) -> str:
    """The kind that belongs to an input's number."""
    return OF.get(rng.random(), "read")


def read(kind: str, folder: Path) -> None:
    """Go wrong."""
    if kind == "raise":
        raise ValueError("wrong")
    if kind == "differ":
        raise Differs("one, and two")
    if kind == "die":
        os.kill(os.getpid(), signal.SIGSEGV)
    if kind == "fill":
        _ = b"x" * (2**30 + 2**27)
    while kind == "hang":
        pass


def target() -> Target:
    """The target."""
    return Target("broken", list, change, read)
