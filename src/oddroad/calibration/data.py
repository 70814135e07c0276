"""In-distribution frames to calibrate on, drive by drive: data sets, or images, folders and videos of one's own."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from oddroad.datasets import DATASETS, read_image, read_label
from oddroad.errors import InputError
from oddroad.io.redaction import redact
from oddroad.io.sources import Source, find_sources
from oddroad.io.video import probe, read
from oddroad.types import Sample

PIECE = 250
"""Frames that follow each other, where not all of a drive are taken."""

Pair = tuple[np.ndarray, np.ndarray | None]
"""An RGB image (H, W, 3) uint8 and its label (H, W) uint8 or None."""


@dataclass(frozen=True)
class CalibrationData:
    """Frames without an anomaly.

    Attributes:
        words: what they are, for the Card and for every message.
        count: their number; None if a video does not say.
        frames: a function that reads them anew, drive by drive in their order: image, label, name of the drive.
        drives: names of the drives, or of the places of a data set.
        of: "drive", or "place" where they are places of a data set.
        identity: SHA-256 of the files' places, sizes and dates; "" where they cannot be read again.
        damaged: names of frames that were left out because they are damaged, after they were read.
        kilometres: of each drive, in an hour, where all are logs that say it; else empty.
        moments: of drives, seconds and piece of each frame that was read, up to the last; frames of a piece follow each
            other.
        steps: of each drive, from one frame to the next, and whether that is in seconds or in frames; empty where the
            scenes are no drives.
    """

    words: str
    count: int | None
    frames: Callable[[], Iterator[tuple[np.ndarray, np.ndarray | None, str]]]
    drives: tuple[str, ...]
    of: str = "drive"
    identity: str = ""
    damaged: list[str] = field(default_factory=list)
    moments: list[tuple[float | None, int]] = field(default_factory=list)
    kilometres: Mapping[str, float] = field(default_factory=dict)
    steps: Mapping[str, tuple[float, bool]] = field(default_factory=dict)

    def pairs(self) -> Iterator[Pair]:
        """The frames without their drives."""
        return ((image, label) for image, label, _ in self.frames())


def place_of(name: str, sample: Sample) -> str:
    """Where a sample of a data set was taken, as far as its name tells: city, recording or folder; else the set."""
    if sample.sequence:
        return f"{name}/{sample.sequence}"
    if name in ("cityscapes", "idd_lite"):
        return f"{name}/{sample.image.parent.name}"
    if name == "camvid":  # 0016E5_07959.jpg is frame 7959 of the recording 0016E5
        return f"{name}/{sample.image.stem.split('_')[0]}"
    return name


def drive_of(source: Source) -> tuple[str, str]:
    """The drive of a source, the file or a picture's folder: what tells it apart, and what may be shown."""
    if source.path is None:
        return source.place, source.shown
    place = source.path.parent if source.kind == "image" else source.path
    return str(place.resolve()), redact(str(place))


