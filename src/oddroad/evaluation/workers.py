"""What is done to each frame of a set, in one process or several: maps, counts, components, pictures."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from oddroad.datasets import DATASETS, read_image, read_label
from oddroad.errors import InputError
from oddroad.evaluation.predictors import Opener, Predictor, open_predictor
from oddroad.io.images import resize_area, resize_nearest
from oddroad.metrics import ComponentMetric, ExactPixelMetric, PixelMetric, SemanticMetric
from oddroad.metrics.bootstrap import COARSE
from oddroad.types import ANOMALY, Sample

NETWORK_SIZE = (512, 1024)
"""Size of the protocol "network" where none is given, that of Table 1 of the first paper."""


PICTURE_WIDTH = 480


@dataclass(frozen=True)
class Settings:
    """What is evaluated and how.

    Attributes:
        model: "default", an .onnx, a checkpoint, or a folder of saved maps.
        scores: names of its scores; empty for its own.
        protocol: "native": maps are enlarged to the labels, the benchmarks' way. "network": images are resized to
            ``size`` before the network and labels (nearest) after it, and frames without an anomaly are left out.
        size: (H, W) that the network sees; None for each image's own, or for NETWORK_SIZE in protocol "network".
        exact: keep all scores instead of counting them in bins.
        threshold: for the component metrics at a fixed threshold, instead of the one deployed with the model.
        bootstrap: number of resamples of the images for the intervals; 0 for none.
        workers: processes.
        work: folder for the maps, which lets an interrupted run go on.
        pictures: folder for small pictures of the frames, or None.
        opener: opens the model.
    """

    model: str
    scores: tuple[str, ...] = ()
    protocol: str = "native"
    size: tuple[int, int] | None = None
    exact: bool = False
    threshold: float | None = None
    bootstrap: int = 0
    workers: int = 1
    work: Path = Path("out/evaluate")
    pictures: Path | None = None
    opener: Opener = open_predictor

    @property
    def seen(self) -> tuple[int, int] | None:
        """Size that the network sees, or None for the image's own."""
        return self.size or (NETWORK_SIZE if self.protocol == "network" else None)


@dataclass
class PartialCounts:
    """Counts of some frames of a set; parts are merged.

    Attributes:
        pixel: score -> counts of pixels.
        coarse: score -> counts of each frame, for the bootstrap.
        frames: name, and AP of each score, for each frame with judged anomalies.
        semantic: counts of classes.
        seconds: spent in the network.
        computed: frames that went through it, and were not there from an interrupted run.
    """

    pixel: dict[str, PixelMetric | ExactPixelMetric] = field(default_factory=dict)
    coarse: dict[str, list[PixelMetric]] = field(default_factory=dict)
    frames: list[dict[str, Any]] = field(default_factory=list)
    semantic: SemanticMetric | None = None
    seconds: float = 0.0
    computed: int = 0

    def merge(self, other: PartialCounts) -> None:
        """Take in another part."""
        for name, metric in other.pixel.items():
            if name in self.pixel:
                self.pixel[name].merge(metric)  # type: ignore[arg-type]
            else:
                self.pixel[name] = metric
            self.coarse.setdefault(name, []).extend(other.coarse.get(name, []))
        self.frames += other.frames
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

    def work(self, task: Callable[..., Any], samples: Sequence[Sample], *given: Any) -> Iterator[Any]:
        """Results of ``task(predictor, settings, sample, *given)`` in the order of the samples."""
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


def in_worker(job: tuple[Callable[..., Any], Sample, tuple[Any, ...]]) -> Any:
    """One task in a worker process."""
    task, sample, given = job
    return task(PREPARED["predictor"], PREPARED["settings"], sample, *given)


def truth(settings: Settings, sample: Sample) -> np.ndarray:
    """The label of a sample at the size of the protocol."""
    label = read_label(sample)
    return resize_nearest(label, settings.seen) if settings.protocol == "network" and settings.seen else label


