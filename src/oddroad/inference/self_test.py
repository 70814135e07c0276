"""A picture that is the same everywhere, and what a detector scores on it: whether an engine computes what it should.

The exporter keeps the scores of ONNX Runtime in the card; ``oddroad check`` compares every engine with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from oddroad.card import Card
from oddroad.errors import InputError
from oddroad.inference.common import read_head
from oddroad.inference.engines import ENGINES
from oddroad.inference.integrity import with_card

SIZE = (192, 384)
"""(H, W) of the picture."""


CELLS = (4, 8)
"""Rows and columns of cells over which scores are averaged: rounding averages out there, mistakes do not."""


TOLERANCES = {"float32": 0.01, "int8": 0.15, "bfloat16": 0.15}
"""Largest mean difference of the cells, as a share of their standard deviation, by what is computed in.

Engines sum in another order, and in INT8 a value beside a rounding border falls to another side; a wrong graph or
engine is off by one standard deviation or more."""


def reference_picture() -> np.ndarray:
    """A road with a blue box on it and noise, (192, 384, 3) uint8 RGB, by NumPy's integers alone: the same everywhere.

    >>> int(reference_picture().astype(int).sum())
    27979601
    """
    height, width = SIZE
    rows, columns = np.mgrid[:height, :width]
    image = np.empty((height, width, 3), np.int64)
    image[...] = (150, 185, 220)
    image[rows >= 80] = (86, 110, 62)
    road = (rows >= 80) & (np.abs(columns - 192) * 112 <= 190 * (rows - 72))
    image[road] = (92, 92, 95)
    image[road & (np.abs(columns - 192) * 40 <= rows - 72) & (rows // 14 % 2 == 0)] = (215, 215, 210)
    image[(rows >= 40) & (rows < 84) & (columns < 110)] = (140, 118, 100)
    image[(rows >= 118) & (rows < 150) & (columns >= 215) & (columns < 268)] = (40, 70, 190)
    image[(rows >= 126) & (rows < 132) & (columns >= 215) & (columns < 268)] = (230, 200, 40)
    noise = np.random.PCG64(20).random_raw(height * width).reshape(height, width, 1)
    image += (noise % np.uint64(13)).astype(np.int64) - 6
    return np.clip(image, 0, 255).astype(np.uint8)


def cells(heat: np.ndarray) -> np.ndarray:
    """Mean score of each cell of a map of the picture's size, (4, 8) float64."""
    rows, columns = CELLS
    return heat.reshape(rows, SIZE[0] // rows, columns, SIZE[1] // columns).mean((1, 3), dtype=np.float64)


def scored(path: Path, engine: str = "onnxruntime", precision: str = "float32") -> dict[str, np.ndarray]:
    """Mean scores of the picture's cells, (4, 8) each, by score.

    Raises:
        InputError: if the file or the engine cannot be used.
    """
    card, run = ENGINES[engine](path, 1, precision)
    maps = run(reference_picture()[None], card.scores)
    return {name: cells(found[0]) for name, found in zip(card.scores, maps, strict=True)}


def add_reference(path: Path) -> Card:
    """Keep what ONNX Runtime scores on the picture in the card of a file, which is returned; an export's last step.

    Raises:
        InputError: if the file cannot be used.
    """
    card, _ = read_head(path)
    found = {name: [[round(float(v), 5) for v in row] for row in values] for name, values in scored(path).items()}
    path.write_bytes(with_card(path.read_bytes(), replace(card, reference=found)))
    return read_head(path)[0]


@dataclass(frozen=True)
class Check:
    """How one engine does on the picture.

    Attributes:
        engine: name of the engine.
        score: name of the score.
        deviation: mean difference of the cells to the card's, as a share of their standard deviation.
        tolerance: what it may be.
    """

    engine: str
    score: str
    deviation: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the engine computes what the card says."""
        return self.deviation <= self.tolerance


def compare(path: Path, engine: str, precision: str = "float32") -> list[Check]:
    """Every score of a file in one engine, compared with the card's.

    Raises:
        InputError: if the file or the engine cannot be used, or the card keeps no scores of the picture.
    """
    card, _ = read_head(path)
    known: Mapping[str, Any] = card.reference
    if missing := [name for name in card.scores if name not in known]:
        raise InputError(f"model '{path}' keeps no reference of {', '.join(missing)}; export it again")
    tolerance = max(TOLERANCES[card.precision], TOLERANCES[precision])
    checks: list[Check] = []
    for name, values in scored(path, engine, precision).items():
        expected = np.asarray(known[name], np.float64)
        spread = max(float(expected.std()), 1e-6)
        deviation = float(np.abs(values - expected).mean()) / spread
        checks.append(Check(engine, name, deviation if np.isfinite(deviation) else float("inf"), tolerance))
    return checks
