"""Recipes, pasted objects, the losses of the embedded detector, and training that resumes exactly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fabricated import training_root
from golden import DATA, golden, needs_data, needs_golden

from oddroad.errors import InputError
from oddroad.learn.checkpoint import load_network, read_checkpoint
from oddroad.learn.data import Crops, Validation, read_scenes
from oddroad.learn.detector import Outputs
from oddroad.learn.losses import LOSSES, weighted
from oddroad.learn.objects import HELD_OUT, CutOut, coco_objects, paste, random_shape
from oddroad.learn.train import Training, fit
from oddroad.recipe import Optimiser, Outliers, Recipe, Scenes, read_recipe
from oddroad.types import IGNORE, OUTLIER, UNNAMED

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return training_root(tmp_path_factory.mktemp("data"))


def small(steps: int = 4) -> Recipe:
    """A recipe that trains in seconds."""
    return Recipe(
        scenes=Scenes(crop=(64, 128), scale=(0.3, 0.5)),
        outliers=Outliers(probability=1.0),
        optimiser=Optimiser(steps=steps, warmup=1, batch=2, precision="fp32", average=0.5),
        losses=(("cross_entropy", 1.0), ("outlier_head", 1.0), ("likelihood_push", 0.03)),
    )


class TestRecipe:
    @pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.yaml")), ids=lambda path: path.stem)
    def test_every_recipe_in_the_repository_is_read(self, path: Path) -> None:
        recipe = read_recipe(path)
        assert all(name in LOSSES for name, _ in recipe.losses)

    def test_values_and_overrides(self, tmp_path: Path) -> None:
        path = tmp_path / "r.yaml"
        path.write_text("losses: {cross_entropy: 1, outlier_head: 0.5}\nscenes: {sets: [camvid], scale: [1, 2]}\n")
        recipe = read_recipe(path, ["--optimiser.rate", "3e-4", "--scenes.sets", "idd_lite", "camvid"])
        assert recipe.losses == (("cross_entropy", 1.0), ("outlier_head", 0.5))
        assert recipe.scenes.scale == (1.0, 2.0)
        assert recipe.scenes.sets == ("idd_lite", "camvid")
        assert recipe.optimiser.rate == 3e-4

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("scenes: {setz: [a]}", "--scenes.setz"),
            ("optimiser: {rate: fast}", "rate"),
            ("- a", "holds a list"),
            ("{", "YAML"),
        ],
    )
    def test_mistakes_are_refused(self, tmp_path: Path, text: str, message: str) -> None:
        path = tmp_path / "r.yaml"
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            read_recipe(path)
        with pytest.raises(InputError, match="no recipe"):
            read_recipe(tmp_path / "none.yaml")


class TestPasting:
    def test_inside_is_the_object_and_outside_is_untouched(self) -> None:
        image, label = np.full((60, 80, 3), 100, np.uint8), np.zeros((60, 80), np.uint8)
        cutout = CutOut(np.full((20, 20, 3), 250, np.uint8), np.ones((20, 20), np.float32), OUTLIER, "box")
        paste(image, label, cutout, (40, 50), 24, 1.0, np.random.default_rng(1))
        odd = label == OUTLIER
        assert 300 < odd.sum() < 900
        rows, columns = np.nonzero(odd)
        assert rows.max() <= 50
        assert abs(columns.mean() - 40) < 2
        assert np.abs(image[odd].astype(int) - 100).mean() > 20
        untouched = (label == 0) & (np.abs(np.arange(80) - 40) > 25)[None]
        assert (image[untouched] == 100).all()

    def test_a_squashed_scene_gets_a_squashed_object(self) -> None:
        widths = []
        for stretch in (1.0, 0.5):
            label = np.zeros((60, 80), np.uint8)
            cutout = CutOut(np.zeros((20, 20, 3), np.uint8), np.ones((20, 20), np.float32), OUTLIER, "box")
            paste(np.full((60, 80, 3), 100, np.uint8), label, cutout, (40, 50), 30, stretch, np.random.default_rng(3))
            widths.append((label == OUTLIER).any(0).sum())
        assert widths[1] == pytest.approx(widths[0] / 2, abs=2)

    def test_beyond_the_border(self) -> None:
        label = np.zeros((20, 20), np.uint8)
        cutout = CutOut(np.zeros((9, 9, 3), np.uint8), np.ones((9, 9), np.float32), OUTLIER, "box")
        paste(np.zeros((20, 20, 3), np.uint8), label, cutout, (500, 10), 9, 1.0, np.random.default_rng(0))
        assert (label == 0).all()

    def test_random_shapes(self) -> None:
        rng = np.random.default_rng(0)
        shapes = [random_shape(rng, [np.zeros((40, 50, 3), np.uint8)]) for _ in range(20)]
        assert all(each.label == OUTLIER and each.image.shape[:2] == each.alpha.shape for each in shapes)
        assert all(0.05 < each.alpha.mean() <= 1 for each in shapes)

    def test_objects_of_coco(self, root: Path) -> None:
        labels = {each.kind: each.label for each in coco_objects(root / "coco128-seg")}
        assert labels["person"] == 11
        assert labels["car"] == 13
        assert labels["cow"] == OUTLIER
        with pytest.raises(InputError, match="no outlined objects"):
            coco_objects(root / "camvid")


class TestData:
    def test_classes_of_other_sets_are_mapped(self, root: Path) -> None:
        (scene,) = read_scenes(root, ("idd_lite",), "train", 1)
        assert set(np.unique(scene.label).tolist()) == {0, 10, 202}
        (squashed,) = read_scenes(root, ("cityscapes_small",), "train", 1)
        assert squashed.aspect == 2.0
        assert squashed.image.shape == (64, 64, 3)

    def test_a_crop_depends_on_its_number_alone(self, root: Path) -> None:
        recipe = small()
        crops = Crops(root, recipe.scenes, recipe.outliers, 10, 0)
        first = crops[7]
        crops[2]
        again, other = crops[7], Crops(root, recipe.scenes, recipe.outliers, 10, 1)[7]
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
        assert not torch.equal(first[0], other[0])
        assert first[0].shape == (3, 64, 128)
        assert first[0].dtype == torch.uint8

    def test_training_and_validation_share_no_kind_of_object(self, root: Path) -> None:
        recipe = small()
        crops, held_out = (
            Crops(root, recipe.scenes, recipe.outliers, 1, 0),
            Validation(root, "coco128-seg", 2, (64, 128)),
        )
        assert not {each.kind for each in crops.odd} & {each.kind for each in held_out.odd}
        assert {each.kind for each in held_out.odd} <= HELD_OUT
        assert sum((label == OUTLIER).any() for _, label in (held_out[i] for i in range(len(held_out)))) >= 3
        clean = Validation(root, "coco128-seg", 2, (64, 128), clean=True)
        assert not any((clean[i][1] == OUTLIER).any() for i in range(len(clean)))

    @needs_data
    def test_the_real_sets(self) -> None:
        scenes = read_scenes(DATA, ("cityscapes_small", "camvid", "idd_lite"), "val", 2)
        assert len(scenes) == 6
        assert all(scene.label.shape == scene.image.shape[:2] for scene in scenes)
        assert {0, 10} <= set(np.unique(np.concatenate([each.label.ravel() for each in scenes])).tolist())


class TestLosses:
    def test_ignored_pixels_get_no_gradient(self) -> None:
        logits, outlier = torch.randn(1, 19, 4, 6, requires_grad=True), torch.randn(1, 4, 6, requires_grad=True)
        labels = torch.randint(0, 19, (1, 4, 6))
        labels[0, 0], labels[0, 1], labels[0, 2] = IGNORE, OUTLIER, UNNAMED
        outputs = Outputs(logits, outlier=outlier, auxiliary=(logits * 2,))
        for name, loss in LOSSES.items():
            if name not in ("cross_entropy", "auxiliary_cross_entropy", "outlier_head", "likelihood_push"):
                continue
            logits.grad = outlier.grad = None
            loss(outputs, labels).backward()
            assert logits.grad is None or (logits.grad[:, :, 0] == 0).all()
            assert outlier.grad is None or (outlier.grad[:, 0] == 0).all()
            if name == "cross_entropy":
                assert logits.grad is not None
                assert (logits.grad[:, :, 1:3] == 0).all()
                assert (logits.grad[:, :, 3] != 0).any()
            if name == "outlier_head":
                assert outlier.grad is not None
                assert (outlier.grad[0, 1] < 0).all()
                assert (outlier.grad[0, 2] > 0).all()

    def test_a_group_asks_for_the_sum_of_its_classes(self) -> None:
        logits = torch.randn(1, 19, 2, 3, requires_grad=True)
        labels = torch.tensor([[[200, 204, 0], [UNNAMED, IGNORE, OUTLIER]]])
        value = LOSSES["group_cross_entropy"](Outputs(logits), labels)
        probability = logits.softmax(1)
        expected = -(probability[0, 13:19, 0, 0].sum().log() + probability[0, [12, 18], 0, 1].sum().log()) / 2
        assert value.item() == pytest.approx(expected.item(), rel=1e-5)
        value.backward()
        assert logits.grad is not None
        assert (logits.grad[0, :, 1] == 0).all()
        assert (logits.grad[0, :, 0, 2] == 0).all()
        assert LOSSES["group_cross_entropy"](Outputs(logits), torch.zeros(1, 2, 3).long()).item() == 0

    @needs_golden
    def test_cross_entropy_is_the_golden_value(self) -> None:
        arrays = golden("losses_scores.npz")
        logits = torch.tensor(arrays["logits"], dtype=torch.float64, requires_grad=True)
        labels = torch.tensor(arrays["labels"].astype(np.int64))
        value = LOSSES["cross_entropy"](Outputs(logits), labels)
        assert value.item() == pytest.approx(float(arrays["ce"]), rel=1e-5)

    @needs_golden
    def test_likelihood_push_has_the_golden_gradient_of_densehybrid(self) -> None:
        arrays = golden("losses_scores.npz")
        logits = torch.tensor(arrays["logits"], dtype=torch.float32, requires_grad=True)
        labels = torch.tensor(arrays["labels"].astype(np.int64))
        outputs = Outputs(logits)
        (LOSSES["cross_entropy"](outputs, labels) + 0.03 * LOSSES["likelihood_push"](outputs, labels)).backward()
        assert logits.grad is not None
        assert np.abs(logits.grad.numpy() - arrays["densehybrid_grad_logits"]).max() < 1e-5

    def test_nothing_odd_in_the_batch(self) -> None:
        outputs = Outputs(torch.randn(1, 19, 4, 4), outlier=torch.randn(1, 4, 4))
        labels = torch.zeros(1, 4, 4, dtype=torch.int64)
        assert LOSSES["likelihood_push"](outputs, labels).item() == 0
        assert torch.isfinite(LOSSES["outlier_head"](outputs, labels))

    def test_a_sum_is_weighted_and_names_are_checked(self) -> None:
        outputs, labels = Outputs(torch.randn(1, 19, 4, 4), outlier=torch.zeros(1, 4, 4)), torch.ones(1, 4, 4).long()
        total, terms = weighted({"cross_entropy": 2.0, "outlier_head": 0.5})(outputs, labels)
        assert total.item() == pytest.approx(2 * terms["cross_entropy"].item() + 0.5 * terms["outlier_head"].item())
        with pytest.raises(InputError, match="no loss called 'cross_entrpy'; did you mean 'cross_entropy'"):
            weighted({"cross_entrpy": 1.0})
        with pytest.raises(InputError, match=r"set network\.outlier = true"):
            LOSSES["outlier_head"](Outputs(torch.randn(1, 19, 4, 4)), labels)


class TestFit:
    def test_a_run_that_broke_goes_on_exactly(
        self, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        recipe = small(4)
        whole = fit(recipe, root, tmp_path / "whole", validate_every=4, save_every=2)
        step = Training.training_step

        def breaks(self: Training, batch: tuple, index: int) -> torch.Tensor:
            if self.trainer.global_step == 3:
                raise RuntimeError("power cut")
            return step(self, batch, index)

        monkeypatch.setattr(Training, "training_step", breaks)
        with pytest.raises(RuntimeError, match="power cut"):
            fit(recipe, root, tmp_path / "cut", validate_every=4, save_every=2)
        assert not (tmp_path / "cut" / "model.ckpt").exists()
        monkeypatch.setattr(Training, "training_step", step)
        resumed = fit(recipe, root, tmp_path / "cut", validate_every=4, save_every=2)
        one, two = read_checkpoint(whole)[0], read_checkpoint(resumed)[0]
        assert all(torch.equal(one[name], two[name]) for name in one)
        network, about = load_network(resumed)
        assert about["recipe"]["optimiser"]["steps"] == 4
        with torch.no_grad():
            assert network(torch.zeros(1, 3, 64, 64)).outlier.shape == (1, 8, 8)
        figures = (tmp_path / "whole" / "log" / "metrics.csv").read_text()
        assert "miou" in figures
        assert "ap_outlier_head" in figures
        other = replace(recipe, seed=1)
        with pytest.raises(InputError, match="holds a run of another recipe"):
            fit(other, root, tmp_path / "whole")
