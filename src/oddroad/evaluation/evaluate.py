"""Any detector over data sets: score maps first, then counts, then figures. Nothing is averaged over images."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from oddroad.concurrency import available_cores
from oddroad.datasets import DATASETS, DataSet, completeness, find_set
from oddroad.datasets.read import table
from oddroad.datasets.samples import remarks_of
from oddroad.datasets.verify import found_values
from oddroad.detection.tracking import Tracking
from oddroad.errors import InputError
from oddroad.evaluation.cache import clear, key_of, working_folder
from oddroad.evaluation.figures import anomaly_result
from oddroad.evaluation.judged import AtThreshold
from oddroad.evaluation.notes import notes_of_sequences, notes_of_set
from oddroad.evaluation.options import check_options, check_saved, check_video
from oddroad.evaluation.passes import class_pass, component_pass, pixel_pass
from oddroad.evaluation.pictures import frames_to_draw, new_pictures, put_pictures
from oddroad.evaluation.predictors import Predictor
from oddroad.evaluation.video import VideoCounts, sequences_of, video_pass
from oddroad.evaluation.workers import PartialCounts, Settings, WorkerPool
from oddroad.files import write_whole
from oddroad.io.folder_lock import FolderLock
from oddroad.roi import Roi
from oddroad.types import CITYSCAPES_CLASSES, Sample

Tell = Callable[[str, int, int], None]
"""Called with (what, frames done, frames in all)."""


def evaluate(settings: Settings, data: Sequence[str], root: Path, tell: Tell | None = None) -> Iterator[dict[str, Any]]:
    """Figures of a detector on each data set, for each score, as they become known.

    Args:
        settings: what and how.
        data: names in DATASETS, or folders below the root with a class map, each optionally with ``:split``.
        root: where the sets are; for "folder" the set itself.
        tell: called with (what, frames done, frames in all).

    Yields:
        JSON values, fractions and not percent, with ``dataset``, ``score``, ``ap``, ... and ``notes`` in words.

    Raises:
        InputError: if the model or a set cannot be used, or an option would do nothing.
    """
    if settings.protocol not in ("native", "network"):
        raise InputError(f"protocol '{settings.protocol}'; expected 'native' or 'network'")
    if not data:
        raise InputError(f"no data set given; choose from: {', '.join(DATASETS)}")
    wanted = [(find_set(root, each.partition(":")[0]), each) for each in data]
    chosen = []
    for entry, given in wanted:
        name, _, split = given.partition(":")
        chosen.append((name, split or entry.split, judged_classes(entry, entry.load(root, split or entry.split))))
    semantic = {given.partition(":")[0]: entry for entry, given in wanted if entry.task == "semantic"}
    anomaly_sets = [name for name, _, _ in chosen if name not in semantic]
    check_options(settings, anomaly_sets)
    check_video(settings, {name: samples for name, _, samples in chosen if name in anomaly_sets})
    threads = max(1, available_cores() // max(settings.workers, 1))
    predictor = settings.opener(settings.model, settings.scores, threads)
    check_saved(settings, predictor)
    deployed = {name: predictor.threshold(name, settings.threshold, settings.min_hits) for name in predictor.scores}
    own = {} if predictor.card is None else predictor.card.calibration
    tracking = Tracking.of(own, settings.min_hits, settings.max_age)
    settings = replace(settings, min_hits=tracking.min_hits, max_age=tracking.max_age)
    with contextlib.ExitStack() as stack:
        if anomaly_sets and not predictor.saved:
            folder = stack.enter_context(working_folder(settings.work, key_of(made_by(settings, predictor))))
            settings = replace(settings, work=folder)
        pool = stack.enter_context(WorkerPool(settings, predictor, threads))
        for name, split, samples in chosen:
            report = partial(tell, f"{name} {split}".strip()) if tell else lambda done, total: None
            where = {"dataset": name, "split": split, "root": str(root.resolve())}
            if name in semantic:
                yield evaluate_semantic(pool, where, semantic[name], samples, report)
            else:
                yield from evaluate_anomaly(pool, where, samples, deployed, report)


def judged_classes(entry: DataSet, samples: list[Sample]) -> list[Sample]:
    """The samples; those of a set of one's own with the classes alone judged, not outliers or what has no class."""
    if entry.own:
        samples[:] = [replace(each, lookup=table(keep=len(entry.classes))) for each in samples]
    return samples


