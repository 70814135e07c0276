"""'oddroad calibrate' from a checkpoint to a detector with guaranteed rates, and 'detect' using them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from oddroad.calibration.data import calibration_data
from oddroad.calibration.fit import find_thresholds, write_card
from oddroad.card import Card
from oddroad.cli.main import main
from oddroad.errors import InputError
from oddroad.inference.model import Model, read_card
from oddroad.learn.checkpoints.format import load_network, save_checkpoint
from oddroad.learn.detector import Detector
from oddroad.learn.networks.ddrnet import DDRNet
from oddroad.types import CITYSCAPES_CLASSES

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

    assert main(["calibrate", plain, *data, "--threshold", "fpr=1%", "--out", done]) == 0
    printed = capsys.readouterr().out
    assert (
        printed.count(
            "at most 0.01 of the in-distribution pixels of a frame lie above, in 95% of frames; 95% confidence"
        )
        == 2
    )
    assert "from 60 frames of cityscapes_small/val" in printed
    image = np.zeros((40, 60, 3), np.uint8)
    assert np.array_equal(Model(plain)(image), Model(done)(image))

    shown = str(root / "cityscapes_small/val/images/000.png")
    for threshold, used in (("fpr=1%", read_card(done).thresholds["msp"]), ("-0.25", -0.25)):
        out = tmp_path / "seen"
        assert (
            main(["detect", shown, "--model", done, "--threshold", threshold, "--save", "masks", "--out", str(out)])
            == 0
        )
        first, *_ = (out / "detections.jsonl").read_text().splitlines()
        assert json.loads(first)["threshold"] == used
    assert "threshold msp > -0.25: a number that was given, without a guarantee" in capsys.readouterr().out
    assert main(["detect", shown, "--model", done, "--out", str(tmp_path / "x")]) == 0
    assert "threshold fpr=1%; 95% confidence, from 60 frames of cityscapes_small/val" in capsys.readouterr().out
    assert main(["detect", shown, "--model", done, "--threshold", "alarms=1/1000frames", "--out", str(out)]) == 2
    assert "60 frames cannot guarantee" in capsys.readouterr().err


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
    assert frames[0][1] is None
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
    find_thresholds(model, data, ["msp"], "alarms=1/10frames", keep=tmp_path / "kept")  # another rule, the same figures
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
    cases = [
        ([str(plain), *data, "--threshold", "tpr=95%", *out], "threshold 'tpr=95%' is not understood"),
        ([str(plain), *data, "--threshold", "alarms=1/1000frames", *out], "which 60 frames cannot guarantee"),
        ([str(plain), *data, "--threshold", "alarms=1/hour", *out], "needs to know the frames per second"),
        ([str(plain), *data, "--max-frames", "20", *out], "20 frames with valid pixels cannot guarantee"),
        ([str(plain), *data, "--confidence", "95", *out], "--confidence is 95; expected a share"),
        ([str(plain), *data, "--min-area", "0", *out], "--min-area is 0; expected 1 pixel or more"),
        ([str(plain), *data, "--scores", "mps", *out], "did you mean 'msp'"),
        ([str(plain), *data, "--out", str(tmp_path / "no" / "o.onnx")], "there is no such folder"),
        ([str(plain), *data, "--size", "64x64", *out], "--size is for a checkpoint (.ckpt), and"),
        ([str(plain), *data, "--stride", "2", *out], "--stride is for a checkpoint"),
        ([str(checkpoint), *data, "--threshold", "fpr=1%", *out], "--threshold is for an .onnx file, and"),
        ([str(checkpoint), *data, "--confidence", "0.9", *out], "--confidence is for an .onnx file"),
        ([str(checkpoint), *data, "--min-area", "9", *out], "--min-area is for an .onnx file"),
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
    told = capsys.readouterr().err
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
    assert len(list(data.frames())) == 60
    assert data.damaged == ["zzz.png"]
    assert main(["calibrate", str(plain), "--data", str(folder), "--out", str(tmp_path / "o.onnx")]) == 0
    assert "left out, damaged: 1 frames, such as zzz.png" in capsys.readouterr().out
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
