"""A dataset of FiftyOne, read again by FiftyOne itself. It is large: pip install 'oddroad[fiftyone]' to run this."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oddroad.cli import main
from oddroad.exchange import read_results
from oddroad.regions import decode_rle

fo = pytest.importorskip("fiftyone", reason="FiftyOne is not installed; pip install 'oddroad[fiftyone]'")
pytestmark = pytest.mark.slow


@pytest.fixture
def dataset(results_file: Path, media: Path, tmp_path: Path) -> Any:
    """The results, as FiftyOne reads them from the folder."""
    (results_file.parent / "maps").mkdir()
    heat = np.linspace(-3, 7, 60 * 80, dtype=np.float32).reshape(60, 80)
    np.save(results_file.parent / "maps" / "drive_000001.npy", heat)
    out = tmp_path / "fo"
    words = ["results", str(results_file), "--to", "fiftyone", "--out", str(out), "--media", str(media)]
    assert main.main(words) == 0
    opened = fo.Dataset.from_dir(str(out), dataset_type=fo.types.FiftyOneDataset, progress=False)
    yield opened
    opened.delete()


def test_every_frame_is_a_sample_with_its_picture(dataset: Any, tmp_path: Path) -> None:
    samples = list(dataset)
    assert [(each.source, each.frame_index) for each in samples] == [
        ("town/a.jpg", None), ("town/a.png", None), *[("drive.mp4", number) for number in range(4)],
    ]  # fmt: skip
    assert len({each.filepath for each in samples}) == 6
    for each in samples:
        assert Path(each.filepath).is_file()
        assert Path(each.filepath).is_relative_to(tmp_path / "fo")
        assert (each.metadata.width, each.metadata.height) == (80, 60)
    assert samples[3].utc == "2026-01-31T12:00:00.100000001Z"
    assert dataset.info["score"] == "energy"


def test_masks_boxes_and_numbers(dataset: Any, results_file: Path) -> None:
    for sample, frame in zip(dataset, read_results(results_file).frames, strict=True):
        if frame.regions is None:
            assert sample.detections is None
            assert sample.tags == ["not judged"]
            assert (sample.status, sample.reason) == ("damaged", "concealed after lost packets")
            continue
        assert sample.tags == []
        assert len(sample.detections.detections) == len(frame.regions)
        for found, (region, track) in zip(sample.detections.detections, frame.found(), strict=True):
            segmentation = found.to_segmentation(frame_size=(80, 60), target=1)
            assert np.array_equal(segmentation.mask > 0, decode_rle(region.counts, region.size))
            assert found.label == "anomaly"
            assert (found.confidence, found["mean"], found.area) == (region.peak, region.mean, region.area)
            assert found.percentile == region.percentile
            assert found.index == (None if track is None else track.id)


def test_maps_keep_their_values_and_one_range(dataset: Any) -> None:
    maps = [each.heatmap for each in dataset if each.has_field("heatmap") and each.heatmap is not None]
    assert len(maps) == 1
    assert maps[0].range == [-3.0, 7.0]
    assert maps[0].map.dtype == np.float32
    assert np.array_equal(maps[0].map, np.linspace(-3, 7, 60 * 80, dtype=np.float32).reshape(60, 80))


def test_pictures_are_needed(results_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["results", str(results_file), "--to", "fiftyone", "--out", str(tmp_path / "fo")]) == 2
    assert capsys.readouterr().err == (
        "oddroad: FiftyOne shows pictures: pass the file or folder that 'oddroad detect' read with --media\n"
    )
