"""Calibration by looking gives the card that ``calibrate`` gives, without what was struck out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from web.conftest import wait_for

from oddroad.calibration.data import calibration_data
from oddroad.calibration.fit import find_thresholds
from oddroad.inference.model import Model, read_card
from oddroad.roi import Roi

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
    ours = card_of(client, tmp_path, {"views": [view], "roi": roi})
    data = calibration_data([str(drives / "drive.mp4")], tmp_path, "val")
    theirs = find_thresholds(model, data, roi=Roi.parse(roi) if roi else None).calibration
    kept = {name: {key: theirs["scores"][name][key] for key in each} for name, each in ours["scores"].items()}
    assert ours["scores"] == kept  # what detect tests for drift and counts of tracks is calibrate's alone
    assert {"units", "alarms", "fpr", "quantiles"} <= set(ours["scores"]["outlier_head"])
    assert ours.get("roi") == theirs.get("roi")
    assert (ours["frames"], ours["scope"], ours["of"]) == (8, "same-drives", "drive")


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
        ({"views": ["VIEW"], "scope": "new-drives"}, "'scope' is 'new-drives' with 1 drives"),
        ({"views": ["VIEW"], "confidence": 2}, "expected a share"),
        ({"views": ["VIEW"], "struck": {"VIEW": ["x"]}}, "'struck' is no object"),
        ({"views": ["VIEW"], "roi": "/etc/passwd"}, "is not understood"),
    ],
)
def test_what_cannot_be_calibrated_on_is_said(client: Any, view: str, values: dict[str, Any], words: str) -> None:
    given = {key: [view] if value == ["VIEW"] else value for key, value in values.items()}
    answer = client.post("/api/calibrations", json=given)
    assert 400 <= answer.status_code < 500
    assert words in answer.json()["error"]
