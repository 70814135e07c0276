"""Progress bars are for terminals: elsewhere not one byte of them."""

from __future__ import annotations

import sys

import pytest

from oddroad.cli.common import progress_bar, progress_bars


def test_without_a_terminal_nothing_is_printed_and_no_bar_is_made(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rich.progress", None)  # importing it would fail
    with progress_bars() as tell, progress_bar(3) as step:
        tell("a", 1, 3)
        step()
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_there_is_a_bar(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress_bar(3) as step:
        step()
    assert "1/3" in capsys.readouterr().err
