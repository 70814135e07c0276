"""What detect takes from the card, and says where the card's guarantee does not hold."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from oddroad.calibration.data import CalibrationData, calibration_data
from oddroad.calibration.fit import find_thresholds, write_card
from oddroad.cli.main import main
from oddroad.detection.frame import FrameProcessor
from oddroad.detection.promise import completed, said
from oddroad.detection.settings import Settings
from oddroad.errors import InputError
from oddroad.exchange import read_results
from oddroad.inference.model import Model, read_card
from oddroad.io.results import LINES
from oddroad.regions import decode_rle
from oddroad.roi import Roi
from oddroad.types import Frame


def lines(out: Path) -> list[dict[str, Any]]:
    """The lines of a run."""
    return [json.loads(each) for each in (out / LINES).read_text().splitlines()]


@pytest.fixture
def on_road(clip: Path, tmp_path: Path) -> Path:
    """The embedded detector calibrated on the road of a clip."""
    out = tmp_path / "road.onnx"
    assert main(["calibrate", "default", "--data", str(clip), "--roi", "road", "--out", str(out)]) == 0
    return out


def test_the_cards_region_is_used_stated_and_drawn(
    on_road: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = read_card(on_road)
    assert "a false alarm of 1 in 10,000 pixels or more within the road, and at most" in card.threshold_meaning
    assert card.calibration["roi"] == {"kind": "road"}
    out, level = tmp_path / "out", str(float(np.quantile(Model(on_road)(read_first(clip)), 0.3)))
    words = ["detect", str(clip), "--model", str(on_road), "--out", str(out)]
    assert main([*words, "--save", "overlay", "masks"]) == 0
    printed = capsys.readouterr().out
    assert "nothing is reported outside of the road" in printed
    assert "NOT GUARANTEED" not in printed
    first, *rest = lines(out)
    assert first["settings"]["roi"] == {"kind": "road"}
    frames = [each for each in rest if each["type"] == "frame"]
    assert all(0.2 < each["roi_share"] < 0.8 for each in frames)
    assert not any(each["regions"] for each in frames)  # it was calibrated on them
    assert main([*words, "--save", "masks", "--threshold", level]) == 0
    assert len(read_results(out).judged) == 8
    model = Model(on_road)
    image = read_first(clip)
    _, inside = model.maps_inside(image, ["outlier_head"], model.roi())
    assert inside is not None
    regions = next(each for each in lines(out) if each["type"] == "frame")["regions"]
    assert regions
    held = np.any([decode_rle(each["segmentation"]["counts"], (180, 320)) for each in regions], 0)
    assert not held[~inside].any()
    mask = cv2.imread(str(out / "masks" / "drive_000000.png"), cv2.IMREAD_GRAYSCALE)
    assert mask is not None
    assert mask.any()
    assert not mask[~inside].any()
    assert [each.box for each in model.detect(image, threshold=float(level))] == [
        tuple(each["box"]) for each in regions
    ]


def read_first(clip: Path) -> np.ndarray:
    """The first frame of a video."""
    from oddroad.io.sources import find_sources
    from oddroad.io.video import read

    return next(iter(read(find_sources([str(clip)])))).image


def test_another_region_is_not_what_was_guaranteed(
    on_road: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["detect", str(clip), "--model", str(on_road), "--save", "masks", "--out", str(out)]
    assert main([*words, "--roi", "0,1 0.5,0.5 1,1"]) == 0
    says = "NOT GUARANTEED HERE: it was calibrated within the road and this run looks at a polygon"
    assert says in capsys.readouterr().out
    first = lines(out)[0]
    assert says in first["threshold_meaning"]
    assert first["settings"]["roi"] == {"kind": "polygon", "points": [[0, 1], [0.5, 0.5], [1, 1]]}
    assert main([*words, "--roi", "all"]) == 0
    assert "within the road and this run looks at the picture" in capsys.readouterr().out
    assert "roi_share" not in lines(out)[1]
    assert lines(out)[0]["settings"]["roi"] is None
    assert main([*words, "--roi", "all", "--threshold", "3"]) == 0
    assert "NOT GUARANTEED" not in capsys.readouterr().out  # a number guarantees nothing anyway
    assert main([*words, "--roi", "0,1"]) == 2


def sky_where_dark(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pixel of a picture with a dark upper left corner is sky."""
    outputs = Model.outputs

    def changed(self: Model, image: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
        found = outputs(self, image, names)
        if "classes" in found and image[0, 0].max() < 10:
            found["classes"][:] = 10
        return found

    monkeypatch.setattr(Model, "outputs", changed)


def test_a_frame_without_a_road_is_not_a_calm_one(
    on_road: Path, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sky_where_dark(monkeypatch)
    sky, image = tmp_path / "sky", read_first(clip)
    sky.mkdir()
    cv2.imwrite(str(sky / "a.png"), image)
    image[:3, :3] = 0
    cv2.imwrite(str(sky / "b.png"), image)
    assert main(["detect", str(sky), "--model", str(on_road), "--save", "--out", str(tmp_path / "out")]) == 0
    shares = [each["roi_share"] for each in lines(tmp_path / "out") if each["type"] == "frame"]
    assert shares[0] > 0.2
    assert shares[1] == 0
    assert lines(tmp_path / "out")[-1]["without_roi"] == 1
    assert "in 1 of them NOTHING WAS LOOKED AT: their region of interest is empty" in capsys.readouterr().out


def test_a_file_without_classes_says_so(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Model()
    other.__dict__["output_names"] = ("outlier_head",)
    with pytest.raises(InputError, match=r"--roi road needs the classes.* gives none; export it again with --classes"):
        other.roi(Roi("road"))
    monkeypatch.setattr(other, "card", replace(other.card, classes=("sky", "tree")))
    other.__dict__["output_names"] = ("outlier_head", "classes")
    with pytest.raises(InputError, match="needs a class 'road' or 'sidewalk'"):
        other.roi(Roi("road"))
    assert model.roi(Roi.parse("0,0 1,0 1,1")).kind == "polygon"


def test_frames_without_the_region_are_left_out_of_a_calibration(
    model: Model, frames: list[Frame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sky_where_dark(monkeypatch)
    images = [each.image for each in frames[:3]]
    images.insert(1, images[0].copy())
    images[1][0, 0] = 0
    told: list[str] = []
    data = CalibrationData("own", 4, lambda: ((each, None, "a") for each in images), ("a",), "drive", "some")
    for _ in range(2):  # the second time from kept figures
        card = find_thresholds(model, data, roi=Roi("road"), note=told.append, keep=tmp_path / "kept")
        assert card.calibration["frames"] == 3
    left_out = [each for each in told if each.startswith("left out")]
    assert left_out == ["left out: 1 frame in which nothing lies within the road"] * 2
    whole = find_thresholds(model, data, keep=tmp_path / "kept")
    assert whole.calibration["frames"] == 4
    assert "roi" not in whole.calibration
    assert whole.thresholds["outlier_head"] >= card.thresholds["outlier_head"]


def test_the_cards_smallest_area_is_used(model: Model, clip: Path, tmp_path: Path) -> None:
    card = find_thresholds(model, calibration_data([str(clip)], tmp_path, "val"), min_area=70)
    settings, broken = completed(Settings(), card)
    assert (settings.min_area, broken) == (70, [])
    write_card(model.path, card, tmp_path / "area.onnx")
    other, image = Model(tmp_path / "area.onnx"), read_first(clip)
    assert [FrameProcessor(other, min_area=each).min_area for each in (None, 5)] == [70, 5]
    settings, broken = completed(Settings(min_area=5), card)
    assert settings.min_area == 5
    assert said("no-alarms: x", broken) == (
        "no-alarms: x; NOT GUARANTEED HERE: it was calibrated for false alarms of 70 pixels or more and this run "
        "reports 5 pixels or more"
    )
    assert said("msp > 3: a number that was given, without a guarantee", broken).endswith("without a guarantee")
    level = float(np.quantile(other(image), 0.9))
    assert all(each.area >= 70 for each in other.detect(image, threshold=level))
    assert len(other.detect(image, threshold=level)) < len(other.detect(image, threshold=level, min_area=1))
