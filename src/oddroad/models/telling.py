"""Who is told what is fetched without being asked for; light to import."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

TELL: ContextVar[Callable[[str], None] | None] = ContextVar("TELL", default=None)
"""Is told in words; None where nobody is. Set by the command line."""


@contextmanager
def telling(tell: Callable[[str], None] | None) -> Iterator[None]:
    """Tell what is fetched while this lasts."""
    token = TELL.set(tell)
    try:
        yield
    finally:
        TELL.reset(token)
