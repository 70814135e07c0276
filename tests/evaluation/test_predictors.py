"""A checkpoint under evaluation: its maps are the detector's, its classes those of the logits."""

import re

import cv2
import numpy as np
import pytest
import torch
from onnx import TensorProto, helper

from oddroad import InputError
from oddroad.card import Card
from oddroad.datasets import DATASETS
from oddroad.evaluation.evaluate import evaluate
from oddroad.evaluation.workers import Settings
from oddroad.files import sha256_of
from oddroad.inference.integrity import with_card
from oddroad.learn.checkpoints.format import save_checkpoint
from oddroad.learn.detector import Detector
from oddroad.learn.networks import NETWORKS
from oddroad.learn.predictor import flip_tta_cost, open_checkpoint
from oddroad.learn.scores import SCORES
from oddroad.metrics import SemanticMetric
from oddroad.types import CITYSCAPES_CLASSES


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A random network and a small Cityscapes of two frames."""
    home = tmp_path_factory.mktemp("home")
    torch.manual_seed(0)
    network = NETWORKS["ddrnet23_slim"](classes=19).eval()
    about = {
        "network": "ddrnet23_slim",
        "arguments": {"classes": 19},
        "classes": CITYSCAPES_CLASSES,
        "temperature": 2.0,
    }
    save_checkpoint(home / "net.ckpt", network, {**about, "normalisation": "unit"})
    draw = np.random.default_rng(0)
    for folder in ("images", "labels"):
        (home / "cityscapes_small/val" / folder).mkdir(parents=True)
    for number in range(2):
        image = np.kron(draw.integers(0, 256, (8, 8, 3)), np.ones((32, 32, 1))).astype(np.uint8)
        cv2.imwrite(str(home / f"cityscapes_small/val/images/{number}.jpg"), image)
        label = np.kron(draw.integers(0, 19, (8, 8)), np.ones((32, 32))).astype(np.uint8)
        cv2.imwrite(str(home / f"cityscapes_small/val/labels/{number}.png"), label)
    return home, network


def test_maps_are_those_of_the_detector(home):
    folder, network = home
    image = np.random.default_rng(1).integers(0, 256, (70, 90, 3)).astype(np.uint8)
    predictor = open_checkpoint(str(folder / "net.ckpt"), ("msp", "entropy"))
    table = {name: SCORES[name] for name in ("msp", "entropy")}
    with torch.inference_mode():
        wanted = Detector(network, table, "unit", temperature=2.0)(torch.from_numpy(image)[None])
    found = predictor.maps("", None, image)
    for name, each in zip(("msp", "entropy"), wanted, strict=True):
        np.testing.assert_allclose(found[name], each[0].numpy(), atol=1e-5)
    assert predictor.sha256 == sha256_of(folder / "net.ckpt")


def test_flip_tta_says_what_it_costs(home, capsys):
    folder, network = home
    image = np.random.default_rng(1).integers(0, 256, (70, 90, 3)).astype(np.uint8)
    predictor = open_checkpoint(str(folder / "net.ckpt"), ("entropy",), flip_tta=True)
    table = {"entropy": SCORES["entropy"]}
    with torch.inference_mode():
        wanted = Detector(network, table, "unit", temperature=2.0, flip_tta=True)(torch.from_numpy(image)[None])
    for _ in range(2):
        np.testing.assert_allclose(predictor.maps("", None, image)["entropy"], wanted[0][0].numpy(), atol=1e-5)
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert re.fullmatch(r"flip TTA: \d+ ms a frame instead of \d+, \d\.\d times", told[0])
    assert predictor.about["flip_tta"] == "averaged"


@pytest.mark.parametrize("flip_tta", [False, True])
def test_measuring_the_cost_of_flip_tta_leaves_the_detector_as_it_was(home, flip_tta):
    detector = Detector(home[1], {"msp": SCORES["msp"]}, "unit", flip_tta=flip_tta)
    flip_tta_cost(detector, torch.zeros(1, 32, 32, 3, dtype=torch.uint8))
    assert detector.flip_tta is flip_tta


def test_miou_of_a_checkpoint(home):
    folder, network = home
    settings = Settings(str(folder / "net.ckpt"), opener=open_checkpoint)
    (result,) = evaluate(settings, ["cityscapes_small"], folder)
    predictor, metric = open_checkpoint(str(folder / "net.ckpt")), SemanticMetric(19)
    for number in range(2):
        bgr = cv2.imread(str(folder / f"cityscapes_small/val/images/{number}.jpg"))
        image = cv2.resize(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), (512, 256), interpolation=cv2.INTER_LINEAR)
        label = cv2.imread(str(folder / f"cityscapes_small/val/labels/{number}.png"), cv2.IMREAD_UNCHANGED)
        with torch.inference_mode():
            outputs = network(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)
            logits = torch.nn.functional.interpolate(outputs.logits / 2, size=(256, 512), mode="bilinear")
            sure, likely = logits.softmax(1).max(1)
        metric.add(likely[0].numpy(), label.repeat(2, axis=1), sure[0].numpy())
        classes, confidence = predictor.classes(image)
        assert (classes == likely[0].numpy()).mean() > 0.999
        np.testing.assert_allclose(confidence, sure[0].numpy(), atol=1e-4)
    assert result["miou"] == pytest.approx(metric.result()["miou"], abs=1e-3)
    assert result["ece"] == pytest.approx(metric.result()["ece"], abs=1e-3)
    assert result["notes"] == ["2 of 500 images: incomplete"]


def write_onnx(path, outputs):
    """A detector whose msp is the darkness of a pixel, and which sees class 1 where a pixel is not black."""
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, "h", "w", 3])
    kinds = {"msp": TensorProto.FLOAT, "classes": TensorProto.UINT8}
    maps = [helper.make_tensor_value_info(name, kinds[name], [1, "h", "w"]) for name in outputs]
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "axis"], ["mean"], keepdims=0),
        helper.make_node("Div", ["mean", "white"], ["light"]),
        helper.make_node("Sub", ["one", "light"], ["msp"]),
        helper.make_node("Greater", ["light", "grey"], ["odd"]),
        helper.make_node("Cast", ["odd"], ["classes"], to=TensorProto.UINT8),
    ]
    values = [helper.make_tensor("axis", TensorProto.INT64, [1], [3])] + [
        helper.make_tensor(name, TensorProto.FLOAT, [], [value])
        for name, value in (("white", 255), ("one", 1), ("grey", 0.5))
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "g", [image], maps, values), opset_imports=[helper.make_opsetid("", 18)]
    )
    model.ir_version = 9
    card = Card("tiny", "none", ("msp",), None, 1, ("dark", "light"), thresholds={"msp": 0.25})
    path.write_bytes(with_card(model.SerializeToString(), card))
    return str(path)


def test_an_exported_file(tmp_path, monkeypatch):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    image = np.uint8([[0, 51, 204, 255]] * 4)
    cv2.imwrite(str(tmp_path / "images/a.png"), cv2.merge([image] * 3))
    cv2.imwrite(str(tmp_path / "masks/a.png"), np.uint8([[1, 1, 0, 1]] * 4))
    model = write_onnx(tmp_path / "tiny.onnx", ("msp", "classes"))
    settings = Settings(model, work=tmp_path / "work")
    (result,) = evaluate(settings, ["folder"], tmp_path)
    assert result["ap"] == pytest.approx((1 / 3) * (1 + 1 + 3 / 4))
    assert result["model_hash"] == sha256_of(tmp_path / "tiny.onnx")
    assert result["deployed"]["threshold"] == 0.25
    entry = DATASETS["folder"]
    monkeypatch.setitem(DATASETS, "folder", type(entry)(entry.load, "", "semantic", {}, ("dark", "light")))
    (result,) = evaluate(settings, ["folder"], tmp_path)
    assert result["accuracy"] == 1 / 4
    assert result["ece"] == pytest.approx((0.2 + 0.8) / 4, abs=1e-6)
    without = write_onnx(tmp_path / "without.onnx", ("msp",))
    with pytest.raises(InputError, match=r"has no output 'classes'.*export it with --classes, or pass the checkpoint"):
        list(evaluate(Settings(without), ["folder"], tmp_path))
