"""How often 95 % intervals of AP and FPR95 cover: ten methods, on sets whose own figures are known.

    python runs/interval_study.py DATA --out STUDY           # populations, then coverage; goes on where it stopped
    python runs/interval_study.py DATA --out STUDY --table   # the tables of docs/research/intervals.md

A population is the counts of pixels of each image of a set under the embedded detector; n of its images are drawn with
replacement, and the truth is the figure of all. Two more have a law that is written down here and are drawn anew. The
benchmarks are measured on only; nothing but this choice of a statistical method looks at them. ``STUDY/rows.jsonl``
gets a line for each 50 repetitions.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

from oddroad.datasets import DATASETS, read_image
from oddroad.datasets.read import read_raw_label
from oddroad.inference.model import Model
from oddroad.metrics import ComponentMetric, PixelMetric
from oddroad.metrics.component import COMPONENT_FIGURES
from oddroad.metrics.intervals import (
    COARSE,
    LeftOut,
    aligned,
    degrees_of_freedom,
    expit,
    interval,
    leave_one_out_counts,
    logit,
    merged,
    paired_difference,
    spread,
)
from oddroad.types import ANOMALY, IGNORE, KNOWN, OUTLIER

Rng = np.random.Generator
BINS = 300
"""Bins that the study counts in, each with about as many pixels of both kinds; population and draws alike."""
RESAMPLES = 200
DOUBLE = (100, 50)
"""Resamples of the calibrated bootstrap, and of each of those."""
BLOCK = 50
"""Repetitions to a line of the file."""
PRECISE = 2000
"""Repetitions of the chosen method alone."""
FIGURES = ("ap", "fpr95")
SIZES = (10, 30, 100)
REAL = ("road_anomaly", "road_obstacle21", "small", "sharp")
LAWS = {"heavy": (1.0, 0.8, 0.3, 0.0), "sparse": (1.5, 1.0, 0.4, 0.4)}
"""Deviations of log anomaly size, of the anomaly's and of the scene's level, and share of images without an anomaly."""
LEVELS = np.linspace(-6, 9, BINS + 1)
DRIVES, FRAMES = 60, 8
"""Rendered drives, and frames of each, for the sequences."""


# Populations


def benchmark(data: Path, name: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Images and labels of a benchmark."""
    for sample in DATASETS[name].load(data, DATASETS[name].split):
        yield read_image(sample), sample.lookup[read_raw_label(sample)]


