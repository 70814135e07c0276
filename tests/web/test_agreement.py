"""The JavaScript of the page finds what Python finds: regions, masks, enlarged maps, shifts, tracks, thresholds."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from web.vectors import vectors

from oddroad.web.app import page_folder

AGREE = Path(__file__).with_name("agree.mjs")


@pytest.fixture(scope="module")
def node() -> str:
    found = shutil.which("node")
    if found is None:
        pytest.skip("node is not installed: the page's JavaScript is not compared with Python here")
    return found


def compare(node: str, values: dict, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "vectors.json").write_text(json.dumps(values))
    words = [node, str(AGREE), str(folder / "vectors.json"), str(page_folder())]
    return subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)


def test_both_sides_agree_and_the_test_can_fail(node: str, tmp_path: Path) -> None:
    values = vectors()
    done = compare(node, values, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split()[0]) > 70
    values["regions"][0]["regions"][0]["area"] += 1
    values["enlarged"][0]["size"] = (24, 35)
    values["tracks"]["steps"][3]["tracks"][0]["hits"] += 1
    values["thresholds"][0]["value"] += 1e-6
    broken = compare(node, values, tmp_path)
    assert broken.returncode == 1
    for what in ("regions 0", "tracks 3", "threshold 'no-alarms'"):
        assert what in broken.stdout
