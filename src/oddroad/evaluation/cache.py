"""Maps kept on disk between the two passes over a set and after an interruption, tied to everything that made them."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from oddroad.errors import InputError, why
from oddroad.files import npy_bytes, sha256_of
from oddroad.types import Sample

LOCK = "in-use.lock"
"""A file in a working folder that the run which uses it holds locked; the lock ends with the process."""


def key_of(made_by: Mapping[str, Any]) -> str:
    """A name for what makes maps: 20 hexadecimal digits of the SHA-256 of its JSON."""
    return hashlib.sha256(json.dumps(made_by, sort_keys=True, default=str).encode()).hexdigest()[:20]


def lock_file(opened: Any) -> bool:
    """Lock an open file for this process alone; False where another one holds it."""
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(opened.fileno(), msvcrt.LK_NBLCK, 1)  # pyright: ignore[reportAttributeAccessIssue]
        else:
            import fcntl

            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def take(folder: Path) -> Any | None:
    """The open, locked lock file of a folder, which is made if it is missing; None where another run uses it."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            opened = (folder / LOCK).open("a")
        except FileNotFoundError:  # another run has just removed it
            continue
        if not lock_file(opened):
            opened.close()
            return None
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(opened.fileno()), (folder / LOCK).stat()):
                return opened
        opened.close()


@contextlib.contextmanager
def working_folder(work: Path, key: str) -> Iterator[Path]:
    """A folder below ``work`` for the maps of one run alone.

    A run that was interrupted leaves its maps there and the next one with the same key goes on with them. While one
    runs, another one with the same key gets a folder of its own. An empty folder is removed at the end.

    Raises:
        InputError: if it cannot be written.
    """
    try:
        folder, opened = next(
            (each, held)
            for each in (work / (key if not number else f"{key}-{number}") for number in itertools.count())
            if (held := take(each)) is not None
        )
    except OSError as error:
        raise InputError(f"cannot keep maps in '{work}': {error.strerror}; pass another folder as --work") from None
    try:
        yield folder
    finally:
        if not any(path.is_file() and path.name != LOCK for path in folder.rglob("*")):
            shutil.rmtree(folder, ignore_errors=True)
            with contextlib.suppress(OSError):
                work.rmdir()
        opened.close()


def map_path(folder: Path, dataset: str, score: str, sample: Sample, size: tuple[int, ...]) -> Path:
    """Where the map of a sample is kept: another content of the image, or another size (H, W), is another place.

    Raises:
        InputError: if the image cannot be read.
    """
    try:
        content = sha256_of(sample.image)[:20]
    except OSError as error:
        raise InputError(f"cannot read '{sample.image}': {error.strerror}") from None
    seen = "" if sample.size is None else f"-{sample.size[0]}x{sample.size[1]}"
    return folder / dataset / score / f"{content}{seen}-{size[0]}x{size[1]}.npy"


def load_map(path: Path, size: tuple[int, ...]) -> np.ndarray | None:
    """A kept map (H, W), or None where there is none or it is damaged."""
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return values if values.shape == tuple(size) else None


def keep_map(path: Path, values: np.ndarray) -> None:
    """Write a map, whole or not at all."""
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(npy_bytes(values))
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise InputError(
            f"cannot keep a map in '{path.parent}': {why(error)}; or pass another folder as --work"
        ) from None


def clear(folder: Path, dataset: str) -> None:
    """Remove the maps of a finished set."""
    shutil.rmtree(folder / dataset, ignore_errors=True)
