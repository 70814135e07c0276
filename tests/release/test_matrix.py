"""The matrix of versions: what it runs, and what it says of a row that went wrong."""

from __future__ import annotations

import subprocess
from pathlib import Path

import matrix
import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_its_light_tests_are_those_of_the_makefile() -> None:
    listed = matrix.light_tests()
    assert len(listed) > 5
    assert all((ROOT / each).is_file() for each in listed)
    assert "tests/test_isolation.py" in listed


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("collecting\nE   AttributeError: no such thing\n1 error in 2 s\n", "E   AttributeError: no such thing"),
        ("x\nFAILED tests/a.py::b - assert 1\n", "FAILED tests/a.py::b - assert 1"),
        ("error: No solution found\n  cause: numpy has no wheel\n", "error: No solution found"),
        ("Killed\n", "Killed"),
        ("", "it said nothing"),
    ],
)
def test_the_line_that_says_why(said: str, line: str) -> None:
    assert matrix.last_line(subprocess.CompletedProcess([], 1, said, "")) == line


def test_a_row_that_ran_no_test_is_not_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row, words = matrix.Row("3.11", "highest"), []

    def run(command: list[str], where: Path = ROOT, **_: str) -> subprocess.CompletedProcess[str]:
        words.append(list(map(str, command)))
        said = "[]" if "list" in words[-1] else "/x/site-packages/oddroad/__init__.py" if "-c" in words[-1] else ""
        return subprocess.CompletedProcess([], 0, said, "")

    monkeypatch.setattr(matrix, "run", run)
    matrix.try_out(row, tmp_path / "a.whl", tmp_path, tmp_path, ["web"], ["tests/test_x.py"])
    assert row.wrong == "it said nothing"
    installed = next(each for each in words if "--resolution" in each)
    assert installed[-4:] == ["--extra", "web", "-r", str(tmp_path / "pyproject.toml")], (
        "asked of the source, not the wheel"
    )
    assert [str(tmp_path / "a.whl")] == next(each for each in words if "--no-deps" in each)[-1:]
    assert "it said nothing" in matrix.line(row)


def test_a_package_that_is_imported_from_the_source_is_not_the_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = matrix.Row("3.11", "highest")
    monkeypatch.setattr(matrix, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, "[]", ""))
    matrix.try_out(row, tmp_path / "a.whl", tmp_path, tmp_path, [], ["tests/test_x.py"])
    assert "not from the wheel" in row.wrong
