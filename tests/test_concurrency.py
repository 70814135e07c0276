"""Stages that overlap: order, failures of either side, memory, and the newest of a live source."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oddroad.cli.main import main
from oddroad.concurrency import BackgroundWorker, latest_only, ordered_map
from oddroad.detection import pipeline
from oddroad.detection.pipeline import run
from oddroad.detection.settings import Settings
from oddroad.errors import InputError
from oddroad.inference.model import Model
from oddroad.io.results import Results
from oddroad.io.sources import Source, find_sources
from oddroad.types import Frame


def alive(name: str) -> bool:
    """Whether a thread of this name runs."""
    return any(each.name == name for each in threading.enumerate())


class TestSideBySide:
    def test_order_is_kept_whatever_takes_longer(self) -> None:
        def work(item: int) -> int:
            time.sleep(0.02 if item % 3 == 0 else 0.001)
            return item * 10

        assert list(ordered_map(work, range(20), 3)) == [10 * item for item in range(20)]
        assert not any(each.name.startswith("side-by-side") for each in threading.enumerate())

    def test_so_many_at_a_time_and_no_more(self) -> None:
        meeting, running, most = threading.Barrier(2), [0], [0]
        lock = threading.Lock()

        def work(item: int) -> int:
            with lock:
                running[0] += 1
                most[0] = max(most[0], running[0])
            meeting.wait(10)  # passes only if two run at the same time
            with lock:
                running[0] -= 1
            return item

        assert list(ordered_map(work, range(8), 2)) == list(range(8))
        assert most[0] == 2

    def test_one_at_a_time_is_done_in_this_thread(self) -> None:
        assert set(ordered_map(lambda item: threading.current_thread().name, range(3), 1)) == {"MainThread"}

    @pytest.mark.parametrize("count", [1, 2])
    def test_a_failure_of_the_work_comes_after_what_was_before(self, count: int) -> None:
        def work(item: int) -> int:
            if item == 3:
                raise InputError("three is broken")
            return item

        results = ordered_map(work, range(10), count)
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(InputError, match="three is broken"):
            next(results)

    @pytest.mark.parametrize("count", [1, 3])
    def test_a_failure_of_the_source_comes_after_what_was_before(self, count: int) -> None:
        def source() -> Iterator[int]:
            yield from range(5)
            raise InputError("the video is cut off")

        results = ordered_map(lambda item: item, source(), count)
        assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
        with pytest.raises(InputError, match="the video is cut off"):
            next(results)

    def test_leaving_closes_the_source_and_takes_few_items(self) -> None:
        taken: list[int] = []
        closed: list[bool] = []

        def source() -> Iterator[int]:
            try:
                for number in range(100):
                    taken.append(number)
                    yield number
            finally:
                closed.append(True)

        results = ordered_map(lambda item: item, source(), 2)
        assert next(results) == 0
        results.close()  # type: ignore[attr-defined]
        assert closed == [True]
        assert len(taken) == 3


def test_frames_in_parallel_are_the_same_as_one_by_one(tmp_path: Path, frames: list[Frame], clip: Path) -> None:
    """Same regions, same tracks, same order; only milliseconds and the last bit of the scores may differ."""
    lines = {}
    for parallel in (1, 2):
        model = Model(threads=2, parallel=parallel)
        assert model.parallel == parallel
        level = float(np.quantile(model(frames[0].image), 0.98))
        settings = Settings(threshold=round(level, 3), min_area=5, save=())
        run(model, find_sources([str(clip)]), tmp_path / str(parallel), settings)
        text = (tmp_path / str(parallel) / "detections.jsonl").read_text()
        lines[parallel] = [json.loads(line) for line in text.splitlines()[1:-1]]
    assert len(lines[1]) == len(frames)
    assert any(line["regions"] for line in lines[1])
    for one, two in zip(lines[1], lines[2], strict=True):
        assert one["index"] == two["index"]
        assert [each["track"]["id"] for each in one["regions"]] == [each["track"]["id"] for each in two["regions"]]
        for ours, theirs in zip(one["regions"], two["regions"], strict=True):
            assert ours["box"] == theirs["box"]
            assert ours["mean"] == pytest.approx(theirs["mean"], abs=1e-3)


@pytest.mark.parametrize(
    ("kinds", "together"), [(["image"], 1), (["image", "image"], 2), (["video"], 2), (["camera"], 1), (["stream"], 1)]
)
def test_live_frames_and_single_images_are_judged_one_at_a_time(
    kinds: list[str], together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "available_cores", lambda: 2)
    sources = [Source(kind, "0", f"source{number}") for number, kind in enumerate(kinds)]
    assert pipeline.frames_together(sources) == together


class TestBehind:
    def test_order_is_kept_and_all_is_done(self) -> None:
        done: list[int] = []
        with BackgroundWorker(done.append, depth=3) as behind:
            for number in range(200):
                behind.put(number)
        assert done == list(range(200))
        assert not alive("work-behind")

    def test_a_slow_worker_slows_the_run_and_holds_no_more_than_its_depth(self) -> None:
        begun = threading.Semaphore(0)
        go = threading.Event()
        put: list[int] = []

        def work(item: int) -> None:
            begun.release()
            go.wait(20)

        def feed() -> None:
            with BackgroundWorker(work, depth=3) as behind:
                for number in range(50):
                    behind.put(number)
                    put.append(number)

        feeder = threading.Thread(target=feed)
        feeder.start()
        assert begun.acquire(timeout=5)
        time.sleep(0.5)
        assert len(put) == 4  # one in hand and three waiting
        go.set()
        feeder.join(20)
        assert len(put) == 50

    def test_a_failure_of_the_worker_ends_the_run(self) -> None:
        done: list[int] = []

        def work(item: int) -> None:
            if item == 2:
                raise InputError("the disk is full")
            done.append(item)

        def feed() -> None:
            with BackgroundWorker(work, depth=2) as behind:
                for number in range(1000):
                    behind.put(number)

        with pytest.raises(InputError, match="the disk is full"):
            feed()
        assert done == [0, 1]
        assert not alive("work-behind")

    def test_a_failure_on_the_last_item_is_not_lost(self) -> None:
        def work(item: int) -> None:
            time.sleep(0.05)
            raise InputError("late")

        with pytest.raises(InputError, match="late"), BackgroundWorker(work) as behind:
            behind.put(1)

    def test_a_failure_of_the_run_keeps_what_was_put(self) -> None:
        done: list[int] = []

        def work(item: int) -> None:
            time.sleep(0.01)
            done.append(item)

        def feed() -> None:
            with BackgroundWorker(work, depth=4) as behind:
                for number in range(4):
                    behind.put(number)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            feed()
        assert done == [0, 1, 2, 3]


class TestNewest:
    def test_old_items_are_dropped_and_counted(self) -> None:
        dropped: list[int] = []
        taken = threading.Event()

        def items() -> Iterator[int]:
            yield 0
            assert taken.wait(5)
            yield from range(1, 10)

        seen: list[int] = []
        for each in latest_only(items(), lambda: dropped.append(1)):
            seen.append(each)
            if each == 0:
                taken.set()
                while len(dropped) < 8:
                    time.sleep(0.005)
        assert seen == [0, 9]
        assert len(dropped) == 8
        assert not alive("read-newest")

    def test_nothing_is_dropped_from_a_slow_source(self) -> None:
        def items() -> Iterator[int]:
            for number in range(5):
                time.sleep(0.05)
                yield number

        dropped: list[int] = []
        assert list(latest_only(items(), lambda: dropped.append(1))) == [0, 1, 2, 3, 4]
        assert dropped == []

    def test_an_error_of_the_source_comes_after_the_last_item(self) -> None:
        def items() -> Iterator[int]:
            yield 7
            raise InputError("the camera is gone")

        seen: list[int] = []
        with pytest.raises(InputError, match="the camera is gone"):
            seen.extend(latest_only(items(), lambda: None))
        assert seen == [7]

    def test_leaving_the_loop_stops_the_source(self) -> None:
        closed = threading.Event()

        def endless() -> Iterator[int]:
            try:
                while True:
                    time.sleep(0.001)
                    yield 1
            finally:
                closed.set()

        for _ in latest_only(endless(), lambda: None):
            break
        assert closed.wait(5)
        assert not alive("read-newest")


class Slow:
    """A detector that takes its time and finds nothing."""

    scores, parallel, sha256, engine, float_precision = ("msp",), 1, "", "", "float32"

    def __init__(self, model: Model, seconds: float):
        self.card, self.seconds = model.card, seconds

    def pick_score(self, score: str | None) -> str:
        """The one score."""
        return "msp"

    def __call__(self, image: np.ndarray, score: str | None = None) -> np.ndarray:
        """A map of zeros."""
        time.sleep(self.seconds)
        return np.zeros(image.shape[:2], np.float32)


class TestDetect:
    def test_memory_stays_while_the_writer_is_slow(
        self, tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made, written, most = [0], [0], [0]

        def frames(*_: Any) -> Iterator[Frame]:
            for number in range(40):
                made[0] += 1
                most[0] = max(most[0], made[0] - written[0])
                yield Frame(np.zeros((8, 8, 3), np.uint8), "a", number, number / 10)

        def slow(self: Results, *_: Any) -> None:
            time.sleep(0.01)
            written[0] += 1

        monkeypatch.setattr(pipeline, "read", frames)
        monkeypatch.setattr(Results, "products", slow)
        sources = [Source("camera", "0", "a")]
        settings = Settings(threshold=1.0, save=())
        done = run(Slow(model, 0.0), sources, tmp_path, settings)  # type: ignore[arg-type]
        assert done.frames == written[0] == 40
        assert most[0] <= 9  # 2 ahead, 2 behind, one in each hand and at each hand-over

    def test_a_failure_of_the_writer_ends_the_run_with_its_message(
        self, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def full(self: Results, *_: Any) -> None:
            raise InputError("the disk of 'out' is full")

        monkeypatch.setattr(Results, "products", full)
        assert main(["detect", str(clip), "--out", str(tmp_path / "out")]) == 2
        assert capsys.readouterr().err == "oddroad: the disk of 'out' is full\n"

    def test_latest_drops_and_says_how_many(
        self, tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def camera(*_: Any) -> Iterator[Frame]:
            for number in range(40):
                time.sleep(0.005)
                yield Frame(np.zeros((8, 8, 3), np.uint8), "cam", number, number / 200)

        monkeypatch.setattr(pipeline, "read", camera)
        sources = [Source("camera", "0", "cam")]
        settings = Settings(threshold=1.0, save=(), latest=True)
        done = run(Slow(model, 0.05), sources, tmp_path, settings)  # type: ignore[arg-type]
        assert done.frames + done.dropped == 40
        assert done.dropped > 20
        assert f"dropped {done.dropped} older frames to keep up" in done.text()
        assert '"index": 39,' in (tmp_path / "detections.jsonl").read_text().splitlines()[-2]

    def test_latest_is_for_live_sources(self, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["detect", str(clip), "--latest", "--out", str(tmp_path)]) == 2
        assert "--latest is for cameras and streams; 'drive.mp4' is a file" in capsys.readouterr().err

    def test_read_errors_still_end_the_run(self, tmp_path: Path, model: Model) -> None:
        with pytest.raises(InputError, match="no camera 61"):
            run(model, find_sources(["61"]), tmp_path, Settings(latest=True))
