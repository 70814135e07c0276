"""Data sets: every layout with its true names, the label rules, and what verify says."""

import json
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from golden import DATA, needs_data
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from oddroad import InputError
from oddroad.cli.main import main
from oddroad.datasets import DATASETS, completeness, read_image, read_label, training_table
from oddroad.datasets.driving import LABEL_IDS
from oddroad.datasets.read import read_raw_label, same_aspect
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
    assert sample.sequence == sample.unit == "02_Hanns_Klemm_Str_44_000000"
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
    (tmp_path / "classes.json").write_text(json.dumps({"known": [0], "anomaly": [9]}), encoding="utf-8-sig")  # Windows
    (sample,) = DATASETS["folder"].load(tmp_path, "")
    assert read_label(sample).flat[:4].tolist() == [0, 255, 1, 255]
    for wrong in (
        "[0]",
        '{"known": [0], "anomaly": [0]}',
        '{"known": [-1]}',
        '{"odd": [1]}',
        '{"anomaly": [300]}',
        '{"anomaly": 1}',
        "{",
    ):
        (tmp_path / "classes.json").write_text(wrong)
        with pytest.raises(InputError, match=r"classes.json' should be like"):
            DATASETS["folder"].load(tmp_path, "")


def test_frames_of_a_drive_in_a_set_of_ones_own(tmp_path):
    for name in "abc":
        picture(tmp_path / f"images/{name}.jpg")
        put(tmp_path / f"masks/{name}.png", [0, 1])
    assert [each.unit for each in DATASETS["folder"].load(tmp_path, "")] == ["a", "b", "c"]
    (tmp_path / "sequences.json").write_text('{"drive 1": ["a", "c"]}', encoding="utf-8-sig")  # as Windows writes it
    assert [each.unit for each in DATASETS["folder"].load(tmp_path, "")] == ["drive 1", "b", "drive 1"]
    for wrong in ("[]", "{}", "{", '{"x": 1}', '{"x": ["a"], "y": ["a"]}', '{"x": "a"}', '{"x": [["a"]]}', "7"):
        (tmp_path / "sequences.json").write_text(wrong)
        with pytest.raises(InputError, match=r"sequences.json' should be like"):
            DATASETS["folder"].load(tmp_path, "")
    (tmp_path / "sequences.json").write_text('{"drive 1": ["a", "a.jpg"]}')
    with pytest.raises(InputError, match=r"names 1 image that are not there \(a.jpg\)"):
        DATASETS["folder"].load(tmp_path, "")
    (tmp_path / "sequences.json").write_text('{"b": ["a", "c"]}')
    with pytest.raises(InputError, match="calls a sequence 'b', which is the name of an image"):
        DATASETS["folder"].load(tmp_path, "")


def test_recordings_of_fishyscapes_lost_and_found(tmp_path):
    for frame in ("04_Maurener_Weg_8_000000_000030", "04_Maurener_Weg_8_000000_000040", "07_Festplatz_000001_000010"):
        picture(tmp_path / f"leftImg8bit/test/{frame}_leftImg8bit.png")
        put(tmp_path / f"fishyscapes_lostandfound/0000_{frame}_labels.png", [1])
    found = [each.unit for each in DATASETS["fishyscapes_lost_and_found"].load(tmp_path, "val")]
    assert found == ["04_Maurener_Weg_8_000000"] * 2 + ["07_Festplatz_000001"]


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
    put(tmp_path / "masks/a.png", [1, 300], np.uint16)
    (sample,) = DATASETS["folder"].load(tmp_path, "")
    with pytest.raises(InputError, match=r"masks/a.png' holds uint16 with values such as \[300\]; expected whole"):
        read_label(sample)
    picture(tmp_path / "masks/a.png")
    with pytest.raises(InputError, match=r"masks/a.png' is a colour image \(RGB such as \[10, 20, 30\]\)"):
        read_label(sample)
    for damage in (b"none", b"", b"\x89PNG\r\n\x1a\n", (tmp_path / "images/a.png").read_bytes()[:50]):
        (tmp_path / "masks/a.png").write_bytes(damage)
        with pytest.raises(InputError, match=r"masks/a.png' is (cut off or damaged|no readable image)"):
            read_label(sample)
    (tmp_path / "masks/a.png").unlink()
    with pytest.raises(InputError, match=r"no label file '.*masks/a.png'"):
        read_label(sample)


NUMBERS = np.uint8([[0, 1, 2, 3], [1, 1, 0, 0]])


