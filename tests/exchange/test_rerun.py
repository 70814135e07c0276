"""Recordings of Rerun, read again by rerun-sdk itself. It is large: pip install 'oddroad[rerun]' to run this."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from oddroad.cli import main
from oddroad.exchange import read_results
from oddroad.regions import decode_rle

rerun = pytest.importorskip("rerun", reason="rerun-sdk is not installed; pip install 'oddroad[rerun]'")
pytestmark = pytest.mark.slow


def rows(path: Path, entity: str) -> list[dict[str, Any]]:
    """What was logged at a path, a dict a row, by frame; times are integers."""
    from rerun.chunk import RrdReader

    found: list[dict[str, Any]] = []
    for chunk in RrdReader(path).stream().to_chunks():
        if chunk.entity_path == entity:
            batch = chunk.to_record_batch()
            columns = {}
            for name in batch.schema.names:
                column = batch.column(name)
                if name in ("frame", "time", "utc"):
                    column = column.cast("int64")
                columns[name] = column.to_pylist()
            found += [{name: values[row] for name, values in columns.items()} for row in range(chunk.num_rows)]
    return sorted(found, key=lambda row: row.get("frame", -1))


def pixels(row: dict[str, Any], kind: str, dtype: Any) -> np.ndarray:
    """The image of a row."""
    return np.array(row[f"{kind}:buffer"][0], np.uint8).view(dtype).reshape(60, 80)


def test_tracks_of_a_long_drive(results_file: Path, tmp_path: Path) -> None:
    text = results_file.read_text("utf-8").replace('"track": {"id": 1,', '"track": {"id": 65537,')
    results_file.write_text(text, encoding="utf-8")
    out = tmp_path / "drive.rrd"
    assert main.main(["results", str(results_file), "--to", "rerun", "--out", str(out)]) == 0
    boxes = {row["frame"]: row for row in rows(out, "/drive.mp4/boxes")}
    assert boxes[1]["Boxes2D:class_ids"] == [2]
    assert boxes[1]["Boxes2D:labels"] == ["anomaly 65537: 3"]


def test_a_recording_holds_images_maps_regions_boxes_and_tracks(
    results_file: Path, media: Path, tmp_path: Path
) -> None:
    heat = np.linspace(-3, 7, 60 * 80, dtype=np.float32).reshape(60, 80)
    (results_file.parent / "maps").mkdir()
    np.save(results_file.parent / "maps" / "drive_000001.npy", heat)
    out = tmp_path / "drive.rrd"
    assert main.main(["results", str(results_file), "--to", "rerun", "--out", str(out), "--media", str(media)]) == 0
    assert not out.with_name("drive.rrd.partial").exists()

    images = rows(out, "/drive.mp4/image")
    assert [row["frame"] for row in images] == [0, 1, 2, 3]
    assert [row["time"] for row in images] == [0, 100_000_000, 200_000_000, 300_000_000]
    assert [row["utc"] - 1769860800_000000000 for row in images] == [1, 100_000_001, 200_000_000, 300_000_000]
    for number, row in enumerate(images):
        data = np.frombuffer(bytes(row["EncodedImage:blob"][0]), np.uint8)
        assert abs(float(cv2.imdecode(data, cv2.IMREAD_COLOR).mean()) - (40 * number + 20)) < 6

    (shown,) = rows(out, "/drive.mp4/map")
    assert np.array_equal(pixels(shown, "DepthImage", np.float32), heat)
    assert shown["DepthImage:depth_range"] == [[-3.0, 7.0]]

    boxes = rows(out, "/drive.mp4/boxes")
    regions = [row for row in rows(out, "/drive.mp4/regions") if row.get("SegmentationImage:buffer")]
    assert [row["frame"] for row in regions] == [0, 1, 3]
    judged = {frame.index: frame for frame in read_results(results_file).judged if frame.index is not None}
    for row in regions:
        want = np.zeros((60, 80), np.uint16)
        for region, track in judged[row["frame"]].found():
            assert track is not None
            want[decode_rle(region.counts, region.size)] = track.id
        assert np.array_equal(pixels(row, "SegmentationImage", np.uint16), want)
    by_frame = {row["frame"]: row for row in boxes if row.get("Boxes2D:half_sizes") is not None}
    assert len(by_frame[0]["Boxes2D:half_sizes"]) == 0
    assert by_frame[1]["Boxes2D:centers"] == [[25.0, 25.0]]
    assert by_frame[1]["Boxes2D:half_sizes"] == [[15.0, 3.0]]
    assert by_frame[1]["Boxes2D:class_ids"] == [1]
    assert by_frame[1]["Boxes2D:labels"] == ["anomaly 1: 3"]

    (context,) = rows(out, "/drive.mp4")
    (nothing,) = context["AnnotationContext:context"][0]
    assert (nothing["class_id"], nothing["class_description"]["info"]["color"]) == (0, 0)  # transparent

    cleared = [row["frame"] for row in boxes if row.get("Clear:is_recursive") is not None]
    assert cleared == [2]
    (warning,) = rows(out, "/drive.mp4/log")
    assert warning["TextLog:text"] == ["drive.mp4#2 was not judged: concealed after lost packets"]
    tracks = {
        row["frame"]: row["LineStrips2D:strips"]
        for row in rows(out, "/drive.mp4/tracks")
        if row.get("LineStrips2D:strips")
    }
    assert tracks[3] == [[[25.0, 25.0], [5.0, 10.0]], [[65.0, 57.5]]]
    assert [row["frame"] for row in rows(out, "/images/image")] == [0, 1]
    names = [row["TextDocument:text"] for row in rows(out, "/images/name")]
    assert names == [["town/a.jpg"], ["town/a.png"]]
    assert "log_time" not in images[0]
