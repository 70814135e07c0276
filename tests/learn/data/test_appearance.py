"""Known surfaces under other light: what may change, and what may not; the sharp part of the validation set."""

from __future__ import annotations

import numpy as np
import pytest
from fabricated import training_root
from golden import DATA, needs_data

from oddroad.learn.data.appearance import detail_layer, mark, retexture, shade, vary
from oddroad.learn.data.crops import Crops
from oddroad.learn.data.sharp_scenes import HEIGHT, sharp_scenes
from oddroad.recipe import Outliers, Scenes
from oddroad.types import OUTLIER, UNNAMED

PICTURES = [np.random.default_rng(0).integers(0, 256, (50, 60, 3), np.uint8)]


def scene() -> tuple[np.ndarray, np.ndarray]:
    """Grey (60, 90): sky above, road below, an odd object on the road."""
    label = np.full((60, 90), 10, np.uint8)
    label[30:] = 0
    label[40:50, 40:50] = OUTLIER
    return np.full((60, 90, 3), 120, np.float32), label


class TestSurfaces:
    def test_marks_lie_on_the_road_alone(self) -> None:
        image, label = scene()
        changed = np.zeros(label.shape, bool)
        for seed in range(20):
            changed |= (mark(image.copy(), label, np.random.default_rng(seed)) != image).any(2)
        assert changed[label == 0].mean() > 0.2
        assert not changed[label != 0].any()

    def test_a_scene_without_a_road_gets_no_marks(self) -> None:
        image, label = scene()
        assert np.array_equal(mark(image.copy(), np.full_like(label, 10), np.random.default_rng(0)), image)

    def test_grain_is_centred_and_of_unit_strength(self) -> None:
        for seed in range(5):
            layer = detail_layer(PICTURES, (200, 300), np.random.default_rng(seed))
            assert layer.shape == (200, 300, 1)
            assert abs(layer.mean()) < 0.2
            assert 0.5 < layer.std() < 1.5

    def test_the_road_changes_without_the_sky_and_objects_by_themselves(self) -> None:
        image, label = scene()
        kinds = set()
        for seed in range(30):
            changed = retexture(image, label, PICTURES, np.random.default_rng(seed)) != image
            kinds.add((bool(changed[label == 0].any()), bool(changed[label == OUTLIER].any())))
        assert kinds == {(False, False), (False, True), (True, False), (True, True)}

    def test_shadows_darken_and_sun_lightens_every_channel_alike(self) -> None:
        image, _ = scene()
        factors = np.concatenate([(shade(image, np.random.default_rng(seed)) / image).ravel() for seed in range(20)])
        assert factors.min() < 0.85
        assert factors.max() > 1.1
        one = shade(image, np.random.default_rng(1))
        assert np.allclose(one[..., 0], one[..., 2])

    def test_the_same_seed_gives_the_same_crop_and_no_label_changes(self, tmp_path) -> None:
        root = training_root(tmp_path)
        scenes = Scenes(crop=(64, 128), scale=(0.3, 0.5), photometric=0.0)
        plain = Crops(root, scenes, Outliers(probability=1.0), 8, 3)
        varied = Crops(
            root,
            Scenes(crop=(64, 128), scale=(0.3, 0.5), photometric=0.0, appearance=1.0),
            Outliers(probability=1.0),
            8,
            3,
        )
        differ = 0
        for index in range(8):
            image, label = varied[index]
            assert np.array_equal(image, varied[index][0])
            assert np.array_equal(label, plain[index][1])
            differ += not np.array_equal(image, plain[index][0])
        assert differ >= 5

    def test_without_objects_the_grain_is_that_of_the_scene(self, tmp_path) -> None:
        root = training_root(tmp_path)
        scenes = Scenes(crop=(64, 128), scale=(0.3, 0.5), photometric=0.0, appearance=1.0)
        for index in range(4):
            image, label = Crops(root, scenes, Outliers(probability=0, in_distribution=0), 4, 3)[index]
            assert image.float().std() > 5
            assert not (label == OUTLIER).any()

    def test_values_stay_in_range(self) -> None:
        image, label = scene()
        bright = np.full(image.shape, 250, np.uint8)
        seen = [vary(bright, label, PICTURES, np.random.default_rng(seed)) for seed in range(10)]
        assert all(each.dtype == np.uint8 for each in seen)
        assert min(int(each.max()) for each in seen) >= 240  # nothing wrapped round


@needs_data
def test_sharp_scenes_hold_road_and_nothing_odd() -> None:
    scenes = sharp_scenes(DATA, repeats=1, every=110)
    assert len(scenes) == 2 + 3
    for each in scenes:
        assert each.image.shape[0] == HEIGHT
        assert each.image.shape[1] == pytest.approx(HEIGHT * each.aspect, abs=1)
        assert (each.label == 0).mean() > 0.1
        assert not (each.label == OUTLIER).any()
    assert all((each.label[:200] == UNNAMED).all() for each in scenes[2:])
