"""``detections.jsonl`` read back and checked, line by line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from typing import Any

from oddroad.errors import InputError, counted
from oddroad.exchange.lines import SCHEMA_VERSION, LineError, frame_of, gap_of, run_of, shown
from oddroad.io.reading import Gap
from oddroad.types import Region

FILES = "detections*.jsonl"
"""Names of files of results in a folder."""


@dataclass(frozen=True)
class RunInfo:
    """What ran: the first line of a file.

    Attributes:
        file: the file.
        oddroad: version of the package.
        model: name of the detector.
        score: name of the score.
        threshold: in the unit of the score; a pixel is anomalous above it.
        values: the whole line.
    """

    file: Path
    oddroad: str
    model: str
    score: str
    threshold: float
    values: dict[str, Any] = field(repr=False, compare=False, default_factory=dict)


@dataclass(frozen=True)
class TrackInfo:
    """The track of a region.

    Attributes:
        id: unique among the tracks of its source.
        hits: frames in which it has been seen so far.
        mean: mean score over these frames; None where it is not told.
    """

    id: int
    hits: int
    mean: float | None = None


@dataclass(frozen=True)
class FrameResult:
    """What was found in one frame.

    Attributes:
        run: what ran.
        source: name of the file, camera or stream.
        index: number of the frame in a moving source, from 0; None for a still image.
        time: seconds since the start of the source; None for a still image.
        utc: ISO 8601 where the source tells it, else None.
        size: (H, W) in pixels.
        status: "ok" or "damaged".
        reason: why it is damaged.
        regions: the anomalous regions, none if it is empty; None if the frame was not judged.
        tracks: the track of each region; None where it has none.
    """

    run: RunInfo
    source: str
    index: int | None
    time: float | None
    utc: str | None
    size: tuple[int, int]
    status: str
    reason: str
    regions: tuple[Region, ...] | None
    tracks: tuple[TrackInfo | None, ...] = ()

    @property
    def name(self) -> str:
        """What people read: ``clip.mp4#12`` for the thirteenth frame of a video."""
        return self.source if self.index is None else f"{self.source}#{self.index}"

    @property
    def nanoseconds(self) -> int | None:
        """Its time in UTC as nanoseconds since 1970; None where it is not known."""
        if self.utc is None:
            return None
        from datetime import datetime

        whole, _, fraction = self.utc.removesuffix("Z").removesuffix("+00:00").partition(".")
        seconds = datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp()
        return int(seconds) * 10**9 + int(fraction.ljust(9, "0"))

    def found(self) -> Iterator[tuple[Region, TrackInfo | None]]:
        """The regions, each with its track."""
        yield from zip(self.regions or (), self.tracks, strict=True)


@dataclass
class Results:
    """What one or several runs found.

    Attributes:
        files: the files that were read.
        runs: what ran, in the order of the files.
        frames: every frame that was read, in the order in which it was written.
        gaps: stretches of time without frames.
        summaries: the last line of each run that came to its end.
        notes: what is to be known about the files: lines that are cut off, runs that were interrupted.
    """

    files: list[Path] = field(default_factory=list)
    runs: list[RunInfo] = field(default_factory=list)
    frames: list[FrameResult] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    summaries: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def judged(self) -> list[FrameResult]:
        """Frames that were judged, with regions or without."""
        return [each for each in self.frames if each.regions is not None]

    @property
    def not_judged(self) -> list[FrameResult]:
        """Frames that were damaged and not judged: what is in them is not known."""
        return [each for each in self.frames if each.regions is None]

    def counts(self) -> dict[str, int]:
        """How many frames were judged, how many of them have regions, how many regions, and what was not seen."""
        judged = self.judged
        return {
            "frames": len(judged),
            "with_regions": sum(bool(each.regions) for each in judged),
            "regions": sum(len(each.regions or ()) for each in judged),
            "not_judged": len(self.not_judged),
            "gaps": len(self.gaps),
        }

    def line(self) -> str:
        """The numbers in one line."""
        counts = self.counts()
        text = f"{counted(counts['frames'], 'frame')} judged, {counts['with_regions']} with regions, "
        text += counted(counts["regions"], "region")
        if other := self.not_judged:
            text += f"; {counted(len(other), 'damaged frame')} not judged, first {other[0].name} ({other[0].reason})"
        if self.gaps:
            text += f"; {counted(len(self.gaps), 'gap')} without frames"
        return text


