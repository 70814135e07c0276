"""`oddroad benchmark` on .onnx files: what is measured, what is said beside it, and what is refused."""

from __future__ import annotations

import importlib.util
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oddroad.benchmarking import end_to_end, environment, profile
from oddroad.cli.main import main
from oddroad.errors import InputError
from oddroad.inference.model import Model
from oddroad.io.video_writer import VideoWriter
from oddroad.types import Frame

STAGES = ["decode", "resize", "network", "score", "model", "regions", "draw", "write", "frame"]


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory, frames: list[Frame]) -> Path:
    """A video of three small frames."""
    path = tmp_path_factory.mktemp("video") / "short.mp4"
    video = VideoWriter(path, 10.0)
    for each in frames[:3]:
        video.write(each.image)
    video.close()
    return path


class TestVerb:
    def test_the_table_and_the_last_line(self, short: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        words = ["benchmark", "default", "--video", str(short), "--seconds", "0.05", "--threads", "1"]
        words += ["--precision", "float32", "bfloat16", "--engine", "onnxruntime", "--json", str(tmp_path / "b.json")]
        assert main(words) == 0
        text = capsys.readouterr().out
        found = json.loads(text.splitlines()[-1])
        assert found == json.loads((tmp_path / "b.json").read_text())
        (row,) = found["rows"]
        assert list(row["stages"]) == STAGES
        for values in row["stages"].values():
            assert 0 <= values["median"] <= values["p95"] <= values["p99"] <= values["worst"]
            assert values["count"] >= 3
        stages = {stage: values["mean"] for stage, values in row["stages"].items()}
        whole = sum(stages[each] for each in ("decode", "model", "regions", "draw", "write"))
        assert stages["frame"] == pytest.approx(whole, rel=0.05)
        assert row["fps_without_overlap"] == pytest.approx(1e3 / stages["frame"], rel=0.02)
        assert min(row["fps_overlap_overlay"], row["fps_overlap_jsonl_only"]) > 0
        assert 30 < row["peak_mb"] < 2000
        assert (row["engine"], row["threads"], row["frame_size"]) == ("onnxruntime", 1, [180, 320])
        assert row["warm_up_frames"] == 5
        assert "onnxruntime does not compute in bfloat16" in found["left_out"][0]
        assert found["processor"]["cores"] >= 1
        assert {"python", "numpy", "onnxruntime"} <= found["versions"].keys()
        for words_in in (
            "median",
            "p95",
            "p99",
            "worst",
            "the first 5 frames",
            "peak memory",
            "without overlap",
            "float32",
        ):
            assert words_in in text

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["nope.onnx"], "model 'nope.onnx' is no file"),
            (["--seconds", "0"], "--seconds is 0.0; expected more than 0"),
            (["--threads", "0"], "--threads is 0; expected 1 or more"),
            (["--size", "big"], "size 'big'; expected height x width"),
            (["--size", "any"], "--size is 'any'; expected the height and width"),
            (["--video", "nope.mp4"], "no such video: 'nope.mp4'"),
        ],
    )
    def test_bad_input(self, words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
        if words == ["nope.onnx"]:
            words = [*words, "--size", "32x64"]
        assert main(["benchmark", *words]) == 2
        assert message in capsys.readouterr().err


def test_warm_up_frames_do_not_count(model: Model, short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    real = end_to_end.FrameProcessor.judge

    def judge(self: end_to_end.FrameProcessor, frame: Frame, decode: float = 0.0) -> Any:
        seen.append(len(seen))
        judged = real(self, frame, decode)
        return replace(judged, milliseconds=judged.milliseconds | {"model": float(seen[-1])})

    monkeypatch.setattr(end_to_end.FrameProcessor, "judge", judge)
    found = end_to_end.one_after_another(model, str(short), 0.0, seconds=0.0)
    assert found["model"] == [5.0, 6.0, 7.0, 8.0, 9.0]
    assert len(seen) == 10
    assert len(found["frame"]) == 5


class TestProfile:
    def test_a_graph_is_divided_at_its_convolutions(self) -> None:
        nodes = [("Convert", 1.0), ("Convolution", 2.0), ("Add", 4.0), ("QLinearConv", 8.0), ("ReduceMax", 16.0)]
        assert profile.divide(nodes) == {"resize": 1.0, "network": 14.0, "score": 16.0}
        assert profile.divide([("Add", 1.0)]) is None

    def test_attention_is_a_part_of_the_network(self) -> None:
        nodes = [("Convert", 1.0), ("Conv", 2.0), ("attention/MatMul", 4.0), ("Add", 8.0), ("attention/Softmax", 16.0)]
        found = profile.divide([*nodes, ("ReduceMax", 32.0)])
        assert found == {"resize": 1.0, "network": 30.0, "attention": 20.0, "score": 32.0}
        assert profile.marked("attention/node_3", "MatMul") == "attention/MatMul"
        assert profile.marked("node_3", "MatMul") == "MatMul"

    @pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
    def test_the_parts_are_those_of_the_calls(self, engine: str, frames: list[Frame]) -> None:
        if importlib.util.find_spec(engine) is None:
            pytest.skip(f"{engine} is not installed here")
        model = Model(engine=engine, threads=1)
        found = profile.parts(model, [each.image for each in frames[:4]], model.scores[0], warm_up=1)
        assert {part: len(values) for part, values in found.items()} == {"resize": 3, "network": 3, "score": 3}
        assert np.median(found["network"]) > 2 * (np.median(found["resize"]) + np.median(found["score"]))


class TestMachine:
    def test_percentiles(self) -> None:
        values = list(np.random.default_rng(0).random(500))
        found = environment.latency_summary(values)
        assert found["count"] == 500
        assert found["p95"] == pytest.approx(sorted(values)[474], abs=0.005)
        assert found["p99"] == pytest.approx(sorted(values)[494], abs=0.005)
        assert found["median"] == pytest.approx(np.median(values), abs=0.001)
        assert found["mean"] == pytest.approx(np.mean(values), abs=0.001)
        assert found["worst"] == round(max(values), 3)

    def test_memory_is_that_of_this_process(self) -> None:
        before = environment.peak_memory()
        block = np.ones(60_000_000, np.uint8)
        after = environment.peak_memory()
        assert block[0] == 1
        assert after >= before
        assert 40 < after < 8000

    @pytest.mark.skipif(not Path("/proc/stat").exists(), reason="only Linux tells who is busy")
    def test_own_work_is_not_that_of_others(self) -> None:
        contention = environment.CpuContention()
        began, spent = time.perf_counter(), time.process_time()
        while time.perf_counter() - began < 0.5:
            sum(range(1000))
        mine = (time.process_time() - spent) / 0.5
        share = contention.share
        assert share is not None
        assert 0 <= share <= 1
        cores = end_to_end.os.cpu_count() or 1
        assert share <= 1 - mine / cores + 0.1

    def test_the_processor_has_a_name(self) -> None:
        found = environment.processor()
        assert found["name"]
        assert set(found["flags"]) <= set(environment.FLAGS)


@dataclass(frozen=True)
class Given:
    """A setting for the functions below."""

    number: int


def doubled(given: Given) -> dict[str, Any]:
    """Measures something, or refuses, or breaks."""
    if given.number == 13:
        raise InputError("13 is refused")
    if given.number == 0:
        raise ZeroDivisionError("broken on purpose")
    return {"doubled": 2 * given.number}


class TestOwnProcess:
    @pytest.fixture(autouse=True)
    def reachable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let the child import this file."""
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
        monkeypatch.setattr(Given, "__module__", Path(__file__).stem)

    def test_the_answer_comes_back(self) -> None:
        assert end_to_end.in_own_process(f"{Path(__file__).stem}:doubled", Given(21)) == {"doubled": 42}

    def test_a_refusal_comes_back(self) -> None:
        with pytest.raises(InputError, match="13 is refused"):
            end_to_end.in_own_process(f"{Path(__file__).stem}:doubled", Given(13))

    def test_a_break_is_told(self) -> None:
        with pytest.raises(RuntimeError, match="broken on purpose"):
            end_to_end.in_own_process(f"{Path(__file__).stem}:doubled", Given(0))


def test_a_disturbed_row_says_so() -> None:
    row = {"fps_without_overlap": 1.0, "peak_mb": 2.0, "first_call_ms": 3.0, "cpu_contention": 0.2}
    assert any(line.startswith("CPU contended: other processes took 20 %") for line in end_to_end.footer(row))
    assert not any("CPU contended" in line for line in end_to_end.footer(row | {"cpu_contention": 0.01}))
    assert any("not known" in line for line in end_to_end.footer(row | {"cpu_contention": None}))


def test_a_threshold_where_the_card_has_none(
    model: Model, frames: list[Frame], monkeypatch: pytest.MonkeyPatch
) -> None:
    level, rule = end_to_end.level_for(model, frames[0].image)
    assert (level, rule) == (model.card.thresholds[model.scores[0]], "of the card")
    monkeypatch.setitem(model.card.thresholds, model.scores[0], 0.0)
    monkeypatch.delitem(model.card.thresholds, model.scores[0])
    level, rule = end_to_end.level_for(model, frames[0].image)
    assert float((model(frames[0].image) > level).mean()) == pytest.approx(0.01, abs=0.001)
    assert "exceeded by 1 %" in rule
