"""The one exception class of ours, and the look-up that explains itself."""

from __future__ import annotations

import difflib
import errno
import os
from collections.abc import Iterator, Mapping
from typing import TypeVar

Value = TypeVar("Value")


DONE, WRONG, BAD_INPUT, FAILED, INTERRUPTED = 0, 1, 2, 3, 130
"""Exit codes of the command line: done; a check found something wrong; something that was given cannot be used; a live
source was lost and stayed away, or something failed that should not; interrupted."""


class InputError(ValueError):
    """Something that was given cannot be used; the message says what, what was expected, and what to do."""


class PartlyFailed(InputError):
    """Some of the work could not be done; the rest is done and kept."""


class LostSource(InputError):
    """A live source that was there went away and did not come back; what was seen before is kept."""


HINTS = {
    errno.ENOSPC: "; free some space or choose another folder",
    errno.EDQUOT: "; free some space or choose another folder",
    errno.EACCES: "; choose another place, or change its permissions",
    errno.EPERM: "; choose another place, or change its permissions",
    errno.EROFS: "; choose another place: this one is read-only",
    errno.EMFILE: "; allow this process more open files (ulimit -n)",
    errno.ENFILE: "; close other programs: the system has too many open files",
    errno.EIO: "; the disk, or the way to it, fails: check it, then run the same command again",
}
"""Error of the operating system -> what to do."""


def why(error: OSError) -> str:
    """What the operating system says, and what to do.

    >>> why(OSError(errno.EROFS, "-"))
    'Read-only file system; choose another place: this one is read-only'
    """
    if error.errno is None:
        return str(error) or "it failed"
    return f"{os.strerror(error.errno)}{HINTS.get(error.errno, '')}"


NO_MEMORY = ("bad_alloc", "bad allocation", "allocate memory", "enough memory", "out of memory", "insufficient memory")
"""How libraries say that there is no memory, in other exceptions than Python's."""


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception, or one that it came from, says that there is no memory.

    >>> out_of_memory(MemoryError()), out_of_memory(RuntimeError("std::bad_alloc")), out_of_memory(ValueError("x"))
    (True, True, False)
    """
    return any(
        isinstance(each, MemoryError)
        or (isinstance(each, OSError) and each.errno == errno.ENOMEM)
        or any(words in str(each).lower() for words in NO_MEMORY)
        for each in causes(error)
    )


def causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and those that it came from, each once."""
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or following.__context__


def counted(number: float, thing: str, form: str = "") -> str:
    """A number of things in words.

    >>> counted(1, "damaged frame"), counted(2, "gap"), counted(0, "frame"), counted(0.9996, "hour", ".3g")
    ('1 damaged frame', '2 gaps', '0 frames', '1 hour')

    Args:
        number: how many.
        thing: what, in the singular; its plural ends in s.
        form: how the number is written, as in ``format``.
    """
    written = format(number, form)
    return f"{written} {thing}" if written == "1" else f"{written} {thing}s"


def shortened(text: str, most: int = 60) -> str:
    """A text that was given, for a message: cut where it is long.

    >>> shortened("a" * 100, 10)
    'aaaaaaa...'

    Args:
        text: of any length.
        most: letters that are shown, with the dots.
    """
    return text if len(text) <= most else f"{text[: most - 3]}..."


def printable(text: str) -> str:
    r"""A message as one line that every terminal shows: of names with line ends, control characters or bytes that are
    no UTF-8, those are written as Python does.

    >>> printable("'a" + chr(10) + "b.png' is empty")
    "'a\\nb.png' is empty"
    """
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def pick(table: Mapping[str, Value], name: str, kind: str) -> Value:
    """Look a name up in a table.

    >>> pick({"erfnet": 1, "enet": 2}, "erfnet", "network")
    1

    Args:
        table: names and what they stand for.
        name: the wanted one.
        kind: what the table holds, in one word, for the message.

    Raises:
        InputError: if there is no such name; the message lists the valid ones.
    """
    if name in table:
        return table[name]
    near = difflib.get_close_matches(name, table, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else "."
    raise InputError(f"no {kind} called '{shortened(name)}'{hint} There are: {', '.join(table)}")
