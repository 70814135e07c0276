"""Image Resynthesis, SynthCP and SynBoost as networks around a network: outputs, files, training in two stages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from oddroad.errors import InputError
from oddroad.learn.checkpoints.format import load_network, read_checkpoint, save_checkpoint
from oddroad.learn.export.onnx import export
from oddroad.learn.losses import LOSSES
from oddroad.learn.networks import NETWORKS
from oddroad.learn.networks.resynthesised import METHODS
from oddroad.learn.outputs import Outputs
from oddroad.learn.predictor import open_checkpoint
from oddroad.learn.resynthesis.generator import one_hot
from oddroad.learn.scores import SCORES
from oddroad.learn.tensor_ops import resize
from oddroad.learn.training.fit import fit
from oddroad.learn.training.resynthesis import ComparisonTraining, GeneratorTraining
from oddroad.recipe import Network, Optimiser, Outliers, Recipe, Resynthesis, Scenes
from oddroad.reporting.learning_curves import PLACE
from oddroad.types import CITYSCAPES_CLASSES, Sample

SMALL = {"size": [32, 64], "width": 2}


def small(method: str, **arguments: object) -> nn.Module:
    """A method around a small random ERFNet, with statistics of batch norm that neither vanish nor explode."""
    torch.manual_seed(0)
    network = NETWORKS[method](**{"closed_set": "erfnet_lite", "classes": 4, **SMALL, **arguments})
    network.train()
    with torch.no_grad():
        for _ in range(3):
            network.judged(
                torch.rand(2, 3, 32, 64),
                one_hot(torch.randint(4, (2, 32, 64)), 4),
                network.inner(torch.rand(2, 3, 64, 64)),
            )
    return network.eval()


@pytest.mark.parametrize("method", METHODS)
def test_the_verdict_lies_over_the_closed_sets_outputs(method: str) -> None:
    network = small(method)
    images = torch.rand(2, 3, 50, 70)
    with torch.inference_mode():
        outputs, inner = network(images), network.network(images)
    assert torch.equal(outputs.logits, inner.logits)
    assert outputs.anomaly.shape == outputs.logits[:, 0].shape
    assert outputs.anomaly.min() >= 0
    assert outputs.anomaly.max() <= (2 if method == "synthcp" else 1)
    assert torch.equal(SCORES["resynthesis"](outputs), outputs.anomaly)
    if method == "synthcp":
        assert outputs.failure.shape == outputs.anomaly.shape
        assert outputs.iou.shape == (2, 4)
        assert torch.equal(SCORES["failure"](outputs), outputs.failure)
    else:
        assert torch.isfinite(outputs.outlier).all()


def test_a_plain_network_has_no_verdict() -> None:
    outputs = Outputs(torch.zeros(1, 3, 2, 2))
    for name, message in (("resynthesis", "image_resynthesis, synthcp or synboost"), ("failure", "synthcp")):
        with pytest.raises(InputError, match=message):
            SCORES[name](outputs)


def test_synthcp_trusts_a_sure_closed_set_network() -> None:
    network = small("synthcp")
    rgb, classes = torch.rand(1, 3, 32, 64), one_hot(torch.zeros(1, 32, 64, dtype=torch.int64), 4)
    logits = torch.zeros(1, 4, 32, 64)
    logits[:, 1, :, :32] = 20.0
    with torch.inference_mode():
        found = network.judged(rgb, classes, Outputs(logits)).anomaly
        distance = resize(network.distance(rgb, network.synthesis(classes))[:, None], (32, 64))[:, 0]
        none = network.distance(rgb, rgb)
    assert float(found[..., :32].max()) < 1e-6
    assert torch.equal(found[..., 32:], distance[..., 32:])
    assert ((none < 1e-5) | (none == 1)).all()  # the same picture is at no distance from itself, if it has features
    assert float(none.min()) < 1e-5


def test_synboost_joins_its_maps_by_the_weights() -> None:
    network = small("synboost")
    rgb, classes = torch.rand(1, 3, 32, 64), one_hot(torch.randint(4, (1, 32, 64)), 4)
    outputs = Outputs(torch.randn(1, 4, 32, 64))
    with torch.inference_mode():
        for number in range(4):
            network.weights.copy_(torch.eye(4)[number])
            _, maps = network.maps(rgb, classes, outputs)
            assert torch.allclose(network.judged(rgb, classes, outputs).anomaly, maps[:, number])
            assert 0 <= float(maps.min()) <= float(maps.max()) <= 1
    assert float(NETWORKS["synboost"](**SMALL).weights[0]) == 0.75


def test_normalisation_is_undone() -> None:
    network = small("image_resynthesis", normalisation="cityscapes:bgr")
    pixels = torch.randint(0, 256, (1, 3, 32, 64)).float()
    assert torch.allclose(network.rgb(network.preprocessing.normalised(pixels)), pixels / 255, atol=1e-5)
    assert torch.allclose(network.normalised(pixels / 255), network.preprocessing.normalised(pixels), atol=1e-4)


def test_bad_parts_are_named() -> None:
    with pytest.raises(InputError, match=r"resynthesis\.size is 100x256; expected multiples of 32"):
        NETWORKS["synboost"](size=[100, 256])
    with pytest.raises(InputError, match="itself a network around a network"):
        NETWORKS["synboost"](closed_set="synthcp")
    with pytest.raises(InputError, match="did you mean 'vgg19'"):
        NETWORKS["synboost"](features="vgg16")


@pytest.mark.parametrize(
    "method", [pytest.param(each, marks=[] if each == "synboost" else pytest.mark.slow) for each in METHODS]
)
def test_one_file_equal_in_both_engines(method: str, tmp_path: Path) -> None:
    about = {"network": method, "normalisation": "unit", "classes": list("abcd")}
    names = ["resynthesis", "failure"] if method == "synthcp" else ["resynthesis", "max_logit"]
    card = export(small(method), about, names, tmp_path / "a.onnx", size=(64, 96))
    assert card.scores == tuple(names)
    assert [each.name for each in tmp_path.iterdir()] == ["a.onnx"]


def recipe(method: str, stage: str = "whole", steps: int = 2, **how: object) -> Recipe:
    """A recipe that trains in seconds."""
    losses = {"generator": (), "whole": (("outlier_head", 1.0),)}[stage]
    if method == "synthcp":
        losses = (("failure", 1.0), ("failure_iou", 1.0))
    return Recipe(
        network=Network(name=method, normalisation="unit", stage=stage),  # type: ignore[arg-type]
        resynthesis=Resynthesis(closed_set="erfnet_lite", closed_set_void=False, size=(32, 64), width=2, **how),  # type: ignore[arg-type]
        scenes=Scenes(
            sets=("cityscapes_small",),
            crop=(32, 64),
            scale=(0.2, 0.3),
            photometric=0.0,
            validation=("cityscapes_small",),
        ),
        outliers=Outliers(probability=0.0, in_distribution=0.0),
        optim=Optimiser(steps=steps, warmup=1, batch=2, precision="fp32", ema=0.5),
        losses=losses,
    )


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A start whose closed-set network and features are random."""
    torch.manual_seed(0)
    arguments = {"classes": 19, "closed_set": "erfnet_lite", "normalisation": "unit", **SMALL}
    network = NETWORKS["image_resynthesis"](**arguments)
    path = tmp_path_factory.mktemp("start") / "start.ckpt"
    about = {
        "network": "image_resynthesis", "arguments": arguments, "normalisation": "unit",
        "classes": list(CITYSCAPES_CLASSES), "untrained": ["generator", "comparison"],
    }  # fmt: skip
    save_checkpoint(path, network, about)
    return path


