"""Evaluation: figures against scikit-learn, protocols, parts, interruptions, saved maps, and what is said in words."""

import json

import cv2
import h5py
import numpy as np
import pytest
from golden import DATA, needs_data
from sklearn.metrics import average_precision_score, confusion_matrix, roc_curve

from oddroad import InputError
from oddroad.card import Card
from oddroad.cli.main import main
from oddroad.datasets import DATASETS, read_label
from oddroad.evaluation.evaluate import evaluate, plain
from oddroad.evaluation.figures import NO_INFORMATION
from oddroad.evaluation.predictors import Predictor, open_predictor
from oddroad.evaluation.terminal import print_results
from oddroad.evaluation.workers import Settings
from oddroad.metrics import ComponentMetric, ObjectMetric

SIZE = 60, 80
DRAW = np.random.default_rng(0)
LABELS = [
    np.kron(DRAW.choice([0, 1, 255], p=p, size=(6, 8)), np.ones((10, 10))).astype(np.uint8)
    for p in ([0.6, 0.3, 0.1],) * 5
]
LABELS[3][LABELS[3] == 1] = 0
MAPS = [(DRAW.normal(size=SIZE) + 1.5 * (label == 1)).astype(np.float32) for label in LABELS]


@pytest.fixture
def home(tmp_path):
    """A set of one's own in ``set`` and two scores of saved maps in ``maps``."""
    for folder in ("set/images", "set/masks", "maps/folder/good", "maps/folder/noise"):
        (tmp_path / folder).mkdir(parents=True)
    for number, (label, heat) in enumerate(zip(LABELS, MAPS, strict=True)):
        image = np.dstack([label, label, np.full(SIZE, number, np.uint8)])
        cv2.imwrite(str(tmp_path / f"set/images/f{number}.png"), image)
        cv2.imwrite(str(tmp_path / f"set/masks/f{number}.png"), label)
        np.save(tmp_path / f"maps/folder/good/f{number}.npy", heat)
        np.save(tmp_path / f"maps/folder/noise/f{number}.npy", -heat)
    return tmp_path


def run(home, **changes):
    settings = Settings(**{"model": str(home / "maps"), "work": home / "work", **changes})
    return {each["score"]: each for each in evaluate(settings, ["folder"], home / "set")}


def pooled(labels, maps):
    keep = np.concatenate([label.ravel() != 255 for label in labels])
    return np.concatenate([each.ravel() for each in labels])[keep] == 1, np.concatenate([m.ravel() for m in maps])[keep]


def expect(result, labels, maps, **tolerance):
    odd, scores = pooled(labels, maps)
    fpr, tpr, _ = roc_curve(odd, scores, drop_intermediate=False)
    assert result["ap"] == pytest.approx(average_precision_score(odd, scores), **tolerance)
    assert result["fpr95"] == pytest.approx(fpr[np.argmax(tpr >= 0.95)], **tolerance)
    assert result["prevalence"] == pytest.approx(odd.mean())


@pytest.mark.parametrize("exact", [False, True])
def test_native_figures_of_saved_maps(home, exact):
    results = run(home, exact=exact)
    assert list(results) == ["good", "noise"]
    expect(results["good"], LABELS, MAPS)
    expect(results["noise"], LABELS, [-each for each in MAPS])
    assert results["noise"]["notes"] == [NO_INFORMATION]
    assert results["good"]["notes"] == []
    components = ComponentMetric(results["good"]["threshold"], *DATASETS["folder"].min_sizes)
    for heat, label in zip(MAPS, LABELS, strict=True):
        components.add(heat, label)
    for figure in ("siou", "ppv", "f1_star"):
        assert results["good"][figure] == pytest.approx(components.result()[figure])
    assert [each["name"] for each in results["good"]["frames"]] == [f"f{number}" for number in range(5)]


