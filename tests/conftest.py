"""What the runtime's tests share; nothing here needs torch."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is loaded: two test processes share two cores

import cv2
import hypothesis
import numpy as np
import pytest

from oddroad.inference.model import Model
from oddroad.synthetic.scenes import drive
from oddroad.types import Frame

gc.set_threshold(20_000, 20, 20)  # exports make millions of objects that live; a tenth of their time is saved

# A busy machine is no failure, and mutation tests run the same test several times in one process.
hypothesis.settings.register_profile(
    "patient",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.differing_executors],
)
hypothesis.settings.load_profile("patient")


def pytest_runtest_teardown() -> None:
    """Take back the threads that a predictor or a benchmark gave PyTorch: what follows would wait spinning."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


@pytest.fixture(scope="session")
def model() -> Model:
    """The embedded detector."""
    return Model()


@pytest.fixture(scope="session")
def frames() -> list[Frame]:
    """A short rendered drive."""
    return list(drive(seed=5, frames=8, size=(180, 320)))


@pytest.fixture
def clip(tmp_path: Path, frames: list[Frame]) -> Path:
    """The drive as a video of 8 frames."""
    return write_clip(tmp_path / "drive.mp4", frames)


def write_clip(path: Path, frames: Sequence[Frame], rate: float = 10.0) -> Path:
    """Frames as a video of a size, written by another library than ours."""
    height, width = frames[0].image.shape[:2]
    kind = cv2.VideoWriter_fourcc(*("MJPG" if path.suffix == ".avi" else "mp4v"))  # type: ignore[attr-defined]
    video = cv2.VideoWriter(str(path), kind, rate, (width, height))
    for each in frames:
        video.write(cv2.cvtColor(each.image, cv2.COLOR_RGB2BGR))
    video.release()
    return path


@pytest.fixture
def picture(tmp_path: Path, frames: list[Frame]) -> Path:
    """One frame of the drive as a JPEG."""
    path = tmp_path / "scene.jpg"
    assert cv2.imwrite(str(path), cv2.cvtColor(frames[0].image, cv2.COLOR_RGB2BGR))
    return path


@pytest.fixture
def noise() -> np.ndarray:
    """An image of noise (48, 64, 3)."""
    return np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
