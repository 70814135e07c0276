"""A run over an archive: each segment once, whatever is killed; what fails is listed, and the rest goes on."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pyarrow.parquet
import pytest
from mining.fleet import fleet, settings

from oddroad.cli.main import main
from oddroad.mining import driver, worker
from oddroad.mining.archive import Plan
from oddroad.mining.driver import Run
from oddroad.mining.manifest import Manifest, check, fold, read_findings, read_segments
from oddroad.mining.pool import Outcome, attempt
from oddroad.mining.store import Store

FRAMES = 40


class HerePool:
    """Workers that are this process: one segment after another."""

    def __init__(self, made, place, capacity=1, before=lambda key: None):
        self.settings, self.place, self.capacity, self.before = made, str(place), capacity, before
        self.waiting = []

    def submit(self, key, values):
        self.waiting.append((key, values))

    def wait(self, seconds):
        key, values = self.waiting.pop(0)
        said = self.before(key)
        return [said or attempt(key, values, self.settings, self.place, lambda frames: None)]

    def close(self):
        self.waiting.clear()


@pytest.fixture(scope="module")
def drives(tmp_path_factory):
    """An archive of all kinds of logs, and its frames."""
    folder = tmp_path_factory.mktemp("archive") / "drives"
    return folder, fleet(folder, FRAMES)


def mined(red, drives, out, seconds=2.0, capacity=1, before=lambda key: None, said=None, **changes):
    """Run over an archive in this process; the progress."""
    store, made = Store(str(out)), settings(red, **changes)
    tell = (said if said is not None else []).append
    with contextlib.closing(Plan(store, [str(drives)], (), seconds, made.copies)) as plan:
        plan.keep(store)
        return Run(store, plan, made, HerePool(made, out, capacity, before), tell=tell).work()


def counted(out) -> Counter:
    """Judged frames of each camera, from the tables."""
    found: Counter = Counter()
    for row in read_segments(str(out)).to_pylist():
        found[row["camera"]] += row["judged"]
        assert row["read"] == row["judged"] + row["skipped"] + row["damaged"] + row["lost"]
    return found


def complete(out, frames) -> None:
    """That an archive is there once: every frame, and every part that the manifest names, and none else."""
    store = Store(str(out))
    manifest = Manifest.read(store)
    assert counted(out) == frames
    assert check(store, manifest, thorough=True) == []
    assert read_findings(str(out)).num_rows == manifest.findings
    names = [row["segment"] for row in read_segments(str(out)).to_pylist()]
    assert len(names) == len(set(names))
    ids = read_findings(str(out), ["id"]).column(0).to_pylist()
    assert len(ids) == len(set(ids))
    assert not list(store.names(worker.DONE))


def test_a_run_counts_every_frame_and_a_second_one_does_nothing(red, drives, tmp_path):
    folder, frames = drives
    progress = mined(red, folder, tmp_path / "out")
    complete(tmp_path / "out", frames)
    assert progress.counts["judged"] == FRAMES * 6
    again = mined(red, folder, tmp_path / "out")
    assert (again.done, again.failed) == (0, 0)
    assert again.skipped == progress.done
    moved = shutil.copytree(folder, tmp_path / "elsewhere" / "drives")
    assert mined(red, moved, tmp_path / "out").done == 0, "segments are named by content, not by place"
    other = mined(red, folder, tmp_path / "out", threshold=120.0)
    assert other.done == progress.done, "other settings are other segments"


def test_what_is_found_and_what_is_not(red, drives, tmp_path):
    folder, _ = drives
    mined(red, folder, tmp_path / "out")
    rows = read_findings(str(tmp_path / "out")).to_pylist()
    left = [row for row in rows if row["camera"] == "/left"]
    assert {row["time"] for row in left if row["area"] > 100} == {
        1_700_000_000_000_000_001 + number * 100_000_000 for number in range(20, 30)
    }
    first = next(row for row in left if row["area"] > 100)
    assert first["thumbnail"] is None or first["thumbnail"][8:12] == b"WEBP"
    assert first["p_value"] == pytest.approx(0.01)
    assert len(first["embedding"]) == 64
    assert sum(each**2 for each in first["embedding"]) == pytest.approx(1, abs=1e-5)
    tracks = {row["track"] for row in left}
    assert {row["track"] for row in left if row["best"]} == tracks
    assert all((row["thumbnail"] is not None) == row["best"] for row in rows)
    assert first["day"] == "2023-11-14"
    assert {row["day"] for row in rows if row["camera"] == "drive.mp4"} == {"unknown"}


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


def test_killed_at_any_write_nothing_is_lost_and_nothing_is_twice(red, drives, tmp_path, monkeypatch):
    folder, frames = drives
    random.seed(1)
    writes = 0

    def deadly(function):
        def write(store, name, *args):
            nonlocal writes
            writes += 1
            place = random.random()
            if place < 0.04:
                raise Killed
            found = function(store, name, *args)
            if place > 0.96:
                raise Killed
            return found

        return write

    out, kills = tmp_path / "out", 0
    with monkeypatch.context() as patched:
        for method in ("create", "replace", "remove"):
            patched.setattr(Store, method, deadly(getattr(Store, method)))
        patched.setattr(driver, "FOLD_EVERY", 5)
        while True:
            try:
                mined(red, folder, out, capacity=1 + kills % 3)
                break
            except Killed:
                kills += 1
    assert kills > 5
    complete(out, frames)


@pytest.mark.slow
def test_a_hundred_kills_of_workers_and_drivers(red, drives, tmp_path):
    kill_and_rerun(red, drives, tmp_path, 100)


def test_a_few_kills_of_workers_and_drivers(red, drives, tmp_path):
    kill_and_rerun(red, drives, tmp_path, 3)


def kill_and_rerun(red, drives, tmp_path, kills):
    """SIGKILL drivers and workers at random moments, then run to the end."""
    folder, frames = drives
    random.seed(kills)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "oddroad.cli", "mine", str(folder), "--out", str(out), "--model", str(red),
               "--seconds", "1", "--workers", "2", "--retries", "50"]  # fmt: skip
    done = 0
    while done < kills:
        if out.exists() and random.random() < 0.1:
            while out.exists():  # workers of a driver that was killed may write for a moment yet
                shutil.rmtree(out, ignore_errors=True)  # so that there is something left to do
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        began = time.monotonic()
        while process.poll() is None and done < kills:
            time.sleep(random.random() * 0.6 + (1.0 if time.monotonic() - began < 1 else 0))
            if random.random() < 0.5:
                process.kill()
                done += 1
                break
            for child in children_of(process.pid):
                try:
                    os.kill(child, signal.SIGKILL)
                    done += 1
                except ProcessLookupError:
                    pass
        process.kill()
        process.wait()
    last = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert last.returncode == 0, last.stderr
    complete(out, frames)


def children_of(parent: int) -> list[int]:
    """The worker processes of a driver."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = status.read_text().rpartition(")")
            if int(rest.split()[1]) == parent and b"spawn_main" in (status.parent / "cmdline").read_bytes():
                found.append(int(name.split()[0]))
        except (OSError, ValueError):
            continue
    return found


