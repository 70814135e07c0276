"""The examples of the README and of the docstrings run."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[1] / "README.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
WITH_DOCTESTS = (
    "oddroad",
    "oddroad.errors",
    "oddroad.regions",
    "oddroad.inference.model",
    "oddroad.synthetic.scenes",
)


def test_the_readme_has_examples() -> None:
    assert len(EXAMPLES) >= 2


def test_the_python_examples_of_the_readme_run_one_after_another(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {}
    for number, example in enumerate(EXAMPLES):
        exec(compile(example, f"README example {number + 1}", "exec"), names)
    heat = names["heat"]
    assert heat.shape == (540, 960)  # type: ignore[attr-defined]


def test_the_verbs_of_the_readme_exist() -> None:
    from oddroad.cli.main import VERBS

    named = set(re.findall(r"(?:`|bin/)oddroad (\w+)", README.read_text())) - {"VERB"}
    assert {"detect", "info", "train"} <= named
    assert named <= {verb.split()[0] for verb in VERBS}


@pytest.mark.parametrize("name", WITH_DOCTESTS)
def test_the_docstrings_run(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0
