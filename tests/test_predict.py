"""A checkpoint under evaluation: its maps are the detector's, its classes those of the logits."""

import cv2
import numpy as np
import pytest
import torch

from oddroad.evaluate import evaluate
from oddroad.learn.checkpoint import save_checkpoint
from oddroad.learn.detector import Detector
from oddroad.learn.networks import NETWORKS
from oddroad.learn.predict import open_checkpoint
from oddroad.learn.scores import SCORES
from oddroad.metrics import SemanticMetric
from oddroad.passes import Settings
from oddroad.predict import sha256_of
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
