"""Alarms of a calibration are those that detect raises: the same regions, linked in the same way, at any level."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import write_clip

from oddroad.calibration.data import calibration_data, pieces_of
from oddroad.calibration.drives import Drive
from oddroad.calibration.fit import find_thresholds, write_card
from oddroad.calibration.following import Following
from oddroad.calibration.tracks import Ladder, Moment, Moments, TrackCounts, exposures, unpack
from oddroad.card_format import check_card
from oddroad.cli.main import main
from oddroad.detection.tracking import Tracking
from oddroad.errors import InputError
from oddroad.inference.model import Model, read_card
from oddroad.regions import InDistribution, boxes, find
from oddroad.roi import Roi
from oddroad.types import Frame


def lines(out: Path) -> list[dict[str, Any]]:
    """The lines of frames of a run."""
    found = [json.loads(each) for each in (out / "detections.jsonl").read_text().splitlines()]
    return [each for each in found if each["type"] == "frame"]


def test_a_packed_map_has_the_regions_of_the_map() -> None:
    rng = np.random.default_rng(1)
    heat = (5 * cv2.GaussianBlur(rng.normal(size=(40, 60)).astype(np.float32), (0, 0), 2)).astype(np.float32)
    ladder = Ladder.of(heat, np.ones(heat.shape, bool))
    exceeded, levels = unpack(ladder.pack(heat, None), (40, 60)), ladder.levels
    shares = np.array([0.0, 0.5, 0.9995, 1.0])
    for join in (0, 3):
        known = InDistribution(shares, np.quantile(heat, shares), float(levels[join]))
        for number in range(0, 40, 3):
            expected = [each.box for each in find(heat, float(levels[number]), 4, known)]
            low = exceeded > join if join < number else None
            assert boxes(exceeded > number, low, 4) == expected
    inside = np.zeros(heat.shape, bool)
    inside[:, :30] = True
    assert not unpack(ladder.pack(heat, inside), (40, 60))[:, 30:].any()
    assert levels[-1] > 400 * np.abs(heat).max()
    flat = Ladder.of(np.full((4, 4), 2.0, np.float32), np.ones((4, 4), bool))
    assert (np.diff(flat.levels) > 0).all()
    assert flat.levels[0] == 2.0


@pytest.mark.parametrize(("every", "roi"), [(1, "all"), (2, "road")])
def test_alarms_are_those_of_detect(
    every: int, roi: str, model: Model, frames: list[Frame], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = write_clip(tmp_path / "drive.mp4", [*frames, *frames[::-1], *frames], 10.0)
    out, done = tmp_path / "cal.onnx", tmp_path / "out"
    following = Following(Tracking(2, 1, every))
    data = calibration_data([str(clip)], tmp_path, "val", every=every)
    assert data.count == 24 // every
    card = find_thresholds(model, data, following=following, roi=Roi(roi), keep=tmp_path / "kept")
    write_card(model.path, card, out)
    tracks = card.calibration["scores"]["outlier_head"]["tracks"]
    assert card.calibration["tracking"] == {"min_hits": 2, "max_age": 1, "every": every, "rate": 10 / every}
    assert tracks["hours"] == pytest.approx(2.4 / 3600)
    assert set(tracks["curves"]) == {"1", "2", "3", "5", "8"}
    compared = 0
    for hits, rows in tracks["curves"].items():
        assert rows[0][2] == 0
        for threshold, _, seen, _, _, _ in (rows[len(rows) // 2], rows[-1])[: 3 - int(hits)]:
            words = ["detect", str(clip), "--model", str(out), "--threshold", repr(threshold), "--out", str(done)]
            assert main([*words, "--min-hits", hits, "--save"]) == 0
            found = [region for line in lines(done) for region in line["regions"]]
            alarms = sum(each["track"]["hits"] == int(hits) for each in found)
            assert alarms == pytest.approx(seen * tracks["hours"], abs=1e-4)
            compared += alarms
    assert compared > 5
    capsys.readouterr()
    again = Following(Tracking(2, 1, every))
    calls: list[int] = []
    whole = find_thresholds(
        model, data, following=again, roi=Roi(roi), keep=tmp_path / "kept", progress=lambda: calls.append(1)
    )
    assert len(calls) == 24 // every
    assert whole.calibration == card.calibration  # from kept figures


def moments(pieces: list[tuple[str, int]], step: float = 0.1) -> Moments:
    """Moments of frames of drives and pieces."""
    found = Moments()
    found.all = [
        Moment(drive, number * step, piece, (20, 30), (0.0, 0.0)) for number, (drive, piece) in enumerate(pieces)
    ]
    return found


def test_tracks_end_with_their_piece_and_delays_are_measured() -> None:
    exceeded = np.zeros((20, 30), np.uint8)
    exceeded[5:9, 5:9] = 7
    ladder = Ladder(0.0, 1.0)
    packed = ladder.pack(np.where(exceeded, ladder.levels[6] + 0.01, -1).astype(np.float32), None)
    empty = ladder.pack(np.full((20, 30), -1, np.float32), None)
    seen = [packed, packed, None, empty, packed, packed, packed]
    whole = moments([("a", 0)] * 7)
    counts = TrackCounts([3, 6, 7], [1, 2, 3], 7)
    counts.fill(seen, whole.all, 0, max_age=2, min_area=1)
    assert counts.alarms.sum(2).tolist() == [[1, 1, 1], [1, 1, 1], [0, 0, 0]]
    assert counts.alarms[0].argmax(1).tolist() == [0, 1, 4]
    assert counts.delays[0].tolist() == [0, 1, 4]
    counts = TrackCounts([3], [1, 2, 3], 7)
    counts.fill(seen, whole.all, 0, max_age=1, min_area=1)
    assert counts.alarms.sum(2).tolist() == [[2, 2, 1]]
    cut = moments([("a", 0)] * 5 + [("a", 1)] * 2)
    counts = TrackCounts([3], [1, 2, 3], 7)
    counts.fill(seen, cut.all, 0, max_age=2, min_area=1)
    assert counts.alarms.sum(2).tolist() == [[2, 2, 1]]
    counts = TrackCounts([3], [1], 7)
    counts.fill(seen, whole.all, 0, max_age=2, min_area=17)
    assert counts.alarms.sum() == 0


@pytest.mark.parametrize(("driven", "known"), [(0.0, False), (36.0, True)])
def test_a_drive_that_stands_makes_no_card_that_cannot_be_read(driven: float, known: bool) -> None:
    following, ladder = Following(Tracking(2, 1, 1), {"a": driven}), Ladder(0.0, 1.0)
    following.moments, following.ladders["red"] = moments([("a", 0)] * 6), ladder
    following.frames["red"] = [ladder.pack(np.full((20, 30), -1, np.float32), None)] * 6
    about = {"scope": "new-drives", "confidence": 0.95, "min_area": 1}
    values = {"quantiles": [[0.0, -1.0], [1.0, 1.0]]}
    found = following.result("red", values, [0.0] * 6, {"a"}, about)
    assert ("kilometres" in found) == known
    json.dumps(found, allow_nan=False)
    check_card({"calibration": {"scores": {"red": {"tracks": found}}}})


def test_parts_are_joined_and_go_with_the_camera() -> None:
    ladder = Ladder(0.0, 1.0)
    levels = ladder.levels
    heat = np.full((20, 30), -1, np.float32)
    heat[4:8, 2:12] = levels[2] + 0.01
    heat[4:8, 2:5] = heat[4:8, 9:12] = levels[6] + 0.01
    for join, expected in ((1, 1), (4, 2)):
        counts = TrackCounts([5], [1], 1)
        counts.fill([ladder.pack(heat, None)], moments([("a", 0)]).all, join, max_age=2, min_area=1)
        assert counts.alarms.sum() == expected
    moved = np.roll(heat, 17, axis=1)
    for shift, expected in (((17.0, 0.0), 1), ((0.0, 0.0), 2)):
        found = moments([("a", 0)] * 2)
        found.all[1] = Moment("a", 0.1, 0, (20, 30), shift)
        counts = TrackCounts([5], [1], 2)
        counts.fill([ladder.pack(each, None) for each in (heat, moved)], found.all, 1, max_age=2, min_area=1)
        assert counts.alarms.sum() == expected


def test_units_are_drives_or_blocks_with_the_time_that_they_took() -> None:
    found = moments([("a", 0)] * 200 + [("a", 1)] * 40 + [("b", 2)] * 10)
    levels = np.random.default_rng(2).normal(size=249).tolist()
    frames: list[np.ndarray | None] = [np.zeros(1, np.uint8)] * 249 + [None]
    assert found.seconds().sum() == pytest.approx(25.0)
    units, hours, far = exposures(frames, found, levels, "new-drives", {"a": 90.0, "b": 36.0})
    assert [len(each) for each in units] == [240, 10]
    assert (hours.alike, hours.block) == (True, None)
    assert (hours.lengths * 3600).tolist() == pytest.approx([24.0, 1.0])
    assert far is not None
    assert (far.lengths * 100).tolist() == pytest.approx([0.6, 0.01])
    units, hours, far = exposures(frames, found, levels, "same-drives", None)
    blocks = Drive("a", np.array(levels[:240])).blocks
    assert blocks > 20
    assert len(units) == blocks + 1
    assert (hours.alike, hours.block, far) == (False, 10, None)  # the short drive is one block


def test_pieces_follow_each_other(frames: list[Frame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from oddroad.calibration import data as module

    monkeypatch.setattr(module, "PIECE", 3)
    clip = write_clip(tmp_path / "drive.mp4", [*frames, *frames], 10.0)
    data = calibration_data([str(clip)], tmp_path, "val", 8, every=1)
    assert len(list(data.frames())) == data.count == 6
    assert [round(10 * (time or 0)) for time, _ in data.moments] == [0, 1, 2, 13, 14, 15]
    assert [piece for _, piece in data.moments] == [0, 0, 0, 1, 1, 1]
    assert pieces_of(10, 100, 3) == [(0, 4)]
    with pytest.raises(InputError, match=r"'camvid' is a data set; give videos or driving logs"):
        calibration_data(["camvid"], tmp_path, "val", every=1)
    picture = tmp_path / "a.png"
    cv2.imwrite(str(picture), frames[0].image)
    with pytest.raises(InputError, match="is a still image; give videos"):
        calibration_data([str(picture)], tmp_path, "val", every=1)


def test_from_drives_to_a_promise_that_detect_keeps(
    model: Model, frames: list[Frame], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "drives", tmp_path / "events.onnx"
    folder.mkdir()
    for number in range(29):
        pair = [frames[number // 8], frames[number % 8]]
        write_clip(folder / f"{number:02d}.avi", pair, 10.0 + number / 100)
    words = ["calibrate", "default", "--data", str(folder), "--min-hits", "2", "--out", str(out)]
    assert main([*words, "--threshold", "alarms=1/hour"]) == 2
    best = 1 - 0.05 ** (1 / 29)
    assert f"can promise {best * 29 / sum(2 / 3600 / (10 + n / 100) for n in range(29)):.3g} an hour at best; add" in (
        capsys.readouterr().err
    )
    table = tmp_path / "trade.json"
    assert main([*words, "--threshold", "alarms=2000/hour", "--explain", str(table), "--speed", "50km/h"]) == 0
    printed = capsys.readouterr().out
    assert (
        "at most 2000 alarms an hour, each a false alarm of 1 in 10,000 pixels or more (tracks of 2 hits or more"
        in printed
    )
    assert "alarms/h seen" in printed
    rows = json.loads(table.read_text())["scores"]["outlier_head"]
    assert {each["min_hits"] for each in rows} == {1, 2, 3, 5, 8}
    assert all(each["delay_frames"] >= each["min_hits"] - 1 for each in rows)
    card = read_card(out)
    drive = str(folder / "03.avi")
    run = ["detect", drive, "--model", str(out), "--save", "--out", str(tmp_path / "o")]
    assert main(run) == 0
    printed = capsys.readouterr().out
    assert "threshold alarms=2000/hour: outlier_head > " in printed
    assert "NOT GUARANTEED" not in printed
    first = json.loads((tmp_path / "o" / "detections.jsonl").read_text().splitlines()[0])
    assert (first["settings"]["min_hits"], first["settings"]["max_age"], first["settings"]["every"]) == (2, 2, 1)
    for option, says in (
        (["--min-hits", "3"], "its alarms were counted with --min-hits 2 and this run has 3"),
        (["--every", "2"], "its alarms were counted with --every 1 and this run has 2"),
        (
            ["--max-age", "5", "--threshold", "alarms=2000/hour"],
            "its alarms were counted with --max-age 2 and this run",
        ),
    ):
        assert main([*run, *option]) == 0
        assert f"NOT GUARANTEED HERE: {says}" in capsys.readouterr().out
    assert main([*run, "--min-hits", "5", "--threshold", "alarms=4000/100km"]) == 0
    printed = capsys.readouterr().out
    assert "at most 2000 alarms an hour" in printed
    assert "tracks of 5 hits or more" in printed
    assert "NOT GUARANTEED" not in printed
    assert main([*run, "--threshold", "alarms=3000/100km", "--speed", "70km/h"]) == 0
    slow = write_clip(tmp_path / "slow.avi", frames[:3], 2.0)
    assert main([*run[:1], str(slow), *run[2:]]) == 0
    assert "NOT GUARANTEED HERE: its alarms were counted at 10.1 frames per second, and 'slow.avi' has 2" in (
        capsys.readouterr().out
    )
    cv2.imwrite(str(tmp_path / "a.png"), frames[0].image)
    assert main([*run[:1], str(tmp_path / "a.png"), *run[2:]]) == 0
    assert "its alarms are tracks of videos, and 'a.png' is a still image" in capsys.readouterr().out
    assert card.thresholds["outlier_head"] in [
        row[0] for row in card.calibration["scores"]["outlier_head"]["tracks"]["curves"]["2"]
    ]


def test_what_cannot_be_counted_is_refused(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["calibrate", "default", "--data", str(clip), "--out", str(tmp_path / "x.onnx")]
    for more, says in (
        (["--threshold", "alarms=6/hour", "--min-hits", "0"], "--min-hits is 0; expected 1 or more"),
        (
            ["--min-hits", "2"],
            "--min-hits is for alarms an hour or in 100 km; add --threshold alarms=6/hour or --explain",
        ),
        (["--explain", "a.txt"], "--explain 'a.txt'; expected a figure (.png, .svg, .pdf) or a table (.json)"),
        (["--explain", "--speed", "fast"], "--speed 'fast'; expected a speed such as 90km/h"),
        (["--threshold", "alarms=6/hour", "--scope", "same-drives"], "takes 29 independent blocks or more"),
    ):
        assert main([*words, *more]) == 2
        assert says in capsys.readouterr().err
