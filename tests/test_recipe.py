"""Recipes: YAML into typed values, every key and value checked, single values replaced on the command line."""

from __future__ import annotations

import functools
import inspect
from pathlib import Path
from typing import Any

import pytest

from oddroad.cli import main as command_line
from oddroad.cli.main import main
from oddroad.errors import InputError
from oddroad.recipe import ClassWeights, Recipe, differing_keys, read_recipe


def recipe_of(text: str, tmp_path: Path) -> Path:
    """A file with a text."""
    path = tmp_path / "r.yaml"
    path.write_text(text)
    return path


def test_values_have_the_types_of_their_fields(tmp_path: Path) -> None:
    text = """
    losses: {cross_entropy: 1, outlier_head: 0.5}
    scenes: {sets: [camvid], scale: [1, 2], crop: [64, 128]}
    optim: {lr: 1e-3, steps: 6.0, frozen: [encoder.], lr_multipliers: {head: 10}}
    class_weights: {rule: enet}
    network: {outlier: false}
    """
    recipe = read_recipe(recipe_of(text, tmp_path))
    assert recipe.losses == (("cross_entropy", 1.0), ("outlier_head", 0.5))
    assert recipe.scenes.scale == (1.0, 2.0)
    assert recipe.scenes.crop == (64, 128)
    assert recipe.scenes.sets == ("camvid",)
    assert recipe.optim.lr == 1e-3  # YAML 1.1 reads 1e-3 as text
    assert (recipe.optim.steps, type(recipe.optim.steps)) == (6, int)
    assert recipe.optim.frozen == ("encoder.",)
    assert recipe.optim.lr_multipliers == (("head", 10.0),)
    assert recipe.class_weights == ClassWeights(rule="enet")
    assert recipe.network.outlier is False
    assert read_recipe(recipe_of("{}", tmp_path)) == Recipe()
    assert read_recipe(recipe_of("{}", tmp_path), {"optim.lr": 2, "seed": 4}).optim.lr == 2.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scenes: {setz: [a]}", "no key 'scenes.setz'; did you mean 'scenes.sets'\\?"),
        ("optm: {}", "no key 'optm'; did you mean 'optim'\\? There are: network, scenes"),
        ("optim: {lr: fast}", "'optim.lr' is the text 'fast'; expected a number"),
        ("optim: {lr: .nan}", "'optim.lr' is the number nan"),
        ("optim: {lr: true}", "'optim.lr' is the truth value True; expected a number"),
        ("optim: {steps: 1.5}", "'optim.steps' is the number 1.5; expected a whole number"),
        ("optim: {steps: }", "'optim.steps' is nothing; expected a whole number"),
        ("optim: {name: adamv}", "expected one of: adamw, adam, sgd; did you mean 'adam'\\?"),
        ("optim: 3", "'optim' is the number 3; expected keys and values, of: name, lr"),
        ("network: {outlier: 1}", "'network.outlier' is the number 1; expected true or false"),
        ("network: {name: 3}", "'network.name' is the number 3; expected a text"),
        ("scenes: {crop: [1]}", r"'scenes.crop' is the list \[1\]; expected a list of 2 values, each a whole number"),
        ("scenes: {sets: camvid}", "'scenes.sets' is the text 'camvid'; expected a list of values, each a text"),
        ("losses: {cross_entropy: much}", "'losses' is the text 'much'; expected a number"),
        ("losses: cross_entropy", "'losses' is the text 'cross_entropy'; expected names, each with a number"),
        ("- a", r"holds the list \['a'\]; expected keys and values"),
        ("{", "is not YAML"),
    ],
)
def test_mistakes_name_file_key_and_what_was_expected(tmp_path: Path, text: str, message: str) -> None:
    path = recipe_of(text, tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        read_recipe(path)
    assert "r.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_and_one_that_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no recipe"):
        read_recipe(tmp_path / "none.yaml")
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is not YAML"):
        read_recipe(tmp_path / "x.yaml")


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What 'train' was called with."""
    calls: list[Any] = []

    real = command_line.VERBS["train"]

    @functools.wraps(real)
    def train(*args: Any, values: Any = None, **more: Any) -> None:
        calls.append(inspect.signature(real).bind(*args, values=values, **more).arguments["values"])

    train.__annotations__ = inspect.get_annotations(real, eval_str=True)
    monkeypatch.setitem(command_line.VERBS, "train", train)
    return calls


def test_the_command_line_takes_a_file_and_replaces_single_values(tmp_path: Path, trained: list[Any]) -> None:
    path = recipe_of("optim: {lr: 0.5, steps: 7}\nlosses: {cross_entropy: 2}\nnetwork: {outlier: false}", tmp_path)
    words = ["train", "--root", "data", "--out", "run"]
    for given in (["--recipe", str(path)], [f"--recipe={path}"]):
        assert main([*words, *given]) == 0
        assert trained.pop() == read_recipe(path)
        assert main([*words, "--recipe.optim.lr", "1e-3", *given, "--recipe.losses", "a", "1", "b", "2"]) == 0
        found = trained.pop()
        assert (found.optim.lr, found.optim.steps, found.losses) == (1e-3, 7, (("a", 1.0), ("b", 2.0)))
        assert found.network.outlier is False
    assert main(words) == 0
    assert trained.pop() == Recipe()


def test_what_is_wrong_on_the_command_line_is_one_line(
    tmp_path: Path, trained: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "--root", "data", "--out", "run"]
    assert main([*words, "--recipe", str(recipe_of("scenes: {setz: [a]}", tmp_path))]) == 2
    assert "did you mean 'scenes.sets'?" in capsys.readouterr().err
    assert main([*words, "--recipe"]) == 2
    assert main([*words, "--recipe.optim.rate", "1"]) == 2
    assert "--recipe.optim.rate" in capsys.readouterr().err
    assert trained == []


def test_help_lists_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    printed = capsys.readouterr().out
    assert "--recipe FILE" in printed
    assert "--recipe.optim.lr FLOAT" in printed


def test_differing_keys() -> None:
    one, other = Recipe().to_dict(), Recipe(seed=3).to_dict()
    other["optim"] = {**other["optim"], "lr": 3}
    assert differing_keys(one, other) == ["optim.lr", "seed"]
    assert differing_keys(one, one) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seed: 2001-13-01", "is not YAML: month"),
        ("seed: " + "[" * 5000, "is not YAML"),
        ("seed: .inf", "'seed' is the number inf; expected a whole number"),
        ("optim: {lr: " + "7" * 400 + "}", "'optim.lr' is"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nseed: [*c, *c]", "no key 'a'"),
        ("seed: &a [*a, *a]", "'seed' is the list"),
    ],
)
def test_what_only_strangers_write(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_recipe(recipe_of(text, tmp_path))
    assert words in str(caught.value)
    assert len(str(caught.value)) < 1000
