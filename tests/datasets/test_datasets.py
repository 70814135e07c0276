"""Data sets: every layout with its true names, the label rules, and what verify says."""

import json

import cv2
import numpy as np
import pytest
from golden import DATA, needs_data
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from oddroad import InputError
from oddroad.cli.main import main
from oddroad.datasets import DATASETS, completeness, read_image, read_label
from oddroad.datasets.driving import LABEL_IDS
from oddroad.datasets.verify import take_inventory, verify
from oddroad.io.images import resize_area, resize_nearest


def put(path, values, dtype=np.uint8):
    """Write a 2 x 4 image whose first pixels have these values."""
    pixels = np.zeros((2, 4), dtype)
    pixels.flat[: len(values)] = values
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)
    return path


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((2, 4, 3), (30, 20, 10), np.uint8))


ARCHIVE = "Validation_Dataset"
LAYOUTS = {
    "road_anomaly21": [
        (f"{ARCHIVE}/RoadAnomaly21/images/0.png", f"{ARCHIVE}/RoadAnomaly21/labels_masks/0.png"),
        (
            "dataset_AnomalyTrack/images/validation0000.jpg",
            "dataset_AnomalyTrack/labels_masks/validation0000_labels_semantic.png",
        ),
    ],
    "road_obstacle21": [
        (f"{ARCHIVE}/RoadObsticle21/images/0.webp", f"{ARCHIVE}/RoadObsticle21/labels_masks/0.png"),
        (
            "dataset_ObstacleTrack/images/validation_1.webp",
            "dataset_ObstacleTrack/labels_masks/validation_1_labels_semantic.png",
        ),
    ],
    "fishyscapes_lost_and_found": [
        (f"{ARCHIVE}/FS_LostFound_full/images/0.png", f"{ARCHIVE}/FS_LostFound_full/labels_masks/0.png"),
        (
            "leftImg8bit/test/04_Maurener_Weg_8/04_Maurener_Weg_8_000000_000030_leftImg8bit.png",
            "fishyscapes_lostandfound/0000_04_Maurener_Weg_8_000000_000030_labels.png",
        ),
    ],
    "fishyscapes_static": [
        (f"{ARCHIVE}/fs_static/images/0.jpg", f"{ARCHIVE}/fs_static/labels_masks/0.png"),
        ("fs_static_images/0_frankfurt_000000_000294_rgb.png", "fs_val_v3/0_frankfurt_000000_000294_labels.png"),
    ],
    "road_anomaly": [
        (f"{ARCHIVE}/RoadAnomaly/images/0.jpg", f"{ARCHIVE}/RoadAnomaly/labels_masks/0.png"),
        ("RoadAnomaly_jpg/frames/cones07.jpg", "RoadAnomaly_jpg/frames/cones07.labels/labels_semantic.png"),
    ],
}
CASES = [(name, *layout) for name, layouts in LAYOUTS.items() for layout in layouts]


@pytest.mark.parametrize(("name", "image", "label"), CASES)
def test_both_layouts_of_the_anomaly_sets(tmp_path, name, image, label):
    raw, ours = [0, 1, 255], [0, 1, 255]
    if name == "road_anomaly":
        raw, ours = [0, 2, 7], [0, 1, 255]
        (tmp_path / "RoadAnomaly_jpg").mkdir()
        (tmp_path / "RoadAnomaly_jpg/frame_list.json").write_text("[]")
    picture(tmp_path / image)
    put(tmp_path / label, raw)
    (sample,) = DATASETS[name].load(tmp_path, "val")
    assert read_label(sample).flat[:3].tolist() == ours
    assert np.abs(read_image(sample)[0, 0].astype(int) - [10, 20, 30]).max() <= 2
    if image.partition("/")[0] == label.partition("/")[0]:
        assert DATASETS[name].load(tmp_path / image.partition("/")[0], "val") == [sample]
    found = take_inventory(name, tmp_path, "val")
    assert found.images == 1
    assert found.prevalence == pytest.approx(1 / 7)
    assert found.problems == [f"1 of {DATASETS[name].counts['val']} images: incomplete"]


def test_the_complete_layout_wins(tmp_path):
    for number in range(2):
        picture(tmp_path / f"{ARCHIVE}/RoadAnomaly21/images/{number}.png")
        put(tmp_path / f"{ARCHIVE}/RoadAnomaly21/labels_masks/{number}.png", [1])
    picture(tmp_path / "dataset_AnomalyTrack/images/validation0000.jpg")
    put(tmp_path / "dataset_AnomalyTrack/labels_masks/validation0000_labels_semantic.png", [1])
    picture(tmp_path / "dataset_AnomalyTrack/images/airplane0000.jpg")
    assert [each.name for each in DATASETS["road_anomaly21"].load(tmp_path, "val")] == ["0", "1"]


