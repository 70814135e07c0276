"""Producing items ahead in a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from oddroad.concurrency import prefetch
from oddroad.errors import InputError


class TestPrefetch:
    def test_order_is_kept(self) -> None:
        assert list(prefetch(iter(range(100)), depth=3)) == list(range(100))

    def test_an_error_of_the_producer_arrives_after_what_came_before(self) -> None:
        def items() -> Iterator[int]:
            yield 1
            yield 2
            raise InputError("broken")

        seen: list[int] = []
        with pytest.raises(InputError, match="broken"):
            seen.extend(prefetch(items()))
        assert seen == [1, 2]

    def test_an_error_of_the_reader_stops_the_producer(self) -> None:
        closed = threading.Event()

        def endless() -> Iterator[int]:
            try:
                number = 0
                while True:
                    yield number
                    number += 1
            finally:
                closed.set()

        def consume() -> None:
            for each in prefetch(endless(), depth=2):
                if each == 3:
                    raise RuntimeError("reader")

        with pytest.raises(RuntimeError, match="reader"):
            consume()
        assert closed.wait(5)
        assert not any(each.name == "read-ahead" for each in threading.enumerate())

    def test_it_runs_ahead_but_not_far(self) -> None:
        made: list[int] = []

        def items() -> Iterator[int]:
            for number in range(50):
                made.append(number)
                yield number

        reader = prefetch(items(), depth=4)
        assert next(reader) == 0
        deadline = time.monotonic() + 5
        while len(made) < 6 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.05)
        assert len(made) == 6  # one taken, four waiting, one in hand
        reader.close()
