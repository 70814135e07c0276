"""'oddroad calibrate' from a checkpoint to a detector whose thresholds promise something, and 'detect' using them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from oddroad.calibration.data import calibration_data
from oddroad.calibration.fit import write_card
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


def test_from_a_checkpoint_to_promises(
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
    assert printed.count("at most 0.01 of the known pixels of a frame lie above, in 95% of frames; 95% confidence") == 2
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
        assert json.loads((out / "detections.jsonl").read_text())["threshold"] == used
    assert "threshold msp > -0.25: a number that was given, without a promise" in capsys.readouterr().out
    assert main(["detect", shown, "--model", done, "--out", str(tmp_path / "x")]) == 0
    assert "threshold fpr=1%; 95% confidence, from 60 frames of cityscapes_small/val" in capsys.readouterr().out
    assert main(["detect", shown, "--model", done, "--threshold", "alarms=1/1000frames", "--out", str(out)]) == 2
    assert "60 frames cannot promise" in capsys.readouterr().err


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


def test_known_frames_of_ones_own(root: Path) -> None:
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
        (["road_anomaly"], None, "'road_anomaly' shows odd objects"),
        (["cityscapes_small", "drive.mp4"], None, "'drive.mp4' is no data set; give data sets, or files"),
        (
            ["camvid"],
            {"cityscapes_small": None},
            "the classes of 'camvid' are not those of the network; use one of",
        ),
        (["drive.mp4"], {}, "a checkpoint learns from labels; use one of: cityscapes"),
        (["drive.mp4"], None, "no such file or folder: 'drive.mp4'"),
    ],
)
def test_what_is_no_known_data_is_refused(root: Path, names: list[str], tables: dict | None, says: str) -> None:
    with pytest.raises(InputError, match=says):
        calibration_data(names, root, "val", tables=tables)


def test_a_card_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    source = tmp_path / "no.onnx"
    source.write_bytes(b"not a model")
    with pytest.raises(Exception, match="Error parsing message"):
        write_card(source, None, tmp_path / "out.onnx")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == [source]