def spread(count: int, most: int | None) -> list[int]:
    """That many numbers from 0 to count - 1, evenly spread; all where there are fewer."""
    if most is None or count <= most:
        return list(range(count))
    return np.linspace(0, count - 1, most).astype(int).tolist()


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
    every: int | None = None,
) -> CalibrationData:
    """In-distribution frames by name: data sets of classes, or images, folders and videos of one's own.

    Args:
        names: keys in DATASETS of sets with class labels; or all of them files and folders.
        root: folder that holds the data sets.
        split: such as "train" or "val"; for data sets.
        most: that many frames of each data set or drive at most, evenly spread; None for all.
        tables: for each set whose labels are wanted as the network's classes, (256,) uint8 from its own; None if only
            IGNORE matters.
        every: take frames of drives that follow each other, every n-th, so that tracks can be counted: of a drive of
            more than ``most`` some pieces of PIECE frames, evenly spread. None for single frames, evenly spread.

    Raises:
        InputError: if a set shows anomalies, has other classes, is not there, or is given twice.
    """
    if not any(name in DATASETS for name in names):
        return own_data(names, most, tables is not None, every)
    if every is not None:
        raise InputError(
            f"alarms an hour are counted on drives, and '{names[0]}' is a data set; give videos or driving logs, or "
            "ask for alarms=1/100frames"
        )
    parts, words = [], []
    for number, name in enumerate(names):
        if name in names[:number]:
            raise InputError(f"'{name}' is given twice; its scenes count once: leave one out")
        if name not in DATASETS:
            raise InputError(f"'{name}' is no data set; give data sets, or files, and not both")
        if DATASETS[name].task != "semantic":
            raise InputError(f"'{name}' shows anomalies; calibrate on in-distribution scenes, such as cityscapes")
        if tables is not None and name not in tables:
            raise InputError(f"the classes of '{name}' are not those of the network; use one of: {', '.join(tables)}")
        samples = DATASETS[name].load(root, split)
        samples = [samples[i] for i in spread(len(samples), most)]
        parts += [(each, None if tables is None else tables[name], place_of(name, each)) for each in samples]
        sizes = sorted({each.size for each in samples if each.size is not None})
        resized = ", stored at another size and brought to " + " and ".join(f"{h}x{w}" for h, w in sizes)
        words.append(f"{name}/{split}{resized if sizes else ''}")

    def frames() -> Iterator[tuple[np.ndarray, np.ndarray | None, str]]:
        for sample, table, place in parts:
            label = read_label(sample)
            yield read_image(sample), label if table is None else table[label], place

    files = [file for each, _, _ in parts for file in (each.image, each.label)]
    places = tuple(dict.fromkeys(place for _, _, place in parts))
    identity = identity_of(files, (names, split, most))
    return CalibrationData(" and ".join(words), len(parts), frames, places, "place", identity)


def own_data(names: Sequence[str], most: int | None, labelled: bool, step: int | None = None) -> CalibrationData:
    """In-distribution frames from images, folders and videos of one's own, without labels; damaged ones are left out.

    Each video, log, camera or stream is a drive, whatever it holds; so are the pictures of one folder, in their order.

    Raises:
        InputError: if labels are needed, nothing can be read, or a file is given twice.
    """
    if labelled:
        raise InputError(
            f"'{names[0]}' is no data set, and a checkpoint is calibrated on labels; use one of: "
            f"{', '.join(name for name, each in DATASETS.items() if each.task == 'semantic')}"
        )
    found: dict[str, list[Source]] = {}
    shown: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    for each in find_sources(names):
        key, shown_as = drive_of(each)
        place = (each.place if each.path is None else str(each.path.resolve()), each.topic)
        if place in seen:
            raise InputError(f"'{each.shown}' is given twice; a drive counts once: leave one out")
        seen.add(place)
        shown.setdefault(key, shown_as)
        found.setdefault(key, []).append(each)
    if step is not None:
        return followed_data(names, {shown[key]: sources for key, sources in found.items()}, most, step)
    chosen = [(shown[key], take) for key, sources in found.items() for take in taken(sources, most)]
    counts = [count for _, (_, _, count) in chosen]
    damaged: list[str] = []

    def frames() -> Iterator[tuple[np.ndarray, np.ndarray | None, str]]:
        damaged.clear()
        for drive, (sources, every, _) in chosen:
            for frame in itertools.islice(read(sources, every), most):
                if frame.status == "ok":
                    yield frame.image, None, drive
                else:
                    damaged.append(frame.name)

    count = None if None in counts else sum(each or 0 for each in counts)
    steps = {shown[key]: step_of(sources, most) for key, sources in found.items()}
    sources = list(itertools.chain.from_iterable(found.values()))
    files = [each.path for each in sources]
    fixed = all(each is not None and each.is_file() for each in files)
    identity = identity_of(files, (names, most, "drives")) if fixed else ""
    words = " and ".join(redact(each) for each in names)
    return CalibrationData(
        words, count, frames, tuple(shown[key] for key in found), "drive", identity, damaged, steps=steps
    )


def step_of(sources: Sequence[Source], most: int | None) -> tuple[float, bool]:
    """From one frame that is read of a drive to the next: seconds and True where its rate is known, else frames."""
    if sources[0].kind == "image":
        return len(sources) / len(spread(len(sources), most)), False
    every, rate = taken(sources[:1], most)[0][1], probe(sources[0])[1]
    return (every / rate, True) if rate else (float(every), False)


