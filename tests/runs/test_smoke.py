"""The scripts in runs/ on a few rendered scenes and tiny networks: they run to their end and write what they shall."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from fabricated import training_root

from oddroad.cli.main import main
from oddroad.inference.model import Model, read_card
from oddroad.io.video_writer import VideoWriter
from oddroad.learn.checkpoints.format import load_network, read_checkpoint, save_checkpoint
from oddroad.learn.data.scenes import SceneList
from oddroad.learn.networks import NETWORKS
from oddroad.learn.training.fit import fit
from oddroad.recipe import Network, Optimiser, Outliers, Recipe, Scenes
from oddroad.synthetic.scenes import Street
from oddroad.types import CITYSCAPES_CLASSES

RUNS = Path(__file__).resolve().parents[2] / "runs"


def load(name: str) -> ModuleType:
    """A script as a module."""
    spec = importlib.util.spec_from_file_location(f"smoke_{name.removesuffix('.py')}", RUNS / name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def run(name: str, *words: object, **changes: object) -> None:
    """Run a script in this process, some of its names replaced."""
    before, path = sys.argv, list(sys.path)
    sys.argv, sys.path[:0] = [name, *map(str, words)], [str(RUNS)]
    try:
        script = load(name)
        for key, value in changes.items():
            setattr(script, key, value)
        script.main()
    finally:
        sys.argv, sys.path[:] = before, path


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Training sets, the two full-size scenes that embedded_choose.py reads, and Road Anomaly with two frames."""
    root = training_root(tmp_path_factory.mktemp("data"), 2)
    from oddroad.synthetic.scenes import Street

    for number in range(2):
        image, _ = Street(2, (64, 128), anomalies=1).view(3.0 * number)
        place = root / "RoadAnomaly_jpg" / "frames"
        (place / f"{number}.labels").mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place / f"{number}.jpg"), image[..., ::-1])
        label = np.zeros((64, 128), np.uint8)
        label[40:50, 60:80] = 2
        cv2.imwrite(str(place / f"{number}.labels" / "labels_semantic.png"), label)
    (root / "RoadAnomaly_jpg" / "frame_list.json").write_text(json.dumps(["0.jpg", "1.jpg"]))
    return root


RECIPE = Recipe(
    network=Network("erfnet_lite", normalisation="unit"),
    scenes=Scenes(("cityscapes_small", "camvid"), (32, 64), (0.2, 0.5), validation=("camvid",)),
    outliers=Outliers(probability=0.5),
    optim=Optimiser(steps=2, warmup=1, batch=2, precision="fp32", ema=0.5),
    losses=(("cross_entropy", 1.0), ("outlier_head", 1.0)),
)


