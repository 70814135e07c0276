"""A page on a short clip, without a network."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import write_clip

from oddroad.inference.model import Model
from oddroad.types import Frame
from oddroad.web.desk import Desk
from oddroad.web.detectors import Detector
from oddroad.web.limits import Limits


@pytest.fixture(scope="module")
def drives(tmp_path_factory: pytest.TempPathFactory, frames: list[Frame]) -> Path:
    """A folder with a clip of 8 frames and two pictures, and beside it a file that must not be reached."""
    from oddroad.io.images import write_image

    folder = tmp_path_factory.mktemp("allowed") / "drives"
    folder.mkdir()
    write_clip(folder / "drive.mp4", frames)
    for number, frame in enumerate(frames[:2]):
        write_image(folder / f"photo{number}.png", frame.image)
    write_image(folder.parent / "secret.png", frames[3].image)
    (folder / "link.png").symlink_to(folder.parent / "secret.png")
    return folder


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, drives: Path, model: Model) -> Iterator[Desk]:
    """A desk with the embedded detector."""
    made = Desk.of([str(drives)], [Detector("oddroad-default", model)], tmp_path_factory.mktemp("desk"), Limits())
    yield made
    made.views.close_all()


@pytest.fixture(scope="module")
def client(desk: Desk) -> Iterator[Any]:
    """A client of the application; its base address is that of this machine."""
    from starlette.testclient import TestClient

    from oddroad.web.app import Application

    with TestClient(Application(desk).asgi(), base_url="http://localhost:8321") as opened:
        yield opened


def wait_for(client: Any, key: str, seconds: float = 120) -> dict[str, Any]:
    """What the server says of a view once it is no longer working."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        about = client.get(f"/api/views/{key}").json()
        if about["state"] != "working":
            return about
        time.sleep(0.05)
    raise AssertionError("the view did not end")
