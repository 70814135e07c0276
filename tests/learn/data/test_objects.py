"""Folders of objects to paste."""

from collections import Counter

import cv2
import numpy as np
import pytest

from oddroad.errors import InputError
from oddroad.learn.data.cutouts import HELD_OUT
from oddroad.learn.data.objects import DROPPED, CutOutFiles, Objects
from oddroad.types import OUTLIER


def write(path, colour, alpha):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.zeros((*alpha.shape, 4), np.uint8)
    picture[..., :3], picture[..., 3] = colour[::-1], alpha
    cv2.imwrite(str(path), picture, [cv2.IMWRITE_WEBP_QUALITY, 101])


@pytest.fixture
def folder(tmp_path):
    soft = np.full((12, 8), 255, np.uint8)
    soft[0] = 51
    write(tmp_path / "set" / "sofa-1-cut.webp", (200, 10, 30), soft)
    write(tmp_path / "set" / "deep" / "tyre.png", (10, 20, 30), soft)
    write(tmp_path / "set" / f"{sorted(DROPPED)[0]}-3.webp", (1, 2, 3), soft)
    return tmp_path / "set"


def test_cut_outs_are_read_with_their_edges(folder):
    found = CutOutFiles(folder)
    assert sorted(each.kind for each in found) == ["sofa", "tyre"]
    sofa = next(each for each in found if each.kind == "sofa")
    assert sofa.image.shape == (12, 8, 3)
    assert np.abs(sofa.image[5, 5].astype(int) - (200, 10, 30)).max() <= 2
    assert sofa.alpha.dtype == np.float32
    assert sofa.alpha[0, 0] == pytest.approx(0.2, abs=0.01)
    assert sofa.alpha[1, 0] == 1
    assert sofa.label == OUTLIER


def test_what_is_no_cut_out_is_named(folder, tmp_path):
    cv2.imwrite(str(folder / "photo.png"), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(InputError, match=r"photo\.png' is no picture with an alpha channel"):
        list(CutOutFiles(folder))
    with pytest.raises(InputError, match="no objects below"):
        CutOutFiles(tmp_path / "nothing")


def test_folders_are_drawn_by_their_shares(folder, tmp_path):
    write(tmp_path / "other" / "cow.png", (9, 9, 9), np.full((5, 5), 255, np.uint8))
    objects = Objects(tmp_path, (("set", 3.0), ("other", 1.0)))
    rng = np.random.default_rng(0)
    kinds = Counter(objects.draw(rng).kind for _ in range(400))
    assert 60 < kinds["cow"] < 140
    assert kinds["sofa"] > 100
    assert kinds["tyre"] > 100


def test_held_out_classes_of_coco_pictures_are_kept_apart(root):
    share = (("coco128-seg", 1.0),)
    train, held_out = Objects(root, share), Objects(root, share, held_out=True)
    kinds, others = ({each.kind for each in one.outliers[0]} for one in (train, held_out))
    assert kinds
    assert others
    assert not kinds & HELD_OUT
    assert others <= HELD_OUT
    assert {each.label for each in train.classes}.isdisjoint({OUTLIER})
