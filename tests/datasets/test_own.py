"""Sets of one's own to train on: class maps, pairs, splits by drive, and what is said about them."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from own_drives import COLOUR_MAP, MAP, write_drives
from PIL import Image

from oddroad.cli.main import main
from oddroad.datasets import class_names, find_set, table_of, training_set
from oddroad.datasets.class_map import read_class_map
from oddroad.datasets.own import own_samples
from oddroad.datasets.own_report import own_inventories
from oddroad.datasets.read import read_raw_label
from oddroad.errors import InputError
from oddroad.types import CITYSCAPES_CLASSES, IGNORE, OUTLIER, UNNAMED

pytest.importorskip("yaml", reason="class maps in YAML need PyYAML")


def write_map(folder: Path, text: str, name: str = "classes.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


class TestClassMap:
    def test_yaml_and_csv_say_the_same(self, tmp_path: Path) -> None:
        yaml = read_class_map(write_map(tmp_path, "classes: {road: [7, 8], car: 26}\nignore: 0\nknown: 9\noutlier: 50"))
        rows = "name,value,means\nroad,7,\nroad,8,class\ncar,26,\nx,0,ignore\ny,9,known\nz,50,outlier\n"
        table = read_class_map(write_map(tmp_path, rows, "classes.csv"))
        assert yaml.classes == table.classes == ("road", "car")
        assert yaml.codes == table.codes == {7: 0, 8: 0, 26: 1, 0: IGNORE, 9: UNNAMED, 50: OUTLIER}
        assert not yaml.colours

    @pytest.mark.parametrize("page", ["training.md", "research/commercial.md"])
    def test_those_of_the_docs_are_read(self, tmp_path: Path, page: str) -> None:
        text = (Path(__file__).resolve().parents[2] / "docs" / page).read_text()
        maps = [
            each for each in re.findall(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE) if "classes:" in each
        ]
        assert maps
        for each in maps:
            assert read_class_map(write_map(tmp_path, each)).classes[0] == "road"

    def test_colours_in_all_spellings(self, tmp_path: Path) -> None:
        found = read_class_map(write_map(tmp_path, 'classes: {road: "#804080", car: "0, 0, 142"}\nignore: rest'))
        assert found.codes == {0x804080: 0, 142: 1}
        assert found.colours
        assert found.rest == IGNORE

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("classes: {road: 7}", "has 1 classes; expected 2 to 199"),
            ("classes: {road: 7, car: 7}", "7 stands for 'road' and for 'car'"),
            ('classes: {road: 7, car: "#000000"}', "has values and colours"),
            ("classes: {car: 1, road: 7}", "the class 'road' comes first"),
            ("classes: {road: 7, car: x}", "'x' is no value from 0 to 65535"),
            ("classes: {road: 7, car: }", "class 'car' has no value"),
            ("classes: {road: 7, car: 1}\nignored: 3", "no key 'ignored'"),
            ("classes: {road: 7, road: 1}", "'road' stands twice"),
            ("- road", "expected such as classes:"),
            ("classes: {road: 7, car: 1}\ndrive: abc", "expected one group that is the drive"),
            ("classes: {road: 7, car: 1}\ndrive: (", "no regular expression"),
            ("classes: [", "no YAML"),
        ],
    )
    def test_mistakes_are_one_line(self, tmp_path: Path, text: str, said: str) -> None:
        with pytest.raises(InputError, match=r"class map '.*classes.yaml': ") as caught:
            read_class_map(write_map(tmp_path, text))
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_names_of_cityscapes_are_brought_to_its_numbers(self, tmp_path: Path) -> None:
        found = read_class_map(write_map(tmp_path, "classes: {road: 7, car: 26}\noutlier: 50")).to_cityscapes()
        assert found is not None
        assert found[[0, 1, 2, OUTLIER, UNNAMED, IGNORE]].tolist() == [0, 13, IGNORE, OUTLIER, UNNAMED, IGNORE]
        assert read_class_map(write_map(tmp_path, MAP)).to_cityscapes() is None  # a tree is no class of Cityscapes


class TestReading:
    @pytest.mark.parametrize("colours", [False, True])
    def test_masks_become_training_labels(self, tmp_path: Path, colours: bool) -> None:
        write_drives(tmp_path / "mine", colours=colours)
        label = read_raw_label(own_samples(tmp_path, "mine", "train")[0])
        assert label[0, 0] == IGNORE
        assert (label[5, 5], label[30, 30], label[18, 10]) == (2, 0, 1)

    def test_palettes_are_read_as_indices_or_as_colours(self, tmp_path: Path) -> None:
        write_drives(tmp_path / "mine", colours=True)
        numbers = np.zeros((32, 64), np.uint8)
        numbers[14:] = 7
        picture = Image.fromarray(numbers, "P")
        palette = [0] * 768
        palette[21:24] = [128, 64, 128]
        picture.putpalette(palette)
        for each in (tmp_path / "mine" / "masks").rglob("*.png"):
            picture.save(each)
        for text in (COLOUR_MAP, MAP):
            write_map(tmp_path / "mine", text)
            label = read_raw_label(own_samples(tmp_path, "mine", "train")[0])
            assert (label[20:] == 0).all()
            assert (label[:14] == IGNORE).all()

    def test_16_bits(self, tmp_path: Path) -> None:
        write_drives(tmp_path / "mine", text="classes: {road: 700, car: 65535}")
        mask = np.full((32, 64), 700, np.uint16)
        mask[:3] = 65535
        for each in (tmp_path / "mine" / "masks").rglob("*.png"):
            cv2.imwrite(str(each), mask)
        label = read_raw_label(own_samples(tmp_path, "mine", "train")[0])
        assert (label[:3] == 1).all()
        assert (label[3:] == 0).all()

    def test_what_the_map_lacks_is_an_error_or_the_rest(self, tmp_path: Path) -> None:
        write_drives(tmp_path / "mine", text="classes: {road: 7, car: 26}\nignore: 0")
        with pytest.raises(InputError, match="holds 21, which the class map does not name"):
            read_raw_label(own_samples(tmp_path, "mine", "train")[0])
        write_map(tmp_path / "mine", "classes: {road: 7, car: 26}\nknown: rest")
        assert read_raw_label(own_samples(tmp_path, "mine", "train")[0])[5, 5] == UNNAMED


class TestSplits:
    def test_a_drive_is_on_one_side(self, tmp_path: Path) -> None:
        write_drives(tmp_path / "mine", tuple("abcdefg"))
        sides = {split: own_samples(tmp_path, "mine", split) for split in ("train", "val")}
        train, val = ({each.sequence for each in sides[split]} for split in sides)
        assert train | val == set("abcdefg")
        assert not train & val
        assert len(val) == 2
        assert sum(map(len, sides.values())) == 14

    def test_the_map_may_name_the_drives_and_say_what_a_drive_is(self, tmp_path: Path) -> None:
        write_drives(tmp_path / "mine", ("x",), frames=4)
        for folder in ("images", "masks"):
            for each in (tmp_path / "mine" / folder / "x").iterdir():
                each.rename(each.parent.parent / f"{'day' if '0' in each.stem[-1] else 'night'}_{each.stem}.png")
            (tmp_path / "mine" / folder / "x").rmdir()
        with pytest.raises(InputError, match=r"all 4 images of .* are of one drive, as far as folders say"):
            own_samples(tmp_path, "mine", "train")
        write_map(tmp_path / "mine", MAP + 'drive: "(.+)_[0-9]+"\nvalidation: night\n')
        assert [each.name for each in own_samples(tmp_path, "mine", "val")] == ["night_001", "night_002", "night_003"]
        write_map(tmp_path / "mine", MAP + 'drive: "(.+)_[0-9]+"\nvalidation: [dusk]\n')
        with pytest.raises(InputError, match="names drive 'dusk'; there are: day, night"):
            own_samples(tmp_path, "mine", "val")

    def test_by_folder(self, tmp_path: Path) -> None:
        home = tmp_path / "mine"
        for split, drives in (("train", ("a", "b")), ("val", ("c",))):
            write_drives(home / split, drives)
            (home / split / "classes.yaml").unlink()
        write_map(home, MAP)
        with pytest.raises(InputError, match="the same picture, on both sides"):
            own_samples(tmp_path, "mine", "train")  # write_drives draws the same pictures again
        for each in (home / "val" / "images").rglob("*.png"):
            cv2.imwrite(str(each), 255 - cv2.imread(str(each)))
        assert len(own_samples(tmp_path, "mine", "train")) == 4
        assert len(own_samples(tmp_path, "mine", "val")) == 2
        for folder in ("images", "masks"):
            shutil.copytree(home / "train" / folder / "a", home / "val" / folder / "a")
        with pytest.raises(InputError, match="drive 'a' lies in train and in val"):
            own_samples(tmp_path, "mine", "val")
        shutil.rmtree(home / "val")
        with pytest.raises(InputError, match="has no folder 'val', only train"):
            own_samples(tmp_path, "mine", "val")

    def test_masks_with_other_names(self, tmp_path: Path) -> None:
        write_drives(tmp_path / "mine")
        for each in (tmp_path / "mine" / "masks").rglob("*.png"):
            each.rename(each.with_name(f"{each.stem}_mask.png"))
        with pytest.raises(InputError, match=r"none of 6 images .* has a mask of the same name"):
            own_samples(tmp_path, "mine", "train")
        write_map(tmp_path / "mine", MAP + "mask_suffix: _mask\n")
        assert own_samples(tmp_path, "mine", "train")


class TestClasses:
    def test_sets_are_learned_together_where_their_classes_agree(self, tmp_path: Path) -> None:
        write_drives(tmp_path / "mine")
        write_drives(tmp_path / "yours")
        write_drives(tmp_path / "city", text="classes: {road: 7, car: 26, vegetation: 21}\nignore: 0")
        assert class_names(tmp_path, ["mine", "yours"]) == ("road", "car", "tree")
        assert class_names(tmp_path, ["city", "camvid"]) == CITYSCAPES_CLASSES
        assert table_of(training_set(tmp_path, "city"), CITYSCAPES_CLASSES)[2] == 8
        with pytest.raises(InputError, match="'mine' and 'camvid' have different classes"):
            class_names(tmp_path, ["mine", "camvid"])

    def test_a_folder_without_a_map_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "mine").mkdir()
        with pytest.raises(InputError, match="holds no class map"):
            find_set(tmp_path, "mine")
        with pytest.raises(InputError, match="no training set called 'nothing'"):
            training_set(tmp_path, "nothing")


class TestReport:
    def test_pixels_drives_and_what_the_map_lacks(self, tmp_path: Path) -> None:
        write_drives(tmp_path / "mine", text="classes: {road: 7, car: 26, person: 24}\nignore: 0")
        train, val = own_inventories(tmp_path, "mine")
        assert (train.images, val.images) == (4, 2)
        assert train.pixels == {"road": 4 * (18 * 64 - 72), "car": 288, "person": 0, "ignored": 4 * 128}
        assert train.unnamed == {"21": 4}
        assert train.problems == [
            "masks hold values that 'classes.yaml' does not name: 21 (4 masks); name them, or 'ignore: rest'"
        ]
        assert "no pixel of person" in train.describe()
        assert len(set(train.drives) | set(val.drives)) == 3

    def test_the_command(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        write_drives(tmp_path / "mine")
        assert main(["data", "verify", "--root", str(tmp_path), "--data", "mine"]) == 0
        shown = capsys.readouterr().out
        assert "mine train: 4 images with masks" in shown
        assert "mine val: 2 images with masks" in shown
        assert main(["data", "verify", "--root", str(tmp_path), "--data", "mine", "--json"]) == 0
        assert [json.loads(each)["split"] for each in capsys.readouterr().out.splitlines()] == ["train", "val"]
        write_map(tmp_path / "mine", "classes: {road: 7, car: 26}")
        with pytest.raises(SystemExit) as stopped:
            main(["data", "verify", "--root", str(tmp_path), "--data", "mine"])
        assert stopped.value.code == 1

    def test_a_mask_of_another_picture(self, tmp_path: Path) -> None:
        write_drives(tmp_path / "mine")
        path = next((tmp_path / "mine" / "masks").rglob("*.png"))
        cv2.imwrite(str(path), np.full((64, 32), 7, np.uint8))
        problems = [line for each in own_inventories(tmp_path, "mine") for line in each.problems]
        assert len(problems) == 1
        assert "its mask 64 x 32: other aspects" in problems[0]
