"""Workers on this machine: one process for each core, any of which may be killed at any moment."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import wait as wait_for
from typing import Any, Protocol

from oddroad.errors import InputError
from oddroad.mining.places import reason_of
from oddroad.mining.worker import Settings, mine_segment

STALLED = 900.0
"""Seconds without a frame after which a worker is killed: the network file system that it waits for does not answer."""

PERMANENT = (FileNotFoundError, PermissionError, NotADirectoryError, IsADirectoryError)
"""Errors of the operating system that waiting does not mend."""


@dataclass(frozen=True)
class Outcome:
    """What became of a segment that was given to a worker.

    Attributes:
        key: that it was given with.
        record: its row of ``segments``; None where it failed.
        error: why it failed, in words.
        kind: "input" where it cannot be read, "passing" where waiting may help, "died" where the worker is gone.
    """

    key: str
    record: dict[str, Any] | None
    error: str = ""
    kind: str = ""


class Pool(Protocol):
    """Workers that mine segments."""

    @property
    def capacity(self) -> int:
        """Segments that may be given out at a time."""
        ...

    def submit(self, key: str, values: Mapping[str, Any]) -> None:
        """Give a segment to a worker; there are at most ``capacity`` at a time."""
        ...

    def wait(self, seconds: float) -> list[Outcome]:
        """What has become of some segments; waits for the first one, but no longer than so many seconds."""
        ...

    def close(self) -> None:
        """End all workers at once; what they were at is not lost, as nothing is written in part."""
        ...


def attempt(key: str, values: Mapping[str, Any], settings: Settings, place: str, alive: Any) -> Outcome:
    """Mine a segment; whatever goes wrong is told, not raised."""
    try:
        return Outcome(key, mine_segment(values, settings, place, alive))
    except (InputError, *PERMANENT) as error:
        return Outcome(key, None, reason_of(error), "input")
    except OSError as error:
        return Outcome(key, None, reason_of(error), "passing")
    except Exception as error:  # a segment of an archive may hold anything; the others go on
        name = type(error).__name__
        passing = any(
            each.__module__.startswith(("botocore", "aiohttp", "google", "azure")) for each in type(error).__mro__
        )
        return Outcome(key, None, f"{name}: {reason_of(error)}", "passing" if passing else "input")


def work(pipe: Any, settings: Settings, place: str, parent: int) -> None:
    """What a worker process does: segments come through the pipe, outcomes go back; it ends with its driver."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="parent-watch").start()
    lock = threading.Lock()

    def alive(frames: int) -> None:
        with lock:
            pipe.send(frames)

    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        if task is None:
            return
        outcome = attempt(task[0], task[1], settings, place, alive)
        with lock:
            pipe.send(outcome)


@dataclass
class Worker:
    """A worker process, what it is at, and since when it has given no sign of life."""

    process: Any
    pipe: Any
    key: str = ""
    heard: float = field(default_factory=time.monotonic)


class LocalPool:
    """Processes on this machine.

    Args:
        settings: for the work.
        place: of the store.
        workers: how many.
    """

    def __init__(self, settings: Settings, place: str, workers: int):
        self.settings, self.place, self.count = settings, place, workers
        self.context = multiprocessing.get_context("spawn")
        self.workers: list[Worker] = []

    @property
    def capacity(self) -> int:
        """See ``Pool``."""
        return self.count

    def start(self) -> Worker:
        """A new worker."""
        ours, theirs = self.context.Pipe()
        process = self.context.Process(
            target=work, args=(theirs, self.settings, self.place, os.getpid()), daemon=True, name="oddroad-mine"
        )
        process.start()
        theirs.close()
        found = Worker(process, ours)
        self.workers.append(found)
        return found

    def submit(self, key: str, values: Mapping[str, Any]) -> None:
        """See ``Pool``."""
        idle = next((each for each in self.workers if not each.key and each.process.is_alive()), None)
        worker = idle or self.start()
        worker.key, worker.heard = key, time.monotonic()
        with contextlib.suppress(OSError):  # it has just died; ``wait`` finds that
            worker.pipe.send((key, dict(values)))

    def wait(self, seconds: float) -> list[Outcome]:
        """See ``Pool``."""
        by_pipe = {each.pipe: each for each in self.workers if each.key}
        found: list[Outcome] = []
        until = time.monotonic() + seconds
        while not found and by_pipe and (left := until - time.monotonic()) > 0:
            for pipe in wait_for(list(by_pipe), left):
                found += self.hear(by_pipe[pipe])  # type: ignore[index]
            by_pipe = {each.pipe: each for each in self.workers if each.key}
        for each in self.workers:
            if each.key and time.monotonic() - each.heard > STALLED:
                each.process.kill()
        return found

    def hear(self, worker: Worker) -> list[Outcome]:
        """What a worker has to say; that it is dead, if it is."""
        worker.heard = time.monotonic()
        try:
            said = worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.join(10)
            code = worker.process.exitcode
            how = f"by signal {-code}" if code is not None and code < 0 else f"with exit code {code}"
            self.workers.remove(worker)
            worker.pipe.close()
            return [Outcome(worker.key, None, f"its worker ended {how}", "died")]
        if not isinstance(said, Outcome):
            return []
        worker.key = ""
        return [said]

    def close(self) -> None:
        """See ``Pool``."""
        for each in self.workers:
            each.process.kill()
        for each in self.workers:
            each.process.join(10)
            each.pipe.close()
        self.workers.clear()
