"""Crops made a batch at a time: pictures in one sheet, distortions beside OpenCV's, pasted objects, whole batches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from fabricated import training_root, write_pair

from oddroad.errors import InputError
from oddroad.learn.atlas import MARGIN, SIDE, Atlas
from oddroad.learn.batches import Bank, Batches, lowered
from oddroad.learn.chance import Chance
from oddroad.learn.distort import blurred, cosines, distort, recoloured, recompressed
from oddroad.learn.known import Scene
from oddroad.learn.module import Training
from oddroad.learn.objects import CutOut
from oddroad.learn.pasting import Objects, Views
from oddroad.recipe import Distillation, Optimiser, Outliers, Recipe, Scenes
from oddroad.types import IGNORE, OUTLIER

CPU = torch.device("cpu")
NOTHING = Outliers(probability=0, known=0)


def small(**changes: object) -> Recipe:
    """A recipe of small crops, made in batches of 6."""
    scenes = Scenes(crop=(64, 128), scale=(0.3, 0.5), distort=0.5, surfaces=0.8, batched=True)
    recipe = Recipe(scenes=scenes, outliers=Outliers(probability=1.0), optimiser=Optimiser(steps=5, batch=6))
    return replace(recipe, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return training_root(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def photographs() -> np.ndarray:
    """(2, 64, 96, 3) uint8: smooth, with edges and some noise."""
    rng = np.random.default_rng(5)
    found = []
    for _ in range(2):
        picture = cv2.resize(rng.integers(0, 256, (6, 9, 3), np.uint8), (96, 64), interpolation=cv2.INTER_CUBIC)
        cv2.circle(picture, (40, 30), 18, (200, 40, 90), -1)
        found.append(np.clip(picture + rng.normal(0, 6, picture.shape), 0, 255).astype(np.uint8))
    return np.stack(found)


def tensor(pictures: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pictures.transpose(0, 3, 1, 2).copy()).float()


def pixels(images: torch.Tensor) -> np.ndarray:
    return images.permute(0, 2, 3, 1).numpy()


class TestDistort:
    def test_blur_is_that_of_opencv(self, photographs: np.ndarray) -> None:
        across, down = torch.tensor([0.5, 1.7]).view(2, 1, 1, 1), torch.tensor([1.2, 0.8]).view(2, 1, 1, 1)
        found = pixels(blurred(tensor(photographs), across, down))
        for picture, own, x, y in zip(photographs, found, across.flatten(), down.flatten(), strict=True):
            kernels = (cv2.getGaussianKernel(11, float(sigma)) for sigma in (x, y))
            expected = cv2.sepFilter2D(picture.astype(np.float32), -1, *kernels, borderType=cv2.BORDER_REFLECT_101)
            assert np.abs(own - expected).max() < 1e-2

    @pytest.mark.parametrize("quality", [30, 50, 90])
    def test_jpeg_is_that_of_opencv(self, photographs: np.ndarray, quality: int) -> None:
        found = pixels(recompressed(tensor(photographs), torch.full((2, 1, 1, 1), float(quality))))
        sampling = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
        for picture, own in zip(photographs, found, strict=True):
            _, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality, *sampling])
            expected = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1].astype(np.float32)
            lost = np.abs(picture - expected).mean()
            assert np.abs(own - expected).mean() < 0.15 * lost + 0.5

    def test_the_cosines_are_orthonormal(self) -> None:
        assert np.allclose(cosines() @ cosines().T, np.eye(8), atol=1e-6)

    def test_colours(self, photographs: np.ndarray) -> None:
        images = tensor(photographs) * 0.4 + 60
        one, none = torch.ones(2, 1, 1, 1), torch.zeros(2, 1, 1, 1)
        assert torch.allclose(recoloured(images, one, one, one, none), images, atol=1e-3)
        assert torch.allclose(recoloured(images, 1.1 * one, one, one, none), 1.1 * images, atol=1e-2)
        grey = recoloured(images, one, one, none, none)
        assert torch.allclose(grey[:, 0], grey[:, 2], atol=1e-3)
        turned = recoloured(images, one, one, one, none + 2 * torch.pi / 3)  # a third of a turn: red goes to green
        assert (turned - images).abs().mean() > 5
        assert torch.allclose(
            turned - turned.mean(1, keepdim=True), (images - images.mean(1, keepdim=True)).roll(1, 1), atol=12
        )

    def test_nothing_at_probability_0_and_the_same_for_the_same_seed(self, photographs: np.ndarray) -> None:
        images = tensor(photographs)
        assert (distort(images, 0.0, torch.Generator().manual_seed(0)) - images).abs().max() < 0.01
        one, two, other = (distort(images, 1.0, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
        assert torch.equal(one, two)
        assert not torch.equal(one, other)
        assert one.min() >= 0
        assert one.max() <= 255


class TestAtlas:
    def test_each_level_is_the_picture_at_that_size(self, photographs: np.ndarray) -> None:
        atlas = Atlas([each[:, :90] for each in photographs], CPU)
        for level in range(3):
            side = round(SIDE * (1 - 2 * MARGIN)) >> level
            at = (torch.arange(side) + 0.5) / side
            u, v = (each.expand(2, side, side) for each in (at, at[:, None]))
            found = pixels(atlas.read(torch.arange(2), torch.full((2,), level), u, v))
            for picture, own in zip(photographs, found, strict=True):
                large = cv2.resize(picture[:, :90], (96, 96), interpolation=cv2.INTER_LINEAR)
                expected = cv2.resize(large, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32)
                assert np.abs(own - expected).max() < 3

    def test_beyond_a_picture_it_goes_on_and_beyond_an_outline_there_is_nothing(self) -> None:
        full = [np.full((30, 20), 255, np.uint8)]
        u = torch.tensor([[[-0.4, -0.08, 0.5, 1.08, 1.4]]])
        for empty, beyond in ((False, 255.0), (True, 0.0)):
            atlas = Atlas(full, CPU, empty=empty)
            found = atlas.read(torch.tensor([0]), torch.tensor([0]), u, torch.full_like(u, 0.5))[0, 0, 0].tolist()
            assert found == [beyond, beyond, 255.0, beyond, beyond]


class TestChance:
    def test_a_pixel_lies_in_the_mask(self) -> None:
        mask = torch.zeros(3, 40, 60, dtype=torch.bool)
        mask[0, 20:32, 12:16] = True
        mask[1, 4:8] = True
        for seed in range(20):
            x, y, there = Chance(seed, 3, CPU).pixel(mask)
            assert there.tolist() == [True, True, False]
            assert mask[0, int(y[0]), int(x[0])]
            assert mask[1, int(y[1]), int(x[1])]


def views(label: int = 0) -> Views:
    """Eight grey crops whose scenes have one label."""
    images, labels = torch.full((8, 3, 64, 128), 90.0), torch.full((8, 64, 128), label, dtype=torch.uint8)
    return Views(images, labels, torch.full((8,), 10.0), torch.full((8,), 80.0), torch.ones(8))


def objects(odd: bool = True, known: bool = True, textures: bool = True) -> Objects:
    """A white odd square and a black car."""
    mask = np.ones((40, 40), np.float32)
    things = [CutOut(np.full((40, 40, 3), 250, np.uint8), mask, OUTLIER, "cow")] if odd else []
    cars = [CutOut(np.full((40, 40, 3), 5, np.uint8), mask, 13, "car")] if known else []
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    return Objects(things, cars, [noise] if textures else [], [noise], 0, CPU)


class TestPaste:
    def test_inside_is_the_object_and_outside_is_untouched(self) -> None:
        for seed in range(5):
            shown = views()
            objects().paste(shown, Outliers(probability=1.0, known=0.0, shapes=0.0, most=1), Chance(seed, 8, CPU))
            odd = shown.labels == OUTLIER
            assert set(shown.labels.unique().tolist()) == {0, OUTLIER, IGNORE}
            assert (shown.images.mean(1)[odd] > 100).float().mean() > 0.9
            assert (shown.images.mean(1)[shown.labels == 0] - 90).abs().max() < 40  # an edge that is hardly there
            assert (shown.images.mean(1)[shown.labels == 0] == 90).float().mean() > 0.95
            assert odd.flatten(1).any(1).float().mean() > 0.7

    def test_known_objects_keep_their_class(self) -> None:
        shown = views()
        objects().paste(shown, Outliers(probability=0.0, known=1.0), Chance(0, 8, CPU))
        assert set(shown.labels.unique().tolist()) == {0, 13, IGNORE}
        assert (shown.images.mean(1)[shown.labels == 13] < 90).float().mean() > 0.9

    def test_shares_of_the_crops(self) -> None:
        shown = views()
        objects().paste(shown, Outliers(probability=0.0, known=0.0), Chance(0, 8, CPU))
        assert (shown.images == 90).all()
        many = Views(*(each.repeat(16, *(1 for _ in each.shape[1:])) for each in views()))
        objects().paste(many, Outliers(probability=0.5, known=0.0), Chance(0, 128, CPU))
        assert 0.3 < (many.labels == OUTLIER).flatten(1).any(1).float().mean() < 0.7

    def test_objects_stand_on_the_road_below_the_horizon(self) -> None:
        shown = views(10)
        shown.labels[:, 48:] = 0
        how = Outliers(probability=1.0, known=0.0, shapes=0.0, most=1, on_road=1.0)
        objects().paste(shown, how, Chance(3, 8, CPU))
        for label in shown.labels:
            rows = torch.nonzero((label == OUTLIER).any(1)).flatten()
            assert not len(rows) or rows.max() >= 44

    def test_a_random_shape_is_never_a_known_object(self) -> None:
        assert set(objects().any_odd(2, Chance(0, 200, CPU)).tolist()) == {0, 2, 3}  # 1 is the car

    def test_without_odd_objects_random_shapes_serve(self) -> None:
        shown = views()
        objects(odd=False).paste(shown, Outliers(probability=1.0, known=0.0), Chance(0, 8, CPU))
        assert (shown.labels == OUTLIER).any()
        assert not (shown.labels == 13).any()


class TestBank:
    def test_the_whole_scene_as_it_is_and_mirrored(self) -> None:
        label = np.repeat(np.arange(8, dtype=np.uint8), 8)[None].repeat(32, 0)
        bank = Bank([Scene(30 * label[..., None].repeat(3, 2), label, 2.0)], CPU)
        rows = torch.zeros(32, dtype=torch.int64)
        shown = bank.crops(rows, (64, 128), (0.25, 0.25), Chance(0, 32, CPU))
        first, last = shown.labels[:, :, 0].float(), shown.labels[:, :, -1].float()
        mirrored = first[:, 0] > last[:, 0]
        assert 8 <= int(mirrored.sum()) <= 24
        assert (torch.where(mirrored[:, None], last, first) <= 1).all()  # up to a tenth wider, cut
        assert (torch.where(mirrored[:, None], first, last) >= 6).all()
        assert (shown.images[:, 0] - 30 * shown.labels).abs().median() < 1
        assert torch.equal(shown.height, torch.full((32,), 64.0))
        assert torch.equal(shown.pixels, torch.full((32,), 2.0))
        assert torch.allclose(shown.horizon, torch.full((32,), 25.6))


class TestBatches:
    def test_a_batch_depends_on_its_step_alone(self, root: Path) -> None:
        whole = list(Batches(small(), root, CPU))
        assert len(whole) == 5
        later = list(Batches(small(), root, CPU, first=3))
        assert len(later) == 2
        for one, two in zip(whole[3:], later, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
        assert not torch.equal(whole[0][0], whole[1][0])
        images, labels, named = whole[0]
        assert (images.shape, images.dtype) == ((6, 3, 64, 128), torch.uint8)
        assert (labels.shape, labels.dtype) == ((6, 64, 128), torch.int64)
        assert (named.shape, named.dtype) == ((6, 19), torch.bool)
        assert any((labels == OUTLIER).any() for _, labels, _ in whole)

    def test_each_process_makes_its_own_part(self, root: Path) -> None:
        one, two = (Batches(small(), root, CPU, place=(rank, 2)).batch(0) for rank in (0, 1))
        assert len(one[0]) == len(two[0]) == 3
        assert not torch.equal(one[0], two[0])

    def test_image_label_and_set_belong_together(self, tmp_path: Path) -> None:
        root = training_root(tmp_path)
        rng = np.random.default_rng(1)
        for name, size, classes in (("cityscapes_small", 64, 19), ("camvid", 96, 11)):
            for number in range(3):
                blocks = rng.integers(0, classes, (4, 4), np.uint8)
                label = np.kron(blocks, np.ones((size // 4, size // 4), np.uint8))
                folder = root / name / "train"
                for each in (folder / "images").glob(f"{number:04d}.*"):
                    each.unlink()
                own = 10 * label[..., None].repeat(3, 2)
                write_pair(folder / "images" / f"{number:04d}.png", folder / "labels" / f"{number:04d}.png", own, label)
        from oddroad.learn.known import TO_CITYSCAPES

        scenes = Scenes(("cityscapes_small", "camvid"), (64, 128), (0.25, 0.6), distort=0.0, batched=True)
        images, labels, named = Batches(small(scenes=scenes, outliers=NOTHING), root, CPU).batch(0)
        assert 0 < int(named.all(1).sum()) < 6
        for image, label, all_named in zip(images, labels, named.all(1), strict=True):
            table = TO_CITYSCAPES["cityscapes_small" if all_named else "camvid"]
            back = np.zeros(256, np.uint8)
            back[table[:19]] = np.arange(19)
            error = np.abs(image[0].numpy().astype(int) - 10 * back[label.numpy()].astype(int))
            assert np.median(error) <= 1  # edges are soft, blocks are not
            assert (error < 6).mean() > 0.6

    def test_surfaces_and_distortions_change_no_label(self, root: Path) -> None:
        plain = small(scenes=replace(small().scenes, distort=0.0, surfaces=0.0))
        varied = small(scenes=replace(small().scenes, distort=1.0, surfaces=1.0))
        one, two = (Batches(each, root, CPU).batch(1) for each in (plain, varied))
        assert torch.equal(one[1], two[1])
        assert (one[0].float() - two[0].float()).abs().mean() > 3

    def test_without_objects(self, root: Path, tmp_path: Path) -> None:
        other = training_root(tmp_path)
        for each in (other / "coco128-seg").rglob("*.*"):
            each.unlink()
        images, labels, _ = Batches(small(outliers=NOTHING), other, CPU).batch(0)
        assert images.float().std() > 5
        assert not (labels == OUTLIER).any()

    def test_scenes_are_kept_no_higher_than_they_are_shown(self) -> None:
        scene = Scene(np.zeros((100, 300, 3), np.uint8), np.zeros((100, 300), np.uint8), 3.0)
        assert lowered(scene, 100) is scene
        assert lowered(scene, 50).image.shape == (50, 150, 3)
        assert lowered(scene, 50).label.shape == (50, 150)

    def test_what_does_not_fit_is_refused(self) -> None:
        with pytest.raises(InputError, match=r"no teacher has seen; set distillation\.weight = 0"):
            Training(small(distillation=Distillation(weight=1.0)))
        with pytest.raises(InputError, match=r"scenes\.crop is \(60, 128\); choose multiples of 8"):
            Training(small(scenes=replace(small().scenes, crop=(60, 128))))