def changed(before: Path, after: Path) -> set[str]:
    """The parts whose weights differ between two checkpoints."""
    one, other = read_checkpoint(before)[0], read_checkpoint(after)[0]
    return {name.split(".")[0] for name, each in other.items() if name in one and not torch.equal(each, one[name])}


def test_two_stages_train_each_its_part(root: Path, start: Path, tmp_path: Path) -> None:
    first = fit(recipe("image_resynthesis", "generator"), root, tmp_path / "g", 2, start, validation_scenes=1)
    assert changed(start, first) - {"comparison"} == {"generator", "typical", "usual_difference"}
    assert read_checkpoint(first)[1]["untrained"] == ["comparison"]
    text = (tmp_path / "g" / PLACE).read_text()
    assert all(f",{name}," in text for name in ("adversarial", "discriminator", "perceptual_validation"))
    with pytest.raises(InputError, match="comparison of this image_resynthesis is untrained"):
        open_checkpoint(str(first))
    for method, how in (
        ("image_resynthesis", {}),
        ("synthcp", {"seen": 1.0}),
        ("synboost", {"seen": 0.5, "void": True}),
    ):
        second = fit(recipe(method, **how), root, tmp_path / method, 2, first, validation_scenes=1)
        assert changed(first, second) == {"comparison"}
        network, about = load_network(second)
        assert isinstance(network, METHODS[method])
        assert "untrained" not in about
        assert about["recipe"]["resynthesis"]["size"] == [32, 64]
    predictor = open_checkpoint(str(second))
    assert predictor.scores == ("resynthesis",)
    maps = predictor.maps("set", Sample("a", Path("a"), None, np.zeros(256, np.uint8)), np.zeros((40, 70, 3), np.uint8))
    assert maps["resynthesis"].shape == (40, 70)


