"""Regions as supervision's own type, and a folder that it reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import supervision as sv

from oddroad.cli import main
from oddroad.exchange import read_results
from oddroad.exchange.supervision import to_supervision
from oddroad.inference.model import Model
from oddroad.regions import decode_rle
from oddroad.types import Frame


def test_regions_of_the_model_in_one_call(model: Model, frames: list[Frame]) -> None:
    image = frames[0].image
    found = model.detect(image, threshold=0.0)
    detections = to_supervision(found, image.shape)
    assert len(detections) == len(found) > 0
    assert detections.mask is not None
    assert detections.mask.shape == (len(found), *image.shape[:2])
    assert detections.mask.sum(axis=(1, 2)).tolist() == [each.area for each in found]
    assert detections.area.tolist() == [each.area for each in found]
    assert detections.xyxy.tolist() == [list(each.box) for each in found]
    assert detections.confidence is not None
    assert np.allclose(detections.confidence, [each.peak for each in found])
    assert np.allclose(detections["mean"], [each.mean for each in found])
    assert detections.tracker_id is None
    assert set(detections["class_name"]) == {"anomaly"}
    drawn = sv.MaskAnnotator().annotate(image.copy(), detections)
    assert (drawn != image).any()


def test_no_regions_are_no_detections() -> None:
    detections = to_supervision([], (60, 80, 3))
    assert len(detections) == 0
    assert sv.Detections.merge([detections, detections]).is_empty()
    assert detections.mask is not None
    assert detections.mask.shape == (0, 60, 80)


def test_tracks(results_file: Path) -> None:
    frame = read_results(results_file).frames[5]
    assert frame.regions is not None
    detections = to_supervision(frame.regions, frame.size, frame.tracks)
    assert detections.tracker_id is not None
    assert detections.tracker_id.tolist() == [1, 2]
    mixed = to_supervision(frame.regions, frame.size, [None, frame.tracks[1]])
    assert mixed.tracker_id is not None
    assert mixed.tracker_id.tolist() == [-1, 2]


def test_the_folder_is_read_by_supervision(results_file: Path, media: Path, tmp_path: Path) -> None:
    out = tmp_path / "sv"
    words = ["results", str(results_file), "--to", "supervision", "--out", str(out), "--media", str(media)]
    assert main.main(words) == 0
    dataset = sv.DetectionDataset.from_coco(str(out / "images"), str(out / "annotations.json"))
    assert dataset.classes == ["anomaly"]
    frames = read_results(results_file).judged
    assert len(dataset) == len(frames) == 5
    for (_, image, detections), frame in zip(dataset, frames, strict=True):
        assert image.shape[:2] == frame.size
        masks = [decode_rle(each.counts, each.size) for each in frame.regions or ()]
        if masks:
            assert detections.mask is not None
            assert np.array_equal(np.array(detections.mask), np.array(masks))
        assert detections.xyxy.tolist() == [list(each.box) for each in frame.regions or ()]


def test_a_folder_that_is_not_empty_is_left_alone(
    results_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["results", str(results_file), "--to", "supervision", "--out", str(tmp_path / "out")]
    before = results_file.read_bytes()
    assert main.main(words) == 2
    assert capsys.readouterr().err == (
        f"oddroad: '{tmp_path / 'out'}' is already there; pass a new folder with --out, or remove it first\n"
    )
    assert results_file.read_bytes() == before
