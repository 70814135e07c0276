"""Settings, counts, and the processes that share the frames of a set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from oddroad.evaluation.predictors import Opener, Predictor, open_predictor
from oddroad.metrics import ExactPixelMetric, PixelMetric, SemanticMetric

NETWORK_SIZE = (512, 1024)
"""Size of the protocol "network" where none is given, that of Table 1 of the first paper."""


@dataclass(frozen=True)
class Settings:
    """What is evaluated and how.

    Attributes:
        model: "default", an .onnx, a checkpoint, or a folder of saved maps.
        scores: names of its scores; empty for its own.
        protocol: "native": maps are enlarged to the labels, the benchmarks' way. "network": images are resized to
            ``size`` before the network and labels (nearest) after it, and frames without an anomaly are left out.
        size: (H, W) that the network sees; None for each image's own, or for NETWORK_SIZE in protocol "network".
        exact: keep all scores instead of counting them in bins; those of float64 maps in float64.
        threshold: for the component metrics at a fixed threshold, in the threshold language; None for the one deployed
            with the model.
        intervals: whether the figures get intervals, from counts of each image.
        video: whether sequences are judged as such, too: objects and alarms as events, and consistency.
        fps: frames per second of all sequences; None for what the set says.
        min_hits: of sequences, only tracks with at least so many hits are reported; where None, as in ``detect`` the
            card's, or 1.
        max_age: frames in a row that a track may miss before it ends; where None, the card's, or MAX_AGE.
        workers: processes.
        work: folder for the maps between the two passes, which lets an interrupted run go on.
        pictures: folder for small pictures of the frames, or None.
        opener: opens the model.
    """

    model: str
    scores: tuple[str, ...] = ()
    protocol: str = "native"
    size: tuple[int, int] | None = None
    exact: bool = False
    threshold: str | None = None
    intervals: bool = True
    video: bool = False
    fps: float | None = None
    min_hits: int | None = None
    max_age: int | None = None
    workers: int = 1
    work: Path = Path("out/evaluate")
    pictures: Path | None = None
    opener: Opener = open_predictor

    @property
    def seen(self) -> tuple[int, int] | None:
        """Size (H, W) that the network sees, or None for the image's own."""
        return self.size or (NETWORK_SIZE if self.protocol == "network" else None)


@dataclass
class PartialCounts:
    """Counts of some frames of a set; parts are merged.

    Attributes:
        pixel: score -> counts of pixels.
        coarse: score -> counts of each frame, for the intervals.
        frames: name, and AP of each score, for each frame that is judged.
        semantic: counts of classes.
        seconds: spent in the network.
        computed: frames that went through it, and were not there from an interrupted run.
        values: (256,) pixels of each value of the label files.
        empty: names of frames without a valid pixel.
        full: names of frames whose valid pixels are all anomalies.
        hashes: score -> SHA-256 of the saved maps, in the order of the frames.
        rounded: score -> (frame, AP in float32, AP in float64) of float64 maps that float32 ranks otherwise.
    """

    pixel: dict[str, PixelMetric | ExactPixelMetric] = field(default_factory=dict)
    coarse: dict[str, list[PixelMetric]] = field(default_factory=dict)
    frames: list[dict[str, Any]] = field(default_factory=list)
    semantic: SemanticMetric | None = None
    seconds: float = 0.0
    computed: int = 0
    values: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))
    empty: list[str] = field(default_factory=list)
    full: list[str] = field(default_factory=list)
    hashes: dict[str, list[str]] = field(default_factory=dict)
    rounded: dict[str, list[tuple[str, float, float]]] = field(default_factory=dict)

    def merge(self, other: PartialCounts) -> None:
        """Take in another part."""
        for name, metric in other.pixel.items():
            if name in self.pixel:
                self.pixel[name].merge(metric)  # type: ignore[arg-type]
            else:
                self.pixel[name] = metric
            self.coarse.setdefault(name, []).extend(other.coarse.get(name, []))
        for mine, theirs in ((self.hashes, other.hashes), (self.rounded, other.rounded)):
            for name, each in theirs.items():
                mine.setdefault(name, []).extend(each)  # type: ignore[arg-type]
        self.frames += other.frames
        self.empty += other.empty
        self.full += other.full
        self.values += other.values
        if other.semantic is not None:
            if self.semantic is None:
                self.semantic = SemanticMetric(other.semantic.classes)
            self.semantic.merge(other.semantic)
        self.seconds += other.seconds
        self.computed += other.computed


class WorkerPool:
    """The processes that share the frames: this one, or several with the model opened in each."""

    def __init__(self, settings: Settings, predictor: Predictor, threads: int):
        self.settings, self.predictor, self.threads = settings, predictor, threads
        self.pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> WorkerPool:
        if self.settings.workers > 1:
            context = get_context("spawn")
            given = (self.settings, self.threads)
            self.pool = ProcessPoolExecutor(self.settings.workers, context, initializer=prepare, initargs=given)
        return self

    def __exit__(self, *error: object) -> None:
        if self.pool is not None:
            self.pool.shutdown(cancel_futures=True)

    def work(self, task: Callable[..., Any], samples: Sequence[Any], *given: Any) -> Iterator[Any]:
        """Results of ``task(predictor, settings, sample, *given)`` in the order of the samples (or lists of them)."""
        if self.pool is None:
            yield from (task(self.predictor, self.settings, sample, *given) for sample in samples)
        else:
            yield from self.pool.map(in_worker, [(task, sample, given) for sample in samples])


PREPARED: dict[str, Any] = {}


def prepare(settings: Settings, threads: int) -> None:
    """Open the model in a worker process."""
    cv2.setNumThreads(threads)
    PREPARED["settings"] = settings
    PREPARED["predictor"] = settings.opener(settings.model, settings.scores, threads)


def in_worker(job: tuple[Callable[..., Any], Any, tuple[Any, ...]]) -> Any:
    """One task in a worker process."""
    task, sample, given = job
    return task(PREPARED["predictor"], PREPARED["settings"], sample, *given)
