"""Readers on mutated inputs: the same few hundred in every run, some seconds of each with ODDROAD_FUZZ=1.

Hours of it, with other seeds: ``make fuzz``. What was found so far: docs/research/fuzzing.md.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from fuzz.runner import Outcome, run_target
from fuzz.target import Differs, Target, judged
from fuzz.targets import TARGETS

from oddroad.errors import InputError

QUICK = {
    "threshold": 600, "roi": 300, "message": 300, "npy": 300, "results": 400, "database": 60, "card": 600, "image": 300,
    "label": 300, "json": 400, "detector": 200,
}  # fmt: skip
"""Targets of small start -> inputs of each in every run: always the same ones, so that a failure is no chance."""

SECONDS = 2.5
"""Of each target with ODDROAD_FUZZ=1: a minute in all, and as long again to load the libraries."""

if not sys.platform.startswith("linux"):
    pytest.skip("memory and processor time of a process are read from /proc", allow_module_level=True)


@pytest.mark.parametrize("name", QUICK)
def test_the_same_inputs_every_time(name: str) -> None:
    succeed(run_target(name, "quick", 0, QUICK[name]), QUICK[name])


@pytest.mark.skipif("ODDROAD_FUZZ" not in os.environ, reason="its reach depends on the machine: set ODDROAD_FUZZ=1")
@pytest.mark.parametrize("name", TARGETS)
def test_some_seconds(name: str) -> None:
    succeed(run_target(name, "slow", 0, 100_000, seconds=SECONDS), 1)


def succeed(outcome: Outcome, least: int) -> None:
    """Fail with what happened."""
    assert not outcome.failures, f"{outcome.line()}: {outcome.failures}"
    assert outcome.inputs >= least


class TestTheWatch:
    """A harness that sees nothing finds nothing: here everything that it must see happens."""

    @pytest.mark.parametrize(
        ("number", "seen"), [(0, "fault: ValueError"), (1, "differs: "), (2, "died: with -11"), (3, "memory: ")]
    )
    def test_what_goes_wrong_is_seen(self, number: int, seen: str) -> None:
        outcome = run_target("broken", "s", number, number + 1)
        assert [each for each in outcome.failures if each.startswith(seen)], outcome.failures
        assert outcome.inputs == 1

    @pytest.mark.slow
    def test_what_hangs_is_ended(self) -> None:
        outcome = run_target("broken", "s", 4, 6)
        assert [each for each in outcome.failures if each.startswith("hang: ")], outcome.failures
        assert outcome.counts == {"hang": 1, "read": 1}

    def test_what_is_refused_in_one_line_is_right(self, tmp_path: Path) -> None:
        def refuse(words: str, folder: Path) -> None:
            raise InputError(words)

        target = Target("t", lambda: [], lambda rng, seeds: "", refuse)
        assert judged(target, "no", tmp_path) == ("refused", "")
        assert judged(target, "x" * 5000, tmp_path)[0] == "fault"

    def test_a_second_reader_that_disagrees_is_a_failure(self, tmp_path: Path) -> None:
        def read(words: str, folder: Path) -> None:
            raise Differs(words)

        assert judged(Target("t", list, lambda rng, seeds: "", read), "a, and b", tmp_path) == ("differs", "a, and b")
