"""'oddroad calibrate' from a checkpoint to a detector with guaranteed rates, and 'detect' using them."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from oddroad.calibration.data import calibration_data, drive_of, place_of
from oddroad.calibration.fit import find_thresholds, write_card
from oddroad.card import Card
from oddroad.cli.main import main
from oddroad.errors import InputError
from oddroad.inference.model import Model, read_card
from oddroad.io.sources import Source
from oddroad.io.video_writer import VideoWriter
from oddroad.learn.checkpoints.format import load_network, save_checkpoint
from oddroad.learn.detector import Detector
from oddroad.learn.networks.ddrnet import DDRNet
from oddroad.synthetic.scenes import Street
from oddroad.types import CITYSCAPES_CLASSES, Sample

ARGUMENTS = {"classes": 19, "planes": 8, "pooled": 8, "head": 8}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set in the layout of cityscapes_small: 6 training and 60 validation scenes of 64x64."""
    root, draw = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for split, count in (("train", 6), ("val", 60)):
        folder = root / "cityscapes_small" / split
        (folder / "images").mkdir(parents=True)
        (folder / "labels").mkdir()
        for i in range(count):
            label = np.repeat(np.repeat(draw.integers(0, 19, (4, 4)), 16, 0), 16, 1).astype(np.uint8)
            image = draw.integers(0, 256, (19, 3))[label] + draw.integers(0, 9, (64, 64, 3))
            label[:8] = 255
            cv2.imwrite(str(folder / "images" / f"{i:03d}.png"), image.clip(0, 255))
            cv2.imwrite(str(folder / "labels" / f"{i:03d}.png"), label)
    return root


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("net") / "small.ckpt"
    about = {"network": "ddrnet23_slim", "arguments": ARGUMENTS, "normalisation": "imagenet"}
    save_checkpoint(path, DDRNet(**ARGUMENTS).eval(), {**about, "classes": list(CITYSCAPES_CLASSES)})
    return path


