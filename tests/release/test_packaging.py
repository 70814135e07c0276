"""What is published of the project says the same in every place: versions, requirements, files, hooks."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import advisories
import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_version_is_the_same_everywhere() -> None:
    version = PROJECT["version"]
    assert re.search(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)[1] == version  # type: ignore[index]
    assert f"  version: {version}\n" in (ROOT / "release/conda/recipe.yaml").read_text()
    assert f"## {version}, " in (ROOT / "CHANGELOG.md").read_text()


def test_the_conda_recipe_needs_what_the_package_needs() -> None:
    names = {"opencv-python-headless": "py-opencv"}
    text = (ROOT / "release/conda/recipe.yaml").read_text()
    run = text.partition("\n  run:\n")[2].partition("\n\n")[0]
    found = dict(re.findall(r"- (\S+) >=([^,\s]+)", run))
    assert found.pop("python") == PROJECT["requires-python"].removeprefix(">=")
    needed = {names.get(each.name, each.name): str(advisories.lowest(each)) for each in advisories.requirements()[""]}
    assert found.keys() == needed.keys()
    for name, bound in needed.items():
        assert bound.startswith(found[name]), f"{name} {found[name]} in the recipe, {bound} in pyproject.toml"


def test_what_the_sdist_names_is_there() -> None:
    for line in (ROOT / "MANIFEST.in").read_text().splitlines():
        word, _, rest = line.partition(" ")
        for name in rest.split() if word in ("include", "graft") else ():
            assert (ROOT / name).exists(), f"MANIFEST.in names {name}"


def test_the_dockerfile_copies_what_the_context_holds() -> None:
    context = (ROOT / ".dockerignore").read_text().split()
    assert context[0] == "*"
    copied = re.findall(r"^COPY (?!--from)(\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert len(copied) == 2
    for name in copied:
        assert any(name.startswith(each.removeprefix("!")) for each in context[1:]), f"{name} is not in the context"
    assert "\nUSER oddroad\n" in (ROOT / "Dockerfile").read_text()


def test_the_workflow_calls_what_exists() -> None:
    yaml = pytest.importorskip("yaml")
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    commands = [step.get("run", "") for job in jobs.values() for step in job["steps"]]
    named = re.findall(r"\bmake (?:-C \S+ )?([a-z-]+)", "\n".join(commands))
    assert len(named) > 1
    assert set(named) <= targets
    for script in re.findall(r"(?:python|bash) (\S+/\S+)", "\n".join(commands)):
        assert (ROOT / script).is_file(), script
    assert all("timeout-minutes" in job for job in jobs.values())


def staged(folder: Path, name: str, text: str) -> subprocess.CompletedProcess[str]:
    """The hook on a repository in which one file is staged."""
    (folder / ".venv" / "bin").mkdir(parents=True)
    ruff = shutil.which("ruff", path=str(ROOT / ".venv" / "bin")) or shutil.which("ruff")
    if ruff is None:
        pytest.skip("needs ruff")
    (folder / ".venv" / "bin" / "ruff").symlink_to(ruff)
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / name).write_text(text)
    for words in (["init", "-q"], ["add", name]):
        subprocess.run(["git", *words], cwd=folder, check=True)
    hook = ROOT / ".githooks" / "pre-commit"
    return subprocess.run([hook], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("good.py", '"""A module."""\n\nX = 1\n', ""),
        ("bad.py", '"""A module."""\n\nX=1\n', "ruff format"),
        ("unused.py", '"""A module."""\n\nimport os\n', "ruff check"),
        ("key.txt", "AKIA" + "A1B2C3D4E5F6G7H8\n", "looks like a secret"),
        ("large.bin", "x" * (8 * 2**20 + 1), "larger than 8 MiB"),
    ],
)
def test_the_hook(name: str, text: str, words: str, tmp_path: Path) -> None:
    done = staged(tmp_path, name, text)
    assert bool(done.returncode) == bool(words), done.stderr
    assert words in done.stderr
