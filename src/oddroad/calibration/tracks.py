"""Alarms as events: how many tracks start on calm drives, at each threshold and under each smallest number of hits.

While a calibration runs, each frame leaves behind which of some 250 levels its pixels exceed, so that the very regions
that ``detect`` would find can be linked into tracks afterwards at any of the levels, when it is known which of them
matter and what in-distribution pixels score.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from oddroad.calibration.drives import Drive
from oddroad.calibration.event_rates import Exposure, promised_rate
from oddroad.detection.alarms import starts
from oddroad.detection.tracking import CameraShift, Tracker, Tracking
from oddroad.regions import JOINED_ABOVE, InDistribution, boxes
from oddroad.types import Region

LEVELS, GROWTH = 255, 1.03
"""Levels that are told apart, and how much wider each step is than the one below: 60,000 of the first ones in all."""

LOWEST, FINE = 0.98, 20
"""Where the levels begin, as a share of the first frame's pixels; steps from there to the joining contour's level."""

MOST_THRESHOLDS = 32
"""Thresholds at which tracks are counted, at most."""

CALM = 0.1
"""Thresholds begin where so many of the frames have no alarm: below, tracks hardly end."""

HITS = (1, 2, 3, 5, 8)
"""Smallest numbers of hits for which alarms are counted, beside the one that was asked for."""

Curve = list[list[float | None]]
"""Rows of a threshold, the rate an hour promised and seen, the same in 100 km (None where not known), mean delay."""


@dataclass(frozen=True)
class Ladder:
    """The levels: ``base`` and above it steps that widen.

    Attributes:
        base: of the lowest level, in the score's unit.
        step: from it to the next.
    """

    base: float
    step: float

    @classmethod
    def of(cls, heat: np.ndarray, valid: np.ndarray) -> Ladder:
        """The ladder for a score, from its first frame (H, W) and the pixels (H, W) bool that count."""
        values = heat[valid]
        base, high = (float(each) for each in np.quantile(values, (LOWEST, JOINED_ABOVE)))
        return cls(base, max(high - base, 1e-3 * abs(base), 1e-6) / FINE)

    @property
    def levels(self) -> np.ndarray:
        """(LEVELS,) float32, rising."""
        return np.unique((self.base + self.step * (GROWTH ** np.arange(LEVELS) - 1) / (GROWTH - 1)).astype(np.float32))

    def pack(self, heat: np.ndarray, inside: np.ndarray | None) -> np.ndarray:
        """How many levels each pixel of a map (H, W) exceeds, compressed, (n,) uint8; none outside of the region."""
        levels = self.levels
        above = heat > levels[0] if inside is None else (heat > levels[0]) & inside
        exceeded = np.zeros(heat.shape, np.uint8)
        exceeded[above] = np.searchsorted(levels, heat[above], side="left")
        return np.frombuffer(zlib.compress(exceeded.tobytes(), 1), np.uint8)


def unpack(packed: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """How many levels each pixel exceeds, (H, W) uint8."""
    return np.frombuffer(zlib.decompress(packed.tobytes()), np.uint8).reshape(size)


@dataclass(frozen=True)
class Moment:
    """Where and when a frame was, for its tracks.

    Attributes:
        drive: its drive.
        time: seconds.
        piece: frames of one piece follow each other; with another one every track ends.
        size: (H, W) of the frame.
        shift: (x, y) of the picture since the frame before, in pixels.
    """

    drive: str
    time: float
    piece: int | str
    size: tuple[int, int]
    shift: tuple[float, float]


class Moments:
    """Gathers the moments of the frames of drives, in their order."""

    def __init__(self) -> None:
        self.all: list[Moment] = []
        self.camera = CameraShift()

    def add(self, image: np.ndarray, drive: str, time: float, piece: int) -> None:
        """The next frame, (H, W, 3) uint8."""
        before = self.all[-1] if self.all else None
        if before is None or (before.drive, before.piece) != (drive, piece):
            self.camera = CameraShift()
        size = (image.shape[0], image.shape[1])
        self.all.append(Moment(drive, time, piece, size, self.camera(image)))

    def seconds(self) -> np.ndarray:
        """(n,) for how long each frame stands: until the next of its piece; the last one for the median of these."""
        times = np.array([each.time for each in self.all])
        same = np.array(
            [(a.drive, a.piece) == (b.drive, b.piece) for a, b in zip(self.all, self.all[1:], strict=False)]
        )
        steps = np.diff(times)
        usual = float(np.median(steps[same])) if same.any() else 0.0
        return np.append(np.where(same, steps, usual), usual)


class TrackCounts:
    """Alarms of frames at thresholds and under smallest numbers of hits.

    Args:
        thresholds: rising indices into the ladder's levels.
        hits: smallest numbers of hits.
        count: of frames.

    Attributes:
        alarms: (thresholds, hits, frames) alarms that start.
        delays: for each pair the frames from a track's first hit to its alarm, summed.
    """

    def __init__(self, thresholds: Sequence[int], hits: Sequence[int], count: int):
        self.thresholds, self.hits = list(thresholds), list(hits)
        self.alarms = np.zeros((len(self.thresholds), len(self.hits), count), np.int32)
        self.delays = np.zeros((len(self.thresholds), len(self.hits)))

    def fill(
        self,
        frames: Sequence[np.ndarray | None],
        moments: Sequence[Moment],
        join: int,
        max_age: int,
        min_area: int | None,
    ) -> None:
        """Link the regions of all frames at all thresholds.

        Args:
            frames: packed, of a ladder; None for frames without a region.
            moments: of the frames.
            join: index of the level of the contour that joins parts of an object.
            max_age: of tracks.
            min_area: of regions, in pixels; None for 1 in 10,000 of the frame.
        """
        trackers, first = [Tracker(max_age) for _ in self.thresholds], [{} for _ in self.thresholds]
        before = None
        for number, (packed, now) in enumerate(zip(frames, moments, strict=True)):
            if before is None or (before.drive, before.piece) != (now.drive, now.piece):
                trackers, first = [Tracker(max_age) for _ in self.thresholds], [{} for _ in self.thresholds]
            before = now
            exceeded = np.zeros(now.size, np.uint8) if packed is None else unpack(packed, now.size)
            least = exceeded.size // 10_000 if min_area is None else min_area
            x, y, width, height = cv2.boundingRect((exceeded > min(self.thresholds[0], join)).view(np.uint8))
            exceeded = exceeded[y : y + height, x : x + width]
            for place, threshold in enumerate(self.thresholds):
                above = exceeded > threshold
                low = exceeded > join if join < threshold else None
                found = boxes(above, low, least) if above.any() else []
                regions = [Region((a + x, b + y, c + x, d + y), 1, 0.0, 0.0) for a, b, c, d in found]
                if not regions and not trackers[place].tracks:
                    continue
                for track in trackers[place].link(regions, now.shift, now.size[1]):
                    began = first[place].setdefault(track.id, number)
                    for column, hits in enumerate(self.hits):
                        if starts(track, hits):
                            self.alarms[place, column, number] += 1
                            self.delays[place, column] += number - began


def alarm_curves(
    frames: Sequence[np.ndarray | None],
    moments: Moments,
    ladder: Ladder,
    levels: Sequence[float],
    in_distribution: InDistribution,
    tracking: Tracking,
    scope: str,
    confidence: float,
    min_area: int | None,
    kilometres: Mapping[str, float] | None = None,
) -> tuple[dict[str, Curve], Exposure, float, float]:
    """For each smallest number of hits, a curve of thresholds; see ``Curve``.

    Args:
        frames: packed; None for frames without a region of interest.
        moments: of the frames.
        ladder: of the score.
        levels: (n,) the lowest thresholds without an alarm, of the frames that have one.
        in_distribution: what pixels score.
        tracking: settings.
        scope: what the promise speaks of, one of oddroad.calibration.drives.SCOPES.
        confidence: of the promise.
        min_area: of regions.
        kilometres: driven per hour, of each drive; None where it is not known.

    Returns:
        the curves by hits, the units with their hours, how many 100 km they drove (NaN where that is not known), and
        the level of the contour that joins parts of an object.
    """
    heights = ladder.levels
    top = int(np.searchsorted(heights, max(levels), side="left"))  # the lowest level without an alarm on all frames
    bottom = int(np.searchsorted(heights, np.quantile(levels, CALM), side="left")) - 1
    bottom = min(max(bottom, 0), top)
    chosen = np.unique(np.linspace(bottom, min(top, len(heights) - 1), MOST_THRESHOLDS).round().astype(int))
    join = int(np.clip(np.searchsorted(heights, in_distribution.quantile(JOINED_ABOVE)), 0, len(heights) - 1))
    hits = sorted({*HITS, tracking.min_hits})
    counts = TrackCounts(chosen.tolist(), hits, len(moments.all))
    counts.fill(frames, moments.all, join, tracking.max_age, min_area)
    units, exposure, kilo = exposures(frames, moments, levels, scope, kilometres)
    curves: dict[str, Curve] = {}
    for column, least in enumerate(hits):
        rows: Curve = []
        for place in reversed(range(len(chosen))):
            alarms = np.array([counts.alarms[place, column, each].sum() for each in units], float)
            total = alarms.sum()
            rows.append([
                float(heights[chosen[place]]), promised_rate(alarms, exposure, confidence),
                exposure.mean(alarms / exposure.lengths),
                None if kilo is None else promised_rate(alarms, kilo, confidence),
                None if kilo is None else kilo.mean(alarms / kilo.lengths),
                counts.delays[place, column] / total if total else None,
            ])  # fmt: skip
        curves[str(least)] = rows
    return curves, exposure, math.nan if kilo is None else kilo.total, float(heights[join])


def exposures(
    frames: Sequence[np.ndarray | None],
    moments: Moments,
    levels: Sequence[float],
    scope: str,
    kilometres: Mapping[str, float] | None,
) -> tuple[list[np.ndarray], Exposure, Exposure | None]:
    """The frames of each unit, what they drove in hours, and in 100 km where that is known; see ``alarm_curves``."""
    seconds, names = moments.seconds(), np.array([each.drive for each in moments.all])
    judged = np.array([each is not None for each in frames])
    every = np.full(len(names), np.nan)
    every[judged] = levels
    units: list[np.ndarray] = []
    block = 0
    for name in dict.fromkeys(names.tolist()):
        own = np.flatnonzero(names == name)
        parts = 1
        if scope != "new-drives" and judged[own].any():
            parts = Drive(name, every[own][judged[own]]).blocks
        units += np.array_split(own, parts)
        block = max(block, -(-len(own) // parts))
    units = [each for each in units if seconds[each].sum() > 0]
    alike = scope == "new-drives"
    hours = np.array([seconds[each].sum() / 3600 for each in units])
    exposure = Exposure(hours, alike, None if alike else block)
    if kilometres is None:
        return units, exposure, None
    driven = np.array([hour * kilometres[str(names[each[0]])] / 100 for hour, each in zip(hours, units, strict=True)])
    return units, exposure, Exposure(driven, alike, exposure.block) if (driven > 0).all() else None
