"""Views of what is live, damaged or cannot be read: nothing odd seen and nothing seen are never the same."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from oddroad.errors import InputError
from oddroad.inference.model import Model
from oddroad.io.sources import Source
from oddroad.types import Frame
from oddroad.web import view as viewing
from oddroad.web.detectors import Detector
from oddroad.web.exports import lines
from oddroad.web.findings import Findings, Setting
from oddroad.web.library import Entry
from oddroad.web.limits import Limits
from oddroad.web.reply import Refused
from oddroad.web.view import View


@pytest.fixture
def shown(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A view whose source gives what it is told to."""

    def of(frames: Iterator[Frame], kind: str = "video", **limits: Any) -> View:
        monkeypatch.setattr(viewing, "read", lambda *_: frames)
        monkeypatch.setattr(viewing, "probe", lambda *_: (None, 10.0))
        entry = Entry("k", "source", (Source(kind, "0", "source"),))
        return View("v", entry, [Detector("m", model)], tmp_path / "kept", Limits(**limits))

    return of


def numbered(frames: list[Frame], count: int) -> Iterator[Frame]:
    for number in range(count):
        yield replace(frames[number % len(frames)], source="source", index=number, time=number / 10)


def test_a_camera_keeps_its_latest_frames_and_is_let_go_when_nobody_looks(shown: Any, frames: list[Frame]) -> None:
    def slowly() -> Iterator[Frame]:
        for each in numbered(frames, 10_000):
            time.sleep(0.01)
            yield each

    view = shown(slowly(), "camera", live_frames=3, unseen_seconds=0.0)
    view.seen += 4
    view.start()
    view.worker.join(60)
    assert (view.state, view.error) == ("stopped", "nobody looked any more")
    assert view.done - view.kept.first == 3
    assert len(list(view.kept.folder.glob("*.jpg"))) == 3
    with pytest.raises(Refused, match=f"there are {view.kept.first} to {view.done - 1}"):
        view.kept.heat(0, 0)
    found = Findings(view, Setting(0, -100.0))
    found.extend(view.done)
    assert [each is None for each in found.frames] == [True] * view.kept.first + [False] * 3


def test_damaged_frames_are_not_judged_and_say_so(shown: Any, frames: list[Frame]) -> None:
    given = [
        replace(each, status="damaged", reason="lost parts") if each.index == 2 else each
        for each in numbered(frames, 4)
    ]
    view = shown(iter(given))
    view.start()
    view.worker.join(60)
    assert view.state == "done"
    told = view.about()["frames"][2]
    assert (told["status"], told["reason"], told["levels"]) == ("damaged", "lost parts", (None,))
    found = Findings(view, Setting(0, -100.0))
    found.extend(4)
    assert [each is None for each in found.frames] == [False, False, True, False]
    written = [each for each in lines(view, found, 1, "") if each["type"] in ("frame", "summary")]
    assert written[2]["regions"] is None
    assert written[-1]["damaged"] == 1


def test_what_breaks_off_keeps_what_came_before(shown: Any, frames: list[Frame]) -> None:
    def breaks() -> Iterator[Frame]:
        yield from numbered(frames, 3)
        raise InputError("the file ends in the middle")

    view = shown(breaks())
    view.start()
    view.worker.join(60)
    assert (view.state, view.error, view.done) == ("failed", "the file ends in the middle", 3)


def test_nothing_in_it_is_no_view_without_anomalies(shown: Any) -> None:
    view = shown(iter(()))
    view.start()
    view.worker.join(60)
    assert (view.state, view.error) == ("failed", "there was no frame in it")


def test_it_can_be_stopped(shown: Any, frames: list[Frame]) -> None:
    view = shown(itertools.chain(numbered(frames, 100_000)))
    view.start()
    end = time.monotonic() + 60
    while not view.done and time.monotonic() < end:
        time.sleep(0.01)
    view.stop()
    view.worker.join(60)
    assert (view.state, view.error) == ("stopped", "stopped")
    assert 0 < view.done < 100_000
