"""What a request asks and what it gets, without a web framework: handlers are plain functions of a ``Call``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oddroad.errors import InputError


class Refused(InputError):
    """A request that is not served, with the status that says why.

    Args:
        message: one line for people.
        status: of HTTP.
        retry: seconds after which it may work; None where it never will.
    """

    def __init__(self, message: str, status: int = 400, retry: int | None = None):
        super().__init__(message)
        self.status, self.retry = status, retry


def busy(what: str) -> Refused:
    """The one error under load: come back."""
    return Refused(f"busy, try again: {what}", 503, retry=1)


def failure(error: BaseException) -> str:
    """Why work behind a request failed, in one line: what was given wrong, or that the fault is ours."""
    return str(error) if isinstance(error, InputError) else f"a fault in oddroad: {type(error).__name__}: {error}"


@dataclass(frozen=True)
class Call:
    """A request.

    Attributes:
        path: values of the parts of the route, by name.
        query: values after the ``?``, by name.
        headers: names in small letters.
        body: bytes that were sent; empty where they went into ``file``.
        file: where a large body lies, for routes that take one.
    """

    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    file: Path | None = None

    def json(self) -> dict[str, Any]:
        """The body as a JSON object.

        Raises:
            Refused: if it is none.
        """
        try:
            values = json.loads(self.body or b"{}")
        except (ValueError, RecursionError):
            raise Refused("the body is not JSON; expected an object") from None
        if not isinstance(values, dict):
            raise Refused(f"the body is a JSON {type(values).__name__}; expected an object")
        return values

    def number(self, name: str, default: float | None = None, least: float | None = None) -> float:
        """A value of the query as a number.

        Raises:
            Refused: if it is missing and there is no default, no finite number, or below ``least``.
        """
        text = self.query.get(name, "")
        if not text and default is not None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not (abs(value) < float("inf")) or (least is not None and value < least):
            raise Refused(f"'{name}' is '{text}'; expected a number{'' if least is None else f' of {least:g} or more'}")
        return value

    def whole(self, name: str, default: int | None = None, least: int = 0) -> int:
        """A value of the query as a whole number; see ``number``."""
        value = self.number(name, default, least)
        if value != int(value):
            raise Refused(f"'{name}' is '{value}'; expected a whole number")
        return int(value)


@dataclass(frozen=True)
class Reply:
    """An answer.

    Attributes:
        body: bytes, or a file to send, or parts that are made as they are sent.
        kind: media type.
        headers: further ones.
        status: of HTTP.
    """

    body: bytes | Path | Iterator[bytes]
    kind: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200


def as_json(values: Any, status: int = 200) -> Reply:
    """An answer in JSON; numbers that JSON does not have become null."""
    return Reply(json.dumps(finite(values), allow_nan=False).encode(), status=status)


def finite(values: Any) -> Any:
    """The same values with None for each number that is not finite."""
    if isinstance(values, float):
        return values if abs(values) < float("inf") else None
    if isinstance(values, Mapping):
        return {key: finite(value) for key, value in values.items()}
    return [finite(each) for each in values] if isinstance(values, (list, tuple)) else values


def download(body: bytes | Path, kind: str, name: str) -> Reply:
    """A file that the browser saves under a name."""
    plain = "".join(each if each.isascii() and (each.isalnum() or each in "._-") else "_" for each in name)
    return Reply(body, kind, {"content-disposition": f'attachment; filename="{plain}"'})
