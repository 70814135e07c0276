"""Regions linked over the frames of a video: a track has an identity, hits and a mean score.

A region continues the track whose predicted place is nearest. The prediction is the track's own motion plus
the shift of the whole picture since the last frame, so that a camera that shakes or turns loses nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from oddroad.types import Frame, Region

MAX_AGE = 2
"""Frames in a row in which a track may not be seen before it ends."""


SLACK = 0.01
"""Distance, as a share of the frame's width, that a region may be off its prediction whatever its size."""


LARGEST_RATIO = 3.0
"""Most that the diagonals of a prediction and of its region may differ, as a ratio."""


SMALL = (96, 160)
"""(rows, columns) at which the shift of the picture is measured."""


MIN_RESPONSE = 0.15
"""Least response of the phase correlation, from 0 to 1, at which a shift counts."""


@dataclass(frozen=True)
class Tracking:
    """The settings that decide what an alarm is; every verb takes them from the card where none are given.

    Attributes:
        min_hits: frames in which a track must have been seen before it is reported.
        max_age: frames in a row in which a track may not be seen before it ends.
        every: every n-th frame of a video is judged.
    """

    min_hits: int = 1
    max_age: int = MAX_AGE
    every: int = 1

    @classmethod
    def of(
        cls,
        calibration: Mapping[str, Any],
        min_hits: int | None = None,
        max_age: int | None = None,
        every: int | None = None,
    ) -> Tracking:
        """As given; where None, as the alarms of a card were counted, or the defaults.

        >>> Tracking.of({"tracking": {"min_hits": 3, "max_age": 4, "every": 2}}, max_age=5)
        Tracking(min_hits=3, max_age=5, every=2)

        Args:
            calibration: of the card; may be empty.
            min_hits: as given.
            max_age: as given.
            every: as given.
        """
        own, given = calibration.get("tracking", {}), {"min_hits": min_hits, "max_age": max_age, "every": every}
        known = {name: own[name] for name in given if name in own}
        return cls(**known | {name: each for name, each in given.items() if each is not None})


@dataclass
class Track:
    """One anomaly through the frames of a video.

    Attributes:
        id: 1, 2, 3, ... in the order of appearance.
        box: (x0, y0, x1, y1) where it was last seen, in pixels; x1 and y1 lie just outside.
        hits: number of frames in which it was seen.
        mean: mean over those frames of the region's mean score.
        time_since_update: frames since it was last seen.
        velocity: (x, y) motion of its centre in pixels a frame, that of the picture taken off.
    """

    id: int
    box: tuple[int, int, int, int]
    hits: int
    mean: float
    time_since_update: int = 0
    velocity: tuple[float, float] = (0.0, 0.0)


def place(box: tuple[int, int, int, int]) -> tuple[float, float, float]:
    """Centre x, centre y and diagonal of a box, in pixels."""
    x0, y0, x1, y1 = box
    return (x0 + x1) / 2, (y0 + y1) / 2, math.hypot(x1 - x0, y1 - y0)


