"""Environments of their own for converters, made once with consent, and programs that run in them without a network."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from oddroad.errors import InputError
from oddroad.learn.export.targets import Target

NOWHERE = "http://127.0.0.1:9"
"""A proxy that is not there."""


LAST_LINES = 3
"""Lines of what a converter said that its error repeats."""


def cache_folder() -> Path:
    """Where environments are kept: ODDROAD_CACHE, or the user's cache folder."""
    if "ODDROAD_CACHE" in os.environ:
        return Path(os.environ["ODDROAD_CACHE"])
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "oddroad"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "oddroad"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "oddroad"


def environment_folder(name: str, target: Target) -> Path:
    """Where a target's environment is or would be; another for other packages or another Python."""
    what = json.dumps([target.PACKAGES, getattr(target, "NODE_PACKAGES", ()), sys.version_info[:2]])
    return cache_folder() / "targets" / f"{name}-{hashlib.sha256(what.encode()).hexdigest()[:10]}"


def python_of(folder: Path) -> Path:
    """The interpreter of an environment."""
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def commands(name: str, target: Target) -> list[list[str]]:
    """What makes the environment: each a program and its words."""
    folder = environment_folder(name, target)
    bare = [] if target.WITH_DEPENDENCIES else ["--no-deps"]
    pip = [str(python_of(folder)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    found = [[sys.executable, "-m", "venv", str(folder)], [*pip, *bare, *target.PACKAGES]]
    if node := getattr(target, "NODE_PACKAGES", ()):
        found.append(["npm", "install", "--silent", "--ignore-scripts", "--prefix", str(folder), *node])
    return found


def find_environment(name: str, target: Target, python: Path | None, install: bool, say: Callable[[str], None]) -> Path:
    """The interpreter of a target's environment: the given one, one made before, or one made now.

    Args:
        name: key in TARGETS.
        target: its entry.
        python: an interpreter of the user's that has the packages.
        install: whether an environment may be made.
        say: is told what is done.

    Raises:
        InputError: if there is none and none may be made, or making it failed.
    """
    if python is not None:
        if not python.is_file():
            raise InputError(
                f"no interpreter '{python}'; expected the python of an environment that has {name}'s packages"
            )
        return python
    folder = environment_folder(name, target)
    ready = folder / "ready"
    if not ready.is_file():
        if not install:
            raise InputError(
                f"--for {name} needs {', '.join(target.PACKAGES[:2])} and more, some {target.MEGABYTES} MB, in an "
                f"environment of its own, which is not there yet; add --install to have it made in '{folder}', or pass "
                "--python with the interpreter of one that has them"
            )
        say(f"making the environment of {name} in '{folder}', some {target.MEGABYTES} MB:")
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        for words in commands(name, target):
            say(f"  {' '.join(words)}")
            done = subprocess.run(words, capture_output=True, text=True)
            if done.returncode:
                shutil.rmtree(folder, ignore_errors=True)
                said = " ".join((done.stderr or done.stdout).split())[-200:]
                raise InputError(f"'{' '.join(words[:4])} ...' ended with {done.returncode}: {said}")
        ready.touch()
    return python_of(folder)


@cache
def without_network() -> tuple[str, ...]:
    """Words before a command that cut it off from every network; none where the system does not allow that."""
    program = shutil.which("unshare")
    words = (program, "--map-root-user", "--net") if program else ()
    if words and subprocess.run([*words, "true"], capture_output=True).returncode == 0:
        return words
    return ()


def fenced(folder: Path) -> dict[str, str]:
    """Variables for a converter: its own programs first, no index to install from, no way out."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PIP_"))}
    proxies = {key: NOWHERE for each in ("http", "https", "all") for key in (f"{each}_proxy", f"{each.upper()}_PROXY")}
    path = os.pathsep.join([str(folder), os.environ.get("PATH", "")])
    own = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "PYTHONNOUSERSITE": "1", "CUDA_MODULE_LOADING": "LAZY"}
    return {**kept, **proxies, **own, "PATH": path, "no_proxy": "", "NO_PROXY": "", "TF_CPP_MIN_LOG_LEVEL": "3"}


class InEnvironment:
    """A target's worker in its environment; a context manager.

    Args:
        target: its entry in TARGETS.
        python: the interpreter of its environment.
    """

    def __init__(self, target: Target, python: Path):
        self.said = tempfile.TemporaryFile()  # noqa: SIM115 - closed on exit
        worker = Path(__file__).parent / "targets" / "worker.py"
        self.process = subprocess.Popen(
            [*without_network(), str(python), "-I", str(worker), str(getattr(target, "__file__", ""))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.said, text=True, env=fenced(python.parent),
        )  # fmt: skip

    def __enter__(self) -> InEnvironment:
        return self

    def __exit__(self, *unused: object) -> None:
        self.process.kill()
        self.process.wait()
        for each in (self.process.stdin, self.process.stdout, self.said):
            if each is not None:
                each.close()

    def __call__(self, do: str, **request: Any) -> Any:
        """What the worker answers.

        Raises:
            InputError: if it failed, with the last of what it said.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps({"do": do, **request}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            line = ""
        else:
            line = self.process.stdout.readline()
        if not line:
            raise InputError(f"the converter ended: {self.last_words()}")
        answer = json.loads(line)
        if "error" in answer:
            raise InputError(f"the converter failed: {' '.join(answer['error'].split())[:300]}")
        return answer["value"]

    def last_words(self) -> str:
        """The last lines of what it said."""
        self.said.seek(0)
        lines = self.said.read().decode(errors="replace").split("\n")
        return " ".join(" ".join(line.split()) for line in [each for each in lines if each.strip()][-LAST_LINES:])
