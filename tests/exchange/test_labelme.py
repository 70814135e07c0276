"""Files of labelme: filled as labelme fills them they give the masks again; opened by labelme itself where it is."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import PIL.ImageDraw
import pytest

from oddroad import regions
from oddroad.cli import main
from oddroad.exchange import read_results
from oddroad.exchange.labelme import shapes_of
from oddroad.regions import decode_rle


def filled(shapes: list[dict[str, Any]], size: tuple[int, int]) -> np.ndarray:
    """The pixels of shapes, as labelme's utils.shapes_to_label fills them."""
    mask = np.zeros(size, bool)
    for each in shapes:
        if each["shape_type"] == "mask":
            inside = np.array(PIL.Image.open(io.BytesIO(base64.b64decode(each["mask"])))).astype(bool)
            (x0, y0), (x1, y1) = np.asarray(each["points"]).astype(int)
            mask[y0 : y1 + 1, x0 : x1 + 1] |= inside
        else:
            picture = PIL.Image.fromarray(np.zeros(size, np.uint8))
            PIL.ImageDraw.Draw(picture).polygon([tuple(point) for point in each["points"]], outline=1, fill=1)
            mask |= np.array(picture, bool)
    return mask


@pytest.fixture
def folder(results_file: Path, media: Path, tmp_path: Path) -> Path:
    """The results as files of labelme."""
    out = tmp_path / "labels"
    words = ["results", str(results_file), "--to", "labelme", "--out", str(out), "--media", str(media)]
    assert main.main(words) == 0
    return out


def test_a_file_for_each_judged_frame_with_its_picture(folder: Path) -> None:
    files = sorted(each.relative_to(folder).as_posix() for each in folder.rglob("*.json"))
    assert files == [
        "drive.mp4/000000.json", "drive.mp4/000001.json", "drive.mp4/000003.json", "town/a.json", "town/a.png.json",
    ]  # fmt: skip
    for name in files:
        values = json.loads((folder / name).read_text("utf-8"))
        image = cv2.imread(str((folder / name).parent / values["imagePath"]))
        assert image is not None
        assert image.shape[:2] == (values["imageHeight"], values["imageWidth"]) == (60, 80)
        if name.startswith("drive"):
            assert abs(float(image.mean()) - (40 * int(name[10:16]) + 20)) < 6
    assert json.loads((folder / "drive.mp4/000000.json").read_text("utf-8"))["shapes"] == []


def test_the_masks_come_back(folder: Path, results_file: Path) -> None:
    for name, frame in zip(("town/a.json", "town/a.png.json"), read_results(results_file).frames, strict=False):
        shapes = json.loads((folder / name).read_text("utf-8"))["shapes"]
        for number, (region, _) in enumerate(frame.found(), 1):
            mine = [each for each in shapes if each["group_id"] == number]
            assert np.array_equal(filled(mine, frame.size), decode_rle(region.counts, region.size))
        assert all(len(each["points"]) >= 3 for each in shapes if each["shape_type"] == "polygon")  # labelme's least
    kinds = [each["shape_type"] for each in json.loads((folder / "town/a.json").read_text("utf-8"))["shapes"]]
    assert kinds == ["mask", "polygon"]
    two = json.loads((folder / "drive.mp4/000001.json").read_text("utf-8"))["shapes"]
    assert [(each["shape_type"], each["group_id"]) for each in two] == [("polygon", 1), ("polygon", 1)]
    assert (
        two[0]["description"] == "peak 3, mean 2.5, above 100.00% of in-distribution pixels, track 1 seen in 3 frames"
    )


def test_random_shapes_come_back() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        heat = cv2.GaussianBlur(rng.normal(size=(60, 80)).astype(np.float32), (0, 0), 2.0)
        for region in regions.find(heat, 0.05):
            assert np.array_equal(
                filled(shapes_of(region, 1, None), region.size), decode_rle(region.counts, region.size)
            )


def test_a_video_needs_its_pictures(results_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["results", str(results_file), "--to", "labelme", "--out", str(tmp_path / "labels")]) == 2
    assert capsys.readouterr().err == (
        "oddroad: labelme opens pictures, and 'drive.mp4' is a video: pass it, or its folder, with --media\n"
    )
    assert not (tmp_path / "labels").exists()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # labelme leaves the picture open
def test_labelme_itself_opens_them(folder: Path, results_file: Path) -> None:
    labelme = pytest.importorskip("labelme", reason="labelme is not installed; pip install labelme")
    opened = labelme.LabelFile(str(folder / "town" / "a.json"))
    shapes = [dict(each) for each in opened.shapes]
    classes, _ = labelme.utils.shapes_to_label((60, 80, 3), shapes, {"_background_": 0, "anomaly": 1})
    want = np.zeros((60, 80), bool)
    for region, _ in read_results(results_file).frames[0].found():
        want |= decode_rle(region.counts, region.size)
    assert np.array_equal(classes == 1, want)
