"""Threads: a background worker, prefetch, an ordered parallel map, the latest item of a live source."""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

JOIN_TIMEOUT = 10.0
"""Seconds to wait, at the end, for the thread of a source that does not answer."""


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


Item = TypeVar("Item")


def prefetch(items: Iterable[Item], depth: int = 4) -> Iterator[Item]:
    """The same items in order, produced by a thread that runs up to ``depth`` items ahead.

    Leaving the loop stops the producer.

    Args:
        items: iterated in the thread, and closed there.
        depth: items that may wait.

    Raises:
        whatever ``items`` has raised, after the items before it.
    """
    waiting: queue.Queue[tuple[bool, Item | BaseException | None]] = queue.Queue(maxsize=max(depth, 1))
    stop = threading.Event()

    def put(entry: tuple[bool, Item | BaseException | None]) -> bool:
        while not stop.is_set():
            try:
                waiting.put(entry, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def produce() -> None:
        iterator = iter(items)
        try:
            for item in iterator:
                if not put((True, item)):
                    return
            put((False, None))
        except BaseException as error:
            put((False, error))
        finally:
            close: Callable[[], None] | None = getattr(iterator, "close", None)
            if close is not None:
                close()

    worker = threading.Thread(target=produce, daemon=True, name="prefetch")
    worker.start()
    try:
        while True:
            good, value = waiting.get()
            if good:
                yield value  # type: ignore[misc]
            elif value is None:
                return
            else:
                assert isinstance(value, BaseException)
                raise value
    finally:
        stop.set()
        worker.join(timeout=JOIN_TIMEOUT)


Done = TypeVar("Done")


class BackgroundWorker(Generic[Item]):
    """Calls a function on each item in order, in a thread that lags at most ``depth`` items.

    >>> done = []
    >>> with BackgroundWorker(done.append) as worker:
    ...     for number in range(3):
    ...         worker.put(number)
    >>> done
    [0, 1, 2]

    A slow function slows whoever puts, so memory never grows. Its failure is raised at the next ``put``, or when the
    block is left; after a failure of the block itself, what was put before is still worked on.

    Args:
        work: called with each item.
        depth: items that may wait.
    """

    def __init__(self, work: Callable[[Item], object], depth: int = 4):
        self.work = work
        self.waiting: queue.Queue[tuple[Item] | None] = queue.Queue(maxsize=max(depth, 1))
        self.error: BaseException | None = None
        self.worker = threading.Thread(target=self.run, daemon=True, name="background-worker")

    def run(self) -> None:
        """Work until there is nothing more, or the first failure."""
        while (entry := self.waiting.get()) is not None:
            try:
                self.work(entry[0])
            except BaseException as error:
                self.error = error
                return

    def hand_over(self, entry: tuple[Item] | None) -> None:
        """Queue an entry as soon as there is room; give up when the worker has failed."""
        while self.error is None:
            try:
                self.waiting.put(entry, timeout=0.1)
                return
            except queue.Full:
                continue

    def put(self, item: Item) -> None:
        """Hand an item over, waiting while too many wait already.

        Raises:
            whatever the function has raised on an earlier item.
        """
        self.hand_over((item,))
        if self.error is not None:
            raise self.error

    def __enter__(self) -> BackgroundWorker[Item]:
        self.worker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hand_over(None)
        self.worker.join()
        if kind is None and self.error is not None:
            raise self.error


def ordered_map(work: Callable[[Item], Done], items: Iterable[Item], count: int) -> Iterator[Done]:
    """What ``work`` makes of each item, in their order, ``count`` at the same time and one more waiting for its turn.

    >>> list(ordered_map(str, range(3), count=2))
    ['0', '1', '2']

    Args:
        work: called in threads; with a ``count`` of 1, in this one.
        items: taken in this thread, as they are needed.
        count: how many at a time.

    Raises:
        whatever the work or ``items`` has raised, after what came before it.
    """
    if count <= 1:
        yield from map(work, items)
        return
    iterator, failure = iter(items), None
    running: deque[Future[Done]] = deque()
    with ThreadPoolExecutor(count, thread_name_prefix="ordered-map") as pool:
        try:
            while True:
                try:
                    running.append(pool.submit(work, next(iterator)))
                except StopIteration:
                    break
                except BaseException as error:
                    failure = error
                    break
                if len(running) > count:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for each in running:
                each.cancel()
            close: Callable[[], None] | None = getattr(iterator, "close", None)
            if close is not None:
                close()
    if failure is not None:
        raise failure


def latest_only(items: Iterable[Item], dropped: Callable[[], object]) -> Iterator[Item]:
    """The items of a live source, of which each is the newest there is: older ones that nobody took are dropped.

    The last item before the end, or before an error of the source, is always given. Leaving the loop stops the source.

    Args:
        items: produced in a thread of their own, as fast as they come.
        dropped: called for each item that is dropped.

    Raises:
        whatever ``items`` has raised, after the last item.
    """
    changed = threading.Condition()
    held: list[Item] = []
    ended: list[BaseException | None] = []
    stop = threading.Event()

    def produce() -> None:
        iterator = iter(items)
        failure: BaseException | None = None
        try:
            for item in iterator:
                with changed:
                    if held:
                        held.clear()
                        dropped()
                    held.append(item)
                    changed.notify()
                if stop.is_set():
                    break
        except BaseException as error:
            failure = error
        finally:
            close: Callable[[], None] | None = getattr(iterator, "close", None)
            if close is not None:
                close()
            with changed:
                ended.append(failure)
                changed.notify()

    worker = threading.Thread(target=produce, daemon=True, name="latest-only")
    worker.start()
    try:
        while True:
            with changed:
                changed.wait_for(lambda: held or ended)
                item = held.pop() if held else None
                if item is None:
                    if ended[0] is not None:
                        raise ended[0]
                    return
            yield item
    finally:
        stop.set()
        worker.join(timeout=JOIN_TIMEOUT)
