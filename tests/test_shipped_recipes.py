"""The recipes that come with the package: all of them, each with words about it, found by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from oddroad.cli.main import main, parse
from oddroad.errors import InputError
from oddroad.shipped_recipes import FOLDER, find_recipe, shipped

ROOT = Path(__file__).resolve().parents[1]


def test_every_recipe_comes_with_the_package() -> None:
    there = {
        path.relative_to(ROOT / "recipes").with_suffix("").as_posix() for path in (ROOT / "recipes").rglob("*.yaml")
    }
    assert len(there) > 20
    assert {each.name for each in shipped()} == there
    assert '"recipes/**/*.yaml"' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize("each", shipped(), ids=lambda each: each.name)
def test_every_recipe_says_what_it_trains(each) -> None:
    assert len(each.about) > 20, f"{each.name}: its file has to begin with a comment that says what it trains"
    assert "Cost:" not in each.about


def test_a_recipe_is_found_by_its_name_and_a_file_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for given in ("laptop/ce", "laptop/ce.yaml", "recipes/laptop/ce.yaml"):
        assert find_recipe(Path(given)) == FOLDER / "laptop" / "ce.yaml"
    (tmp_path / "laptop").mkdir()
    own = Path("laptop/ce.yaml")
    own.write_text("seed: 3\n")
    assert find_recipe(own) == own
    with pytest.raises(InputError, match=r"no recipe 'laptop/cx'.*'oddroad recipes' lists them"):
        find_recipe(Path("laptop/cx"))


def test_training_takes_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("yaml")
    monkeypatch.chdir(tmp_path)
    parse("train", ["--recipe", "embedded_first", "--root", "data", "--out", "run"])
    with pytest.raises(InputError, match="no recipe 'embedded_frist'"):
        parse("train", ["--recipe", "embedded_frist", "--root", "data", "--out", "run"])


def test_the_list_and_one_of_it(capsys: pytest.CaptureFixture) -> None:
    assert main(["recipes"]) == 0
    listed = capsys.readouterr().out
    assert "laptop/ce\n    Row " in listed
    assert "Cost: about 1 minute on 2 cores" in listed
    assert main(["recipes", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == len(shipped())
    assert main(["recipes", "laptop/ce"]) == 0
    assert capsys.readouterr().out == (ROOT / "recipes/laptop/ce.yaml").read_text()
    assert main(["recipes", "nothing"]) == 2
