"""The command line itself: help, unknown verbs and options, missing extras."""

from __future__ import annotations

import subprocess
import sys

import pytest

from oddroad.cli import main


def test_no_words_and_help_list_the_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main([]) == 0
    assert main.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"  {verb} " in text for verb in main.VERBS)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["--version"]) == 0
    assert capsys.readouterr().out.strip()[0].isdigit()


@pytest.mark.parametrize("verb", main.VERBS)
def test_every_verb_has_help_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main.main([verb, "--help"])
    assert stop.value.code in (0, None)
    assert f"Example: oddroad {verb}" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["detekt", "a.jpg"], "oddroad: no verb called 'detekt'; did you mean 'detect'? There are: "),
        (["info", "--jsn"], "oddroad: Unrecognized options: --jsn"),
    ],
)
def test_mistakes_are_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(words) == 2
    text = capsys.readouterr().err
    assert text.startswith(message)
    assert text.count("\n") == 1


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def verb() -> None:
        """Needs what is not there. Example: oddroad needy"""
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setitem(main.VERBS, "needy", verb)
    assert main.main(["needy"]) == 2
    assert capsys.readouterr().err == (
        "oddroad: 'needy' needs torch, which is not installed; run: pip install 'oddroad[learn]'\n"
    )


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def verb() -> None:
        """Broken. Example: oddroad broken"""
        raise ZeroDivisionError

    monkeypatch.setitem(main.VERBS, "broken", verb)
    with pytest.raises(ZeroDivisionError):
        main.main(["broken"])


def test_a_reader_that_leaves_early() -> None:
    code = "import sys; from oddroad.cli.main import main; sys.exit(main(['info']))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(60) == 0