def followed_data(
    names: Sequence[str], drives: Mapping[str, Sequence[Source]], most: int | None, step: int
) -> CalibrationData:
    """Frames of drives that follow each other; see ``calibration_data``.

    Raises:
        InputError: if a drive is of still images.
    """
    sources = [each for all_of in drives.values() for each in all_of]
    if still := next((each.shown for each in sources if not each.moving), None):
        raise InputError(
            f"alarms an hour are counted on drives, and '{still}' is a still image; give videos or driving logs, or "
            "ask for alarms=1/100frames"
        )
    pieces = {each: pieces_of(probe(each)[0], most, step) for each in sources}
    damaged: list[str] = []
    moments: list[tuple[float | None, int]] = []

    def frames() -> Iterator[tuple[np.ndarray, np.ndarray | None, str]]:
        damaged.clear()
        moments.clear()
        number = 0
        for drive, source in ((drive, each) for drive, all_of in drives.items() for each in all_of):
            left = list(pieces[source])
            for place, frame in enumerate(read([source], step)):
                while left and (end := left[0][1]) is not None and place >= end:
                    left.pop(0)
                    number += 1
                if not left:
                    break
                if place < left[0][0]:
                    continue
                if frame.status == "ok":
                    moments.append((frame.time, number))
                    yield frame.image, None, drive
                else:
                    damaged.append(frame.name)
            number += 1

    ends = [end for all_of in pieces.values() for _, end in all_of]
    count = None if None in ends else sum((end or 0) - start for all_of in pieces.values() for start, end in all_of)
    files = [each.path for each in sources]
    fixed = all(each is not None and each.is_file() for each in files)
    identity = identity_of(files, (names, most, step, "followed")) if fixed else ""
    words = " and ".join(redact(each) for each in names)
    speeds = {drive: speed_of(all_of) for drive, all_of in drives.items()}
    known = {drive: speed for drive, speed in speeds.items() if speed is not None}
    kilometres = known if len(known) == len(speeds) else {}
    rates = {drive: probe(all_of[0])[1] for drive, all_of in drives.items()}
    steps = {drive: (step / rate, True) if rate else (float(step), False) for drive, rate in rates.items()}
    return CalibrationData(words, count, frames, tuple(drives), "drive", identity, damaged, moments, kilometres, steps)


def speed_of(sources: Sequence[Source]) -> float | None:
    """Mean speed of a drive in km/h; None where it is no log, or one that does not say it."""
    if sources[0].kind != "log":
        return None
    from oddroad.io.log_distance import kilometres_per_hour

    return kilometres_per_hour(Path(sources[0].place))


def pieces_of(count: int | None, most: int | None, step: int) -> list[tuple[int, int | None]]:
    """Which of every ``step``-th frame are read, as ranges of their numbers: all, or evenly spread pieces of PIECE.

    >>> pieces_of(1000, 500, 1), pieces_of(1000, None, 2), pieces_of(None, 300, 1)
    ([(0, 250), (750, 1000)], [(0, 500)], [(0, 300)])
    """
    if count is None:
        return [(0, most)]
    there = -(-count // step)
    if most is None or there <= most:
        return [(0, there)]
    number, length = max(1, most // PIECE), min(PIECE, most)
    return [(start, start + length) for start in np.linspace(0, there - length, number).round().astype(int).tolist()]


def taken(sources: Sequence[Source], most: int | None) -> list[tuple[list[Source], int, int | None]]:
    """What to read of one drive: sources, of moving ones every how many frames, and how many frames that gives.

    Args:
        sources: of one drive: its pictures, or its file, of a log once for each topic.
        most: frames of each at most, evenly spread where their number is known; None for all.
    """
    if sources[0].kind == "image":
        chosen = [sources[i] for i in spread(len(sources), most)]
        return [(chosen, 1, len(chosen))]
    result = []
    for each in sources:
        count = probe(each)[0]
        if count is None or most is None:
            result.append(([each], 1, count))
            continue
        every = max(1, -(-count // most))
        result.append(([each], every, -(-count // every)))
    return result
