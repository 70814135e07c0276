"""Recordings of Rerun, read again by rerun-sdk itself. It is large: pip install 'oddroad[rerun]' to run this."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from oddroad.cli import main

rerun = pytest.importorskip("rerun", reason="rerun-sdk is not installed; pip install 'oddroad[rerun]'")
pytestmark = pytest.mark.slow


def test_a_recording_holds_images_maps_regions_boxes_and_tracks(
    results_file: Path, media: Path, tmp_path: Path
) -> None:
    heat = np.linspace(-3, 7, 60 * 80, dtype=np.float32).reshape(60, 80)
    (results_file.parent / "maps").mkdir()
    np.save(results_file.parent / "maps" / "drive_000001.npy", heat)
    out = tmp_path / "drive.rrd"
    assert main.main(["results", str(results_file), "--to", "rerun", "--out", str(out), "--media", str(media)]) == 0
    print(out)