def shift_between(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """Shift (x, y) of a picture in its own pixels, (0, 0) where it is not clear.

    Args:
        before: (h, w) float32.
        after: (h, w) float32.
    """
    window = cv2.createHanningWindow((before.shape[1], before.shape[0]), cv2.CV_32F)
    (x, y), response = cv2.phaseCorrelate(before.copy(), after.copy(), window)  # it multiplies what it gets in place
    return (x, y) if response >= MIN_RESPONSE else (0.0, 0.0)


class CameraShift:
    """How far the picture of one video moves from frame to frame; several trackers may share what it measures."""

    def __init__(self) -> None:
        self.before: np.ndarray | None = None

    def __call__(self, image: np.ndarray, wanted: bool = True) -> tuple[float, float]:
        """Shift (x, y) since the last frame in pixels; (0, 0) of the first, where it is not clear, or not wanted.

        Args:
            image: (H, W, 3) uint8, the next frame.
            wanted: whether the shift is needed; the frame is remembered in any case.
        """
        rows, columns = SMALL
        grey = cv2.cvtColor(cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
        before, self.before = self.before, grey.astype(np.float32)
        if before is None or not wanted:
            return 0.0, 0.0
        x, y = shift_between(before, self.before)
        return x * image.shape[1] / columns, y * image.shape[0] / rows


class Tracker:
    """Links the regions of successive frames of one video.

    >>> tracker, image = Tracker(), np.zeros((90, 160, 3), np.uint8)
    >>> for x in (10, 14, 18):
    ...     (track,) = tracker.update(image, [Region((x, 40, x + 8, 48), 64, 2.0, 3.0)])
    >>> track.id, track.hits, track.velocity
    (1, 3, (4.0, 0.0))

    Args:
        max_age: frames in a row in which a track may not be seen before it ends.
        count: highest number that is taken; the next track has the one after it.

    Attributes:
        tracks: those that have not ended.
    """

    def __init__(self, max_age: int = MAX_AGE, count: int = 0) -> None:
        self.tracks: list[Track] = []
        self.count, self.max_age = count, max_age
        self.camera = CameraShift()

    def update(self, image: np.ndarray, regions: Sequence[Region]) -> list[Track]:
        """The track of each region of the next frame, in the order of the regions.

        Args:
            image: (H, W, 3) uint8, the frame.
            regions: what was found in it.
        """
        return self.link(regions, self.camera(image, bool(self.tracks)), image.shape[1])

    def link(self, regions: Sequence[Region], shift: tuple[float, float], width: int) -> list[Track]:
        """The same with a shift of the picture that was measured before.

        Args:
            regions: what was found in the next frame.
            shift: (x, y) of the picture since the last frame, in pixels; without a track it says nothing.
            width: of the frame.
        """
        for each in self.tracks:
            each.time_since_update += 1
        found: dict[int, Track] = {}
        for _, number, track in sorted(self.pairs(regions, shift, width), key=lambda pair: pair[0]):
            if number not in found and track.time_since_update > 0:
                follow(track, regions[number], shift)
                found[number] = track
        for track in self.tracks:
            if track.time_since_update:  # it goes with the picture until it is seen again
                x, y = shift
                x0, y0, x1, y1 = track.box
                track.box = (round(x0 + x), round(y0 + y), round(x1 + x), round(y1 + y))
        self.tracks = [each for each in self.tracks if each.time_since_update <= self.max_age]
        for number, region in enumerate(regions):
            if number not in found:
                self.count += 1
                found[number] = Track(self.count, region.box, 1, region.mean)
                self.tracks.append(found[number])
        return [found[number] for number in range(len(regions))]

    def pairs(
        self, regions: Sequence[Region], shift: tuple[float, float], width: int
    ) -> list[tuple[float, int, Track]]:
        """Which region may continue which track: the distance as a share of what is allowed, its number, the track."""
        found: list[tuple[float, int, Track]] = []
        for track in self.tracks:
            x, y, diagonal = place(track.box)
            x += shift[0] + track.velocity[0] * track.time_since_update
            y += shift[1] + track.velocity[1] * track.time_since_update
            for number, region in enumerate(regions):
                at_x, at_y, size = place(region.box)
                reach = SLACK * width * track.time_since_update + 0.35 * (diagonal + size)
                off = math.hypot(at_x - x, at_y - y) / reach
                if off <= 1 and max(size / diagonal, diagonal / size) <= LARGEST_RATIO:
                    found.append((off, number, track))
        return found


def follow(track: Track, region: Region, shift: tuple[float, float]) -> None:
    """Continue a track by a region, in place; ``shift`` is that of the picture since the last frame."""
    x, y, _ = place(track.box)
    at_x, at_y, _ = place(region.box)
    step_x, step_y = (at_x - x - shift[0]) / track.time_since_update, (at_y - y - shift[1]) / track.time_since_update
    weight = 1.0 if track.hits == 1 else 0.5
    track.velocity = (
        track.velocity[0] + weight * (step_x - track.velocity[0]),
        track.velocity[1] + weight * (step_y - track.velocity[1]),
    )
    track.mean += (region.mean - track.mean) / (track.hits + 1)
    track.box, track.time_since_update, track.hits = region.box, 0, track.hits + 1


class ConfirmedTracks:
    """Regions of frames in their order -> those to be reported, each with its track.

    Args:
        min_hits: frames in which a track must have been seen before its regions are reported.
        max_age: frames in a row in which a track may not be seen before it ends.
        count: highest number that is taken in the first source.
    """

    def __init__(self, min_hits: int, max_age: int = MAX_AGE, count: int = 0):
        self.min_hits, self.max_age, self.source = min_hits, max_age, ""
        self.tracker = Tracker(max_age, count)

    def __call__(self, frame: Frame, found: list[Region]) -> tuple[list[Region], list[Track]]:
        """The reported regions of a frame and copies of their tracks; still images have none."""
        if frame.time is None:
            return found, []
        source = frame.source
        if source != self.source:
            self.tracker = self.tracker if not self.source else Tracker(self.max_age)
            self.source = source
        pairs = list(zip(found, self.tracker.update(frame.image, found), strict=True))
        kept = [(region, track) for region, track in pairs if track.hits >= self.min_hits]
        return [region for region, _ in kept], [replace(track) for _, track in kept]
