"""Mined archives need what the extra ``mine`` brings; without it, none of these tests is run."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

NEEDED = ("pyarrow", "mcap", "rosbags", "onnx", "fsspec")
collect_ignore_glob = [] if all(map(importlib.util.find_spec, NEEDED)) else ["test_*.py"]


@pytest.fixture(scope="session")
def red(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a detector of what is red."""
    from mining.fleet import red_detector

    return red_detector(tmp_path_factory.mktemp("model") / "red.onnx")
