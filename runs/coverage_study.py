"""How often a guaranteed false-alarm rate is broken: the binomial bound over frames beside that over drives and blocks.

    python runs/coverage_study.py --json coverage.json                      # simulated series, minutes
    python runs/coverage_study.py --drives --rendered 20 --clips DRIVE.mp4  # and the default detector on drives
    python runs/coverage_study.py --drives --alarms 29 60 100               # alarms an hour, over drives

Series with known dependence stand for the levels of the frames (the lowest threshold without a false alarm). A
calibration chooses a threshold from some drives; it fails where the true rate of what it speaks of, new drives or later
parts of the same ones, is above what it guaranteed. Stated: at most 5 of 100 calibrations fail. Printed: share that
fails, and in brackets the share that guarantees anything at all. "no-alarms" guarantees the best rate that its data
can; the others the rate asked.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from oddroad.calibration.drives import Drive, alarm_curve, threshold_for_rate, units_of
from oddroad.calibration.event_rates import Exposure, lowest, promised_rate
from oddroad.files import write_whole

CONFIDENCE = 0.95
Rng = np.random.Generator
Process = Callable[[Rng, int], np.ndarray]
"""Random numbers, length -> the levels of one drive."""
Found = tuple[float, float] | None
"""Threshold and the rate that it guarantees; None where nothing can be."""


def autoregressive(rng: Rng, count: int, time: float) -> np.ndarray:
    """A Gaussian series of mean 0 and deviation 1 with an integrated autocorrelation time in steps."""
    from scipy.signal import lfilter

    keep = (time - 1) / (time + 1)
    noise = rng.normal(size=count) * np.sqrt(1 - keep**2)
    noise[0] = rng.normal()
    return np.asarray(lfilter([1.0], [1.0, -keep], noise))


def regimes(rng: Rng, count: int, dwell: float = 500.0, share: float = 0.1) -> np.ndarray:
    """Calm stretches and, a share of the time, ones that score 2.5 higher; a cycle takes 2 ``dwell`` steps."""
    busy = np.zeros(count, bool)
    state, at = bool(rng.random() < share), 0
    while at < count:
        length = 1 + int(rng.exponential(2 * dwell * (share if state else 1 - share)))
        busy[at : at + length] = state
        state, at = not state, at + length
    return autoregressive(rng, count, 10.0) + 2.5 * busy


def one_in_ten(rng: Rng, count: int) -> np.ndarray:
    """Drives that differ: every tenth one scores 3 higher throughout, the others vary by half a deviation."""
    offset = 3.0 if rng.random() < 0.1 else rng.normal(0, 0.5)
    return autoregressive(rng, count, 10.0) + offset


PROCESSES: dict[str, Process] = {
    "AR, time 5": lambda rng, count: autoregressive(rng, count, 5.0),
    "AR, time 40": lambda rng, count: autoregressive(rng, count, 40.0),
    "AR, time 200": lambda rng, count: autoregressive(rng, count, 200.0),
    "regimes": regimes,
    "one drive in ten": one_in_ten,
}


def by_frames(drives: Sequence[Drive], scope: str, rate: float) -> Found:
    """The binomial bound that takes every frame as an independent draw."""
    from scipy.stats import binom

    levels = np.sort(np.concatenate([each.levels for each in drives]))[::-1]
    allowed = np.flatnonzero(binom.cdf(np.arange(len(levels)), len(levels), rate) <= 1 - CONFIDENCE)
    return (float(levels[allowed[-1]]), rate) if len(allowed) else None


def by_drives(drives: Sequence[Drive], scope: str, rate: float) -> Found:
    """The bound over drives, or over blocks of the same ones."""
    units = units_of(drives, scope, CONFIDENCE)
    value = threshold_for_rate(alarm_curve(drives, scope), units, rate, CONFIDENCE)
    return None if value is None else (value, rate)


def no_alarms(drives: Sequence[Drive], scope: str, rate: float) -> Found:
    """The lowest threshold without an alarm and the best rate that it guarantees; None where that is above 9 of 10."""
    best = units_of(drives, scope, CONFIDENCE).best
    return None if best > 0.9 else (max(float(each.levels.max()) for each in drives), best)


METHODS = {"over frames": by_frames, "over drives": by_drives, "no-alarms": no_alarms}


@functools.cache
def world_of(process: Process, seed: int) -> np.ndarray:
    """Levels of very many drives, sorted."""
    rng = np.random.default_rng(seed)
    return np.sort(np.concatenate([process(rng, 200) for _ in range(4000)]))


def simulate(
    process: Process, count: int, scope: str, frames: int, rate: float, times: int, seed: int
) -> dict[str, list[float]]:
    """Of each method the share of calibrations that fail and the share that guarantee something.

    Args:
        process: of the levels.
        count: drives of a calibration.
        scope: whether it is judged on new drives or on later parts of the same.
        frames: of a drive.
        rate: that is asked for.
        times: calibrations.
        seed: of everything random.
    """
    rng = np.random.default_rng(seed)
    failed, given = dict.fromkeys(METHODS, 0), dict.fromkeys(METHODS, 0)
    for _ in range(times):
        if scope == "new-drives":
            wholes = [process(rng, frames) for _ in range(count)]
            truth = world_of(process, seed + 1)
        else:
            wholes = [process(rng, 41 * frames) for _ in range(count)]
            truth = np.sort(np.concatenate([each[frames:] for each in wholes]))
        drives = [Drive(str(number), each[:frames]) for number, each in enumerate(wholes)]
        for name, method in METHODS.items():
            if found := method(drives, scope, rate):
                given[name] += 1
                failed[name] += bool(1 - np.searchsorted(truth, found[0], side="right") / len(truth) > found[1])
    return {name: [failed[name] / times, given[name] / times] for name in METHODS}


def levels_of(path: str) -> np.ndarray:
    """Levels of the frames of a video under the default detector."""
    from oddroad.calibration.calibrator import alarm_level
    from oddroad.inference.model import Model
    from oddroad.io.sources import find_sources
    from oddroad.io.video import read
    from oddroad.regions import default_min_area

    model, found = Model(), []
    for frame in read(find_sources([path])):
        heat = model(frame.image)
        found.append(alarm_level(heat, np.ones(heat.shape, bool), default_min_area(heat)))
    return np.array(found)


def rendered_levels(seed: int, frames: int = 60) -> np.ndarray:
    """Levels of the frames of a rendered drive without anomalies under the default detector."""
    from oddroad.calibration.calibrator import alarm_level
    from oddroad.inference.model import Model
    from oddroad.regions import default_min_area
    from oddroad.synthetic.scenes import Street

    model, street, found = Model(), Street(seed, (360, 640), length=100.0, anomalies=0), []
    for number in range(frames):
        image, _ = street.view(number * 14.0 / 25.0, number / 25.0)
        heat = model(image)
        found.append(alarm_level(heat, np.ones(heat.shape, bool), default_min_area(heat)))
    return np.array(found)


def among(levels: Sequence[np.ndarray], count: int, rate: float) -> dict[str, list[float]]:
    """Calibrate on some drives and judge the others, for every drive as the first of those taken."""
    drives = [Drive(str(number), each) for number, each in enumerate(levels)]
    scope = "new-drives" if count > 1 else "same-drives"
    failed, given = dict.fromkeys(METHODS, 0), dict.fromkeys(METHODS, 0)
    for first in range(len(drives)):
        chosen = [(first + step) % len(drives) for step in range(count)]
        others = [each for number, each in enumerate(drives) if number not in chosen]
        for name, method in METHODS.items():
            if found := method([drives[number] for number in chosen], scope, rate):
                given[name] += 1
                failed[name] += float(np.mean([each.rate(found[0]) for each in others])) > found[1]
    return {name: [failed[name] / len(drives), given[name] / len(drives)] for name in METHODS}


def cut(levels: np.ndarray, parts: int, rate: float) -> dict[str, list[float]]:
    """Calibrate on each part of one drive but the last and judge all that comes after it."""
    edges = np.linspace(0, len(levels), parts + 1).astype(int)
    failed, given = dict.fromkeys(METHODS, 0), dict.fromkeys(METHODS, 0)
    for start, end in itertools.pairwise(edges[:-1]):
        for name, method in METHODS.items():
            if found := method([Drive("part", levels[start:end])], "same-drives", rate):
                given[name] += 1
                failed[name] += float((levels[end:] > found[0]).mean()) > found[1]
    return {name: [failed[name] / (parts - 1), given[name] / (parts - 1)] for name in METHODS}


RATE = 10.0
"""Frames per second of the simulated drives of ``alarms``."""
LADDER = np.linspace(5.5, 0.5, 26)
"""Thresholds at which alarms are counted, falling."""


def starts_of(levels: np.ndarray) -> np.ndarray:
    """At each threshold of LADDER, the frames (n,) on which the level comes above it."""
    above = levels[None] > LADDER[:, None]
    return above & ~np.pad(above, ((0, 0), (1, 0)))[:, :-1]


def alarms(process: Process, count: int, frames: int, rate: float, times: int, seed: int) -> dict[str, list[float]]:
    """The share of promised alarms an hour that are broken, and that of calibrations that promise: a Poisson bound of
    all alarms together; the bound over units, judged with swarms counting as promised, and with every alarm.

    Args:
        process: of the levels; an alarm starts where they come above the threshold.
        count: drives of a calibration; 1 for later parts of the same drive.
        frames: of a drive.
        rate: alarms an hour that are asked for.
        times: calibrations.
        seed: of everything random.
    """
    from scipy.stats import chi2

    rng = np.random.default_rng(seed)
    world = np.array([starts_of(process(rng, frames)).sum(1) for _ in range(3000)]) if count > 1 else None
    failed, given = np.zeros(3), np.zeros(3)
    hours = frames / RATE / 3600
    for _ in range(times):
        if world is not None:
            counts = np.array([starts_of(process(rng, frames)).sum(1) for _ in range(count)])
            exposure, truth = Exposure(np.full(count, hours), True), world / hours
        else:
            whole = process(rng, 11 * frames)
            parts = np.array_split(np.arange(frames), Drive("a", whole[:frames]).blocks)
            found = starts_of(whole)
            counts = np.array([found[:, each].sum(1) for each in parts])
            exposure = Exposure(np.array([len(each) for each in parts]) / RATE / 3600, False)
            later = np.array_split(np.arange(frames, 11 * frames), 10 * len(parts))
            truth = np.array([found[:, each].sum(1) / (len(each) / RATE / 3600) for each in later])
        pooled = [[number, chi2.ppf(CONFIDENCE, 2 * total + 2) / 2 / exposure.total]
                  for number, total in enumerate(counts.sum(0))]  # fmt: skip
        ours = []
        for number in range(len(LADDER)):  # what comes after the first that breaks the rate is not looked at
            ours.append([number, promised_rate(counts[:, number].astype(float), exposure, CONFIDENCE)])
            if ours[-1][1] is None or ours[-1][1] > rate:
                break
        for place, curve, cap in ((0, pooled, np.inf), (1, ours, exposure.cap(rate)), (2, ours, np.inf)):
            row = lowest(curve, rate)
            if row is not None:
                given[place] += 1
                failed[place] += float(np.minimum(truth[:, int(row[0] or 0)], cap).mean()) > rate
    names = ("Poisson", "over drives", "over drives, every alarm")
    return {name: [failed[place] / times, given[place] / times] for place, name in enumerate(names)}


def main() -> None:
    """Simulate, judge, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=300, help="calibrations of each row")
    parser.add_argument("--drives", type=int, nargs="*", default=[1, 2, 5, 20, 100])
    parser.add_argument(
        "--frames", type=int, nargs="+", default=[221, 60, 1500], help="of a drive, where later parts count"
    )
    parser.add_argument("--rates", type=float, nargs="+", default=[0.2, 0.05])
    parser.add_argument("--rendered", type=int, default=0, help="rendered drives of 60 frames for the detector")
    parser.add_argument("--clips", nargs="*", default=[], help="drives on which nothing is an anomaly")
    parser.add_argument("--alarms", type=int, nargs="*", default=[], help="drives for alarms an hour; 1 for one drive")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows: list[dict] = []

    def put(what: str, scope: str, drives: int, frames: int, rate: float, found: dict[str, list[float]]) -> None:
        rows.append({"levels": what, "scope": scope, "drives": drives, "frames": frames, "rate": rate, **found})
        cells = " | ".join(f"{100 * failed:.1f} ({100 * some:.0f})" for failed, some in found.values())
        print(f"| {what} | {scope} | {drives} | {frames} | {100 * rate:g} | {cells} |", flush=True)

    print(
        f"| levels | judged on | drives | frames a drive | asked, % | {' | '.join(f'{name}, %' for name in METHODS)} |"
    )
    print("| --- | --- | ---: | ---: | ---: |" + " ---: |" * len(METHODS))
    for name, process in PROCESSES.items():
        for count in given.drives:
            settings = [("new-drives", 60)] if count > 1 else []
            settings += [("same-drives", frames) for frames in {1: given.frames, 5: given.frames[:1]}.get(count, [])]
            for scope, frames in settings:
                for rate in given.rates:
                    found = simulate(process, count, scope, frames, rate, given.times, seed=1)
                    put(name, scope, count, frames, rate, found)
    if given.rendered:
        levels = [rendered_levels(seed) for seed in range(given.rendered)]
        for count, rate in itertools.product((1, 5), given.rates):
            put("rendered drives", "the other drives", count, len(levels[0]), rate, among(levels, count, rate))
    for clip in given.clips:
        levels_here = levels_of(clip)
        for rate in given.rates:
            put(Path(clip).name, "all later parts", 1, len(levels_here) // 4, rate, cut(levels_here, 4, rate))
    for (name, process), count in itertools.product(PROCESSES.items(), given.alarms):
        frames = 600 if count > 1 else 12_000
        for rate in (60.0, 12.0):
            found = alarms(process, count, frames, rate, given.times, seed=2)
            rows.append({"levels": name, "drives": count, "frames": frames, "alarms_per_hour": rate, **found})
            cells = " | ".join(f"{100 * failed:.1f} ({100 * some:.0f})" for failed, some in found.values())
            print(f"| {name} | {count} | {frames} | {rate:g} | {cells} |", flush=True)
    if given.json:
        write_whole(given.json, json.dumps(rows, indent=1).encode(), "study")


if __name__ == "__main__":
    main()