def pasted(data: Path, name: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Held-out objects on 150 small validation scenes, or on full-size scenes and frames of a drive."""
    from oddroad.learn.data.sharp_scenes import sharp_scenes
    from oddroad.learn.data.validation import Validation

    small = name == "small"
    scenes = 150 if small else sharp_scenes(data, 24)
    sets = Validation(data, (("coco128-seg", 1.0),), scenes, (512, 1024), sets=("cityscapes_small",))
    for index in range(len(sets)):
        image, label = sets[index]
        truth = label.numpy()
        odd = np.where(truth == OUTLIER, ANOMALY, np.where(truth == IGNORE, IGNORE, KNOWN)).astype(np.uint8)
        yield np.ascontiguousarray(image.permute(1, 2, 0).numpy()), odd


def rendered() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Frames of rendered drives, one drive after the other."""
    from oddroad.synthetic.scenes import drive

    for seed in range(1000, 1000 + DRIVES):
        for frame in drive(seed=seed, frames=FRAMES):
            assert frame.label is not None
            yield frame.image, frame.label


def blurred(image: np.ndarray) -> np.ndarray:
    """What a camera of 192 rows sees, at the size of the image: a weaker detector to compare with."""
    rows = 192
    small = cv2.resize(image, (round(image.shape[1] * rows / image.shape[0]), rows), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def stacked(frames: list[PixelMetric]) -> np.ndarray:
    """(n, 2, K) counts of in-distribution and anomaly pixels of each frame, the highest scores first."""
    whole = PixelMetric(COARSE)
    for frame in frames:
        whole.merge(frame)
    keys = np.concatenate([whole.lowest, whole.ties])
    found = np.zeros((len(frames), 2, len(keys)))
    shift, ties = np.uint32(whole.shift), len(whole.lowest)
    for number, frame in enumerate(frames):
        moved = aligned(frame, whole)
        found[number][:, np.searchsorted(whole.lowest >> shift, moved.lowest >> shift)] += moved.counts
        found[number][:, ties + np.searchsorted(whole.ties, moved.ties)] += moved.tie_counts
    return rebinned(found[:, :, np.argsort(keys, kind="stable")[::-1]])


def rebinned(counts: np.ndarray) -> np.ndarray:
    """(n, 2, K) in about BINS bins that hold as many pixels of both kinds together."""
    shares = counts.sum(0)
    share = np.cumsum((shares / shares.sum(1, keepdims=True)).mean(0))
    starts = np.unique(np.floor(share * BINS - 1e-9), return_index=True)[1]
    return np.add.reduceat(counts, starts, axis=2)


def population(data: Path, out: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """(n, 2, K) counts of each image under the detector, and under the detector with blurred images; kept in a file."""
    path = out / f"{name}.npz"
    if not path.is_file():
        detector = Model("default", threads=1)
        frames: tuple[list[PixelMetric], list[PixelMetric]] = [], []
        source = rendered() if name == "drives" else (benchmark if name.startswith("road_") else pasted)(data, name)
        for image, label in source:
            for found, seen in zip(frames, (image, blurred(image)), strict=True):
                heat = detector(seen)
                if heat.shape != label.shape:
                    heat = cv2.resize(heat, label.shape[::-1], interpolation=cv2.INTER_LINEAR)
                found.append(PixelMetric(COARSE))
                found[-1].add(heat, label)
        np.savez_compressed(path, one=stacked(frames[0]), other=stacked(frames[1]))
    kept = np.load(path)
    return kept["one"], kept["other"]


def drawn_law(rng: Rng, count: int, name: str, level: float = 1.0, kept: Rng | None = None) -> np.ndarray:
    """(n, 2, K) expected counts of images of a law; with ``kept`` the levels are drawn from that generator."""
    size, anomaly, scene, empty = LAWS[name]
    pixels = np.round(np.exp(rng.normal(6, size, count))) * (rng.random(count) >= empty)
    own = kept or rng
    heights = own.normal(2.5 * level, anomaly, count)[:, None], own.normal(0, scene, count)[:, None]
    odd, calm = (np.diff(ndtr(LEVELS - each), axis=1)[:, ::-1] for each in heights)
    return np.stack([20000 * calm, pixels[:, None] * odd], 1)


def true_law(name: str) -> np.ndarray:
    """(1, 2, K) expected counts of a law."""
    _, anomaly, scene, _ = LAWS[name]
    shares = [np.diff(ndtr((LEVELS - 2.5 * odd) / np.hypot(1, wide)))[::-1] for odd, wide in ((0, scene), (1, anomaly))]
    size, _, _, empty = LAWS[name]
    return np.stack([20000 * shares[0], np.exp(6 + size**2 / 2) * (1 - empty) * shares[1]])[None]


# Figures of many sums of counts at once


def figures(sums: np.ndarray) -> np.ndarray:
    """AP and FPR95 (R, 2) of counts (R, 2, K); NaN without an anomaly. Inside a bin both kinds are evenly spread."""
    normal, anomalous = sums[:, 0], sums[:, 1]
    found, false = anomalous.cumsum(1), normal.cumsum(1)
    with np.errstate(all="ignore"):
        middle = found - anomalous / 2
        below = middle + false - normal / 2
        ap = (anomalous * middle / np.where(below > 0, below, 1)).sum(1) / found[:, -1]
        wanted = 0.95 * found[:, -1]
        at, row = (found >= wanted[:, None] * (1 - 1e-12)).argmax(1), np.arange(len(sums))
        passed = (wanted - found[row, at] + anomalous[row, at]) / anomalous[row, at]
        fpr95 = (false[row, at] - normal[row, at] * (1 - passed)) / false[:, -1]
    return np.stack([ap, fpr95], 1)


def left_out_of(counts: np.ndarray, units: np.ndarray | None = None) -> LeftOut:
    """The figures of counts (n, 2, K) with each image, or each unit of images, left out."""
    if units is not None:
        counts = np.stack([counts[units == each].sum(0) for each in np.unique(units)])
    values = figures(counts.sum(0)[None] - counts)
    sizes = counts.sum(2)
    degrees = min(degrees_of_freedom(sizes[:, kind]) for kind in (0, 1))
    names = tuple(map(str, range(len(counts))))
    found = dict(zip(FIGURES, values.T, strict=True))
    steps = dict.fromkeys(FIGURES, 1 / int(sizes.sum()))
    return LeftOut(names, found, dict.fromkeys(FIGURES, degrees), steps)


# Methods


def resampled(counts: np.ndarray, rng: Rng, resamples: int) -> tuple[np.ndarray, np.ndarray]:
    """How often each image is drawn (R, n), and the figures (R, 2)."""
    count = len(counts)
    weights = rng.multinomial(count, np.full(count, 1 / count), resamples).astype(float)
    return weights, figures((weights @ counts.reshape(count, -1)).reshape(resamples, 2, -1))


def percentile(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Two percentiles of the values that are numbers."""
    low, high = np.nanpercentile(values, [50 - 50 * level, 50 + 50 * level])
    return float(low), float(high)


def bca(value: float, values: np.ndarray, without: np.ndarray) -> tuple[float, float]:
    """Bias-corrected and accelerated percentiles."""
    values = values[~np.isnan(values)]
    bias = ndtri(np.clip((values < value).mean(), 1 / len(values), 1 - 1 / len(values)))
    apart = without.mean() - without
    skew = (apart**3).sum() / (6 * (apart**2).sum() ** 1.5 + 1e-300)
    low, high = (bias + each for each in (ndtri(0.025), ndtri(0.975)))
    share = [100 * float(ndtr(bias + each / (1 - skew * each))) for each in (low, high)]
    return tuple(np.percentile(values, share).tolist())


def studentised(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The jackknife's standard error on the logit (R, 2) of each resample."""
    step, found = 1 / int(counts.sum()), np.full((len(weights), 2), np.nan)
    for number, weight in enumerate(weights):
        chosen = np.flatnonzero(weight)
        own, times = counts[chosen], weight[chosen]
        values = logit(figures(np.tensordot(times, own, 1)[None] - own), step)
        mean = times @ values / times.sum()
        found[number] = np.sqrt(times @ (values - mean) ** 2 * (times.sum() - 1) / times.sum())
    return found


def calibrated(counts: np.ndarray, value: np.ndarray, rng: Rng) -> list[tuple[float, float]]:
    """Percentile intervals at the level whose own resamples cover the sample's value in 95 % (double bootstrap)."""
    outer, inner = DOUBLE
    weights, values = resampled(counts, rng, outer)
    ranks = np.full((outer, 2), np.nan)
    for number, weight in enumerate(weights):
        again = counts[np.repeat(np.arange(len(counts)), weight.astype(int))]
        below = resampled(again, rng, inner)[1]
        ranks[number] = np.abs(2 * (np.nan_to_num(below, nan=-1) < value).mean(0) - 1)
    levels = np.nanpercentile(ranks, 95, axis=0).clip(0.95, 1)
    more = resampled(counts, rng, 2 * RESAMPLES)[1]
    return [percentile(np.concatenate([values[:, at], more[:, at]]), float(levels[at])) for at in (0, 1)]


def skewed(middle: float, error: float, values: np.ndarray, quantile: float) -> tuple[float, float]:
    """Hall's transformation of the t statistic by the skewness of the pseudo-values, ends as fractions."""
    pseudo = values.mean() - values
    skew = (pseudo**3).mean() / ((pseudo**2).mean() ** 1.5 + 1e-300) / np.sqrt(len(values))

    def inverse(end: float) -> float:
        return float(3 * (np.cbrt(1 + skew * (end - skew / 6)) - 1) / skew) if abs(skew) > 1e-6 else end

    low, high = inverse(quantile), inverse(-quantile)
    return float(expit(np.array(middle - low * error))), float(expit(np.array(middle - high * error)))


def kurtosis_degrees(values: np.ndarray) -> float:
    """Degrees of freedom from the fourth moment of the pseudo-values."""
    count, apart = len(values), values - values.mean()
    peak = (apart**4).mean() / ((apart**2).mean() ** 2 + 1e-300)
    return float(np.clip(2 * count / max(peak - (count - 3) / (count - 1), 1e-9), 1, count - 1))


def all_intervals(counts: np.ndarray, rng: Rng) -> tuple[dict[str, list[tuple[float, float]]], dict[str, float]]:
    """Method -> intervals of AP and FPR95, and method -> seconds."""
    found: dict[str, list[tuple[float, float]]] = {}
    clock: dict[str, float] = {}

    def put(name: str, make: Callable[[int], tuple[float, float]], start: float) -> None:
        found[name] = [make(at) for at in (0, 1)]
        clock[name] = time.perf_counter() - start

    start = time.perf_counter()
    value, count = figures(counts.sum(0)[None])[0], len(counts)
    whole = left_out_of(counts)
    step = whole.steps[FIGURES[0]]
    without = np.stack([whole.figures[each] for each in FIGURES], 1)
    lost = np.isnan(without).any()
    logits, middle = logit(without, step), logit(value, step)
    errors = [spread(logits[:, at]) for at in (0, 1)]
    jackknife = time.perf_counter() - start

    def by_t(at: int, degrees: float) -> tuple[float, float]:
        half = float(stdtrit(max(degrees, 1.0), 0.975)) * errors[at]
        return float(expit(middle[at] - half)), float(expit(middle[at] + half))

    start = time.perf_counter() - jackknife
    put("jackknife, plain", lambda at: tuple(
        value[at] + sign * float(stdtrit(count - 1, 0.975)) * spread(without[:, at]) for sign in (-1, 1)
    ), start)  # fmt: skip
    put("jackknife, logit", lambda at: by_t(at, count - 1), start)
    worth = min(1 / ((sizes / sizes.sum()) ** 2).sum() - 1 for sizes in counts.sum(2).T)
    put("logit, Kish", lambda at: by_t(at, max(worth, 2)), start)
    put("logit, kurtosis", lambda at: by_t(at, kurtosis_degrees(logits[:, at])), start)
    quantile = float(stdtrit(count - 1, 0.975))
    put("logit, skewness", lambda at: skewed(float(middle[at]), errors[at], logits[:, at], quantile), start)
    put("logit, Bell-McCaffrey", lambda at: by_t(at, whole.degrees[FIGURES[at]]), start)
    put("chosen", lambda at: interval(float(value[at]), whole, FIGURES[at]), start)
    start = time.perf_counter()
    weights, values = resampled(counts, rng, RESAMPLES)
    put("percentile", lambda at: percentile(values[:, at]), start)
    put("basic", lambda at: tuple((2 * value[at] - np.array(percentile(values[:, at]))[::-1]).tolist()), start)
    put("BCa", lambda at: (0.0, 0.0) if lost else bca(value[at], values[:, at], without[:, at]), start - jackknife)
    ratios = (logit(values, step) - middle) / studentised(counts, weights)
    ratios[~np.isfinite(ratios)] = np.nan
    put("studentised, logit", lambda at: tuple(
        float(expit(middle[at] - end * errors[at])) for end in percentile(ratios[:, at])[::-1]
    ), start - jackknife)  # fmt: skip
    put("symmetric, logit", lambda at: tuple(
        float(expit(middle[at] + sign * np.nanpercentile(np.abs(ratios[:, at]), 95) * errors[at])) for sign in (-1, 1)
    ), start - jackknife)  # fmt: skip
    start = time.perf_counter()
    ends = calibrated(counts, value, rng)
    put("calibrated", lambda at: ends[at], start)
    return found, clock


# Coverage


Source = tuple[Callable[[Rng, int], np.ndarray], np.ndarray]
"""Random numbers, n -> counts (n, 2, K); and the true figures (2,)."""


def source_of(data: Path, out: Path, name: str) -> Source:
    """How a population is drawn from, and its truth."""
    if name in LAWS:
        return lambda rng, count: drawn_law(rng, count, name), figures(true_law(name))[0]
    counts, _ = population(data, out, name)
    return lambda rng, count: counts[rng.integers(0, len(counts), count)], figures(counts.sum(0)[None])[0]


def judge(found: dict[str, list[list[float]]], ends: tuple[float, float], truth: float, key: str) -> None:
    """Note whether an interval lies below or above the truth, and its width; NaN ends count as no interval."""
    low, high = ends
    none = np.isnan(low) or np.isnan(high)
    found.setdefault(key, []).append([float(none), float(high < truth), float(low > truth), high - low])


def coverage(source: Source, count: int, rng: Rng) -> dict[str, Any]:
    """BLOCK repetitions: figure/method -> [no interval, below, above, width] of each, and seconds."""
    draw, truth = source
    found: dict[str, list[list[float]]] = {}
    clock: dict[str, float] = {}
    for _ in range(BLOCK):
        counts = draw(rng, count)
        while not counts[:, 1].sum():
            counts = draw(rng, count)
        made, took = all_intervals(counts, rng)
        for method, both in made.items():
            for at, figure in enumerate(FIGURES):
                judge(found, both[at], truth[at], f"{figure}/{method}")
            clock[method] = clock.get(method, 0.0) + took[method] / BLOCK
    return {"found": found, "seconds": clock}


def precise_coverage(source: Source, count: int, rng: Rng) -> dict[str, Any]:
    """PRECISE repetitions of the chosen interval, and of the same without a least number of degrees of freedom."""
    draw, truth = source
    found: dict[str, list[list[float]]] = {}
    for _ in range(PRECISE):
        counts = draw(rng, count)
        while not counts[:, 1].sum():
            counts = draw(rng, count)
        value, whole = figures(counts.sum(0)[None])[0], left_out_of(counts)
        for at, figure in enumerate(FIGURES):
            judge(found, interval(float(value[at]), whole, figure), truth[at], f"{figure}/chosen")
            half = float(stdtrit(max(whole.degrees[figure], 1), 0.975)) * spread(
                logit(whole.figures[figure], whole.steps[figure])
            )
            middle = logit(value[at], whole.steps[figure])
            ends = float(expit(middle - half)), float(expit(middle + half))
            judge(found, ends, truth[at], f"{figure}/without the least of 2")
    return {"found": found, "seconds": {}}


def differences(data: Path, out: Path, name: str, count: int, rng: Rng) -> dict[str, Any]:
    """BLOCK repetitions of the paired difference: coverage on a real population, and the level where none is true."""
    found: dict[str, list[list[float]]] = {}
    if name not in LAWS:
        both = population(data, out, name)
        truth = figures(both[0].sum(0)[None])[0] - figures(both[1].sum(0)[None])[0]
    for _ in range(BLOCK):
        if name in LAWS:  # two detectors of one law on the same anomalies
            state = rng.bit_generator.state
            one = drawn_law(rng, count, name, kept=np.random.default_rng(int(rng.integers(1 << 62))))
            rng.bit_generator.state = state
            other = drawn_law(rng, count, name, kept=np.random.default_rng(int(rng.integers(1 << 62)) + 1))
            truth = np.zeros(2)
        else:
            chosen = rng.integers(0, len(both[0]), count)
            one, other = both[0][chosen], both[1][chosen]
        if not one[:, 1].sum():
            continue
        values = np.stack([figures(each.sum(0)[None])[0] for each in (one, other)])
        lost = left_out_of(one), left_out_of(other)
        weights = rng.multinomial(count, np.full(count, 1 / count), RESAMPLES).astype(float)
        resamples = [figures((weights @ each.reshape(count, -1)).reshape(RESAMPLES, 2, -1)) for each in (one, other)]
        for at, figure in enumerate(FIGURES):
            made = paired_difference((values[0, at], values[1, at]), lost, figure)
            judge(found, (made.low, made.high), truth[at], f"{figure}/chosen")
            error = spread(lost[0].figures[figure] - lost[1].figures[figure])
            half, apart = float(stdtrit(count - 1, 0.975)) * error, values[0, at] - values[1, at]
            judge(found, (apart - half, apart + half), truth[at], f"{figure}/t, n - 1")
            judge(found, percentile(resamples[0][:, at] - resamples[1][:, at]), truth[at], f"{figure}/percentile")
            ends = [interval(float(value[at]), each, figure) for value, each in zip(values, lost, strict=True)]
            judge(found, (ends[0][0] - ends[1][1], ends[0][1] - ends[1][0]), truth[at], f"{figure}/two intervals")
    return {"found": found, "seconds": {}}


def sequences(data: Path, out: Path, count: int, rng: Rng) -> dict[str, Any]:
    """BLOCK repetitions with drives of FRAMES frames: images as units, and drives as units."""
    counts, _ = population(data, out, "drives")
    truth = figures(counts.sum(0)[None])[0]
    found: dict[str, list[list[float]]] = {}
    units = np.repeat(np.arange(count), FRAMES)
    for _ in range(BLOCK):
        drives = rng.integers(0, DRIVES, count)
        chosen = counts[(drives[:, None] * FRAMES + np.arange(FRAMES)).ravel()]
        value = figures(chosen.sum(0)[None])[0]
        ways = {"images": left_out_of(chosen), "sequences": left_out_of(chosen, units)}
        for at, figure in enumerate(FIGURES):
            for way, whole in ways.items():
                judge(found, interval(float(value[at]), whole, figure), truth[at], f"{figure}/{way}")
            judge(found, percentile(resampled(chosen, rng, RESAMPLES)[1][:, at]), truth[at], f"{figure}/percentile")
    return {"found": found, "seconds": {}}


COUNTS = ("true_positives", "false_negatives", "false_positives", "sums", "numbers")
"""What a ComponentMetric counts."""


def component_population(data: Path, out: Path, name: str) -> list[ComponentMetric]:
    """The component counts of each image of a benchmark at the best threshold of its pixels; kept in a file."""
    path, (least, smallest) = out / f"{name}.components.npz", DATASETS[name].min_sizes
    if not path.is_file():
        detector, whole = Model("default", threads=1), PixelMetric()
        frames = []
        for image, label in benchmark(data, name):
            heat = detector(image)
            if heat.shape != label.shape:
                heat = cv2.resize(heat, label.shape[::-1], interpolation=cv2.INTER_LINEAR)
            frames.append((heat, label))
            whole.add(heat, label)
        found = [ComponentMetric(whole.result()["threshold"], least, smallest) for _ in frames]
        for metric, frame in zip(found, frames, strict=True):
            metric.add(*frame)
        np.savez(path, **{key: np.stack([getattr(each, key) for each in found]) for key in COUNTS})
    kept = np.load(path)
    made = [ComponentMetric(0, least, smallest) for _ in kept[COUNTS[0]]]
    for number, metric in enumerate(made):
        for key in COUNTS:
            setattr(metric, key, kept[key][number])
    return made


def component_coverage(data: Path, out: Path, name: str, count: int, rng: Rng) -> dict[str, Any]:
    """BLOCK repetitions for sIoU, PPV and F1* at a fixed threshold."""
    frames = component_population(data, out, name)
    truth, found = merged(frames).result(), {}
    for _ in range(BLOCK):
        chosen = [frames[at] for at in rng.integers(0, len(frames), count)]
        value = merged(chosen).result()
        whole = leave_one_out_counts(chosen, [str(number) for number in range(count)])
        again = [merged([chosen[at] for at in rng.integers(0, count, count)]).result() for _ in range(RESAMPLES)]
        for figure in COMPONENT_FIGURES:
            judge(found, interval(value[figure], whole, figure), truth[figure], f"{figure}/chosen")
            equal = replace(whole, degrees=dict.fromkeys(COMPONENT_FIGURES, float(count - 1)))
            judge(found, interval(value[figure], equal, figure), truth[figure], f"{figure}/jackknife, logit")
            judge(found, percentile(np.array([each[figure] for each in again])), truth[figure], f"{figure}/percentile")
    return {"found": found, "seconds": {}}


def jobs(repetitions: int) -> Iterator[tuple[str, str, int, int]]:
    """(what, population, n, block), so that the first blocks of all come first."""
    for block in range(-(-repetitions // BLOCK)):
        for count in SIZES:
            for name in (*REAL, *LAWS):
                yield "one", name, count, block
                yield "two", name, count, block
            yield "sequences", "drives", count, block
    for block in range(-(-repetitions // BLOCK)):
        for count in SIZES:
            yield from (("components", name, count, block) for name in REAL if name.startswith("road_"))
    for count in SIZES:
        yield from (("precise", name, count, 0) for name in (*REAL, *LAWS))


def rows_of(path: Path) -> dict[tuple[str, str, int, int], dict[str, Any]]:
    """The lines of the file by their job."""
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    return {(each["what"], each["name"], each["count"], each["block"]): each for each in lines}


def tables(rows: dict[tuple[str, str, int, int], dict[str, Any]]) -> str:
    """Coverage in percent and the median width over that of the percentile bootstrap, as Markdown."""
    groups: dict[tuple[str, str, int], dict[str, list[list[float]]]] = {}
    clocks: dict[tuple[int, str], list[float]] = {}
    for (what, name, count, _), row in sorted(rows.items()):
        mine = groups.setdefault((what, name, count), {})
        for key, each in row["found"].items():
            mine.setdefault(key, []).extend(each)
        for method, seconds in row["seconds"].items():
            clocks.setdefault((count, method), []).append(seconds)
    text = []
    for what in ("precise", "one", "two", "sequences", "components"):
        for figure in COMPONENT_FIGURES if what == "components" else FIGURES:
            chosen = {key[1:]: each for key, each in groups.items() if key[0] == what}
            methods = list(dict.fromkeys(key.split("/")[1] for each in chosen.values() for key in each))
            for count in SIZES:
                names = [name for name, number in chosen if number == count]
                if not names:
                    continue
                repetitions = min(len(each) for (_, n), all_ in chosen.items() if n == count for each in all_.values())
                text += [f"\n{what}, {figure}, n = {count}, {repetitions} repetitions\n"]
                text += ["| | " + " | ".join(names) + " |", "| --- |" + " ---: |" * len(names)]
                for method in methods:
                    cells = [cell(chosen[name, count], figure, method) for name in names]
                    text += [f"| {method} | " + " | ".join(cells) + " |"]
    heads = [f"n = {each}" for each in SIZES]
    text += ["\nmilliseconds a set\n", "| | " + " | ".join(heads) + " |", "| --- |" + " ---: |" * len(SIZES)]
    for method in dict.fromkeys(method for _, method in clocks):
        cells = [f"{1000 * np.median(clocks.get((count, method), [np.nan])):.1f}" for count in SIZES]
        text += [f"| {method} | " + " | ".join(cells) + " |"]
    return "\n".join(text)


def summary(rows: dict[tuple[str, str, int, int], dict[str, Any]]) -> str:
    """For each method the lowest coverage of all populations, their mean, and the mean of the relative widths."""
    groups: dict[tuple[str, int, str], dict[str, list[list[float]]]] = {}
    for (what, name, count, _), row in sorted(rows.items()):
        for key, each in row["found"].items() if what == "one" else ():
            groups.setdefault((key, count, ""), {}).setdefault(name, []).extend(each)
    heads = [(figure, count) for figure in FIGURES for count in SIZES]
    text = ["| lowest / mean coverage, width | " + " | ".join(f"{figure}, n = {n}" for figure, n in heads) + " |"]
    text += ["| --- |" + " ---: |" * len(heads)]
    for method in dict.fromkeys(key.split("/")[1] for key, _, _ in groups):
        cells = []
        for figure, count in heads:
            mine, usual = groups[f"{figure}/{method}", count, ""], groups[f"{figure}/percentile", count, ""]
            numbers = {name: np.array(each) for name, each in mine.items()}
            good = {name: each[each[:, 0] == 0] for name, each in numbers.items()}
            covered = [100 * (1 - each[:, 1:3].sum(1).mean()) for each in good.values()]
            wide = [np.median(each[:, 3]) / np.median(np.array(usual[name])[:, 3]) for name, each in good.items()]
            cells.append(f"{min(covered):.0f} / {np.mean(covered):.0f}, {np.exp(np.mean(np.log(wide))):.1f}")
        text.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(text)


def cell(found: dict[str, list[list[float]]], figure: str, method: str) -> str:
    """Coverage in percent, and the width over that of the percentile bootstrap; repetitions without interval in ()."""
    rows = np.array(found[f"{figure}/{method}"])
    none = rows[:, 0] > 0
    if none.all():
        return "-"
    covered = 100 * (1 - (rows[~none, 1] + rows[~none, 2]).mean())
    usual = np.median(np.array(found.get(f"{figure}/percentile", rows))[:, 3])
    wide = np.median(rows[~none, 3]) / usual
    if "/percentile" not in " ".join(found):
        return f"{covered:.1f} ({100 * np.median(rows[~none, 3]):.2g})"
    return f"{covered:.0f} ({wide:.1f})" + (f", none in {100 * none.mean():.0f} %" if none.any() else "")


def main() -> None:
    """Measure what is missing, or print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="folder for the populations and the rows")
    parser.add_argument("--repetitions", type=int, default=400)
    parser.add_argument("--table", action="store_true", help="print the tables of what there is")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out / "rows.jsonl"
    done = rows_of(path)
    if given.table:
        print(summary(done))
        print(tables(done))
        return
    for number, (what, name, count, block) in enumerate(jobs(given.repetitions)):
        if (what, name, count, block) in done:
            continue
        rng = np.random.default_rng([number, count, block])
        if what == "one":
            row = coverage(source_of(given.data, given.out, name), count, rng)
        elif what == "precise":
            row = precise_coverage(source_of(given.data, given.out, name), count, rng)
        elif what == "components":
            row = component_coverage(given.data, given.out, name, count, rng)
        elif what == "two":
            row = differences(given.data, given.out, name, count, rng)
        else:
            row = sequences(given.data, given.out, count, rng)
        with path.open("a") as file:
            file.write(json.dumps({"what": what, "name": name, "count": count, "block": block, **row}) + "\n")
        print(what, name, count, block, flush=True)


if __name__ == "__main__":
    main()
