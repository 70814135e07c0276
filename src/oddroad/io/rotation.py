"""When a long run goes on in another folder: after a time or a size."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from oddroad.errors import InputError

UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
SIZES = {"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12}


@dataclass
class Rotation:
    """A limit and what has been used of it.

    Attributes:
        seconds: after which a new part begins; None where only the size counts.
        size: bytes after which a new part begins; None where only the time counts.
    """

    seconds: float | None = None
    size: float | None = None
    began: float = 0.0
    written: float = 0.0

    def begin(self) -> None:
        """A part begins."""
        self.began, self.written = time.monotonic(), 0.0

    def add(self, count: int) -> None:
        """Bytes were written."""
        self.written += count

    def due(self, unfinished: int = 0) -> bool:
        """Whether the next frame belongs to the next part; ``unfinished`` are bytes that were not added yet."""
        if self.seconds is not None and time.monotonic() - self.began >= self.seconds:
            return True
        return self.size is not None and self.written + unfinished >= self.size


def parse_rotation(text: str) -> Rotation:
    """A limit as people write it.

    >>> parse_rotation("10min").seconds, parse_rotation("500MB").size
    (600.0, 500000000.0)

    Raises:
        InputError: if it is none.
    """
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([a-zA-Z]+)", text.strip())
    number, unit = (float(found[1]), found[2].lower()) if found else (0.0, "")
    if number > 0 and unit in UNITS:
        return Rotation(seconds=number * UNITS[unit])
    if number > 0 and unit in SIZES:
        return Rotation(size=number * SIZES[unit])
    raise InputError(
        f"--rotate is '{text}'; expected a time (s, min, h, d) or a size (kB, MB, GB), such as 10min or 500MB"
    )
