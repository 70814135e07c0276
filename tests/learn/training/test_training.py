"""Recipes, pasted objects, the losses of the embedded detector, and training that resumes exactly."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from fabricated import write_pair
from golden import DATA, golden, needs_data, needs_golden

from oddroad.errors import InputError
from oddroad.learn.checkpoints.format import load_network, read_checkpoint
from oddroad.learn.data import scenes as scenes_module
from oddroad.learn.data.class_balance import class_counts, class_weights, named_classes
from oddroad.learn.data.crops import Crops
from oddroad.learn.data.cutouts import HELD_OUT, CutOut, coco_objects
from oddroad.learn.data.pasting import Placement, paste
from oddroad.learn.data.scenes import SceneList, read_scenes
from oddroad.learn.data.shapes import random_shape
from oddroad.learn.data.validation import Validation
from oddroad.learn.losses import LOSSES, weighted
from oddroad.learn.networks.blocks import IsoMax
from oddroad.learn.outputs import Outputs
from oddroad.learn.training.fit import fit, found_weights
from oddroad.learn.training.module import Training
from oddroad.recipe import ClassWeights, Network, Optimiser, Outliers, Recipe, Scenes, read_recipe
from oddroad.types import IGNORE, OUTLIER, UNNAMED

ROOT = Path(__file__).resolve().parents[3]


def small(steps: int = 4) -> Recipe:
    """A recipe that trains in seconds."""
    return Recipe(
        scenes=Scenes(crop=(64, 128), scale=(0.3, 0.5)),
        outliers=Outliers(probability=1.0),
        optim=Optimiser(steps=steps, warmup=1, batch=2, precision="fp32", ema=0.5),
        losses=(("cross_entropy", 1.0), ("outlier_head", 1.0), ("densehybrid_ood", 0.03)),
    )


class TestRecipe:
    @pytest.mark.parametrize(
        "path", sorted((ROOT / "recipes").rglob("*.yaml")), ids=lambda path: f"{path.parent.name}/{path.stem}"
    )
    def test_every_recipe_in_the_repository_is_read(self, path: Path) -> None:
        recipe = read_recipe(path)
        assert all(name in LOSSES for name, _ in recipe.losses)
        Training(recipe)

    def test_parts_that_do_not_fit_are_refused(self) -> None:
        plain = Recipe(outliers=Outliers(probability=0, in_distribution=0))
        cases = [
            (replace(plain, losses=(("isomax", 1.0),)), "need the distance head; set network.isomax"),
            (replace(plain, class_weights=ClassWeights(void=1.0)), "there is no void output; set network.void"),
            (replace(plain, network=Network(stage="encoder")), "trains ERFNet's encoder"),
            (replace(plain, network=Network(stride=2)), "'ddrnet23_slim' does not take stride"),
            (replace(plain, optim=Optimiser(frozen=("encodr",))), "no part of the network begins with 'encodr'"),
            (
                replace(plain, optim=Optimiser(lr_multipliers=(("head", 2.0),))),
                "begins with 'head'; there are: compression3",
            ),
        ]
        for recipe, message in cases:
            with pytest.raises(InputError, match=message):
                Training(recipe)


class TestPasting:
    def test_inside_is_the_object_and_outside_is_untouched(self) -> None:
        image, label = np.full((60, 80, 3), 100, np.uint8), np.zeros((60, 80), np.uint8)
        cutout = CutOut(np.full((20, 20, 3), 250, np.uint8), np.ones((20, 20), np.float32), OUTLIER, "box")
        paste(image, label, cutout, Placement((40, 50), 24), np.random.default_rng(1))
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
            image, at = np.full((60, 80, 3), 100, np.uint8), Placement((40, 50), 30, stretch)
            paste(image, label, cutout, at, np.random.default_rng(3))
            widths.append((label == OUTLIER).any(0).sum())
        assert widths[1] == pytest.approx(widths[0] / 2, abs=2)

    def test_beyond_the_border(self) -> None:
        label = np.zeros((20, 20), np.uint8)
        cutout = CutOut(np.zeros((9, 9, 3), np.uint8), np.ones((9, 9), np.float32), OUTLIER, "box")
        paste(np.zeros((20, 20, 3), np.uint8), label, cutout, Placement((500, 10), 9), np.random.default_rng(0))
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
            Validation(root, (("coco128-seg", 1.0),), 2, (64, 128)),
        )
        assert not {each.kind for each in crops.objects.outliers[0]} & {
            each.kind for each in held_out.objects.outliers[0]
        }
        assert {each.kind for each in held_out.objects.outliers[0]} <= HELD_OUT
        assert sum((label == OUTLIER).any() for _, label in (held_out[i] for i in range(len(held_out)))) >= 3
        far = Validation(root, (("coco128-seg", 1.0),), 3, (64, 128), sets=("camvid",), heights=(8, 12))
        for _, label in (far[i] for i in range(len(far))):
            _, _, boxes, _ = cv2.connectedComponentsWithStats((label == OUTLIER).numpy().astype(np.uint8))
            assert 0 < boxes[1:, 3].max() <= 14
        clean = Validation(root, (("coco128-seg", 1.0),), 2, (64, 128), clean=True)
        assert not any((clean[i][1] == OUTLIER).any() for i in range(len(clean)))

    def test_scenes_are_decoded_when_asked_for_and_kept_while_they_fit(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(scenes_module, "MOST_KEPT", 64 * 64 * 4)  # one scene
        scenes = SceneList(root, ("cityscapes_small", "cityscapes_small"), "train")
        assert len(scenes) == 6
        assert not scenes.kept
        first, second = scenes[0], scenes[1]
        assert scenes[0] is first
        assert scenes[3] is first  # the set named twice is decoded once
        assert scenes[1] is not second
        assert np.array_equal(scenes[1].image, second.image)
        assert scenes.samples[4][0] == "cityscapes_small"

    def test_official_cityscapes(self, tmp_path: Path) -> None:
        for split in ("train", "val"):
            image, ids = np.full((64, 128, 3), 90, np.uint8), np.full((64, 128), 7, np.uint8)
            ids[:20], ids[50:] = 23, 1  # sky, ego vehicle
            place = tmp_path / "{}" / split / "bochum"
            write_pair(
                Path(str(place / "a_leftImg8bit.png").format("leftImg8bit")),
                Path(str(place / "a_gtFine_labelIds.png").format("gtFine")), image, ids,
            )  # fmt: skip
        recipe = read_recipe(
            ROOT / "recipes" / "full" / "void_erfnet.yaml",
            {"scenes.crop": (32, 64), "scenes.scale": (0.2, 0.2), "optim.steps": 1, "optim.batch": 2,
             "optim.precision": "fp32"},
        )  # fmt: skip
        model = fit(recipe, tmp_path, tmp_path / "run", validate_every=1, validation_scenes=1)
        network, about = load_network(model)
        with torch.no_grad():
            assert network(torch.zeros(1, 3, 32, 64)).logits.shape == (1, 20, 32, 64)
        assert len(about["classes"]) == 19
        assert json.loads((tmp_path / "run" / "class_counts.json").read_text())["counts"][19] == 14 * 128
        assert "miou" in (tmp_path / "run" / "log" / "metrics.csv").read_text()

    @needs_data
    def test_the_real_sets(self) -> None:
        scenes = read_scenes(DATA, ("cityscapes_small", "camvid", "idd_lite"), "val", 2)
        assert len(scenes) == 6
        assert all(scene.label.shape == scene.image.shape[:2] for scene in scenes)
        assert {0, 10} <= set(np.unique(np.concatenate([each.label.ravel() for each in scenes])).tolist())


class TestClassWeights:
    def test_a_pass_counts_the_pixels_of_every_class(self, root: Path) -> None:
        counts = class_counts(root, ("cityscapes_small", "camvid", "camvid"), 19)
        expected = np.zeros(20, np.int64)
        for scene in read_scenes(root, ("cityscapes_small", "camvid", "camvid"), "train"):
            for value in range(19):
                expected[value] += (scene.label == value).sum()
            expected[19] += (scene.label == IGNORE).sum()
        assert counts.tolist() == expected.tolist()
        assert counts[:19].sum() > 0

    def test_the_rules(self) -> None:
        counts = np.array([700, 200, 0, 100, 1000])
        enet = class_weights(counts, ClassWeights("enet", 1.02), void=False)
        assert enet is not None
        np.testing.assert_allclose(enet, 1 / np.log(1.02 + np.array([0.7, 0.2, 0, 0.1])), rtol=1e-6)
        median = class_weights(counts, ClassWeights("median_frequency"), void=False)
        assert median is not None
        np.testing.assert_allclose(median, [0.2 / 0.7, 1, 0, 2], rtol=1e-6)
        void = class_weights(counts, ClassWeights("enet", 1.1, void=0.5), void=True)
        assert void is not None
        np.testing.assert_allclose(void[[0, 4]], [1 / np.log(1.1 + 0.35), 0.5 / np.log(1.1 + 0.5)], rtol=1e-6)
        assert class_weights(counts, ClassWeights(), void=False) is None
        assert class_weights(counts, ClassWeights(void=1.0), void=True) is None
        lighter = class_weights(counts, ClassWeights(void=0.25), void=True)
        assert lighter is not None
        assert lighter.tolist() == [1, 1, 1, 1, 0.25]

    def test_the_rule_reaches_the_loss(self, root: Path, tmp_path: Path) -> None:
        recipe = replace(small(), class_weights=ClassWeights("enet", 1.1))
        weights = found_weights(recipe, root, tmp_path, "digest", first=True)
        assert weights is not None
        module = Training(recipe, weights)
        outputs, labels = (
            Outputs(torch.randn(1, 19, 4, 6), outlier=torch.zeros(1, 4, 6)),
            torch.randint(0, 11, (1, 4, 6)),
        )
        found = module.loss(outputs, labels)[1]["cross_entropy"]
        expected = torch.nn.functional.cross_entropy(outputs.logits, labels, weights)
        assert found.item() == pytest.approx(expected.item(), rel=1e-5)
        stored = tmp_path / "class_counts.json"
        kept = json.loads(stored.read_text())
        stored.write_text(json.dumps({**kept, "counts": [1] * 20}))  # the second time they are not counted anew
        even = torch.tensor(1 / np.log(1.1 + 1 / 19)).float()
        again, other = (found_weights(recipe, root, tmp_path, digest, first=True) for digest in ("digest", "other"))
        assert again is not None
        assert other is not None
        assert torch.allclose(again, even)
        assert torch.equal(other, weights)  # of other data they are


class TestModule:
    def step(self, recipe: Recipe, labels: torch.Tensor, named: torch.Tensor | None = None) -> Training:
        """A module after one backward pass of its training step, outside a trainer."""
        module = Training(recipe)
        module.log = module.log_dict = lambda *args, **kwargs: None  # type: ignore[assignment]
        module._trainer = SimpleNamespace(world_size=1)  # type: ignore[assignment]
        module.train()
        images = torch.randint(0, 256, (len(labels), 3, *labels.shape[1:]), dtype=torch.uint8)
        batch = (images, labels) if named is None else (images, labels, named)
        module.training_step(batch, 0).backward()
        return module

    def test_void_pixels_teach_the_void_output_if_they_shall(self) -> None:
        recipe = Recipe(
            network=Network(name="erfnet", outlier=False, auxiliary=False, void=True),
            scenes=Scenes(loss_stride=1),
            outliers=Outliers(probability=0, in_distribution=0),
            class_weights=ClassWeights(void=1.0),
        )
        labels = torch.full((1, 32, 64), IGNORE)
        taught = self.step(recipe, labels).network.decoder.output_conv.bias.grad
        assert taught[19] < 0  # more of it
        assert (taught[:19] > 0).all()
        labels[:, :16] = 3
        known = self.step(replace(recipe, class_weights=ClassWeights()), labels).network.decoder.output_conv.bias.grad
        assert known[19] == 0  # an abstention that no loss asks for
        assert known[3] < 0
        gambled = replace(recipe, class_weights=ClassWeights(), losses=(("deep_gambler", 1.0),))
        assert self.step(gambled, labels).network.decoder.output_conv.bias.grad[19] != 0

    def test_a_class_that_a_set_does_not_name_gets_no_gradient_from_it(self) -> None:
        recipe = Recipe(network=Network(name="erfnet", outlier=False, auxiliary=True),
                        losses=(("cross_entropy", 1.0), ("logit_norm", 0.5), ("group_cross_entropy", 0.5)))  # fmt: skip
        labels = torch.zeros(2, 32, 64, dtype=torch.int64)
        labels[:, 16:] = 203
        named = torch.from_numpy(np.stack([named_classes("idd_lite", 19)] * 2))
        gradient = self.step(recipe, labels, named).network.decoder.output_conv.weight.grad
        assert gradient is not None
        seen = gradient.abs().sum((0, 2, 3)) > 0
        assert seen.tolist() == named[0].tolist()
        assert not seen[[11, 12]].any()  # living things may be animals
        assert named_classes("camvid", 19).sum() == 12
        assert named_classes("cityscapes_small", 19).all()
        one = torch.cat([named[:1], torch.ones(1, 19, dtype=torch.bool)])
        both = self.step(recipe, labels, one).network.decoder.output_conv.weight.grad
        assert (both.abs().sum((0, 2, 3)) > 0).all()

    def test_frozen_parts_stay_still_and_faster_parts_have_their_rate(self) -> None:
        how = Optimiser(name="adam", lr=1e-3, frozen=("encoder.",), lr_multipliers=(("decoder.output_conv", 20.0),))
        module = Training(Recipe(network=Network(name="erfnet", outlier=False, auxiliary=False), optim=how))
        module.train()
        for each in module.frozen:
            each.training = False
        network = module.network
        assert not any(each.requires_grad for each in network.encoder.parameters())
        assert not any(each.training for each in network.encoder.modules())
        assert all(each.training for each in network.decoder.modules())
        groups = module.configure_optimizers()["optimizer"].param_groups
        rates = {id(p): group["initial_lr"] for group in groups for p in group["params"]}
        assert rates[id(network.decoder.output_conv.weight)] == pytest.approx(0.02)
        assert rates[id(network.decoder.layers[0].conv.weight)] == pytest.approx(1e-3)
        assert len(rates) == sum(1 for _ in network.decoder.parameters())
        still = Training(Recipe(optim=Optimiser(norms="frozen"))).frozen
        assert len(still) > 20
        assert all(isinstance(each, torch.nn.BatchNorm2d) for each in still)

    def test_isomax_head_is_the_same_in_training_and_with_its_golden_gradients(self) -> None:
        head = IsoMax(16, 19)
        features = torch.randn(2, 16, 3, 5, requires_grad=True)
        one, two = head.train()(features), head.eval()(features)
        assert torch.allclose(one, two, atol=1e-6)
        slopes = [torch.autograd.grad(each.square().sum(), (features, *head.parameters())) for each in (one, two)]
        assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(*slopes, strict=True))

    @needs_golden
    def test_the_golden_gradients_of_isomax_in_training(self) -> None:
        arrays = golden("losses_scores.npz")
        head = IsoMax(16, 19).train()
        with torch.no_grad():
            head.prototypes.copy_(torch.tensor(arrays["iso_prototypes"]))
            head.distance_scale.fill_(float(arrays["iso_distance_scale"]))
        features = torch.tensor(arrays["iso_features"], requires_grad=True)
        labels = torch.tensor(arrays["labels"].astype(np.int64))
        value = LOSSES["isomax"](Outputs(head(features)), labels)
        value.backward()
        assert value.item() == pytest.approx(float(arrays["iso_loss_es10"]), rel=1e-5)
        found = (features.grad, head.prototypes.grad, head.distance_scale.grad)
        for slope, name in zip(found, ("features", "prototypes", "distance_scale"), strict=True):
            assert np.abs(slope.numpy() - arrays[f"iso_grad_{name}"]).max() < 1e-5


class TestLosses:
    def test_ignored_pixels_get_no_gradient(self) -> None:
        logits, outlier = torch.randn(1, 19, 4, 6, requires_grad=True), torch.randn(1, 4, 6, requires_grad=True)
        labels = torch.randint(0, 19, (1, 4, 6))
        labels[0, 0], labels[0, 1], labels[0, 2] = IGNORE, OUTLIER, UNNAMED
        outputs = Outputs(logits, outlier=outlier, auxiliary=(logits * 2,))
        for name, loss in LOSSES.items():
            if name not in ("cross_entropy", "auxiliary_cross_entropy", "outlier_head", "densehybrid_ood"):
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
        (LOSSES["cross_entropy"](outputs, labels) + 0.03 * LOSSES["densehybrid_ood"](outputs, labels)).backward()
        assert logits.grad is not None
        assert np.abs(logits.grad.numpy() - arrays["densehybrid_grad_logits"]).max() < 1e-5

    def test_nothing_odd_in_the_batch(self) -> None:
        outputs = Outputs(torch.randn(1, 19, 4, 4), outlier=torch.randn(1, 4, 4))
        labels = torch.zeros(1, 4, 4, dtype=torch.int64)
        assert LOSSES["densehybrid_ood"](outputs, labels).item() == 0
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
    def test_the_encoder_first_and_then_the_decoder(self, root: Path, tmp_path: Path) -> None:
        quick = Optimiser(steps=1, warmup=1, batch=2, precision="fp32", ema=0.0)
        scenes, nothing = (
            Scenes(crop=(32, 64), scale=(0.3, 0.5), validation=("camvid",)),
            Outliers(probability=0, in_distribution=0),
        )
        first = Recipe(Network("erfnet", outlier=False, stage="encoder"), scenes, nothing, optim=quick)
        encoder = fit(first, root, tmp_path / "encoder", validate_every=1, validation_scenes=1)
        state, about = read_checkpoint(encoder)
        assert about["untrained"] == ["decoder"]
        second = replace(first, network=Network("erfnet", outlier=False, auxiliary=False))
        with pytest.raises(InputError, match=r"does not fit the recipe's network: encoder\.output_conv"):
            fit(second, root, tmp_path / "none", init_from=encoder)
        whole = fit(
            replace(second, optim=replace(quick, lr=0.0)), root, tmp_path / "whole", 9, encoder,
            reinit=("encoder.output_conv",), validation_scenes=1,
        )  # fmt: skip
        after, told = read_checkpoint(whole)
        assert torch.equal(after["encoder.initial_block.conv.weight"], state["encoder.initial_block.conv.weight"])
        assert not torch.equal(after["decoder.output_conv.weight"], state["decoder.output_conv.weight"])
        assert told["origin"]["init_from"] == "model.ckpt"
        assert len(told["origin"]["init_from_sha256"]) == 64

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
        assert about["recipe"]["optim"]["steps"] == 4
        with torch.no_grad():
            assert network(torch.zeros(1, 3, 64, 64)).outlier.shape == (1, 8, 8)
        figures = (tmp_path / "whole" / "log" / "metrics.csv").read_text()
        assert "miou" in figures
        assert "ap_outlier_head" in figures
