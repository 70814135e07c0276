"""A file of lines that is a whole prefix of what it will be at any moment: it can be followed while it grows."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


class LineFile:
    """Lines appended to a file, each in one write and without a buffer: what was appended is in the file.

    A line that cannot be written whole is taken back, and nothing is appended after it.

    Args:
        path: the file.
        first: its first line, for a new file, which replaces an old one as soon as this line is in it; None to go on
            with a file that is there.

    Raises:
        OSError: if it cannot be written; an old file stays as it was.
    """

    def __init__(self, path: Path, first: str | None = None):
        self.path = path
        self.failure: OSError | None = None
        if first is not None:
            partial = path.with_name(f".{path.name}.partial")
            try:
                partial.write_text(first, encoding="utf-8")
                partial.replace(path)
            except OSError:
                with contextlib.suppress(OSError):
                    partial.unlink(missing_ok=True)
                raise
        self.opened = path.open("ab", buffering=0)
        self.length = os.fstat(self.opened.fileno()).st_size

    def append(self, line: str) -> None:
        """Append a line, with its end.

        Raises:
            OSError: if it could not be written, or an earlier one could not.
        """
        if self.failure is not None:
            raise self.failure
        data = memoryview(line.encode())
        try:
            while data:
                data = data[self.opened.write(data) or 0 :]
            self.length += len(line.encode())
        except OSError as error:
            self.failure = error
            with contextlib.suppress(OSError):
                os.truncate(self.path, self.length)
            raise

    def close(self) -> None:
        """Close the file.

        Raises:
            OSError: if the system says only now that something was not written.
        """
        self.opened.close()
