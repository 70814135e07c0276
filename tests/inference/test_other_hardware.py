"""One core, no OpenVINO: it works, and says what it works with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ALONE = """
import importlib.abc, os, sys
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

class NotInstalled(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("openvino", "torch"):
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)

sys.meta_path.insert(0, NotInstalled())
from oddroad.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot give a process one core")
def test_one_core_and_onnxruntime_alone(clip: Path, tmp_path: Path) -> None:
    words = ["detect", str(clip), "--out", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-c", ALONE, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert " on onnxruntime with 1 thread, 1 frame at a time, in " in done.stdout
    lines = (tmp_path / "out" / "detections.jsonl").read_text().splitlines()
    assert [json.loads(line)["index"] for line in lines[1:-1]] == list(range(8))
    assert (tmp_path / "out" / "overlay" / "drive.mp4").stat().st_size > 1000
