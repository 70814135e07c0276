"""Deterministic weights and inputs of the golden files, and where the shared material lies."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pytest

PARENTS = Path(__file__).resolve().parents
SHARED = next((each / "shared" for each in PARENTS if (each / "shared").is_dir()), PARENTS[2] / "shared")
GOLDEN = SHARED / "golden"
DATA = SHARED / "data"

needs_golden = pytest.mark.skipif(not GOLDEN.is_dir(), reason="the golden files are not here")
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the real images are not here")


def golden(name: str) -> dict[str, np.ndarray]:
    """The arrays of one golden file."""
    with np.load(GOLDEN / name, allow_pickle=False) as arrays:
        return dict(arrays)


def golden_weight(name: str, shape: tuple[int, ...], gain: float, seed: int = 0) -> np.ndarray:
    """The deterministic tensor for one entry of a state dict."""
    draw = np.random.default_rng(zlib.crc32(name.encode()) + seed)
    last = name.rpartition(".")[2]
    if last == "num_batches_tracked":
        return np.array(0)
    if last == "running_mean":
        values = draw.normal(0, 0.1, size=shape)
    elif last == "running_var":
        values = draw.uniform(0.5, 1.5, size=shape)
    elif last.endswith("bias"):
        values = draw.normal(0, 0.1, size=shape)
    elif len(shape) >= 2:
        values = draw.normal(0, np.sqrt(2 / np.prod(shape[1:])), size=shape)
    elif shape == (1,):
        values = draw.uniform(0.1, 0.4, size=shape)
    else:
        values = gain * draw.uniform(0.5, 1.5, size=shape)
    return values.astype(np.float32)


def golden_state(network: str) -> dict[str, np.ndarray]:
    """Published names and deterministic weights of a golden network, auxiliary heads included."""
    lists = json.loads((GOLDEN / f"net_{network}_state_dict.json").read_text())
    gain = float(golden(f"net_{network}.npz")["bn_gain"])
    entries = lists["state_dict"] + lists.get("aux_state_dict", [])
    return {name: golden_weight(name, tuple(shape), gain) for name, shape in entries}


def golden_input(network: str) -> np.ndarray:
    """The (1, 3, H, W) input of a golden network."""
    arrays = golden(f"net_{network}.npz")
    _, _, height, width = arrays["input_shape"]
    draw = np.random.default_rng(int(arrays["input_seed"]))
    coarse = draw.random((1, 3, height // 16, width // 16), dtype=np.float32)
    fine = draw.random((1, 3, height, width), dtype=np.float32)
    x = np.float32(0.75) * coarse.repeat(16, 2).repeat(16, 3) + np.float32(0.25) * fine
    assert np.allclose(x.flatten()[:16], arrays["input_head"])
    return x
