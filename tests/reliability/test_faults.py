"""Calls of the C library that fail in runs of the command: a small, fixed part of the sweep of `make reliability`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from reliability import shim

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


@pytest.mark.skipif("ODDROAD_FAULTS" not in os.environ, reason="minutes: set ODDROAD_FAULTS=1, or make reliability")
@needs_shim
def test_every_kind_of_fault_in_every_verb_without_pytorch(tmp_path: Path) -> None:
    figures = sweep(tmp_path / "figures.json", "--most", "3", "--memory", "5", "--kills", "5")
    assert len(figures) >= 14
    assert sum(each["fired"] for each in figures.values()) > 500


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
