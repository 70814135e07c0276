"""What a run takes from the card, and what its findings then cannot promise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from mining.fleet import settings

import oddroad.cli.mine
from oddroad.calibration.fit import write_card
from oddroad.cli.main import main
from oddroad.detection.tracking import Tracking
from oddroad.inference.model import read_card

TRACKED = {"min_hits": 3, "max_age": 4, "every": 1, "rate": 10.0}
PROMISE = "red > 100: at most 6 alarms an hour, each a false alarm"


@pytest.fixture
def tracked(red: Path, tmp_path: Path) -> Path:
    """The detector of what is red, whose alarms were counted by tracks."""
    card = read_card(red)
    card = replace(card, calibration={**card.calibration, "tracking": TRACKED}, threshold_meaning=PROMISE)
    write_card(red, card, tmp_path / "tracked.onnx")
    return tmp_path / "tracked.onnx"


@pytest.mark.parametrize(
    ("options", "hits", "age", "broken"),
    [
        ([], 3, 4, "NOT GUARANTEED HERE: tracks end with each segment, so that a thing at a border counts twice"),
        (
            ["--min-hits", "2"],
            2,
            4,
            "its alarms were counted with --min-hits 3 and this run has 2",
        ),
        (["--max-age", "9"], 3, 9, "its alarms were counted with --max-age 4 and this run has 9"),
        (["--fast"], 3, 4, "its alarms were counted on frames that follow each other"),
    ],
)
def test_tracks_are_those_of_the_card(tracked, tmp_path, monkeypatch, options, hits, age, broken):
    taken = []
    monkeypatch.setattr(oddroad.cli.mine, "plan_text", lambda totals, detector, settings: taken.append(settings) or "")
    (tmp_path / "drives").mkdir()
    (tmp_path / "drives" / "bad.mp4").write_bytes(b"no video" * 100)
    words = ["mine", str(tmp_path / "drives"), "--out", str(tmp_path / "out"), "--model", str(tracked), "--dry-run"]
    assert main([*words, *options]) == 3
    assert (taken[0].min_hits, taken[0].max_age) == (hits, age)
    assert taken[0].meaning.startswith(PROMISE)
    assert broken in taken[0].meaning


@pytest.mark.parametrize(("option", "value"), [("--min-hits", "0"), ("--max-age", "-1")])
def test_impossible_tracks_are_refused(red, tmp_path, capsys, option, value):
    assert main(["mine", str(tmp_path), "--out", str(tmp_path / "out"), "--model", str(red), option, value]) == 2
    assert f"{option} is {value}; expected a number of frames" in capsys.readouterr().err


def test_archives_of_before_stay_mined(red):
    usual = settings(red)
    assert settings(red, max_age=Tracking().max_age).made_of == usual.made_of == settings(red).made_of
    assert settings(red, max_age=7).made_of != usual.made_of
