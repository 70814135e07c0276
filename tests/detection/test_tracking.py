"""Regions linked over frames: identity, age, mean score, a moving camera, and what --min-hits reports."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oddroad import regions
from oddroad.cli.main import main
from oddroad.detection import pipeline
from oddroad.detection.pipeline import run
from oddroad.detection.settings import Settings
from oddroad.detection.tracking import MAX_AGE, ConfirmedTracks, Tracker, shift_between
from oddroad.errors import InputError
from oddroad.inference.model import Model
from oddroad.io.sources import Source
from oddroad.synthetic.scenes import drive
from oddroad.types import ANOMALY, Frame, Region

FLAT = np.zeros((180, 320, 3), np.uint8)


def box(x: float, y: float, side: int = 10, mean: float = 1.0) -> Region:
    """A square region."""
    return Region((round(x), round(y), round(x) + side, round(y) + side), side * side, mean, mean + 1)


def test_measuring_a_shift_changes_no_picture() -> None:
    grey = np.random.default_rng(0).uniform(0, 255, (96, 160)).astype(np.float32)
    before, after = np.roll(grey, 3, 1), grey
    kept = before.copy(), after.copy()
    found = shift_between(before, after)
    assert found == shift_between(before, after)
    assert all(np.array_equal(*pair) for pair in zip(kept, (before, after), strict=True))


class TestTracker:
    def test_two_things_that_pass_each_other_keep_their_identity(self) -> None:
        tracker = Tracker()
        ids = []
        for step in range(30):
            pair = [box(20 + 8 * step, 60), box(260 - 8 * step, 84)]
            ids.append(
                [each.id for each in tracker.update(FLAT, pair if step % 2 else pair[::-1])][:: 1 if step % 2 else -1]
            )
        assert ids == [ids[0]] * 30
        assert sorted(ids[0]) == [1, 2]

    def test_age_and_mean_are_those_of_the_frames_it_was_seen_in(self) -> None:
        tracker = Tracker()
        scores = [1.0, 2.0, 6.0]
        for number, score in enumerate(scores):
            (track,) = tracker.update(FLAT, [box(50 + number, 50, mean=score)])
        assert (track.id, track.hits) == (1, 3)
        assert track.mean == pytest.approx(3.0)

    def test_it_survives_a_gap_but_not_a_long_one(self) -> None:
        tracker = Tracker()
        for step in range(4):
            tracker.update(FLAT, [box(20 + 6 * step, 50)])
        for _ in range(MAX_AGE):
            assert tracker.update(FLAT, []) == []
        (track,) = tracker.update(FLAT, [box(20 + 6 * (4 + MAX_AGE), 50)])
        assert (track.id, track.hits) == (1, 5)
        for _ in range(MAX_AGE + 1):
            tracker.update(FLAT, [])
        assert tracker.tracks == []
        (track,) = tracker.update(FLAT, [box(20 + 6 * 10, 50)])
        assert (track.id, track.hits) == (2, 1)

    def test_what_is_far_away_or_of_another_size_is_something_else(self) -> None:
        tracker = Tracker()
        tracker.update(FLAT, [box(20, 50)])
        (far,) = tracker.update(FLAT, [box(120, 50)])
        (large,) = tracker.update(FLAT, [box(90, 20, side=80)])
        assert [far.id, large.id] == [2, 3]

    def test_one_track_continues_in_one_region_only(self) -> None:
        tracker = Tracker()
        tracker.update(FLAT, [box(50, 50)])
        tracks = tracker.update(FLAT, [box(56, 50), box(51, 50)])
        assert [each.id for each in tracks] == [2, 1]

    def test_a_shift_is_measured(self) -> None:
        picture = np.random.default_rng(0).random((96, 160)).astype(np.float32)
        x, y = shift_between(picture, np.roll(picture, (3, -5), (0, 1)))
        assert (x, y) == (pytest.approx(-5, abs=0.2), pytest.approx(3, abs=0.2))
        assert shift_between(picture, np.random.default_rng(1).random((96, 160)).astype(np.float32)) == (0.0, 0.0)

    def test_velocity_is_smoothed(self) -> None:
        tracker = Tracker()
        for x, velocity in ((20, 0.0), (30, 10.0), (44, 12.0), (54, 11.0)):
            (track,) = tracker.update(FLAT, [box(x, 50)])
            assert track.velocity == (velocity, 0.0)
        assert (track.id, track.hits) == (1, 4)

    def test_the_shift_is_in_pixels_of_the_picture(self) -> None:
        world = np.random.default_rng(3).integers(0, 256, (40, 90, 3), np.uint8).repeat(12, 0).repeat(12, 1)
        tracker = Tracker()
        tracker.update(world[:360, :640], [box(300, 200)])
        assert tracker.camera(world[8:368, 24:664]) == (pytest.approx(-24, abs=2), pytest.approx(-8, abs=2))

    def test_what_gathers_speed_is_followed(self) -> None:
        tracker, x = Tracker(), 10
        for step in (0, 6, 12, 18, 24, 30, 36, 42):
            x += step
            (track,) = tracker.update(FLAT, [box(x, 50)])
        assert (track.id, track.hits) == (1, 8)
        assert track.velocity[0] > 25

    def test_what_is_not_seen_goes_with_the_picture(self) -> None:
        world = np.random.default_rng(3).integers(0, 256, (60, 120, 3), np.uint8).repeat(8, 0).repeat(8, 1)
        tracker = Tracker()
        for number, (x, seen) in enumerate([(0, True), (0, True), (60, False), (60, True)]):
            found = [box(300 - x, 200, 12)] if seen else []
            tracks = tracker.update(world[:360, x : x + 640], found)
            assert [each.id for each in tracks] == [1] * seen, number

    @pytest.mark.parametrize("sharp", [True, False])
    def test_a_camera_that_shakes_loses_nothing(self, sharp: bool) -> None:
        draw = np.random.default_rng(3)
        world = np.repeat(np.repeat(draw.integers(0, 256, (60, 90, 3), np.uint8), 8, 0), 8, 1)
        if not sharp:
            world = np.full_like(world, 90)
        tracker = Tracker()
        ids = set()
        for _ in range(20):
            x, y = draw.integers(0, 60, 2)
            (track,) = tracker.update(world[y : y + 360, x : x + 640], [box(300 - x, 200 - y, 12)])
            ids.add(track.id)
        assert (len(ids) == 1) == sharp  # without texture the shake cannot be seen, and identities are lost


def true_regions(frame: Frame) -> list[Region]:
    """The odd objects of a rendered frame."""
    assert frame.label is not None
    return regions.find((frame.label == ANOMALY).astype(np.float32), 0.5, 12)


def test_on_a_rendered_drive_an_object_is_one_track() -> None:
    tracker = Tracker()
    ages: dict[int, int] = {}
    for frame in drive(seed=1, frames=40, size=(270, 480)):
        for track in tracker.update(frame.image, true_regions(frame)):
            ages[track.id] = track.hits
    assert max(ages.values()) >= 30
    assert sum(ages.values()) / len(ages) > 8


class TestLinked:
    def test_only_what_persists_is_reported(self) -> None:
        linked = ConfirmedTracks(min_hits=3)
        reported = []
        for number in range(6):
            found = [box(50, 50), *([box(200, 100)] if number == 2 else [])]
            kept, tracks = linked(Frame(FLAT, "a.mp4", number, number / 10), found)
            assert len(kept) == len(tracks)
            reported.append([each.box[0] for each in kept])
        assert reported == [[], [], [50], [50], [50], [50]]

    def test_another_video_begins_anew(self) -> None:
        linked = ConfirmedTracks(min_hits=1)
        (first,) = linked(Frame(FLAT, "a.mp4", 0, 0.0), [box(50, 50)])[1]
        (second,) = linked(Frame(FLAT, "b.mp4", 0, 0.0), [box(50, 50)])[1]
        assert (first.hits, second.hits, second.id) == (1, 1, 1)

    def test_still_images_have_no_tracks(self) -> None:
        assert ConfirmedTracks(1)(Frame(FLAT, "a.jpg"), [box(1, 1)]) == ([box(1, 1)], [])


class TestDetect:
    def lines(self, out: Path) -> list[dict[str, Any]]:
        """The lines of detections.jsonl."""
        found = [json.loads(line) for line in (out / "detections.jsonl").read_text().splitlines()]
        return [each for each in found if each["type"] == "frame"]

    def test_the_jsonl_carries_tracks(self, clip: Path, tmp_path: Path) -> None:
        main(["detect", str(clip), "--threshold", "-5", "--save", "--out", str(tmp_path)])
        lines = self.lines(tmp_path)
        found = [each for line in lines for each in line["regions"]]
        assert found
        assert all(set(each["track"]) == {"id", "hits", "mean"} for each in found)
        assert max(each["track"]["hits"] for each in found) > 1

    def test_images_carry_none(self, picture: Path, tmp_path: Path) -> None:
        main(["detect", str(picture), "--threshold", "-5", "--save", "--out", str(tmp_path)])
        (line,) = self.lines(tmp_path)
        assert line["regions"]
        assert not any("track" in each for each in line["regions"])

    def test_persist_leaves_out_what_flashes(
        self, tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def frames(*_: Any) -> Iterator[Frame]:
            for number in range(6):
                yield Frame(np.full((180, 320, 3), number, np.uint8), "a", number, number / 10)

        class Flash:
            """Finds one thing in every frame, and another in the third alone."""

            card, scores, parallel, sha256, engine = model.card, model.scores, 1, "", ""
            pick_score, float_precision = model.pick_score, "float32"

            def __call__(self, image: np.ndarray, score: str | None = None) -> np.ndarray:
                """The map."""
                heat = np.full(image.shape[:2], -9, np.float32)  # below the level that joins parts
                heat[50:60, 50:60] = 2
                if image[0, 0, 0] == 2:
                    heat[100:110, 200:210] = 2
                return heat

        monkeypatch.setattr(pipeline, "read", frames)
        sources = [Source("camera", "0", "a")]
        for min_hits, expected in ((1, [1, 1, 2, 1, 1, 1]), (2, [0, 1, 1, 1, 1, 1])):
            out = tmp_path / str(min_hits)
            settings = Settings(threshold=1.0, min_area=5, save=(), min_hits=min_hits)
            done = run(Flash(), sources, out, settings)  # type: ignore[arg-type]
            assert [len(line["regions"]) for line in self.lines(out)] == expected
            assert done.with_regions == sum(each > 0 for each in expected)

    def test_persist_is_for_moving_sources(self, picture: Path, tmp_path: Path, model: Model) -> None:
        with pytest.raises(InputError, match=r"'scene\.jpg' is a still image"):
            run(model, [Source("image", str(picture), "scene.jpg")], tmp_path, Settings(min_hits=2))

    def test_persist_of_nothing(self, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["detect", str(clip), "--min-hits", "0", "--out", str(tmp_path)]) == 2
        assert "--min-hits is 0; expected a number of frames, 1 or more" in capsys.readouterr().err