def test_two_workers_at_one_segment_leave_it_there_once(red, drives, tmp_path, monkeypatch):
    folder, frames = drives
    out, made = tmp_path / "out", settings(red)
    original = worker.judged

    def slow(segment, name, given, alive):
        found = original(segment, name, given, alive)
        monkeypatch.setattr(worker, "judged", original)
        worker.mine_segment(segment.to_json(), made, str(out))  # another one, meanwhile
        return found

    monkeypatch.setattr(worker, "judged", slow)
    mined(red, folder, out)
    complete(out, frames)


def test_the_last_segments_are_halved_and_halves_and_wholes_never_both_count(red, drives, tmp_path):
    folder, frames = drives
    out = tmp_path / "out"

    def stop(key):
        if key.endswith(".b"):
            raise Killed

    with pytest.raises(Killed):
        mined(red, folder, out, seconds=6.0, capacity=8, before=stop)
    mined(red, folder, out, seconds=6.0, capacity=8)
    complete(out, frames)
    names = [row["segment"] for row in read_segments(str(out)).to_pylist()]
    assert any("." in each for each in names)
    assert mined(red, folder, out, seconds=6.0).done == 0, "one worker takes the halves for done, too"
    store, made = Store(str(out)), settings(red)
    with contextlib.closing(Plan(store, [str(folder)], (), 6.0, made.copies)) as plan:
        for segment in plan.segments(made.made_of):  # a worker of a run that was killed wakes up with the whole
            worker.mine_segment(segment.to_json(), made, str(out))
    fold(store)
    complete(out, frames)


