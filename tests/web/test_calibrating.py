"""Calibration by looking gives the card that ``calibrate`` gives, without what was struck out."""

from __future__ import annotations

import copy
import time
from pathlib import Path
from typing import Any

import pytest
from web.conftest import wait_for

from oddroad.calibration.data import calibration_data
from oddroad.calibration.fit import find_thresholds
from oddroad.calibration.following import Following
from oddroad.detection.tracking import MAX_AGE, Tracking
from oddroad.inference.model import Model, read_card
from oddroad.io.sources import Source
from oddroad.roi import Roi
from oddroad.web.calibrating import Calibration, figures_of
from oddroad.web.chosen import chosen, drives_of, followed
from oddroad.web.desk import Desk
from oddroad.web.library import Entry
from oddroad.web.view import View

pytest.importorskip("starlette", reason="of the extra 'web'")

POLYGON = "0,1 0.3,0.4 0.7,0.4 1,1"


@pytest.fixture(scope="module")
def view(client: Any) -> str:
    """The clip, judged."""
    found = {each["title"]: each for each in client.get("/api/sources").json()["sources"]}
    return wait_for(client, client.post("/api/views", json={"source": found["drive.mp4"]["key"]}).json()["key"])["key"]


def card_of(client: Any, tmp_path: Path, values: dict[str, Any]) -> dict[str, Any]:
    """The calibration in the card that the server makes."""
    job = client.post("/api/calibrations", json=values).json()
    end = time.monotonic() + 60
    while job["state"] == "working" and time.monotonic() < end:
        time.sleep(0.05)
        job = client.get(f"/api/calibrations/{job['key']}").json()
    assert job["state"] == "done", job["error"]
    path = tmp_path / "new.onnx"
    path.write_bytes(client.get(f"/api/calibrations/{job['key']}/file").content)
    card = read_card(path)
    assert job["meaning"] in card.threshold_meaning
    return card.calibration


@pytest.mark.parametrize("roi", ["", POLYGON])
def test_the_card_is_the_one_of_calibrate(
    client: Any, view: str, drives: Path, model: Model, tmp_path: Path, roi: str
) -> None:
    asked = {"views": [view], "roi": roi}
    frames = calibration_data([str(drives / "drive.mp4")], tmp_path, "val")
    followed = calibration_data([str(drives / "drive.mp4")], tmp_path, "val", every=1)
    following, within = Following(Tracking(2, MAX_AGE, 1)), Roi.parse(roi) if roi else None
    for values, data, follow in ((asked, frames, None), (asked | {"tracks": True, "min_hits": 2}, followed, following)):
        ours = card_of(client, tmp_path, values)
        theirs = find_thresholds(model, data, ("outlier_head",), roi=within, following=follow).calibration
        (drive,) = theirs["record"]["drives"]
        drive["name"] = theirs["data"] = "drive.mp4"  # where it lies on the disk is not told
        assert ours == theirs
        assert {"drift", "units", "alarms"} <= set(ours["scores"]["outlier_head"])
        assert ("tracking" in ours) == ("tracks" in ours["scores"]["outlier_head"]) == (follow is not None)
    assert (ours["frames"], ours["scope"], ours["of"]) == (8, "same-drives", "drive")


def test_cameras_of_one_log_are_one_drive_and_names_are_told_apart(view: str, desk: Desk) -> None:
    def seen(place: str, topic: str, title: str) -> View:
        like = copy.copy(desk.views.find(view))
        like.entry = Entry(place + topic, title, (Source("log", place, title, topic=topic),))
        return like

    first, second, other = (
        seen("a/x.mcap", "/left", "x"),
        seen("a/x.mcap", "/right", "x"),
        seen("b/x.mcap", "/left", "x"),
    )
    assert drives_of([first, other, second]) == {"x": [first, second], "x (2)": [other]}


def test_tracks_end_where_a_frame_is_struck_out(client: Any, view: str, tmp_path: Path, desk: Desk) -> None:
    what = chosen(desk, {"views": [view], "struck": {view: [3]}})
    following = followed(what)
    found = list(figures_of(desk.views.find(view), what, "d", following, Calibration(7)))
    assert len(found) == len(following.moments.all) == 7
    pieces = [each.piece for each in following.moments.all]
    assert (len(set(pieces[:3])), len(set(pieces[3:])), len(set(pieces))) == (1, 1, 2)


def test_what_is_struck_out_does_not_count(client: Any, view: str, tmp_path: Path) -> None:
    levels = [each["levels"][0] for each in client.get(f"/api/views/{view}").json()["frames"]]
    most = levels.index(max(levels))
    before = client.post("/api/calibrations/curve", json={"views": [view]}).json()
    after = client.post("/api/calibrations/curve", json={"views": [view], "struck": {view: [most]}}).json()
    assert before["points"][0]["threshold"] == pytest.approx(max(levels))
    assert after["points"][0]["threshold"] == pytest.approx(sorted(levels)[-2])
    assert after["levels"][view] == [[number, pytest.approx(level)] for number, level in enumerate(levels)]
    found = card_of(client, tmp_path, {"views": [view], "struck": {view: [most]}})
    assert found["frames"] == 7
    assert found["data"] == "drive.mp4, without 1 frame struck out by eye"
    assert found["scores"]["outlier_head"]["alarms"][0][0] == pytest.approx(sorted(levels)[-2])


def test_guarantees_lie_above_what_was_seen(client: Any, view: str) -> None:
    found = client.post("/api/calibrations/curve", json={"views": [view]}).json()
    assert all(each["bound"] >= each["seen"] for each in found["points"])
    assert found["units"]["best"] == pytest.approx(found["points"][0]["bound"])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "names no drive"),
        ({"views": ["none"]}, "no such view"),
        ({"views": ["VIEW"], "scope": "new-drives"}, "'scope' is 'new-drives' with 1 drive;"),
        ({"views": ["VIEW"], "confidence": 2}, "expected a share"),
        ({"views": ["VIEW"], "min_hits": 0}, "'min_hits' is 0; expected a whole number, 1 or more"),
        ({"views": ["VIEW"], "rule": "alarms=a/hour"}, "holds 'a'; expected a number above 0"),
        ({"views": ["PHOTOS"], "rule": "alarms=6/hour"}, "is of still images"),
        ({"views": ["VIEW"], "struck": {"VIEW": ["x"]}}, "'struck' is no object"),
        ({"views": ["VIEW"], "roi": "/etc/passwd"}, "is not understood"),
    ],
)
def test_what_cannot_be_calibrated_on_is_said(client: Any, view: str, values: dict[str, Any], words: str) -> None:
    given = {key: [view] if value == ["VIEW"] else value for key, value in values.items()}
    if values.get("views") == ["PHOTOS"]:
        photos = next(each for each in client.get("/api/sources").json()["sources"] if each["kind"] == "images")
        given["views"] = [
            wait_for(client, client.post("/api/views", json={"source": photos["key"]}).json()["key"])["key"]
        ]
    answer = client.post("/api/calibrations", json=given)
    assert 400 <= answer.status_code < 500
    assert words in answer.json()["error"]
