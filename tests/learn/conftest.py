"""What the tests of the PyTorch half share."""

from __future__ import annotations

from pathlib import Path

import pytest
from fabricated import training_root

from oddroad.learn.outputs import Outputs
from oddroad.learn.scores.density import EmbeddingDensity


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small data sets to train on, made once; tests leave it as it is."""
    return training_root(tmp_path_factory.mktemp("data"))


@pytest.fixture
def brief_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The density is fitted in 10 steps: what it is kept and exported as does not depend on how well it fits."""
    build = EmbeddingDensity.build

    def brief(outputs: Outputs, stride: int) -> EmbeddingDensity:
        score = build(outputs, stride)
        score.steps = 10
        return score

    monkeypatch.setattr(EmbeddingDensity, "build", brief)
