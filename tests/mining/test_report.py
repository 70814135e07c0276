"""The page, the groups, and what is handed to other tools."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from log_writers import START, jpeg, ros_compressed, write_ros2
from mining.fleet import TENTH, calm, odd
from mining.test_run import mined

from oddroad.cli.main import main
from oddroad.inference.model import Model
from oddroad.io.reading import ReadReport
from oddroad.io.sources import find_sources
from oddroad.io.video import read
from oddroad.mining.embedding import LENGTH, diverse, embed, groups
from oddroad.mining.findings import PValues
from oddroad.mining.selection import Footage, Selection
from oddroad.regions import decode_rle, encode_rle
from oddroad.types import Region

FRAMES = 40


def picture(number: int) -> np.ndarray:
    """Red squares on three passes, and something pink once."""
    if number in range(33, 36):
        image = calm(number)
        image[4:20, 40:60] = (255, 0, 255)
        return image
    return odd(number) if number % 14 < 3 else calm(number)


@pytest.fixture(scope="module")
def archive(red, tmp_path_factory):
    """A mined bag of one camera."""
    folder = tmp_path_factory.mktemp("report")
    messages = [
        ("/cam", START + number * TENTH, ros_compressed(jpeg(picture(number)), "jpeg")) for number in range(FRAMES)
    ]
    write_ros2(folder / "drives" / "bag", messages)
    mined(red, folder / "drives", folder / "out", seconds=2.0)
    return folder / "out"


def test_the_page_shows_groups_with_clips(archive, capsys):
    assert main(["mine", "report", str(archive)]) == 0
    text = (archive / "report.html").read_text()
    selection = Selection.read(str(archive))
    assert f"{len(selection.rows)} things in {len(selection.leaders())} groups" in capsys.readouterr().out
    assert len(selection.leaders()) < len(selection.rows)
    shown = re.findall(r'<div class=group id="([^"]+)">', text)
    assert shown == [selection.rows[each]["id"] for each in selection.leaders()]
    assert text.count("data:image/webp") >= 2 * len(shown)
    assert f"<td>{FRAMES}</td>" in text
    places = [int(each) for each in re.findall(r'<rect x="(\d+)"', text)]
    when = sorted((row["time"] - START) / ((FRAMES - 1) * TENTH) for row in selection.rows)
    assert places[0] == pytest.approx(300 + 690 * when[0], abs=7)
    assert places[-1] == pytest.approx(300 + 690 * when[-1], abs=7), "from the log's start to its end"
    assert "http://" not in text
    assert "https://" not in text, "the page needs nothing beside it"


def test_false_alarms_of_a_group_count_for_its_camera(archive, tmp_path):
    selection = Selection.read(str(archive))
    first = selection.rows[selection.leaders()[0]]
    (tmp_path / "false.txt").write_text(first["id"] + "\n")
    out = tmp_path / "page.html"
    arguments = ["mine", "report", str(archive), "--out", str(out), "--no-clips"]
    assert main([*arguments, "--false-alarms", str(tmp_path / "false.txt")]) == 0
    size = int((selection.group == selection.group[selection.leaders()[0]]).sum())
    hours = (FRAMES - 1) / 10 / 3600
    cells = re.findall(r"<td>([^<]*)</td>", out.read_text())[:8]
    assert cells[0] == "/cam"
    assert int(cells[6]) == size
    assert float(cells[7]) == pytest.approx(size / hours, rel=0.06)


def test_coco_is_what_pycocotools_reads(archive, tmp_path):
    coco = pytest.importorskip("pycocotools.coco")
    arguments = ["mine", "report", str(archive), "--out", str(tmp_path / "p.html"), "--no-clips"]
    assert main([*arguments, "--coco", str(tmp_path / "set"), "--top", "2"]) == 0
    found = coco.COCO(str(tmp_path / "set" / "annotations.json"))
    rows = {row["id"]: row for row in Selection.read(str(archive)).rows}
    assert len(found.anns) == 2
    for each in found.anns.values():
        row, image = rows[each["attributes"]["finding"]], found.imgs[each["image_id"]]
        pixels = cv2.imread(str(tmp_path / "set" / image["file_name"]))
        assert pixels.shape == (row["height"], row["width"], 3)
        number = (row["time"] - START) // TENTH
        assert np.abs(pixels[..., ::-1].astype(int) - picture(number)).mean() < 6, "it is the very frame"
        assert int(found.annToMask(each).sum()) == row["area"]


def test_clips_are_logs_around_the_finding(archive, tmp_path):
    row = next(each for each in Selection.read(str(archive)).rows if (each["time"] - START) // TENTH in (14, 15, 16))
    number = (row["time"] - START) // TENTH
    arguments = ["mine", "report", str(archive), "--out", str(tmp_path / "p.html"), "--no-clips"]
    assert main([*arguments, "--clips", str(tmp_path / "c"), "--choose", row["id"], "--clip-seconds", "0.5"]) == 0
    (clip,) = (tmp_path / "c").iterdir()
    frames = list(read(find_sources([str(clip)], (), ReadReport())))
    assert [round((each.utc or 0) * 10 - START / 1e8) for each in frames] == list(range(number - 5, number + 6))
    assert np.abs(frames[5].image.astype(int) - picture(number)).mean() < 6


def test_a_list_for_labelling_is_diverse(archive, tmp_path):
    arguments = ["mine", "report", str(archive), "--out", str(tmp_path / "p.html"), "--no-clips"]
    assert main([*arguments, "--label-list", str(tmp_path / "list.csv"), "--count", "2"]) == 0
    rows = list(csv.DictReader((tmp_path / "list.csv").read_text().splitlines()))
    assert len(rows) == 2
    assert len({row["group"] for row in rows}) == 2, "not twice the same thing"
    assert sum(int(row["group_size"]) for row in rows) <= len(Selection.read(str(archive)).rows)


def test_likeness_ranks_the_same_thing_first(archive, red, tmp_path, capsys):
    selection = Selection.read(str(archive))
    pink = next(number for number, row in enumerate(selection.rows) if (row["time"] - START) // TENTH in range(33, 36))
    cv2.imwrite(str(tmp_path / "pink.png"), picture(34)[..., ::-1])
    for like in (str(tmp_path / "pink.png"), selection.rows[pink]["id"]):
        out = tmp_path / "like.html"
        arguments = ["mine", "report", str(archive), "--out", str(out), "--no-clips", "--detector", str(red)]
        assert main([*arguments, "--like", like, "--top", "1"]) == 0
        assert f'id="{selection.rows[pink]["id"]}"' in out.read_text()
    assert main(["mine", "report", str(archive), "--like", "nothing"]) == 2
    assert "there is no finding 'nothing'" in capsys.readouterr().err
    assert main(["mine", "report", str(archive), "--like", str(tmp_path / "pink.png")]) == 2
    assert "pass that .onnx file" in capsys.readouterr().err


def test_logs_that_are_gone_leave_a_page_without_clips(archive, tmp_path, monkeypatch):
    monkeypatch.setattr(Footage, "around", lambda *args: (_ for _ in ()).throw(OSError(2, "gone")))
    out = tmp_path / "p.html"
    assert main(["mine", "report", str(archive), "--out", str(out)]) == 0
    assert "its log cannot be read any more" in out.read_text()


def test_nothing_mined_is_one_line(tmp_path, capsys):
    assert main(["mine", "report", str(tmp_path)]) == 2
    assert "holds no mined archive" in capsys.readouterr().err


def test_an_embedding_is_of_the_region_alone():
    random = np.random.default_rng(0)
    features = random.random((5, 12, 16)).astype(np.float32)
    mask = np.zeros((48, 64), bool)
    mask[8:20, 12:32] = True
    region = Region((12, 8, 32, 20), int(mask.sum()), 1, 1, None, (48, 64), encode_rle(mask, (0, 0), (48, 64)))
    first = embed([features], region)
    assert first.shape == (LENGTH,)
    changed = features.copy()
    changed[:, :2], changed[:, 5:], changed[:, :, :3], changed[:, :, 8:] = 9, 9, 9, 9
    np.testing.assert_allclose(embed([changed], region), first, atol=1e-5)
    changed[:, 3, 5] += 5
    assert np.abs(embed([changed], region) - first).max() > 1e-3
    assert decode_rle(region.counts, region.size).sum() == 240
    assert not embed([], region).any()


def test_k_centre_is_as_good_as_theory_says():
    random = np.random.default_rng(1)
    points = random.standard_normal((60, 8)).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    taken = diverse(points, 6)
    assert len(set(taken)) == 6
    far = (points @ points[taken].T).max(1).min()
    for _ in range(200):
        others = random.choice(60, 6, replace=False)
        assert far >= (points @ points[others].T).max(1).min() - 0.15
    assert sorted(diverse(points[:3], 9)) == [0, 1, 2]
    assert groups(points[[0, 0, 1]])[:2].tolist() == [0, 0]


def test_p_values_are_how_often_the_calibration_saw_as_much(red):
    model = Model(red)
    p_values = PValues.of(model.card, "red")
    assert p_values is not None
    mask = np.ones((4, 4), bool)
    region = Region((0, 0, 4, 4), 16, 1, 1, None, (4, 4), encode_rle(mask, (0, 0), (4, 4)))
    found = [p_values(np.full((4, 4), level, np.float32), region, 1) for level in (120, 100, 90, 80, 61, 60, 10)]
    assert found == pytest.approx([0.01, 0.03 - 0.0002, 0.03 - 0.0002, 0.109, 0.109, 1.0, 1.0], abs=1e-3)
    heat = np.full((4, 4), 61, np.float32)
    heat[0, 0] = 200
    assert p_values(heat, region, 4) == pytest.approx(0.109), "one pixel is no region of four"


def test_the_report_is_beside_what_it_is_of(archive):
    assert main(["mine", "report", str(archive)]) == 0
    assert json.loads((archive / "manifest.json").read_text())["findings"] > 0
    assert Path(archive, "report.html").exists()
