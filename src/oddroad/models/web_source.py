"""A file from an HTTP address, with limits on its size, its time, and where it may lead."""

from __future__ import annotations

import base64
import hashlib
import http.client
import ipaddress
import os
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from oddroad.errors import InputError, counted
from oddroad.io.redaction import redact

REDIRECTS = 5
"""Redirections that are followed at most."""

SILENT = 20.0
"""Seconds without a byte after which a server is given up."""

CHUNK = 1 << 16


@dataclass(frozen=True)
class Limits:
    """How much of the world a fetch may take.

    Attributes:
        bytes: largest file.
        seconds: longest time in all.
    """

    bytes: int = 1 << 30
    seconds: float = 600.0


@dataclass(frozen=True)
class Fetched:
    """What was fetched: the SHA-256 in hexadecimal, the number of bytes, and the address that gave them at last."""

    sha256: str
    bytes: int
    address: str = field(repr=False, default="")


def offline() -> bool:
    """Whether nothing may be fetched: ODDROAD_OFFLINE or HF_HUB_OFFLINE is set."""
    return any(os.environ.get(name, "").lower() in ("1", "true", "yes", "on") for name in OFFLINE)


OFFLINE = ("ODDROAD_OFFLINE", "HF_HUB_OFFLINE")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its name."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost" or host.lower().endswith(".localhost")


