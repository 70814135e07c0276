"""Where archives and findings lie: paths of this machine, and addresses (``s3://...``) that fsspec opens."""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from oddroad.errors import InputError
from oddroad.io.redaction import redact

SAMPLE = 2**16
"""Bytes at the beginning, in the middle and at the end of a file that its fingerprint is made of, with its size."""


@dataclass(frozen=True)
class StoredFile:
    """A file of an archive.

    Attributes:
        address: path or address.
        size: bytes.
        changed: what differs when its content was replaced: its time of change, or an object store's tag.
    """

    address: str
    size: int
    changed: str


def is_remote(address: str) -> bool:
    """Whether something is an address for fsspec, not a path.

    >>> is_remote("s3://bucket/drive.mcap"), is_remote("/drives/a.mcap")
    (True, False)
    """
    return "://" in address


def filesystem(address: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it.

    Raises:
        InputError: if it is of a kind that is not known or not installed here.
    """
    import fsspec

    try:
        return fsspec.core.url_to_fs(address)
    except (ImportError, ValueError) as error:
        kind = address.partition("://")[0]
        raise InputError(f"'{redact(address)}' cannot be opened: {' '.join(str(error).split())} ({kind}://)") from None


def reason_of(error: BaseException) -> str:
    """Why something could not be read or written, in one line without passwords.

    >>> reason_of(PermissionError(13, "Permission denied")), reason_of(ValueError())
    ('permission denied', 'ValueError')
    """
    if isinstance(error, InputError):
        return str(error)
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    words = " ".join(redact(each) for each in str(words).split())[:200].rstrip(".")
    return words[:1].lower() + words[1:] if words else type(error).__name__


def open_file(address: str) -> BinaryIO:
    """A file to read and seek in; of addresses, only what is read is fetched, in blocks.

    Raises:
        OSError: if it cannot be opened.
        InputError: if the kind of address is not known here.
    """
    if not is_remote(address):
        return open(address, "rb")
    system, path = filesystem(address)
    return system.open(path, "rb", block_size=2**20, cache_type="readahead")


def read_bytes(address: str) -> bytes:
    """All bytes of a file."""
    with open_file(address) as opened:
        return opened.read()


def stat_file(address: str) -> StoredFile:
    """Size and state of a file.

    Raises:
        OSError: if it is not there, or may not be read.
    """
    if not is_remote(address):
        found = os.stat(address)
        return StoredFile(address, found.st_size, str(found.st_mtime_ns))
    system, path = filesystem(address)
    return stored(address, system.info(path))


def stored(address: str, info: dict[str, Any]) -> StoredFile:
    """What fsspec tells about a file."""
    changed = next((info[key] for key in ("ETag", "etag", "md5Hash", "mtime", "LastModified") if info.get(key)), "")
    return StoredFile(address, int(info.get("size") or 0), str(changed))


def files_below(address: str) -> Iterator[StoredFile]:
    """The files below an address, in the order of their names; an address of a file gives that.

    Raises:
        OSError: if it is not there, or may not be listed.
    """
    system, path = filesystem(address)
    protocol = address.partition("://")[0]
    found = system.expand_path(path, recursive=False) if any(mark in path for mark in "*?[") else [path]
    for each in sorted(found):
        listed = system.find(each, detail=True)
        if not listed:
            raise FileNotFoundError(2, "no such file or folder", redact(address))
        for name in sorted(listed):
            yield stored(f"{protocol}://{name.partition('://')[2] or name.lstrip('/')}", listed[name])


def join(address: str, *parts: str) -> str:
    """A place below a path or address."""
    return posixpath.join(address, *parts) if is_remote(address) else str(Path(address, *parts))


def fingerprint(file: StoredFile) -> str:
    """What names a file by its content: SHA-256 of its size and of samples of it, in 16 hexadecimal digits.

    Reading terabytes only to name them would cost a second pass. Logs and videos of the same size that agree in their
    beginning, middle and end do not occur: the end holds the index, or the last picture.
    """
    digest = hashlib.sha256(str(file.size).encode())
    with open_file(file.address) as opened:
        for place in sorted({0, max(file.size // 2 - SAMPLE // 2, 0), max(file.size - SAMPLE, 0)}):
            opened.seek(place)
            digest.update(opened.read(SAMPLE))
    return digest.hexdigest()[:16]


def local_copy(address: str, folder: Path) -> Path:
    """A file as one of this machine: itself, or a copy in a folder, fetched once and whole."""
    if not is_remote(address):
        return Path(address)
    system, path = filesystem(address)
    name = hashlib.sha256(f"{address}{stored(address, system.info(path)).changed}".encode()).hexdigest()[:16]
    target = folder / f"{name}{Path(path).suffix}"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f"{name}.{os.getpid()}.partial"
        system.get_file(path, str(partial))
        partial.replace(target)
    return target