def test_lost_and_found(tmp_path):
    def frame(name, values):
        drive = name.rsplit("_", 2)[0]
        picture(tmp_path / f"leftImg8bit/test/{drive}/{name}_leftImg8bit.png")
        put(tmp_path / f"gtCoarse/test/{drive}/{name}_gtCoarse_labelIds.png", values)

    frame("02_Hanns_Klemm_Str_44_000000_000010", [0, 1, 2, 42, 254])
    frame("02_Hanns_Klemm_Str_44_000000_000020", [])
    frame("15_Rechbergstr_Deckenpfronn_000000_000010", [1, 2])
    (sample,) = DATASETS["lost_and_found"].load(tmp_path, "test")
    assert sample.name == "02_Hanns_Klemm_Str_44_000000_000010"
    assert read_label(sample).flat[:5].tolist() == [255, 0, 1, 1, 255]


def test_cityscapes_prefers_train_ids_and_converts_label_ids(tmp_path):
    for stem in ("bochum_000000_000001", "bochum_000000_000002"):
        picture(tmp_path / f"cityscapes/leftImg8bit/val/bochum/{stem}_leftImg8bit.png")
        put(tmp_path / f"cityscapes/gtFine/val/bochum/{stem}_gtFine_labelIds.png", [0, 7, 26, 33, 29])
    put(tmp_path / "cityscapes/gtFine/val/bochum/bochum_000000_000001_gtFine_labelTrainIds.png", [255, 0, 13, 18, 19])
    for sample in DATASETS["cityscapes"].load(tmp_path, "val"):
        assert read_label(sample).flat[:5].tolist() == [255, 0, 13, 18, 255]


@needs_data
def test_label_ids_and_train_ids_of_real_cityscapes_agree():
    for sample in DATASETS["cityscapes"].load(DATA, "train"):
        ids = sample.label.with_name(sample.label.name.replace("labelTrainIds", "labelIds"))
        different = LABEL_IDS[cv2.imread(str(ids), cv2.IMREAD_UNCHANGED)] != read_label(sample)
        assert different.mean() < 0.01  # the two files were drawn apart and differ on outlines


def test_driving_sets(tmp_path):
    picture(tmp_path / "camvid/test/images/a.jpg")
    put(tmp_path / "camvid/test/labels/a.png", [0, 10, 11])
    picture(tmp_path / "segnet/CamVid/test/b.png")
    put(tmp_path / "segnet/CamVid/testannot/b.png", [10, 11])
    picture(tmp_path / "idd20k_lite/leftImg8bit/val/3/004642_image.jpg")
    put(tmp_path / "idd20k_lite/gtFine/val/3/004642_label.png", [6, 7, 255])
    picture(tmp_path / "cityscapes_small/val/images/001.jpg")
    put(tmp_path / "cityscapes_small/val/labels/001.png", [18, 19])
    (camvid,) = DATASETS["camvid"].load(tmp_path / "camvid", "test")
    (segnet,) = DATASETS["camvid"].load(tmp_path / "segnet", "test")
    (idd,) = DATASETS["idd_lite"].load(tmp_path, "val")
    (small,) = DATASETS["cityscapes_small"].load(tmp_path, "val")
    assert read_label(camvid).flat[:3].tolist() == [0, 10, 255]
    assert read_label(segnet).flat[:2].tolist() == [10, 255]
    assert read_label(idd).flat[:3].tolist() == [6, 255, 255]
    assert idd.name == "3_004642"
    assert read_label(small).shape == (256, 512)
    assert read_image(small).shape == (256, 512, 3)


def test_a_set_of_ones_own(tmp_path):
    picture(tmp_path / "images/a.jpg")
    picture(tmp_path / "images/without.jpg")
    put(tmp_path / "masks/a.png", [0, 1, 9, 3])
    (sample,) = DATASETS["folder"].load(tmp_path, "")
    assert read_label(sample).flat[:4].tolist() == [0, 1, 255, 255]
    (tmp_path / "classes.json").write_text(json.dumps({"known": [0, 1], "anomaly": [9]}))
    (sample,) = DATASETS["folder"].load(tmp_path, "")
    assert read_label(sample).flat[:4].tolist() == [0, 0, 1, 255]
    for wrong in ("[0]", '{"odd": [1]}', '{"anomaly": [300]}', '{"anomaly": 1}', "{"):
        (tmp_path / "classes.json").write_text(wrong)
        with pytest.raises(InputError, match=r"classes.json' should be like"):
            DATASETS["folder"].load(tmp_path, "")