def resize_map(values: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """A map at another size, bilinear, float32."""
    values = values.astype(np.float32, copy=False)
    return values if values.shape == size else cv2.resize(values, size[::-1], interpolation=cv2.INTER_LINEAR)


def stored(predictor: Predictor, settings: Settings, dataset: str, score: str, sample: Sample) -> Path:
    """Where the map of a sample is kept between the two passes; another model or size has another place."""
    size = "x".join(map(str, settings.seen or ("own",)))
    run = f"{predictor.sha256[:12]}-{predictor.about.get('upsample', '')}-{settings.protocol}-{size}"
    return settings.work / run / dataset / score / f"{sample.name}.npy"


def load_or_compute(
    predictor: Predictor, settings: Settings, sample: Sample, dataset: str, size: tuple[int, ...]
) -> tuple[dict[str, np.ndarray], float | None]:
    """Maps of a sample at a size, from the files of this or an earlier run or from the model; seconds in the model."""
    if predictor.saved:
        return {
            name: resize_map(each, size) for name, each in predictor.maps(dataset, sample, np.zeros(0)).items()
        }, None
    paths = {name: stored(predictor, settings, dataset, name, sample) for name in predictor.scores}
    if all(path.is_file() and path.stat().st_mtime > sample.image.stat().st_mtime for path in paths.values()):
        return {name: np.load(path) for name, path in paths.items()}, None
    image = read_image(sample)
    if settings.seen is not None:
        image = resize_area(image, settings.seen)
    start = time.perf_counter()
    maps = predictor.maps(dataset, sample, image)
    seconds = time.perf_counter() - start
    maps = {name: resize_map(each, size) for name, each in maps.items()}
    for name, path in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial_path = path.with_suffix(".partial")
        with partial_path.open("wb") as opened:
            np.save(opened, maps[name])
        partial_path.replace(path)
    return maps, seconds


def pixel_pass(predictor: Predictor, settings: Settings, sample: Sample, dataset: str) -> PartialCounts:
    """The first pass over one frame: maps and counts of pixels."""
    label = truth(settings, sample)
    if settings.protocol == "network" and not (label == ANOMALY).any():
        return PartialCounts()
    maps, seconds = load_or_compute(predictor, settings, sample, dataset, label.shape)
    part = PartialCounts(seconds=seconds or 0.0, computed=int(seconds is not None))
    figures: dict[str, Any] = {"name": sample.name, "ap": {}}
    for name, heat in maps.items():
        binned = PixelMetric()
        binned.add(heat, label, sample.name)
        part.pixel[name] = binned
        if settings.exact:
            part.pixel[name] = ExactPixelMetric()
            part.pixel[name].add(heat, label, sample.name)
        if settings.bootstrap:
            coarse = PixelMetric(COARSE)
            coarse.merge(binned)
            part.coarse[name] = [coarse]
        ap = part.pixel[name].result()["ap"]
        figures["ap"][name] = None if math.isnan(ap) else ap
    part.frames.append(figures)
    return part


def component_pass(
    predictor: Predictor,
    settings: Settings,
    sample: Sample,
    dataset: str,
    cuts: dict[str, list[float]],
    scale: dict[str, list[float]],
    drawn: set[str],
) -> dict[str, list[ComponentMetric]]:
    """The second pass over one frame: components at the thresholds that the first one found, and its picture."""
    label = truth(settings, sample)
    maps, _ = load_or_compute(predictor, settings, sample, dataset, label.shape)
    found: dict[str, list[ComponentMetric]] = {}
    for name, heat in maps.items():
        found[name] = [ComponentMetric(cut, *DATASETS[dataset].min_sizes) for cut in cuts[name]]
        for metric in found[name]:
            metric.add(heat, label, sample.name)
    if settings.pictures is not None and sample.name in drawn:
        draw(settings.pictures / dataset, sample, label, maps, scale)
    return found


def draw(folder: Path, sample: Sample, label: np.ndarray, maps: dict[str, np.ndarray], scale: dict[str, Any]) -> None:
    """Small pictures of one frame: image (.jpg), truth and maps (.png, one byte a pixel, one scale for all frames)."""
    folder.mkdir(parents=True, exist_ok=True)
    image = read_image(sample)
    height, width = image.shape[:2]
    size = (PICTURE_WIDTH, round(PICTURE_WIDTH * height / width))
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(folder / f"{sample.name}.image.jpg"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    cv2.imwrite(str(folder / f"{sample.name}.truth.png"), resize_nearest(label, (size[1], size[0])))
    for name, heat in maps.items():
        low, high = scale[name]
        level = (heat - low) / max(high - low, 1e-12)
        small = cv2.resize(level.clip(0, 1).astype(np.float32), size, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(folder / f"{sample.name}.{name}.png"), np.round(255 * small).astype(np.uint8))


def class_pass(predictor: Predictor, settings: Settings, sample: Sample, dataset: str) -> PartialCounts:
    """Counts of classes of one frame."""
    if predictor.classes is None:
        raise InputError(
            f"{predictor.name} gives no classes, so {dataset} cannot be judged; pass a checkpoint or an .onnx"
        )
    label, image = truth(settings, sample), read_image(sample)
    if settings.seen is not None:
        image = resize_area(image, settings.seen)
    start = time.perf_counter()
    likely, sure = predictor.classes(image)
    seconds = time.perf_counter() - start
    metric = SemanticMetric(len(predictor.class_names))
    size = (label.shape[0], label.shape[1])
    metric.add(resize_nearest(likely, size), label, None if sure is None else resize_map(sure, size), sample.name)
    return PartialCounts(semantic=metric, seconds=seconds, computed=1)


def clear_cache(pool: WorkerPool, dataset: str, samples: Sequence[Sample]) -> None:
    """Remove the maps of a finished set, and the folders that are empty then."""
    for name in pool.predictor.scores:
        paths = [stored(pool.predictor, pool.settings, dataset, name, sample) for sample in samples]
        for path in paths:
            path.unlink(missing_ok=True)
        for folder in paths[0].parents[:4]:
            if not folder.is_dir() or any(folder.iterdir()):
                break
            folder.rmdir()
