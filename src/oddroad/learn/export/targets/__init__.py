"""TARGETS: runtimes that a portable file goes on to, one file each.

A file here runs in two places: the command imports it to know what it needs and whether this machine can do it, and the
target's own environment loads it alone, by ``worker.py``, to convert and to run. So it imports nothing at its top but
the standard library.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from oddroad.errors import InputError, pick
from oddroad.learn.export.targets import litert, mnn, ncnn, rknn, tensorrt, web


class Target(Protocol):
    """What a file of this folder has; NODE_PACKAGES, what npm adds, only where it is needed."""

    @property
    def PACKAGES(self) -> tuple[str, ...]:
        """What its environment holds, pinned."""
        ...

    @property
    def WITH_DEPENDENCIES(self) -> bool:
        """Whether pip may add what these need; otherwise the list is complete."""
        ...

    @property
    def MEGABYTES(self) -> int:
        """What the environment takes on disk."""
        ...

    @property
    def FORMS(self) -> tuple[str, ...]:
        """Those of "float32", "float16" and "int8" that may be asked for; each is compared before it is kept."""
        ...

    def refusal(self) -> str:
        """Why this machine cannot make the file, in words for the end of a line; "" where it can."""
        ...

    def convert(self, portable: str, folder: str, form: str, pictures: Any) -> None:
        """Write the runtime's own files into a folder; in the target's environment.

        Args:
            portable: path of the portable file.
            folder: an empty one; also the working directory.
            form: one of FORMS.
            pictures: (N, 3, H, W) float32, 0 to 255, to take INT8 ranges from.
        """
        ...

    def open_file(self, folder: str, outputs: list[str], threads: int) -> Callable[[Any], list[Any]]:
        """What runs the files of a folder: (1, 3, H, W) float32 -> the outputs in their order, each (1, C, h, w)."""
        ...


TARGETS: dict[str, Target] = {
    "ncnn": ncnn,
    "mnn": mnn,
    "litert": litert,
    "rknn": rknn,
    "tensorrt": tensorrt,
    "web": web,
}
"""Runtime -> what makes and runs its files."""


def check_target(name: str, form: str) -> Target:
    """The entry of a runtime that this machine can make files of this form for.

    Raises:
        InputError: if it cannot, before anything is loaded or installed.
    """
    target = pick(TARGETS, name, "runtime")
    if form not in target.FORMS:
        forms = ", ".join(target.FORMS)
        raise InputError(f"--for {name} has no {form} that was shown right; pass --precision with one of: {forms}")
    if why := target.refusal():
        raise InputError(f"--for {name} cannot be done here: {why}")
    return target
