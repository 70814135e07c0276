"""Drift in ``oddroad detect``: what is tested, what is said, and what the lines hold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oddroad.calibration.drift_reference import DriveStatistics, drift_reference
from oddroad.calibration.frame_statistics import frame_statistics
from oddroad.card import Card
from oddroad.cli.main import main
from oddroad.detection import pipeline
from oddroad.detection.drift_monitor import DriftMonitor, drift_words, parse_drift
from oddroad.detection.pipeline import run
from oddroad.detection.settings import Settings
from oddroad.detection.summary import Summary
from oddroad.errors import InputError
from oddroad.exchange import read_results
from oddroad.io.sources import Source
from oddroad.types import Frame

SIZE = (64, 128)


def image(number: int, seed: int, darker: int = 0) -> np.ndarray:
    """A frame that differs a little from any other."""
    draw = np.random.default_rng([seed, number])
    noise = (
        draw.integers(0, 9, (*SIZE, 3)) + draw.integers(-8, 9, (1, 1, 3)) + np.linspace(90, 160, SIZE[0])[:, None, None]
    )
    noise[:, ::2] += draw.integers(0, 12)
    return (noise - darker).clip(0, 255).astype(np.uint8)


def heat(picture: np.ndarray) -> np.ndarray:
    return picture[..., 0].astype(np.float32) / 100 - 3


def drive(seed: int, frames: int) -> np.ndarray:
    return np.array([frame_statistics(each, heat(each)) for each in (image(n, seed) for n in range(frames))])


def card(reference: dict[str, Any] | None, **about: Any) -> Card:
    scores = {} if reference is None else {"msp": {"drift": reference, "quantiles": [[0.0, -9.0], [1.0, 9.0]]}}
    calibration = {"scores": scores, **about} if reference is not None or about else {}
    return Card("detector", "net", ("msp",), None, 8, ("road",), {"msp": 5.0}, calibration=calibration)


class Detector:
    """A detector without a network."""

    def __init__(self, of: Card):
        self.card, self.scores, self.parallel, self.sha256 = of, of.scores, 1, "0" * 64
        self.engine, self.float_precision = "none", "float32"

    def pick_score(self, score: str | None) -> str:
        return score or "msp"

    def threshold(self, score: str | None = None) -> float:
        return 5.0

    def __call__(self, picture: np.ndarray, score: str | None = None) -> np.ndarray:
        return heat(picture)


ONE = drift_reference([DriveStatistics("a", drive(1, 200), 0.1, True)])
SEVERAL = drift_reference([DriveStatistics(str(n), drive(n, 30), 0.1, True) for n in range(12)])


def frames(name: str, count: int, seed: int = 2, darker_from: int | None = None) -> list[Frame]:
    return [
        Frame(image(n, seed, 40 * (darker_from is not None and n >= darker_from)), name, n, n / 10)
        for n in range(count)
    ]


def detected(
    monkeypatch: pytest.MonkeyPatch, out: Path, of: Card, *drives: list[Frame], **settings: Any
) -> tuple[Summary, list[dict[str, Any]]]:
    """A run over drives, and its lines."""
    seen = [each for one in drives for each in one]

    def read(left: list[Source], *_: Any) -> Iterator[Frame]:
        names = {each.name for each in left}
        return (each for each in seen if each.source in names)

    monkeypatch.setattr(pipeline, "read", read)
    sources = [Source("video", one[0].source, one[0].source) for one in drives]
    summary = run(Detector(of), sources, out, Settings(save=(), **settings))  # type: ignore[arg-type]
    return summary, [json.loads(line) for line in (out / "detections.jsonl").read_text().splitlines()]


class TestOneDrive:
    def test_nothing_seen(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        summary, lines = detected(monkeypatch, tmp_path, card(ONE), frames("a.mp4", 300))
        assert [each["type"] for each in lines] == ["run", *["frame"] * 300, "summary"]
        state = lines[-1]["drift"]
        assert (state["state"], state["alarms"], state["reason"], state["unit"]) == ("none", 0, "", "block")
        assert state["units"] == 300 // round(ONE["block"] / 0.1) - (300 % round(ONE["block"] / 0.1) == 0)
        assert state["against"] == len(ONE["units"])
        words = (
            f"no drift seen ({state['units']} blocks against {len(ONE['units'])} of the calibration, false alarms at"
        )
        assert words + " most 1%)" in summary.text()
        assert lines[0]["settings"]["drift"] == 0.01

    def test_a_change_is_a_line_of_its_own_and_said(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        summary, lines = detected(monkeypatch, tmp_path, card(ONE), frames("a.mp4", 300, darker_from=150))
        (at,) = [number for number, each in enumerate(lines) if each["type"] == "drift"]
        alarm, before, after = lines[at], lines[at - 1], lines[at + 1]
        assert (before["type"], after["type"]) == ("frame", "frame")
        assert alarm["index"] == after["index"]
        assert 150 < alarm["index"] < 150 + 6 * round(ONE["block"] / 0.1)
        assert (alarm["test"], alarm["source"], alarm["rate"], alarm["time"]) == (
            "blocks", "a.mp4", 0.01, alarm["index"] / 10,
        )  # fmt: skip
        assert alarm["value"] < alarm["calibration"][0] < alarm["calibration"][1]
        assert alarm["evidence"] >= 100
        assert lines[-1]["drift"]["state"] == "alarm"
        assert f"DRIFT: 1 alarm, the first at a.mp4#{alarm['index']}: it no longer looks like the calibration (" in (
            summary.text()
        )
        jsonschema = pytest.importorskip("jsonschema")
        schema = json.loads((resources.files("oddroad") / "io/schema/detections.schema.json").read_text())
        for each in (alarm, lines[-1]):
            jsonschema.validate(each, schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**alarm, "test": "frames"}, schema)
        assert len(read_results(tmp_path).judged) == 300

    def test_too_little_to_tell(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        summary, lines = detected(monkeypatch, tmp_path, card(ONE), frames("a.mp4", 4))
        assert lines[-1]["drift"]["state"] == "undecided"
        fewest = lines[-1]["drift"]["fewest"]
        assert fewest > 1
        assert (
            f"drift UNDECIDED: 0 blocks, and against {len(ONE['units'])} of the calibration an alarm takes at least "
            in (summary.text())
        )

    def test_damaged_frames_are_not_looked_at(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        damaged = [
            replace(each, status="damaged", reason="black") if each.index and each.index >= 150 else each
            for each in frames("a.mp4", 300, darker_from=150)
        ]
        _, lines = detected(monkeypatch, tmp_path, card(ONE), damaged)
        assert lines[-1]["drift"]["state"] == "none"

    def test_a_resumed_run_counts_the_alarms_before_and_says_that_it_began_anew(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        drives = [frames("a.mp4", 200, darker_from=50), frames("b.mp4", 100)]
        _, lines = detected(monkeypatch, tmp_path, card(ONE), *drives)
        alarms = [each["type"] for each in lines].count("drift")
        assert alarms == 1
        (tmp_path / "detections.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in lines[:220]))
        summary, lines = detected(monkeypatch, tmp_path, card(ONE), *drives, resume=True)
        assert [each["type"] for each in lines].count("frame") == 300
        assert (lines[-1]["drift"]["state"], lines[-1]["drift"]["alarms"]) == ("alarm", 1)
        assert "begun anew where an interrupted run was resumed" in lines[-1]["drift"]["reason"]
        assert "DRIFT: 1 alarm" in summary.text()


class TestSeveralDrives:
    def test_each_drive_is_one_value(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        calm = [frames(f"{n}.mp4", 30, 50 + n) for n in range(5)]
        _, lines = detected(monkeypatch, tmp_path / "calm", card(SEVERAL), *calm)
        state = lines[-1]["drift"]
        assert (state["state"], state["unit"], state["units"], state["against"]) == ("none", "drive", 5, 12)
        odd = [frames(f"{n}.mp4", 30, 50 + n, darker_from=0) for n in range(5)]
        summary, lines = detected(monkeypatch, tmp_path / "odd", card(SEVERAL), *odd)
        (alarm,) = [each for each in lines if each["type"] == "drift"]
        assert (alarm["test"], alarm["source"], alarm["units"]) == (
            "drives",
            f"{state['fewest'] - 1}.mp4",
            state["fewest"],
        )
        assert "it no longer looks like the calibration" in summary.text()

    def test_the_last_drive_counts_when_the_run_ends(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        longer = {**SEVERAL, "longest": 5.0}
        odd = [frames(f"{n}.mp4", 30, 50 + n, darker_from=0) for n in range(5)]
        fewest = DriftMonitor(card(longer), "msp", [], 0.01).test.fewest  # type: ignore[union-attr]
        _, lines = detected(monkeypatch, tmp_path, card(longer), *odd[:fewest])
        assert [each["type"] for each in lines[-2:]] == ["drift", "summary"]
        assert lines[-2]["index"] == 29

    def test_short_drives_and_caveats_are_said(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        drives = [frames("a.mp4", 5), frames("b.mp4", 30)]
        summary, lines = detected(monkeypatch, tmp_path, card({**SEVERAL, "not_within": "they are short"}), *drives)
        assert lines[-1]["drift"]["units"] == 1
        reason = lines[-1]["drift"]["reason"]
        assert "no drive compared with its own beginning: they are short" in reason
        assert "1 shorter than any drive of the calibration and not counted" in reason
        assert reason in summary.text()
        assert "drift UNDECIDED: 1 drive, and against 12 of the calibration an alarm takes at least" in summary.text()

    def test_a_folder_of_pictures_is_a_drive(self, tmp_path: Path) -> None:
        reference = drift_reference([DriveStatistics(str(n), drive(n, 30), 1.0, False) for n in range(12)])
        places = [
            Source("image", str(tmp_path / day / f"{n}.png"), f"{day}/{n}.png") for day in "ab" for n in range(30)
        ]
        monitor = DriftMonitor(card(reference), "msp", places, 0.01)
        for number, each in enumerate(places):
            picture = image(number, 9)
            assert monitor.take(Frame(picture, each.name), heat(picture)) == []
        assert monitor.end() == []
        assert monitor.state()["units"] == 2


class TestNotTested:
    @pytest.mark.parametrize(
        ("of", "rate", "reason"),
        [
            (card(ONE), None, "it was switched off"),
            (card(None), 0.01, "'detector' is not calibrated"),
            (
                card(None, scores={"msp": {}}),
                0.01,
                "the calibration of 'detector' keeps nothing for it; calibrate again",
            ),
            (card({"not_tested": "calibrated on stills"}), 0.01, "calibrated on stills"),
        ],
    )
    def test_the_reason_is_said(
        self, of: Card, rate: float | None, reason: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        summary, lines = detected(monkeypatch, tmp_path, of, frames("a.mp4", 30, darker_from=9), drift=rate)
        assert lines[-1]["drift"] == {"state": "not tested", "reason": reason, "alarms": 0}
        assert f"drift NOT tested: {reason}" in summary.text()

    def test_pictures_have_no_times(self) -> None:
        monitor = DriftMonitor(card(ONE), "msp", [], 0.01)
        picture = image(0, 1)
        assert monitor.take(Frame(picture, "a.png"), heat(picture)) == []
        state = monitor.state()
        assert state["state"] == "not tested"
        assert state["reason"] == "'a.png' cannot be compared with the drives calibrated on, which are videos"
        for each in frames("a.mp4", 100):
            monitor.take(each, heat(each.image))
        assert monitor.state()["state"] == "none"
        assert "'a.png' cannot be compared" in monitor.state()["reason"]

    def test_the_embedded_detector_says_that_it_has_seen_no_drives(
        self, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["detect", str(picture), "--out", str(tmp_path / "out")]) == 0
        assert "drift NOT tested: " in capsys.readouterr().out

    def test_stills_of_places(self) -> None:
        monitor = DriftMonitor(card(None, scores={"msp": {}}, of="place", drives=2), "msp", [], 0.01)
        assert monitor.reason == "'detector' was calibrated on stills of 2 places, not on drives of a camera"


def test_the_states_have_words_of_their_own() -> None:
    tested = {
        "reason": "",
        "alarms": 0,
        "rate": 0.01,
        "unit": "drive",
        "units": 1,
        "against": 5,
        "fewest": 7,
        "blocks": 3,
    }
    said = {
        drift_words({**tested, "state": state}).split(" (")[0] for state in ("none", "undecided", "alarm", "not tested")
    }
    assert len(said) == 4
    assert "1 drive and 3 blocks of them" in drift_words({**tested, "state": "none"})
    first = {
        "source": "a",
        "index": 3,
        "test": "beginning",
        "statistic": "contrast",
        "value": 2.0,
        "calibration": [3, 4],
    }
    assert drift_words({**tested, "state": "alarm", "alarms": 2}, first) == (
        "DRIFT: 2 alarms, the first at a#3: it no longer looks like its own beginning "
        "(contrast 2, calibrated on 3 to 4)"
    )


@pytest.mark.parametrize("text", ["", "0", "60%", "-1%", "often", "1e", "nan"])
def test_what_is_no_rate(text: str, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="expected a rate of false alarms up to 50%, such as 1%, or 'off'"):
        parse_drift(text)


def test_the_option(picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["detect", str(picture), "--drift", "often", "--out", str(tmp_path / "out")]) == 2
    assert "--drift is 'often'" in capsys.readouterr().err
    assert main(["detect", str(picture), "--drift", "off", "--out", str(tmp_path / "out")]) == 0
    assert "drift NOT tested: it was switched off" in capsys.readouterr().out