def made_by(settings: Settings, predictor: Predictor) -> dict[str, Any]:
    """Everything beside the images that decides on the maps of a run."""
    return {
        "model": predictor.sha256,
        "name": predictor.name,
        "about": dict(predictor.about),
        "protocol": settings.protocol,
        "size": settings.seen,
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Versions of the packages that decide on the figures, of those that are installed."""
    found = {}
    for name in ("oddroad", "numpy", "opencv-python-headless", "onnxruntime"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def evaluate_anomaly(
    pool: WorkerPool,
    where: dict[str, str],
    samples: Sequence[Sample],
    deployed: dict[str, float | None],
    tell: Callable[[int, int], None],
) -> Iterator[dict[str, Any]]:
    """Results of one anomaly set, one for each score.

    Args:
        pool: the processes, with settings and model.
        where: ``dataset``, ``split`` and ``root``.
        samples: of the set.
        deployed: score -> a threshold to judge components at, beside the best one; None for none.
        tell: called with (frames done, frames in all), counting both passes.

    Raises:
        InputError: if the labels hold no anomaly or nothing else.
    """
    settings, names, dataset = pool.settings, pool.predictor.scores, where["dataset"]
    start, whole, steps = time.perf_counter(), PartialCounts(), 2 * len(samples)
    steps += sum(map(len, sequences_of(samples).values())) if settings.video else 0
    used: list[Sample] = []
    for number, (sample, part) in enumerate(zip(samples, pool.work(pixel_pass, samples, dataset), strict=True)):
        whole.merge(part)
        used += [sample] if part.frames else []
        tell(number + 1, steps)
    pixel = {name: metric.result() for name, metric in whole.pixel.items()}
    anomalies = pixel[names[0]]["anomaly_pixels"] if used else 0
    if not anomalies or anomalies == pixel[names[0]]["pixels"]:
        lacking = "an anomaly pixel" if not anomalies else "an in-distribution pixel, all valid ones are anomalies"
        values = found_values(whole.values, samples[0].lookup, dataset)
        raise InputError(f"no label of {of_set(where)} holds {lacking}; nothing can be judged: {values}")
    thresholds = {
        name: [each for each in (pixel[name]["threshold"], deployed[name]) if each is not None] for name in names
    }
    ranges = {name: whole.pixel[name].quantiles([0.05, 0.999]).tolist() for name in names}
    folder = settings.pictures / frames_folder(where) if settings.pictures is not None else None
    drawn = new_pictures(folder) if folder is not None else None
    given = thresholds, ranges, drawn, frames_to_draw(whole.frames, names)
    judged: dict[str, list[list[AtThreshold]]] = {name: [] for name in names}
    for number, found in enumerate(pool.work(component_pass, used, dataset, *given)):
        for name, parts in found.items():
            judged[name].append(parts)
        tell(len(samples) + number + 1, steps)
    sequences = sequences_of(used) if settings.video else {}
    drives: dict[str, list[list[VideoCounts]]] = {name: [] for name in names}
    for number, found in enumerate(pool.work(video_pass, list(sequences.values()), dataset, thresholds)):
        for name, parts in found.items():
            drives[name].append(parts)
        tell(2 * len(samples) + sum(map(len, list(sequences.values())[: number + 1])), steps)
    common = describe_run(pool, where, samples) | {
        "judged_images": len(used),
        "seconds": time.perf_counter() - start,
        "seconds_in_network": whole.seconds,
        "frames_computed": whole.computed,
        "saved_maps": pool.predictor.saved,
        "frames_folder": frames_folder(where),
    }
    told = notes_of_set(whole, common, samples, where)
    card = pool.predictor.card
    if card is not None and (roi := Roi.of(card.calibration)).kind != "all":
        told.append(f"objects, false alarms and drives are judged within {roi.words}, as the card says")
    if settings.video:
        told += notes_of_sequences(settings, sequences, used)
    for name in names:
        yield anomaly_result(
            settings, common, name, whole, pixel[name], list(zip(*judged[name], strict=True)),
            list(zip(*drives[name], strict=True)), [each.unit for each in used], list(sequences), told,
        )  # fmt: skip
    if folder is not None and drawn is not None:
        put_pictures(drawn, folder)
    if not pool.predictor.saved:
        clear(settings.work, dataset)


def of_set(where: dict[str, str]) -> str:
    """Name and split of a set."""
    return f"{where['dataset']} {where['split']}".strip()


def frames_folder(where: dict[str, str]) -> str:
    """The folder, beside the results, of the pictures of a set: its name, with a split that is not the usual one."""
    name, split = where["dataset"], where["split"]
    return name if split == DATASETS[name].split else f"{name}.{split.replace('/', '_')}"


def describe_run(pool: WorkerPool, where: dict[str, str], samples: Sequence[Sample]) -> dict[str, Any]:
    """What every result says about where it comes from."""
    settings, predictor = pool.settings, pool.predictor
    size = settings.seen
    published = DATASETS[where["dataset"]].counts.get(where["split"]) if where["dataset"] in DATASETS else None
    return {
        **where,
        "model": predictor.name,
        "model_file": predictor.file,
        "model_hash": predictor.sha256,
        "protocol": settings.protocol,
        "input_size": f"{size[0]}x{size[1]}" if size else "own",
        "images": len(samples),
        "published_images": published,
        "complete": published is None or published == len(samples),
        **predictor.about,
        "versions": versions(),
    }


def evaluate_semantic(
    pool: WorkerPool,
    where: dict[str, str],
    entry: DataSet,
    samples: Sequence[Sample],
    tell: Callable[[int, int], None],
) -> dict[str, Any]:
    """The result of one set of classes.

    Args:
        pool: the processes, with settings and model.
        where: ``dataset``, ``split`` and ``root``.
        entry: the set.
        samples: of the set.
        tell: called with (frames done, frames in all).

    Raises:
        InputError: if the model has other classes or none.
    """
    dataset, predictor = where["dataset"], pool.predictor
    if entry.own and entry.classes != predictor.class_names and entry.to_cityscapes is not None:
        samples = [replace(each, lookup=entry.to_cityscapes[each.lookup]) for each in samples]
        entry = replace(entry, classes=CITYSCAPES_CLASSES)
    if predictor.class_names and predictor.class_names != entry.classes:
        raise InputError(
            f"{predictor.name} knows {len(predictor.class_names)} classes ({', '.join(predictor.class_names[:3])}) "
            f"and {dataset} {len(entry.classes)} others ({', '.join(entry.classes[:3])}); choose a set with its own"
        )
    start, whole = time.perf_counter(), PartialCounts()
    for number, part in enumerate(pool.work(class_pass, samples, dataset)):
        whole.merge(part)
        tell(number + 1, len(samples))
    metric = whole.semantic
    assert metric is not None
    figures = metric.result()
    lacking = completeness(dataset, where["split"], len(samples))
    return {
        **describe_run(pool, where, samples),
        "seconds": time.perf_counter() - start,
        "seconds_in_network": whole.seconds,
        "score": "",
        **figures,
        "iou": dict(
            zip(entry.classes, (None if math.isnan(each) else each for each in metric.iou().tolist()), strict=True)
        ),
        "reliability": metric.reliability() if not math.isnan(figures["ece"]) else None,
        "notes": ([lacking] if lacking else []) + remarks_of(samples),
    }


def evaluate_to_file(
    settings: Settings, data: Sequence[str], root: Path, out: Path | None, tell: Tell | None = None
) -> list[dict[str, Any]]:
    """All results; ``out`` is written anew after each, so that it always holds every result so far, whole.

    Raises:
        InputError: see ``evaluate``; or if the file cannot be written, or another run is writing it.
    """
    results: list[dict[str, Any]] = []
    with FolderLock(out.parent, f".{out.name}.lock", f"'{out}'", "--json") if out else contextlib.nullcontext():
        for result in evaluate(settings, data, root, tell):
            results.append(plain(result))
            if out is not None:
                write_whole(out, json.dumps({"results": results}, indent=1).encode(), "results")
    return results


def plain(value: Any) -> Any:
    """JSON values without NaN and infinity, which JSON does not have: they become null."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
