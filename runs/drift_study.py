"""How often the drift test raises a false alarm, and how soon a true one; beside detectors for independent values.

    python runs/drift_study.py --json drift.json                      # simulated series, minutes
    python runs/drift_study.py --rendered CACHE --json drift.json     # and the default detector on rendered drives

Stated: at most 1 of 100 runs on what is like the calibration raises an alarm, however long. Printed for simulated
series: share of calibrations that can be tested at all; of these the share of runs with a false alarm over 10,000 calm
frames (or 100 calm drives); frames (or drives) from a change to the alarm. With river installed (any version with
ADWIN, KSWIN and PageHinkley), their alarms over the same frames, fed frame by frame.
"""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from coverage_study import autoregressive, one_in_ten, regimes

from oddroad.calibration.drift import DriftTest
from oddroad.calibration.drift_reference import DriveStatistics, drift_reference
from oddroad.calibration.frame_statistics import STATISTICS
from oddroad.files import write_whole

RATE, CALM, STEP = 0.01, 10_000, 0.1
Rng = np.random.Generator
Process = Callable[[Rng, int], np.ndarray]

PROCESSES: dict[str, Process] = {
    "AR, time 5": lambda rng, count: autoregressive(rng, count, 5.0),
    "AR, time 40": lambda rng, count: autoregressive(rng, count, 40.0),
    "AR, time 200": lambda rng, count: autoregressive(rng, count, 200.0),
    "regimes": regimes,
}
SIZE = (180, 320)
KINDS = ("night", "rain", "dirty-lens", "camera-height")


def frames_of(process: Process, rng: Rng, count: int, offsets: np.ndarray | None = None) -> np.ndarray:
    """(count, 11) statistics of frames that are independent series of a process."""
    values = np.stack([process(rng, count) for _ in STATISTICS], 1)
    return values if offsets is None else values + offsets


def first_alarm(test: DriftTest, values: np.ndarray) -> int | None:
    """The frame at which the first alarm is raised while a drive goes on; None if none is."""
    for number, row in enumerate(values):
        if test.wants(number * STEP) and test.add(number * STEP, row) is not None:
            return number
    return None


def one_drive(process: Process, frames: int, jump: float, times: int, seed: int) -> dict[str, Any]:
    """One drive calibrated on: false alarms on its later parts, and the delay after a jump of one statistic.

    Args:
        process: of each statistic.
        frames: calibrated on.
        jump: in deviations, 2000 frames later.
        times: calibrations.
        seed: of everything random.
    """
    rng, tested, false, delays, blocks = np.random.default_rng(seed), 0, 0, [], []
    for _ in range(times):
        whole = frames_of(process, rng, frames + CALM)
        reference = drift_reference([DriveStatistics("a", whole[:frames], STEP, True)])
        if reference["not_tested"]:
            continue
        tested += 1
        blocks.append(len(reference["units"]))
        later = whole[frames:]
        false += first_alarm(DriftTest(reference, RATE), later) is not None
        column = STATISTICS.index(reference["statistics"][0])
        changed = later.copy()
        changed[2000:, column] += jump
        alarm = first_alarm(DriftTest(reference, RATE), changed)
        delays.append(np.inf if alarm is None or alarm < 2000 else alarm - 2000)
    return {
        "calibrations": times, "tested": tested, "false": false,
        "blocks": float(np.median(blocks)) if blocks else None,
        "delay": float(np.median(delays)) if delays else None,
    }  # fmt: skip


def many_drives(count: int, odd: bool, jump: float, times: int, seed: int) -> dict[str, Any]:
    """Several drives calibrated on: false alarms over 100 new calm drives, and the delay in drives after a jump.

    Args:
        count: drives of 60 frames calibrated on.
        odd: whether every tenth drive scores 3 deviations higher; else drives vary by one deviation.
        jump: in deviations between drives.
        times: calibrations.
        seed: of everything random.
    """
    rng, false, delays = np.random.default_rng(seed), 0, []

    def drive() -> np.ndarray:
        if odd:
            return np.stack([one_in_ten(rng, 60) for _ in STATISTICS], 1)
        return frames_of(lambda draw, n: autoregressive(draw, n, 10.0), rng, 60, rng.normal(size=len(STATISTICS)))

    for _ in range(times):
        calibrated = [DriveStatistics(str(n), drive(), STEP, True) for n in range(count)]
        reference = drift_reference(calibrated)
        for change in (0.0, jump):
            test, alarm = DriftTest(reference, RATE), None
            for number in range(100 if not change else 40):
                values = drive()
                values[:, 0] += change
                found = first_alarm(test, values) is not None
                if test.end() is not None or found:
                    alarm = number + 1
                    break
            if not change:
                false += alarm is not None
            else:
                delays.append(np.inf if alarm is None else alarm)
    return {"calibrations": times, "tested": times, "false": false, "delay": float(np.median(delays))}


