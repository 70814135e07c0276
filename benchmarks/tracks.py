"""What `--min-hits` buys and costs: false alarms in a hundred frames, and frames until a true object is reported.

    python benchmarks/tracks.py [--model default] [--video calm_drive.mp4] [--min-hits 1 2 3 5]

On rendered drives, whose anomalies are known: a false alarm is a reported region that touches none of them; the
delay of an object is the number of frames from the first in which at least SEEN of its pixels are seen to the first
in which a reported region touches it. Objects on which no region is ever reported are counted as missed. On the
video there is no anomaly, so every reported region is a false alarm; distinct ones are counted by their tracks. The
last line is JSON.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from oddroad import regions
from oddroad.benchmarking.environment import processor, versions
from oddroad.concurrency import prefetch
from oddroad.detection.tracking import ConfirmedTracks
from oddroad.inference.model import Model
from oddroad.io.sources import find_sources
from oddroad.io.video import read
from oddroad.synthetic.scenes import Street
from oddroad.types import OUTLIER, Frame, Region

SEEN = 200
"""Pixels of an object at 540x960 from which on it should be reported."""

RATE, SPEED = 25.0, 14.0


def drive(seed: int, frames: int, size: tuple[int, int]) -> Iterator[tuple[Frame, np.ndarray]]:
    """Frames of a rendered drive and, for each, the number of the odd object at each pixel, 0 where there is none."""
    length = frames / RATE * SPEED
    street = Street(seed, size, length=max(length + 40, 60), anomalies=max(2, round(length / 9)))
    odd = [each for each in street.things if each.label == OUTLIER]
    contention = [each for each in street.things if each.label != OUTLIER]
    for number in range(frames):
        travelled = number / RATE * SPEED
        street.things = contention + odd
        image, label = street.view(travelled, number / RATE)
        owner = np.zeros(size, np.int32)
        whole = label == OUTLIER
        for which in sorted(range(len(odd)), key=lambda at: -odd[at].z):  # the nearest is written last
            street.things = [*contention, odd[which]]
            owner[(street.view(travelled, number / RATE)[1] == OUTLIER) & whole] = which + 1
        yield Frame(image, f"drive{seed}", number, number / RATE), owner


class Count:
    """Alarms and delays of one setting of ``--min-hits``."""

    def __init__(self, min_hits: int):
        self.linked, self.frames, self.false, self.ids = ConfirmedTracks(min_hits), 0, 0, set[int]()
        self.since: dict[int, int] = {}
        self.delays: dict[int, int] = {}
        self.finished: list[int] = []
        self.time_since_update, self.false_tracks = 0, 0

    def add(self, frame: Frame, found: list[Region], owner: np.ndarray) -> None:
        """Count one frame."""
        kept, tracks = self.linked(frame, found)
        for which, area in zip(*np.unique(owner[owner > 0], return_counts=True), strict=True):
            if area >= SEEN * owner.size / (540 * 960):
                self.since.setdefault(int(which), self.frames)
        for region, track in zip(kept, tracks, strict=True):
            x0, y0, x1, y1 = region.box
            touched = set(np.unique(owner[y0:y1, x0:x1]).tolist()) - {0}
            if not touched:
                self.false += 1
                self.ids.add(track.id)
            for which in touched & self.since.keys() - self.delays.keys():
                self.delays[which] = self.frames - self.since[which]
        self.frames += 1

    def end_drive(self) -> None:
        """Close the books of one drive; an object that came into sight in its last second is not judged."""
        judged = {which for which, since in self.since.items() if self.frames - since > RATE}
        self.finished += [self.delays[which] for which in judged & self.delays.keys()]
        self.time_since_update += len(judged - self.delays.keys())
        self.false_tracks += len(self.ids)
        self.since, self.delays, self.ids = {}, {}, set()

    def result(self) -> dict[str, float]:
        """The figures."""
        values = {
            "frames": self.frames,
            "false_alarms_per_100_frames": round(100 * self.false / max(self.frames, 1), 2),
            "false_tracks_per_100_frames": round(100 * self.false_tracks / max(self.frames, 1), 2),
        }
        if self.finished or self.time_since_update:
            delays = np.array(self.finished or [np.nan])
            values |= {
                "objects": len(self.finished) + self.time_since_update,
                "time_since_update": self.time_since_update,
                "delay_median_frames": float(np.median(delays)),
                "delay_mean_frames": round(float(delays.mean()), 2),
                "delay_p95_frames": float(np.percentile(delays, 95)),
            }
        return values


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="default")
    parser.add_argument("--threshold", type=float, help="by default that of the card")
    parser.add_argument("--min-hits", type=int, nargs="+", default=[1, 2, 3, 5])
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102, 103])
    parser.add_argument("--frames", type=int, default=100, help="of each rendered drive")
    parser.add_argument("--size", default="540x960", help="HxW of the rendered drives")
    parser.add_argument("--video", type=Path, help="a drive on which nothing is odd")
    given = parser.parse_args()
    model = Model(given.model)
    level = model.threshold() if given.threshold is None else given.threshold
    height, width = map(int, given.size.split("x"))
    found: dict[str, dict[str, dict[str, float]]] = {}
    counts = {min_hits: Count(min_hits) for min_hits in given.min_hits}
    for seed in given.seeds:
        for frame, owner in prefetch(drive(seed, given.frames, (height, width))):
            heat = model(frame.image)
            odd = regions.find(heat, level, heat.size // 10_000)
            for each in counts.values():
                each.add(frame, odd, owner)
        for each in counts.values():
            each.end_drive()
    found["rendered drives"] = {f"min_hits {min_hits}": each.result() for min_hits, each in counts.items()}
    if given.video is not None:
        counts = {min_hits: Count(min_hits) for min_hits in given.min_hits}
        for frame in prefetch(read(find_sources([str(given.video)]))):
            heat = model(frame.image)
            odd = regions.find(heat, level, heat.size // 10_000)
            for each in counts.values():
                each.add(frame, odd, np.zeros(heat.shape, np.int32))
        for each in counts.values():
            each.end_drive()
        found[given.video.name] = {f"min_hits {min_hits}": each.result() for min_hits, each in counts.items()}
    print(f"{model.card.name}, {model.scores[0]} > {level:.4g}, {model.engine}, {model.precision}")
    for place, rows in found.items():
        print(place)
        for name, values in rows.items():
            print(f"  {name:<10} " + "  ".join(f"{key} {value}" for key, value in values.items()))
    print(json.dumps({"model": model.card.name, "sha256": model.sha256, "threshold": level, "score": model.scores[0],
                      "processor": processor(), "versions": versions(), "results": found}))  # fmt: skip


if __name__ == "__main__":
    main()
