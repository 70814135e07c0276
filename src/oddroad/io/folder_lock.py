"""A folder of results belongs to one run at a time: a second one is refused and told which the first is."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from oddroad.errors import InputError, why
from oddroad.files import load_json

LOCK = ".oddroad.lock"
"""Name of the lock in the folder; it is gone when the run ends, and stale where the process was killed."""


class FolderLock:
    """Holds a folder until ``release``.

    The operating system locks the file, so that the lock of a process that was killed is free at once; where it cannot
    (some network drives, Windows), a lock whose process no longer runs on this machine is taken over.

    Args:
        folder: is made if it is not there.
        name: of the lock, where it is not the whole folder that belongs to a run.
        what: belongs to the run, for the message; by default the folder.
        option: that chooses another place.

    Raises:
        InputError: if another run holds it, or the folder cannot be written.
    """

    def __init__(self, folder: Path, name: str = LOCK, what: str = "", option: str = "--out"):
        self.folder, self.path = folder, folder / name
        self.what, self.option = what or f"the folder '{folder}'", option
        self.made = [each for each in (folder, *folder.parents) if not each.exists()]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.descriptor = self.take()
        except OSError as error:
            raise InputError(
                f"cannot write to '{folder}': {why(error)}; or choose another place with {option}"
            ) from None

    def take(self) -> int:
        """Lock the file; returns its descriptor."""
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                if not locked(descriptor, self.path):
                    raise InputError(
                        f"{self.what} belongs to a run that still works ({holder(self.path)}); wait "
                        f"until it ends, or choose another place with {self.option}"
                    )
                if not (self.path.exists() and os.path.samestat(os.fstat(descriptor), os.stat(self.path))):
                    os.close(descriptor)  # the one before has just removed it
                    continue
                about = {"process": os.getpid(), "host": socket.gethostname(), "since": now()}
                os.truncate(descriptor, 0)
                os.pwrite(descriptor, json.dumps(about).encode(), 0) if hasattr(os, "pwrite") else os.write(
                    descriptor, json.dumps(about).encode()
                )
            except BaseException:
                with contextlib.suppress(OSError):
                    os.close(descriptor)
                raise
            return descriptor

    def release(self) -> None:
        """Give the folder back; folders that were made for it and are empty go, too."""
        if self.descriptor < 0:
            return
        for step in (self.path.unlink, lambda: os.close(self.descriptor)):
            with contextlib.suppress(OSError):  # the work is done; a lock that stays is free all the same
                step()
        self.descriptor = -1
        for each in self.made:
            with contextlib.suppress(OSError):
                each.rmdir()

    def __enter__(self) -> FolderLock:
        return self

    def __exit__(self, *failure: object) -> None:
        self.release()


def now() -> str:
    """The time in UTC by ISO 8601, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_lock(path: Path) -> dict[str, Any]:
    """What the file of a lock says; empty where it says nothing."""
    try:
        found = load_json(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def holder(path: Path) -> str:
    """Who holds a lock, in words."""
    found = read_lock(path)
    return f"process {found.get('process', '?')} on {found.get('host', '?')}, since {found.get('since', '?')}"


def locked(descriptor: int, path: Path) -> bool:
    """Whether this process has locked the file now."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        found = read_lock(path)
        return not found or (found.get("host") == socket.gethostname() and not runs(int(found.get("process", 0))))


def runs(process: int) -> bool:
    """Whether a process of this number runs on this machine."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return process > 0
