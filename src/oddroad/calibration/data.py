"""In-distribution frames to calibrate on: data sets, or images, folders and videos of one's own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from oddroad.datasets import DATASETS, read_image, read_label
from oddroad.errors import InputError
from oddroad.io.redaction import redact
from oddroad.io.sources import find_sources
from oddroad.io.video import probe, read


@dataclass(frozen=True)
class CalibrationData:
    """Frames without an anomaly.

    Attributes:
        words: what they are, for the Card and for every message.
        count: their number; None if a video does not say.
        frames: a function that reads them anew: RGB images (H, W, 3) uint8, each with a label (H, W) uint8 or None.
        identity: SHA-256 of the files' places, sizes and dates; "" where they cannot be read again.
        damaged: names of frames that were left out because they are damaged, after they were read.
    """

    words: str
    count: int | None
    frames: Callable[[], Iterator[tuple[np.ndarray, np.ndarray | None]]]
    identity: str = ""
    damaged: list[str] = field(default_factory=list)


def identity_of(files: Iterable[Path | None], options: object) -> str:
    """SHA-256 of files' places, sizes and dates, and of how they are read."""
    found = hashlib.sha256(repr(options).encode())
    for each in files:
        if each is not None:
            about = each.stat()
            found.update(f"{each.resolve()} {about.st_size} {about.st_mtime_ns}\n".encode())
    return found.hexdigest()


def calibration_data(
    names: Sequence[str],
    root: Path,
    split: str,
    most: int | None = None,
    tables: Mapping[str, np.ndarray] | None = None,
) -> CalibrationData:
    """In-distribution frames by name: data sets of classes, or images, folders and videos of one's own.

    Args:
        names: keys in DATASETS of sets with class labels; or all of them files and folders.
        root: folder that holds the data sets.
        split: such as "train" or "val"; for data sets.
        most: that many frames of each data set, evenly spread; None for all. Of files, the first so many.
        tables: for each set whose labels are wanted as the network's classes, (256,) uint8 from its own; None if only
            IGNORE matters.

    Raises:
        InputError: if a set shows anomalies, has other classes, or is not there.
    """
    if not any(name in DATASETS for name in names):
        return own_data(names, most, tables is not None)
    parts, words = [], []
    for name in names:
        if name not in DATASETS:
            raise InputError(f"'{name}' is no data set; give data sets, or files, and not both")
        if DATASETS[name].task != "semantic":
            raise InputError(f"'{name}' shows anomalies; calibrate on in-distribution scenes, such as cityscapes")
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

    files = [file for each, _ in parts for file in (each.image, each.label)]
    return CalibrationData(" and ".join(words), len(parts), frames, identity_of(files, (names, split, most)))


def own_data(names: Sequence[str], most: int | None, labelled: bool) -> CalibrationData:
    """In-distribution frames from images, folders and videos of one's own, without labels; damaged ones are left out.

    Raises:
        InputError: if labels are needed, or nothing can be read.
    """
    if labelled:
        raise InputError(
            f"'{names[0]}' is no data set, and a checkpoint is calibrated on labels; use one of: "
            f"{', '.join(name for name, each in DATASETS.items() if each.task == 'semantic')}"
        )
    found = find_sources(names)
    counts = [probe(each)[0] for each in found]
    total = None if None in counts else sum(each or 0 for each in counts)
    damaged: list[str] = []

    def frames() -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        damaged.clear()
        given = 0
        for frame in read(found):
            if given == most:
                return
            if frame.status != "ok":
                damaged.append(frame.name)
                continue
            given += 1
            yield frame.image, None

    count = min(total, most) if total is not None and most is not None else total
    files = [each.path for each in found]
    identity = "" if any(each is None or not each.is_file() for each in files) else identity_of(files, (names, most))
    return CalibrationData(" and ".join(redact(each) for each in names), count, frames, identity, damaged)
