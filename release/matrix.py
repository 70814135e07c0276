"""The built wheel on every Python, with the lowest and the newest releases that it allows, one after another.

python release/matrix.py [--python 3.11 3.12 3.13] [--resolution lowest-direct highest] [--numpy 1.26.4] [--dist dist]

It needs uv. The wheel and the sdist are built once; the wheel is installed into an environment of its own for each row,
nothing from source; then the light tests of the Makefile run from the unpacked sdist, where ``src`` is not on the path.
``--numpy`` adds a row for each release of numpy that is forced upon the wheel's requirements, as some have to.
``--extras`` and ``--tests`` make other rows: those extras with it, those tests instead.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

SHOWN = ("numpy", "opencv-python-headless", "onnxruntime", "av", "pillow", "rich", "tyro")
"""Packages whose releases are shown in the table."""

TOOLS = ("pytest>=9.0.3", "pytest-xdist>=3.6", "hypothesis>=6.100")


@dataclass
class Row:
    """One environment.

    Attributes:
        python: version.
        resolution: uv's word for which releases are taken.
        forced: a release of numpy that the requirements do not allow, or "".
        versions: what was installed, by name.
        passed: tests that passed.
        skipped: tests that were skipped.
        wrong: the line that says what went wrong, or "".
        seconds: of all of it.
    """

    python: str
    resolution: str
    forced: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    passed: int = 0
    skipped: int = 0
    wrong: str = ""
    seconds: float = 0.0


def run(words: Sequence[str | Path], where: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command, its output kept."""
    clean = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return subprocess.run(
        list(map(str, words)), cwd=where, text=True, capture_output=True, env={**clean, **environment}, check=False
    )


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    """The line that says why a command failed."""
    lines = [line.strip() for line in (done.stdout + "\n" + done.stderr).splitlines() if line.strip()]
    wanted = [line for line in lines if re.match(r"(FAILED|ERROR|E  |error:|cause:|Because)", line)]
    return (wanted or lines or ["it said nothing"])[0][:200]


def light_tests() -> list[str]:
    """The tests of the Makefile's LIGHT that lie in files; the docstrings' examples are run from the package."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    words = re.search(r"^LIGHT := (.*)$", text, re.MULTILINE)
    assert words is not None
    return [word for word in words[1].split() if word.startswith("tests/")]


def build(folder: Path, dist: Path | None) -> tuple[Path, Path]:
    """Build sdist and wheel, or take those of ``dist``; returns the wheel, and the sdist unpacked."""
    if dist is not None:
        for each in (*dist.glob("*.whl"), *dist.glob("*.tar.gz")):
            shutil.copy(each, folder)
    elif (done := run(["uv", "build", "--quiet", "--out-dir", folder, ROOT])).returncode:
        raise SystemExit(f"the package cannot be built: {last_line(done)}")
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    return next(folder.glob("*.whl")), next(each for each in folder.iterdir() if each.is_dir())


def try_out(row: Row, wheel: Path, source: Path, folder: Path, extras: Sequence[str], tests: Sequence[str]) -> None:
    """Install and test one row."""
    environment = folder / "environment"
    python = environment / "bin" / "python"
    if (done := run(["uv", "venv", "--quiet", "--clear", "--python", row.python, environment])).returncode:
        row.wrong = f"no Python: {last_line(done)}"
        return
    install = ["uv", "pip", "install", "--quiet", "--python", python, "--only-binary", ":all:"]
    if row.forced:
        override = folder / "override.txt"
        override.write_text(f"numpy=={row.forced}\n")
        install += ["--override", override]
    # of the wheel, its requirements are indirect to uv, and lowest-direct takes the newest of them
    wanted = [word for extra in extras for word in ("--extra", extra)]
    first = [*install, "--resolution", row.resolution, *wanted, "-r", source / "pyproject.toml"]
    for words in (first, [*install, "--no-deps", wheel]):
        if (done := run(words)).returncode:
            row.wrong = f"not installed: {last_line(done)}"
            return
    if (done := run([*install, *TOOLS])).returncode:
        row.wrong = f"no pytest: {last_line(done)}"
        return
    listed = json.loads(run(["uv", "pip", "list", "--quiet", "--python", python, "--format", "json"]).stdout)
    row.versions = {each["name"]: each["version"] for each in listed}
    where = run([python, "-c", "import oddroad; print(oddroad.__file__)"], source).stdout.strip()
    if "site-packages" not in where:
        row.wrong = f"oddroad was imported from {where}, not from the wheel"
        return
    words = [python, "-m", "pytest", "-p", "no:cacheprovider", "-o", "pythonpath=tests", "-m", "not slow", *tests]
    if not extras:
        package = Path(where).parent
        words += [package, f"--ignore={package / 'learn'}", f"--ignore={package / 'exchange'}"]
    done = run(words, source)
    counts = {kind: int(number) for number, kind in re.findall(r"(\d+) (passed|skipped)", done.stdout[-600:])}
    row.passed, row.skipped = counts.get("passed", 0), counts.get("skipped", 0)
    if done.returncode or not row.passed:
        row.wrong = last_line(done)
        if os.environ.get("MATRIX_OUTPUT"):
            print(done.stdout[-6000:], done.stderr[-2000:], file=sys.stderr)


def line(row: Row) -> str:
    """A row of the table in Markdown."""
    versions = " | ".join(row.versions.get(name, "-") for name in SHOWN)
    how = row.resolution + (f", numpy {row.forced} forced" if row.forced else "")
    outcome = row.wrong or f"{row.passed} passed, {row.skipped} skipped"
    return f"| {row.python} | {how} | {versions} | {outcome} | {row.seconds:.0f} s |"


def main() -> int:
    """Try every row; returns 1 if one of them fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", nargs="+", default=["3.11", "3.12", "3.13"])
    parser.add_argument("--resolution", nargs="*", default=["lowest-direct", "highest"])
    parser.add_argument("--numpy", nargs="*", default=[], help="releases to force upon the requirements")
    parser.add_argument("--extras", nargs="+", default=[], help="such as report web")
    parser.add_argument("--tests", nargs="+", help="instead of the light ones")
    parser.add_argument("--dist", type=Path, help="folder with a wheel and an sdist; without it they are built")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if shutil.which("uv") is None:
        raise SystemExit("uv is needed: pip install uv")
    rows = [Row(python, how) for python in options.python for how in options.resolution]
    rows += [Row(python, "highest", forced) for python in options.python for forced in options.numpy]
    print(f"| Python | releases | {' | '.join(SHOWN)} | tests | |\n|{' --- |' * (len(SHOWN) + 4)}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel, source = build(folder, options.dist)
        for row in rows:
            started = time.monotonic()
            try_out(row, wheel, source, folder, options.extras, options.tests or light_tests())
            row.seconds = time.monotonic() - started
            print(line(row), flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    failed = sum(bool(row.wrong) for row in rows)
    print(f"\n{len(rows)} environments, {len(rows) - failed} good, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