def test_network_protocol_resizes_labels_by_nearest_and_leaves_out_empty_frames(home):
    result = run(home, protocol="network", size=(30, 40))["good"]
    used = [0, 1, 2, 4]
    labels = [LABELS[at][1::2, 1::2] for at in used]
    maps = [cv2.resize(MAPS[at], (40, 30), interpolation=cv2.INTER_LINEAR) for at in used]
    expect(result, labels, maps)
    assert (result["images"], result["judged_images"], result["input_size"]) == (5, 4, "30x40")


def test_maps_of_another_size_are_enlarged_to_the_label(home):
    small = [cv2.resize(each, (40, 30), interpolation=cv2.INTER_AREA) for each in MAPS]
    for number, heat in enumerate(small):
        np.save(home / f"maps/folder/good/f{number}.npy", heat)
    expect(run(home)["good"], LABELS, [cv2.resize(each, (80, 60), interpolation=cv2.INTER_LINEAR) for each in small])


def test_workers_merge_to_the_same_figures(home):
    alone, shared = run(home), run(home, workers=2)
    for score, result in alone.items():
        for name in set(result) - {"seconds"}:
            assert plain(shared[score][name]) == plain(result[name]), name


def test_hdf5_maps_of_the_smiyc_kit(tmp_path):
    for folder in (
        "data/dataset_AnomalyTrack/images",
        "data/dataset_AnomalyTrack/labels_masks",
        "method/AnomalyTrack-all",
    ):
        (tmp_path / folder).mkdir(parents=True)
    for number in range(2):
        stem = f"validation{number:04d}"
        cv2.imwrite(str(tmp_path / f"data/dataset_AnomalyTrack/images/{stem}.jpg"), LABELS[number])
        cv2.imwrite(
            str(tmp_path / f"data/dataset_AnomalyTrack/labels_masks/{stem}_labels_semantic.png"), LABELS[number]
        )
        with h5py.File(tmp_path / f"method/AnomalyTrack-all/{stem}.hdf5", "w") as opened:
            opened["value"] = MAPS[number].astype(np.float16)
    (result,) = evaluate(Settings(str(tmp_path / "method")), ["road_anomaly21"], tmp_path / "data")
    expect(result, LABELS[:2], [each.astype(np.float16).astype(np.float32) for each in MAPS[:2]])
    assert result["score"] == "method"
    assert result["notes"][0] == "2 of 10 images: incomplete"
    assert not result["complete"]


CALLS = []


def open_fake(model, scores, threads):
    """A model that looks its answer up by the number in the image, and may fail once."""

    def maps(dataset, sample, image):
        CALLS.append(sample.name)
        if len(CALLS) == int(model or 0):
            raise KeyboardInterrupt
        assert image.dtype == np.uint8
        return {"good": MAPS[int(image[0, 0, 0])]}

    def classes(image):
        heat = MAPS[int(image[0, 0, 0])]
        return (heat > 0).astype(np.uint8), np.full(heat.shape, 0.75, np.float32)

    card = Card("fake", "none", ("good",), None, 1, ("a", "b"), thresholds={"good": 0.5})
    return Predictor("fake", "f" * 64, ("good",), maps, classes, ("a", "b"), card)


def test_an_interrupted_run_goes_on(home):
    CALLS.clear()
    with pytest.raises(KeyboardInterrupt):
        run(home, model="3", opener=open_fake)
    assert CALLS == ["f0", "f1", "f2"]
    result = run(home, model="0", opener=open_fake)["good"]
    assert CALLS == ["f0", "f1", "f2", "f2", "f3", "f4"]
    assert result["notes"] == ["went on from an interrupted run; the seconds do not count its frames"]
    expect(result, LABELS, MAPS)
    assert not (home / "work").exists()
    run(home, model="0", opener=open_fake)
    assert len(CALLS) == 11


