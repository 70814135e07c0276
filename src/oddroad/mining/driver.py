"""A run: plans the archive, gives segments to workers, retries what failed, and keeps account of it all."""

from __future__ import annotations

import contextlib
import hashlib
import heapq
import json
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from oddroad.errors import InputError
from oddroad.io.folder_lock import FolderLock
from oddroad.mining.archive import Plan
from oddroad.mining.manifest import fold, names_in, remove_strays
from oddroad.mining.places import reason_of
from oddroad.mining.plan import Segment, halves
from oddroad.mining.pool import Outcome, Pool
from oddroad.mining.progress import Progress, now, status_of
from oddroad.mining.store import Store
from oddroad.mining.worker import Settings

STATUS, FAILED = "status.json", "failed"
WAITS = (1.0, 4.0, 15.0, 30.0, 60.0)
"""Seconds before each new try where waiting may help: a network file system may be away for a minute."""

STATUS_EVERY = 2.0
FOLD_EVERY = 5000
"""Segments done after which their records are brought into ``segments``."""

Value = TypeVar("Value")


def patiently(work: Callable[[], Value], tell: Callable[[str], None] = lambda words: None) -> Value:
    """Do something on a file system that may be away for a minute.

    Raises:
        OSError: of the last try; what waiting does not mend is raised at once.
    """
    for wait in (*WAITS, None):
        try:
            return work()
        except (FileNotFoundError, PermissionError, InputError):
            raise
        except Exception as error:  # each file system has errors of its own
            if wait is None:
                raise
            tell(f"cannot write: {reason_of(error)}; tried again in {wait:.0f} s")
            time.sleep(wait)
    raise AssertionError


