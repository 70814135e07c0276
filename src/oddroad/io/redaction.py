"""Addresses of cameras and streams as they may be shown: without passwords, tokens and stream keys."""

from __future__ import annotations

import re

HARMLESS = {
    "channel", "subtype", "stream", "streamtype", "camera", "cam", "ch", "chid", "profile", "resolution", "fps",
    "width", "height", "unicast", "proto", "transport", "mode", "codec", "overrun_nonfatal", "fifo_size", "timeout",
}  # fmt: skip
"""Names in a query whose values are shown: they say which of a camera's pictures is meant, and open nothing."""


NAMES = "user|usr|pass(?:word|wd)?|pwd|token|key|secret|auth|sig(?:nature)?"


SECRET_IN_PATH = re.compile(
    rf"(?i)(?<![a-z])((?:{NAMES})=)(?:(?!_(?:channel|stream|subtype)=\d|_(?:{NAMES})=|[&/;?]).)*"
)
"""What some cameras want in the path: ``/user=admin_password=x_channel=1.sdp``."""


def redact(address: str) -> str:
    """An address without what opens it; words that are no addresses come back as they are.

    >>> redact("rtsp://admin:geheim@10.0.0.5:554/live?channel=1&token=abc")
    'rtsp://admin:***@10.0.0.5:554/live?channel=1&token=***'
    >>> redact("rtmp://live.example.org/app/key123")
    'rtmp://live.example.org/app/***'

    Passwords, values of the query that are not known to be harmless, what follows a ``#``, the last part of an RTMP
    path, and parts of a path that look like a token are replaced by ``***``. A password may hold ``@``, ``/``, ``?``
    and ``#``.
    """
    scheme, separator, rest = address.partition("://")
    if not separator or not scheme or scheme.lower() == "file":
        return address
    user, host = "", rest
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    port = authority.partition(":")[2]
    if "@" in authority or ("@" in rest and port and not port.isdigit() and not authority.startswith("[")):
        secret, _, host = rest.rpartition("@")
        name, colon, _ = secret.partition(":")
        user = f"{name if len(name) < 16 else '***'}{':***' if colon else ''}@"
    host, hashed, _ = host.partition("#")
    host, asked, query = host.partition("?")
    parts = host.split("/")
    parts[1:] = [hidden_part(each) for each in parts[1:]]
    if scheme.lower().startswith("rtmp") and len(parts) > 1:
        parts[-1] = "***"
    pairs = "&".join(hidden_value(each) for each in query.split("&")) if query else ""
    return f"{scheme}://{user}{'/'.join(parts)}{asked}{pairs}{hashed}{'***' if hashed else ''}"


def hidden_part(part: str) -> str:
    """A part of a path, hidden where it looks like a token, and without secrets that are named in it."""
    name, dot, ending = part.rpartition(".")
    stem = name if dot and len(ending) <= 5 else part
    token = re.fullmatch(r"[\w~=+.-]{16,}", stem) and re.search(r"\d", stem) and re.search(r"[A-Za-z]", stem)
    named = SECRET_IN_PATH.sub(r"\1***", part)
    return named if named != part or not token else "***" + part[len(stem) :]


def hidden_value(pair: str) -> str:
    """One ``name=value`` of a query; the value is hidden unless its name is known to be harmless."""
    name, equals, value = pair.partition("=")
    if not equals:
        return pair if pair.lower() in HARMLESS or re.fullmatch(r"\d{0,4}", pair) else "***"
    return pair if name.lower() in HARMLESS and re.fullmatch(r"[\w.:-]{0,16}", value) else f"{name}=***"


def short_name(address: str) -> str:
    """A name for a stream that can be that of a file: host and path of the redacted address.

    >>> short_name("rtsp://admin:geheim@10.0.0.5:554/live?channel=1")
    '10.0.0.5_554_live_channel_1'
    """
    shown = redact(address).partition("://")[2].rpartition("@")[2]
    return re.sub(r"[^\w.-]+", "_", shown.replace("***", "")).strip("_.") or "stream"
