"""The command in processes of its own that do not load PyTorch anew: they are forked from one that has loaded it."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path


def run_command(words: list[str], environment: Mapping[str, str], output: Path) -> None:
    """What the process does: the command, its output in a file."""
    os.environ.update(environment)
    with output.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        from oddroad.cli.main import main

        code = main(words)
        sys.stdout.flush()
        sys.stderr.flush()
    sys.exit(code)


def start_command(words: list[str], output: Path, environment: Mapping[str, str] | None = None) -> BaseProcess:
    """Start 'oddroad WORDS'; what it prints goes to the file ``output``."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["oddroad.learn.training.fit"])
    process = context.Process(target=run_command, args=(words, dict(environment or {}), output))
    process.start()
    return process
