"""Thresholds for an exported detector from frames on which nothing is odd, written into its Card."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from oddroad import frames as sources
from oddroad.datasets import DATASETS, read_image, read_label
from oddroad.engines import CARD_KEY
from oddroad.errors import InputError
from oddroad.runtime import Model
from oddroad.thresholds import Calibrator, calibrated
from oddroad.types import Card


@dataclass(frozen=True)
class Known:
    """Frames on which nothing is odd.

    Attributes:
        words: what they are, for the Card and for every message.
        count: their number; None if a video does not say.
        frames: a function that reads them anew: RGB images (H, W, 3) uint8, each with a label (H, W) uint8 or None.
    """

    words: str
    count: int | None
    frames: Callable[[], Iterator[tuple[np.ndarray, np.ndarray | None]]]


def known_data(
    names: Sequence[str],
    root: Path,
    split: str,
    most: int | None = None,
    tables: Mapping[str, np.ndarray] | None = None,
) -> Known:
    """Known frames by name: data sets of classes, or images, folders and videos of one's own.

    Args:
        names: keys in DATASETS of sets with class labels; or all of them files and folders.
        root: folder that holds the data sets.
        split: such as "train" or "val"; for data sets.
        most: that many frames of each data set, evenly spread; None for all. Of files, the first so many.
        tables: for each set whose labels are wanted as classes of ours, (256,) uint8 from its classes; None if only
            IGNORE matters.

    Raises:
        InputError: if a set shows odd objects, has other classes, or is not there.
    """
    if not any(name in DATASETS for name in names):
        return own_data(names, most, tables is not None)
    parts, words = [], []
    for name in names:
        if name not in DATASETS:
            raise InputError(f"'{name}' is no data set; give data sets, or files, and not both")
        if DATASETS[name].task != "semantic":
            raise InputError(f"'{name}' shows odd objects; calibrate on known scenes, such as cityscapes")
        if tables is not None and name not in tables:
            raise InputError(f"the classes of '{name}' are not those of the network; use one of: {', '.join(tables)}")
        samples = DATASETS[name].load(root, split)
        if most is not None and len(samples) > most:
            samples = [samples[i] for i in np.linspace(0, len(samples) - 1, most).astype(int)]
        parts += [(each, None if tables is None else tables[name]) for each in samples]
        sizes = sorted({each.size for each in samples if each.size is not None})
        resized = ", stored at another size and brought to " + " and ".join(f"{h}x{w}" for h, w in sizes)
        words.append(f"{name}/{split}{resized if sizes else ''}")

    def read() -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        for sample, table in parts:
            label = read_label(sample)
            yield read_image(sample), label if table is None else table[label]

    return Known(" and ".join(words), len(parts), read)


def own_data(names: Sequence[str], most: int | None, labelled: bool) -> Known:
    """Known frames from images, folders and videos of one's own, without labels.

    Raises:
        InputError: if labels are needed, or nothing can be read.
    """
    if labelled:
        raise InputError(
            f"'{names[0]}' is no data set, and a checkpoint learns from labels; use one of: "
            f"{', '.join(name for name, each in DATASETS.items() if each.task == 'semantic')}"
        )
    found = sources.find_sources(names)
    counts = [sources.probe(each)[0] for each in found]
    total = None if None in counts else sum(each or 0 for each in counts)

    def read() -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        for i, frame in enumerate(sources.read(found)):
            if i == most:
                return
            yield frame.image, None

    return Known(" and ".join(names), min(total, most) if total is not None and most is not None else total, read)


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
