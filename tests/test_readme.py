"""The examples of the README and of the pages for users run; what they name exists."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
import itertools
import json
import re
import shlex
from pathlib import Path

import pytest

import oddroad
from oddroad.cli.main import EXIT_CODES, VERBS, parse

ROOT = Path(__file__).resolve().parents[1]
GENERATED = ("model-card.md", "contributing.md", "changelog.md", "security.md")
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
PAGES += [page for page in sorted((ROOT / "docs").glob("*.md")) if page.name not in GENERATED]
IDS = [page.name for page in PAGES]
CARD = ROOT / "src/oddroad/inference/weights/README.md"
PLACEHOLDERS = {"VERB", "SHELL"}


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def commands(page: Path, fenced: bool) -> list[tuple[str, list[str]]]:
    """Verb and words after it of every command in fenced blocks, or in code between backticks."""
    text = page.read_text(encoding="utf-8")
    if fenced:
        lines = "\n".join(blocks(page, "sh")).replace("\\\n", " ").splitlines()
    else:
        lines = [" ".join(each.split()) for each in re.findall(r"(?<!`)`(oddroad [^`]*)`", text)]
    found = []
    for line in lines:
        match = re.match(r"(?:\S*/)?oddroad (.*)", line.strip()) or re.search(r"-m oddroad\.cli (.*)", line)
        words = shlex.split(match[1], comments=True) if match else []
        words = list(itertools.takewhile(lambda word: word not in (">", "|", ";", "&&"), words))
        if words and not words[0].startswith("-") and not PLACEHOLDERS & set(words):
            length = 2 if " ".join(words[:2]) in VERBS else 1
            found.append((" ".join(words[:length]), words[length:]))
    return found


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_the_python_examples_run_one_after_another(page: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    examples = blocks(page, "python")
    if any("oddroad.learn" in example for example in examples) and importlib.util.find_spec("torch") is None:
        pytest.skip("needs torch")
    monkeypatch.chdir(tmp_path)
    results_of_a_drive(tmp_path / "out" / "drive")
    tables = kept_tables(examples)
    names: dict[str, object] = {}
    try:
        for number, example in enumerate(examples):
            exec(compile(example, f"{page.name}, example {number + 1}", "exec"), names)
    finally:
        for table, before in tables:
            table.clear()
            table.update(before)


def kept_tables(examples: list[str]) -> list[tuple[dict, dict]]:
    """The tables that examples add to, each with what it held before."""
    from oddroad.datasets import DATASETS

    tables = [DATASETS]
    if any("oddroad.learn" in example for example in examples):
        from oddroad.learn.networks import NETWORKS
        from oddroad.learn.scores import SCORES

        tables += [NETWORKS, SCORES]  # type: ignore[list-item]
    return [(table, dict(table)) for table in tables]


def results_of_a_drive(folder: Path) -> None:
    """The shortest results that ``oddroad detect`` could have written."""
    run = {"type": "run", "schema_version": 1, "oddroad": "0", "model": "m", "score": "s", "threshold": 0.0}
    frame = {"type": "frame", "source": "drive.mp4", "index": 0, "time": 0.0, "width": 4, "height": 2, "status": "ok"}
    folder.mkdir(parents=True)
    lines = [run, {**frame, "regions": []}, {"type": "summary", "frames": 1}]
    (folder / "detections.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_command_in_a_block_is_one_that_the_parser_takes(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for verb, words in commands(page, fenced=True):
        if "--recipe" in words and importlib.util.find_spec("yaml") is None:
            continue
        parse(verb, words)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_verb_and_option_in_the_text_exists(page: Path) -> None:
    for verb, words in commands(page, fenced=False):
        assert verb in VERBS or verb in {name.split()[0] for name in VERBS}, f"{page.name}: oddroad {verb}"
        assert not {word for word in words if word.startswith("--")} - options(verb) - {"--help"}
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9.-]*[a-z0-9]", text))
    others = {"--help", "--version", "--completion"}
    assert not sorted(named - others - set().union(*map(options, VERBS)))


@functools.cache
def options(verb: str) -> set[str]:
    """Every option of a verb, from its help."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        parse(verb, ["--help"])
    return set(re.findall(r"--[a-z][a-z0-9.-]*", out.getvalue()))


def test_these_tests_can_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text("```sh\n.venv/bin/oddroad detect a.mp4 --persist 3  # gone\n```\nand `oddroad data verify --jsn`\n")
    assert commands(page, fenced=True) == [("detect", ["a.mp4", "--persist", "3"])]
    with pytest.raises(oddroad.InputError, match="Unrecognized options"):
        test_every_command_in_a_block_is_one_that_the_parser_takes(page, monkeypatch)
    assert commands(page, fenced=False) == [("data verify", ["--jsn"])]
    with pytest.raises(AssertionError):
        test_every_verb_and_option_in_the_text_exists(page)


@pytest.mark.parametrize("page", [*PAGES, CARD, ROOT / "LOG.md"], ids=[*IDS, "card", "LOG.md"])
def test_every_path_of_the_repository_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"(?<![\w/.-])((?:recipes|runs|benchmarks|docs|tests|src)/[\w./-]*\w)", text)
    gone = {"runs/embedded_restore.py"} if page.name == "LOG.md" else set()
    made = {"runs/encoder", "runs/encoder/model.ckpt", "runs/eiml_fl"}
    made |= {"docs/reference/python.md", "docs/reference/commands.md"}
    assert not sorted(name for name in set(named) - gone - made if not (ROOT / name).exists())


def test_the_readme_has_two_commands_to_set_up() -> None:
    first = blocks(ROOT / "README.md", "sh")[0]
    assert [line.split("#")[0].strip() for line in first.splitlines()] == ["make demo", "make test"]


def test_the_architecture_names_every_part_of_the_package() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    package = Path(oddroad.__file__).parent
    for folder in (package, package / "learn"):
        parts = [each for each in folder.iterdir() if not each.name.startswith(("_", ".")) and each.suffix != ".typed"]
        missing = [each.name for each in parts if f"`{each.name}{'/' if each.is_dir() else ''}`" not in page]
        assert not missing, f"docs/architecture.md lacks {missing}"


def test_the_results_page_names_every_field_of_the_schema() -> None:
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    schema = json.loads((Path(oddroad.__file__).parent / "io/schema/detections.schema.json").read_text())
    fields = {name for part in schema["$defs"].values() for name in part.get("properties", {})}
    assert len(fields) > 30
    assert not sorted(name for name in fields if f"`{name}`" not in page)


def test_every_exit_code_is_explained() -> None:
    assert list(EXIT_CODES) == [0, 1, 2, 3, 130]


def test_the_site_is_built_so_that_a_broken_link_is_an_error() -> None:
    line = next(each for each in (ROOT / "Makefile").read_text().splitlines() if "mkdocs build" in each)
    assert "--strict" in line
    assert "--quiet" not in line, "mkdocs counts no warning when it is quiet, and --strict lets everything pass"
