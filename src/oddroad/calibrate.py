"""Thresholds for an exported detector from frames on which nothing is odd, written into its Card."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from pathlib import Path

import numpy as np

from oddroad.runtime import CARD_KEY, Model
from oddroad.thresholds import Calibrator, calibrated
from oddroad.types import Card


def find_thresholds(
    model: Model,
    frames: Iterable[tuple[np.ndarray, np.ndarray | None]],
    data: str,
    scores: Sequence[str] = (),
    rule: str = "fpr=0.1%",
    confidence: float = 0.95,
    coverage: float = 0.95,
    smallest: int | None = None,
    progress: Callable[[], None] = lambda: None,
) -> Card:
    """The Card of a detector with what known frames score under it, and with default thresholds.

    Args:
        model: the detector; it runs once on every frame, at the frame's own size.
        frames: RGB images (H, W, 3) uint8 on which nothing is odd, each with a label (H, W) or None; pixels labelled
            IGNORE are left out.
        data: the frames in words.
        scores: names of the detector's scores; all where empty.
        rule: the default threshold, in the language of ``oddroad.thresholds``.
        confidence: of every promise.
        coverage: share of new frames that a false-positive rate of pixels holds for.
        smallest: pixels of the smallest false alarm; 1 in 10,000 of the frame's pixels if None.
        progress: called after each frame.

    Raises:
        InputError: if a score does not exist, or the frames are too few for confidence and rule.
    """
    names = [model.pick_score(name) for name in scores] or list(model.scores)
    gathered = {name: Calibrator(smallest) for name in names}
    for image, label in frames:
        for name, heat in model.maps(image, names).items():
            gathered[name].add(heat, label)
        progress()
    about = {
        "data": data, "date": date.today().isoformat(), "confidence": confidence, "coverage": coverage,
    }  # fmt: skip
    return calibrated(model.card, gathered, about, rule)


def write_card(source: Path, card: Card, out: Path) -> None:
    """Write a copy of an .onnx file with another Card; the copy appears whole or not at all."""
    import onnx

    proto = onnx.load(str(source))
    kept = [(each.key, each.value) for each in proto.metadata_props if each.key != CARD_KEY]
    del proto.metadata_props[:]
    for key, value in [*kept, (CARD_KEY, card.to_json())]:
        proto.metadata_props.add(key=key, value=value)
    partial = out.with_name(out.name + ".partial")
    try:
        partial.write_bytes(proto.SerializeToString())
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
