"""Fetched detectors on this machine: files by their hash, names beside them. Nothing incomplete is ever among them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from oddroad.errors import InputError
from oddroad.files import sha256_of, write_whole
from oddroad.models.reference import Reference, check_pin

STALE = 24 * 3600
"""Seconds after which the remains of a killed fetch are removed by the next one."""


@dataclass(frozen=True)
class Record:
    """A fetched detector.

    Attributes:
        reference: where it came from, without secrets.
        name: a short name that was given to it; "" for none.
        sha256: of its file.
        file: name of its file.
        bytes: size of it.
        licence: terms of the weights, as its card states them.
        fetched: when, UTC.
        revision: commit of the repository; "" for an address.
    """

    reference: str
    name: str
    sha256: str
    file: str
    bytes: int
    licence: str
    fetched: str
    revision: str = ""


def home() -> Path:
    """Folder of the store: ``models`` in ODDROAD_CACHE, or in the user's cache folder."""
    given = os.environ.get("ODDROAD_CACHE")
    if given:
        return Path(given) / "models"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "oddroad" / "models"


def place(record: Record) -> Path:
    """Where the file of a record lies."""
    return home() / "objects" / record.sha256 / record.file


def name_file(key: str) -> Path:
    """Where the record of a key lies."""
    return home() / "names" / f"{hashlib.sha256(key.encode()).hexdigest()}.json"


def read_record(path: Path) -> Record | None:
    """A record; None if it is missing, or unreadable and thus to be fetched again."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        record = Record(**{each.name: values[each.name] for each in fields(Record)})
    except (OSError, ValueError, KeyError, TypeError):
        return None
    safe = all(
        isinstance(each, str) and "/" not in each and each not in ("", "..") for each in (record.file, record.sha256)
    )
    return record if safe and isinstance(record.bytes, int) else None


def records() -> list[Record]:
    """All that is in the store, by reference."""
    found = [read_record(each) for each in sorted(home().glob("names/*.json"))]
    every = {each.reference: each for each in found if each is not None and place(each).is_file()}
    return [every[key] for key in sorted(every)]


def stored(reference: Reference) -> Path | None:
    """The file of a reference that was fetched before, its bytes checked; None where there is none.

    With a whole hash it is found by that, whatever the name brings today.

    Raises:
        InputError: if the file was changed on this disk, or is not the one that is pinned.
    """
    record = read_record(name_file(reference.key))
    if len(reference.digest) == 64:
        files = [each for each in (home() / "objects" / reference.digest).glob("*.onnx") if each.is_file()]
        if files:
            return checked(files[0], reference.digest)
        if record is None:
            return None
    if record is None or not place(record).is_file():
        return None
    check_pin(reference, record.sha256, f"the file that was fetched on {record.fetched[:10]}")
    return checked(place(record), record.sha256)


def checked(path: Path, digest: str) -> Path:
    """A file of the store whose bytes are those that were fetched.

    Raises:
        InputError: if they are not.
    """
    if sha256_of(path) != digest:
        raise InputError(f"'{path}' was changed since it was fetched; remove it, and fetch the detector again")
    return path


@contextmanager
def workbench() -> Iterator[Path]:
    """A folder for a file that is being fetched, on the disk of the store; removed at the end, whatever happens.

    Raises:
        InputError: if it cannot be made.
    """
    partial = home() / "partial"
    try:
        partial.mkdir(parents=True, exist_ok=True)
        for each in partial.iterdir():
            if time.time() - each.stat().st_mtime > STALE:
                shutil.rmtree(each, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(dir=partial))
    except OSError as error:
        raise InputError(
            f"cannot write to the store of detectors '{home()}': {error.strerror}; name another folder in ODDROAD_CACHE"
        ) from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def keep(path: Path, record: Record, keys: tuple[str, ...]) -> Path:
    """Move a whole, checked file into the store, under some keys.

    Raises:
        InputError: if it cannot be written; the store is as before.
    """
    target = place(record)
    try:
        with path.open("rb") as opened:
            os.fsync(opened.fileno())
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
    except OSError as error:
        raise InputError(f"cannot keep the detector in '{home()}': {error.strerror}") from None
    for key in keys:
        write_whole(name_file(key), json.dumps(asdict(record), indent=1).encode(), "name of a detector")
    return target
