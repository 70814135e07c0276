"""Converts and runs in a target's own environment, told by lines of JSON; nothing of oddroad is imported here.

Converters are not trusted to stay at home: some install packages or send logs. Connections and installers are refused.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

INSTALLERS = ("pip", "pip3", "conda", "mamba", "uv", "curl", "wget", "git", "npm", "apt", "apt-get")


def fence(event: str, given: tuple[Any, ...]) -> None:
    """Refuse connections, and programs that fetch something; a hook of the interpreter."""
    if event == "socket.connect" and not isinstance(given[1], str | bytes):  # a path is no connection to elsewhere
        raise PermissionError(f"the converter wanted a connection to {given[1]}, which it does not get")
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        raise PermissionError(f"the converter wanted the address of {given[0]}, which it does not get")
    if event in ("os.system", "subprocess.Popen", "os.posix_spawn", "os.exec"):
        parts = given[1] if event == "subprocess.Popen" else given[0] if event == "os.system" else given[1]
        words = parts if isinstance(parts, list | tuple) else [parts]
        text = " ".join(os.fsdecode(each) for each in words)
        if any(os.path.basename(word) in INSTALLERS for word in text.replace(";", " ").split()):
            raise PermissionError(f"the converter wanted to run '{text[:80]}', which it may not")


def load(path: str) -> ModuleType:
    """A target's file as a module of its own."""
    spec = importlib.util.spec_from_file_location("target", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Worker:
    """One target: it converts, opens what it made, and runs it."""

    def __init__(self, target: ModuleType):
        self.target = target
        self.run: Any = None

    def versions(self, names: list[str]) -> dict[str, str]:
        """Versions of installed packages."""
        return {name: importlib.metadata.version(name) for name in names}

    def convert(self, portable: str, folder: str, form: str, pictures: str) -> None:
        """Write the runtime's files into a folder."""
        import numpy as np

        os.chdir(folder)
        self.target.convert(portable, folder, form, np.load(pictures))

    def open(self, folder: str, outputs: list[str], threads: int) -> None:
        """Prepare the files of a folder to be run."""
        self.run = self.target.open_file(folder, outputs, threads)

    def compute(self, image: str, result: str) -> float:
        """Run a saved image (1, 3, H, W), save the outputs, and give the seconds of the run alone."""
        import numpy as np

        pixels = np.load(image)
        began = time.perf_counter()
        found = self.run(pixels)
        spent = time.perf_counter() - began
        np.savez(result, *[np.asarray(each, np.float32) for each in found])
        return spent


def main() -> None:
    """Answer each line of the standard input by one on the standard output, which nobody else writes to."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.dont_write_bytecode = True
    sys.addaudithook(fence)
    worker = Worker(load(sys.argv[1]))
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = {"value": getattr(worker, request.pop("do"))(**request)}
        except BaseException as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
            with contextlib.suppress(Exception):
                import traceback

                traceback.print_exc()
        answers.write(json.dumps(reply) + "\n")
        answers.flush()


if __name__ == "__main__":
    sys.path[:] = [each for each in sys.path if Path(each) != Path(__file__).parent]  # ncnn.py here is not ncnn
    main()