def test_the_deployed_threshold_is_judged_too(home):
    CALLS.clear()
    result = run(home, model="0", opener=open_fake)["good"]
    components = ComponentMetric(0.5, *DATASETS["folder"].min_sizes)
    for heat, label in zip(MAPS, LABELS, strict=True):
        components.add(heat, label)
    deployed = result["deployed"]
    lacking = deployed.pop("no_interval")
    assert set(lacking) == {"object_recall", "frames_with_false_alarm"}
    for figure, (low, high) in deployed.pop("intervals").items():
        assert figure in lacking or low < deployed[figure] < high
    assert deployed.pop("left_out")["units"] == [f"f{number}" for number in range(5)]
    objects = {name: deployed.pop(name) for name in ObjectMetric().result()}
    assert (objects["object_recall"], objects["frames_with_false_alarm"]) == (1, 1)
    sizes = deployed.pop("recall_by_size")
    assert sum(each["objects"] for each in sizes) == sum(each["found"] for each in sizes) == objects["objects"]
    assert deployed == {"threshold": 0.5, **components.result()}
    assert run(home, model="0", opener=open_fake, threshold="0.0")["good"]["deployed"]["threshold"] == 0


def test_known_classes(home, monkeypatch):
    entry = DATASETS["folder"]
    monkeypatch.setitem(DATASETS, "folder", type(entry)(entry.load, "", "semantic", {"": 9}, ("a", "b")))
    (result,) = run(home, model="0", opener=open_fake).values()
    odd, scores = pooled(LABELS, MAPS)
    (right, wrong), (missed, hit) = confusion_matrix(odd, scores > 0)
    assert result["iou"]["b"] == pytest.approx(hit / (hit + wrong + missed))
    assert result["accuracy"] == pytest.approx((hit + right) / odd.size)
    assert result["ece"] == pytest.approx(abs(result["accuracy"] - 0.75))
    assert result["notes"] == ["5 of 9 images: incomplete"]
    monkeypatch.setitem(DATASETS, "folder", type(entry)(entry.load, "", "semantic", {}, ("c", "d")))
    with pytest.raises(InputError, match=r"fake knows 2 classes \(a, b\) and folder 2 others"):
        run(home, model="0", opener=open_fake)
    with pytest.raises(InputError, match="maps gives no classes"):
        run(home)


def test_the_command_writes_json_and_a_table(home, capsys):
    out = home / "results.json"
    words = ["evaluate", str(home / "maps"), "--data", "folder", "--root", str(home / "set"), "--json", str(out)]
    assert main([*words, "--scores", "noise"]) == 0
    (result,) = json.loads(out.read_text())["results"]
    odd, scores = pooled(LABELS, MAPS)
    assert result["ap"] == pytest.approx(average_precision_score(odd, -scores))
    wanted = "dataset score ap fpr95 auroc f1 threshold prevalence siou ppv f1_star images input_size protocol"
    assert {*wanted.split(), "model_hash", "versions", "seconds"} <= set(result)
    said = capsys.readouterr().out
    assert f"folder noise: {NO_INFORMATION}" in said
    assert f"{100 * result['ap']:.2f} [" in said
    picture = cv2.imread(str(home / "results.frames/folder/f0.noise.png"), cv2.IMREAD_UNCHANGED)
    assert picture.shape == (360, 480)
    assert cv2.imread(str(home / "results.frames/folder/f0.truth.png"), cv2.IMREAD_UNCHANGED).max() == 255


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--scores", "godo"], "no score in"),
        (["--data", "foldr"], "did you mean 'folder'"),
        (["--size", "12"], "size '12'"),
    ],
)
def test_mistakes_are_one_line(home, capsys, words, message):
    given = ["evaluate", str(home / "maps"), "--data", "folder", "--root", str(home / "set"), *words]
    assert main(given) == 2
    assert message in capsys.readouterr().err


def test_broken_maps_are_named(home):
    heat = MAPS[1].copy()
    heat[0, 0] = np.nan
    np.save(home / "maps/folder/good/f1.npy", heat)
    with pytest.raises(InputError, match="frame 'f1' holds 1 NaN"):
        run(home, scores=("good",))
    np.save(home / "maps/folder/good/f1.npy", np.zeros((2, 2, 2)))
    with pytest.raises(InputError, match=r"f1.npy' holds float64 of shape \(2, 2, 2\)"):
        run(home, scores=("good",))
    (home / "maps/folder/good/f1.npy").unlink()
    with pytest.raises(InputError, match="no map of frame 'f1' of folder"):
        run(home, scores=("good",))
    with pytest.raises(InputError, match="holds no maps"):
        open_predictor(str(home / "set"))


