"""What an evaluation says and refuses: labels, options, thresholds, and the range of its pictures."""

import json

import cv2
import numpy as np
import pytest
from own_set import judge, write_set

from oddroad import InputError
from oddroad.calibration.thresholds import threshold_for
from oddroad.card import Card
from oddroad.cli.main import main
from oddroad.datasets import DATASETS
from oddroad.evaluation.predictors import Predictor
from oddroad.inference.model import read_card
from oddroad.learn.data.scenes import Sample
from oddroad.types import CITYSCAPES_CLASSES


def relabel(root, change):
    """Change all masks of a set."""
    for path in (root / "masks").iterdir():
        cv2.imwrite(str(path), change(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)))


def test_masks_of_0_and_255_are_refused_with_the_line_that_maps_them(tmp_path):
    wanted = write_set(tmp_path)
    relabel(tmp_path, lambda label: 255 * label)
    with pytest.raises(InputError) as error:
        judge(tmp_path)
    said = str(error.value)
    assert said.startswith("no label of folder holds an anomaly pixel; nothing can be judged: the labels hold 0 (")
    assert "in-distribution), 255 (5 %, not judged)" in said
    line = said[said.index("{") :]
    assert json.loads(line) == {"known": [0], "anomaly": [255]}
    (tmp_path / "classes.json").write_text(line)
    assert judge(tmp_path)["ap"] == pytest.approx(wanted)


def test_masks_of_anomalies_alone_are_refused(tmp_path):
    write_set(tmp_path)
    relabel(tmp_path, np.ones_like)
    with pytest.raises(InputError, match=r"holds an in-distribution pixel, all valid ones are anomalies.*1 \(100 %"):
        judge(tmp_path)
    relabel(tmp_path, lambda label: np.full_like(label, 7))
    with pytest.raises(InputError, match=r"an anomaly pixel.*7 \(100 %, not judged\): a single value"):
        judge(tmp_path)


def test_frames_in_which_nothing_or_everything_is_anomalous_and_values_without_meaning_are_said(tmp_path):
    write_set(tmp_path, frames=4)
    masks = tmp_path / "masks"
    cv2.imwrite(str(masks / "1.png"), np.full((12, 20), 255, np.uint8))
    cv2.imwrite(str(masks / "2.png"), np.ones((12, 20), np.uint8))
    label = cv2.imread(str(masks / "3.png"), cv2.IMREAD_UNCHANGED)
    label[0] = 38
    cv2.imwrite(str(masks / "3.png"), label)
    (masks / "4.png").write_bytes((masks / "3.png").read_bytes())
    notes = judge(tmp_path)["notes"]
    assert notes[0] == "1 label left out, no image to this label (4.png)"
    assert notes[1].startswith("no valid pixel in 1 of 4 frames (1); the labels hold 0 (")
    assert notes[2].startswith("nothing but anomalies in 1 of 4 frames (2); ")
    assert notes[3].startswith("values that are not judged: ")
    assert "38 (2.08 %, not judged)" in notes[3]
    (tmp_path / "classes.json").write_text('{"known": [0], "anomaly": [1]}')
    assert len(judge(tmp_path)["notes"]) == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--size", "6x10"], "--size does nothing for saved maps"),
        (["--size", "any"], "--size any says nothing"),
        (["--flip-tta"], "--flip-tta is for a checkpoint"),
        (["--workers", "0"], "--workers 0; expected 1 or more"),
        (["--threshold", "fpr=0.1%"], "threshold 'fpr=0.1%': only a calibrated .onnx file knows its false alarms"),
        (["--threshold", "nan"], "threshold 'nan'"),
        (["--threshold", "high"], "threshold 'high'"),
        (["--plugin", "mine.py"], "no plugin 'mine.py'"),
    ],
)
def test_options_that_do_nothing_or_mean_nothing_are_refused(tmp_path, capsys, words, message):
    write_set(tmp_path)
    given = ["evaluate", str(tmp_path / "maps"), "--data", "folder", "--root", str(tmp_path), *words]
    assert main(given) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--threshold", "0.5"], ["--exact"], ["--scores", "msp"]])
def test_options_of_scores_do_nothing_for_sets_of_classes(tmp_path, capsys, words):
    for kind, pixels in (("images", np.zeros((8, 8, 3), np.uint8)), ("labels", np.zeros((8, 8), np.uint8))):
        (tmp_path / "camvid/test" / kind).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "camvid/test" / kind / "1.png"), pixels)
    assert main(["evaluate", "default", "--data", "camvid", "--root", str(tmp_path), *words]) == 2
    assert f"{words[0]} does nothing for sets of classes" in capsys.readouterr().err


