"""All views: opened, found again, let go when there is no room or nobody looks."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from oddroad.web.detectors import Detector
from oddroad.web.findings import FindingsOf
from oddroad.web.library import Entry
from oddroad.web.limits import Limits
from oddroad.web.reply import Refused, busy
from oddroad.web.view import View

IDLE = 60.0
"""Seconds after which a view that nobody asks for may make room for another."""


class Views:
    """The views that there are.

    Args:
        detectors: that judge.
        folder: below which frames and maps are kept.
        limits: of views and bytes.
    """

    def __init__(self, detectors: Sequence[Detector], folder: Path, limits: Limits):
        self.detectors, self.folder, self.limits = detectors, folder, limits
        self.views: dict[str, View] = {}
        self.findings: dict[str, FindingsOf] = {}
        self.opened: dict[tuple[str, int], str] = {}
        self.guarding = threading.RLock()

    def open(self, entry: Entry, every: int = 1) -> View:
        """The view of a source: the one that is there, or a new one.

        Raises:
            Refused: if there are too many that are in use.
        """
        dropped: list[View] = []
        with self.guarding:
            there = self.views.get(self.opened.get((entry.key, every), ""))
            if there is not None and there.state in ("working", "done"):
                there.seen = time.monotonic()
                return there
            while len(self.views) >= self.limits.views:
                dropped.append(self.drop_one())
            key = secrets.token_urlsafe(9)
            view = View(key, entry, self.detectors, self.folder / key, self.limits, every, self.make_room)
            self.views[key], self.findings[key] = view, FindingsOf(view)
            self.opened[entry.key, every] = key
        for each in dropped:
            finish(each)
        view.start()
        return view

    def find(self, key: str) -> View:
        """The view of a key.

        Raises:
            Refused: if there is none.
        """
        with self.guarding:
            found = self.views.get(key)
        if found is None:
            raise Refused("there is no such view; it was let go to make room: open the source again", 404)
        found.seen = time.monotonic()
        return found

    def found_in(self, view: View) -> FindingsOf:
        """The findings of a view.

        Raises:
            Refused: if it was let go meanwhile.
        """
        found = self.findings.get(view.key)
        if found is None:
            raise Refused("this view was let go to make room: open the source again", 404)
        return found

    def drop_one(self) -> View:
        """Let go the view that nobody has asked for for the longest time; the caller holds the lock, and finishes it.

        Raises:
            Refused: if all are in use.
        """
        oldest = min(self.views.values(), key=lambda each: each.seen)
        if time.monotonic() - oldest.seen < IDLE:
            raise busy(f"{len(self.views)} sources are being looked at")
        self.forget(oldest.key)
        return oldest

    def forget(self, key: str) -> View | None:
        """Take a view out of the list."""
        with self.guarding:
            self.findings.pop(key, None)
            self.opened = {which: each for which, each in self.opened.items() if each != key}
            return self.views.pop(key, None)

    def close(self, key: str) -> None:
        """Stop a view and delete what it kept."""
        view = self.forget(key)
        if view is not None:
            finish(view)

    def size(self) -> int:
        """Bytes that all views keep."""
        with self.guarding:
            return sum(each.kept.size for each in self.views.values())

    def make_room(self, growing: View) -> None:
        """Called as a view grows: others that nobody looks at go first, then this one stops."""
        while self.size() > self.limits.kept_bytes:
            with self.guarding:
                idle = [each for each in self.views.values() if each is not growing]
                idle = [each for each in idle if time.monotonic() - each.seen > IDLE]
                oldest = min(idle, key=lambda each: each.seen, default=None)
            if oldest is None:
                growing.stop(f"stopped: {self.limits.kept_bytes / 2**30:.1f} GiB are kept, the limit (--keep)")
                return
            self.close(oldest.key)

    def close_all(self) -> None:
        """Stop everything; what is being judged is finished."""
        for key in list(self.views):
            self.close(key)


def finish(view: View) -> None:
    """Stop a view after the frame that it is at, and delete what it kept. No lock is held: a view asks for room."""
    view.stop()
    if view.worker.is_alive() and view.worker is not threading.current_thread():
        view.worker.join(timeout=10)
    view.kept.remove()