class Run:
    """One run over an archive.

    Args:
        store: where the findings go.
        plan: what is to be mined.
        settings: how.
        pool: the workers.
        retries: tries after the first one, for a segment that fails.
        progress: told how far it is, now and then.
        tell: told what is worth a line.
    """

    def __init__(
        self,
        store: Store,
        plan: Plan,
        settings: Settings,
        pool: Pool,
        retries: int = 2,
        progress: Callable[[Progress], None] = lambda progress: None,
        tell: Callable[[str], None] = lambda words: None,
    ):
        self.store, self.plan, self.settings, self.pool, self.retries = store, plan, settings, pool, retries
        self.told, self.tell = progress, tell
        self.progress = Progress(plan.totals)
        self.running: dict[str, tuple[Segment, int]] = {}
        self.later: list[tuple[float, int, Segment, int]] = []  # when, order, segment, tries so far
        self.ahead: deque[Segment] = deque()
        self.order = 0
        self.split = False
        self.known: set[str] = set()
        self.status_at = 0.0
        self.unfolded = 0
        self.failures: set[str] = set()

    def begin(self) -> None:
        """Read what is done already."""
        manifest = fold(self.store)
        self.known = set(names_in(self.store, manifest))
        failing = {
            f"log-{hashlib.sha256(where.encode()).hexdigest()[:16]}": (where, why)
            for where, why in self.plan.totals.failed
        }
        for file, _ in list(self.store.names(FAILED)):
            name = file.rpartition("/")[2].removesuffix(".json")
            self.failures.add(name)
            if name in self.known or (name.startswith("log-") and name not in failing):
                self.store.remove(file)
        for name, (where, why) in failing.items():
            self.fail(name, where, why, 1)

    def to_do(self) -> Iterator[Segment]:
        """The segments that are not done, in their order; a segment of which a half is done is given in halves."""

        def done(name: str) -> bool:
            found = name in self.known
            self.progress.skipped += found
            return found

        for segment in self.plan.segments(self.settings.made_of, done):
            name = self.name(segment)
            if f"{name}.a" in self.known or f"{name}.b" in self.known:
                parts = [each for each in self.halved(segment) if self.name(each) not in self.known]
                self.progress.skipped += not parts
                yield from parts
            else:
                yield segment

    def name(self, segment: Segment) -> str:
        """The name of a segment, or of a half of one: that of the whole with the half behind it."""
        return segment.name(self.settings.made_of)

    def halved(self, segment: Segment) -> list[Segment]:
        """A segment in halves, or whole where that cannot be."""
        with contextlib.suppress(Exception):  # that it cannot be read is said when it is read
            return halves(segment, self.settings.copies)
        return [segment]

    def work(self) -> Progress:
        """Mine everything; returns what was done. Whatever stops it, what is done stays done."""
        progress = self.progress
        progress.state, progress.began = "mining", time.monotonic()
        self.begin()
        waiting = self.to_do()
        exhausted = False
        try:
            while True:
                while not exhausted and len(self.ahead) < self.pool.capacity:
                    segment = next(waiting, None)
                    exhausted = segment is None
                    if segment is not None:
                        self.ahead.append(segment)
                if exhausted and not self.split and self.pool.capacity > 1:
                    self.split_last()
                while len(self.running) < self.pool.capacity and (given := self.next()) is not None:
                    self.submit(*given)
                if not self.running and not self.ahead and not self.later and exhausted:
                    break
                if self.running:
                    for outcome in self.pool.wait(0.5):
                        self.take(outcome)
                else:
                    time.sleep(min(0.5, max(self.later[0][0] - time.monotonic(), 0.0)) if self.later else 0.0)
                self.tell_status()
            progress.state = "done"
        except BaseException:
            progress.state = "stopped"
            raise
        finally:
            self.pool.close()
            if progress.state == "done":
                patiently(self.finish, self.tell)
            with contextlib.suppress(Exception):
                self.tell_status(now=True)
        return progress

    def finish(self) -> None:
        """Bring everything into the tables."""
        fold(self.store)
        remove_strays(self.store, self.known)

    def split_last(self) -> None:
        """Halve the last segments, so that no worker is alone with one at the end."""
        self.split = True
        parts = [each for segment in self.ahead for each in (self.halved(segment) if not segment.half else [segment])]
        self.progress.totals.segments += len(parts) - len(self.ahead)
        self.ahead = deque(parts)

    def next(self) -> tuple[Segment, int] | None:
        """The next segment for a worker and how often it was tried; None where there is none now."""
        if self.later and self.later[0][0] <= time.monotonic():
            _, _, segment, tries = heapq.heappop(self.later)
            return segment, tries
        return (self.ahead.popleft(), 0) if self.ahead else None

    def submit(self, segment: Segment, tries: int) -> None:
        """Give a segment to a worker."""
        key = self.name(segment)
        self.running[key] = segment, tries
        self.pool.submit(key, segment.to_json())

    def take(self, outcome: Outcome) -> None:
        """Take in what became of a segment."""
        segment, tries = self.running.pop(outcome.key)
        if outcome.record is not None:
            self.progress.add(outcome.record)
            self.known.add(outcome.key)
            if outcome.record["reason"]:
                self.tell(f"{segment.shown}: {outcome.record['reason']}")
            if outcome.key in self.failures:
                self.store.remove(f"{FAILED}/{outcome.key}.json")
            self.unfolded += 1
            if self.unfolded >= FOLD_EVERY:
                self.unfolded = 0
                patiently(lambda: fold(self.store), self.tell)
            return
        most = len(WAITS) if outcome.kind == "passing" else self.retries
        if tries < most:
            wait = WAITS[min(tries, len(WAITS) - 1)] if outcome.kind == "passing" else min(0.1 * 4**tries, 10.0)
            self.tell(f"{segment.shown}: {outcome.error}; tried again ({tries + 1} of {most})")
            self.order += 1
            heapq.heappush(self.later, (time.monotonic() + wait, self.order, segment, tries + 1))
            return
        self.tell(f"{segment.shown}: FAILED: {outcome.error}")
        self.fail(outcome.key, segment.shown, outcome.error, tries + 1)

    def fail(self, name: str, shown: str, reason: str, tries: int) -> None:
        """Note what cannot be mined, in a file of its own."""
        self.progress.failed += 1
        values = {"what": shown, "reason": reason, "tries": tries, "time": now()}
        patiently(lambda: self.store.replace(f"{FAILED}/{name}.json", json.dumps(values).encode()), self.tell)

    def tell_status(self, now: bool = False) -> None:
        """Write the status file and tell the progress, if it is time."""
        if not now and time.monotonic() - self.status_at < STATUS_EVERY:
            return
        self.status_at = time.monotonic()
        self.progress.running = [segment.shown for segment, _ in self.running.values()]
        self.told(self.progress)
        with contextlib.suppress(Exception):  # it is for people, and tried again soon
            self.store.replace(STATUS, json.dumps(status_of(self.progress), indent=1).encode())


@contextlib.contextmanager
def only_run(store: Store) -> Iterator[None]:
    """Holds the store for one run at a time.

    Raises:
        InputError: if another run is at work there.
    """
    if not store.remote:
        lock = FolderLock(Path(store.root))
        try:
            yield
        finally:
            lock.release()
        return
    mine = {"process": os.getpid(), "host": socket.gethostname(), "since": now()}
    if not store.create(".oddroad.lock", json.dumps(mine).encode()):
        held = json.loads(store.read(".oddroad.lock") or b"{}")
        status = json.loads(store.read(STATUS) or b"{}")
        alive = status.get("state") == "mining" and age(status.get("updated", "")) < 300
        if alive or age(str(held.get("since", ""))) < 60:
            raise InputError(
                f"a run is at work on '{store.place}' (process {held.get('process')} on {held.get('host')}, since "
                f"{held.get('since')}); wait until it ends; one that was killed is forgotten after 5 minutes"
            )
        store.replace(".oddroad.lock", json.dumps(mine).encode())
    try:
        yield
    finally:
        store.remove(".oddroad.lock")


def age(stamp: str) -> float:
    """Seconds since a time in ISO 8601; infinite where it is none."""
    try:
        return (datetime.now(UTC) - datetime.fromisoformat(stamp)).total_seconds()
    except (ValueError, TypeError):
        return float("inf")
