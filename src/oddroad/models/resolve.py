"""From what ``--model`` takes to a file on this machine: looked up, or fetched, checked, and kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from oddroad.errors import InputError
from oddroad.models import hub
from oddroad.models.reference import PIN, Reference, check_pin
from oddroad.models.store import Record, keep, name_file, read_record, stored, workbench
from oddroad.models.telling import TELL
from oddroad.models.web_source import Limits, check_address, download, offline

Check = Callable[[Path], str]
"""Reads a file's card and returns its licence; raises InputError where it is no detector."""


@dataclass(frozen=True)
class Result:
    """A detector that was fetched.

    Attributes:
        record: what is known of it.
        path: its file in the store.
        before: SHA-256 of the file that the same name brought before; "" for none, or the same.
        repository: where it lies on the Hub; None for an address.
    """

    record: Record
    path: Path
    before: str = ""
    repository: hub.Repository | None = None


def remote_file(reference: Reference, check: Check) -> Path:
    """The file of an address or of ``hf:org/name``: as it was fetched before, without asking again, or fetched now.

    Raises:
        InputError: if it cannot be fetched, is no detector, or is not the pinned one.
    """
    found = stored(reference)
    if found is not None:
        return found
    if offline():
        raise InputError(
            f"'{reference.shown}' was not fetched before, and this run is offline; fetch it while there is a network: "
            f"oddroad models fetch {reference.shown}"
        )
    result = fetch(reference, check)
    tell = TELL.get()
    if tell is not None:
        tell(f"fetched {result.record.reference}: {result.record.bytes / 1e6:.1f} MB, {pinned(result.record)}")
    return result.path


def pinned(record: Record) -> str:
    """A record as ``--model`` takes it, with its hash."""
    return f"{record.name or record.reference}{PIN}{record.sha256}"


def fetch(reference: Reference, check: Check, limits: Limits | None = None, name: str = "") -> Result:
    """Fetch a detector anew, and keep it if all of it is there, it is a detector, and it is the pinned one.

    Args:
        reference: an address, or a repository of the Hub.
        check: reads the card.
        limits: of size and time.
        name: a short name for ``--model``; "" for none.

    Raises:
        InputError: if not; what was fetched before stays.
    """
    limits = limits or Limits()
    with workbench() as folder:
        partial = folder / "model.onnx"
        revision, repository = "", None
        if reference.kind == "hub":
            repository = hub.look_up(reference.repository, reference.revision)
            file = hub.choose(reference, repository)
            got = hub.pull(repository, file, partial, limits)
            revision, file_name = repository.revision, Path(file.path).name
        else:
            check_address(reference.text, bool(reference.digest))
            got = download(reference.text, partial, limits)
            file_name = reference.file_name
        check_pin(reference, got.sha256, f"what '{reference.shown}' brings")
        named = partial.rename(folder / file_name)
        licence = check(named)
        before = read_record(name_file(reference.key))
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        kept_name = name or (before.name if before is not None else "")
        record = Record(reference.shown, kept_name, got.sha256, file_name, got.bytes, licence, stamp, revision)
        keys = (reference.key, f"name:{kept_name}") if kept_name else (reference.key,)
        path = keep(named, record, keys)
    changed = before.sha256 if before is not None and before.sha256 != got.sha256 else ""
    return Result(record, path, changed, repository)


def by_name(name: str, digest: str) -> Path | None:
    """The file of a short name that a fetched detector was given; None where there is none.

    Raises:
        InputError: if its file was changed, or is not the pinned one.
    """
    return stored(Reference("local", f"name:{name}", digest))
