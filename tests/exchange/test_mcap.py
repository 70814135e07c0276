"""The MCAP file as the readers of MCAP and of foxglove's messages read it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import cv2
import foxglove
import numpy as np
import pytest
from foxglove.channels import CompressedImageChannel
from foxglove.messages import CompressedImage
from mcap.reader import make_reader
from mcap_protobuf.decoder import DecoderFactory

from oddroad.cli import main
from oddroad.exchange import read_results
from oddroad.exchange.names import as_jpeg
from oddroad.regions import decode_rle
from oddroad.types import Frame

BEGAN = 1769860800_000000000


def messages(path: Path) -> dict[str, list[tuple[int, Any]]]:
    """Log time and decoded message of each message, by topic; the schemas are foxglove's."""
    found: dict[str, list[tuple[int, Any]]] = {}
    with path.open("rb") as opened:
        reader = make_reader(opened, decoder_factories=[DecoderFactory()])
        for schema, channel, message, decoded in reader.iter_decoded_messages():
            wanted = "foxglove.CompressedImage" if channel.topic.endswith("/image") else "foxglove.ImageAnnotations"
            assert schema is not None
            assert (schema.name, schema.encoding, channel.message_encoding) == (wanted, "protobuf", "protobuf")
            assert message.log_time == decoded.timestamp.ToNanoseconds()
            found.setdefault(channel.topic, []).append((message.log_time, decoded))
    return found


@pytest.fixture
def written(results_file: Path, media: Path, tmp_path: Path) -> dict[str, list[tuple[int, Any]]]:
    """What is in the file."""
    out = tmp_path / "drive.mcap"
    assert main.main(["results", str(results_file), "--to", "mcap", "--out", str(out), "--media", str(media)]) == 0
    assert not out.with_name("drive.mcap.partial").exists()
    return messages(out)


def test_times_and_topics_are_those_of_the_source(written: dict[str, list[tuple[int, Any]]]) -> None:
    assert set(written) == {"/drive.mp4/anomalies", "/drive.mp4/image"}
    times = [BEGAN + 1, BEGAN + 100_000_001, BEGAN + 200_000_000, BEGAN + 300_000_000]
    for topic in written:
        assert [at for at, _ in written[topic]] == times


def test_outlines_are_those_of_the_regions(written: dict[str, list[tuple[int, Any]]], results_file: Path) -> None:
    annotations = [decoded for _, decoded in written["/drive.mp4/anomalies"]]
    assert [len(each.points) for each in annotations] == [0, 2, 0, 2]
    assert [each.text for each in annotations[1].texts] == ["anomaly 1: 3"]
    assert [each.text for each in annotations[2].texts] == ["not judged: concealed after lost packets"]
    assert list(annotations[0].texts) == []
    for frame, decoded in zip(read_results(results_file).frames[2:], annotations, strict=True):
        want = np.zeros(frame.size, bool)
        for region, _ in frame.found():
            want |= decode_rle(region.counts, region.size)
        filled = np.zeros(frame.size, np.uint8)
        for line in decoded.points:
            assert line.type == 2  # LINE_LOOP
            cv2.fillPoly(filled, [np.array([(point.x - 0.5, point.y - 0.5) for point in line.points], np.int32)], 1)
        assert np.array_equal(filled.astype(bool), want)
    facts = {pair.key: pair.value for pair in annotations[1].points[0].metadata}
    assert facts == {"area": "120", "mean": "2.5", "peak": "3.0", "percentile": "1.0", "track": "1", "hits": "3"}


def test_pictures_lie_beside_them(written: dict[str, list[tuple[int, Any]]]) -> None:
    for number, (_, decoded) in enumerate(written["/drive.mp4/image"]):
        assert decoded.format == "jpeg"
        image = cv2.imdecode(np.frombuffer(decoded.data, np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        assert image.shape == (60, 80, 3)
        assert abs(float(image.mean()) - (40 * number + 20)) < 6


def test_without_the_time_of_day(results_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results_file.write_text(re.sub(r'"utc": "[^"]*"', '"utc": null', results_file.read_text("utf-8")), encoding="utf-8")
    out = tmp_path / "drive.mcap"
    assert main.main(["results", str(results_file), "--to", "mcap", "--out", str(out)]) == 0
    assert [at for at, _ in messages(out)["/drive.mp4/anomalies"]] == [0, 100_000_000, 200_000_000, 300_000_000]
    text = capsys.readouterr().out
    assert "times are seconds since the start of the source" in text
    assert "left out, without a time: 2 still images" in text


def test_still_images_are_no_log(results_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = results_file.read_text("utf-8").splitlines()
    results_file.write_text("\n".join([*lines[:3], lines[-1]]) + "\n", encoding="utf-8")
    assert main.main(["results", str(results_file), "--to", "mcap", "--out", str(tmp_path / "a.mcap")]) == 2
    assert capsys.readouterr().err == (
        "oddroad: the results are of still images, which have no time; MCAP is for videos, cameras and logs\n"
    )
    assert not (tmp_path / "a.mcap").exists()


def test_findings_lie_at_the_times_of_a_log(frames: list[Frame], tmp_path: Path) -> None:
    log, began = tmp_path / "drive.mcap", 1_700_000_000_123_456_789
    context = foxglove.Context()
    with foxglove.open_mcap(log, context=context):
        camera = CompressedImageChannel("/camera/front", context=context)
        for number, frame in enumerate(frames[:4]):
            picture = CompressedImage(data=as_jpeg(frame.image), format="jpeg", frame_id="front")
            camera.log(picture, log_time=began + number * 100_000_007)
    out, found = tmp_path / "out", tmp_path / "found.mcap"
    assert main.main(["detect", str(log), "--threshold", "-3", "--save", "maps", "--out", str(out)]) == 0
    assert main.main(["results", str(out), "--to", "mcap", "--out", str(found), "--media", str(log)]) == 0
    written = messages(found)
    assert set(written) == {"/drive.mcap/camera/front/anomalies", "/drive.mcap/camera/front/image"}
    for topic in written:
        off = [at - began - number * 100_000_007 for number, (at, _) in enumerate(written[topic])]
        assert len(off) == 4
        assert max(map(abs, off)) <= 1000  # the lines are to the microsecond
    anomalies, pictures = written["/drive.mcap/camera/front/anomalies"], written["/drive.mcap/camera/front/image"]
    for (_, found_there), (_, picture), frame in zip(anomalies, pictures, frames, strict=False):
        assert found_there.points
        image = cv2.imdecode(np.frombuffer(picture.data, np.uint8), cv2.IMREAD_COLOR_RGB)
        assert image is not None
        assert np.abs(image.astype(int) - frame.image).mean() < 6
