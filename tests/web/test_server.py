"""The server: what was computed is what ``oddroad detect`` finds, and what is outside stays outside."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from web.conftest import wait_for

from oddroad.detection.pipeline import run
from oddroad.detection.settings import Settings
from oddroad.inference.host_resize import enlarged
from oddroad.inference.model import Model
from oddroad.io.images import decode_image, encode_image
from oddroad.io.sources import find_sources
from oddroad.types import Frame
from oddroad.web.desk import Desk
from oddroad.web.guard import CSP

pytest.importorskip("starlette", reason="of the extra 'web'")

THRESHOLD = -1.0
"""Low enough for regions on the rendered drive."""


@pytest.fixture(scope="module")
def view(client: Any) -> dict[str, Any]:
    """The clip, judged."""
    return opened_clip(client)


def opened_clip(client: Any) -> dict[str, Any]:
    """The view of the clip once it is judged, anew if it was let go."""
    found = {each["title"]: each for each in client.get("/api/sources").json()["sources"]}
    opened = client.post("/api/views", json={"source": found["drive.mp4"]["key"]})
    assert opened.status_code == 201
    return wait_for(client, opened.json()["key"])


def lines_of(text: str, kind: str = "frame") -> list[dict[str, Any]]:
    return [each for each in map(json.loads, text.splitlines()) if each["type"] == kind]


def test_what_was_chosen_is_listed_and_a_link_that_leads_out_is_not(client: Any) -> None:
    found = client.get("/api/sources").json()["sources"]
    assert [(each["title"], each["kind"], each["count"]) for each in found] == [
        ("drive.mp4", "video", None), ("drives", "images", 2)
    ]  # fmt: skip
    assert "secret" not in client.get("/api/sources").text


def test_a_view_holds_every_frame_and_its_map(client: Any, view: dict[str, Any], drives: Path, model: Model) -> None:
    assert (view["state"], view["done"], view["total"], view["rate"]) == ("done", 8, 8, 10.0)
    assert [each["index"] for each in view["frames"]] == list(range(8))
    frame = decode_image(client.get(f"/api/views/{view['key']}/frames/3.jpg").content, "frame")
    assert frame.shape == (180, 320, 3)
    answer = client.get(f"/api/views/{view['key']}/frames/3/map")
    height, width = map(int, answer.headers["x-map-size"].split("x"))
    low = np.frombuffer(answer.content, "<f4").reshape(height, width)
    from oddroad.io.video import read

    image = [each.image for each in read(find_sources([str(drives / "drive.mp4")]))][3]
    assert np.array_equal(enlarged(low[None], (180, 320))[0], model(image))


@pytest.mark.parametrize("hits", [1, 3])
def test_the_lines_are_those_of_detect(
    client: Any, view: dict[str, Any], drives: Path, model: Model, tmp_path: Path, hits: int
) -> None:
    settings = Settings(threshold=THRESHOLD, save=(), min_hits=hits)
    run(model, find_sources([str(drives / "drive.mp4")]), tmp_path, settings)
    theirs = lines_of((tmp_path / "detections.jsonl").read_text())
    query = f"threshold={THRESHOLD}&min_hits={hits}"
    ours = lines_of(client.get(f"/api/views/{view['key']}/export/jsonl?{query}").text)
    assert sum(len(each["regions"]) for each in ours) > 3
    for each in (*ours, *theirs):
        each.pop("milliseconds")
    assert ours == theirs
    body = (drives / "drive.mp4").read_bytes()
    sent = lines_of(client.post(f"/detect?{query}&name=drive.mp4", content=body).text)
    assert [each["regions"] for each in sent] == [each["regions"] for each in theirs]


def test_what_the_card_tracked_is_what_is_reported(
    client: Any, desk: Desk, view: dict[str, Any], drives: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = desk.detectors[0].model
    tracking = {"min_hits": 3, "max_age": 5, "every": 1, "rate": 10.0}
    monkeypatch.setattr(
        model, "card", replace(model.card, calibration={**model.card.calibration, "tracking": tracking})
    )
    body = (drives / "drive.mp4").read_bytes()
    sent = client.post(f"/detect?threshold={THRESHOLD}&name=drive.mp4", content=body).text.splitlines()
    kept = client.get(f"/api/views/{view['key']}/export/jsonl?threshold={THRESHOLD}").text.splitlines()
    for lines in (sent, kept):
        settings = json.loads(lines[0])["settings"]
        assert (settings["min_hits"], settings["max_age"], settings["every"]) == (3, 5, 1)
    other = client.get(f"/api/views/{view['key']}/export/jsonl?threshold={THRESHOLD}&min_hits=4").text.splitlines()
    assert json.loads(other[0])["settings"]["min_hits"] == 4
    picture = client.post("/detect?name=a.png", content=(drives / "photo0.png").read_bytes())
    assert picture.status_code == 200  # a picture has no tracks


def test_levels_say_which_frames_alarm_at_any_threshold(client: Any, view: dict[str, Any]) -> None:
    levels = [each["levels"][0] for each in view["frames"]]
    for threshold in (min(levels), float(np.median(levels)), 1.0, max(levels)):
        found = client.get(f"/api/views/{view['key']}/findings?threshold={threshold}").json()
        assert [bool(each) for each in found["frames"]] == [level > threshold for level in levels]
    wider = client.get(f"/api/views/{view['key']}/levels?min_area=2000").json()["levels"]
    found = client.get(f"/api/views/{view['key']}/findings?threshold=1.0&min_area=2000").json()["frames"]
    assert [bool(each) for each in found] == [level > 1.0 for level in wider]
    assert all(a <= b for a, b in zip(wider, levels, strict=True))


def test_exports_open(client: Any, view: dict[str, Any], tmp_path: Path) -> None:
    import av

    base = f"/api/views/{view['key']}/export"
    coco = client.get(f"{base}/coco?threshold={THRESHOLD}")
    assert len(coco.json()["images"]) == 8
    assert "attachment" in coco.headers["content-disposition"]
    still = client.get(f"{base}/still?frame=2&threshold={THRESHOLD}")
    assert decode_image(still.content, "still").shape == (180, 320, 3)
    clip = client.get(f"{base}/clip?threshold={THRESHOLD}&begin=2&end=7")
    with av.open(io.BytesIO(clip.content)) as opened:
        assert opened.streams.video[0].codec_context.name == "h264"
        assert len(list(opened.decode(video=0))) == 5


def test_files_made_for_an_answer_are_deleted(client: Any, view: dict[str, Any], desk: Desk, drives: Path) -> None:
    client.get(f"/api/views/{view['key']}/export/clip?begin=0&end=2")
    client.post("/detect", content=(drives / "drive.mp4").read_bytes())
    assert {each.name for each in desk.folder.iterdir()} <= {"views", "uploads"}


def test_an_impossible_threshold_says_what_is_wrong(client: Any, view: dict[str, Any]) -> None:
    for text, words in (("much", "is not understood"), ("alarms=1/1000frames", "can guarantee")):
        answer = client.get(f"/api/views/{view['key']}/findings", params={"threshold": text})
        assert answer.status_code == 400
        assert words in answer.json()["error"]


def test_pictures_are_taken_one_by_one_or_together(client: Any, frames: list[Frame], desk: Desk) -> None:
    data = encode_image(frames[0].image, ".png")
    alone = client.post("/api/sources?name=../../etc/photo.png", content=data).json()
    assert (alone["title"], alone["kind"], alone["uploaded"]) == ("photo.png", "images", True)
    assert client.post("/api/sources?name=a.png&batch=b1", content=data).status_code == 202
    both = client.post("/api/sources?name=b.png&batch=b1&last=1&title=two", content=data).json()
    assert (both["title"], both["count"]) == ("two", 2)
    opened = client.post("/api/views", json={"source": both["key"]}).json()
    about = wait_for(client, opened["key"])
    assert [each["source"] for each in about["frames"]] == ["a.png", "b.png"]
    assert all(each.is_relative_to(desk.folder) for each in desk.folder.rglob("*"))


def test_what_cannot_be_read_is_said_without_a_place(client: Any, desk: Desk) -> None:
    refused = client.post("/api/sources?name=notes.txt", content=b"no picture")
    assert refused.status_code == 415
    assert refused.json()["error"] == "'notes.txt' is neither a picture, a video nor a driving log"
    cut = client.post("/detect", content=encode_image(np.zeros((40, 60, 3), np.uint8), ".jpg")[:300])
    assert cut.status_code == 400
    assert "cut off" in cut.json()["error"]
    assert str(desk.folder) not in cut.text
    assert client.post("/detect", content=b"").status_code == 400


@pytest.mark.parametrize("path", ["/page/../../app.py", "/page/%2e%2e/app.py", "/page//etc/passwd", "/api/views/none",
                                  "/api/views/../../x", "/page/no.js"])  # fmt: skip
def test_nothing_else_is_reached(client: Any, path: str) -> None:
    assert client.get(path).status_code == 404


def test_sources_that_were_not_named_are_not_opened(client: Any, drives: Path) -> None:
    for word in (str(drives / "drive.mp4"), "rtsp://10.0.0.1/live", "0", "../secret.png"):
        assert client.post("/api/views", json={"source": word}).status_code == 404


def test_the_page_is_served_with_a_strict_policy(client: Any) -> None:
    page = client.get("/")
    assert page.headers["content-security-policy"] == CSP
    assert "unsafe" not in CSP
    assert page.headers["x-content-type-options"] == "nosniff"


def test_other_pages_cannot_send_or_rebind(client: Any) -> None:
    post = {"json": {"source": "x"}}
    assert client.post("/api/views", headers={"origin": "https://evil.example"}, **post).status_code == 403
    assert client.post("/api/views", headers={"sec-fetch-site": "cross-site"}, **post).status_code == 403
    assert client.post("/api/views", headers={"origin": "http://localhost:8321"}, **post).status_code == 404
    assert client.get("/api/about", headers={"host": "evil.example"}).status_code == 421


def test_elsewhere_a_token_is_wanted(desk: Desk) -> None:
    from starlette.testclient import TestClient

    from oddroad.web.app import Application

    with TestClient(Application(desk, "s3cret").asgi(), base_url="http://10.0.0.5", follow_redirects=False) as far:
        assert far.get("/api/about").status_code == 401
        assert far.get("/api/about", headers={"authorization": "Bearer wrong"}).status_code == 401
        assert far.get("/health").status_code == 200
        assert far.get("/api/about", headers={"authorization": "Bearer s3cret"}).status_code == 200
        welcome = far.get("/?token=s3cret")
        assert (welcome.status_code, welcome.headers["location"]) == (303, "/")
        assert far.get("/api/about").status_code == 200  # by the cookie


def test_it_ends_in_peace_when_it_is_told_to(drives: Path) -> None:
    words = [sys.executable, "-m", "oddroad.cli", "web", str(drives), "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        line = started.stdout.readline()
        assert line.startswith("open http://127.0.0.1:")
        with urllib.request.urlopen(f"{line.split()[1]}health") as answer:
            assert json.load(answer) == {"live": True}
        started.send_signal(signal.SIGTERM)
        assert started.wait(60) == 0
        assert started.stdout.read() == "stopped; what ran is finished\n"


def test_the_interface_is_described_and_counted(client: Any) -> None:
    described = client.get("/openapi.json").json()
    assert described["paths"]["/detect"]["post"]["parameters"][1]["name"] == "threshold"
    text = client.get("/metrics").text
    assert 'oddroad_requests_total{route="/openapi.json",status="200"}' in text
    assert "oddroad_kept_bytes" in text
