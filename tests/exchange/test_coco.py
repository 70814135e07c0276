"""COCO files are read by pycocotools, to the pixel."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from oddroad.cli import main
from oddroad.exchange import read_results
from oddroad.exchange.coco import as_coco
from oddroad.regions import decode_rle


@pytest.fixture
def coco(results_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> COCO:
    """The results as pycocotools opens them."""
    assert main.main(["results", str(results_file), "--to", "coco", "--out", str(tmp_path / "coco.json")]) == 0
    opened = COCO(str(tmp_path / "coco.json"))
    capsys.readouterr()
    return opened


def test_masks_keep_areas_and_holes(coco: COCO, results_file: Path) -> None:
    pairs = [(region, frame.run.score) for frame in read_results(results_file).judged for region, _ in frame.found()]
    annotations = coco.loadAnns(coco.getAnnIds())
    assert len(annotations) == len(pairs) == 8
    for annotation, (region, _) in zip(annotations, pairs, strict=True):
        mask = coco.annToMask(annotation).astype(bool)
        assert mask.sum() == annotation["area"] == region.area
        assert coco_mask.area(annotation["segmentation"]) == region.area
        assert np.array_equal(mask, decode_rle(region.counts, region.size))
        assert annotation["bbox"] == coco_mask.toBbox(annotation["segmentation"]).tolist()
        assert annotation["iscrowd"] == 0
        assert annotation["score"] == region.peak
    ring = coco.annToMask(annotations[0])
    assert ring[24, 32] == 0
    assert ring[12, 30] == 1


def test_images_and_categories(coco: COCO) -> None:
    assert coco.loadCats(coco.getCatIds()) == [{"id": 1, "name": "anomaly", "supercategory": "road"}]
    images = coco.loadImgs(coco.getImgIds())
    assert [each["file_name"] for each in images] == [
        "town/a.jpg", "town/a.png", "drive.mp4/000000.jpg", "drive.mp4/000001.jpg", "drive.mp4/000003.jpg",
    ]  # fmt: skip
    assert [(each["width"], each["height"]) for each in images] == [(80, 60)] * 5
    assert images[3] | {"video_id": 1, "frame_index": 1, "time": 0.1} == images[3]
    assert "video_id" not in images[0]
    assert [len(coco.getAnnIds(imgIds=[each["id"]])) for each in images] == [2, 3, 0, 1, 2]


def test_a_frame_that_was_not_judged_is_no_image_without_annotations(coco: COCO) -> None:
    assert coco.dataset["info"]["not_judged"] == [{"frame": "drive.mp4#2", "reason": "concealed after lost packets"}]


def test_tracks_of_two_videos_stay_apart(results_file: Path) -> None:
    results = read_results(results_file)
    other = [line.replace("drive.mp4", "other.mp4") for line in results_file.read_text("utf-8").splitlines()[3:5]]
    text = results_file.read_text("utf-8").splitlines()
    results_file.write_text("\n".join([*text[:8], *other, text[8]]) + "\n", encoding="utf-8")
    before = [each["track_id"] for each in as_coco(results)["annotations"] if "track_id" in each]
    after = [each["track_id"] for each in as_coco(read_results(results_file))["annotations"] if "track_id" in each]
    assert before == [1, 1, 2]
    assert after == [1, 1, 2, 3]


def test_the_same_frame_of_two_runs_has_two_names(results_file: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "detections-2.jsonl").write_bytes(results_file.read_bytes())
    names = [each["file_name"] for each in as_coco(read_results(tmp_path / "out"))["images"]]
    assert len(names) == len(set(names)) == 10
    assert names[5] == "run2/town/a.jpg"


def test_tracks_go_on_in_the_next_part_and_not_in_the_next_run(results_file: Path) -> None:
    text = results_file.read_text("utf-8").splitlines()
    for started, want in (("2026-01-31T12:00:00Z", [1, 1, 2]), ("2026-01-31T13:00:00Z", [1, 2, 3])):
        run = text[0].replace("2026-01-31T12:00:00Z", started)
        for name, lines in (("0001", text[:5]), ("0002", [run, *text[5:]])):
            (results_file.parent / name).mkdir(exist_ok=True)
            (results_file.parent / name / "detections.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        results_file.unlink(missing_ok=True)
        annotations = as_coco(read_results(results_file.parent))["annotations"]
        assert [each["track_id"] for each in annotations if "track_id" in each] == want


@pytest.mark.parametrize("source", ["../../etc/passwd", "/etc/passwd", "..\\..\\etc\\passwd", "C:/etc/passwd"])
def test_no_name_leads_out_of_a_folder(source: str, results_file: Path) -> None:
    text = results_file.read_text("utf-8").replace('"town/a.jpg"', json.dumps(source))
    results_file.write_text(text, encoding="utf-8")
    name = as_coco(read_results(results_file))["images"][0]["file_name"]
    assert name in ("etc/passwd", "C_/etc/passwd")
