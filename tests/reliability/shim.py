"""The shim that makes calls of the C library fail: built, loaded before it, and set off from Python."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

KINDS = ("open", "read", "write", "fsync", "rename", "mkdir", "close", "remove", "truncate", "flock")
"""Kinds of calls, in the order of the shim; "write" is pwrite, writev and fwrite too, "remove" unlink and rmdir."""

SHORT = -1
"""Instead of an error: half is written, or read."""

CHANGING = ("open", "write", "fsync", "rename", "mkdir", "remove", "truncate")
"""Kinds that a folder which became read-only refuses."""


def compiler() -> str | None:
    """The C compiler; None where there is none, or the system has no LD_PRELOAD."""
    return shutil.which("cc") or shutil.which("gcc") if sys.platform == "linux" else None


def build(folder: Path) -> Path:
    """Compile the shim into a folder; its path."""
    made = folder / "shim.so"
    source = Path(__file__).with_name("shim.c")
    words = ["-O2", "-Wall", "-Wno-nonnull", "-Wno-nonnull-compare", "-fno-builtin", "-shared", "-fPIC"]
    subprocess.run([str(compiler()), *words, "-o", str(made), str(source), "-ldl"], check=True)
    return made


def environment(made: Path) -> dict[str, str]:
    """The environment of a process that has it, and one thread in each library."""
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**os.environ, **single, "LD_PRELOAD": str(made), "PYTHONDONTWRITEBYTECODE": "1"}


class Shim:
    """The shim of this process, which was started with ``environment``."""

    def __init__(self) -> None:
        self.calls = ctypes.CDLL(None)
        self.calls.fault_count.restype = self.calls.fault_fired.restype = ctypes.c_long
        self.calls.fault_memory_seen.restype = ctypes.c_long

    def arm(self, folder: Path, kinds: tuple[str, ...], error: int, number: int, stays: bool) -> None:
        """Fail the ``number``-th call of these kinds below a folder, from 1 on; all later ones too if it ``stays``."""
        mask = sum(1 << KINDS.index(each) for each in kinds)
        self.calls.fault_arm(os.fsencode(folder), mask, error, ctypes.c_long(number), int(stays))

    def arm_memory(self, least: int, number: int, stays: bool) -> None:
        """Give no memory at the ``number``-th request of at least so many bytes."""
        self.calls.fault_arm_memory(ctypes.c_size_t(least), ctypes.c_long(number), int(stays))

    def tell_deaths(self) -> None:
        """Say on standard error, when this process dies, in which libraries it was: the innermost call first."""
        self.calls.fault_tell_deaths()

    def disarm(self) -> None:
        """Let everything pass."""
        self.calls.fault_disarm()

    def counts(self) -> dict[str, int]:
        """Calls of each kind since it was armed."""
        return {name: self.calls.fault_count(at) for at, name in enumerate(KINDS)}

    def fired(self) -> int:
        """Calls that were made to fail."""
        return self.calls.fault_fired()

    def memory_seen(self) -> int:
        """Requests of at least so many bytes since it was armed."""
        return self.calls.fault_memory_seen()
