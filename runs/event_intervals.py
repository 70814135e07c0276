"""How often the intervals of events hold the truth: recall, delay and false alarms of drives from known populations.

    python runs/event_intervals.py [--repeat 2000] [--drives 5 12 30 100]

Drives differ: how well objects are found and how late depends on the drive, so does the rate of false alarms; "rare"
has all its false alarms in one drive of ten. Prints a table of coverage in percent, in brackets the share of draws that
have an interval at all; docs/research/intervals.md holds it.
"""

from __future__ import annotations

import argparse
import math

import numpy as np

from oddroad.metrics import EventMetric
from oddroad.metrics.intervals import interval, leave_one_out_counts, merged

FIGURES = ("event_recall", "delay_frames", "false_alarms_per_hour")
RATE, FRAMES = 10.0, 600


def draw(rng: np.random.Generator, rare: bool) -> EventMetric:
    """One drive of a minute."""
    skill, slow = rng.beta(6, 2), rng.gamma(2, 2)
    noise = 10 * rng.gamma(2, 2) * (rng.random() < 0.1) if rare else rng.gamma(2, 2)
    objects, false = 1 + int(rng.poisson(4)), int(rng.poisson(noise))
    found = int(rng.binomial(objects, skill))
    late = int(rng.poisson(slow, found).sum())
    return EventMetric(objects, found, late, late / RATE, found + false, false, FRAMES, FRAMES / RATE)


def truth() -> dict[str, float]:
    """The figures of endless drives: objects count, not drives."""
    # the mean delay weighs a drive by the objects found in it, which do not depend on how slow it is
    return {"event_recall": 0.75, "delay_frames": 4.0, "false_alarms_per_hour": 4 * 3600 / (FRAMES / RATE)}


def coverage(drives: int, repeat: int, rare: bool, seed: int = 0) -> dict[str, tuple[float, float]]:
    """Figure -> share of the draws with an interval whose interval holds the truth, and share that has one."""
    rng, true = np.random.default_rng(seed), truth()
    hits, given = dict.fromkeys(FIGURES, 0), dict.fromkeys(FIGURES, 0)
    for _ in range(repeat):
        parts = [draw(rng, rare) for _ in range(drives)]
        found, values = leave_one_out_counts(parts, [str(each) for each in range(drives)]), merged(parts).result()
        for name in FIGURES:
            low, high = interval(values[name], found, name)
            given[name] += not math.isnan(low)
            hits[name] += low <= true[name] <= high
    return {name: (hits[name] / max(given[name], 1), given[name] / repeat) for name in FIGURES}


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=2000)
    parser.add_argument("--drives", type=int, nargs="+", default=[5, 12, 30, 100])
    given = parser.parse_args()
    print("| drives | event recall | delay | false alarms per hour | the same, rare |")
    print("| --- | --- | --- | --- | --- |")
    for drives in given.drives:
        even, rare = (coverage(drives, given.repeat, each) for each in (False, True))
        cells = [*even.values(), rare["false_alarms_per_hour"]]
        texts = [f"{100 * held:.1f}" + (f" ({100 * has:.0f})" if has < 0.999 else "") for held, has in cells]
        print(f"| {drives} | " + " | ".join(texts) + " |", flush=True)


if __name__ == "__main__":
    main()
