"""Results are never lost, never mixed, and never their own input."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oddroad.cli.main import main
from oddroad.detection import pipeline
from oddroad.detection.pipeline import run
from oddroad.detection.settings import Settings
from oddroad.detection.summary import Summary
from oddroad.errors import InputError, LostSource
from oddroad.inference.model import Model
from oddroad.io.earlier import Earlier
from oddroad.io.folder_lock import LOCK, FolderLock
from oddroad.io.images import read_image
from oddroad.io.reading import Gap, ReadReport
from oddroad.io.results import base_names
from oddroad.io.rotation import Rotation, parse_rotation
from oddroad.io.sources import Source, find_sources
from oddroad.io.video_writer import VideoWriter
from oddroad.types import Frame


def lines(out: Path, kind: str = "") -> list[dict[str, Any]]:
    """The lines of a kind, or all."""
    found = [json.loads(line) for line in (out / "detections.jsonl").read_text().splitlines()]
    return [each for each in found if kind in ("", each["type"])]


def count_frames(path: Path) -> int:
    """Frames that a video holds."""
    import av

    with av.open(f"file:{path}") as container:
        return sum(1 for _ in container.decode(video=0))


def length(path: Path) -> float:
    """Seconds that a video lasts."""
    import av

    with av.open(f"file:{path}") as container:
        stream: Any = container.streams.video[0]
        return float(stream.duration * stream.time_base)


class Heat:
    """A detector that marks the same square in every frame, without a network."""

    def __init__(self, model: Model, level: float = 2.0):
        self.card, self.scores, self.parallel, self.sha256 = model.card, model.scores, 1, "0" * 64
        self.engine, self.float_precision, self.level = "none", "float32", level
        self.pick_score, self.threshold = model.pick_score, model.threshold

    def __call__(self, image: np.ndarray, score: str | None = None) -> np.ndarray:
        """The map."""
        heat = np.full(image.shape[:2], -9, np.float32)
        heat[10:20, 10:20] = self.level
        return heat


SETTINGS = Settings(threshold=1.0, save=())


def stream(times: list[float], source: str = "cam", **changes: Any) -> Any:
    """A reader that gives frames at these times."""

    def read(*_: Any) -> Iterator[Frame]:
        for number, seconds in enumerate(times):
            image = np.full((64, 96, 3), number, np.uint8)
            yield replace(Frame(image, source, number, seconds), **changes)

    return read


CAMERA = [Source("camera", "0", "cam")]


class TestOwnInput:
    def test_results_are_not_read_again(self, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out = tmp_path / "out"
        assert main(["detect", str(clip), "--out", str(out)]) == 0
        overlay = out / "overlay" / "drive.mp4"
        before = overlay.read_bytes()
        for words in ([str(out / "overlay")], [str(overlay)]):
            assert main(["detect", *words, "--out", str(out)]) == 2
            assert "lies in the folder of the results" in capsys.readouterr().err
        assert overlay.read_bytes() == before
        assert len(lines(out, "frame")) == 8

    def test_a_folder_of_results_inside_the_input_is_left_out(
        self, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        trip = tmp_path / "trip"
        trip.mkdir()
        shutil.copy(picture, trip / "a.jpg")
        for out in (trip / "out", trip):
            for again in range(2):
                if again and out != trip:
                    shutil.copy(picture, out / "extra.jpg")
                assert main(["detect", str(trip), "--out", str(out)]) == 0
                assert [each["source"] for each in lines(out, "frame")] == ["a.jpg"]
            assert "left out" in capsys.readouterr().out
            shutil.rmtree(trip / "out", ignore_errors=True)

    def test_results_may_be_judged_into_another_folder(self, picture: Path, tmp_path: Path) -> None:
        assert main(["detect", str(picture), "--out", str(tmp_path / "a")]) == 0
        assert main(["detect", str(tmp_path / "a" / "overlay"), "--out", str(tmp_path / "b")]) == 0


class TestKeptApart:
    def test_videos_of_one_name_and_a_picture(self, tmp_path: Path, frames: list[Frame]) -> None:
        from tests.conftest import write_clip

        folder = tmp_path / "in"
        folder.mkdir()
        counts = {"clip.mp4": 8, "clip.avi": 5, "clip.mov": 3}
        for name, count in counts.items():
            write_clip(folder / name, frames[:count])
        out = tmp_path / "out"
        assert main(["detect", str(folder), "--out", str(out)]) == 0
        assert {each.name: count_frames(each) for each in (out / "overlay").iterdir()} == {
            f"{name}.mp4": count for name, count in counts.items()
        }
        assert len(lines(out, "frame")) == 16

    def test_names(self) -> None:
        def names(*given: str) -> list[str]:
            return list(base_names([Source("video", each, each) for each in given]).values())

        assert names("a/x.mp4", "b/x.mp4") == ["a/x", "b/x"]
        assert names("x.mp4", "X.avi") == ["x.mp4", "X.avi"]
        assert names("x.mp4", "x") == ["x.mp4", "x"]
        assert names("x.mp4", "x_000012.jpg") == ["x.mp4", "x_000012"]

    def test_a_sign_that_means_something_elsewhere(self, picture: Path, tmp_path: Path) -> None:
        folder = tmp_path / "a#1"
        folder.mkdir()
        shutil.copy(picture, folder / "b#2%d.jpg")
        assert main(["detect", str(folder / "b#2%d.jpg"), "--out", str(tmp_path / "o#3")]) == 0
        assert (tmp_path / "o#3" / "overlay" / "b#2%d.jpg").is_file()

    def test_each_overlay_is_closed_when_its_source_ends(
        self, model: Model, tmp_path: Path, frames: list[Frame], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        open_now, most = set(), [0]
        opening, closing = VideoWriter.open, VideoWriter.close

        def opened(self: VideoWriter, *size: int) -> None:
            open_now.add(self)
            most[0] = max(most[0], len(open_now))
            opening(self, *size)

        def closed(self: VideoWriter) -> None:
            open_now.discard(self)
            closing(self)

        monkeypatch.setattr(VideoWriter, "open", opened)
        monkeypatch.setattr(VideoWriter, "close", closed)

        def read(*_: Any) -> Iterator[Frame]:
            for name in ("a", "b", "c"):
                yield from stream([0.0, 0.1], name)()

        monkeypatch.setattr(pipeline, "read", read)
        sources = [Source("video", name, name) for name in ("a", "b", "c")]
        run(Heat(model), sources, tmp_path / "out", replace(SETTINGS, save=("overlay",)))  # type: ignore[arg-type]
        assert most == [1]
        assert len(list((tmp_path / "out" / "overlay").iterdir())) == 3


class TestEarlierResults:
    def test_a_start_that_fails_leaves_them(self, clip: Path, picture: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        main(["detect", str(clip), "--out", str(out)])
        before = {each: each.read_bytes() for each in out.rglob("*") if each.is_file()}
        bad = tmp_path / "bad.mp4"
        bad.write_bytes(b"x" * 99)
        for words in ([str(bad)], ["61"], [str(picture), "--score", "nope"], ["nope.mp4"]):
            assert main(["detect", *words, "--out", str(out)]) == 2
        assert {each: each.read_bytes() for each in out.rglob("*") if each.is_file()} == before

    def test_old_pictures_do_not_stay_beside_new_lines_and_others_files_do(
        self, clip: Path, picture: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "out"
        main(["detect", str(clip), "--save", "overlay", "maps", "--out", str(out)])
        (out / "maps" / "mine.txt").write_text("kept")
        main(["detect", str(picture), "--out", str(out)])
        files = sorted(each.relative_to(out).as_posix() for each in out.rglob("*") if each.is_file())
        assert files == [".oddroad-files", "detections.jsonl", "maps/mine.txt", "overlay/scene.jpg"]

    def test_files_with_line_ends_and_other_bytes_in_their_names(self, picture: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        names = ["a\nb.png", os.fsdecode(b"\xff.png"), '"c.png']
        for name in names:
            (tmp_path / name).write_bytes(picture.read_bytes())
        assert main(["detect", *(str(tmp_path / name) for name in names), "--out", str(out)]) == 0
        (out / "b.jpg").write_text("kept")
        assert len(list((out / "overlay").iterdir())) == 3
        main(["detect", str(picture), "--out", str(out)])
        assert sorted(each.name for each in (out / "overlay").iterdir()) == ["scene.jpg"]
        assert (out / "b.jpg").is_file()

    def test_a_list_of_files_that_leads_out_of_the_folder_removes_nothing_there(
        self, picture: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "out"
        out.mkdir()
        (tmp_path / "precious").write_text("x")
        (out / ".oddroad-files").write_text(f"../precious\n{tmp_path / 'precious'}\n")
        main(["detect", str(picture), "--out", str(out)])
        assert (tmp_path / "precious").is_file()


class TestLock:
    def test_a_second_run_is_refused_and_told_which_the_first_is(
        self, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        lock = FolderLock(tmp_path / "out")
        assert main(["detect", str(picture), "--out", str(tmp_path / "out")]) == 2
        message = capsys.readouterr().err
        assert f"belongs to a run that still works (process {os.getpid()} on " in message
        lock.release()
        assert main(["detect", str(picture), "--out", str(tmp_path / "out")]) == 0
        assert not (tmp_path / "out" / LOCK).exists()

    def test_a_stale_lock_is_taken_over(self, picture: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        out.mkdir()
        (out / LOCK).write_text(json.dumps({"process": 2**22 + 1, "host": "here", "since": "long ago"}))
        assert main(["detect", str(picture), "--out", str(out)]) == 0

    def test_a_folder_that_was_made_for_nothing_goes(self, tmp_path: Path) -> None:
        FolderLock(tmp_path / "a" / "b").release()
        assert list(tmp_path.iterdir()) == []
        (tmp_path / "kept").mkdir()
        FolderLock(tmp_path / "kept").release()
        assert (tmp_path / "kept").is_dir()


class TestLive:
    def test_the_overlay_lasts_as_long_as_what_was_seen(
        self, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pipeline, "read", stream([0.0, 0.5, 0.6, 3.1, 3.2]))
        run(Heat(model), CAMERA, tmp_path, replace(SETTINGS, save=("overlay",)))  # type: ignore[arg-type]
        assert length(tmp_path / "overlay" / "cam.mp4") == pytest.approx(3.3, abs=0.01)

    def test_gaps_stand_before_the_frame_that_follows_them(
        self, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        report = ReadReport(gaps=[Gap("cam", 2, 0.2, 5.0, "the camera dropped the connection")])
        monkeypatch.setattr(pipeline, "read", stream([0.0, 0.1, 5.2]))
        summary = run(Heat(model), CAMERA, tmp_path, SETTINGS, report=report)  # type: ignore[arg-type]
        kinds = [each["type"] for each in lines(tmp_path)]
        assert kinds == ["run", "frame", "frame", "gap", "frame", "summary"]
        assert lines(tmp_path, "gap")[0] == {
            "type": "gap", "source": "cam", "index": 2, "time": 0.2, "seconds": 5.0,
            "reason": "the camera dropped the connection",
        }  # fmt: skip
        assert lines(tmp_path, "summary")[0]["gaps"] == 1
        assert "1 gap without frames" in summary.text()

    def test_a_lost_source_has_its_own_exit_code_and_keeps_what_was_seen(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def lost(*_: Any) -> Iterator[Frame]:
            yield from stream([0.0, 0.1])()
            raise LostSource("the camera 'cam' stayed away")

        monkeypatch.setattr(pipeline, "read", lost)
        monkeypatch.setattr("oddroad.io.sources.find_sources", lambda *_: CAMERA)
        assert main(["detect", "0", "--out", str(tmp_path)]) == 3
        assert "the camera 'cam' stayed away; 2 frames judged" in capsys.readouterr().err
        assert lines(tmp_path, "summary")[0]["lost"] == ["cam"]
        assert count_frames(tmp_path / "overlay" / "cam.mp4") == 2

    def test_signs_of_life(self, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def slow(*_: Any) -> Iterator[Frame]:
            yield from stream([0.0])()
            last = time.monotonic() + 20
            while time.monotonic() < last and '"heartbeat"' not in (tmp_path / "detections.jsonl").read_text():
                time.sleep(0.05)
            yield Frame(np.zeros((64, 96, 3), np.uint8), "cam", 1, 0.4)

        monkeypatch.setattr(pipeline, "read", slow)
        (tmp_path / "detections.jsonl").touch()
        run(Heat(model), CAMERA, tmp_path, replace(SETTINGS, heartbeat=0.1))  # type: ignore[arg-type]
        found = lines(tmp_path, "heartbeat")
        assert found[0]["frames"] in (0, 1)
        assert found[0]["utc"].endswith("Z")
        written = [json.loads(each)["type"] for each in (tmp_path / "detections.jsonl").read_text().splitlines()]
        assert "heartbeat" in written[written.index("frame") : -2]  # while the second frame was waited for

    def test_the_time_in_utc(self, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pipeline, "read", stream([0.0], utc=1_700_000_000.25))
        run(Heat(model), CAMERA, tmp_path, SETTINGS)  # type: ignore[arg-type]
        assert lines(tmp_path, "frame")[0]["utc"] == "2023-11-14T22:13:20.250000Z"


class TestDamaged:
    def test_a_damaged_frame_is_never_calm(self, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def read(*_: Any) -> Iterator[Frame]:
            for frame in stream([0.0, 0.1, 0.2])():
                yield replace(frame, status="damaged", reason="concealed") if frame.index == 1 else frame

        monkeypatch.setattr(pipeline, "read", read)
        settings = replace(SETTINGS, save=("overlay", "maps", "masks"))
        summary = run(Heat(model), CAMERA, tmp_path, settings)  # type: ignore[arg-type]
        bad = lines(tmp_path, "frame")[1]
        assert (bad["status"], bad["reason"], bad["regions"]) == ("damaged", "concealed", None)
        last = lines(tmp_path, "summary")[0]
        assert (last["frames"], last["with_regions"], last["damaged"]) == (2, 2, 1)
        assert "1 damaged frame NOT judged" in summary.text()
        assert count_frames(tmp_path / "overlay" / "cam.mp4") == 3
        assert len(list((tmp_path / "maps").iterdir())) == len(list((tmp_path / "masks").iterdir())) == 2

    def test_nothing_judged_and_nothing_found_are_not_the_same(
        self, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pipeline, "read", stream([0.0, 0.1], status="damaged", reason="black"))
        with pytest.raises(InputError, match="NOTHING WAS JUDGED: all 2 frames are damaged"):
            run(Heat(model), CAMERA, tmp_path, SETTINGS)  # type: ignore[arg-type]
        assert [each["regions"] for each in lines(tmp_path, "frame")] == [None, None]
        monkeypatch.setattr(pipeline, "read", stream([0.0, 0.1]))
        summary = run(Heat(model, level=-3), CAMERA, tmp_path, SETTINGS)  # type: ignore[arg-type]
        assert summary.text().startswith("2 frames judged, no anomaly found; ")
        assert Summary(frames=1).text().startswith("1 frame judged, no anomaly found; ")
        assert Summary(damaged=1).text().startswith("NOTHING WAS JUDGED: the only frame is damaged; ")
        assert "; dropped 1 older frame to" in Summary(frames=2, dropped=1).text()


class TestDefaults:
    def test_regions_of_less_than_one_in_ten_thousand_pixels_are_left_out(
        self, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Speck(Heat):
            """Marks 50 pixels and 51."""

            def __call__(self, image: np.ndarray, score: str | None = None) -> np.ndarray:
                heat = np.full(image.shape[:2], -9, np.float32)
                heat[10, 10:60] = heat[20, 10:61] = 2
                return heat

        def read(*_: Any) -> Iterator[Frame]:
            yield Frame(np.zeros((540, 960, 3), np.uint8), "a")

        monkeypatch.setattr(pipeline, "read", read)
        sources = [Source("image", "a", "a")]
        run(Speck(model), sources, tmp_path, SETTINGS)  # type: ignore[arg-type]
        assert [each["area"] for each in lines(tmp_path, "frame")[0]["regions"]] == [51]
        run(Speck(model), sources, tmp_path, replace(SETTINGS, min_area=0))  # type: ignore[arg-type]
        assert [each["area"] for each in lines(tmp_path, "frame")[0]["regions"]] == [51, 50]

    def test_every_third_frame_is_shown_three_times_as_long(self, tmp_path: Path, frames: list[Frame]) -> None:
        from tests.conftest import write_clip

        clip = write_clip(tmp_path / "a.mp4", frames * 3, rate=10.0)
        assert main(["detect", str(clip), "--every", "3", "--out", str(tmp_path / "out")]) == 0
        assert [each["index"] for each in lines(tmp_path / "out", "frame")] == list(range(0, 24, 3))
        assert length(tmp_path / "out" / "overlay" / "a.mp4") == pytest.approx(2.4, abs=0.02)

    def test_a_single_frame_is_shown_for_all_that_it_stands_for(self, tmp_path: Path, frames: list[Frame]) -> None:
        from tests.conftest import write_clip

        clip = write_clip(tmp_path / "a.mp4", frames[:2], rate=10.0)
        assert main(["detect", str(clip), "--every", "3", "--out", str(tmp_path / "out")]) == 0
        assert length(tmp_path / "out" / "overlay" / "a.mp4") == pytest.approx(0.3, abs=0.02)


class TestRotation:
    def test_limits(self) -> None:
        assert [parse_rotation(each).seconds for each in ("90s", "10min", "2h", "1d")] == [90, 600, 7200, 86400]
        assert [parse_rotation(each).size for each in ("5kB", "500MB", "2 GB")] == [5e3, 5e8, 2e9]
        for bad in ("10", "min", "0min", "ten min", "5 weeks"):
            with pytest.raises(InputError, match="expected a time"):
                parse_rotation(bad)

    def test_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [100.0]
        monkeypatch.setattr("oddroad.io.rotation.time.monotonic", lambda: now[0])
        rotation = Rotation(seconds=10)
        rotation.begin()
        now[0] = 109.9
        assert not rotation.due()
        now[0] = 110.0
        assert rotation.due()

    def test_each_part_is_whole(self, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pipeline, "read", stream([number / 10 for number in range(9)]))
        settings = replace(SETTINGS, save=("overlay",), rotate="6kB")
        run(Heat(model), CAMERA, tmp_path / "out", settings)  # type: ignore[arg-type]
        parts = sorted(each for each in (tmp_path / "out").iterdir() if each.is_dir())
        assert len(parts) >= 2
        assert [each.name for each in parts] == [f"{number:04d}" for number in range(1, len(parts) + 1)]
        indices = []
        for number, part in enumerate(parts, 1):
            found = lines(part)
            assert (found[0]["type"], found[0]["part"], found[-1]["type"]) == ("run", number, "summary")
            frames = [each["index"] for each in found if each["type"] == "frame"]
            assert count_frames(part / "overlay" / "cam.mp4") == len(frames)
            if number < len(parts):
                assert found[-1]["frames"] == len(frames)
            indices += frames
        assert indices == list(range(9))
        run(Heat(model), CAMERA, tmp_path / "out", SETTINGS)  # type: ignore[arg-type]
        assert sorted(each.name for each in (tmp_path / "out").iterdir()) == [".oddroad-files", "detections.jsonl"]


class TestStdout:
    def test_lines_alone(
        self, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert main(["detect", str(clip), "--stdout"]) == 0
        said = capsys.readouterr()
        found = [json.loads(line) for line in said.out.splitlines()]
        assert [each["type"] for each in found] == ["run", *["frame"] * 8, "summary"]
        assert "8 frames judged" in said.err
        assert [each.name for each in tmp_path.iterdir()] == ["drive.mp4"]

    def test_with_a_folder_it_has_the_same_lines(
        self, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["detect", str(picture), "--stdout", "--out", str(tmp_path / "out")]) == 0
        assert capsys.readouterr().out == (tmp_path / "out" / "detections.jsonl").read_text()
        assert (tmp_path / "out" / "overlay" / "scene.jpg").is_file()


def test_a_folder_per_start(picture: Path, tmp_path: Path) -> None:
    from oddroad.cli.detect import place_for

    assert main(["detect", str(picture), "--out", str(tmp_path), "--out-per-start"]) == 0
    (folder,) = (each for each in tmp_path.iterdir() if each.is_dir())
    assert folder.name.startswith("20")
    assert folder.name.endswith("Z")
    assert len(lines(folder, "frame")) == 1
    assert place_for("rtsp://u:secret@h/live", "live", True, None, False).parts[:2] == ("out", "live")
    assert place_for("0", "camera0", True, Path("x"), False) == Path("x")
    assert place_for("a/b.mp4", "b.mp4", False, None, False) == Path("out/b")


class TestResume:
    def interrupted(self, out: Path, keep: int) -> None:
        """Cut the lines off in the middle of the line after some frames."""
        path = out / "detections.jsonl"
        text = path.read_text().splitlines(keepends=True)
        path.write_text("".join(text[: keep + 1]) + text[keep + 1][:40])

    def test_a_video_goes_on_after_the_last_complete_line(self, clip: Path, tmp_path: Path) -> None:
        whole, out = tmp_path / "whole", tmp_path / "out"
        words = ["detect", str(clip), "--threshold", "-5", "--save", "overlay", "maps"]
        for folder in (whole, out):
            assert main([*words, "--out", str(folder)]) == 0
        self.interrupted(out, 5)
        shutil.rmtree(out / "maps")
        assert main([*words, "--out", str(out), "--resume"]) == 0
        assert sorted(each.name for each in (out / "maps").iterdir()) == [f"drive_{n:06d}.npy" for n in (5, 6, 7)]
        ours, theirs = lines(out, "frame"), lines(whole, "frame")
        assert [each["index"] for each in ours] == list(range(8))
        for one, two in zip(ours, theirs, strict=True):
            assert [each["box"] for each in one["regions"]] == [each["box"] for each in two["regions"]]
        assert count_frames(out / "overlay" / "drive.mp4") == 8
        assert length(out / "overlay" / "drive.mp4") == pytest.approx(0.8, abs=0.01)
        assert lines(out)[-1]["frames"] == 8
        assert lines(out)[-1]["with_regions"] == lines(whole)[-1]["with_regions"]
        before = {each["track"]["id"] for line in ours[:5] for each in line["regions"]}
        after = {each["track"]["id"] for line in ours[5:] for each in line["regions"]}
        assert not before & after  # tracks begin anew, with numbers of their own

    def test_lines_beyond_the_overlay_are_judged_again(self, clip: Path, tmp_path: Path, frames: list[Frame]) -> None:
        out = tmp_path / "out"
        assert main(["detect", str(clip), "--out", str(out)]) == 0
        self.interrupted(out, 6)
        video = VideoWriter(out / "overlay" / "drive.mp4", 10.0)
        for frame in frames[:3]:  # as if the last frames had not reached the disk
            video.write(frame.image)
        video.close()
        assert main(["detect", str(clip), "--out", str(out), "--resume"]) == 0
        assert [each["index"] for each in lines(out, "frame")] == list(range(8))
        assert count_frames(out / "overlay" / "drive.mp4") == 8

    def test_a_folder_goes_on_with_its_next_file(self, picture: Path, clip: Path, tmp_path: Path) -> None:
        folder, out = tmp_path / "in", tmp_path / "out"
        folder.mkdir()
        for name in ("a.jpg", "b.jpg", "c.jpg"):
            shutil.copy(picture, folder / name)
        shutil.copy(clip, folder / "d.mp4")
        assert main(["detect", str(folder), "--out", str(out)]) == 0
        self.interrupted(out, 2)
        assert main(["detect", str(folder), "--out", str(out), "--resume"]) == 0
        assert [each["source"] for each in lines(out, "frame")] == ["a.jpg", "b.jpg", "c.jpg", *["d.mp4"] * 8]

    def test_what_was_counted_goes_on(self, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def read(*_: Any) -> Iterator[Frame]:
            for frame in stream([0.0, 0.1, 0.2, 0.3], "a.mp4")():
                yield replace(frame, status="damaged", reason="black") if frame.index == 1 else frame

        monkeypatch.setattr(pipeline, "read", read)
        sources = [Source("video", "a.mp4", "a.mp4")]
        run(Heat(model), sources, tmp_path, SETTINGS)  # type: ignore[arg-type]
        self.interrupted(tmp_path, 3)
        done = run(Heat(model), sources, tmp_path, replace(SETTINGS, resume=True))  # type: ignore[arg-type]
        assert (done.frames, done.with_regions, done.damaged) == (3, 3, 1)
        assert [each["index"] for each in lines(tmp_path, "frame")] == [0, 1, 2, 3]

    def test_other_settings_are_refused(self, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out = tmp_path / "out"
        main(["detect", str(clip), "--out", str(out)])
        self.interrupted(out, 3)
        before = (out / "detections.jsonl").read_bytes()
        for words, message in (
            (["--threshold", "3"], "another threshold"),
            (["--min-area", "7"], "--min-area None, now it is 7"),
            (["--model", "default-fp32"], "another model sha256"),
        ):
            assert main(["detect", str(clip), "--out", str(out), "--resume", *words]) == 2
            assert message in capsys.readouterr().err
        assert (out / "detections.jsonl").read_bytes() == before

    def test_a_finished_run_is_left_as_it_is(self, clip: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        main(["detect", str(clip), "--out", str(out)])
        before = (out / "detections.jsonl").read_bytes()
        assert main(["detect", str(clip), "--out", str(out), "--resume"]) == 0
        assert (out / "detections.jsonl").read_bytes() == before

    def test_without_earlier_results_it_is_a_start(self, picture: Path, tmp_path: Path) -> None:
        assert main(["detect", str(picture), "--out", str(tmp_path / "out"), "--resume"]) == 0
        assert len(lines(tmp_path / "out", "frame")) == 1

    def test_live_sources_cannot(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["detect", "0", "--resume"]) == 2
        assert "--resume is for files" in capsys.readouterr().err


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGHUP])
def test_a_killed_run_leaves_a_playable_overlay_and_goes_on(how: signal.Signals, tmp_path: Path, clip: Path) -> None:
    video = VideoWriter(tmp_path / "long.mp4", 25)
    for number in range(400):
        video.write(np.full((180, 320, 3), number % 200, np.uint8))
    video.close()
    out = tmp_path / "out"
    words = [sys.executable, "-m", "oddroad.cli", "detect", str(tmp_path / "long.mp4"), "--out", str(out)]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if (out / "detections.jsonl").is_file() and (out / "detections.jsonl").read_text().count("\n") > 15:
            break
        time.sleep(0.02)
    process.send_signal(how)
    process.communicate(timeout=30)
    assert process.returncode == (-9 if how is signal.SIGKILL else 130)
    done = (out / "detections.jsonl").read_text().count("\n") - 1
    assert done - 6 <= count_frames(out / "overlay" / "long.mp4") <= done + 1
    assert done < 400


def test_the_style_of_the_overlay(picture: Path, tmp_path: Path) -> None:
    sizes = {}
    for name, words in {"plain": [], "double": ["--side-by-side"], "bare": ["--no-legend", "--alpha", "0"]}.items():
        assert main(["detect", str(picture), "--out", str(tmp_path / name), *words]) == 0
        sizes[name] = read_image(tmp_path / name / "overlay" / "scene.jpg")
    assert sizes["double"].shape == (180, 640, 3)
    assert np.abs(sizes["bare"].astype(int) - read_image(picture)).max() < 60
    assert np.abs(sizes["plain"][-30:, :60].astype(int) - sizes["bare"][-30:, :60]).mean() > 20
    assert main(["detect", str(picture), "--alpha", "2", "--out", str(tmp_path / "x")]) == 2


def test_a_stop_after_some_frames(clip: Path, tmp_path: Path) -> None:
    assert main(["detect", str(clip), "--max-frames", "3", "--out", str(tmp_path / "out")]) == 0
    assert [each["index"] for each in lines(tmp_path / "out", "frame")] == [0, 1, 2]


def test_all_lines_are_of_the_schema(clip: Path, picture: Path, tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    from importlib import resources

    schema = json.loads((resources.files("oddroad") / "io/schema/detections.schema.json").read_text())
    assert main(["detect", str(clip), str(picture), "--threshold", "-5", "--out", str(tmp_path / "out")]) == 0
    for line in lines(tmp_path / "out"):
        jsonschema.validate(line, schema)
    assert find_sources([str(clip)])


@pytest.mark.parametrize(
    "change",
    [
        {"source": {}},
        {"regions": 7},
        {"regions": [{"track": "x"}]},
        {"index": "x"},
        {"time": 10**400},
        {"regions": ["x"]},
    ],
)
def test_lines_that_no_run_wrote_are_not_gone_on_with(change: dict[str, Any], tmp_path: Path) -> None:
    frame = {"type": "frame", "source": "a.mp4", "index": 0, "time": 0.0, "status": "ok", "regions": []}
    path = tmp_path / "detections.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in ({"type": "run"}, frame)))
    assert Earlier.read(path) is not None
    path.write_text("".join(json.dumps(each) + "\n" for each in ({"type": "run"}, {**frame, **change})))
    with pytest.raises(InputError, match=r"line 2 of .* is none that oddroad writes"):
        Earlier.read(path)
