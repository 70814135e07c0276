"""What values of JSON may be: checks of files that come from strangers, so that what reads them can trust them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from oddroad.errors import InputError, printable, shortened

Check = Callable[[Any, str], None]
"""(value, its place in the file) -> nothing; an InputError where it is another."""

LONGEST = 200
"""Letters of a name."""

DEEPEST = 32
"""Objects and lists inside one another."""


def refuse(value: Any, where: str, expected: str) -> NoReturn:
    """Say what a value is and should be.

    Raises:
        InputError: always.
    """
    raise InputError(f"{where} is {shown(value)}; expected {expected}")


def shown(value: Any, write: Callable[[Any], str] = repr) -> str:
    """A value for a message, cut where it is long.

    Args:
        value: any.
        write: makes the text of it.
    """
    return shortened("a very large number" if isinstance(value, int) and abs(value) >= 10**60 else write(value))


def text(value: Any, where: str) -> None:
    """A text."""
    if not isinstance(value, str):
        refuse(value, where, "a text")


def title(value: Any, where: str) -> None:
    """A name that can be printed as it is: one line, not long, no control characters."""
    text(value, where)
    if printable(value) != value:
        refuse(value, where, "a text without control characters")
    if len(value) > LONGEST:
        refuse(value, where, f"a text of at most {LONGEST} letters")


def truth(value: Any, where: str) -> None:
    """True or false."""
    if not isinstance(value, bool):
        refuse(value, where, "true or false")


def number(value: Any, where: str) -> None:
    """A finite number."""
    real = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not real or not abs(value) <= 1e300:  # NaN is not, either; larger whole numbers are no floats
        refuse(value, where, "a finite number")


def figure(value: Any, where: str) -> None:
    """A number, NaN or infinite where there is none, or nothing."""
    if value is not None and not (isinstance(value, float) and not math.isfinite(value)):
        number(value, where)


def name(value: Any, where: str) -> None:
    """A text of which the name of a file can be made: no folder in it."""
    text(value, where)
    if not value or value in (".", "..") or not value.isprintable() or any(each in value for each in "/\\:"):
        refuse(value, where, "a name without '/'")


def whole(least: int = 0) -> Check:
    """A whole number that is not smaller than another."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value < 2**62:
            refuse(value, where, f"a whole number of {least} or more")

    return check


def share(value: Any, where: str) -> None:
    """A number between 0 and 1, without these."""
    number(value, where)
    if not 0 < value < 1:
        refuse(value, where, "a number between 0 and 1")


def above_zero(value: Any, where: str) -> None:
    """A number above 0."""
    number(value, where)
    if value <= 0:
        refuse(value, where, "a number above 0")


def maybe(inner: Check) -> Check:
    """Nothing, or a value."""
    return lambda value, where: None if value is None else inner(value, where)


def listed(inner: Check, least: int = 0) -> Check:
    """A list of values."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, list) or len(value) < least:
            refuse(value, where, "a list" if not least else f"a list of {least} or more")
        for each in value:
            inner(each, where)

    return check


def row(*inner: Check) -> Check:
    """A list of as many values as there are checks."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, list) or len(value) != len(inner):
            refuse(value, where, f"a list of {len(inner)}")
        for one, each in zip(inner, value, strict=True):
            one(each, where)

    return check


def named(inner: Check, least: int = 0) -> Check:
    """An object of values of one kind."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, dict) or len(value) < least:
            refuse(value, where, "an object" if not least else f"an object of {least} or more")
        for key, each in value.items():
            inner(each, f"{where}.{str(key)[:40]}")

    return check


def keyed(known: Mapping[str, Check], needed: tuple[str, ...] = (), only: bool = False) -> Check:
    """An object; its known keys are checked, and those that are needed are there."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, dict):
            refuse(value, where, "an object")
        missing = [key for key in needed if key not in value]
        if missing or (only and value.keys() - known.keys()):
            refuse(value, where, f"an object with {', '.join(needed)}")
        for key, inner in known.items():
            if key in value:
                inner(value[key], f"{where}.{key}")

    return check


anything = keyed({})
"""An object of whatever."""


def check_depth(values: Any, what: str) -> None:
    """Refuse values that are nested so deeply that handling them takes the stack.

    Raises:
        InputError: if they are.
    """
    if depth(values) > DEEPEST:
        raise InputError(f"{what} holds objects and lists nested more than {DEEPEST} times")


def depth(values: Any) -> int:
    """How many objects and lists lie inside one another; no more than one above DEEPEST are counted."""
    layer, found = [values], 0
    while layer and found <= DEEPEST:
        inside = [each for each in layer if isinstance(each, (Mapping, list))]
        layer = [one for each in inside for one in (each.values() if isinstance(each, Mapping) else each)]
        found += bool(inside)
        if not inside:
            break
    return found
