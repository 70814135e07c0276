"""No lower bound allows a release with a published hole, and the audit counts what it audited."""

from __future__ import annotations

import json
import subprocess

import advisories
import audit
import pytest
from packaging.requirements import Requirement

TABLE, OPEN = advisories.read()


def test_no_lower_bound_allows_a_release_with_a_published_hole() -> None:
    groups = advisories.requirements()
    assert len(groups) > 10
    listed = [each for group in groups.values() for each in group]
    assert len(listed) > 50
    assert advisories.allowed_holes(listed, TABLE) == []


def test_every_reader_of_strangers_files_is_in_the_table() -> None:
    packages = {each.package for each in TABLE} | {each.package for each in OPEN}
    assert packages >= {"onnx", "onnxruntime", "opencv-python-headless", "pillow", "av", "torch", "h5py", "pyarrow"}
    needed = {advisories.canonicalize_name(each.name) for group in advisories.requirements().values() for each in group}
    assert packages <= needed, "the table speaks of what the package does not need"


def test_every_hole_has_a_number_a_source_and_a_release() -> None:
    for each in TABLE:
        assert each.ids, each
        assert each.source.startswith("https://"), each
        assert (each.fixed is None) == bool(each.bad), each


@pytest.mark.parametrize(
    ("requirement", "wrong"),
    [
        ("onnx>=1.17", "allows 1.17"),
        ("onnx>=1.21", ""),
        ("lightning>=2.6", "allows 2.6"),
        ("lightning>=2.6.1", "allows 2.6.2"),
        ("lightning>=2.6.1,!=2.6.2,!=2.6.3", ""),
        ("protobuf>=5.29.6,<6", ""),
        ("protobuf>=6.31", "allows 6.31"),
        ("onnx", "no lower bound"),
        ("numpy>=1.26", ""),
    ],
)
def test_a_bound_that_is_too_low_is_found(requirement: str, wrong: str) -> None:
    found = advisories.allowed_holes([Requirement(requirement)], TABLE)
    assert bool(found) == bool(wrong)
    assert wrong in "".join(found)


def test_an_installed_release_with_a_hole_is_found() -> None:
    found = advisories.installed_holes({"Pillow": "11.0.0", "numpy": "1.26.0", "starlette": "1.3.1"}, TABLE)
    assert len(found) == 3
    assert all(each.startswith("pillow 11.0.0: CVE-") for each in found)
    assert not advisories.installed_holes({"pillow": "13.0.0"}, TABLE)


def test_what_is_installed_here_has_no_hole_that_is_known() -> None:
    assert advisories.installed_holes(audit.installed(), TABLE) == []


def answer(*packages: dict[str, object]) -> str:
    """What pip-audit prints for some packages."""
    return json.dumps({"dependencies": list(packages), "fixes": []})


GOOD = {"name": "rich", "version": "15.0.0", "vulns": []}
SKIPPED = {"name": "pillow", "skip_reason": "Dependency not found on PyPI and could not be audited: pillow (11.0.0)"}
HOLE = {"name": "onnx", "version": "1.17.0", "vulns": [{"id": "GHSA-1", "aliases": ["CVE-1"], "fix_versions": ["2"]}]}


@pytest.mark.parametrize(
    ("said", "options", "code", "words"),
    [
        (answer(GOOD, GOOD, GOOD), [], 0, "3 of 3 packages audited, 0 not"),
        (answer(SKIPPED, SKIPPED, SKIPPED), [], 3, "NOTHING WAS AUDITED"),
        (answer(SKIPPED, SKIPPED, SKIPPED), ["--without-service"], 0, "NOTHING WAS AUDITED"),
        (answer(GOOD, SKIPPED, GOOD), [], 3, "NOT EVERYTHING WAS AUDITED"),
        (answer(GOOD, GOOD), [], 3, "2 of 3 packages audited, 1 not"),
        (answer(GOOD, HOLE, GOOD), [], 1, "FOUND onnx 1.17.0: GHSA-1 CVE-1, fixed in 2"),
        (answer(SKIPPED, HOLE, SKIPPED), ["--without-service"], 1, "FOUND onnx 1.17.0"),
        ("", [], 3, "NOTHING WAS AUDITED"),
    ],
)
def test_the_audit_never_takes_silence_for_good_news(
    said: str, options: list[str], code: int, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(audit, "installed", lambda: {"a": "1", "b": "1", "c": "1"})
    done = subprocess.CompletedProcess([], 0, said, "No known vulnerabilities found")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    assert audit.main(options) == code
    assert words in capsys.readouterr().out
