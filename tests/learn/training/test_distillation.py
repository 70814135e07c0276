"""Distillation: what a teacher says of the scenes is kept, cut as their crops are, and learned from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from oddroad.errors import InputError
from oddroad.learn.checkpoints.format import read_checkpoint, save_checkpoint
from oddroad.learn.data.class_balance import balanced
from oddroad.learn.data.crops import Crops
from oddroad.learn.networks import NETWORKS
from oddroad.learn.training import distillation as kept
from oddroad.learn.training.distillation import (
    CELL,
    HEIGHT,
    SILENT,
    Teacher,
    distillation,
    encoded,
    place_of,
    write_maps,
)
from oddroad.learn.training.fit import fit
from oddroad.learn.training.loader import Labelled
from oddroad.recipe import Distillation, Network, Optimiser, Outliers, Recipe, Scenes
from oddroad.types import CITYSCAPES_CLASSES, IGNORE, OUTLIER


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("teacher") / "teacher.ckpt"
    torch.manual_seed(0)
    network = NETWORKS["ddrnet23_slim"](classes=19, outlier=False, auxiliary=False)
    arguments = {"classes": 19, "outlier": False, "auxiliary": False}
    about = {"network": "ddrnet23_slim", "arguments": arguments, "normalisation": "imagenet"}
    save_checkpoint(path, network, {**about, "classes": list(CITYSCAPES_CLASSES)})
    return path


def test_a_map_lies_on_its_crop(root: Path, tmp_path: Path) -> None:
    """A teacher that says the labels themselves agrees with the labels of every crop, mirrored and pasted ones too."""
    scenes = Scenes(sets=("cityscapes_small", "camvid"), crop=(64, 128), scale=(0.5, 0.9))
    crops = Crops(root, scenes, Outliers(probability=1.0, in_distribution=1.0), 40, 3)
    maps = {}
    for number, sample in enumerate(crops.scene_list.samples):
        scene = crops.scene_list[number]
        scene.label[5:15, 20:30] = IGNORE
        size = (round(HEIGHT * scene.aspect), HEIGHT)
        label = cv2.resize(scene.label, size, interpolation=cv2.INTER_NEAREST)[CELL // 2 :: CELL, CELL // 2 :: CELL]
        maps[place_of(*sample)] = np.where(np.arange(19)[:, None, None] == label, 0, 200).astype(np.uint8)
    save_file(maps, tmp_path / "maps.safetensors")
    taught = Labelled(crops, 19, Teacher(tmp_path / "maps.safetensors", 2))
    moves = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)]
    agrees = {mirrored: np.zeros(len(moves)) for mirrored in (False, True)}
    silent, pasted = 0, 0
    for index in range(len(crops)):
        _, label, _, soft = taught[index]
        label = label[1::2, 1::2].numpy()
        assert soft.shape == (19, 32, 64)
        says = soft.numpy().min(0) < SILENT
        assert not says[label == OUTLIER].any()
        assert not says[label == IGNORE].any()
        silent, pasted = silent + int((~says).sum()), pasted + int((label == OUTLIER).sum())
        means = np.where(says, soft.numpy().argmin(0), -1)
        moved = [np.roll(means, move, (0, 1))[1:-1, 1:-1] for move in moves]
        agrees[bool(crops.drawn(index)[4][0, 0] < 0)] += [(each == label[1:-1, 1:-1]).sum() for each in moved]
    assert pasted > 100
    assert silent > pasted
    for counts in agrees.values():
        assert counts[0] > 10_000
        assert counts.argmax() == 0
        assert counts[0] > 1.005 * counts[1:].max()


def test_what_is_kept_is_the_distance_below_the_largest_logit() -> None:
    logits = torch.tensor([[[3.0]], [[1.04]], [[-100.0]]])
    assert encoded(logits)[:, 0, 0].tolist() == [0, 20, SILENT - 1]


def test_maps_of_every_scene(root: Path, tmp_path: Path, checkpoint: Path) -> None:
    path = tmp_path / "maps.safetensors"
    write_maps(path, checkpoint, root, ("cityscapes_small", "camvid", "camvid"))
    opened = Teacher(path, 2).opened
    assert len(opened.keys()) == 6
    for name in opened.keys():  # noqa: SIM118
        found = opened.get_tensor(name)
        assert found.shape == (19, 64, 128)
        assert found.dtype == np.uint8
        assert found.min(0).max() <= 1
        assert found.max() < SILENT


def test_the_loss_is_the_divergence_where_the_teacher_speaks() -> None:
    torch.manual_seed(1)
    logits = torch.randn(2, 5, 4, 6, dtype=torch.float64, requires_grad=True)
    taught = torch.randint(0, 60, (2, 5, 4, 6)).to(torch.uint8)
    taught[0, :, 0] = SILENT
    value = distillation(logits, taught, 3.0)
    target, own = (-0.1 * taught.double() / 3).softmax(1), (logits / 3).log_softmax(1)
    each = torch.nn.functional.kl_div(own, target, reduction="none").sum(1)
    speaks = torch.ones(2, 4, 6, dtype=torch.bool)
    speaks[0, 0] = False
    assert value.item() == pytest.approx(9 * each[speaks].mean().item(), rel=1e-5)
    value.backward()
    assert logits.grad is not None
    assert (logits.grad[0, :, 0] == 0).all()
    assert (logits.grad[1] != 0).any()
    same = (-0.1 * taught.double()).requires_grad_()
    assert distillation(same, taught, 2.0).item() == pytest.approx(0, abs=1e-6)
    assert distillation(logits, torch.full_like(taught, SILENT), 2.0).item() == 0


def test_scenes_of_rare_classes_come_more_often(root: Path) -> None:
    scenes = Scenes(sets=("cityscapes_small", "idd_lite"), class_balance=0.5)
    chances = np.diff(balanced(root, scenes), prepend=0)
    assert chances.sum() == pytest.approx(1)
    small, idd = chances[:3], chances[3:]
    assert small.min() > 1.2 * idd.max()  # IDD-Lite names road and sky alone
    assert idd.min() > 0.5 / 6
    crops = Crops(root, scenes, Outliers(), 4000, 0)
    drawn = [crops.draw_scene(np.random.default_rng((0, index))) for index in range(4000)]
    np.testing.assert_allclose(np.bincount(drawn, minlength=6) / 4000, chances, atol=0.03)


class TestTraining:
    def recipe(self) -> Recipe:
        return Recipe(
            network=Network(outlier=False),
            scenes=Scenes(crop=(64, 128), scale=(0.3, 0.5), sets=("idd_lite",)),
            outliers=Outliers(probability=0, in_distribution=0),
            distillation=Distillation(1.0),
            optim=Optimiser(steps=2, warmup=1, batch=2, precision="fp32", ema=0.5),
            losses=(("cross_entropy", 0.0),),
        )

    def test_a_teacher_names_classes_that_the_set_does_not(
        self, root: Path, tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        out = tmp_path / "run"
        model = fit(self.recipe(), root, out, 100, teacher=checkpoint)
        state, about = read_checkpoint(model)
        assert about["origin"]["teacher"] == "teacher.ckpt"
        assert len(about["origin"]["teacher_sha256"]) == 64
        start = read_checkpoint(fit(self.recipe(), root, tmp_path / "start", 100, teacher=checkpoint, until=1))[0]
        moved = (state["final_layer.conv2.weight"] - start["final_layer.conv2.weight"]).abs().amax((1, 2, 3))
        assert (moved > 0).all()
        assert "distillation" in (out / "log" / "metrics.csv").read_text()
        monkeypatch.setattr(kept, "write_maps", lambda *_: pytest.fail("asked the teacher a second time"))
        (maps,) = out.glob("teacher-*.safetensors")
        before = maps.stat().st_mtime_ns
        (out / "model.ckpt").unlink()
        fit(self.recipe(), root, out, 100, teacher=checkpoint)
        assert maps.stat().st_mtime_ns == before

    def test_a_teacher_too_many_or_too_few(self, root: Path, tmp_path: Path, checkpoint: Path) -> None:
        with pytest.raises(InputError, match="name a checkpoint with --teacher"):
            fit(self.recipe(), root, tmp_path / "a")
        with pytest.raises(InputError, match="weight is 0; set it"):
            fit(replace(self.recipe(), distillation=Distillation()), root, tmp_path / "b", teacher=checkpoint)
        with pytest.raises(InputError, match=r"no checkpoint '.*none\.ckpt'"):
            fit(self.recipe(), root, tmp_path / "c", teacher=tmp_path / "none.ckpt")
        _, about = read_checkpoint(checkpoint)
        other = tmp_path / "other.ckpt"
        network = NETWORKS["ddrnet23_slim"](classes=19, outlier=False, auxiliary=False)
        save_checkpoint(other, network, {**about, "classes": ["a", "b"]})
        with pytest.raises(InputError, match="does not know the 19 classes of Cityscapes"):
            fit(self.recipe(), root, tmp_path / "c", teacher=other)
