"""A teacher that sees the crops of the network that learns from it, larger."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from oddroad.errors import InputError
from oddroad.learn.checkpoints.format import read_checkpoint, save_checkpoint
from oddroad.learn.networks import NETWORKS
from oddroad.learn.networks.wrapped import Scales
from oddroad.learn.outputs import Outputs
from oddroad.learn.training.crop_teacher import CropTeacher, from_crops, shrunk
from oddroad.learn.training.fit import fit
from oddroad.learn.training.module import Training
from oddroad.recipe import Distillation, Network, Optimiser, Outliers, Recipe, Scenes
from oddroad.reporting.learning_curves import PLACE, read_curves
from oddroad.types import CITYSCAPES_CLASSES

CROPS = Distillation(weight=1.0, temperature=1.0, sees="crops", outlier=0.5, shrink=2, smaller=0.5)


def recipe(**changes: Any) -> Recipe:
    """Two steps in seconds."""
    return Recipe(
        network=Network(outlier=True),
        scenes=Scenes(crop=(128, 256), scale=(0.6, 1.0), sets=("idd_lite",)),
        outliers=Outliers(probability=0, in_distribution=0),
        distillation=replace(CROPS, **changes),
        optim=Optimiser(steps=2, warmup=1, batch=2, precision="fp32", ema=0.5),
        losses=(("outlier_head", 0.0),),
    )


def saved(path: Path, outlier: bool = True, void: bool = False, **about: Any) -> Path:
    """A teacher of random weights."""
    torch.manual_seed(0)
    arguments = {"classes": 19 + void, "outlier": outlier, "auxiliary": False}
    network = NETWORKS["ddrnet23_slim"](**arguments)
    known = {"network": "ddrnet23_slim", "arguments": arguments, "normalisation": "imagenet"}
    save_checkpoint(path, network, {**known, "classes": list(CITYSCAPES_CLASSES), **about})
    return path


def test_a_crop_is_shrunk_by_means_and_its_label_by_every_second_pixel() -> None:
    images = torch.tensor([[[[0, 2, 10, 10], [2, 5, 10, 10]]]], dtype=torch.uint8)
    labels = torch.tensor([[[1, 2, 3, 4], [5, 6, 7, 8]]])
    small, few = shrunk(images, labels, 2)
    assert small.dtype == torch.uint8
    assert small.tolist() == [[[[2, 10]]]]  # 9 / 4 is rounded
    assert few.tolist() == [[[1, 3]]]
    same, all_of = shrunk(images, labels, 1)
    assert same is images
    assert all_of is labels


def test_the_distance_is_none_from_oneself_and_else_the_divergence_and_the_smooth_distance() -> None:
    torch.manual_seed(1)
    logits, told = torch.randn(2, 5, 3, 4, requires_grad=True), torch.randn(2, 5, 3, 4)
    odd = torch.tensor([0.0, 3.0]).view(2, 1, 1).expand(2, 3, 4)
    none = from_crops(Outputs(told, outlier=odd), Outputs(told, outlier=odd), 2.0)
    assert none["distillation"].item() == pytest.approx(0, abs=1e-6)
    assert none["distillation_outlier"].item() == 0
    found = from_crops(Outputs(logits, outlier=odd), Outputs(told, outlier=odd + 0.5), 2.0)
    whole = torch.nn.functional.kl_div((logits / 2).log_softmax(1), (told / 2).softmax(1), reduction="none").sum(1)
    assert found["distillation"].item() == pytest.approx(4 * whole.mean().item(), rel=1e-5)
    assert found["distillation_outlier"].item() == pytest.approx(0.125)
    found["distillation"].backward()
    assert (logits.grad != 0).all()  # pyright: ignore[reportOptionalMemberAccess]
    enlarged = Outputs(told.repeat_interleave(2, 2).repeat_interleave(2, 3))
    larger = from_crops(Outputs(logits), enlarged, 2.0)
    assert larger.keys() == {"distillation"}
    assert larger["distillation"].item() == pytest.approx(found["distillation"].item(), rel=1e-5)


def test_a_run_learns_from_larger_crops_and_keeps_nothing_of_its_teacher(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher, sizes = saved(tmp_path / "teacher.ckpt"), []
    asked, learned = CropTeacher.__call__, Training.forward

    def ask(self: CropTeacher, pixels: torch.Tensor) -> Outputs:
        sizes.append(("teacher", *pixels.shape[2:]))
        assert isinstance(self.network, Scales)
        assert not self.network.training
        return asked(self, pixels)

    def learn(self: Training, images: torch.Tensor) -> Any:
        sizes.append(("network", *images.shape[2:]))
        return learned(self, images)

    monkeypatch.setattr(CropTeacher, "__call__", ask)
    monkeypatch.setattr(Training, "forward", learn)
    model = fit(recipe(), root, tmp_path / "run", 100, teacher=teacher)
    assert sizes == [("teacher", 128, 256), ("network", 64, 128)] * 2
    curves = {name: value for _, name, value in read_curves(tmp_path / "run" / PLACE)}
    assert curves["distillation"] > 0
    assert curves["distillation_outlier"] > 0
    assert curves["loss"] == pytest.approx(curves["distillation"] + 0.5 * curves["distillation_outlier"], rel=1e-4)
    state, about = read_checkpoint(model)
    assert about["origin"]["teacher"] == "teacher.ckpt"
    assert state.keys() == NETWORKS["ddrnet23_slim"](classes=19, outlier=True, auxiliary=True).state_dict().keys()
    assert not list((tmp_path / "run").glob("teacher-*"))


@pytest.mark.parametrize("void", [(False, True), (True, False)])
def test_an_output_beyond_the_classes_teaches_and_learns_nothing(
    void: tuple[bool, bool], root: Path, tmp_path: Path
) -> None:
    teacher = saved(tmp_path / "teacher.ckpt", void=void[0])
    run = replace(recipe(), network=Network(outlier=True, void=void[1]))
    fit(run, root, tmp_path / "run", 100, teacher=teacher)
    curves = {name: value for _, name, value in read_curves(tmp_path / "run" / PLACE)}
    assert curves["distillation"] > 0


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"classes": ["a", "b"]}, "knows 2 classes, the recipe 19"),
        ({"normalisation": "unit"}, "set network.normalisation to unit"),
        ({"outlier": False}, "has no outlier head"),
    ],
)
def test_a_teacher_that_does_not_fit(about: dict[str, Any], words: str, root: Path, tmp_path: Path) -> None:
    teacher = saved(tmp_path / "teacher.ckpt", **about)
    with pytest.raises(InputError, match=words):
        fit(recipe(), root, tmp_path / "run", teacher=teacher)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sees": "scenes"}, "set distillation.sees = crops"),
        ({"sees": "scenes", "shrink": 1, "smaller": 0.0}, "set distillation.sees = crops"),
        ({"shrink": 3}, "divides both sides of scenes.crop"),
        ({"shrink": 0}, "whole number of at least 1"),
    ],
)
def test_what_does_not_fit_together(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Training(recipe(**changes))


def test_the_outlier_logit_alone_asks_for_a_teacher(root: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="name a checkpoint with --teacher"):
        fit(recipe(weight=0.0), root, tmp_path / "run")
    with pytest.raises(InputError, match="synthcp learns from no teacher"):
        Training(replace(recipe(), network=Network(name="synthcp")))
