"""The server: where it listens, its token, and how it ends."""

from __future__ import annotations

import contextlib
import ctypes
import ipaddress
import secrets
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from oddroad.errors import InputError
from oddroad.web.app import Application
from oddroad.web.desk import Desk
from oddroad.web.detectors import Detector
from oddroad.web.guard import LOOPBACK
from oddroad.web.limits import Limits

CONNECTIONS = 1000
"""At the same time; further ones are answered with "busy"."""

KEEP_ALIVE = 120
"""Seconds that an idle connection stays open: a client that thinks for a while is not cut off in the middle."""

M_ARENA_MAX = -8
"""Of glibc's mallopt."""

GRACE = 60
"""Seconds that requests have to end after the server was told to."""


def is_loopback(host: str) -> bool:
    """Whether an address reaches this machine from itself alone."""
    if host in LOOPBACK:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def serve(
    words: Sequence[str],
    detectors: list[Detector],
    host: str,
    port: int,
    token: str = "",
    limits: Limits | None = None,
    results: Sequence[Path] = (),
    started: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve the page until the process is told to stop; what runs is finished, temporary files are deleted.

    Args:
        words: what may be opened.
        detectors: one or two.
        host: address to listen at; other than a loopback address every request needs the token.
        port: 0 for any that is free.
        token: made where it is empty and one is needed.
        limits: of what clients may ask for.
        results: folders of results that may be looked at.
        started: called with the page's address once it answers.

    Raises:
        InputError: if a source does not exist, or the address cannot be listened at.
    """
    import uvicorn

    few_arenas()
    token = token if token or is_loopback(host) else secrets.token_urlsafe(18)
    folder = Path(tempfile.mkdtemp(prefix="oddroad-web-"))
    try:
        desk = Desk.of(words, detectors, folder, limits, results)
        config = uvicorn.Config(
            Application(desk, token).asgi(), host=host, port=port, log_level="warning", access_log=False,
            server_header=False, limit_concurrency=CONNECTIONS, timeout_graceful_shutdown=GRACE, ws="none",
            timeout_keep_alive=KEEP_ALIVE,
        )  # fmt: skip
        server = Announcing(config, token, started).server
        try:
            listening = config.bind_socket()
        except SystemExit:
            raise InputError(f"cannot listen at {host}:{port}; choose another --port, 0 for any") from None
        server.run(sockets=[listening])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def few_arenas() -> None:
    """Tell glibc to keep two pools of memory for all threads; one for each never gives back what it once held."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)


class Announcing:
    """A server that says its address once it answers there."""

    def __init__(self, config: Any, token: str, started: Callable[[str], None]):
        import uvicorn

        class Server(uvicorn.Server):
            """Uvicorn's, and a word at its start."""

            async def startup(self, sockets: Any = None) -> None:
                """Start, then say where."""
                await super().startup(sockets)
                if not self.should_exit:
                    host, port = sockets[0].getsockname()[:2]
                    shown = f"[{host}]" if ":" in host else host
                    started(f"http://{shown}:{port}/" + (f"?token={token}" if token else ""))

        self.server = Server(config)
