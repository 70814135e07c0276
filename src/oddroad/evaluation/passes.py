"""What is done to each frame of a set: truth, maps, counts of pixels, of components and of classes, its picture."""

from __future__ import annotations

import hashlib
import math
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from oddroad.datasets import DATASETS, read_image
from oddroad.datasets.read import check_shapes, read_raw_label, same_aspect
from oddroad.errors import InputError, why
from oddroad.evaluation.cache import keep_map, load_map, map_path
from oddroad.evaluation.judged import AtThreshold, Truth
from oddroad.evaluation.predictors import Predictor
from oddroad.evaluation.workers import PartialCounts, Settings
from oddroad.io.images import resize_area, resize_nearest, write_image
from oddroad.metrics import ComponentMetric, ExactPixelMetric, PixelMetric, SemanticMetric
from oddroad.metrics.intervals import COARSE
from oddroad.regions import InDistribution
from oddroad.roi import Roi
from oddroad.types import ANOMALY, IGNORE, Sample

PICTURE_WIDTH = 480
"""Width of the kept pictures of frames, pixels."""

MOST = 1e30
"""Scores beyond this are drawn as this: infinite ones are scores, but no ends of a range."""

MATTERS = 1e-4
"""Difference of a frame's AP in float32 and in float64 from which on it is said."""


