"""The motorway clip with things on the road, and the demo on it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from oddroad.cli.main import main
from oddroad.io.images import read_image
from oddroad.io.sources import Source, find_sources
from oddroad.io.video import read
from oddroad.synthetic.motorway_drive import clip_folder, motorway_drive
from oddroad.synthetic.solids import SOLIDS, Camera, place
from oddroad.types import ANOMALY, Frame


@pytest.fixture(scope="module")
def first() -> list[Frame]:
    """The first frames."""
    return list(motorway_drive(0, 12))


def test_the_clip_is_small_plays_in_a_browser_and_its_terms_stand_beside_it() -> None:
    import av

    folder = clip_folder()
    assert (folder / "motorway.mp4").stat().st_size <= 1.5e6
    with av.open(str(folder / "motorway.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt, stream.frames) == ("h264", "yuv420p", 150)
    text = (folder / "LICENSE").read_text()
    assert "Copyright (c) 2016-2018 Udacity, Inc." in text
    assert "The above copyright notice and this permission notice shall be included" in text
    camera = json.loads((folder / "camera.json").read_text())
    assert all(len(camera[key]) == 150 for key in ("vanishing_x", "vanishing_y", "edge_slope"))


def test_only_what_is_labelled_and_its_shadow_were_changed(first: list[Frame]) -> None:
    clip = Source("video", str(clip_folder() / "motorway.mp4"), "m")
    for untouched, frame in zip(read([clip]), first, strict=False):
        assert frame.label is not None
        thing = frame.label == ANOMALY
        changed = (untouched.image != frame.image).any(2)
        assert thing.sum() > 200
        assert changed[thing].mean() > 0.99
        near = cv2.dilate(thing.view(np.uint8), np.ones((61, 121), np.uint8)) > 0
        assert not (changed & ~near).any()
        assert changed.mean() < 0.2


def test_things_come_nearer_with_the_road(first: list[Frame]) -> None:
    areas = [int((frame.label == ANOMALY).sum()) for frame in first]
    lowest = [int(np.flatnonzero((frame.label == ANOMALY).any(1))[-1]) for frame in first]
    assert areas == sorted(areas)
    assert areas[-1] > 1.5 * areas[0]
    assert lowest[-1] > lowest[0] + 5


def test_a_seed_chooses_the_things() -> None:
    one, two, other = (next(motorway_drive(seed, 1)) for seed in (3, 3, 4))
    assert np.array_equal(one.image, two.image)
    assert not np.array_equal(one.image, other.image)


@pytest.mark.parametrize("name", SOLIDS)
def test_a_solid_stands_on_the_ground_at_its_size_and_throws_a_shadow_away_from_the_sun(name: str) -> None:
    camera, z = Camera(1000.0, 1.2, (200.0, 50.0)), 10.0
    image, label = np.full((300, 400, 3), 110, np.uint8), np.zeros((300, 400), np.uint8)
    place(image, label, 1, camera, SOLIDS[name](), 0.0, z, 0.0)
    rows, columns = np.flatnonzero(label.any(1)), np.flatnonzero(label.any(0))
    assert 40 < len(columns) < 130
    assert 40 < len(rows) < 140
    assert abs((columns[0] + columns[-1]) / 2 - 200) < 25
    foot = 50 + 1000 * 1.2 / z
    assert -8 < rows[-1] - foot < 20
    dark = (image[..., 0] < 95) & (label == 0)
    assert dark.sum() > 30
    assert np.flatnonzero(dark.any(0)).mean() < 200  # the sun is on the right


def test_what_is_out_of_the_picture_changes_nothing() -> None:
    image, label = np.full((100, 100, 3), 110, np.uint8), np.zeros((100, 100), np.uint8)
    place(image, label, 1, Camera(1000.0, 1.2, (50.0, 20.0)), SOLIDS["cartons"](), 30.0, 10.0, 0.0)
    assert (image == 110).all()
    assert not label.any()


def test_the_demo_writes_a_video_a_sheet_and_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import av

    assert main(["demo", "--out", str(tmp_path / "demo"), "--frames", "12"]) == 0
    values = json.loads((tmp_path / "demo" / "demo.json").read_text())
    assert values["frames"] == values["frames_with_a_thing"] == 12
    assert values["frames_with_a_thing_found"] >= 1
    assert values["regions_elsewhere"] == 0
    assert 0 < values["prevalence"] < 0.05
    assert 0.5 < values["ap"] <= 1
    assert 0 <= values["fpr95"] < 0.2
    assert len(list(read(find_sources([str(tmp_path / "demo" / "demo.mp4")])))) == 12
    with av.open(str(tmp_path / "demo" / "demo.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "h264"
    assert read_image(tmp_path / "demo" / "contact_sheet.jpg").shape[1] == 3 * 640
    assert sorted(each.name for each in (tmp_path / "demo").iterdir()) == ["contact_sheet.jpg", "demo.json", "demo.mp4"]
    text = capsys.readouterr().out
    assert "AP " in text
    assert "FPR95" in text


@pytest.mark.parametrize("frames", ["0", "151"])
def test_the_demo_refuses_other_lengths(frames: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--out", str(tmp_path), "--frames", frames]) == 2
    assert f"--frames is {frames}; expected 1 to 150" in capsys.readouterr().err
