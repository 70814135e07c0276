"""A set of one's own with saved maps, for tests of the evaluation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from sklearn.metrics import average_precision_score

from oddroad.evaluation.evaluate import evaluate
from oddroad.evaluation.workers import Settings

HEIGHT, WIDTH = 12, 20


def write_set(root: Path, frames: int = 3, change: Callable[[np.ndarray], np.ndarray] = lambda heat: heat) -> float:
    """``images``, ``masks`` and ``maps`` with different frames; the average precision of the maps before the change."""
    draw = np.random.default_rng(0)
    labels, heats = [], []
    for folder in ("images", "masks", "maps"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for number in range(frames):
        label = np.zeros((HEIGHT, WIDTH), np.uint8)
        label[6:9, 12 + number : 17] = 1
        heat = (2.0 * label + draw.normal(size=label.shape)).astype(np.float32)
        cv2.imwrite(str(root / f"images/{number}.png"), draw.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8))
        cv2.imwrite(str(root / f"masks/{number}.png"), label)
        np.save(root / f"maps/{number}.npy", change(heat))
        labels.append(label.ravel())
        heats.append(heat.ravel())
    return float(average_precision_score(np.concatenate(labels), np.concatenate(heats)))


def judge(root: Path, **changes: Any) -> dict[str, Any]:
    """The one result of the saved maps, or of another model."""
    settings = Settings(**{"model": str(root / "maps"), "work": root / "work", **changes})
    (result,) = evaluate(settings, ["folder"], root)
    return result
