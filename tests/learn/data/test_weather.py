"""Weather, cameras, shadows and patches: what they change, and what they must not."""

import numpy as np
import pytest

from oddroad.learn.data.cameras import bonnet, ego_vehicle, vary_camera, wiper
from oddroad.learn.data.cutouts import CutOut
from oddroad.learn.data.pasting import Placement, cast_shadow, known_patch, relit
from oddroad.learn.data.road_surfaces import concrete, lines, painted_signs, repairs, resurfaced, shade
from oddroad.learn.data.weather import KINDS, drops, fog, low_sun, night, rain, weathered
from oddroad.types import IGNORE, OUTLIER, UNNAMED


@pytest.fixture
def scene():
    rng = np.random.default_rng(3)
    image = rng.integers(60, 200, (96, 160, 3)).astype(np.uint8)
    label = np.full((96, 160), 2, np.uint8)
    label[48:] = 0
    label[60:70, 70:80] = OUTLIER
    return image, label


@pytest.mark.parametrize("kind", range(len(KINDS)))
@pytest.mark.parametrize("seed", range(4))
def test_weather_changes_the_picture_and_keeps_its_kind(kind, seed, scene):
    image, _ = scene
    before = image.copy()
    found = weathered(image, np.random.default_rng(seed), kind)
    assert (found.dtype, found.shape) == (np.uint8, image.shape)
    assert (image == before).all()
    assert (found != image).any()
    assert (found == weathered(image, np.random.default_rng(seed), kind)).all()


def test_night_is_dark_fog_is_grey_afar_the_sun_dazzles(scene):
    image = scene[0].astype(np.float32)
    for seed in range(6):
        assert np.median(night(image, np.random.default_rng(seed))) < 0.7 * np.median(image)
        misty = fog(image, np.random.default_rng(seed))
        assert misty[:8].std() < 0.9 * misty[-8:].std() + 1
        assert low_sun(image, np.random.default_rng(seed)).max() > 0
        assert rain(image, np.random.default_rng(seed)).mean() < image.mean() + 20
        assert drops(image, np.random.default_rng(seed)).shape == image.shape


def test_the_own_bonnet_is_known(scene):
    _, label = scene
    label[90:] = IGNORE
    label[5] = IGNORE
    found = ego_vehicle(label)
    assert (found[90:] == UNNAMED).all()
    assert (found[5] == IGNORE).all()
    assert (label[90:] == IGNORE).all()
    label[:] = 0
    assert ego_vehicle(label) is label


def test_roads_of_other_kinds_stay_on_the_road_and_keep_labels(scene):
    for draw in (lines, concrete, resurfaced, repairs, painted_signs):
        changed = False
        for seed in range(5):
            image, label = (each.copy() for each in scene)
            draw(image, label, np.random.default_rng(seed))
            assert (label == scene[1]).all()
            assert (image == scene[0])[scene[1] != 0].all()
            changed |= bool((image != scene[0]).any())
        assert changed


def test_shade_darkens_the_ground_and_spares_what_is_odd(scene):
    for seed in range(5):
        image, label = (each.copy() for each in scene)
        shade(image, label, np.random.default_rng(seed))
        assert (image <= scene[0]).all()
        assert (image == scene[0])[label == OUTLIER].all()
        assert (image[:30] == scene[0][:30]).all()
        assert (label == scene[1]).all()
        assert (image < scene[0])[50:].any()


def test_bonnet_and_wiper_are_in_distribution_where_they_hide_something(scene):
    for draw, least in ((bonnet, 0.01), (wiper, 0.0005)):
        image, label = (each.copy() for each in scene)
        draw(image, label, np.random.default_rng(1))
        hidden = label != scene[1]
        assert hidden.mean() > least
        assert (label[hidden] == UNNAMED).all()
        far = ~hidden & ((image.astype(int) - scene[0]).__abs__().max(2) == 0)
        assert far.any()
    image, label = (each.copy() for each in scene)
    changed = vary_camera(image, label, np.random.default_rng(0))
    assert (image == scene[0]).all()
    assert (label == scene[1]).all()
    assert changed[0].shape == image.shape


def test_patches_of_the_road_stay_known_and_change_only_the_road(scene):
    moved = 0
    for seed in range(20):
        image, label = (each.copy() for each in scene)
        known_patch(image, label, np.random.default_rng(seed))
        assert (label == scene[1]).all()
        assert (image == scene[0])[scene[1] != 0].all()
        moved += bool((image != scene[0]).any())
    assert moved >= 5


def test_relit_objects_keep_their_shape_and_never_grow(scene):
    alpha = np.zeros((20, 30), np.float32)
    alpha[4:16, 5:25] = 1
    cutout = CutOut(np.full((20, 30, 3), 120, np.uint8), alpha, OUTLIER, "box")
    for seed in range(8):
        found = relit(cutout, 20, np.random.default_rng(seed))
        assert (found.image.shape, found.alpha.shape) == ((20, 30, 3), (20, 30))
        assert (found.alpha > 0.5).sum() <= (alpha > 0.5).sum() + 10
        assert (found.label, found.kind) == (OUTLIER, "box")
    image = scene[0].copy()
    cast_shadow(image, cutout, Placement((40, 80), 20), np.random.default_rng(0))
    assert (image <= scene[0]).all()
    assert image[78:82, 35:45].mean() < scene[0][78:82, 35:45].mean() - 5
    assert (image[:40] == scene[0][:40]).all()