def test_a_stopped_generator_goes_on_exactly(root: Path, start: Path, tmp_path: Path) -> None:
    how = recipe("image_resynthesis", "generator", 4)
    whole = fit(how, root, tmp_path / "whole", 99, start)
    fit(how, root, tmp_path / "parts", 99, start, save_every=2, until=2)
    parts = fit(how, root, tmp_path / "parts", 99, start, save_every=2)
    assert changed(whole, parts) == set()


def test_starts_that_do_not_fit_are_refused(root: Path, start: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"make a start of them with runs/resynthesis_start\.py"):
        fit(recipe("synboost"), root, tmp_path / "a")
    with pytest.raises(InputError, match=r"the generator of '.*' is untrained; train it first"):
        fit(recipe("synboost"), root, tmp_path / "a", init_from=start)
    with pytest.raises(InputError, match="trains the generator of image_resynthesis, synthcp, synboost"):
        fit(replace(recipe("synboost"), network=Network(stage="generator")), root, tmp_path / "a")
    with pytest.raises(InputError, match=r"set resynthesis\.closed_set_void"):
        ComparisonTraining(replace(recipe("synboost"), network=Network(name="synboost", void=True)))
    assert not (tmp_path / "a/run.json").exists()


def test_what_fools_the_discriminator_does_not_teach_it() -> None:
    module = GeneratorTraining(recipe("image_resynthesis", "generator"))
    assert all(each.requires_grad for each in module.discriminator.parameters())
    trained = {name.split(".")[0] for name, each in module.network.named_parameters() if each.requires_grad}
    assert trained == {"generator"}


def test_other_recipes_say_nothing_of_a_resynthesis() -> None:
    assert "resynthesis" not in Recipe().to_dict()
    assert recipe("synboost").to_dict()["resynthesis"]["width"] == 2


def test_failure_losses_by_hand() -> None:
    logits = torch.zeros(1, 3, 2, 2)
    logits[0, 1] = 1.0
    labels = torch.tensor([[[1, 1], [0, 255]]])
    outputs = Outputs(logits, failure=torch.zeros(1, 2, 2), iou=torch.tensor([[0.0, 2 / 3, 0.9]]))
    assert float(LOSSES["failure"](outputs, labels)) == pytest.approx(np.log(2))
    better = outputs._replace(failure=torch.tensor([[[-9.0, -9.0], [9.0, 0.0]]]))
    assert float(LOSSES["failure"](better, labels)) < 0.001
    assert float(LOSSES["failure_iou"](outputs, labels)) == pytest.approx(0, abs=1e-6)  # class 2 is not in the image
    off = outputs._replace(iou=torch.tensor([[0.5, 2 / 3, 0.9]]))
    assert float(LOSSES["failure_iou"](off, labels)) == pytest.approx((0.5 - 0.05) / 2)
    for name in ("failure", "failure_iou"):
        with pytest.raises(InputError, match=r"set network\.name = synthcp"):
            LOSSES[name](Outputs(logits), labels)