def detectors() -> dict[str, Callable[[], Any]]:
    """Detectors of river, where it is installed."""
    try:
        from river.drift import ADWIN, KSWIN, PageHinkley
    except ImportError:
        return {}
    return {"ADWIN": ADWIN, "KSWIN": lambda: KSWIN(seed=0), "Page-Hinkley": PageHinkley}


def alarms_of(make: Callable[[], Any], values: np.ndarray) -> list[int]:
    """Frames at which a detector of river reports a change."""
    detector, found = make(), []
    for number, value in enumerate(values):
        detector.update(float(value))
        if detector.drift_detected:
            found.append(number)
    return found


def others(process: Process, jump: float, times: int, seed: int) -> dict[str, dict[str, float]]:
    """Of river's detectors: alarms over 10,000 calm frames of one series, and the delay after a jump at frame 2000."""
    rng, found = np.random.default_rng(seed), {}
    series = [process(rng, CALM) for _ in range(times)]
    for name, make in detectors().items():
        calm = [len(alarms_of(make, each)) for each in series]
        delays = []
        for each in series:
            changed = each.copy()
            changed[2000:] += jump
            after = [number for number in alarms_of(make, changed[:4000]) if number >= 2000]
            delays.append(after[0] - 2000 if after else np.inf)
        found[name] = {
            "runs_with_alarm": float(np.mean([each > 0 for each in calm])),
            "alarms": float(np.mean(calm)),
            "delay": float(np.median(delays)),
        }
    return found


class Rendered:
    """Statistics of rendered frames under the default detector, kept in a folder."""

    def __init__(self, cache: Path):
        self.cache = cache
        cache.mkdir(parents=True, exist_ok=True)

    @functools.cached_property
    def model(self) -> Any:
        """The detector."""
        from oddroad.inference.model import Model

        return Model(threads=1)

    def frames(
        self, seed: int, first: int, count: int, kind: str = "", begins: int = 0, lasts: int = 1, every: int = 1
    ) -> np.ndarray:
        """(count, 11) of frames of a street at 10 frames a second, from a number on.

        Args:
            seed: of the street.
            first: number of the first frame.
            count: frames.
            kind: what they turn to; "" for nothing.
            begins: frame of the street at which it begins.
            lasts: frames until it is complete.
            every: take every n-th; the numbers are of those taken.
        """
        path = self.cache / f"{seed}-{first}-{count}-{kind}-{begins}-{lasts}{f'-{every}' * (every > 1)}.npy"
        if not path.exists():
            np.save(path, np.array(list(self.render(seed, first, count, kind, begins, lasts, every))))
        return np.load(path)

    def render(
        self, seed: int, first: int, count: int, kind: str, begins: int, lasts: int, every: int
    ) -> Iterator[np.ndarray]:
        """Row by row; see ``frames``."""
        from oddroad.calibration.frame_statistics import frame_statistics
        from oddroad.synthetic.conditions import Change
        from oddroad.synthetic.scenes import CAMERA_HEIGHT, Street

        street = Street(seed, SIZE, length=1.4 * every * (first + count) + 40, anomalies=0)
        change = Change(kind, begins, lasts) if kind else None
        for number in range(first, first + count):
            strength = 0.0 if change is None else change.strength(number)
            if change is not None:
                street.camera_height = change.camera_height(CAMERA_HEIGHT, strength)
            image, _ = street.view(1.4 * every * number, 0.1 * every * number)
            if change is not None:
                image = change.picture(image, strength, seed, number)
            yield frame_statistics(image, self.model(image))


