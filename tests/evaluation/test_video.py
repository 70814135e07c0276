"""Drives: objects and alarms as events, worked out by hand; what is said and refused; the same as detect reports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from golden import golden, needs_golden

from oddroad import InputError
from oddroad.card import Card
from oddroad.cli.main import main
from oddroad.detection.alarms import AlarmCounter
from oddroad.detection.tracking import CameraShift
from oddroad.evaluation.evaluate import evaluate, plain
from oddroad.evaluation.judged import Truth
from oddroad.evaluation.options import check_options
from oddroad.evaluation.predictors import Predictor
from oddroad.evaluation.workers import Settings
from oddroad.metrics import ComponentMetric, ConsistencyMetric
from oddroad.regions import find
from oddroad.synthetic.scenes import drive
from oddroad.types import IGNORE

SIZE = 60, 100
TEXTURE = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def square(mask: np.ndarray, x: int, y: int, value: float = 1.0, side: int = 12) -> None:
    mask[y : y + side, x : x + side] = value


def first_drive() -> list[tuple[np.ndarray, np.ndarray]]:
    """An object from frame 2 on, small in frame 1, marked from frame 5 on; a false region in frames 0 to 1 and in 7."""
    frames = []
    for number in range(10):
        label, heat = np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.float32)
        if number == 1:
            square(label, 21, 21, side=9)
        if number >= 2:
            square(label, 20 + number, 20)
        if number >= 5:
            square(heat, 22 + number, 22)
        if number in (0, 1, 7):
            square(heat, 70, 40)
        frames.append((label, heat))
    return frames


def second_drive() -> list[tuple[np.ndarray, np.ndarray]]:
    """An object that is never marked; what is marked is not judged."""
    frames = []
    for number in range(6):
        label, heat = np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.float32)
        square(label, 50, 10)
        square(label, 10, 40, IGNORE)
        square(heat, 10, 40)
        square(heat, 52, 42, 0.1 * number)  # below the threshold
        frames.append((label, heat))
    return frames


def write(root: Path, drives: Mapping[str, list[tuple[np.ndarray, np.ndarray]]], fps: float | None = 10.0) -> Path:
    """A set of one's own with maps and ``sequences.json``."""
    for folder in ("images", "masks", "maps"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    named: dict[str, Any] = {}
    for name, frames in drives.items():
        names = [f"{name}_{number:03d}" for number in range(len(frames))]
        named[f"drive {name}"] = names if fps is None else {"fps": fps, "frames": names}
        for number, (each, (label, heat)) in enumerate(zip(names, frames, strict=True)):
            image = TEXTURE[: label.shape[0], : label.shape[1]].copy()
            image[0, 0] = number, ord(name), 0  # each image is another one
            cv2.imwrite(str(root / f"images/{each}.png"), image)
            cv2.imwrite(str(root / f"masks/{each}.png"), label)
            np.save(root / f"maps/{each}.npy", heat)
    (root / "sequences.json").write_text(json.dumps(named))
    return root


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return write(tmp_path, {"a": first_drive(), "b": second_drive()})


def judge(root: Path, **changes: Any) -> dict[str, Any]:
    given = {"model": str(root / "maps"), "work": root / "work", "threshold": "0.75", "video": True, **changes}
    (result,) = evaluate(Settings(**given), ["folder"], root)
    return result


def test_events_worked_out_by_hand(home: Path) -> None:
    found = judge(home)["deployed"]["video"]
    wanted = {
        "event_objects": 2, "event_recall": 1 / 2, "delay_frames": 3, "delay_seconds": 0.3, "alarms": 3,
        "false_alarms": 2, "frames": 16, "seconds": 1.6, "false_alarms_per_hour": 2 * 3600 / 1.6,
        "alarms_per_hour": 3 * 3600 / 1.6, "false_alarms_per_100_frames": 200 / 16, "sequences": 2, "threshold": 0.75,
    }  # fmt: skip
    assert {name: found[name] for name in wanted} == pytest.approx(wanted)


def test_an_alarm_waits_for_its_hits(home: Path) -> None:
    found = judge(home, min_hits=2)["deployed"]["video"]
    assert (found["alarms"], found["false_alarms"], found["delay_frames"], found["min_hits"]) == (2, 1, 4, 2)
    found = judge(home, min_hits=2, max_age=6)["deployed"]["video"]
    assert (found["alarms"], found["false_alarms"]) == (2, 1)
    assert judge(home, max_age=6)["deployed"]["video"]["alarms"] == 2  # the false region of frame 7 goes on as it was
    assert judge(home, min_hits=6)["deployed"]["video"]["event_recall"] == 0


def test_consistency_is_that_of_the_pixels_above_the_threshold(home: Path) -> None:
    metric = ConsistencyMetric()
    for frames in (first_drive(), second_drive()):
        for label, heat in frames:
            metric.add(heat > 0.75, label)
        metric.restart()
    found = judge(home)["deployed"]["video"]
    for name, value in metric.result().items():
        assert found[name] == pytest.approx(value, nan_ok=True), name
    assert found["vc_anomaly"] < found["vc"] < found["vc_known"] <= 1


def test_objects_in_still_frames(home: Path) -> None:
    result = judge(home, video=False)
    found = result["deployed"]
    assert "video" not in found
    assert found["object_recall"] == pytest.approx(5 / 14)
    assert found["false_alarms_per_frame"] == pytest.approx(3 / 16)
    assert found["frames_with_false_alarm"] == pytest.approx(3 / 16)
    best = judge(home, threshold=repr(result["threshold"]))
    assert {name: best[name] for name in found if name in best and name != "threshold"}["object_recall"] == (
        best["deployed"]["object_recall"]
    )


def test_every_figure_has_an_interval_over_drives(tmp_path: Path) -> None:
    drives = {name: first_drive() for name in "abcd"} | {"e": second_drive()}
    for number, name in enumerate("bcd"):
        for label, heat in drives[name][number + 5 : number + 7]:
            heat[label == 1] = 0
    result = judge(write(tmp_path, drives))
    for place in (result["video"], result["deployed"]["video"]):
        assert place["left_out"]["of"] == "sequences"
        assert place["left_out"]["units"] == [f"drive {name}" for name in "abcde"]
        for name, (low, high) in place["intervals"].items():
            assert name in place["no_interval"] or low <= place[name] <= high, name
    assert set(result["deployed"]["video"]["intervals"]) >= {
        "event_recall", "delay_frames", "delay_seconds", "false_alarms_per_hour", "alarms_per_hour", "vc_star", "vc",
    }  # fmt: skip
    assert set(result["deployed"]["video"]["no_interval"]) <= {"vc_anomaly", "vc_known", "vc_star"}
    assert "object_recall" in result["intervals"]
    assert result["deployed"]["left_out"]["of"] == "sequences"
    json.dumps(plain(result), allow_nan=False)


def test_workers_give_the_same(home: Path) -> None:
    alone, shared = judge(home), judge(home, workers=2)
    for place in ("video", "deployed"):
        assert plain(shared[place]) == plain(alone[place])


def test_exact_scores_and_sets_of_classes(home: Path) -> None:
    found, exact = (plain(judge(home, exact=each)["deployed"]["video"]) for each in (False, True))
    assert exact == found
    with pytest.raises(InputError, match="--video does nothing for sets of classes"):
        check_options(Settings("", video=True), [])


def test_frames_per_second_from_the_option_or_not_at_all(tmp_path: Path) -> None:
    root = write(tmp_path, {"a": first_drive(), "b": second_drive()}, fps=None)
    result = judge(root)
    assert np.isnan(result["deployed"]["video"]["false_alarms_per_hour"])
    assert result["deployed"]["video"]["delay_frames"] == 3
    (note,) = (each for each in result["notes"] if "frames per second" in each)
    assert note.startswith("frames per second are not known of 2 of 2 drives")
    result = judge(root, fps=5.0)
    assert result["deployed"]["video"]["delay_seconds"] == pytest.approx(0.6)
    assert not any("frames per second" in each for each in result["notes"])
    assert judge(write(tmp_path, {"a": first_drive()}), fps=20.0)["deployed"]["video"]["seconds"] == 0.5


def test_what_stands_alone_is_said(home: Path) -> None:
    names = [f"a_{number:03d}" for number in range(10)]
    (home / "sequences.json").write_text(json.dumps({"one": {"fps": 10, "frames": names}}))
    result = judge(home)
    assert "video figures are of 10 frames of 1 drive; the others stand alone" in result["notes"]
    assert result["deployed"]["video"]["event_recall"] == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"video": False, "fps": 10.0}, "--fps is for sequences of frames; pass --video, too"),
        ({"video": False, "min_hits": 2}, "--min-hits is for sequences"),
        ({"fps": 0.0}, "--fps is 0.0; expected frames per second above 0"),
        ({"min_hits": 0}, "--min-hits is 0; expected a number of frames, 1 or more"),
        ({"max_age": -1}, "--max-age is -1; expected a number of frames, 0 or more"),
        ({"protocol": "network"}, "--video with --protocol network"),
    ],
)
def test_options_that_cannot_be(home: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        judge(home, **changes)


def test_single_images_are_no_drives(home: Path) -> None:
    (home / "sequences.json").unlink()
    with pytest.raises(InputError, match="--video needs frames of drives, and folder has single images"):
        judge(home)
    (home / "sequences.json").write_text('{"one": ["a_000"], "other": ["b_000"]}')
    with pytest.raises(InputError, match="--video needs frames of drives"):
        judge(home)


def test_frames_of_a_drive_have_one_size(home: Path) -> None:
    for folder in ("images", "masks"):
        path = str(home / f"{folder}/a_004.png")
        whole = cv2.imread(path, cv2.IMREAD_UNCHANGED)
        assert whole is not None
        cv2.imwrite(path, np.ascontiguousarray(whole[:30, :50]))
    np.save(home / "maps/a_004.npy", np.zeros((30, 50), np.float32))
    with pytest.raises(InputError, match=r"frame 'a_004' of sequence 'drive a' is 30 x 50 and its first one 60 x 100"):
        judge(home)


def test_wrong_rates_in_sequences_are_named(home: Path) -> None:
    for wrong in ('{"d": {"fps": 0, "frames": ["a_000"]}}', '{"d": {"frames": ["a_000"]}}', '{"d": {"fps": 10}}'):
        (home / "sequences.json").write_text(wrong)
        with pytest.raises(InputError, match=r"sequences.json' should be like .*\"fps\": 10"):
            judge(home)


def test_alarms_on_a_rendered_drive_are_those_that_detect_reports(tmp_path: Path) -> None:
    """The scores are the truth with noise; a moving camera, several objects, tracks that end and begin."""
    draw, frames, counter, camera = np.random.default_rng(1), [], AlarmCounter(2), CameraShift()
    for folder in ("images", "masks", "maps"):
        (tmp_path / folder).mkdir()
    for number, frame in enumerate(drive(seed=3, frames=24, size=(108, 192))):
        label = frame.label
        assert label is not None
        noise = cv2.GaussianBlur(draw.normal(0, 6, label.shape).astype(np.float32), (0, 0), 3)
        heat = cv2.GaussianBlur(label.astype(np.float32), (0, 0), 1) + noise
        counter(find(heat, 0.8, None), camera(frame.image), label.shape[1])
        frames.append(name := f"{number:03d}")
        cv2.imwrite(str(tmp_path / f"images/{name}.png"), frame.image[..., ::-1])
        cv2.imwrite(str(tmp_path / f"masks/{name}.png"), label)
        np.save(tmp_path / f"maps/{name}.npy", heat)
    (tmp_path / "sequences.json").write_text(json.dumps({"d": {"fps": 25, "frames": frames}}))
    found = judge(tmp_path, threshold="0.8", min_hits=2)["deployed"]["video"]
    assert found["alarms"] == counter.alarms > 5
    assert 0 < found["false_alarms"] < found["alarms"]


def test_tracking_and_smallest_area_are_the_cards_as_in_detect(home: Path) -> None:
    def opener(model: str, scores: object, threads: int) -> Predictor:
        calibration = {"tracking": {"min_hits": 2, "max_age": 6, "every": 1, "rate": 10.0}} if "t" in model else {}
        calibration |= {"min_area": 145} if "a" in model else {}
        card = Card("fake", "none", ("s",), None, 1, ("road",), {"s": 0.75}, calibration=calibration)
        maps = {each.stem: np.load(each) for each in (home / "maps").glob("*.npy")}
        return Predictor("f", model * 64, ("s",), lambda _, sample, image: {"s": maps[sample.name]}, card=card)

    def found(model: str, **changes: Any) -> dict[str, Any]:
        return judge(home, model=model, opener=opener, threshold=None, **changes)["deployed"]["video"]

    plain_run, tracked = found("p"), found("t")
    assert (plain_run["min_hits"], plain_run["max_age"], plain_run["alarms"]) == (1, 2, 3)
    assert (tracked["min_hits"], tracked["max_age"], tracked["alarms"]) == (2, 6, 2)
    assert found("t", min_hits=1, max_age=0)["alarms"] == 3
    assert found("a")["alarms"] == 0  # each marked square has 144 pixels
    assert judge(home, model="a", opener=opener, threshold=None)["deployed"]["object_recall"] == 0


LEFT = {"kind": "polygon", "points": [[0, 0], [0.6, 0], [0.6, 1], [0, 1]]}
RIGHT = {"kind": "polygon", "points": [[0.6, 0], [1, 0], [1, 1], [0.6, 1]]}


@pytest.mark.parametrize(
    ("roi", "recall", "false", "words"),
    [
        (LEFT, 0.5, 0, "a polygon"),
        (RIGHT, 0.0, 2, "a polygon"),
        ({"kind": "road"}, 0.5, 0, "the road"),
        (None, 0.5, 2, ""),
    ],
)
def test_what_lies_outside_the_cards_region_of_interest_is_not_reported(
    home: Path, roi: dict[str, Any] | None, recall: float, false: int, words: str
) -> None:
    asked: list[int] = []

    def classes(image: np.ndarray) -> tuple[np.ndarray, None]:
        asked.append(1)
        return np.repeat(np.arange(100)[None] >= 60, 60, 0).astype(np.uint8), None

    def opener(model: str, scores: object, threads: int) -> Predictor:
        calibration = {} if roi is None else {"roi": roi}
        card = Card("fake", "none", ("s",), None, 1, ("road", "building"), {"s": 0.75}, calibration=calibration)
        return Predictor(
            "fake", "f" * 64, ("s",), lambda dataset, sample, image: {"s": np.load(home / f"maps/{sample.name}.npy")},
            classes, ("road", "building"), card,
        )  # fmt: skip

    result = judge(home, model="fake", opener=opener, threshold=None)
    found = result["deployed"]["video"]
    assert (found["event_recall"], found["false_alarms"]) == (recall, false)
    assert result["deployed"]["frames_with_false_alarm"] == pytest.approx(3 / 16 if false else 0)
    assert (result["deployed"]["object_recall"] > 0) == (recall > 0)
    said = f"objects, false alarms and drives are judged within {words}, as the card says"
    assert (said in result["notes"]) == (roi is not None)
    assert len(asked) == (16 if words == "the road" else 0)
    inside = np.ones(SIZE, bool) if roi is None else (np.arange(100)[None] < 60) == (recall > 0)
    metric = ConsistencyMetric()
    for frames in (first_drive(), second_drive()):
        for label, heat in frames:
            metric.add((heat > 0.75) & inside, label)
        metric.restart()
    assert found["vc_known"] == pytest.approx(metric.result()["vc_known"])


@needs_golden
@pytest.mark.parametrize(("track", "sizes"), [("anomalytrack", (500, 100)), ("obstacletrack", (50, 10))])
def test_objects_found_are_those_of_the_golden_components(track: str, sizes: tuple[int, int]) -> None:
    wanted = golden("metrics_components_pixels.npz")
    hits = 0
    for pair in range(4):
        heat, label = wanted["scores"][pair].astype(np.float32), wanted["labels"][pair]
        truth, metric = Truth.of(label, sizes[1]), ComponentMetric(0.5, *sizes)
        metric.add(heat, label)
        regions = find(np.where(label == IGNORE, -np.inf, heat), 0.5, sizes[0])
        under = [set(truth.under(each).tolist()) for each in regions]
        large = set(np.flatnonzero(truth.large).tolist())
        found = set().union(*under) & large if under else set()
        assert len(found) == np.count_nonzero(wanted[f"{track}_{pair}_sIoU_gt"])
        assert len(large) == len(wanted[f"{track}_{pair}_sIoU_gt"])
        assert sum(not each & large for each in under) == np.count_nonzero(wanted[f"{track}_{pair}_prec_pred"] == 0)
        hits += len(found)
    assert hits > 10


def test_the_command_line(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["evaluate", str(home / "maps"), "--data", "folder", "--root", str(home), "--work", str(home / "work")]
    words += ["--threshold", "0.75", "--video", "--min-hits", "2", "--json", str(home / "found.json")]
    assert main(words) == 0
    (result,) = json.loads((home / "found.json").read_text())["results"]
    assert result["deployed"]["video"]["min_hits"] == 2
    said = capsys.readouterr().out
    assert "event recall" in said
    assert "object recall" in said
