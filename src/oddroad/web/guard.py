"""What every request passes first: whose it is, where it comes from, how long it may take; and what every answer says.

It is plain ASGI, so that nothing of a web framework stands before it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

COOKIE = "oddroad_token"

LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""Names of this machine for itself."""

OPEN = ("/health", "/v2/health/live", "/v2/health/ready")
"""What is answered without a token: that the server is there."""

STALLED = 60.0
"""Seconds in which a client must take or send something, or is let go."""

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self' blob:; "
    "connect-src 'self'; worker-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)

HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
"""On every answer."""


class Guard:
    """An ASGI application around another one.

    Args:
        inner: what answers.
        token: that every request must show; "" for none, where only this machine reaches the server.
    """

    def __init__(self, inner: Callable[[Scope, Receive, Send], Awaitable[None]], token: str = ""):
        self.inner, self.token = inner, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
                return
            await self.inner(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        given = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1"))).get("token", "")
        refused = self.refusal(scope["method"], scope["path"], headers, given)
        send = with_headers(send)
        if refused is not None:
            await plain(send, *refused)
        elif self.token and given and scope["path"] == "/" and self.is_token(given):
            cookie = f"{COOKIE}={self.token}; HttpOnly; SameSite=Strict; Path=/"  # out of the address and the history
            await plain(send, 303, "", [(b"location", b"/"), (b"set-cookie", cookie.encode())])
        else:
            await self.inner(scope, patient(receive), send)

    def is_token(self, given: str) -> bool:
        """Whether a text is the token, in a time that does not depend on how much of it is right."""
        return secrets.compare_digest(given.encode(), self.token.encode())

    def refusal(self, method: str, path: str, headers: dict[str, str], given: str) -> tuple[int, str] | None:
        """Status and reason where a request is refused; None where it is not."""
        if not self.token and host_name(headers.get("host", "")) not in LOOPBACK:
            return 421, "this server answers to this machine alone, by the name localhost or 127.0.0.1"
        if method not in ("GET", "HEAD") and not from_here(headers):
            return 403, "requests that change something are taken from this page and from programs, not other pages"
        if self.token and path not in OPEN:
            bearer = headers.get("authorization", "").removeprefix("Bearer ")
            if not any(self.is_token(each) for each in (bearer, cookie_of(headers), given) if each):
                return 401, "a token is needed: open the address that 'oddroad web' printed, or send it as 'Bearer'"
        return None


def host_name(host: str) -> str:
    """A host without its port and brackets, in small letters."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def from_here(headers: dict[str, str]) -> bool:
    """Whether a request comes from this server's own page or from a program that is no browser."""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    try:
        return origin is None or urlsplit(origin).netloc == headers.get("host", "")
    except ValueError:  # no address
        return False


def cookie_of(headers: dict[str, str]) -> str:
    """The token in the cookies; "" for none."""
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found is not None else ""


def with_headers(send: Send) -> Send:
    """A ``send`` that adds HEADERS, and does not wait for ever for a client that takes nothing."""

    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            present = {name.lower() for name, _ in message.get("headers", ())}
            more = [(name.encode(), value.encode()) for name, value in HEADERS.items() if name.encode() not in present]
            message = {**message, "headers": [*message.get("headers", ()), *more]}
        await asyncio.wait_for(send(message), STALLED)

    return sending


def patient(receive: Receive) -> Receive:
    """A ``receive`` that takes a client that sends nothing for too long as gone."""
    ended = False

    async def receiving() -> MutableMapping[str, Any]:
        nonlocal ended
        if ended:  # the request is complete: the next message is that the client has left, whenever that is
            return await receive()
        try:
            message = await asyncio.wait_for(receive(), STALLED)
        except TimeoutError:
            return {"type": "http.disconnect"}
        ended = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    return receiving


async def plain(send: Send, status: int, words: str, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    """A short answer."""
    body = words.encode()
    kind = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*kind, *(headers or [])]})
    await send({"type": "http.response.body", "body": body})
