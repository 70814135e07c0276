"""Every command of the shell scripts in runs/: its verb or script exists and takes these options; nothing is run."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from oddroad.cli import main as command_line

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = {
    "commercial.sh": ["DATA", "OUT"],
    "comparison.sh": ["DATA", "OUT", "RESULTS"],
    "embedded.sh": ["DATA", "OUT"],
    "loss_study.sh": ["DATA", "OUT", "RESULTS"],
    "loss_study_long.sh": ["DATA", "OUT", "RESULTS"],
    "mask2anomaly.sh": ["DATA", "OUT", "START", "8", "4", "2"],
    "post_hoc.sh": ["DATA", "OUT", "2"],
    "resynthesis.sh": ["DATA", "OUT", "4", "4"],
    "speed.sh": ["DATA", "OUT", "0.1"],
    "supplement_video.sh": ["DATA", "OUT", "PIXEL.ckpt", "MASK.ckpt"],
}
"""Each with the words that it is called with."""


PLAIN = {"loss_study_tables.py": 1, "mask2anomaly_start.py": 3, "mask2anomaly_subsets.py": 2}
"""Scripts that take so many words and no options."""

SPEED = {("speed.py", verb) for verb in ("random", "quantise", "table")}


class ParsedError(Exception):
    """The options were understood."""


@contextlib.contextmanager
def only_parsing(words: list[str]) -> Iterator[None]:
    """Let a script read its options and then stop."""
    real, before, path = argparse.ArgumentParser.parse_args, sys.argv, list(sys.path)

    def parse(self: argparse.ArgumentParser, *args: object, **kwargs: object) -> None:
        real(self)
        raise ParsedError

    argparse.ArgumentParser.parse_args = parse  # type: ignore[assignment]
    sys.argv, sys.path[:0] = words, [str(ROOT / "runs")]
    try:
        yield
    finally:
        argparse.ArgumentParser.parse_args, sys.argv, sys.path[:] = real, before, path  # type: ignore[method-assign]


def load(path: Path) -> ModuleType:
    """A script as a module."""
    spec = importlib.util.spec_from_file_location(f"script_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def commands(script: str) -> list[list[str]]:
    """The commands of a shell script, in words."""
    environment = {**os.environ, "DRY": "1", "PYTHON": "python"}
    path = ROOT / "runs" / script
    shell = path.read_text().splitlines()[0].removeprefix("#!").split()[-1].rpartition("/")[2]
    done = subprocess.run(
        [shell, str(path), *SCRIPTS[script]], capture_output=True, text=True, env=environment, cwd=ROOT, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return [shlex.split(line) for line in done.stdout.splitlines() if line.startswith(("oddroad ", "python "))]


def test_every_shell_script_is_looked_at() -> None:
    assert {path.name for path in (ROOT / "runs").glob("*.sh")} == set(SCRIPTS)


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_command_takes_its_options(script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    found = commands(script)
    assert len(found) > 1
    for words in found:
        if words[:3] == ["python", "-m", "oddroad.cli"]:
            words = ["oddroad", *words[3:]]
        if words[0] == "oddroad":
            command_line.parse(words[1], words[2:])
            continue
        path = ROOT / words[1]
        assert path.is_file(), words
        if len(words) - 2 == PLAIN.get(path.name) or (path.name, words[2]) in SPEED:
            continue
        with only_parsing(words[1:]), pytest.raises(ParsedError):
            load(path).main()


@pytest.mark.parametrize(
    "path", sorted([*(ROOT / "runs").glob("*.py"), *(ROOT / "benchmarks").glob("*.py")]), ids=lambda path: path.name
)
def test_every_script_is_imported(path: Path) -> None:
    with only_parsing([str(path)]):
        assert load(path).__doc__