def test_images_sort_by_number(tmp_path):
    for stem in ("10", "9", "100"):
        picture(tmp_path / f"images/{stem}.png")
        put(tmp_path / f"masks/{stem}.png", [1])
    assert [each.name for each in DATASETS["folder"].load(tmp_path, "")] == ["9", "10", "100"]


@pytest.mark.parametrize("name", DATASETS)
def test_a_missing_set_says_what_was_expected(tmp_path, name):
    with pytest.raises(InputError, match=r"expected|has both"):
        DATASETS[name].load(tmp_path, DATASETS[name].split)


def test_bad_labels_are_named(tmp_path):
    picture(tmp_path / "images/a.png")
    put(tmp_path / "masks/a.png", [1], np.uint16)
    (sample,) = DATASETS["folder"].load(tmp_path, "")
    with pytest.raises(InputError, match=r"masks/a.png' holds uint16"):
        read_label(sample)
    picture(tmp_path / "masks/a.png")
    with pytest.raises(InputError, match=r"masks/a.png' is a colour image"):
        read_label(sample)
    (tmp_path / "masks/a.png").write_bytes(b"none")
    with pytest.raises(InputError, match=r"masks/a.png' is no readable image"):
        read_label(sample)


def test_verify_tells_problems(tmp_path, capsys):
    for number in range(2):
        picture(tmp_path / f"{ARCHIVE}/RoadAnomaly21/images/{number}.png")
    put(tmp_path / f"{ARCHIVE}/RoadAnomaly21/labels_masks/0.png", [0, 99])
    (tmp_path / f"{ARCHIVE}/RoadAnomaly21/labels_masks/1.png").write_bytes(b"")
    (found,) = verify(tmp_path)
    assert found.problems[0] == "1 of 10 images: incomplete"
    assert "1.png' is no readable image" in found.problems[1]
    assert "[99] mean nothing" in found.problems[2]
    assert found.problems[3] == "no anomaly pixel in any label"
    with pytest.raises(SystemExit) as stop:
        main(["data", "verify", "--root", str(tmp_path)])
    assert stop.value.code == 1
    assert "road_anomaly21 val: 1 images with masks of 10 published" in capsys.readouterr().out


def test_verify_refuses_nothing_and_misspelt_names(tmp_path, capsys):
    assert main(["data", "verify", "--root", str(tmp_path)]) == 2
    assert "no data set below" in capsys.readouterr().err
    assert main(["data", "verify", "--root", str(tmp_path / "none")]) == 2
    assert "no folder" in capsys.readouterr().err
    assert main(["data", "verify", "--root", str(tmp_path), "--data", "road_anomly"]) == 2
    assert "did you mean 'road_anomaly'" in capsys.readouterr().err


@needs_data
def test_verify_on_the_real_benchmarks():
    found = {each.name: each for each in verify(DATA / "benchmarks", ["road_anomaly", "fishyscapes_lost_and_found"])}
    assert found["road_anomaly"].images == 60
    assert found["road_anomaly"].problems == []
    assert found["road_anomaly"].prevalence == pytest.approx(0.0985, abs=5e-5)
    assert found["fishyscapes_lost_and_found"].problems == ["5 of 100 images: incomplete"]


def test_completeness():
    assert completeness("road_anomaly", "val", 60) == ""
    assert completeness("road_anomaly", "val", 61) == "61 of 60 images: more than published"
    assert completeness("folder", "", 3) == ""


SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40))


@given(old=SIZES, new=SIZES, seed=st.integers(0, 99))
def test_resizing_an_image_equals_pillow(old, new, seed):
    image = np.random.default_rng(seed).integers(0, 256, (*old, 3)).astype(np.uint8)
    expected = np.asarray(Image.fromarray(image).resize(new[::-1], Image.Resampling.BILINEAR))
    assert np.abs(resize_area(image, new).astype(int) - expected).max() <= 1


@given(old=SIZES | st.just((720, 1280)), new=SIZES | st.just((512, 1024)))
def test_resizing_a_label_equals_pillow(old, new):
    label = np.random.default_rng(0).integers(0, 256, old).astype(np.uint8)
    expected = np.asarray(Image.fromarray(label).resize(new[::-1], Image.Resampling.NEAREST))
    np.testing.assert_array_equal(resize_nearest(label, new), expected)
