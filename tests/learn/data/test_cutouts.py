"""Outlines as YOLO text: what is read, and that a wrong line is named with its file; training sets by the registry."""

import cv2
import numpy as np
import pytest

from oddroad import InputError
from oddroad.learn.data.cutouts import coco_objects
from oddroad.learn.data.scenes import SceneList, read_scene
from oddroad.types import OUTLIER, Sample

SQUARE = "0.2 0.2 0.8 0.2 0.8 0.8 0.2 0.8"


@pytest.fixture
def labels(tmp_path):
    """The label file of one picture of 120 x 160."""
    for kind in ("images", "labels"):
        (tmp_path / kind / "t").mkdir(parents=True)
    picture = np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "images/t/1.jpg"), picture)
    (tmp_path / "images/t/._1.jpg").write_bytes(b"")
    return tmp_path / "labels/t/1.txt"


def test_blank_lines_and_a_byte_order_mark_are_no_matter(labels):
    labels.write_text(f"\ufeff16 {SQUARE}\n\n  \n2 {SQUARE}\n79 1.004 -0.001 1 1 0 1\n", encoding="utf-8")
    found = coco_objects(labels.parents[2])
    assert [(each.kind, each.label) for each in found] == [("dog", OUTLIER), ("car", 13), ("toothbrush", OUTLIER)]
    assert found[0].image.shape == (73, 97, 3)
    assert found[0].alpha.all()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"80 {SQUARE}", "has class 80; expected a COCO class from 0 to 79"),
        (f"-1 {SQUARE}", "has class -1"),
        (f"16 {SQUARE} 0.5", "has an odd number of values"),
        ("16 0.5 0.5 0.1 0.1", "has 2 points"),
        ("16", "has 0 points"),
        (f"dog {SQUARE}", "is 'dog 0.2"),
        (f"16.5 {SQUARE}", "is '16.5 0.2"),
        (f"16 {SQUARE} 0.5 x", "numbers only"),
        (f"16 {SQUARE} 0.5 nan", "has a coordinate of nan"),
        ("16 20 20 80 20 80 80", "has a coordinate of 80; expected shares of the picture from 0 to 1"),
    ],
)
def test_a_wrong_line_is_named(labels, line, message):
    labels.write_text(f"16 {SQUARE}\n{line}\n")
    with pytest.raises(InputError, match=r"line 2 of '.*/t/1.txt' ") as error:
        coco_objects(labels.parents[2])
    assert message in str(error.value)


def test_a_damaged_picture_is_named(labels):
    labels.write_text(f"16 {SQUARE}\n")
    (labels.parents[2] / "images/t/1.jpg").write_bytes(b"none")
    with pytest.raises(InputError, match=r"1\.jpg"):
        coco_objects(labels.parents[2])


def test_a_scene_and_its_label_have_one_aspect(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((20, 40, 3), np.uint8))
    table = np.arange(256, dtype=np.uint8)
    for size, fits in (((20, 40), True), ((10, 20), True), ((40, 20), False), ((20, 30), False)):
        cv2.imwrite(str(tmp_path / "label.png"), np.ones(size, np.uint8))
        sample = Sample("a", tmp_path / "a.png", tmp_path / "label.png", table)
        if fits:
            scene = read_scene(sample, table)
            assert scene.label.shape == scene.image.shape[:2] == (20, 40)
        else:
            with pytest.raises(InputError, match="image 20 x 40, label"):
                read_scene(sample, table)


def test_only_sets_with_classes_can_be_trained_on(tmp_path):
    with pytest.raises(InputError, match="no training set called 'road_anomaly'"):
        SceneList(tmp_path, ["road_anomaly"], "train")
