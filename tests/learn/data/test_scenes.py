"""Scenes of sets: sharp ones, and how often each is drawn."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from oddroad.datasets import DATASETS
from oddroad.errors import InputError
from oddroad.learn.data.class_balance import balanced
from oddroad.learn.data.crops import Crops
from oddroad.learn.data.scenes import SceneList
from oddroad.recipe import Outliers, Scenes
from oddroad.types import OUTLIER, UNNAMED


@pytest.fixture
def sharp(tmp_path):
    for kind in ("images", "labels"):
        (tmp_path / "cityscapes_sharp" / kind).mkdir(parents=True)
    for number in range(3):
        image = np.full((100, 200, 3), 40 * number, np.uint8)
        label = np.full((1, 256) if number == 2 else (100, 200), number, np.uint8)
        cv2.imwrite(str(tmp_path / "cityscapes_sharp" / "images" / f"{number}.jpg"), image)
        cv2.imwrite(str(tmp_path / "cityscapes_sharp" / "labels" / f"{number}.png"), label)
    return tmp_path


def test_a_label_that_is_no_map_is_left_out_and_said(sharp):
    samples = DATASETS["cityscapes_sharp"].load(sharp, "train")
    assert [each.name for each in samples] == ["0", "1"]
    assert samples.remarks() == ["2 of 3 images: 1 left out, label is no map (2.jpg)"]
    with pytest.raises(InputError, match="no split 'val'"):
        DATASETS["cityscapes_sharp"].load(sharp, "val")


def test_scenes_are_kept_at_the_height_that_crops_show(sharp):
    scenes = SceneList(sharp, ("cityscapes_sharp",), "train", rows=50)
    assert scenes[1].image.shape == (50, 100, 3)
    assert scenes[1].label.shape == (50, 100)
    assert (scenes[1].label == 1).all()
    assert SceneList(sharp, ("cityscapes_sharp",), "train", rows=500)[1].image.shape == (100, 200, 3)


def test_weights_of_sets(root):
    scenes = Scenes(sets=("cityscapes_small", "idd_lite"), weights=(("idd_lite", 3.0),))
    chances = np.diff(balanced(root, scenes), prepend=0)
    assert chances.sum() == pytest.approx(1)
    assert chances[-1] == pytest.approx(3 * chances[0])


def test_crops_with_everything(root):
    scenes = Scenes(
        ("cityscapes_small", "camvid"), (32, 64), (0.2, 0.5), photometric=0.0, weather=1.0, cameras=1.0,
        surfaces="coco128-seg/images/train2017",
    )  # fmt: skip
    outliers = Outliers(
        objects=(("coco128-seg", 1.0), ("objects/train/litter", 1.0)),
        probability=1.0,
        varied=1.0,
        patches=1.0,
        shapes=0.0,
    )
    crops = Crops(root, scenes, outliers, 20, 3)
    labels = [crops[number][1] for number in range(20)]
    assert sum(bool((each == OUTLIER).any()) for each in labels) > 5
    assert sum(bool((each == UNNAMED).any()) for each in labels) > 3
    plain = Crops(root, replace(scenes, weather=0.0, cameras=0.0), outliers, 20, 3)
    assert any((plain[number][0] != crops[number][0]).any() for number in range(5))
    assert len(crops.textures) > len(plain.objects.textures)
