"""The folder or bucket of findings: files that appear whole, once, and are never changed afterwards."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from oddroad.errors import InputError
from oddroad.mining.places import filesystem, is_remote, reason_of


class Store:
    """A place to write to, local or remote.

    Args:
        place: path or address of the folder.
    """

    def __init__(self, place: str):
        self.place = place
        self.remote = is_remote(place)
        if self.remote:
            self.system, self.root = filesystem(place.rstrip("/"))
        else:
            self.root = str(Path(place))

    def at(self, name: str) -> str:
        """The place of a file by its name inside."""
        return f"{self.root}/{name}"

    def create(self, name: str, data: bytes) -> bool:
        """Write a file that must not be there yet; it appears whole, and survives the loss of power.

        Returns:
            whether it was written; False if there is one of this name, which stays as it is. Of several writers at the
            same time one is told True.

        Raises:
            OSError: if it cannot be written.
        """
        if self.remote:
            try:
                self.system.pipe_file(self.at(name), data, mode="create")
                return True
            except FileExistsError:
                return False
        path = Path(self.at(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.write_partial(path, data)
        try:
            os.link(partial, path)
        except FileExistsError:
            return False
        except OSError:  # a file system without hard links
            if path.exists():
                return False
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
        sync_folder(path.parent)
        return True

    def replace(self, name: str, data: bytes) -> None:
        """Write a file whole, in the place of the one before; one writer only.

        Raises:
            OSError: if it cannot be written.
        """
        if self.remote:
            self.system.pipe_file(self.at(name), data)
            return
        path = Path(self.at(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.write_partial(path, data)
        try:
            os.replace(partial, path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)

    def write_partial(self, path: Path, data: bytes) -> Path:
        """Write data to a hidden file of its own beside ``path``, down to the disk."""
        partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
        try:
            with partial.open("wb") as opened:
                opened.write(data)
                opened.flush()
                os.fsync(opened.fileno())
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        return partial

    def read(self, name: str) -> bytes | None:
        """The bytes of a file; None where there is none."""
        try:
            if self.remote:
                return self.system.cat_file(self.at(name))
            return Path(self.at(name)).read_bytes()
        except FileNotFoundError:
            return None

    def exists(self, name: str) -> bool:
        """Whether there is a file of this name."""
        if self.remote:
            return self.system.isfile(self.at(name))
        return os.path.isfile(self.at(name))

    def names(self, folder: str) -> Iterator[tuple[str, int]]:
        """Name and bytes of each file below a folder inside; hidden ones are left out."""
        if self.remote:
            self.system.invalidate_cache()
            for path, info in self.system.find(self.at(folder), detail=True).items():
                yield path.lstrip("/")[len(self.root.strip("/")) + 1 :], int(info.get("size") or 0)
            return
        waiting = [self.at(folder)]
        while waiting:
            try:
                with os.scandir(waiting.pop()) as entries:
                    for each in entries:
                        if each.name.startswith("."):
                            continue
                        if each.is_dir():
                            waiting.append(each.path)
                        else:
                            yield each.path[len(self.root) + 1 :], each.stat().st_size
            except FileNotFoundError:
                continue

    def remove(self, name: str) -> None:
        """Delete a file, if it is there."""
        if self.remote:
            with contextlib.suppress(FileNotFoundError):
                self.system.rm_file(self.at(name))
        else:
            Path(self.at(name)).unlink(missing_ok=True)

    def remove_partials(self) -> None:
        """Delete what killed writers have left behind."""
        if not self.remote and os.path.isdir(self.root):
            for path in Path(self.root).rglob(".*.partial"):
                path.unlink(missing_ok=True)

    def check(self) -> None:
        """Refuse a place that cannot be written.

        Raises:
            InputError: if it cannot be.
        """
        try:
            self.replace(".oddroad", b"")
            self.remove(".oddroad")
        except Exception as error:  # each file system has errors of its own
            raise InputError(
                f"cannot write to '{self.place}': {reason_of(error)}; choose another place with --out"
            ) from None


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder down to the disk, where the system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
