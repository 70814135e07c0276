"""Files: written whole or not at all, and their hashes."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oddroad.errors import InputError, why

if TYPE_CHECKING:
    import numpy as np


@contextlib.contextmanager
def written_whole(path: Path, what: str) -> Iterator[Path]:
    """A path to write to, which becomes ``path`` at the end of the block; if the block fails, it is gone.

    Args:
        path: the file that is to appear, whole or not at all; its folder is made.
        what: it is, for the message.

    Raises:
        InputError: if the block or this meets an error of the operating system; what was there before is kept.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        raise InputError(
            f"cannot write the {what} to '{path.parent}': {why(error)}; what was written before is kept"
        ) from None


def write_whole(path: Path, data: Any, what: str) -> None:
    """Write bytes to a file that appears whole or not at all.

    Raises:
        InputError: if they cannot be written; nothing is left behind.
    """
    with written_whole(path, what) as partial, partial.open("wb") as opened:
        opened.write(data)
        opened.flush()
        os.fsync(opened.fileno())


def npy_bytes(array: np.ndarray) -> bytes:
    """An array as the bytes of a .npy file. (NumPy, writing to a file itself, says nothing of a full disk but a count.)

    >>> import numpy as np
    >>> np.load(io.BytesIO(npy_bytes(np.arange(3))))
    array([0, 1, 2])
    """
    import numpy as np

    held = io.BytesIO()
    np.save(held, array)
    return held.getvalue()


def remove_folder(folder: Path) -> str:
    """Remove a folder that is needed no more; what to tell people where it stays, else ""."""
    shutil.rmtree(folder, ignore_errors=True)
    return f"'{folder}' could not be removed; it is needed no more: remove it" if folder.exists() else ""


def load_json(text: str | bytes) -> Any:
    """JSON values of a text that may be damaged or made to do harm.

    Raises:
        ValueError: if it is no JSON, is nested too deeply to be read, or holds a number of thousands of digits.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("objects and lists are nested too deeply") from None


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