def test_a_file_system_that_fails_for_a_while(red, drives, tmp_path, monkeypatch):
    folder, frames = drives
    monkeypatch.setattr(driver, "WAITS", (0.01,) * 5)
    away = [0]
    original = Store.create

    def create(store, name, data):
        away[0] += 1
        if 3 <= away[0] <= 12:
            raise OSError(5, "Input/output error")
        return original(store, name, data)

    monkeypatch.setattr(Store, "create", create)
    said: list[str] = []
    progress = mined(red, folder, tmp_path / "out", said=said)
    assert progress.failed == 0
    assert any("input/output error; tried again" in each for each in said)
    complete(tmp_path / "out", frames)


def test_what_kills_its_worker_is_given_up_and_the_rest_goes_on(red, drives, tmp_path):
    folder, _ = drives
    tries: Counter = Counter()
    victim: list[str] = []

    def before(key):
        victim[:] = victim or [key]
        tries[key] += 1
        return Outcome(key, None, "its worker ended by signal 11", "died") if key == victim[0] else None

    out = tmp_path / "out"
    progress = mined(red, folder, out, before=before)
    assert tries[victim[0]] == 3
    assert progress.failed == 1
    (failed,) = (out / "failed").iterdir()
    assert "signal 11" in json.loads(failed.read_text())["reason"]
    again = mined(red, folder, out)
    assert (again.done, again.failed) == (1, 0)
    assert not list((out / "failed").iterdir())


def test_each_segment_fails_once_and_all_are_there(red, drives, tmp_path):
    folder, frames = drives
    tried: set[str] = set()

    def before(key):
        first = key not in tried
        tried.add(key)
        return Outcome(key, None, "its worker ended by signal 9", "died") if first else None

    assert mined(red, folder, tmp_path / "out", seconds=2.0, before=before).failed == 0
    complete(tmp_path / "out", frames)


def test_what_is_written_once_stays(tmp_path):
    store = Store(str(tmp_path / "out"))
    assert store.create("a/b", b"first")
    assert not store.create("a/b", b"second")
    assert store.read("a/b") == b"first"
    store.replace("a/b", b"third")
    assert store.read("a/b") == b"third"
    assert [name for name, _ in store.names("")] == ["a/b"], "nothing is left beside it"
    store.remove("a/b")
    assert store.read("a/b") is None


