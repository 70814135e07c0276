"""The command line itself: help, unknown verbs and options, missing extras."""

from __future__ import annotations

import contextlib
import errno
import inspect
import json
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
import pytest

from oddroad.cli import common, main
from oddroad.cli.common import say, with_quiet
from oddroad.cli.completion import SHELLS
from oddroad.errors import InputError, LostSource


@pytest.mark.parametrize("words", [[], ["-h"], ["--help"]])
def test_no_words_and_help_list_the_verbs_and_the_exit_codes(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(words) == 0
    text = capsys.readouterr().out
    assert all(f"\n  {verb} " in text for verb in main.VERBS)
    assert all(f"\n  {code} " in text for code in (0, 1, 2, 3, 130))
    assert max(map(len, text.splitlines())) <= 130


def test_no_line_holds_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    say("a\x1b[2J\nb\x07")
    assert capsys.readouterr().out == "a\\x1b[2J\nb\\x07\n"


@pytest.mark.parametrize("word", ["-V", "--version"])
def test_version(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main([word]) == 0
    assert capsys.readouterr().out == f"{version('oddroad')}\n"


@pytest.mark.parametrize("words", [["data"], ["data", "-h"], ["data", "--help"]])
def test_the_first_word_of_two_lists_its_verbs(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(words) == 0
    text = capsys.readouterr().out
    assert "\n  data verify " in text
    assert "detect" not in text


@pytest.mark.parametrize("verb", main.VERBS)
def test_every_verb_has_help_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main.main([*verb.split(), "--help"])
    assert stop.value.code in (0, None)
    text = capsys.readouterr().out
    assert f"Example: oddroad {verb}" in " ".join(text.split())
    assert "--quiet" in text
    assert "--no-quiet" not in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["detekt", "a.jpg"], "oddroad: no verb called 'detekt'; did you mean 'detect'? There are: "),
        (["data", "verfy"], "oddroad: no verb called 'data verfy'; did you mean 'data verify'? There are: "),
        (["info", "x", "--engine", "no"], "oddroad: Unrecognized options: --engine"),
        (["detect", "x", "--engine", "no"], "oddroad: invalid choice 'no' for argument '--engine'"),
        (["info", "--jsn"], "oddroad: Unrecognized options: --jsn"),
        (
            ["evaluate", "--root", "x"],
            "oddroad: 'oddroad evaluate' needs MODEL, --data ('oddroad evaluate --help' explains)",
        ),
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


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def verb() -> None:
        """Broken. Example: oddroad broken"""
        raise ZeroDivisionError

    monkeypatch.setitem(main.VERBS, "broken", verb)
    assert main.main(["broken"]) == 3
    text = capsys.readouterr().err
    assert "raise ZeroDivisionError" in text
    assert text.splitlines()[-1].startswith("oddroad: this is a fault in oddroad")


@pytest.mark.parametrize("kind", [RuntimeError, InputError, OSError])
def test_passwords_and_line_ends_stand_in_no_message(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    address = "rtsp://admin:geheim77@10.0.0.5/live"

    def verb() -> None:
        """Broken. Example: oddroad broken"""
        raise OSError(errno.EIO, "", address) if kind is OSError else kind(f"cannot read '{address}' of 'a\nb\udcff'")

    monkeypatch.setitem(main.VERBS, "broken", verb)
    assert main.main(["broken"]) in (2, 3)
    text = capsys.readouterr().err
    assert "geheim77" not in text
    assert "rtsp://admin:***@10.0.0.5/live" in text
    if kind is not RuntimeError:
        assert text.count("\n") == 1
    if kind is InputError:
        assert "'a\\nb\\udcff'" in text


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "", "out"), "oddroad: No space left on device 'out'; free some space or choose another"),
        (PermissionError(errno.EACCES, "", "out"), "oddroad: Permission denied 'out'; choose another place, or change"),
        (FileNotFoundError(errno.ENOENT, "", "out"), "oddroad: No such file or directory 'out'\n"),
    ],
)
def test_errors_of_the_system_say_what_to_do(
    error: OSError, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def verb() -> None:
        """Broken. Example: oddroad broken"""
        raise error

    monkeypatch.setitem(main.VERBS, "broken", verb)
    assert main.main(["broken"]) == 2
    assert capsys.readouterr().err.startswith(message)


def test_a_lost_source_has_its_own_code(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def verb() -> None:
        """Loses. Example: oddroad lose"""
        raise LostSource("'camera0' stayed away for 60 s")

    monkeypatch.setitem(main.VERBS, "lose", verb)
    assert main.main(["lose"]) == 3
    assert capsys.readouterr().err == "oddroad: 'camera0' stayed away for 60 s\n"


def test_a_switch_has_its_opposite_in_recipes_alone(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("detect", "train"):
        with pytest.raises(SystemExit):
            main.main([verb, "--help"])
        text = capsys.readouterr().out
        assert ("--latest" in text) == (verb == "detect")
        assert "--no-latest" not in text
        assert ("--recipe.network.no-outlier" in text) == (verb == "train")


def test_interrupted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def verb() -> None:
        """Slow. Example: oddroad slow"""
        raise KeyboardInterrupt

    monkeypatch.setitem(main.VERBS, "slow", verb)
    assert main.main(["slow"]) == 130
    assert capsys.readouterr().err == "oddroad: interrupted; what was finished is kept\n"


def test_quiet_silences_messages_alone(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def verb(fail: bool = False) -> None:
        """Talks. Example: oddroad talk"""
        say("a message")
        print("a result")
        if fail:
            raise InputError("an error")

    monkeypatch.setitem(main.VERBS, "talk", with_quiet(verb))
    assert main.main(["talk"]) == 0
    assert capsys.readouterr().out == "a message\na result\n"
    assert main.main(["talk", "--fail", "--quiet"]) == 2
    assert capsys.readouterr() == ("a result\n", "oddroad: an error\n")
    assert main.main(["talk"]) == 0
    assert capsys.readouterr().out == "a message\na result\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_names_verbs_options_and_values(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    if shell == "tcsh":
        pytest.importorskip("shtab")
    assert main.main(["--completion", shell]) == 0
    text = capsys.readouterr().out
    # tcsh's script knows options without the dashes before them
    assert all(word in text for word in ("detect", "verify", "min-area", "quiet", "openvino"))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("de", "demo detect"),
        ("data ''", "verify"),
        ("detect drive.mp4 --engine onnxruntime-", "onnxruntime-cuda onnxruntime-tensorrt"),
        ("evaluate default --proto", "--protocol"),
        ("train --recipe.optim.na", "--recipe.optim.name"),
    ],
)
def test_the_script_completes_in_bash(
    words: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["--completion", "bash"]) == 0
    lines = [
        capsys.readouterr().out, f"COMP_WORDS=(oddroad {words})", "COMP_CWORD=$((${#COMP_WORDS[@]} - 1))",
        "$(complete -p oddroad | sed 's/.*-F \\([^ ]*\\).*/\\1/')", 'echo "${COMPREPLY[*]}"',
    ]  # fmt: skip
    (tmp_path / "try.sh").write_text("\n".join(lines))
    done = subprocess.run(["bash", tmp_path / "try.sh"], capture_output=True, text=True, check=True)
    found = done.stdout.split()
    assert [word for word in found if word not in ("-h", "--help")] == expected.split()


@pytest.mark.parametrize("words", [["--completion"], ["--completion", "bsh"], ["--completion=cmd"]])
def test_other_shells_are_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(words) == 2
    assert "There are: bash, zsh, tcsh, fish" in capsys.readouterr().err


def test_the_start_imports_nothing_heavy() -> None:
    code = "import sys, oddroad.cli.main; print(*{each.split('.')[0] for each in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "cv2", "onnxruntime", "torch", "yaml", "rich"} & set(loaded)


@pytest.mark.parametrize("words", [["info"], ["--help"], ["detect", "--help"]])
def test_a_reader_that_leaves_early(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    code = f"import sys; from oddroad.cli.main import main; sys.exit(main({words!r}))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.wait(60) == 0
        assert process.stderr.read() == b""


@pytest.mark.parametrize("words", [["info"], ["data", "verify", "--root", ".", "--data", "folder"]])
def test_json_is_printed_or_written(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        assert cv2.imwrite(str(tmp_path / folder / "a.png"), np.zeros((8, 8), np.uint8))
    with contextlib.suppress(SystemExit):
        main.main([*words, "--json"])
    printed = capsys.readouterr().out
    with contextlib.suppress(SystemExit):
        main.main([*words, "--json", "to/a.json"])
    assert capsys.readouterr().out == ""
    assert (tmp_path / "to" / "a.json").read_text() == printed
    assert json.loads(printed)["name"] == {"info": "oddroad-default", "data": "folder"}[words[0]]


def test_json_never_overwrites_a_detector(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.onnx"
    path.write_bytes(b"a detector")
    assert main.main(["info", "--json", str(path)]) == 2
    assert capsys.readouterr().err.startswith(f"oddroad: --json '{path}'; expected one file for JSON")
    assert path.read_bytes() == b"a detector"


@pytest.mark.parametrize("verb", main.VERBS)
def test_the_same_word_is_the_same_thing_in_every_verb(verb: str) -> None:
    kinds = {
        "json": common.JsonTo,
        "threshold": str | None,
        "min_area": int | None,
        "size": (str, str | None),
        "plugin": Path | None,
        "every": (int, int | None),
        "min_hits": (int, int | None),
        "max_frames": (int, int | None),
        "out": (Path, Path | None, common.Place),
        "root": Path,
        "workers": int,
    }
    for each in inspect.signature(main.VERBS[verb]).parameters.values():
        allowed = kinds.get(each.name)
        if allowed is not None:
            assert each.annotation in (allowed if isinstance(allowed, tuple) else (allowed,)), each


def test_a_library_that_answers_ctrl_c_with_an_error_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def verb() -> None:
        """Is stopped while it loads. Example: oddroad loading"""
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise ImportError("initialization failed") from None

    monkeypatch.setitem(main.VERBS, "loading", verb)
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    assert main.main(["loading"]) == 130
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
    assert capsys.readouterr().err == "oddroad: interrupted; what was finished is kept\n"