def test_the_threshold_language(tmp_path):
    write_set(tmp_path)
    card = read_card("default")
    score = card.scores[0]

    def opened(model, scores, threads):
        def maps(dataset: str, sample: Sample, image: np.ndarray) -> dict[str, np.ndarray]:
            return {score: np.load(tmp_path / f"maps/{sample.name}.npy")}

        return Predictor("fake", "f" * 64, (score,), maps, card=card)

    for text in ("no-alarms", "alarms=1/2frames", "1.25"):
        wanted = threshold_for(card, text, score).value
        assert judge(tmp_path, opener=opened, threshold=text)["deployed"]["threshold"] == pytest.approx(wanted)
    with pytest.raises(InputError, match="threshold 'fp=1' is not understood; expected a number, 'no-alarms'"):
        judge(tmp_path, opener=opened, threshold="fp=1")


def test_pictures_have_one_range_for_all_frames(tmp_path):
    write_set(tmp_path, frames=3)
    maps = [np.load(tmp_path / f"maps/{number}.npy") + 3 * number for number in range(3)]
    for number, heat in enumerate(maps):
        np.save(tmp_path / f"maps/{number}.npy", heat)
    folder = tmp_path / "r.frames/folder"
    folder.mkdir(parents=True)
    (folder / "old.maps.png").write_bytes(b"")
    (folder / "notes.txt").write_text("")
    judge(tmp_path, pictures=tmp_path / "r.frames", exact=True)
    assert not (folder / "old.maps.png").exists()
    assert (folder / "notes.txt").exists()
    values = np.sort(np.concatenate([heat.ravel() for heat in maps]))
    low, high = values[int(0.05 * len(values))], values[int(0.999 * len(values))]
    for number, heat in enumerate(maps):
        level = ((heat - low) / (high - low)).clip(0, 1).astype(np.float32)
        wanted = 255 * cv2.resize(level, (480, 288), interpolation=cv2.INTER_AREA)
        drawn = cv2.imread(str(folder / f"{number}.maps.png"), cv2.IMREAD_UNCHANGED)
        assert np.abs(drawn - wanted).max() <= 0.51
    assert {each.suffix for each in folder.iterdir()} == {".png", ".jpg", ".txt"}


def test_a_split_that_is_not_the_usual_one_has_pictures_of_its_own(tmp_path):
    for split in ("", "day", "night"):
        write_set(tmp_path / split)
    given = [
        "evaluate",
        str(tmp_path / "maps"),
        "--data",
        "folder",
        "folder:day",
        "folder:night",
        "--root",
        str(tmp_path),
    ]
    assert main([*given, "--json", str(tmp_path / "r.json")]) == 0
    results = json.loads((tmp_path / "r.json").read_text())["results"]
    assert [each["frames_folder"] for each in results] == ["folder", "folder.day", "folder.night"]
    assert all((tmp_path / "r.frames" / each["frames_folder"] / "0.maps.png").is_file() for each in results)


def test_errors_of_the_engine_are_not_taken_for_a_missing_output(tmp_path, monkeypatch):
    from oddroad.evaluation import predictors

    class Broken:
        def __init__(self, *given, **more):
            self.path, self.sha256, self.scores = tmp_path / "m.onnx", "0" * 64, ("msp",)
            self.card = Card("m", "none", ("msp",), None, 1, CITYSCAPES_CLASSES)
            self.engine, self.precision, self.output_names = "onnxruntime", "float32", ("msp", "classes")

        def outputs(self, image, names):
            raise RuntimeError("the engine is out of memory")

    monkeypatch.setattr(predictors, "Model", Broken)
    predictor = predictors.open_onnx("m.onnx", (), 1)
    with pytest.raises(RuntimeError, match="out of memory"):
        predictor.classes(np.zeros((4, 4, 3), np.uint8))


def test_every_loader_may_return_a_plain_list(tmp_path, monkeypatch):
    write_set(tmp_path)
    entry = DATASETS["folder"]
    plain = type(entry)(lambda root, split: list(entry.load(root, split)), "")
    monkeypatch.setitem(DATASETS, "folder", plain)
    assert judge(tmp_path)["notes"] == []
