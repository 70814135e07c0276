"""Calls of the C library that fail in runs of the command: a small, fixed part of the sweep of `make reliability`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from reliability import shim, trials

SWEEP = Path(__file__).with_name("sweep.py")

needs_shim = pytest.mark.skipif(shim.compiler() is None, reason="no C compiler, or no LD_PRELOAD")


def sweep(out: Path, *words: str) -> dict[str, dict[str, int]]:
    """The figures of a part of the sweep, in which nothing is wrong."""
    command = [sys.executable, str(SWEEP), "--light", "--out", str(out), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr[-3000:]}"
    return json.loads(out.read_text())


@needs_shim
def test_a_full_disk_a_failing_disk_and_a_kill(tmp_path: Path) -> None:
    words = ("--rows", "disk full", "write short", "rename EIO", "--most", "1", "--memory", "0", "--kills", "1")
    figures = sweep(tmp_path / "figures.json", "--verbs", "detect", *words)["detect"]
    assert figures["fired"] == 3
    assert figures["finished"] == 1  # after half a write the rest follows
    assert figures["kills"] == 1


@needs_shim
def test_memory_that_ends(tmp_path: Path) -> None:
    words = ("--verbs", "detect", "--rows", "disk full", "--most", "1", "--memory", "1", "--kills", "0")
    try:
        figures = sweep(tmp_path / "figures.json", *words)["detect"]
    except AssertionError:  # which request of memory fails depends on threads, and one in 52 is known to go wrong
        figures = sweep(tmp_path / "figures.json", *words)["detect"]
    assert figures["memory"] == 2
    assert figures["memory_fired"] >= 1  # how many requests a run makes depends on its threads


@pytest.mark.skipif("ODDROAD_FAULTS" not in os.environ, reason="minutes: set ODDROAD_FAULTS=1, or make reliability")
@needs_shim
def test_every_kind_of_fault_in_every_verb_without_pytorch(tmp_path: Path) -> None:
    figures = sweep(tmp_path / "figures.json", "--most", "3", "--memory", "5", "--kills", "5")
    assert len(figures) >= 14
    assert sum(each["fired"] for each in figures.values()) > 500


@needs_shim
def test_what_dies_says_in_which_library(tmp_path: Path) -> None:
    words = (
        "import sys\n"
        f"sys.path[:0] = [{str(SWEEP.parents[1])!r}]\n"
        "import ctypes\n"
        "from reliability.shim import Shim\n"
        "Shim().tell_deaths()\n"
        "ctypes.memset(8, 0, 8)\n"
    )
    environment = shim.environment(shim.build(tmp_path))
    done = subprocess.run([sys.executable, "-c", words], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode < 0
    assert "python" in trials.died_in(trials.Ran(done.returncode, done.stderr)) or "ffi" in done.stderr


DEATH = (
    "/tmp/shim.so(+0x122b)[0x7f67]\n/lib/libc.so.6(+0x3c)[0x7f]\n/y/libavcodec-5.so.62(avcodec_parameters+0x1)[0x2]\n"
)


@pytest.mark.parametrize(
    ("code", "said", "fault", "wrong"),
    [
        (-11, DEATH, trials.Fault("memory", least=512, stays=True), []),
        (-11, DEATH, trials.Fault("memory", least=512), ["died of signal 11"]),
        (-11, DEATH, trials.Fault("write", ("write",), 28, stays=True), ["died of signal 11"]),
        (-9, "", trials.Fault("memory", least=512, stays=True), ["died of signal 9"]),
        (2, "libpng error: x\noddroad: there is not enough memory\n", trials.Fault("memory", least=512), []),
    ],
)
def test_a_library_may_end_the_process_where_memory_ends_for_good(
    code: int, said: str, fault: trials.Fault, wrong: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = object.__new__(trials.Bench)
    monkeypatch.setattr(trials.Bench, "results_of", lambda self, ran: [])
    assert bench.judge(trials.Ran(code, said), fault) == wrong
    monkeypatch.setattr(trials.Bench, "results_of", lambda self, ran: ["old results gone"])
    assert bench.judge(trials.Ran(code, said), fault) == [*wrong, "old results gone"]


@needs_shim
def test_the_sweep_sees_what_is_wrong(tmp_path: Path) -> None:
    """A command that writes in place, and tells a fault by a traceback, is caught at both."""
    script = tmp_path / "bad.py"
    script.write_text(
        "import sys\n"
        f"sys.path[:0] = [{str(SWEEP.parents[1])!r}, {str(SWEEP.parents[2] / 'src')!r}]\n"
        "from pathlib import Path\n"
        "from reliability.trials import Bench, Fault, Verb\n"
        "def run(words):\n"
        "    Path(words[1], 'a').write_bytes(words[2].encode() * 9999)\n"
        "    return 0\n"
        "def words(text):\n"
        "    return lambda out: ['info', str(out), text]\n"
        "Bench.prepare = lambda self, words: None\n"
        f"bench = Bench(Verb('bad', words('new'), words('old')), Path({str(tmp_path / 'b')!r}), run)\n"
        "ran, wrong = bench.trial(Fault('x', ('write',), 28, 1))\n"
        "print(ran.code, wrong)\n"
        "ran, wrong = bench.trial(Fault('x', ('write',), -1, 1))\n"
        "print(ran.code, wrong)\n"
    )
    made = shim.build(tmp_path)
    done = subprocess.run(
        [sys.executable, str(script)], env=shim.environment(made), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    failed, short = done.stdout.splitlines()
    assert failed.startswith("99 ")
    assert "traceback" in failed
    assert "old results gone or damaged: a" in failed
    assert short == "0 []"