def test_a_set_without_anomalies_is_refused(home):
    for path in (home / "set/masks").iterdir():
        cv2.imwrite(str(path), np.zeros(SIZE, np.uint8))
    with pytest.raises(InputError, match="no label of folder holds an anomaly pixel"):
        run(home)


def test_intervals_hold_the_figures_and_take_frames_of_a_drive_as_one(home, capsys):
    alone = run(home)["good"]
    assert alone["left_out"]["units"] == [f"f{number}" for number in range(5)]
    assert alone["left_out"]["of"] == "images"
    one_image = "all anomalies, all predictions or all other pixels are in one image or sequence"
    same = "it is the same whichever image is left out, so nothing tells how it varies"
    assert alone["no_interval"] == {
        "ppv": one_image, "f1_star": one_image, "object_recall": same, "frames_with_false_alarm": same,
    }  # fmt: skip
    for figure, (low, high) in alone["intervals"].items():
        most = np.inf if figure == "false_alarms_per_frame" else 1
        assert (figure in alone["no_interval"] and np.isnan(low)) or 0 < low < alone[figure] < high < most, figure
    assert set(alone["intervals"]) == {
        "ap", "fpr95", "auroc", "f1", "siou", "ppv", "f1_star", "object_recall", "false_alarms_per_frame",
        "frames_with_false_alarm",
    }  # fmt: skip
    (home / "set/sequences.json").write_text('{"drive": ["f0", "f1", "f3"]}')
    result = run(home)["good"]
    assert result["left_out"]["units"] == ["drive", "f2", "f4"]
    rest = [number for number in range(5) if number not in (0, 1, 3)]
    odd, scores = pooled([LABELS[at] for at in rest], [MAPS[at] for at in rest])
    assert result["left_out"]["figures"]["ap"][0] == pytest.approx(average_precision_score(odd, scores), abs=1e-3)
    assert result["left_out"]["degrees"]["ap"] <= 2 < alone["left_out"]["degrees"]["ap"]
    print_results([result])
    said = capsys.readouterr().out
    assert "[95 % interval over sequences]" in said
    low, high = result["intervals"]["fpr95"]
    assert f"{100 * result['fpr95']:.2f} [{100 * low:.1f}, {100 * high:.1f}]" in said
    (home / "set/sequences.json").write_text('{"drive": ["f0", "f1", "f2", "f3", "f4"]}')
    result = run(home)["good"]
    assert result["notes"] == ["no interval of AP and FPR95: there is one image or sequence only"]
    assert np.isnan(result["intervals"]["ap"]).all()
    assert set(result["no_interval"]) == set(alone["intervals"])
    without = run(home, intervals=False)["good"]
    assert not {"intervals", "left_out", "no_interval"} & set(without)


def test_an_undefined_figure_is_a_dash(capsys):
    result = {"dataset": "a", "score": "b", "images": 1, "input_size": "own", "protocol": "native", "notes": []}
    print_results([{**result, "ap": 0.5, "siou": None}])
    row = capsys.readouterr().out.splitlines()[3].split()
    assert row == ["a", "b", "1", "own", "50.00", *"-" * 7]


@needs_data
def test_real_labels_with_themselves_as_maps_are_perfect(tmp_path):
    samples = DATASETS["fishyscapes_lost_and_found"].load(DATA, "val")
    for sample in samples:
        np.save(tmp_path / f"{sample.name}.npy", (read_label(sample) == 1).astype(np.float32))
    (result,) = evaluate(Settings(str(tmp_path)), ["fishyscapes_lost_and_found"], DATA)
    assert (result["ap"], result["fpr95"], result["f1"], result["f1_star"]) == (1, 0, 1, 1)
    assert result["notes"] == [
        "5 of 100 images: incomplete",
        "no interval of AP and FPR95: it is the same whichever image is left out, so nothing tells how it varies",
    ]