def save(kind, path):
    """NUMBERS as a label of some kind; of one bit, whether they are odd."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(NUMBERS)
    if kind.startswith("palette"):
        image = Image.frombytes("P", (4, 2), NUMBERS.tobytes())
        colours = {"palette black and white": [0, 0, 0, 255, 255, 255, 9, 9, 9, 8, 8, 8], "palette grey": [7, 7, 7] * 4}
        image.putpalette(colours.get(kind, [1, 1, 1, 0, 0, 0, 128, 0, 0, 0, 128, 0]))
    if kind == "1 bit":
        image = Image.fromarray(NUMBERS % 2 == 1)
    if kind == "16 bit":
        image = Image.fromarray(NUMBERS.astype(np.uint16))
    if kind == "grey as colour":
        image = image.convert("RGB")
    if kind == "2 bit":
        rows = [sum(int(value) << shift for value, shift in zip(row, (6, 4, 2, 0), strict=True)) for row in NUMBERS]
        packed = zlib.compress(b"".join(b"\0" + bytes([row]) for row in rows))
        parts = [(b"IHDR", struct.pack(">IIBBBBB", 4, 2, 2, 0, 0, 0, 0)), (b"IDAT", packed), (b"IEND", b"")]
        chunks = (struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in parts)
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
        return
    image.save(path)


KINDS = ["8 bit", "1 bit", "2 bit", "16 bit", "palette", "palette black and white", "palette grey", "grey as colour"]


@pytest.mark.parametrize("ending", [".png", ".bmp", ".tif", ".PNG"])
@pytest.mark.parametrize("kind", KINDS)
def test_labels_are_numbers_and_never_colours(tmp_path, kind, ending):
    if ending == ".bmp" and kind == "16 bit":
        pytest.skip("BMP has no 16 bits")
    picture(tmp_path / "images/a.png")
    save(kind, tmp_path / f"masks/a{ending}")
    (sample,) = DATASETS["folder"].load(tmp_path, "")
    wanted = NUMBERS % 2 if kind == "1 bit" else NUMBERS
    np.testing.assert_array_equal(read_raw_label(sample), wanted)
    np.testing.assert_array_equal(read_label(sample), np.where(wanted < 2, wanted, 255))


def test_every_loader_says_what_it_left_out(tmp_path):
    for number in range(6):
        picture(tmp_path / f"own/images/{number}.png")
    for number in (0, 1, 9):
        put(tmp_path / f"own/masks/{number}.png", [1])
    (tmp_path / "own/images/notes.txt").write_text("")
    put(tmp_path / "own/images/5_mask.png", [1])
    for hidden in ("own/images/._0.png", "own/images/.x.png", "own/masks/._0.png"):
        (tmp_path / hidden).write_bytes(b"no image")
    found = DATASETS["folder"].load(tmp_path / "own", "")
    assert [each.name for each in found] == ["0", "1"]
    assert found.remarks() == [
        "2 of 6 images: 4 left out, no mask of the same name (2.png, 3.png, 4.png, ...)",
        "1 label left out, no image to this label (9.png)",
        "2 of 3 images: 1 left out, labels by their name (5_mask.png)",
        "2 of 3 images: 1 left out, no images (notes.txt)",
    ]
    for name, layouts in LAYOUTS.items():
        for at, (image, label) in enumerate(layouts):
            root = tmp_path / f"{name}{at}"
            (root / "RoadAnomaly_jpg").mkdir(parents=True)
            (root / "RoadAnomaly_jpg/frame_list.json").write_text("[]")
            picture(root / image)
            put(root / label, [0, 1])
            hidden = (root / image).with_name("._" + (root / image).name)
            hidden.write_bytes(b"")
            (root / label).with_name("._" + (root / label).name).write_bytes(b"")
            lost = [image, label][name.startswith("fishyscapes") and at == 1]
            extra = Path(lost).name.replace("0000_", "0001_x").replace("0_frank", "1_frank").replace("cones07", "more")
            extra = extra.replace("validation", "validation_x") if at else extra
            more = root / Path(lost).parent / (extra if extra != Path(lost).name else f"1{extra}")
            picture(more) if lost is image else put(more, [1])
            found = DATASETS[name].load(root, "val")
            assert len(found) == 1, name
            (remark,) = found.remarks()
            assert more.name in remark, name


def test_smiyc_test_images_are_said(tmp_path):
    picture(tmp_path / "dataset_AnomalyTrack/images/validation0000.jpg")
    put(tmp_path / "dataset_AnomalyTrack/labels_masks/validation0000_labels_semantic.png", [1])
    picture(tmp_path / "dataset_AnomalyTrack/images/airplane0000.jpg")
    (remark,) = DATASETS["road_anomaly21"].load(tmp_path, "val").remarks()
    assert remark.startswith("1 of 2 images: 1 left out, of the test split, whose labels are not public (airplane0000")


@pytest.mark.parametrize("name", ["cityscapes", "cityscapes_small", "camvid", "idd_lite"])
def test_a_class_set_refuses_an_image_without_a_label(tmp_path, name):
    images = {
        "cityscapes": ["leftImg8bit/val/a/a_1_leftImg8bit.png", "gtFine/val/a/a_1_gtFine_labelIds.png"],
        "cityscapes_small": ["cityscapes_small/val/images/1.jpg", "cityscapes_small/val/labels/1.png"],
        "camvid": ["camvid/val/images/1.jpg", "camvid/val/labels/1.png"],
        "idd_lite": ["idd20k_lite/leftImg8bit/val/3/1_image.jpg", "idd20k_lite/gtFine/val/3/1_label.png"],
    }[name]
    picture(tmp_path / images[0])
    put(tmp_path / images[1], [1])
    (tmp_path / images[0]).with_name("._" + Path(images[0]).name).write_bytes(b"")
    assert len(DATASETS[name].load(tmp_path, "val")) == 1
    lost = tmp_path / images[0].replace("1", "2")
    lost.parent.mkdir(parents=True, exist_ok=True)
    picture(lost)
    with pytest.raises(InputError, match=rf"no label for 1 of 2 images \({lost.name}\); expected"):
        DATASETS[name].load(tmp_path, "val")


def test_masks_may_lie_in_a_folder_that_says_so_and_images_are_told_by_their_content(tmp_path):
    picture(tmp_path / "images/a.png")
    (tmp_path / "images/a.png").rename(tmp_path / "images/a.photo")
    put(tmp_path / "ground_truth/a.png", [1])
    (sample,) = DATASETS["folder"].load(tmp_path, "")
    assert (sample.image.name, sample.label) == ("a.photo", tmp_path / "ground_truth/a.png")
    (tmp_path / "labels").mkdir()
    with pytest.raises(InputError, match="no folders 'images' and 'masks'"):
        DATASETS["folder"].load(tmp_path, "")


def test_two_images_of_one_name_are_refused(tmp_path):
    for ending in ("png", "jpg"):
        picture(tmp_path / f"images/a.{ending}")
    put(tmp_path / "masks/a.png", [1])
    with pytest.raises(InputError, match=r"'a.(png|jpg)' and 'a.(png|jpg)' in .* have one name"):
        DATASETS["folder"].load(tmp_path, "")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ((1080, 1920), (135, 240), True),
        ((1052, 1914), (264, 480), True),  # padded to a multiple of 32, at a stride of 4
        ((1052, 1914), (131, 239), True),
        ((120, 200), (200, 120), False),
        ((120, 200), (100, 200), False),
        ((120, 200), (119, 199), True),
        ((512, 1024), (1080, 1920), False),
    ],
)
def test_one_aspect_within_rounding(one, other, same):
    assert same_aspect(one, other) is same
    assert same_aspect(other, one) is same


def test_the_help_lists_the_layouts_of_the_registry(capsys):
    with pytest.raises(SystemExit):
        main(["data", "verify", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    for name, entry in DATASETS.items():
        assert f"- {name}: {entry.layout}" in said


def test_training_sets_are_those_with_a_table_to_cityscapes():
    assert training_table("camvid")[:3].tolist() == [10, 2, 5]
    with pytest.raises(InputError, match=r"no training set called 'road_anomaly'.*There are: cityscapes, "):
        training_table("road_anomaly")


def test_verify_tells_problems(tmp_path, capsys):
    for number in range(2):
        picture(tmp_path / f"{ARCHIVE}/RoadAnomaly21/images/{number}.png")
    put(tmp_path / f"{ARCHIVE}/RoadAnomaly21/labels_masks/0.png", [0, 99])
    (tmp_path / f"{ARCHIVE}/RoadAnomaly21/labels_masks/1.png").write_bytes(b"")
    (found,) = verify(tmp_path)
    assert found.problems[0] == "1 of 10 images: incomplete"
    assert "1.png' is no readable image" in found.problems[1]
    assert "[99] mean nothing" in found.problems[2]
    assert found.problems[3].startswith(
        "no anomaly pixel in any label; the labels hold 0 (87.5 %, in-distribution), 99"
    )
    with pytest.raises(SystemExit) as stop:
        main(["data", "verify", "--root", str(tmp_path)])
    assert stop.value.code == 1
    assert "road_anomaly21 val: 1 image with masks of 10 published" in capsys.readouterr().out


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
    apart = np.abs(resize_area(image, new).astype(int) - expected)
    assert apart.max() <= 2  # both round twice, once for each axis, and halves may fall either way each time
    assert (apart > 1).sum() <= 1 + apart.size // 1000


@given(old=SIZES | st.just((720, 1280)), new=SIZES | st.just((512, 1024)))
def test_resizing_a_label_equals_pillow(old, new):
    label = np.random.default_rng(0).integers(0, 256, old).astype(np.uint8)
    expected = np.asarray(Image.fromarray(label).resize(new[::-1], Image.Resampling.NEAREST))
    np.testing.assert_array_equal(resize_nearest(label, new), expected)
