"""The notebook of the examples runs from its first cell to its last, in a process and a folder of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).resolve().parents[2] / "examples" / "quickstart.ipynb"

RUN = """
import ast, json, sys
names = {"__name__": "__main__"}
for number, source in enumerate(json.load(sys.stdin)):
    tree = ast.parse(source)
    shown = ast.Expression(tree.body.pop().value) if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, f"cell {number + 1}", "exec"), names)
    if shown is not None:  # a notebook shows the value of a cell's last line
        value = eval(compile(shown, f"cell {number + 1}", "eval"), names)
        picture = getattr(value, "_repr_jpeg_", None)
        print(f"[{number + 1}]", f"{len(picture())} bytes" if picture else repr(value))
"""
"""Cells run one after another, as a kernel does that has no words of its own; there are none in the notebook."""


def cells() -> list[str]:
    """The code of the notebook."""
    held = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert held["nbformat"] == 4
    assert all(each["id"] for each in held["cells"])
    return ["".join(each["source"]) for each in held["cells"] if each["cell_type"] == "code"]


def run(code: list[str], where: Path) -> subprocess.CompletedProcess[str]:
    """Run cells in a new process."""
    return subprocess.run(
        [sys.executable, "-c", RUN], input=json.dumps(code), cwd=where, capture_output=True, text=True, timeout=300
    )


def test_it_runs_and_shows_what_it_says(tmp_path: Path) -> None:
    done = run(cells(), tmp_path)
    assert done.returncode == 0, done.stderr
    assert "[1] (5, (540, 960, 3), dtype('uint8'))" in done.stdout
    assert "box (" in done.stdout, "the detector finds what it is shown"
    assert "'ap': 0.9" in done.stdout
    assert "bytes" in done.stdout
    assert list(tmp_path.iterdir()) == [], "a notebook that shows how to begin leaves nothing behind"


def test_a_cell_that_fails_is_noticed(tmp_path: Path) -> None:
    done = run([*cells()[:1], "1 / 0"], tmp_path)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr


@pytest.mark.parametrize("source", cells())
def test_no_cell_needs_more_than_python(source: str) -> None:
    assert not source.lstrip().startswith(("%", "!"))
