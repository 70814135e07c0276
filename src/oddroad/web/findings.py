"""Regions and tracks of a view at one threshold, found once and gone on with as frames come."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from oddroad.detection.alarms import starts
from oddroad.detection.tracking import MAX_AGE, Track, Tracker
from oddroad.regions import find
from oddroad.roi import Roi
from oddroad.types import Region
from oddroad.web.view import View, level_of

KEPT = 6
"""Settings whose findings are kept for a view."""


@dataclass(frozen=True)
class Setting:
    """What decides on the findings.

    Attributes:
        detector: number of the detector.
        threshold: a pixel is anomalous above it.
        min_area: pixels of the smallest region; None for the card's, or 1 in 10,000 of the image's.
        roi: region of interest; the card's where None.
        max_age: frames in a row that a track may miss before it ends.
    """

    detector: int
    threshold: float
    min_area: int | None = None
    roi: Roi | None = None
    max_age: int = MAX_AGE


Found = list[tuple[Region, Track | None]]
"""The regions of a frame, each with a copy of its track after the frame; still images have none."""


class Findings:
    """What is found in the frames of a view, in their order; all regions, whatever their hits.

    Args:
        view: whose maps are looked at.
        setting: at which threshold.
    """

    def __init__(self, view: View, setting: Setting):
        self.view, self.setting = view, setting
        self.frames: list[Found | None] = []
        self.source, self.tracker = "", Tracker(setting.max_age)
        self.going = threading.Lock()

    def extend(self, end: int, go_on: Callable[[], bool] = lambda: True) -> int:
        """Find in further frames, up to ``end``; returns how many are done.

        Args:
            end: number of the first frame that is not wanted.
            go_on: asked before each frame.
        """
        with self.going:
            while len(self.frames) < min(end, self.view.done) and go_on():
                self.frames.append(self.of(len(self.frames)))
            return len(self.frames)

    def of(self, number: int) -> Found | None:
        """The findings of the next frame; None where it was not judged or is not there any more."""
        frame, setting = self.view.kept.frames[number], self.setting
        if frame.status != "ok" or number < self.view.kept.first:
            return None
        level = frame.levels[setting.detector]
        as_judged = setting.min_area is None and setting.roi is None
        quiet = as_judged and level is not None and level <= setting.threshold
        regions: list[Region] = []
        if not quiet:  # the map is not even read where the level says that there is nothing
            detector = self.view.detectors[setting.detector]
            least = detector.min_area if setting.min_area is None else setting.min_area
            heat, inside = self.view.kept.heat(number, setting.detector), self.inside(number)
            regions = find(heat, setting.threshold, least, detector.in_distribution, inside)
        if frame.time is None:
            return [(each, None) for each in regions]
        if frame.source != self.source:
            self.source, self.tracker = frame.source, Tracker(setting.max_age)
        tracks = self.tracker.link(regions, frame.shift, frame.size[1])
        return [(region, replace(track)) for region, track in zip(regions, tracks, strict=True)]

    def inside(self, number: int) -> np.ndarray | None:
        """The pixels (H, W) bool of a frame that count; None for all."""
        return self.view.inside(number, self.setting.detector, self.setting.roi)

    def reported(self, number: int, min_hits: int) -> tuple[list[Region] | None, list[Track]]:
        """What ``oddroad detect --min-hits`` reports of a frame: regions (None where not judged) and their tracks."""
        found = self.frames[number]
        if found is None:
            return None, []
        kept = [(region, track) for region, track in found if track is None or track.hits >= min_hits]
        return [region for region, _ in kept], [track for _, track in kept if track is not None]

    def alarms(self, min_hits: int) -> Iterator[int]:
        """Numbers of the frames in which an alarm begins; of still images each with a region."""
        for number, found in enumerate(self.frames):
            if any(track is None or starts(track, min_hits) for _, track in found or ()):
                yield number


class FindingsOf:
    """The findings of a view at the settings that were asked for last."""

    def __init__(self, view: View):
        self.view = view
        self.held: OrderedDict[Setting, Findings] = OrderedDict()
        self.guarding = threading.Lock()

    def at(self, setting: Setting) -> Findings:
        """The findings at a setting, as far as they are."""
        with self.guarding:
            if setting not in self.held:
                self.held[setting] = Findings(self.view, setting)
                while len(self.held) > KEPT:
                    self.held.popitem(last=False)
            self.held.move_to_end(setting)
            return self.held[setting]


def levels_of(view: View, setting: Setting, since: int, end: int) -> list[float | None]:
    """The lowest threshold without an alarm of each frame, for another area or region of interest than the card's."""
    kept, found, detector = view.kept, [], setting.detector
    least = view.detectors[detector].min_area if setting.min_area is None else setting.min_area
    for number in range(max(since, 0), min(end, view.done)):
        judged = kept.frames[number].status == "ok" and number >= kept.first
        found.append(
            level_of(kept.heat(number, detector), least, view.inside(number, detector, setting.roi)) if judged else None
        )
    return found
