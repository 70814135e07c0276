"""Any detector over data sets: score maps first, then counts, then figures. Nothing is averaged over images."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from oddroad.concurrency import available_cores
from oddroad.datasets import DATASETS, completeness
from oddroad.errors import InputError, pick
from oddroad.evaluation.workers import (
    PartialCounts,
    Settings,
    WorkerPool,
    class_pass,
    clear_cache,
    component_pass,
    pixel_pass,
)
from oddroad.metrics import ComponentMetric
from oddroad.metrics.bootstrap import intervals
from oddroad.types import Sample

NO_INFORMATION = "this score carries no information here: its AP is not above the prevalence"


MOST_PICTURES = 100


def evaluate(
    settings: Settings, data: Sequence[str], root: Path, tell: Callable[[str, int, int], None] | None = None
) -> Iterator[dict[str, Any]]:
    """Figures of a detector on each data set, for each score, as they become known.

    Args:
        settings: what and how.
        data: names in DATASETS, each optionally with ``:split``.
        root: where the sets are; for "folder" the set itself.
        tell: called with (what, frames done, frames in all).

    Yields:
        JSON values, fractions and not percent, with ``dataset``, ``score``, ``ap``, ... and ``notes`` in words.

    Raises:
        InputError: if the model or a set cannot be used.
    """
    if settings.protocol not in ("native", "network"):
        raise InputError(f"protocol '{settings.protocol}'; expected 'native' or 'network'")
    if not data:
        raise InputError(f"no data set given; choose from: {', '.join(DATASETS)}")
    chosen = []
    for given in data:
        name, _, split = given.partition(":")
        entry = pick(DATASETS, name, "data set")
        chosen.append((name, split or entry.split, entry.load(root, split or entry.split)))
    cores = available_cores()
    threads = max(1, cores // max(settings.workers, 1))
    predictor = settings.opener(settings.model, settings.scores, threads)
    with WorkerPool(settings, predictor, threads) as pool:
        for name, split, samples in chosen:
            telling = partial(tell, f"{name} {split}".strip()) if tell else lambda done, total: None
            judge = evaluate_semantic if DATASETS[name].task == "semantic" else evaluate_anomaly
            yield from judge(pool, name, split, samples, telling)


def evaluate_anomaly(
    pool: WorkerPool, dataset: str, split: str, samples: Sequence[Sample], tell: Callable[[int, int], None]
) -> Iterator[dict[str, Any]]:
    """Results of one anomaly set, one for each score."""
    settings, names = pool.settings, pool.predictor.scores
    start, whole, steps = time.perf_counter(), PartialCounts(), 2 * len(samples)
    used: list[Sample] = []
    for number, (sample, part) in enumerate(zip(samples, pool.work(pixel_pass, samples, dataset), strict=True)):
        whole.merge(part)
        used += [sample] if part.frames else []
        tell(number + 1, steps)
    if not used or not whole.pixel[names[0]].result()["anomaly_pixels"]:
        raise InputError(f"no label of {f'{dataset} {split}'.strip()} holds an anomaly pixel; nothing can be judged")
    pixel = {name: whole.pixel[name].result() for name in names}
    deployed = {
        name: pool.predictor.thresholds.get(name) if settings.threshold is None else settings.threshold
        for name in names
    }
    cuts = {name: [each for each in (pixel[name]["threshold"], deployed[name]) if each is not None] for name in names}
    scale = {name: whole.pixel[name].quantiles([0.05, 0.999]).tolist() for name in names}
    drawn = chosen_frames(whole.frames, names)
    metrics: dict[str, list[ComponentMetric]] = {}
    for number, found in enumerate(pool.work(component_pass, used, dataset, cuts, scale, drawn)):
        for name, parts in found.items():
            for mine, theirs in zip(metrics.setdefault(name, parts), parts, strict=True):
                if mine is not theirs:
                    mine.merge(theirs)
        tell(len(samples) + number + 1, steps)
    common = describe_run(pool, dataset, split, samples) | {
        "judged_images": len(used),
        "seconds": time.perf_counter() - start,
        "seconds_in_network": whole.seconds,
        "frames_computed": whole.computed,
        "saved_maps": pool.predictor.saved,
    }
    for name in names:
        yield anomaly_result(settings, common, dataset, name, whole, pixel[name], metrics[name])
    clear_cache(pool, dataset, used)


def describe_run(pool: WorkerPool, dataset: str, split: str, samples: Sequence[Sample]) -> dict[str, Any]:
    """What every result says about where it comes from."""
    settings, predictor = pool.settings, pool.predictor
    size = settings.seen
    published = DATASETS[dataset].counts.get(split)
    return {
        "dataset": dataset,
        "split": split,
        "model": predictor.name,
        "model_hash": predictor.sha256,
        "protocol": settings.protocol,
        "input_size": f"{size[0]}x{size[1]}" if size else "own",
        "images": len(samples),
        "published_images": published,
        "complete": published is None or published == len(samples),
        **predictor.about,
        "versions": {name: version(name) for name in ("oddroad", "numpy", "opencv-python-headless", "onnxruntime")},
    }


def anomaly_result(
    settings: Settings,
    common: dict[str, Any],
    dataset: str,
    name: str,
    whole: PartialCounts,
    pixel: dict[str, float],
    components: list[ComponentMetric],
) -> dict[str, Any]:
    """The JSON object of one data set and score."""
    best, *deployed = components
    notes = []
    if lacking := completeness(dataset, common["split"], common["images"]):
        notes.append(lacking)
    if pixel["ap"] <= pixel["prevalence"] * (1 + 1e-6):
        notes.append(NO_INFORMATION)
    if pixel["ap_error"] > 1e-4:
        notes.append(f"AP is proven to {pixel['ap_error']:.1e} only; --exact removes the doubt")
    if not common["saved_maps"] and common["frames_computed"] < common["judged_images"]:
        notes.append("went on from an interrupted run; the seconds do not count its frames")
    result = {
        **common,
        "score": name,
        **pixel,
        **best.result(),
        "min_sizes": [best.min_predicted, best.min_truth],
        "exact": settings.exact,
        "notes": notes,
        "frames": [{"name": each["name"], "ap": each["ap"][name]} for each in whole.frames],
        "curve": whole.pixel[name].ranking().curve(),
    }
    for metric in deployed:
        result["deployed"] = {"threshold": float(metric.threshold), **metric.result()}
    if settings.bootstrap:
        result["intervals"] = intervals(whole.coarse[name], settings.bootstrap)
        result["bootstrap"] = settings.bootstrap
    return result


def evaluate_semantic(
    pool: WorkerPool, dataset: str, split: str, samples: Sequence[Sample], tell: Callable[[int, int], None]
) -> Iterator[dict[str, Any]]:
    """The result of one set of known classes."""
    entry, predictor = DATASETS[dataset], pool.predictor
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
    lacking = completeness(dataset, split, len(samples))
    yield {
        **describe_run(pool, dataset, split, samples),
        "seconds": time.perf_counter() - start,
        "seconds_in_network": whole.seconds,
        "score": "",
        **figures,
        "iou": dict(
            zip(entry.classes, (None if math.isnan(each) else each for each in metric.iou().tolist()), strict=True)
        ),
        "reliability": metric.reliability() if not math.isnan(figures["ece"]) else None,
        "notes": [lacking] if lacking else [],
    }


def evaluate_to_file(
    settings: Settings,
    data: Sequence[str],
    root: Path,
    out: Path | None,
    tell: Callable[[str, int, int], None] = lambda *_: None,
) -> list[dict[str, Any]]:
    """All results; ``out`` is written anew after each, so it always holds what is known.

    Args:
        settings: how to judge.
        data: names of data sets, each optionally with its split.
        root: folder at or below which the sets lie.
        out: JSON file, or None.
        tell: called with what is done, how much of it, and of how much.
    """
    results: list[dict[str, Any]] = []
    for result in evaluate(settings, data, root, tell):
        results.append(plain(result))
        if out is not None:
            out.parent.mkdir(parents=True, exist_ok=True)
            partial_out = out.with_name(out.name + ".partial")
            partial_out.write_text(json.dumps({"results": results}, indent=1))
            partial_out.replace(out)
    return results


def table(results: Sequence[dict[str, Any]]) -> str:
    """Results as text: percent, a line each, the notes below."""

    def percent(result: dict[str, Any], key: str) -> str:
        value = result.get(key)
        if value is None or math.isnan(value):
            return "-"
        low, high = result.get("intervals", {}).get(key, (None, None))
        return f"{100 * value:.2f}" + (f" [{100 * low:.1f}, {100 * high:.1f}]" if low is not None else "")

    anomaly = ("ap", "fpr95", "auroc", "prevalence", "f1", "siou", "ppv", "f1_star")
    heads = {"ap": "AP", "fpr95": "FPR95", "auroc": "AUROC", "f1": "F1", "siou": "sIoU", "ppv": "PPV", "f1_star": "F1*"}
    lines: list[str] = []
    for keys, first in ((anomaly, "ap"), (("miou", "accuracy", "ece"), "miou")):
        rows = [each for each in results if first in each]
        if not rows:
            continue
        cells = [["data set", "score", "images", "input", *(heads.get(key, key) for key in keys)]]
        for each in rows:
            cells.append(
                [
                    each["dataset"],
                    each["score"],
                    str(each["images"]),
                    each["input_size"],
                    *(percent(each, k) for k in keys),
                ]
            )
        widths = [max(len(row[at]) for row in cells) for at in range(len(cells[0]))]
        lines += [
            "  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip() for row in cells
        ]
    protocols = sorted({f"protocol {each['protocol']}" for each in results})
    lines.append(f"percent; {', '.join(protocols)}; best threshold for F1, sIoU, PPV and F1*")
    lines += [f"{each['dataset']} {each['score']}: {note}" for each in results for note in each["notes"]]
    return "\n".join(lines)


def plain(value: Any) -> Any:
    """JSON values without NaN and infinity, which JSON does not have: they become null."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def chosen_frames(frames: Sequence[dict[str, Any]], scores: Sequence[str]) -> set[str]:
    """Names of the frames to draw: evenly spread ones, and the best, median and worst of each score."""
    even = np.unique(np.linspace(0, len(frames) - 1, min(len(frames), MOST_PICTURES)).astype(int))
    chosen = {frames[at]["name"] for at in even}
    for score in scores:
        ranked = sorted((each for each in frames if each["ap"][score] is not None), key=lambda each: each["ap"][score])
        chosen |= {ranked[at]["name"] for at in (0, len(ranked) // 2, -1) if ranked}
    return chosen
