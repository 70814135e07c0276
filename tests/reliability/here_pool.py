"""Workers of ``oddroad mine`` in the process itself, so that calls which fail there fail in them, too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oddroad.mining.pool import Outcome, attempt
from oddroad.mining.worker import Settings


class HerePool:
    """A pool of one worker that works while it is waited for.

    Args:
        settings: of the run.
        place: folder of the findings.
    """

    capacity = 1

    def __init__(self, settings: Settings, place: str):
        self.settings, self.place = settings, place
        self.given: list[tuple[str, Mapping[str, Any]]] = []

    def submit(self, key: str, values: Mapping[str, Any]) -> None:
        """Keep a segment."""
        self.given.append((key, values))

    def wait(self, seconds: float) -> list[Outcome]:
        """Mine what was given."""
        given, self.given = self.given, []
        return [attempt(key, values, self.settings, self.place, lambda frames: None) for key, values in given]

    def close(self) -> None:
        """Nothing runs."""


def keep_here() -> None:
    """Let ``oddroad mine`` work in its own process, and try again at once what may be mended by waiting (110 s)."""
    from oddroad.cli import mine
    from oddroad.mining import driver

    driver.WAITS = (0.0,) * len(driver.WAITS)
    mine.make_pool = lambda settings, out, workers, ray: HerePool(settings, out)
