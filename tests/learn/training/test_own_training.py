"""From a folder of images and masks to a calibrated detector: every step that a user takes, in small."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from own_drives import MAP, write_drives

from oddroad.cli.main import main
from oddroad.inference.model import read_card
from oddroad.learn.checkpoints.format import read_checkpoint
from oddroad.learn.data.crops import Crops
from oddroad.learn.data.cutouts import CutOut
from oddroad.learn.data.objects import relabelled
from oddroad.learn.training import claim
from oddroad.recipe import Outliers, Recipe, Scenes
from oddroad.types import IGNORE, OUTLIER

RECIPE = {
    "network": {"name": "erfnet_lite", "auxiliary": False},
    "scenes": {
        "sets": ["mine"], "validation": ["mine"], "crop": [64, 128], "scale": [0.3, 0.5], "appearance": 1.0,
        "class_balance": 0.5,
    },
    "outliers": {"objects": {"things": 1.0}, "validation": {"others": 1.0}, "probability": 1.0},
    "class_weights": {"rule": "enet"},
    "losses": {"cross_entropy": 1.0, "outlier_head": 1.0},
    "optim": {"steps": 2, "warmup": 1, "batch": 2, "precision": "fp32", "ema": 0.5},
}  # fmt: skip


def write_objects(folder: Path, kind: str) -> None:
    """Two cut-outs."""
    folder.mkdir()
    for number in range(2):
        picture = np.full((20, 20, 4), 200, np.uint8)
        picture[:5, :5, 3] = 0
        assert cv2.imwrite(str(folder / f"{kind}-{number}.png"), picture)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with a set, objects, a recipe, and a finished run."""
    root = tmp_path_factory.mktemp("own")
    write_drives(root / "mine")
    write_objects(root / "things", "sofa")
    write_objects(root / "others", "chair")
    (root / "mine.yaml").write_text(yaml.safe_dump(RECIPE))
    given = ["--root", str(root), "--out", str(root / "run"), "--validate-every", "2"]
    assert main(["train", "--recipe", str(root / "mine.yaml"), *given]) == 0
    return root


def test_the_checkpoint_knows_the_classes_and_validation_judged_them(trained: Path) -> None:
    about = read_checkpoint(trained / "run" / "model.ckpt")[1]
    assert about["classes"] == ["road", "car", "tree"]
    assert about["recipe"]["network"]["classes"] == 3
    figures = {line.split(",")[1] for line in (trained / "run/log/metrics.csv").read_text().splitlines()}
    assert {"miou", "ap_outlier_head", "fpr95_outlier_head"} <= figures


def test_export_calibrate_evaluate(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, calibrated, judged = trained / "mine.onnx", trained / "mine_calibrated.onnx", trained / "mine.json"
    given = ["--scores", "outlier_head", "--size", "32x64", "--classes", "--out", str(model)]
    assert main(["export", str(trained / "run" / "model.ckpt"), *given]) == 0
    assert read_card(model).classes == ("road", "car", "tree")
    images = [str(trained / "mine" / "images" / each) for each in "abc"]
    assert main(["calibrate", str(model), "--data", *images, "--out", str(calibrated)]) == 0
    assert read_card(calibrated).thresholds
    given = ["--data", "mine:val", "--root", str(trained), "--json", str(judged)]
    assert main(["evaluate", str(calibrated), *given]) == 0
    (result,) = json.loads(judged.read_text())["results"]
    assert set(result["iou"]) == {"road", "car", "tree"}
    assert result["images"] == 2
    capsys.readouterr()


def test_a_map_that_lacks_a_value_stops_before_training(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_drives(trained / "lacking", text="classes: {road: 7, car: 26}\nignore: 0")
    given = ["--recipe", str(trained / "mine.yaml"), "--root", str(trained), "--out", str(trained / "none")]
    more = ["--recipe.scenes.sets", "lacking", "--recipe.scenes.validation", "lacking"]
    assert main(["train", *given, *more]) == 2
    said = capsys.readouterr().err
    assert "does not name: 21 (4 masks)" in said
    assert said.count("\n") == 1
    assert not (trained / "none").exists()


def test_other_classes_are_another_run(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_drives(
        trained / "four", text=MAP.replace("outlier: 50", "outlier: 50").replace("car: 26", "car: 26, van: 27")
    )
    given = ["--recipe", str(trained / "mine.yaml"), "--root", str(trained), "--out", str(trained / "run")]
    more = ["--recipe.scenes.sets", "four", "--recipe.scenes.validation", "four"]
    assert main(["train", *given, *more]) == 2
    assert "holds another run" in capsys.readouterr().err
    assert main(["train", *given, "--recipe.scenes.validation", "four"]) == 2
    assert "'mine' and 'four' have different classes" in capsys.readouterr().err
    assert main(["train", *given, "--recipe.network.classes", "5"]) == 2
    assert "network.classes is 5, and the class map has 3 classes" in capsys.readouterr().err


def test_a_run_of_before_a_key_existed_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mine = claim.Claim.of(Recipe(), None, (), None, "data")
    held = mine.plain()
    del held["recipe"]["outliers"]["validation"]
    monkeypatch.setattr(claim, "claimed", lambda out: held)
    assert claim.check_claim(tmp_path, mine, 0) == []
    held = mine.plain()
    held["recipe"]["outliers"]["validation"] = [["mine", 1.0]]
    with pytest.raises(ValueError, match=r"outliers\.validation is"):
        claim.check_claim(tmp_path, mine, 0)


def test_objects_take_the_classes_of_the_map(tmp_path: Path) -> None:
    image, alpha = np.zeros((4, 4, 3), np.uint8), np.ones((4, 4), np.float32)
    here = {"road": 0, "car": 1, "dog": 2}
    labels = {
        kind: relabelled(CutOut(image, alpha, label, kind), here).label
        for kind, label in (("car", 13), ("bus", 15), ("dog", OUTLIER), ("chair", OUTLIER))
    }
    assert labels == {"car": 1, "bus": IGNORE, "dog": 2, "chair": OUTLIER}
    write_drives(tmp_path / "mine", text=MAP.replace("tree", "sofa"))
    write_objects(tmp_path / "things", "sofa")
    with pytest.raises(ValueError, match="no objects below"):  # a sofa is a class here, and never pasted as an outlier
        Crops(tmp_path, Scenes(sets=("mine",)), Outliers(objects=(("things", 1.0),)), 1, 0)


def test_outliers_of_the_masks_are_taught(tmp_path: Path) -> None:
    write_drives(
        tmp_path / "mine", text=MAP.replace("tree: 21", "wood: 99").replace("outlier: 50", "outlier: [50, 21]")
    )
    nothing = Outliers(probability=0, in_distribution=0)
    crops = Crops(tmp_path, Scenes(sets=("mine",), crop=(32, 64), scale=(0.125, 0.13)), nothing, 4, 0)
    assert any((crops[at][1] == OUTLIER).any() for at in range(4))
