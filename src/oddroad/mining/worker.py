"""The work on one segment, the same in every kind of worker: read, judge, write once."""

from __future__ import annotations

import functools
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from oddroad.detection.tracking import MAX_AGE, Tracking
from oddroad.errors import InputError
from oddroad.inference.model import Model
from oddroad.io.redaction import redact
from oddroad.mining.findings import SegmentFindings
from oddroad.mining.frames import SegmentReader, Taken
from oddroad.mining.plan import Segment
from oddroad.mining.store import Store
from oddroad.mining.tables import SCHEMA_VERSION, findings_part, record_of_part

DONE, FINDINGS = "done", "findings"
"""Folders of the store: a record for each segment that is done, until it is in ``segments``; the parts with rows."""

FORMAT = 1
"""Raised when the same settings find something else; segments of before are then mined anew."""


@dataclass(frozen=True)
class Settings:
    """What a worker needs to know; all but ``copies`` and ``threads`` change the result.

    Attributes:
        model: path of the .onnx file, or the name of an embedded one.
        model_hash: SHA-256 of the file; a worker with another file refuses to work.
        score: name of the score.
        threshold: a pixel is anomalous above it.
        meaning: what the threshold guarantees.
        min_area: least pixels of a region; None for 1 in 10,000 of the frame's.
        min_hits: frames in which a track must have been seen before its regions count.
        max_age: frames in a row that a track may miss before it ends.
        every: seconds from one judged frame to the next; 0 for every frame.
        fast: judge key frames first, and the rest only of segments in which one of them is interesting.
        engine: what runs the network.
        precision: what the float part of the network computes in.
        copies: folder of each machine for local copies.
        threads: of each worker.
    """

    model: str
    model_hash: str
    score: str
    threshold: float
    meaning: str
    min_area: int | None = None
    min_hits: int = 1
    max_age: int = MAX_AGE
    every: float = 0.0
    fast: bool = False
    engine: str = "onnxruntime"
    precision: str = "float32"
    copies: str = ""
    threads: int = 1

    @property
    def made_of(self) -> str:
        """Hash of the detector and of everything else that changes the result."""
        values = {key: value for key, value in asdict(self).items() if key not in ("model", "copies", "threads")}
        if self.max_age == MAX_AGE:  # as it was before there was a choice: archives of then stay mined
            del values["max_age"]
        values |= {"format": FORMAT, "schema": SCHEMA_VERSION}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def short_model(self) -> str:
        """The first 12 digits of the detector's hash: a folder of ``findings``."""
        return self.model_hash[:12]


@functools.lru_cache(2)
def detector(model: str, model_hash: str, engine: str, precision: str, threads: int) -> Model:
    """The detector of this process.

    Raises:
        InputError: if the file is another one than that of the machine that gave out the work.
    """
    import cv2

    cv2.setNumThreads(threads)
    found = Model(model, engine, threads=threads, precision=precision)
    if found.sha256 != model_hash:
        raise InputError(f"model '{model}' of this worker is not the file that the run began with; copy that one here")
    return found


def done_name(name: str) -> str:
    """The file that says that a segment is done; a folder holds a 256th of them."""
    return f"{DONE}/{name[:2]}/{name}.json"


def part_name(segment: Segment, name: str, model: str) -> str:
    """The part of ``findings`` with a segment's rows."""
    return f"{FINDINGS}/day={segment.day}/model={model}/{name}.parquet"


def mine_segment(
    values: Mapping[str, Any], settings: Settings, place: str, alive: Callable[[int], None] = lambda frames: None
) -> dict[str, Any]:
    """Mine one segment, unless that is done; doing it twice, even at the same time, leaves it there once.

    What has been found is written in two steps, each of them once and whole: the part with the rows, where there are
    any, and the record that the segment is done. A worker that is killed between them leaves a part that holds the
    record, from which the next one goes on.

    Args:
        values: the segment, of ``Segment.to_json``.
        settings: how.
        place: of the store.
        alive: told the number of frames now and then.

    Returns:
        the row of the segment in ``segments``.

    Raises:
        InputError: if nothing of it can be read.
        Exception: whatever a file system raises.
    """
    segment, store = Segment.from_json(values), Store(place)
    name = segment.name(settings.made_of)
    done, part = done_name(name), part_name(segment, name, settings.short_model)
    found = store.read(done)
    if found is not None:
        return json.loads(found)
    held = store.read(part)
    if held is None:
        record, held = judged(segment, name, settings, alive)
        if held is not None and not store.create(part, held):
            held = store.read(part)  # another worker was first
    if held is not None:
        record = record_of_part(held) | {"part": part, "part_bytes": len(held)}
    if not store.create(done, json.dumps(record).encode()):
        return json.loads(store.read(done) or b"{}") or record
    return record


def judged(
    segment: Segment, name: str, settings: Settings, alive: Callable[[int], None]
) -> tuple[dict[str, Any], bytes | None]:
    """The row of a segment in ``segments``, and its part of ``findings``; None where nothing was found.

    Raises:
        InputError: if nothing of it can be read.
    """
    began = time.perf_counter()
    model = detector(settings.model, settings.model_hash, settings.engine, settings.precision, settings.threads)
    camera = segment.topic or segment.source.name
    about = {
        "segment": name, "log": segment.source.name, "log_id": segment.log, "topic": segment.topic, "camera": camera,
        "clock": segment.clock, "score": settings.score, "threshold": settings.threshold,
        "threshold_meaning": settings.meaning,
    }  # fmt: skip
    gathered = SegmentFindings(
        model,
        settings.score,
        settings.threshold,
        settings.min_area,
        Tracking(settings.min_hits, settings.max_age),
        name,
        about,
    )
    reader = SegmentReader(segment, settings.copies, settings.every)
    if settings.fast and not any(interesting(segment, settings, gathered)):
        reader = SegmentReader(segment, settings.copies, settings.every, keys_only=True)
    for number, taken in enumerate(reader.frames()):
        gathered.add(taken)
        if number % 10 == 0:
            alive(number)
    gathered.finish(reader.fixes)
    counts = reader.counts
    if not (counts.judged or counts.damaged or counts.skipped) and (counts.read or reader.why):
        raise InputError(f"none of {counts.read or 'its'} frames could be decoded: {reader.why or 'damaged'}")
    record = {
        **{key: about[key] for key in ("segment", "log", "log_id", "topic", "camera", "clock")},
        "day": segment.day, "model": settings.short_model, "start": reader.first, "end": reader.last,
        "seconds": reader.driven, **asdict(counts), "findings": len(gathered.rows), "tracks": len(gathered.best),
        "frames_with": gathered.frames_with, "height": gathered.size[0], "width": gathered.size[1], "part": "",
        "part_bytes": 0, "reason": reader.why, "addresses": [redact(each) for each in segment.source.addresses[:8]],
        "settings": settings.made_of, "took": time.perf_counter() - began,
        "position": json.dumps([segment.start, segment.stop]),
    }  # fmt: skip
    return record, findings_part(gathered.rows, record) if gathered.rows else None


def interesting(segment: Segment, settings: Settings, gathered: SegmentFindings) -> Any:
    """Whether each key frame of a segment comes near to the threshold, one after another."""
    reader = SegmentReader(segment, settings.copies, settings.every, keys_only=True)

    def near(taken: Taken) -> bool:
        return taken.frame.status == "ok" and gathered.interesting(taken.frame.image)

    return map(near, reader.frames())