def read_truth(settings: Settings, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """The label (H, W) uint8 of a sample at the size of the protocol, and the label image (h, w) uint8 as stored."""
    raw = read_raw_label(sample)
    label = sample.lookup[raw]
    size = settings.seen if settings.protocol == "network" and settings.seen else sample.size
    return label if size is None else resize_nearest(label, size), raw


def stored_shape(sample: Sample, image: np.ndarray, raw: np.ndarray) -> tuple[int, ...]:
    """(H, W) of a label, for the check of shapes: as stored, or the image's where both are brought to one size."""
    return image.shape[:2] if sample.size is not None else raw.shape


def resize_map(values: np.ndarray, size: tuple[int, ...], name: str, double: bool = False) -> np.ndarray:
    """A map (h, w) at another size (H, W), bilinear; float32, or with ``double`` float64 where it is float64.

    Raises:
        InputError: if it holds NaN, or is to be resized and holds infinities, between which nothing can be computed.
    """
    if np.isnan(values).any():
        count = int(np.isnan(values).sum())
        raise InputError(f"the score map of frame '{name}' holds {count} NaN; a score must be a number at every pixel")
    if not (double and values.dtype == np.float64):
        with np.errstate(over="ignore"):
            rounded = values.astype(np.float32, copy=False)
        if not np.isfinite(rounded).all() and np.isfinite(values).all():
            raise InputError(
                f"the score map of frame '{name}' holds {values.dtype} beyond float32, which only --exact ranks"
            )
        values = rounded
    if values.shape == tuple(size):
        return values
    if not np.isfinite(values).all():
        raise InputError(
            f"the score map of frame '{name}' of {values.shape[0]} x {values.shape[1]} holds infinite values and is to "
            f"be resized to {size[0]} x {size[1]}; save finite scores, or maps of that size"
        )
    return cv2.resize(values, size[::-1], interpolation=cv2.INTER_LINEAR)


def network_input(settings: Settings, image: np.ndarray) -> np.ndarray:
    """An image (H, W, 3) as the network sees it."""
    return image if settings.seen is None else resize_area(image, settings.seen)


def load_or_compute(
    predictor: Predictor,
    settings: Settings,
    sample: Sample,
    dataset: str,
    size: tuple[int, ...],
    raw: np.ndarray | None = None,
) -> tuple[dict[str, np.ndarray], float | None]:
    """Maps of a sample: saved ones as they are, others at a size, from this or an interrupted run or from the model.

    Args:
        predictor: gives the maps.
        settings: how.
        sample: the frame.
        dataset: name of its set.
        size: (H, W) of the label at the size of the protocol.
        raw: (h, w) the label as stored, for the check of shapes; None leaves that out.

    Returns:
        score -> (H, W) float32, saved maps in their own shape and type; and seconds in the model, None if it did not
        run.

    Raises:
        InputError: if the shapes of image, label and map do not belong together, or something cannot be read.
    """
    paths: dict[str, Path] = {}
    if not predictor.saved:
        paths = {name: map_path(settings.work, dataset, name, sample, size) for name in predictor.scores}
        kept = {name: load_map(path, size) for name, path in paths.items()}
        if raw is None or all(each is not None for each in kept.values()):
            found = {name: each for name, each in kept.items() if each is not None}
            if len(found) == len(paths):
                return found, None
    image = np.zeros(0) if predictor.saved and raw is None else read_image(sample)
    given = image if predictor.saved else network_input(settings, image)
    start = time.perf_counter()
    maps = predictor.maps(dataset, sample, given)
    seconds = time.perf_counter() - start
    if raw is not None:
        label = stored_shape(sample, image, raw)
        for heat in maps.values():
            squashed = settings.seen is not None and same_aspect(heat.shape, settings.seen)
            check_shapes(sample, image.shape[:2], label, None if squashed else heat.shape)
    if predictor.saved:
        return maps, None
    maps = {name: resize_map(each, size, sample.name) for name, each in maps.items()}
    for name, path in paths.items():
        keep_map(path, maps[name])
    return maps, seconds


def region_of_interest(
    predictor: Predictor, settings: Settings, sample: Sample, dataset: str, size: tuple[int, ...]
) -> np.ndarray | None:
    """The pixels (H, W) bool within which ``detect`` looks, as the card says; None for the whole picture.

    A road is found by another run of the network, whose answer is kept with the maps.

    Args:
        predictor: with its card.
        settings: how.
        sample: the frame.
        dataset: name of its set.
        size: (H, W) of the label at the size of the protocol.

    Raises:
        InputError: if a mask has another aspect than the picture, or the file gives no classes.
    """
    roi = Roi() if predictor.card is None else Roi.of(predictor.card.calibration)
    if roi.kind != "road":
        return roi.inside((size[0], size[1]))
    path = map_path(settings.work, dataset, "roi", sample, size)
    if (kept := load_map(path, size)) is None:
        assert predictor.classes is not None
        likely, _ = predictor.classes(network_input(settings, read_image(sample)))
        kept = roi.inside((size[0], size[1]), resize_nearest(likely, (size[0], size[1])), predictor.class_names)
        assert kept is not None
        keep_map(path, kept)
    return kept


def pixel_pass(predictor: Predictor, settings: Settings, sample: Sample, dataset: str) -> PartialCounts:
    """The first pass over one frame: maps and counts of pixels."""
    label, raw = read_truth(settings, sample)
    part = PartialCounts(values=np.bincount(raw.ravel(), minlength=256))
    anomalies = int((label == ANOMALY).sum())
    if settings.protocol == "network" and not anomalies:
        return part
    maps, seconds = load_or_compute(predictor, settings, sample, dataset, label.shape, raw)
    part.seconds, part.computed = seconds or 0.0, int(seconds is not None)
    valid = int((label != IGNORE).sum())
    part.empty, part.full = [sample.name] * (valid == 0), [sample.name] * (0 < valid == anomalies)
    figures: dict[str, Any] = {"name": sample.name, "ap": {}}
    for name, values in maps.items():
        if settings.exact:
            part.pixel[name] = ExactPixelMetric()
            part.pixel[name].add(resize_map(values, label.shape, sample.name, double=True), label, sample.name)
        if not settings.exact or settings.intervals:
            binned = PixelMetric()
            ranked = within_float32(values) if settings.exact else values
            binned.add(resize_map(ranked, label.shape, sample.name), label, sample.name)
            part.pixel.setdefault(name, binned)
            if settings.intervals:
                coarse = PixelMetric(COARSE)
                coarse.merge(binned)
                part.coarse[name] = [coarse]
            if settings.exact and values.dtype == np.float64:
                single, double = binned.result()["ap"], part.pixel[name].result()["ap"]
                part.rounded[name] = [(sample.name, single, double)] if abs(single - double) > MATTERS else []
        ap = part.pixel[name].result()["ap"]
        figures["ap"][name] = None if math.isnan(ap) else ap
        if predictor.saved:
            part.hashes[name] = [hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()]
            if not settings.exact and (doubtful := rounding(values, label, sample.name, ap)):
                part.rounded[name] = [doubtful]
    part.frames.append(figures)
    return part


def within_float32(values: np.ndarray) -> np.ndarray:
    """A float64 map with finite scores beyond float32 at its ends, which intervals can do with."""
    if values.dtype != np.float64:
        return values
    most = np.finfo(np.float32).max
    return np.where(np.isfinite(values), values.clip(-most, most), values)


def rounding(values: np.ndarray, label: np.ndarray, name: str, ap: float) -> tuple[str, float, float] | None:
    """What float32 costs a float64 map (h, w): (frame, AP in float32, AP in float64) where it matters, or None."""
    if values.dtype != np.float64 or math.isnan(ap) or (values.astype(np.float32) == values).all():
        return None
    metric = ExactPixelMetric()
    metric.add(resize_map(values, label.shape, name, double=True), label, name)
    double = metric.result()["ap"]
    return (name, ap, double) if abs(double - ap) > MATTERS else None


def component_pass(
    predictor: Predictor,
    settings: Settings,
    sample: Sample,
    dataset: str,
    thresholds: dict[str, list[float]],
    display_ranges: dict[str, list[float]],
    folder: Path | None,
    drawn: set[str],
) -> dict[str, list[AtThreshold]]:
    """The second pass over one frame: components and objects at some thresholds, and its picture.

    Args:
        predictor: gives the maps.
        settings: how.
        sample: the frame.
        dataset: name of its set.
        thresholds: score -> thresholds, counts are made for each.
        display_ranges: score -> lowest and highest score of the pictures, the same for all frames.
        folder: for the pictures, or None.
        drawn: names of the frames to draw.
    """
    label, _ = read_truth(settings, sample)
    maps, _ = load_or_compute(predictor, settings, sample, dataset, label.shape)
    maps = {name: resize_map(each, label.shape, sample.name, double=settings.exact) for name, each in maps.items()}
    sizes, card = DATASETS[dataset].min_sizes, predictor.card
    truth, roi = Truth.of(label, sizes[1]), region_of_interest(predictor, settings, sample, dataset, label.shape)
    least = None if card is None else card.calibration.get("min_area")
    found: dict[str, list[AtThreshold]] = {}
    for name, heat in maps.items():
        in_distribution = InDistribution.of(card, name) if card is not None else None
        found[name] = [AtThreshold(ComponentMetric(each, *sizes)) for each in thresholds[name]]
        for counts in found[name]:
            counts.add(heat, label, truth, in_distribution, sample.name, roi, least)
    if folder is not None and sample.name in drawn:
        draw(folder, sample, label, maps, display_ranges)
    return found


def draw(
    folder: Path, sample: Sample, label: np.ndarray, maps: dict[str, np.ndarray], display_ranges: dict[str, list[float]]
) -> None:
    """Small pictures of one frame: image (.jpg), truth and maps (.png, one byte a pixel, one range for all frames).

    Args:
        folder: where to.
        sample: the frame.
        label: (H, W) uint8 with KNOWN, ANOMALY and IGNORE.
        maps: score -> (H, W) float.
        display_ranges: score -> the score drawn as 0 and the one drawn as 255.
    """
    image = read_image(sample)
    height, width = image.shape[:2]
    size = (PICTURE_WIDTH, max(round(PICTURE_WIDTH * height / width), 1))
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    pictures = {"image.jpg": image, "truth.png": resize_nearest(label, (size[1], size[0]))}
    for name, heat in maps.items():
        low, high = np.clip(display_ranges[name], -MOST, MOST)
        level = (heat.clip(low, high) - low) / (high - low) if high > low else np.zeros(heat.shape)
        small = cv2.resize(level.clip(0, 1).astype(np.float32), size, interpolation=cv2.INTER_AREA)
        pictures[f"{name.replace('/', '_')}.png"] = np.round(255 * small).astype(np.uint8)
    try:
        for ending, picture in pictures.items():
            write_image(folder / f"{sample.name}.{ending}", picture)
    except OSError as error:
        raise InputError(
            f"cannot write pictures to '{folder.parent}': {why(error)}; earlier results are kept"
        ) from None


def class_pass(predictor: Predictor, settings: Settings, sample: Sample, dataset: str) -> PartialCounts:
    """Counts of classes of one frame."""
    if predictor.classes is None:
        raise InputError(
            f"{predictor.name} gives no classes, so {dataset} cannot be judged; pass a checkpoint or an .onnx"
        )
    label, raw = read_truth(settings, sample)
    image = read_image(sample)
    check_shapes(sample, image.shape[:2], stored_shape(sample, image, raw), None)
    given = network_input(settings, image)
    start = time.perf_counter()
    likely, sure = predictor.classes(given)
    seconds = time.perf_counter() - start
    metric = SemanticMetric(len(predictor.class_names))
    size = (label.shape[0], label.shape[1])
    confidence = None if sure is None else resize_map(sure, size, sample.name)
    metric.add(resize_nearest(likely, size), label, confidence, sample.name)
    return PartialCounts(semantic=metric, seconds=seconds, computed=1)
