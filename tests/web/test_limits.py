"""Bounds: bytes, pixels, frames, what is kept, how many wait."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oddroad.inference.model import Model
from oddroad.io.images import encode_image
from oddroad.types import Frame
from oddroad.web import views
from oddroad.web.desk import Desk
from oddroad.web.detectors import Detector
from oddroad.web.guard import Guard
from oddroad.web.limits import Limits
from oddroad.web.reply import Refused

pytest.importorskip("starlette", reason="of the extra 'web'")

Make = Callable[..., tuple[Any, Desk]]


@pytest.fixture
def make(tmp_path: Path, drives: Path, model: Model) -> Any:
    """A client and its desk with other limits."""
    from starlette.testclient import TestClient

    from oddroad.web.app import Application

    made: list[Desk] = []

    def with_limits(**values: Any) -> tuple[Any, Desk]:
        desk = Desk.of([str(drives)], [Detector("m", model)], tmp_path / str(len(made)), Limits(**values))
        desk.folder.mkdir(exist_ok=True)
        made.append(desk)
        return TestClient(Application(desk).asgi(), base_url="http://localhost"), desk

    yield with_limits
    for each in made:
        each.views.close_all()


def test_too_many_bytes(make: Make) -> None:
    client, desk = make(upload_bytes=1000, request_bytes=100)
    assert client.post("/api/sources?name=a.png", content=b"x" * 1001).status_code == 413
    parts = (b"x" * 400 for _ in range(5))  # of no stated length
    assert client.post("/detect", content=parts).status_code == 413
    assert client.post("/api/views", content=b"{" + b" " * 200).status_code == 413
    assert not list(desk.folder.glob("received-*"))


def test_too_many_pixels(make: Make) -> None:
    client, _ = make(pixels=1000)
    answer = client.post("/detect", content=encode_image(np.zeros((60, 60, 3), np.uint8), ".png"))
    assert answer.status_code == 400
    assert "more than the limit" in answer.json()["error"]


def test_too_many_frames_and_bytes_stop_a_view_and_say_so(make: Make) -> None:
    _, desk = make(frames=3)
    view = desk.views.open(desk.library.entries()[0])
    view.worker.join(60)
    assert (view.state, view.done, view.error) == ("stopped", 3, "stopped at 3 frames, the limit of one source")
    _, desk = make(kept_bytes=200_000)
    view = desk.views.open(desk.library.entries()[0])
    view.worker.join(60)
    assert view.state == "stopped"
    assert view.done < 8
    assert "the limit (--keep)" in view.error


def test_a_view_that_nobody_looks_at_makes_room(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    _, desk = make(views=1)
    first = desk.views.open(desk.library.entries()[0])
    with pytest.raises(Refused, match="busy, try again") as refused:
        desk.views.open(desk.library.entries()[1])
    assert (refused.value.status, refused.value.retry) == (503, 1)
    monkeypatch.setattr(views, "IDLE", 0.0)
    time.sleep(0.01)
    second = desk.views.open(desk.library.entries()[1])
    assert list(desk.views.views) == [second.key]
    assert not first.kept.folder.exists()


def test_uploads_make_room_for_others(make: Make, frames: list[Frame]) -> None:
    data = encode_image(frames[0].image, ".png")
    client, desk = make(uploads_bytes=int(2.5 * len(data)))
    keys = [client.post(f"/api/sources?name={number}.png", content=data).json()["key"] for number in range(4)]
    assert list(desk.library.uploads) == keys[2:]
    assert len(list((desk.folder / "uploads").iterdir())) == 2


def test_too_many_that_wait_are_told_to_come_back(make: Make, frames: list[Frame]) -> None:
    client, desk = make(waiting=1)
    data, statuses = encode_image(frames[0].image, ".png"), []
    with client, desk.detectors[0].turns:  # the detector is busy
        first = threading.Thread(target=lambda: statuses.append(client.post("/detect", content=data).status_code))
        first.start()
        end = time.monotonic() + 20
        while "oddroad_waiting 1.0" not in client.get("/metrics").text and time.monotonic() < end:
            time.sleep(0.02)
        refused = client.post("/detect", content=data)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.json()["error"].startswith("busy, try again")
        assert client.get("/health").status_code == 200
        desk.detectors[0].turns.release()
        first.join(60)
        desk.detectors[0].turns.acquire()
    assert statuses == [200]


def test_a_client_that_takes_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oddroad.web.guard.STALLED", 0.05)

    async def answers(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def never(message: Any) -> None:
        await asyncio.sleep(60)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"localhost")]}
    with pytest.raises(TimeoutError):
        asyncio.run(Guard(answers)(scope, None, never))  # type: ignore[arg-type]
