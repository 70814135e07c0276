"""In-distribution frames to calibrate on: data sets, or images, folders and videos of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from oddroad.datasets import DATASETS, read_image, read_label
from oddroad.errors import InputError
from oddroad.io.sources import find_sources
from oddroad.io.video import probe, read


@dataclass(frozen=True)
class CalibrationData:
    """Frames on which nothing is odd.

    Attributes:
        words: what they are, for the Card and for every message.
        count: their number; None if a video does not say.
        frames: a function that reads them anew: RGB images (H, W, 3) uint8, each with a label (H, W) uint8 or None.
    """

    words: str
    count: int | None
    frames: Callable[[], Iterator[tuple[np.ndarray, np.ndarray | None]]]


def calibration_data(
    names: Sequence[str],
    root: Path,
    split: str,
    most: int | None = None,
    tables: Mapping[str, np.ndarray] | None = None,
) -> CalibrationData:
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

    def frames() -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        for sample, table in parts:
            label = read_label(sample)
            yield read_image(sample), label if table is None else table[label]

    return CalibrationData(" and ".join(words), len(parts), frames)


def own_data(names: Sequence[str], most: int | None, labelled: bool) -> CalibrationData:
    """Known frames from images, folders and videos of one's own, without labels.

    Raises:
        InputError: if labels are needed, or nothing can be read.
    """
    if labelled:
        raise InputError(
            f"'{names[0]}' is no data set, and a checkpoint learns from labels; use one of: "
            f"{', '.join(name for name, each in DATASETS.items() if each.task == 'semantic')}"
        )
    found = find_sources(names)
    counts = [probe(each)[0] for each in found]
    total = None if None in counts else sum(each or 0 for each in counts)

    def frames() -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        for i, frame in enumerate(read(found)):
            if i == most:
                return
            yield frame.image, None

    return CalibrationData(
        " and ".join(names), min(total, most) if total is not None and most is not None else total, frames
    )
