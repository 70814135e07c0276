"""Files: written whole or not at all, and their hashes."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from oddroad.errors import InputError


def write_whole(path: Path, data: Any, what: str) -> None:
    """Write bytes to a file that appears whole or not at all.

    Raises:
        InputError: if they cannot be written; nothing is left behind.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as opened:
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise InputError(
            f"cannot write the {what} to '{path.parent}': {error.strerror}; what was written before is kept: make room "
            "and run the same command again"
        ) from None


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
