"""How a processor computes while it trains: subnormal numbers, bfloat16."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from oddroad.learn.training import fit as fit_module
from oddroad.learn.training import module
from oddroad.recipe import Recipe


def product() -> float:
    """A number below 1.2e-38, computed by the thread that asks."""
    return float(torch.tensor(1e-40) * 1)


@pytest.mark.skipif(not torch.set_flush_denormal(False), reason="this processor computes subnormals always")
def test_subnormals_count_as_zero_in_training_and_nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []

    def failing(*_: Any) -> Path:
        seen.append(product())
        raise ValueError("it failed")

    monkeypatch.setattr(fit_module, "train", failing)
    assert product() > 0
    with pytest.raises(ValueError, match="it failed"):
        fit_module.fit(Recipe(), tmp_path, tmp_path / "run")
    assert seen == [0]
    assert product() > 0  # also after an error
    torch.set_flush_denormal(True)
    try:
        with fit_module.subnormals_as_zero():
            pass
        assert product() == 0  # as the caller had it
    finally:
        torch.set_flush_denormal(False)


@pytest.mark.parametrize(
    ("precision", "flags", "gpu", "told"),
    [
        ("bf16", ["avx512f", "avx512_bf16"], False, True),
        ("bf16", ["avx2", "fma"], False, True),
        ("bf16", ["avx512_bf16", "amx_bf16"], False, False),
        ("bf16", ["asimd", "bf16"], False, False),
        ("bf16", [], False, False),  # a system whose processor cannot be asked
        ("bf16", ["avx2"], True, False),
        ("fp32", ["avx2"], False, False),
    ],
)
def test_bfloat16_where_it_is_slower_is_told(
    precision: str, flags: list[str], gpu: bool, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "processor", lambda: {"flags": flags})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert bool(module.slow_precision(precision)) == told
    assert "choose fp32" in module.slow_precision(precision) or not told