def is_inside(host: str) -> bool:
    """Whether a host is this machine or of a private network, by its name or by what the name stands for."""
    if is_loopback(host):
        return True
    try:
        found = {each[4][0] for each in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    addresses = [ipaddress.ip_address(str(each).partition("%")[0]) for each in found]
    return any(not each.is_global for each in addresses)


def check_address(address: str, pinned: bool) -> None:
    """Refuse an address that anyone on the way could answer for, unless the file's hash is known.

    Raises:
        InputError: if it is plain http to another machine and nothing is pinned.
    """
    parts = urlsplit(address)
    if parts.scheme.lower() == "http" and not pinned and not is_loopback(parts.hostname or ""):
        raise InputError(
            f"'{redact(address)}' is plain http, so that anyone on the way can change the file; use https, or pin the "
            "file: ADDRESS@sha256:..."
        )


class Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirections to http and https, never from https to http, never from outside to this network's inside;
    credentials stay with the host that they were given for.
    """

    max_redirections = REDIRECTS
    max_repeats = REDIRECTS

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        """The request to the next address.

        Raises:
            InputError: if it may not lead there.
        """
        before, after = urlsplit(req.full_url), urlsplit(newurl)
        shown = f"'{redact(req.full_url)}' leads to '{redact(newurl)}'"
        if after.scheme.lower() not in ("http", "https"):
            raise InputError(f"{shown}, which is neither http nor https; it is not followed")
        if before.scheme == "https" and after.scheme == "http":
            raise InputError(f"{shown}, from https to plain http; it is not followed")
        if is_inside(after.hostname or "") and not is_inside(before.hostname or ""):
            raise InputError(f"{shown}, from outside into this network; it is not followed")
        found = super().redirect_request(req, fp, code, msg, headers, newurl)
        if found is not None and (before.hostname, before.port) != (after.hostname, after.port):
            for name in [each for each in found.headers if each.lower() in ("authorization", "cookie")]:
                del found.headers[name]
        return found

    def http_error_302(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        """The next address; a scheme that urllib refuses by itself is refused in our words."""
        target = headers.get("location") or headers.get("uri") or ""
        scheme = urlsplit(target).scheme.lower()
        if scheme not in ("", "http", "https"):
            raise InputError(
                f"'{redact(req.full_url)}' leads to '{scheme}:...', which is neither http nor https; it is not followed"
            )
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def opener_for(host: str) -> urllib.request.OpenerDirector:
    """An opener that knows http and https alone; this machine is never asked through a proxy."""
    found = urllib.request.OpenerDirector()
    handlers: list[Any] = [
        urllib.request.ProxyHandler({} if is_loopback(host) else None), urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()), Redirects(),
        urllib.request.HTTPErrorProcessor(), urllib.request.HTTPDefaultErrorHandler(),
    ]  # fmt: skip
    for each in handlers:
        found.add_handler(each)
    return found


SAID = {
    401: "wants to know who asks: give a user and password in the address, or a token",
    403: "refuses us: is the token of somebody who may read it?",
    404: "has no such file",
    410: "has no such file any more",
    429: "has been asked too often; try later",
}
"""Status -> what the server said, in words."""


def download(
    address: str, target: Path, limits: Limits, headers: Mapping[str, str] | None = None, most: int | None = None
) -> Fetched:
    """Fetch a file, all of it or none.

    Args:
        address: http or https; a user and password in it are sent as such.
        target: where it is written.
        limits: of size and time.
        headers: sent with the request, to the first host alone.
        most: bytes that the file has, where that is known; more are refused at once.

    Raises:
        InputError: if it cannot be fetched, is larger or slower than the limits, is cut off, or leads elsewhere; what
            was written is of no use then.
    """
    if offline():
        raise InputError(f"'{redact(address)}' was not fetched before and this run is offline ({' or '.join(OFFLINE)})")
    shown, parts = redact(address), urlsplit(address)
    host = parts.hostname or ""
    netloc = parts.netloc.rpartition("@")[2]
    request = urllib.request.Request(parts._replace(netloc=netloc, fragment="").geturl())
    request.add_header("User-Agent", "oddroad")
    request.add_header("Accept-Encoding", "identity")
    if parts.username:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        request.add_header("Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}")
    for name, value in (headers or {}).items():
        request.add_header(name, value)
    until = time.monotonic() + limits.seconds
    try:
        with opener_for(host).open(request, timeout=min(SILENT, limits.seconds)) as answer:
            return save(answer, target, limits, until, shown, most)
    except urllib.error.HTTPError as error:
        said = SAID.get(error.code, f"answers {error.code}")
        if error.code in (301, 302, 303, 307, 308):
            said = f"leads on more than {REDIRECTS} times, or nowhere"
        raise InputError(f"'{shown}' {said}") from None
    except TimeoutError:
        raise InputError(f"'{shown}' did not answer within {min(SILENT, limits.seconds):g} s; try later") from None
    except urllib.error.URLError as error:
        late = isinstance(error.reason, TimeoutError)
        why = "it did not answer in time" if late else " ".join(str(error.reason).split())
        raise InputError(f"'{shown}' cannot be reached: {why}") from None
    except (http.client.HTTPException, ConnectionError, ssl.SSLError) as error:
        raise InputError(f"'{shown}' broke off: {type(error).__name__}; fetch it again") from None


def save(answer: Any, target: Path, limits: Limits, until: float, shown: str, most: int | None) -> Fetched:
    """Write what a server sends; see ``download``."""
    if answer.status != 200:
        raise InputError(f"'{shown}' answers {answer.status}; expected the file")
    stated = answer.headers.get("Content-Length", "")
    length = int(stated) if stated.isdigit() else None
    bound = limits.bytes if most is None else min(most, limits.bytes)
    if length is not None and length > bound:
        raise too_large(shown, length, bound, most)
    digest, done = hashlib.sha256(), 0
    with target.open("wb") as opened:
        while chunk := answer.read1(CHUNK):
            done += len(chunk)
            if done > bound:
                raise too_large(shown, done, bound, most)
            if time.monotonic() > until:
                raise InputError(f"'{shown}' took more than {limits.seconds:g} s for {done / 1e6:.1f} MB; try later")
            digest.update(chunk)
            opened.write(chunk)
    if length is not None and done < length:
        raise InputError(f"'{shown}' broke off after {done} of {counted(length, 'byte')}; fetch it again")
    if not done:
        raise InputError(f"'{shown}' sent an empty file")
    return Fetched(digest.hexdigest(), done, answer.geturl())


def too_large(shown: str, size: int, bound: int, most: int | None) -> InputError:
    """The error for a file that is larger than it may be."""
    if most is not None and bound == most:
        return InputError(f"'{shown}' sends more than the {most} bytes that its repository states; it is not used")
    return InputError(f"'{shown}' is larger than {bound / 1e6:g} MB ({size / 1e6:.1f} MB); pass a larger --max-size")
