"""`oddroad detect` from end to end, on good and on bad input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from oddroad.cli.main import main
from oddroad.detection.pipeline import run
from oddroad.errors import InputError
from oddroad.inference.model import Model
from oddroad.io.images import read_image
from oddroad.io.sources import find_sources
from oddroad.io.video import read
from oddroad.regions import decode_rle
from oddroad.types import Frame


def every_line(out: Path) -> list[dict[str, Any]]:
    """The lines of detections.jsonl."""
    return [json.loads(line) for line in (out / "detections.jsonl").read_text().splitlines()]


def lines(out: Path) -> list[dict[str, Any]]:
    """The lines of frames in detections.jsonl."""
    return [each for each in every_line(out) if each["type"] == "frame"]


def fails(capsys: pytest.CaptureFixture[str], words: Sequence[str]) -> str:
    """Run a verb that must fail with exit code 2 and one line; returns the line."""
    assert main([str(word) for word in words]) == 2
    message = capsys.readouterr().err
    assert message.startswith("oddroad: ")
    assert message.count("\n") == 1
    return message


class TestImages:
    def test_everything_is_written(self, picture: Path, tmp_path: Path, model: Model) -> None:
        out = tmp_path / "out"
        code = main(
            ["detect", str(picture), "--save", "overlay", "maps", "masks", "--threshold", "-5", "--out", str(out)]
        )
        assert code == 0
        (line,) = lines(out)
        heat = np.load(out / "maps" / "scene.npy")
        mask = cv2.imread(str(out / "masks" / "scene.png"), cv2.IMREAD_UNCHANGED)
        assert mask is not None
        assert (line["source"], line["index"], line["width"], line["height"], line["time"]) == (
            "scene.jpg", None, 320, 180, None,
        )  # fmt: skip
        assert heat.shape == (180, 320)
        assert heat.dtype == np.float32
        assert np.array_equal(heat, model(read_image(picture)))
        assert np.array_equal(mask, (heat > -5).astype(np.uint8) * 255)
        assert set(line["milliseconds"]) == {"decode", "model", "regions", "draw", "write"}
        first, _, last = every_line(out)
        assert (first["type"], first["threshold"], first["score"]) == ("run", -5, model.scores[0])
        assert (first["sources"], first["model_sha256"]) == (["scene.jpg"], model.sha256)
        assert (last["type"], last["frames"], last["with_regions"], last["damaged"]) == ("summary", 1, 1, 0)
        assert read_image(out / "overlay" / "scene.jpg").shape == (180, 320, 3)

    def test_regions_are_those_of_the_map(self, picture: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        main(["detect", str(picture), "--save", "maps", "--min-area", "0", "--threshold", "-2", "--out", str(out)])
        (line,) = lines(out)
        heat = np.load(out / "maps" / "scene.npy")
        above = heat > -2
        assert sum(each["area"] for each in line["regions"]) == int(above.sum())
        masks = [decode_rle(each["segmentation"]["counts"], (180, 320)) for each in line["regions"]]
        assert np.array_equal(np.logical_or.reduce(masks), above)

    @pytest.mark.parametrize("shape", [(7, 9, 3), (33, 500, 3), (211, 97, 3)])
    def test_any_size_comes_back_at_its_size(self, model: Model, shape: tuple[int, int, int]) -> None:
        heat = model(np.random.default_rng(0).integers(0, 256, shape, np.uint8))
        assert heat.shape == shape[:2]
        assert np.isfinite(heat).all()

    def test_two_images_with_one_stem_do_not_overwrite(self, tmp_path: Path, picture: Path) -> None:
        folder = tmp_path / "in"
        folder.mkdir()
        for ending in (".jpg", ".png"):
            image = cv2.imread(str(picture))
            assert image is not None
            cv2.imwrite(str(folder / f"a{ending}"), image)
        main(["detect", str(folder), "--save", "maps", "--out", str(tmp_path / "out")])
        assert len(list((tmp_path / "out" / "maps").iterdir())) == 2


class TestVideo:
    def test_a_video_gives_a_video(self, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out = tmp_path / "out"
        assert main(["detect", str(clip), "--out", str(out)]) == 0
        assert [(line["source"], line["index"]) for line in lines(out)] == [("drive.mp4", n) for n in range(8)]
        written = list(read(find_sources([str(out / "overlay" / "drive.mp4")])))
        assert len(written) == 8
        assert written[-1].time == pytest.approx(0.7, abs=0.01)
        assert "8 frames judged, " in capsys.readouterr().out

    def test_every_second_frame(self, clip: Path, tmp_path: Path) -> None:
        main(["detect", str(clip), "--every", "2", "--save", "maps", "--out", str(tmp_path / "out")])
        names = sorted(each.name for each in (tmp_path / "out" / "maps").iterdir())
        assert names == [f"drive_{number:06d}.npy" for number in (0, 2, 4, 6)]

    def test_a_broken_frame_is_reported(self, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        data = bytearray(clip.read_bytes())
        starts = [at for at in range(len(data) - 4) if data[at : at + 4] == b"\0\0\x01\xb6"]
        data[starts[3] : starts[4]] = bytes(starts[4] - starts[3])
        clip.write_bytes(data)
        assert main(["detect", str(clip), "--out", str(tmp_path / "out")]) == 0
        assert "skipped 1: drive.mp4: 1 of 8 frames could not be decoded" in capsys.readouterr().out
        found = lines(tmp_path / "out")
        assert len(found) == 7
        assert [each["index"] for each in found] == list(range(7))  # frames that were decoded are counted
        assert [each["time"] for each in found] == pytest.approx([0, 0.1, 0.2, 0.4, 0.5, 0.6, 0.7], abs=0.01)


class TestBadInput:
    def test_no_such_file(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert "no such file or folder: 'nope.jpg'" in fails(capsys, ["detect", "nope.jpg"])

    def test_nothing_given(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert "nothing to read" in fails(capsys, ["detect"])

    def test_a_cut_jpeg(self, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        picture.write_bytes(picture.read_bytes()[:-300])
        assert "scene.jpg' is cut off" in fails(capsys, ["detect", picture, "--out", tmp_path / "out"])

    def test_a_bad_file_among_good_ones_is_named_and_the_rest_is_kept(
        self, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        bad = tmp_path / "bad.jpg"
        bad.write_bytes(b"x" * 99)
        assert "bad.jpg' is not an image" in fails(capsys, ["detect", bad, picture, "--out", tmp_path / "out"])
        assert [line["source"] for line in lines(tmp_path / "out")] == ["scene.jpg"]

    def test_an_empty_folder(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert "holds no image and no video" in fails(capsys, ["detect", tmp_path])

    def test_a_camera_that_is_not_there(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert "no camera 61" in fails(capsys, ["detect", "61", "--out", tmp_path / "out"])

    def test_a_score_that_does_not_exist(
        self, picture: Path, tmp_path: Path, model: Model, capsys: pytest.CaptureFixture[str]
    ) -> None:
        message = fails(capsys, ["detect", picture, "--score", "nope", "--out", tmp_path / "out"])
        assert "no score in " in message
        assert all(name in message for name in model.scores)

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--threshold", "high"], "threshold 'high' is not understood; expected a number"),
            (["--every", "0"], "--every is 0; expected 1 or more"),
            (["--min-area", "-1"], "--min-area is -1"),
            (["--save", "films"], "invalid choice 'films'"),
            (["--engine", "tensorflow"], "tensorflow"),
            (["--thresold", "1"], "--thresold"),
        ],
    )
    def test_options(
        self, picture: Path, tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert message in fails(capsys, ["detect", picture, "--out", tmp_path / "out", *words])

    def test_an_output_folder_that_cannot_be_written(self, picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert "cannot write to" in fails(capsys, ["detect", picture, "--out", picture / "below"])

    def test_earlier_results_survive_bad_input(self, picture: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        main(["detect", str(picture), "--out", str(out)])
        before = (out / "detections.jsonl").read_text()
        for words in (["nope.jpg"], [str(picture), "--score", "nope"], [str(picture), "--model", "nope.onnx"]):
            assert main(["detect", *words, "--out", str(out)]) == 2
        assert (out / "detections.jsonl").read_text() == before


class TestTrouble:
    def test_a_disk_that_fills_up(
        self, clip: Path, tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Usage:
            """As much room as is left after some calls."""

            calls = 0

            def __call__(self, path: object) -> Any:
                Usage.calls += 1
                return type("usage", (), {"free": 2**40 if Usage.calls <= 5 else 2**20})()

        monkeypatch.setattr("oddroad.io.results.shutil.disk_usage", Usage())
        with pytest.raises(InputError, match="is full; what was written is complete up to here"):
            run(model, find_sources([str(clip)]), tmp_path / "out")
        assert len(lines(tmp_path / "out")) == 5
        assert len(list(read(find_sources([str(tmp_path / "out" / "overlay" / "drive.mp4")])))) == 5

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
    def test_no_space_for_the_lines(self, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out = tmp_path / "out"
        out.mkdir()
        (out / ".detections.jsonl.partial").symlink_to("/dev/full")
        assert "No space left on device" in fails(capsys, ["detect", picture, "--out", out])

    def test_ctrl_c_leaves_readable_files(self, tmp_path: Path, frames: list[Frame]) -> None:
        from oddroad.io.video_writer import VideoWriter

        video = VideoWriter(tmp_path / "long.mp4", 25)
        for _ in range(250):
            for each in frames:
                video.write(each.image)
        video.close()
        out = tmp_path / "out"
        words = [sys.executable, "-m", "oddroad.cli.main", "detect", str(tmp_path / "long.mp4"), "--out", str(out)]
        process = subprocess.Popen(
            words,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": "src"},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # tests in the background ignore it
        )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            if (out / "detections.jsonl").is_file() and len((out / "detections.jsonl").read_text().splitlines()) > 5:
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, message = process.communicate(timeout=30)
        assert process.returncode == 130
        assert message == "oddroad: interrupted; what was finished is kept\n"
        done = lines(out)
        assert 5 <= len(done) < 2000
        written = sum(1 for _ in read(find_sources([str(out / "overlay" / "long.mp4")])))
        assert abs(written - len(done)) <= 1