def rendered(cache: Path) -> list[dict[str, Any]]:
    """One drive of 800 frames (5 a second) calibrated on, and 9 of 40 (10 a second); judged on calm and odd ones."""
    world, rows = Rendered(cache), []

    def put(**values: Any) -> None:
        rows.append(values)
        print(json.dumps(values), flush=True)

    one = np.vstack([world.frames(0, first, 200, every=2) for first in range(0, 800, 200)])
    reference = drift_reference([DriveStatistics("one", one, STEP, True)])
    if reference["not_tested"]:
        put(calibrated_on="one drive", not_tested=reference["not_tested"])
    else:
        about = {"calibrated_on": "one drive", "blocks": len(reference["units"]), "block": reference["block"]}
        calm = world.frames(0, 800, 160, every=2)
        test = DriftTest(reference, RATE)
        put(**about, judged="later part", frames=len(calm), alarm=first_alarm(test, calm), evidence=test.evidence)
        for kind in KINDS:
            values = world.frames(0, 800, 160, kind, 800, 10, every=2)
            alarm = first_alarm(DriftTest(reference, RATE), values)
            both = np.concatenate([calm[:, -1], values[:, -1]])
            delays = {
                name: next(iter(n - len(calm) for n in alarms_of(make, both) if n >= len(calm)), None)
                for name, make in detectors().items()
            }
            put(**about, judged=kind, delay=alarm, others=delays)
        for name, make in detectors().items():
            put(calibrated_on="nothing", judged="later part", detector=name, alarms=len(alarms_of(make, calm[:, -1])))
        for seed in range(1, 2):
            values = world.frames(seed, 0, 160, every=2)
            put(**about, judged=f"another calm drive {seed}", alarm=first_alarm(DriftTest(reference, RATE), values))
    drives = [world.frames(seed, 0, 40) for seed in range(100, 112)]
    for first in range(0, 12, 3):
        kept = [each for number, each in enumerate(drives) if not first <= number < first + 3]
        reference = drift_reference([DriveStatistics("", each, STEP, True) for each in kept])
        about = {"calibrated_on": f"{len(kept)} drives", "not_within": reference.get("not_within")}
        put(**about, judged="3 calm drives", alarm=drives_to_alarm(reference, drives[first : first + 3]))
        for kind in KINDS:
            odd = [world.frames(seed, 0, 40, kind, 0, 1) for seed in range(200, 204)]
            put(**about, judged=kind, drives_to_alarm=drives_to_alarm(reference, odd))
    return rows


def drives_to_alarm(reference: dict[str, Any], drives: Sequence[np.ndarray]) -> int | None:
    """Drives until the first alarm; None if none is raised."""
    test = DriftTest(reference, RATE)
    for number, values in enumerate(drives):
        if first_alarm(test, values) is not None or test.end() is not None:
            return number + 1
    return None


def main() -> None:
    """Simulate, judge, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=100, help="calibrations of each row")
    parser.add_argument("--frames", type=int, nargs="*", default=[500, 2000, 5000], help="of the one drive")
    parser.add_argument("--drives", type=int, nargs="*", default=[2, 5, 20, 100])
    parser.add_argument("--jump", type=float, default=6.0, help="of one statistic, in deviations")
    parser.add_argument("--others", type=int, default=5, help="series for river's detectors")
    parser.add_argument("--rendered", type=Path, help="folder that keeps the statistics of rendered frames")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []

    def put(**values: Any) -> None:
        rows.append(values)
        print(json.dumps(values), flush=True)

    for name, process in PROCESSES.items():
        for frames in given.frames:
            put(series=name, frames=frames, **one_drive(process, frames, given.jump, given.times, 1))
        if given.others:
            put(series=name, others=others(process, given.jump, given.others, 1))
    for odd in (False, True):
        for count in given.drives:
            name = "one drive in ten odd" if odd else "drives vary by one deviation"
            put(series=name, drives=count, **many_drives(count, odd, given.jump, given.times, 1))
    if given.rendered:
        rows += rendered(given.rendered)
    if given.json:
        write_whole(given.json, json.dumps(rows, indent=1).encode(), "study")


if __name__ == "__main__":
    main()