def test_the_command_line_lists_what_failed_and_goes_on(red, drives, tmp_path, capsys, monkeypatch):
    folder = tmp_path / "drives"
    shutil.copytree(drives[0] / "camera", folder / "camera")
    (folder / "bad.mp4").write_bytes(b"no video" * 100)
    (folder / "bad.mcap").write_bytes(b"\x89MCAP0\r\n" + b"encrypted" * 100)
    manifest = tmp_path / "list.csv"
    manifest.write_text(f"source,topic\n{folder},\n{tmp_path / 'gone.mcap'},/front\n,\n")
    out = tmp_path / "out"
    arguments = ["mine", str(manifest), "--out", str(out), "--model", str(red), "--workers", "1"]
    assert main([*arguments, "--dry-run"]) == 3
    said = capsys.readouterr()
    assert "1 log, 1 segment, " in said.out
    assert not (out / "manifest.json").exists()
    assert main(arguments) == 3
    said = capsys.readouterr()
    for words in ("bad.mp4: FAILED", "bad.mcap: FAILED", "gone.mcap", "line 4", "4 parts of the archive could not be"):
        assert words in said.err, said.err
    assert f"{FRAMES} frames: {FRAMES} judged" in said.out
    assert counted(out) == {"camera": FRAMES}
    assert len(list((out / "failed").iterdir())) == 4
    assert json.loads((out / "status.json").read_text())["state"] == "done"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--seconds", "0.1"], "--seconds is 0.1; expected 1 to 3600"),
        (["--workers", "2", "--ray", "auto"], "pass one of them"),
        (["--topic", "/rear"], "has no topic '/rear'"),
        (["--out", "/proc/none"], "cannot write to '/proc/none'"),
        (["--threshold", "odd"], "threshold 'odd' is not understood"),
    ],
)
def test_bad_options_are_one_line(words, said, red, drives, tmp_path, capsys):
    source = str(drives[0] / "drive.mcap")
    arguments = ["mine", source, "--model", str(red), *([] if "--out" in words else ["--out", str(tmp_path / "out")])]
    assert main([*arguments, *words]) == 2
    assert said in capsys.readouterr().err


def test_a_part_that_is_cut_off_or_gone_is_noticed(red, drives, tmp_path):
    from oddroad.errors import InputError

    folder, _ = drives
    out = tmp_path / "out"
    mined(red, folder / "drive.mcap", out)
    part = next(Path(out, "findings").rglob("*.parquet"))
    whole = part.read_bytes()
    for damaged in (b"", whole[:-1], whole[:100]):
        part.write_bytes(damaged)
        assert any(part.name in each for each in check(Store(str(out)), Manifest.read(Store(str(out)))))
        with pytest.raises(InputError, match="missing or damaged; it held"):
            read_findings(str(out))
    part.write_bytes(whole)
    (part.parent / "other.parquet").write_bytes(whole)
    assert check(Store(str(out)), Manifest.read(Store(str(out)))) == [
        f"{(part.parent / 'other.parquet').relative_to(out)} is in no segment that is done"
    ]
    listed = next((out / "segments").iterdir())
    listed.write_bytes(b"")
    with pytest.raises(InputError, match="is damaged: the manifest says"):
        read_segments(str(out))


def test_key_frames_first_judges_all_of_what_is_interesting(red, drives, tmp_path):
    folder, _ = drives
    mined(red, folder / "drive.mcap", tmp_path / "fast", seconds=1.0, fast=True)
    mined(red, folder / "drive.mcap", tmp_path / "all", seconds=1.0)
    fast = [row for row in read_segments(str(tmp_path / "fast")).to_pylist() if row["camera"] == "/left"]
    assert sum(row["read"] for row in fast) == FRAMES
    assert sorted(row["judged"] for row in fast)[0] < 5
    wanted = {row["time"] for row in read_findings(str(tmp_path / "all")).to_pylist() if row["area"] > 100}
    kept = {row["time"] for row in read_findings(str(tmp_path / "fast")).to_pylist() if row["area"] > 100}
    assert wanted == kept


def test_the_schema_is_stated_with_every_column(red, drives, tmp_path):
    mined(red, drives[0] / "drive.mcap", tmp_path / "out")
    part = next(Path(tmp_path, "out", "findings").rglob("*.parquet"))
    schema = pyarrow.parquet.read_schema(part)
    assert str(schema.field("embedding").type) == "fixed_size_list<element: float>[64]"
    assert str(schema.field("time").type) == "int64"
