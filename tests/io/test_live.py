"""Streams: with an end, broken off, come back, lost, and never there."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from oddroad.errors import InputError
from oddroad.io.sources import Source, find_sources
from oddroad.io.video import read


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and keeps its log to itself."""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def address(clip: Path) -> Iterator[str]:
    """An HTTP address that streams the clip and ends."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(clip.parent)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/{clip.name}"
    server.shutdown()
    server.server_close()


def test_a_stream_that_ends(address: str) -> None:
    assert len(list(read(find_sources([address])))) == 8


def test_a_stream_that_is_not_there() -> None:
    with pytest.raises(InputError, match="cannot open the stream"):
        list(read([Source("stream", "http://127.0.0.1:9/none", "none")]))