def test_from_a_checkpoint_to_guarantees(
    root: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fitted, plain, done = (str(tmp_path / name) for name in ("fitted.ckpt", "plain.onnx", "done.onnx"))
    data = ["--data", "cityscapes_small", "--root", str(root)]
    assert main(["calibrate", str(checkpoint), *data, "--scores", "sml", "--out", fitted]) == 0
    printed = capsys.readouterr().out
    assert "calibration error" in printed
    assert "of cityscapes_small/val, stored at another size and brought to 256x512" in printed
    assert "fitted sml on 6 frames of cityscapes_small/train" in printed
    assert Path(f"{fitted}.reliability.png").is_file()
    about = load_network(Path(fitted))[1]
    assert about["calibration"]["frames"] == 60
    assert about["temperature"] != 1

    assert main(["export", fitted, "--scores", "msp", "sml", "--size", "128x256", "--out", plain]) == 0
    card = read_card(plain)
    assert card.temperature == about["temperature"]
    assert "calibration error" in card.origin["temperature"]
    assert card.origin["sml"].startswith("fitted on 6 frames of cityscapes_small/train, stored at another size")
    capsys.readouterr()
    assert main(["detect", str(root), "--model", plain, "--threshold", "fpr=1%", "--out", str(tmp_path / "o")]) == 2
    assert "carries no calibration of the score 'msp'; run 'oddroad calibrate'" in capsys.readouterr().err

    assert main(["calibrate", plain, *data, "--out", done]) == 0
    printed = capsys.readouterr().out
    assert (
        printed.count("no frame of the calibration has a false alarm of 1 in 10,000 pixels or more, and at most ") == 2
    )
    assert printed.count(" in 100 frames have one, for other scenes of this place, ") == 2
    assert "95% confidence, from 60 frames of cityscapes_small/val" in printed
    about = read_card(done).calibration
    assert (about["scope"], about["of"], about["drives"], about["frames"]) == ("same-drives", "place", 1, 60)
    image = np.zeros((40, 60, 3), np.uint8)
    assert np.array_equal(Model(plain)(image), Model(done)(image))

    shown = str(root / "cityscapes_small/val/images/000.png")
    for threshold, used in (("no-alarms", read_card(done).thresholds["msp"]), ("-0.25", -0.25)):
        out = tmp_path / "seen"
        assert (
            main(["detect", shown, "--model", done, "--threshold", threshold, "--save", "masks", "--out", str(out)])
            == 0
        )
        first, *_ = (out / "detections.jsonl").read_text().splitlines()
        assert json.loads(first)["threshold"] == used
    assert "threshold msp > -0.25: a number that was given, without a guarantee" in capsys.readouterr().out
    assert main(["detect", shown, "--model", done, "--out", str(tmp_path / "x")]) == 0
    assert "threshold no-alarms: msp > " in capsys.readouterr().out
    assert main(["detect", shown, "--model", done, "--threshold", "alarms=1/1000frames", "--out", str(out)]) == 2
    assert "takes 2995 independent blocks without an alarm at 95% confidence; 1 place with 60 frames" in (
        capsys.readouterr().err
    )


def test_several_checkpoints_become_one_graph(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(1)
    about = {"network": "ddrnet23_slim", "arguments": ARGUMENTS, "normalisation": "imagenet", "temperature": 2.0}
    other, out = tmp_path / "other.ckpt", str(tmp_path / "both.onnx")
    save_checkpoint(
        other, DDRNet(**ARGUMENTS).eval(), {**about, "classes": list(CITYSCAPES_CLASSES), "temperature": 2.0}
    )
    words = ["--size", "64x128", "--out", out, "--scores", "mutual_information"]
    assert main(["export", str(checkpoint), str(other), *words]) == 0
    card = read_card(out)
    assert (card.network, card.origin["members"]) == ("ensemble", "small.ckpt, other.ckpt")
    image = np.random.default_rng(0).integers(0, 256, (64, 128, 3), dtype=np.uint8)
    logits = []
    for path, t in ((checkpoint, 1.0), (other, 2.0)):
        with torch.no_grad():
            detector = Detector(load_network(path)[0], {}).eval()
            logits.append(detector.outputs(torch.from_numpy(image)[None]).logits.double() / t)
    p = torch.stack([torch.softmax(each, 1) for each in logits])
    expected = -(p.mean(0) * p.mean(0).log()).sum(1) + (p * p.log()).sum(2).mean(0)
    heat = Model(out)(image)
    assert np.abs(heat[3::8, 3::8] - expected[0].numpy()).max() < 0.1 * expected.max()
    capsys.readouterr()
    assert main(["export", str(checkpoint), str(other), *words, "sml"]) == 2
    assert "fitted to one network; for several use mutual_information" in capsys.readouterr().err
    save_checkpoint(other, DDRNet(**ARGUMENTS).eval(), {**about, "classes": [str(i) for i in range(19)]})
    assert main(["export", str(checkpoint), str(other), *words]) == 2
    assert "classes of" in capsys.readouterr().err


def test_frames_of_ones_own(root: Path) -> None:
    folder = root / "cityscapes_small" / "val" / "images"
    known = calibration_data([str(folder)], root, "val", most=7)
    frames = list(known.frames())
    assert (known.count, known.words, len(frames)) == (7, str(folder), 7)
    assert frames[0][1:] == (None, str(folder))
    assert (known.drives, known.of) == ((str(folder),), "drive")
    every = list(calibration_data([str(folder)], root, "val").pairs())
    for image, number in ((frames[0][0], 0), (frames[3][0], 29), (frames[6][0], 59)):
        assert np.array_equal(image, every[number][0])
    assert frames[0][0].shape == (64, 64, 3)


def test_most_frames_are_spread_evenly(root: Path) -> None:
    known = calibration_data(["cityscapes_small"], root, "val", most=3)
    every = list(calibration_data(["cityscapes_small"], root, "val").frames())
    some = list(known.frames())
    assert known.count == len(some) == 3
    assert np.array_equal(some[1][0], every[29][0])
    assert np.array_equal(some[2][0], every[59][0])
    assert some[0][0].shape == (256, 512, 3)


@pytest.mark.parametrize(
    ("names", "tables", "says"),
    [
        (["road_anomaly"], None, "'road_anomaly' shows anomalies"),
        (["cityscapes_small", "drive.mp4"], None, "'drive.mp4' is no data set; give data sets, or files"),
        (
            ["camvid"],
            {"cityscapes_small": None},
            "the classes of 'camvid' are not those of the network; use one of",
        ),
        (["drive.mp4"], {}, "a checkpoint is calibrated on labels; use one of: cityscapes"),
        (["drive.mp4"], None, "no such file or folder: 'drive.mp4'"),
    ],
)
def test_other_data_are_refused(root: Path, names: list[str], tables: dict | None, says: str) -> None:
    with pytest.raises(InputError, match=says):
        calibration_data(names, root, "val", tables=tables)


def test_a_card_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    source = tmp_path / "no.onnx"
    source.write_bytes(b"not a model")
    card = Card("none", "erfnet", ("msp",), None, 1, ("road",))
    with pytest.raises(InputError, match="is no ONNX file"):
        write_card(source, card, tmp_path / "out.onnx")
    assert list(tmp_path.iterdir()) == [source]


@pytest.fixture(scope="module")
def plain(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint's file without a threshold."""
    out = tmp_path_factory.mktemp("plain") / "plain.onnx"
    assert main(["export", str(checkpoint), "--scores", "msp", "energy", "--size", "64x64", "--out", str(out)]) == 0
    return out


def test_an_interrupted_calibration_goes_on(
    plain: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["calibrate", str(plain), "--data", "cityscapes_small", "--root", str(root), "--out"]
    assert main([*words, str(tmp_path / "whole.onnx")]) == 0
    calls, maps = [], Model.maps

    def counted(self: Model, image: np.ndarray, scores: list[str]) -> dict[str, np.ndarray]:
        calls.append(1)
        if len(calls) == 41:
            raise KeyboardInterrupt
        return maps(self, image, scores)

    monkeypatch.setattr(Model, "maps", counted)
    out = tmp_path / "cut.onnx"
    assert main([*words, str(out)]) == 130
    assert not out.exists()
    kept = tmp_path / "cut.onnx.frames"
    assert len(list(kept.glob("*.npz"))) == 40
    (kept / "000007.npz").write_bytes((kept / "000007.npz").read_bytes()[:100])
    assert main([*words, str(out)]) == 0
    assert len(calls) == 41 + 21  # those that were not there, and the damaged one
    assert not kept.exists()
    one, two = (read_card(tmp_path / name).calibration for name in ("whole.onnx", "cut.onnx"))
    assert one == two


def test_kept_figures_of_something_else_are_not_used(
    plain: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, model = tmp_path / "out.onnx", Model(plain)
    data = calibration_data(["cityscapes_small"], root, "val")
    find_thresholds(model, data, ["msp"], keep=tmp_path / "kept")
    assert len(list((tmp_path / "kept").glob("*.npz"))) == 60
    monkeypatch.setattr(Model, "maps", lambda *_: 1 / 0)
    find_thresholds(model, data, ["msp"], "0.5", keep=tmp_path / "kept")  # another rule, the same figures
    image = root / "cityscapes_small/val/images/000.png"
    for change in ({"scores": ["energy"]}, {"min_area": 7}, {"most": 59}, {"touch": True}):
        scores, most = change.get("scores", ["msp"]), change.get("most")
        if change.get("touch"):
            image.touch()
        shutil.copytree(tmp_path / "kept", tmp_path / "copy")
        other = calibration_data(["cityscapes_small"], root, "val", most)
        with pytest.raises(ZeroDivisionError):
            find_thresholds(model, other, scores, min_area=change.get("min_area"), keep=tmp_path / "copy")
        shutil.rmtree(tmp_path / "copy", ignore_errors=True)
    assert not out.exists()


def test_what_is_lacking_is_said_before_the_work(
    plain: Path, checkpoint: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    for name in ("maps", "outputs"):
        monkeypatch.setattr(Model, name, lambda *_: 1 / 0)
    data = ["--data", "cityscapes_small", "--root", str(root)]
    out = ["--out", str(tmp_path / "o.onnx")]
    picture = str(root / "cityscapes_small/val/images/000.png")
    cases = [
        ([str(plain), *data, "--threshold", "tpr=95%", *out], "threshold 'tpr=95%' is not understood"),
        (
            [str(plain), *data, "--threshold", "alarms=1/1000frames", *out],
            "at most 20 independent blocks of up to 3 frames, can guarantee 14 in 100 frames at best; add at least 149",
        ),
        ([str(plain), *data, "--threshold", "alarms=1/hour", *out], "'cityscapes_small' is a data set; give videos"),
        (
            [str(plain), *data, "--threshold", "fpr=1%", *out],
            "can guarantee in 86% of frames at best; add at least 2 more places",
        ),
        ([str(plain), *data, "--scope", "new-drives", *out], "--scope new-drives with 1 place; expected two or more"),
        ([str(plain), *data, "--scope", "all", *out], "--scope is 'all'; expected new-drives or same-drives"),
        ([str(plain), "--data", *2 * data[1:2], "--root", str(root), *out], "'cityscapes_small' is given twice"),
        ([str(plain), "--data", *2 * [picture], *out], "000.png' is given twice; a drive counts once"),
        ([str(plain), *data, "--confidence", "95", *out], "--confidence is 95; expected a share"),
        ([str(plain), *data, "--min-area", "0", *out], "--min-area is 0; expected 1 pixel or more"),
        ([str(plain), *data, "--scores", "mps", *out], "did you mean 'msp'"),
        ([str(plain), *data, "--out", str(tmp_path / "no" / "o.onnx")], "there is no such folder"),
        ([str(plain), *data, "--size", "64x64", *out], "--size is for a checkpoint (.ckpt), and"),
        ([str(plain), *data, "--stride", "2", *out], "--stride is for a checkpoint"),
        ([str(checkpoint), *data, "--threshold", "fpr=1%", *out], "--threshold is for an .onnx file, and"),
        ([str(checkpoint), *data, "--confidence", "0.9", *out], "--confidence is for an .onnx file"),
        ([str(checkpoint), *data, "--min-area", "9", *out], "--min-area is for an .onnx file"),
        ([str(checkpoint), *data, "--scope", "same-drives", *out], "--scope is for an .onnx file"),
        ([str(checkpoint), *data, "--update", *out], "--update is for an .onnx file"),
        ([str(checkpoint), *data, "--scores", "slm", *out], "did you mean 'sml'"),
    ]
    for words, message in cases:
        assert main(["calibrate", *words]) == 2, words
        told = capsys.readouterr().err
        assert message in told, told
        assert told.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_a_threshold_names_calibrate_and_the_range(
    plain: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = str(root / "cityscapes_small/val/images/000.png")
    assert main(["detect", picture, "--model", str(plain), "--out", str(tmp_path / "o")]) == 2
    captured = capsys.readouterr()
    told = captured.err
    assert captured.out == ""  # nothing speaks of a threshold of the card before
    assert "plain.onnx has no threshold for score 'msp', which lies between 0." in told
    assert "on its reference picture; run 'oddroad calibrate plain.onnx --data SCENES'" in told
    assert told.count("\n") == 1


def test_damaged_frames_are_left_out(
    plain: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "drive"
    shutil.copytree(root / "cityscapes_small/val/images", folder)
    cv2.imwrite(str(folder / "zzz.png"), np.zeros((64, 64, 3), np.uint8))
    data = calibration_data([str(folder)], root, "val")
    assert len(list(data.pairs())) == 60
    assert data.damaged == ["zzz.png"]
    assert main(["calibrate", str(plain), "--data", str(folder), "--out", str(tmp_path / "o.onnx")]) == 0
    assert "left out, damaged: 1 frame, such as zzz.png" in capsys.readouterr().out
    assert read_card(tmp_path / "o.onnx").calibration["frames"] == 60


def test_an_onnx_file_is_calibrated_without_torch_and_onnx(plain: Path, root: Path, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('torch', 'onnx', 'lightning', 'scipy', 'matplotlib'):\n"
        "            raise ModuleNotFoundError(f'no {name}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from oddroad.cli.main import main\n"
        f"words = ['calibrate', {str(plain)!r}, '--data', 'cityscapes_small', '--root', {str(root)!r}]\n"
        f"sys.exit(main([*words, '--out', {str(tmp_path / 'o.onnx')!r}]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert read_card(tmp_path / "o.onnx").thresholds.keys() == {"msp", "energy"}


def clip(path: Path, seed: int, frames: int = 12, standing: bool = False) -> Path:
    """A rendered drive without an anomaly, as a video."""
    street = Street(seed, (96, 160), length=80.0, anomalies=0)
    with contextlib.closing(VideoWriter(path, 10.0)) as writer:
        for number in range(frames):
            writer.write(street.view(0.0 if standing else number * 1.4, 0.0 if standing else number / 10)[0])
    return path


def test_drives_are_what_counts(plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips = [str(clip(tmp_path / f"{seed}.mp4", seed)) for seed in (1, 2)]
    out = tmp_path / "o.onnx"
    assert main(["calibrate", str(plain), "--data", *clips, "--scores", "msp", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "at most 77.7 in 100 frames have one, for new drives like these 2, each counting alike; 95%" in printed
    assert f"from 24 frames of {clips[0]} and {clips[1]}" in printed
    about = read_card(out).calibration
    assert (about["scope"], about["of"], about["drives"], about["frames"]) == ("new-drives", "drive", 2, 24)
    words = ["calibrate", str(plain), "--data", *clips, "--scores", "msp", "--scope", "same-drives"]
    assert main([*words, "--out", str(out)]) == 0
    assert (
        " in 100 frames have one, for later parts of these 2 drives, 2 independent blocks of up to 12 frames; 95%"
        in (capsys.readouterr().out)
    )
    assert main(["detect", clips[0], "--model", str(out), "--out", str(tmp_path / "d")]) == 0
    first, *lines = (json.loads(each) for each in (tmp_path / "d/detections.jsonl").read_text().splitlines())
    assert first["threshold_meaning"] == read_card(out).threshold_meaning
    assert [each["regions"] for each in lines if each["type"] == "frame"] == [[]] * 12


def test_too_few_drives_are_said_before_or_after_the_work_and_the_figures_are_kept(
    plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    drive = str(clip(tmp_path / "a.mp4", 3, frames=24, standing=True))
    out = tmp_path / "o.onnx"
    words = ["calibrate", str(plain), "--data", drive, "--scores", "msp", "--out", str(out), "--threshold"]
    assert main([*words, "alarms=1/2frames"]) == 2  # 8 blocks would do, and it might have 8
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert (
        "takes 5 independent blocks without an alarm at 95% confidence; 1 drive with 24 frames, 1 independent block"
        in told
    )
    assert "can guarantee 95 in 100 frames at best; add 4 more drives of 24 frames, or take 'no-alarms'" in told
    assert told.endswith("the figures are kept for the same command with another threshold or scope\n")
    assert not out.exists()
    monkeypatch.setattr(Model, "maps", lambda *_: 1 / 0)
    assert main([*words, "no-alarms"]) == 0
    assert "and at most 95 in 100 frames have one, for later parts of this drive, 1 independent block of up to 24 " in (
        capsys.readouterr().out
    )
    assert main([*words, "alarms=1/20frames"]) == 2
    assert "24 frames, at most 8 independent blocks of up to 3 frames, can guarantee" in capsys.readouterr().err


def test_resumed_drives_stay_apart(plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = [str(clip(tmp_path / f"{seed}.mp4", seed, frames=6)) for seed in (1, 2)]
    words = ["calibrate", str(plain), "--data", *clips, "--out"]
    assert main([*words, str(tmp_path / "whole.onnx")]) == 0
    calls, maps = [], Model.maps

    def counted(self: Model, image: np.ndarray, scores: list[str]) -> dict[str, np.ndarray]:
        calls.append(1)
        if len(calls) == 9:
            raise KeyboardInterrupt
        return maps(self, image, scores)

    monkeypatch.setattr(Model, "maps", counted)
    assert main([*words, str(tmp_path / "cut.onnx")]) == 130
    assert main([*words, str(tmp_path / "cut.onnx")]) == 0
    assert len(calls) == 9 + 4
    one, two = (read_card(tmp_path / name).calibration for name in ("whole.onnx", "cut.onnx"))
    assert one == two
    assert one["drives"] == 2


def test_what_is_a_drive(root: Path, tmp_path: Path) -> None:
    pictures = root / "cityscapes_small/val/images"
    for name in ("a/1", "a/3", "b/2", "b/4", "b/5"):
        (tmp_path / "days" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(pictures / f"00{name[-1]}.png", tmp_path / "days" / f"{name}.png")
    clip(tmp_path / "days/c.mp4", 1, frames=9)
    data = calibration_data([str(tmp_path / "days")], root, "val", most=4)
    days = str(tmp_path / "days")
    assert data.drives == (f"{days}/a", f"{days}/b", f"{days}/c.mp4")
    assert [drive[len(days) + 1 :] for _, _, drive in data.frames()] == ["a"] * 2 + ["b"] * 3 + ["c.mp4"] * 3
    assert data.count == 8  # of the video every third
    every = [image for image, _ in calibration_data([f"{days}/c.mp4"], root, "val").pairs()]
    some = [image for image, _, drive in data.frames() if drive.endswith("mp4")]
    assert all(np.array_equal(image, every[3 * number]) for number, image in enumerate(some))


@pytest.mark.parametrize(
    ("name", "image", "sequence", "place"),
    [
        ("cityscapes", "leftImg8bit/val/frankfurt/frankfurt_0_1_leftImg8bit.png", "", "cityscapes/frankfurt"),
        ("idd_lite", "leftImg8bit/val/472/frame7_image.jpg", "", "idd_lite/472"),
        ("camvid", "camvid/val/images/0016E5_07959.jpg", "", "camvid/0016E5"),
        ("cityscapes_small", "val/images/001.jpg", "", "cityscapes_small"),
        ("cityscapes", "a/b/c.png", "drive7", "cityscapes/drive7"),
    ],
)
def test_the_place_of_a_scene(name: str, image: str, sequence: str, place: str) -> None:
    assert place_of(name, Sample("x", Path(image), None, np.zeros(256, np.uint8), sequence=sequence)) == place


def test_copies_and_drives_without_a_frame_are_left_out(
    plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = clip(tmp_path / "a.mp4", 1)
    shutil.copy(one, tmp_path / "copy.mp4")
    (tmp_path / "dark").mkdir()
    cv2.imwrite(str(tmp_path / "dark/1.png"), np.zeros((64, 64, 3), np.uint8))
    data = [str(one), str(tmp_path / "copy.mp4"), str(tmp_path / "dark")]
    out = str(tmp_path / "o.onnx")
    assert main(["calibrate", str(plain), "--data", *data, "--out", out]) == 0
    printed = capsys.readouterr().out
    assert f"left out: '{data[1]}' is frame by frame the same as '{data[0]}'" in printed
    assert f"left out: '{data[2]}' holds no frame that could be judged" in printed
    assert "for later parts of this drive" in printed
    assert read_card(out).calibration["drives"] == 1
    assert main(["calibrate", str(plain), "--data", data[2], "--out", out]) == 2
    assert "no frame with a valid pixel was found; pass drives without an anomaly" in capsys.readouterr().err


def test_topics_of_a_log_are_one_drive_and_passwords_are_not_shown() -> None:
    left, right = (Source("log", "drive.mcap", f"drive.mcap/{side}", topic=side) for side in ("left", "right"))
    assert drive_of(left) == drive_of(right) == (str(Path("drive.mcap").resolve()), "drive.mcap")
    one, two = (Source("image", f"{folder}/1.png", "1.png") for folder in ("a/images", "b/images"))
    assert (drive_of(one)[1], drive_of(two)[1]) == ("a/images", "b/images")
    key, shown = drive_of(Source("stream", "rtsp://user:secret@camera/1", "camera"))
    assert "secret" in key
    assert "secret" not in shown


def test_recent_drives_are_added_and_drift_is_tested_against_them(
    plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = [str(clip(tmp_path / f"{seed}.mp4", seed)) for seed in (1, 2, 3)]
    one, two, whole = (str(tmp_path / name) for name in ("one.onnx", "two.onnx", "whole.onnx"))
    words = ["--scores", "msp", "--out"]
    assert main(["calibrate", str(plain), "--data", clips[0], *words, one]) == 0
    assert main(["calibrate", str(plain), "--data", *clips, *words, whole]) == 0
    capsys.readouterr()
    assert main(["calibrate", one, "--update", "--data", *clips[1:], "--out", two]) == 0
    printed = capsys.readouterr().out
    assert "for new drives like these 3, each counting alike; 95% confidence, from 36 frames of " in printed
    assert "drives 1 until now, 3 from now on" in printed
    assert not Path(f"{two}.frames").exists()
    about, expected = (read_card(path).calibration["scores"]["msp"] for path in (two, whole))
    for key in ("units", "alarms", "fpr", "drift"):
        assert about[key] == expected[key]
    assert read_card(two).thresholds["msp"] == read_card(whole).thresholds["msp"]

    assert main(["detect", clips[0], "--model", two, "--out", str(tmp_path / "d")]) == 0
    last = json.loads((tmp_path / "d/detections.jsonl").read_text().splitlines()[-1])
    assert (last["drift"]["state"], last["drift"]["units"], last["drift"]["against"]) == ("undecided", 1, 3)
    assert main(["detect", clips[0], "--model", one, "--out", str(tmp_path / "d")]) == 0
    assert "drift NOT tested: the calibration's only drive is too short to tell" in capsys.readouterr().out

    for given, message in (
        ([one, "--data", clips[0]], "that the calibration does not hold already"),
        ([one, "--data", clips[1], "--scores", "energy"], "--scores cannot change with --update"),
        ([one, "--data", clips[1], "--min-area", "9"], "--min-area cannot change with --update"),
        ([str(plain), "--data", clips[1]], "is not calibrated, so there is nothing to update"),
    ):
        assert main(["calibrate", *given, "--update", "--out", str(tmp_path / "no.onnx")]) == 2
        told = capsys.readouterr().err
        assert message in told
        assert told.count("\n") == 1
    assert not (tmp_path / "no.onnx").exists()


@pytest.mark.parametrize(("small", "words"), [(0, ""), (1, "1 of 5 frames is"), (3, "3 of 5 frames are")])
def test_pictures_that_the_detector_enlarges_are_said(
    plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], small: int, words: str
) -> None:
    draw, drives = np.random.default_rng(0), tmp_path / "drive"
    drives.mkdir()
    for number in range(5):
        image = draw.integers(0, 256, (64, 60 if number < small else 64, 3)).astype(np.uint8)
        cv2.imwrite(str(drives / f"{number}.png"), image)
    assert main(["calibrate", str(plain), "--data", str(drives), "--out", str(tmp_path / "o.onnx")]) == 0
    printed = capsys.readouterr().out
    assert ("sharper camera" in printed) == bool(small)
    assert not words or f"{words} smaller than the 64x64 that the detector sees: a sharper camera" in printed