@pytest.fixture(scope="module")
def trained(root: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs of the embedded network."""
    out = tmp_path_factory.mktemp("runs")
    return [fit(replace(RECIPE, seed=seed), root, out / str(seed), 1, validation_scenes=1) for seed in (1, 2)]


def test_the_embedded_detector_from_runs_to_its_card(trained: list[Path], root: Path, tmp_path: Path) -> None:
    mean, choice, plain, done = (tmp_path / name for name in ("mean.ckpt", "choice.json", "plain.onnx", "done.onnx"))
    run("embedded_average.py", root, mean, *trained, "--shares", 0.25, 0.75, "--crops", 4)
    state, about = read_checkpoint(mean)
    one, two = (read_checkpoint(each)[0] for each in trained)
    key = next(key for key, each in state.items() if each.is_floating_point() and each.ndim == 4)
    assert np.allclose(state[key], 0.25 * one[key] + 0.75 * two[key], atol=1e-6)
    assert [each["share"] for each in about["origin"]["average"]] == [0.25, 0.75]
    sharp = SceneList(root, ("camvid",), "val", 1)
    words = [mean, root, "--size", "64x128", "--scenes", 1, "--frames", 1, "--json", choice]
    run("embedded_choose.py", *words, sharp_scenes=lambda _: sharp)
    chosen = json.loads(choice.read_text())
    assert {"small", "sharp", "far", "weather", "rendered", "small road"} <= chosen["sets"].keys()
    assert 0 <= chosen["sets"]["small"]["miou"] <= 1
    figures = {"ap": 0.5, "fpr95": 0.2}
    sets = {kind: {"images": 2, "miou": 0.3, "outlier_head": figures} for kind in ("small", "sharp", "rendered")}
    choice.write_text(json.dumps({"size": "64x128", "sets": sets}))
    words = ["--size", "64x128", "--name", "tiny", "--scores", "outlier_head"]
    run("embedded_export.py", mean, choice, plain, *words)
    card = read_card(plain)
    assert (card.name, card.weight_storage, card.precision) == ("tiny", "int8", "float32")
    assert "AP 50.0, FPR95 20.0" in str(card.measured)
    assert Model(plain).outputs(np.zeros((64, 128, 3), np.uint8), ["classes"])["classes"].shape == (64, 128)
    shutil.copy(plain, done)
    results = tmp_path / "results.json"
    row = {"dataset": "road_anomaly", "images": 2, "protocol": "native", "score": "outlier_head", "prevalence": 0.1}
    known = {"dataset": "camvid", "images": 2, "protocol": "native", "miou": 0.4}
    results.write_text(json.dumps({"results": [{**row, **figures, "f1_star": 0.1}, known]}))
    run("embedded_card.py", done, results)
    assert read_card(done).measured["road_anomaly (2 images, native)"] == {
        "outlier_head": "AP 50.0, FPR95 20.0, F1* 10.0"
    }
    run("embedded_curves.py", tmp_path / "curves.png", trained[0].parent, "--seeds", trained[1].parent)
    assert (tmp_path / "curves.png").is_file()


def test_the_spared_blocks(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "erfnet.ckpt"
    about = {"network": "erfnet", "arguments": {"classes": 20}, "normalisation": "unit"}
    save_checkpoint(path, NETWORKS["erfnet"](classes=20), {**about, "classes": list(CITYSCAPES_CLASSES)})
    script = load("embedded_spared.py")
    images, labels = script.scenes(root, 1)
    assert images[0].shape == (1, 3, *script.SIZE)
    assert 0 <= script.mean_iou(load_network(path)[0], images, labels) <= 100


def test_the_start_and_the_subsets_of_the_mask_study(root: Path, tmp_path: Path) -> None:
    start = tmp_path / "ddrnet.ckpt"
    about = {"network": "ddrnet23_slim", "arguments": {}, "normalisation": "imagenet"}
    save_checkpoint(start, NETWORKS["ddrnet23_slim"](), {**about, "classes": list(CITYSCAPES_CLASSES)})
    for name in ("mask2anomaly_small", "ddrnet23_slim"):
        run("mask2anomaly_start.py", start, name, tmp_path / f"{name}.start.ckpt")
        assert read_checkpoint(tmp_path / f"{name}.start.ckpt")[1]["network"] == name
    run("mask2anomaly_subsets.py", root, tmp_path / "data")
    assert {"coco_s1", "coco_s2"} <= {each.name for each in (tmp_path / "data").iterdir()}


@pytest.mark.slow
def test_random_networks_for_timing_and_their_int8_form(root: Path, tmp_path: Path) -> None:
    run("speed.py", "random", tmp_path, "ddrnet23_slim")
    words = ["--scores", "msp", "--size", "64x128", "--out", str(tmp_path / "a.onnx")]
    assert main(["export", str(tmp_path / "ddrnet23_slim.ckpt"), *words]) == 0
    run("speed.py", "quantise", tmp_path / "a.onnx", tmp_path / "a.int8.onnx", root)
    assert read_card(tmp_path / "a.int8.onnx").precision == "int8"


def test_the_tables_of_the_loss_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("loss_study_tables.py", RUNS / "loss_study")
    said = capsys.readouterr().out
    assert said.startswith("Every row and seed is there.")
    assert "| --- |" in said
    run("loss_study_figures.py", RUNS / "loss_study", "--out", tmp_path)
    assert len(list(tmp_path.glob("*.png"))) >= 3


def test_the_tables_of_a_part_of_the_loss_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "long"
    folder.mkdir()
    for name in ("ce_0", "eiml_0", "eiml_1"):
        shutil.copy(RUNS / "loss_study" / f"{name}.json", folder)
    run("loss_study_tables.py", folder)
    said = capsys.readouterr().out
    assert said.startswith("Missing: CE, seed 1, 2; LN, seed 0, 1, 2; LN + CE,")
    assert "; EIML, seed 2; " in said
    assert "ERFNet, seed 0, 1, 2; " in said
    assert "EIML + 0.25 FL, seed 0" in said


def test_the_long_loss_study_goes_on_and_stops(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, results = tmp_path / "out", tmp_path / "results"
    out.mkdir()
    about = {"network": "erfnet", "arguments": {"classes": 20}, "normalisation": "unit"}
    save_checkpoint(out / "erfnet.ckpt", NETWORKS["erfnet"](classes=20), {**about, "classes": list(CITYSCAPES_CLASSES)})
    tiny = "{scenes.crop: [32, 64], scenes.scale: [0.2, 0.3], optim.steps: 5, optim.batch: 1, optim.warmup: 1}"
    alone = ["--seeds", 0, "--void", "--sweep", "--rows", "eiml", "--every", 1, "--images", 2]
    words = [root, out, results, *alone, "--changes", tiny]
    run("loss_study_long.py", *words, "--minutes", 1e-9, SETS=("road_anomaly",))
    said = capsys.readouterr().out
    assert "crops a second" in said
    assert "1 of 1 runs are left" in said
    assert "goes on from here" in said
    assert not results.exists()
    run("loss_study_long.py", *words, SETS=("road_anomaly",))
    found = json.loads((results / "eiml_0.json").read_text())
    lines = (results / "eiml_0.csv").read_text().splitlines()
    curve = [float(each.split(",")[2]) for each in lines if ",miou," in each]
    assert found["length"]["steps"] == len(curve) == (4 if found["length"]["stopped_early"] else 5)
    assert found["length"]["kept_miou"] == pytest.approx(max(curve))
    assert curve[found["length"]["kept_step"] - 1] == max(curve)
    assert {each["dataset"] for each in found["results"]} == {"cityscapes_small", "road_anomaly"}
    assert {each["row"] for each in found["results"]} == {"EIML"}
    weights = out / "eiml" / "0" / "model.ckpt"
    assert read_checkpoint(weights)[1]["origin"]["step"] == found["length"]["kept_step"]
    capsys.readouterr()
    run("loss_study_long.py", *words, SETS=("road_anomaly",))
    assert "0 of 1 runs are left" in capsys.readouterr().out


def test_the_comparison_of_all_methods(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(RUNS))
    import comparison_judge

    monkeypatch.setattr(comparison_judge, "SIZE", (64, 128))
    some = {"A": "msp", "B": "msp fitted", "C": "sml", "D": "odin", "E": "dropout"}
    monkeypatch.setitem(comparison_judge.METHODS, "closed", some)
    out, results = tmp_path / "out", tmp_path / "results"
    out.mkdir()
    about = {"network": "erfnet", "arguments": {"classes": 20}, "normalisation": "unit"}
    save_checkpoint(out / "erfnet.ckpt", NETWORKS["erfnet"](classes=20), {**about, "classes": list(CITYSCAPES_CLASSES)})
    tiny = "{scenes.crop: [32, 64], scenes.scale: [0.2, 0.3], optim.steps: 1, optim.batch: 1}"
    words = [root, out, results, "--seeds", 0, 1, "--networks", "closed", "maximised_entropy", "--sets", "road_anomaly"]
    words += ["--scenes", 1, "--fits", 1, "--changes", tiny, "--extra", f"Again={out}/closed/1/model.ckpt:msp"]
    run("comparison.py", *words)
    files = {each.name: json.loads(each.read_text())["results"] for each in results.iterdir()}
    assert set(files) == {
        *("closed_0.json", "closed_1.json", "maximised_entropy_0.json", "maximised_entropy_1.json"),
        *("ensemble_0.json", "again_0.json"),
    }
    first = {each["method"]: each for each in files["closed_1.json"]}
    assert set(first) == set(some)
    for each in first.values():
        assert each["protocol"] == "native"
        assert each["training_hours"] > 0
        assert each["milliseconds"] > 0
    assert first["A"]["f1_star"] is not None
    assert files["again_0.json"][0]["ap"] == first["A"]["ap"]  # the same weights and score, with no shared features
    assert len({each["ap"] for each in first.values()}) > 2
    assert read_checkpoint(out / "maximised_entropy" / "0" / "model.ckpt")[1]["origin"]["init_from"] == "model.ckpt"
    assert files["maximised_entropy_0.json"][0]["training_hours"] > files["closed_0.json"][0]["training_hours"]
    capsys.readouterr()
    run("comparison.py", *words)
    assert capsys.readouterr().out == ""
    with pytest.raises(SystemExit, match="expected TITLE=CHECKPOINT:SCORE"):
        run("comparison.py", *words, "--extra", "nonsense")


def test_the_meta_classifier_tells_false_alarms() -> None:
    study = load("comparison_meta.py")
    rng = np.random.default_rng(0)

    def picture() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        heat, anomaly = rng.uniform(0, 0.2, (40, 60)).astype(np.float32), np.zeros((40, 60), bool)
        heat[3:5, 5:45] = 0.9  # a long thin thing in the sky
        heat[25:33, 20:30] = 0.8
        anomaly[25:33, 20:30] = True
        return heat, np.where(np.arange(40)[:, None] < 15, 10, 0).repeat(60, 1), anomaly

    meta = study.MetaClassifier.fit([picture() for _ in range(6)], 0.5)
    assert meta.fitted_on == (12, 6)
    heat, classes, anomaly = picture()
    found = meta(heat, classes)
    assert np.array_equal(found[anomaly], heat[anomaly])
    assert found[3:5, 5:45].max() < 0.45
    assert np.array_equal(found[heat < 0.5], heat[heat < 0.5])
    nothing = study.MetaClassifier.fit([(heat, classes, np.ones_like(anomaly))], 0.5)
    assert np.array_equal(nothing(heat, classes), heat)  # all real: nothing can be told apart


def test_the_supplements_video(tmp_path: Path) -> None:
    words = ["default", "default", "--names", "one", "two", "--frames", 2, "--out", tmp_path]
    run("supplement_video.py", *words, WIDTH=320)
    figures = json.loads((tmp_path / "rendered.json").read_text())
    assert figures["frames"] == 2
    assert figures["one"] == figures["two"]
    assert 0 < figures["one"]["prevalence"] < 1
    still = cv2.imread(str(tmp_path / "rendered.jpg"))
    assert still.shape == (360, 640, 3)
    seen, orange = still[180:, 320:].reshape(-1, 3).astype(int), np.array([0, 140, 255])
    assert (np.abs(seen - orange).sum(1) < 150).any()  # the truth, in the last panel
    run("supplement_video.py", *words, "--video", tmp_path / "rendered.mp4", WIDTH=320)
    assert json.loads((tmp_path / "rendered.json").read_text()) == {"frames": 2}


def test_when_a_long_run_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(RUNS))
    study = load("loss_study_long.py")
    assert not study.ended({}, 10)
    assert not study.ended({1: 0.1, 2: 0.2, 3: 0.2, 4: 0.2}, 10)
    assert study.ended({1: 0.1, 2: 0.2, 3: 0.2, 4: 0.2, 5: 0.201}, 10)
    assert not study.ended({1: 0.1, 2: 0.2, 3: 0.2, 4: 0.2, 5: 0.203}, 10)
    assert study.ended({5: 0.1, 10: 0.2}, 10)


def test_the_benchmarks_measure_something(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path("..") / "benchmarks"
    run(str(folder / "roofline.py"), "--size", "32x64", "--seconds", "0.01", "--networks", "enet")
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["roofline_bound"]["enet"]["gflop"] > 0
    # a loader's process would be forked from one that pytest-xdist speaks to, which takes its end for the other's
    alone = ["--workers", "0", "--json", tmp_path / "t.json"]
    tiny = ["--networks", "enet", "--size", "32x64", "--batch", "1", "--repeats", "1", *alone]
    run(str(folder / "training.py"), "--root", root, *tiny)
    assert (tmp_path / "t.json").is_file()


def test_the_coverage_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = tmp_path / "clip.mp4"
    street = Street(1, (90, 160), length=80.0, anomalies=0)
    with contextlib.closing(VideoWriter(clip, 10.0)) as writer:
        for number in range(8):
            writer.write(street.view(number * 1.4, number / 10)[0])
    done = tmp_path / "coverage.json"
    words = ["--times", 3, "--drives", 1, 5, "--frames", 40, "--rates", 0.5, "--rendered", 6, "--clips", clip]
    short = {"rendered_levels": lambda seed: np.random.default_rng(seed).normal(size=10)}
    run("coverage_study.py", *words, "--json", done, **short)
    rows = json.loads(done.read_text())
    assert {(each["drives"], each["scope"]) for each in rows} == {
        (1, "same-drives"), (5, "same-drives"), (5, "new-drives"), (1, "the other drives"), (5, "the other drives"),
        (1, "all later parts"),
    }  # fmt: skip
    assert all(
        0 <= failed <= given <= 1 for each in rows for failed, given in (each["over frames"], each["over drives"])
    )
    assert len(capsys.readouterr().out.splitlines()) == len(rows) + 2


def test_the_study_of_event_intervals() -> None:
    study = load("event_intervals.py")
    found = study.coverage(6, 60, rare=False)
    assert all(held > 0.8 and has > 0.9 for held, has in found.values())
    assert study.coverage(3, 20, rare=True)["false_alarms_per_hour"][1] < 0.9


def test_the_levels_of_a_rendered_drive() -> None:
    assert load("coverage_study.py").rendered_levels(3, frames=2).shape == (2,)


def test_the_drift_study(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    done, cache = tmp_path / "drift.json", tmp_path / "cache"
    words = ["--times", 1, "--frames", 1200, "--drives", 3, "--others", 0, "--json", done]
    run("drift_study.py", *words, CALM=300)
    rows = json.loads(done.read_text())
    assert [each["series"] for each in rows[:4]] == ["AR, time 5", "AR, time 40", "AR, time 200", "regimes"]
    assert [each["tested"] for each in rows[:3]] == [1, 0, 0]  # from 1200 frames the slow ones cannot be told
    assert {"drives", "false", "delay"} <= rows[-1].keys()
    monkeypatch.syspath_prepend(str(RUNS))
    study = load("drift_study.py")
    monkeypatch.setattr(study, "SIZE", (64, 96))
    world = study.Rendered(cache)
    values = world.frames(3, 2, 2, "night", 3, 1)
    assert values.shape == (2, 11)
    assert values[1, 0] < 0.6 * values[0, 0]
    assert np.array_equal(study.Rendered(cache).frames(3, 2, 2, "night", 3, 1), values)
    calm = [np.tile(np.arange(11.0), (40, 1)) + number for number in range(3)]
    reference = study.drift_reference([study.DriveStatistics("", each, 0.1, True) for each in calm])
    assert study.drives_to_alarm(reference, [calm[0] + 50 + number for number in range(20)]) is not None
    assert study.drives_to_alarm(reference, calm) is None
