"""Regions of a map, drawing on an image, rendered drives and the demo."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddroad import regions
from oddroad.cli.main import main
from oddroad.detection import drawing
from oddroad.errors import InputError, pick
from oddroad.io.images import read_image
from oddroad.io.sources import find_sources
from oddroad.io.video import read
from oddroad.synthetic.scenes import BUILDING, CAR, ROAD, SKY, Street, drive
from oddroad.types import ANOMALY, KNOWN, OUTLIER, Frame, Region


class TestRegions:
    def test_corners_touch(self) -> None:
        heat = np.zeros((6, 6), np.float32)
        heat[1, 1], heat[2, 2], heat[5, 5] = 3, 5, 4
        assert regions.find(heat, 1.0) == [
            Region(box=(1, 1, 3, 3), area=2, mean=4.0, peak=5.0),
            Region(box=(5, 5, 6, 6), area=1, mean=4.0, peak=4.0),
        ]

    def test_the_threshold_itself_does_not_count(self) -> None:
        assert regions.find(np.ones((3, 3), np.float32), 1.0) == []

    @settings(max_examples=60, deadline=None)
    @given(st.integers(0, 2**32 - 1), st.integers(0, 12))
    def test_regions_are_those_of_scipy(self, seed: int, min_area: int) -> None:
        ndimage = pytest.importorskip("scipy.ndimage")
        heat = np.random.default_rng(seed).normal(size=(17, 23)).astype(np.float32)
        labels, _ = ndimage.label(heat > 0.6, np.ones((3, 3)))
        expected = {}
        for number, (rows, columns) in enumerate(ndimage.find_objects(labels), 1):
            inside = labels == number
            if inside.sum() >= min_area:
                box = (columns.start, rows.start, columns.stop, rows.stop)
                expected[box, int(inside.sum()), float(heat[inside].max())] = float(heat[inside].mean())
        found = regions.find(heat, 0.6, min_area)
        assert {(each.box, each.area, each.peak): each.mean for each in found} == pytest.approx(expected, abs=1e-5)
        assert [each.area for each in found] == sorted((each.area for each in found), reverse=True)


class TestDraw:
    def test_the_colour_range_is_given_not_taken_from_the_map(self) -> None:
        assert np.array_equal(drawing.heat_levels(np.array([[-9.0, 0, 1, 2, 9]]), 0, 2), [[0, 0, 128, 255, 255]])

    def test_only_what_is_odd_is_coloured(self) -> None:
        image = np.full((200, 300, 3), 90, np.uint8)
        heat = np.full((200, 300), -5, np.float32)
        heat[50:80, 100:150] = 5
        drawn = drawing.overlay(image, heat, regions.find(heat, 0), 0.0, (-5, 5))
        assert np.array_equal(image, np.full((200, 300, 3), 90))
        assert np.abs(drawn[60:70, 110:140].astype(int) - 90).max() > 60
        assert np.array_equal(drawn[100:150, 170:290], image[100:150, 170:290])
        assert drawn[50, 120].tolist() == list(drawing.BOX)

    def test_a_tiny_image(self) -> None:
        assert drawing.overlay(np.zeros((5, 7, 3), np.uint8), np.zeros((5, 7), np.float32), [], 1, (0, 2)).shape == (
            5,
            7,
            3,
        )

    def test_the_outline_of_a_text_lies_around_it(self) -> None:
        image = np.full((60, 400, 3), 128, np.uint8)
        drawing.write(image, "energy -6.27 .. 0.25, marked above 0.394", (5, 40), 0.5)
        ink, shade = (mask.any(0).nonzero()[0] for mask in (image[..., 0] > 150, image[..., 0] < 100))
        assert len(ink) > 100
        assert ink.min() - 3 <= shade.min() < ink.min()
        assert ink.max() < shade.max() <= ink.max() + 3

    def test_contact_sheet(self) -> None:
        sheet = drawing.contact_sheet([np.full((10, 20, 3), value, np.uint8) for value in (10, 20, 30)], 2, 40)
        assert sheet.shape == (40, 80, 3)
        assert sheet[5, 50, 0] == 20
        assert sheet[30, 50, 0] == 0


class TestScenes:
    def test_the_same_seed_gives_the_same_drive(self) -> None:
        one, two, other = (list(drive(seed, 2, (90, 160))) for seed in (4, 4, 5))
        assert all(
            np.array_equal(a.image, b.image) and np.array_equal(a.label, b.label) for a, b in zip(one, two, strict=True)
        )
        assert not np.array_equal(one[0].image, other[0].image)

    def test_objects_come_nearer(self) -> None:
        areas = [int((frame.label == ANOMALY).sum()) for frame in drive(1, 16, (180, 320), rate=25)]
        assert areas[0] > 0
        assert areas[-1] > 1.3 * areas[0]

    def test_labels_are_exact(self) -> None:
        street = Street(2, (180, 320))
        image, label = street.view(0.0)
        street.things = [each for each in street.things if each.label != OUTLIER]
        bare, _ = street.view(0.0)
        changed = np.abs(image.astype(int) - bare).max(2) > 12
        odd = label == OUTLIER
        assert odd.sum() > 30
        assert changed[odd].mean() > 0.8
        assert {ROAD, SKY, BUILDING, CAR, OUTLIER} <= set(np.unique(label).tolist())
        assert (label[-20:] == ROAD).mean() > 0.5
        assert (label[:10] == ROAD).sum() == 0

    def test_frames_carry_time_and_labels(self) -> None:
        frames = list(drive(0, 3, (90, 160), rate=10))
        assert [frame.time for frame in frames] == [0.0, 0.1, 0.2]
        assert {value for frame in frames for value in np.unique(frame.label).tolist()} <= {KNOWN, ANOMALY}


def test_the_demo_writes_a_video_a_sheet_and_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--out", str(tmp_path / "demo"), "--frames", "4"]) == 0
    values = json.loads((tmp_path / "demo" / "demo.json").read_text())
    assert values["frames"] == 4
    assert 0 < values["prevalence"] < 0.2
    assert values["prevalence"] < values["ap"] <= 1
    assert 0 <= values["fpr95"] <= 1
    assert len(list(read(find_sources([str(tmp_path / "demo" / "demo.mp4")])))) == 4
    assert read_image(tmp_path / "demo" / "contact_sheet.jpg").shape[1] == 3 * 640
    assert "FPS" in capsys.readouterr().out


def test_the_demo_refuses_no_frames(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--out", str(tmp_path), "--frames", "0"]) == 2
    assert "--frames is 0; expected 1 or more" in capsys.readouterr().err


class TestTypes:
    @pytest.mark.parametrize(
        ("image", "label", "message"),
        [
            (np.zeros((4, 4), np.uint8), None, r"expected \(height, width, 3\) uint8"),
            (np.zeros((4, 4, 3), np.float32), None, r"type float32; expected"),
            (np.zeros((4, 5, 3), np.uint8), np.zeros((5, 4), np.uint8), r"label .* has shape \(5, 4\)"),
        ],
    )
    def test_a_frame_checks_itself(self, image: np.ndarray, label: np.ndarray | None, message: str) -> None:
        with pytest.raises(InputError, match=message):
            Frame(image, "x", label=label)

    def test_pick_explains(self) -> None:
        with pytest.raises(
            InputError, match=r"no network called 'erfnt'; did you mean 'erfnet'\? There are: erfnet, enet"
        ):
            pick({"erfnet": 1, "enet": 2}, "erfnt", "network")