def read_results(path: str | Path) -> Results:
    r"""What ``oddroad detect`` wrote: a ``detections.jsonl``, or a folder with one or several.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> run = {"type": "run", "schema_version": 1, "oddroad": "1.0", "model": "m", "score": "energy", "threshold": 4.0}
    >>> frame = {"type": "frame", "source": "a.jpg", "index": None, "time": None, "width": 6, "height": 4,
    ...          "status": "ok", "regions": []}
    >>> _ = (folder / "detections.jsonl").write_text(f"{json.dumps(run)}\n{json.dumps(frame)}\n")
    >>> read_results(folder).line()
    '1 frame judged, 0 with regions, 0 regions'

    A last line that is cut off, as an interrupted run leaves it, is said in ``notes`` and left out.

    Raises:
        InputError: if there is no such file, or a line is wrong; the message says which, and how.
    """
    path = Path(path)
    results = Results(files=files_of(path))
    for each in results.files:
        read_file(each, results)
    return results


def files_of(path: Path) -> list[Path]:
    """The files of results that a path stands for.

    Raises:
        InputError: if there is none.
    """
    if path.is_file():
        return [path]
    if not path.exists():
        raise InputError(f"no such file or folder: '{path}'; expected a detections.jsonl, or the folder of a run")
    found = sorted(path.glob(FILES)) or sorted(path.rglob(FILES))
    if not found:
        raise InputError(f"folder '{path}' holds no detections.jsonl; pass the --out folder of 'oddroad detect'")
    return found


def read_file(path: Path, results: Results) -> None:
    """Add one file to the results.

    Raises:
        InputError: if it cannot be read, or a line is wrong.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read '{path}': {error.strerror}") from None
    lines = data.split(b"\n")
    run: RunInfo | None = None
    ended = False
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            values = parsed(line)
        except LineError as error:
            if number == len(lines):  # what stops in the middle has no end of line
                results.notes.append(f"{path}, line {number}: cut off, as an interrupted run leaves it; left out")
                break
            raise InputError(f"{path}, line {number}: {error}") from None
        try:
            kind = kind_of(values)
            if kind == "run":
                run = RunInfo(path, *run_of(values), values=values)
                results.runs.append(run)
            elif run is None:
                raise LineError(f"a line of type '{kind}' before any of type 'run'; expected the run first")
            elif kind == "frame":
                fields = frame_of(values)
                tracks = tuple(None if each is None else TrackInfo(*each) for each in fields.pop("tracks"))
                results.frames.append(FrameResult(run=run, tracks=tracks, **fields))
            elif kind == "gap":
                results.gaps.append(gap_of(values))
            elif kind == "summary":
                results.summaries.append(values)
            ended = kind == "summary"
        except LineError as error:
            raise InputError(f"{path}, line {number}: {error}") from None
    if run is None:
        raise InputError(f"'{path}' is empty: no run was recorded in it")
    if not ended:
        results.notes.append(f"{path}: has no summary at its end; the run was interrupted or is still going on")


def parsed(line: bytes) -> dict[str, Any]:
    """One line of JSON.

    Raises:
        LineError: if it is none.
    """

    def refuse(word: str) -> None:
        raise LineError(f"{word} is not a number of JSON")

    try:
        values = json.loads(line, parse_constant=refuse)
    except (ValueError, RecursionError):
        raise LineError("is not JSON; expected one JSON object a line") from None
    if not isinstance(values, dict):
        raise LineError(f"is {type(values).__name__}; expected one JSON object a line")
    return values


def kind_of(values: dict[str, Any]) -> str:
    """The type of a line.

    Raises:
        LineError: if there is no such type.
    """
    kind = values.get("type")
    if kind is None:
        raise LineError("has no 'type'; expected a detections.jsonl of 'oddroad detect' with schema_version "
                        f"{SCHEMA_VERSION}")  # fmt: skip
    if kind not in ("run", "frame", "gap", "drift", "heartbeat", "summary"):
        raise LineError(f"type {shown(kind)}; expected run, frame, gap, drift, heartbeat or summary")
    return kind
