"""Sequences of frames: objects and alarms as events, and whether a prediction stays where the truth stays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from oddroad.datasets import DATASETS, read_image
from oddroad.detection.alarms import starts
from oddroad.detection.tracking import CameraShift, Track, Tracker, Tracking
from oddroad.errors import InputError
from oddroad.evaluation.judged import Truth
from oddroad.evaluation.passes import load_or_compute, read_truth, region_of_interest, resize_map
from oddroad.evaluation.predictors import Predictor
from oddroad.evaluation.workers import Settings
from oddroad.metrics import ConsistencyMetric, EventMetric
from oddroad.regions import InDistribution
from oddroad.types import Region, Sample

TRUTH_MAX_AGE = 5
"""Frames in a row in which an object may be hidden before it counts as another one when it is seen again."""


@dataclass
class VideoCounts:
    """Counts of sequences at one threshold.

    Attributes:
        threshold: of the score.
        events: objects and alarms.
        consistency: VC and VC*.
    """

    threshold: float
    events: EventMetric = field(default_factory=EventMetric)
    consistency: ConsistencyMetric = field(default_factory=ConsistencyMetric)

    @property
    def parts(self) -> tuple[EventMetric, ConsistencyMetric]:
        """Both."""
        return self.events, self.consistency

    def result(self) -> dict[str, float]:
        """The figures of both."""
        return self.events.result() | self.consistency.result()


class Objects:
    """The objects of one sequence: anomalies of the truth, linked over its frames like findings.

    Attributes:
        since: object -> the first frame in which it is large enough to be one.
    """

    def __init__(self) -> None:
        self.tracker = Tracker(TRUTH_MAX_AGE)
        self.since: dict[int, int] = {}

    def link(self, truth: Truth, shift: tuple[float, float], number: int) -> np.ndarray:
        """The object (N + 1,) of each anomaly of the next frame; 0 for none, and for one that is still too small.

        Args:
            truth: of the frame.
            shift: of the picture since the last frame.
            number: of the frame.
        """
        found = outlines(truth.labels)
        owner = np.zeros(len(truth.large), int)
        for at, track in enumerate(self.tracker.link(found, shift, truth.labels.shape[1]), start=1):
            if truth.large[at]:
                self.since.setdefault(track.id, number)
            owner[at] = track.id if track.id in self.since else 0
        return owner


def outlines(labels: np.ndarray) -> list[Region]:
    """The components 1, 2, ... of labels (H, W) as regions, without a score."""
    from scipy.ndimage import find_objects

    found = []
    for number, (rows, columns) in enumerate(find_objects(labels), start=1):
        box = columns.start, rows.start, columns.stop, rows.stop
        found.append(Region(box, int(np.count_nonzero(labels[rows, columns] == number)), 0.0, 0.0))
    return found


class Events:
    """Objects and alarms of one sequence at one threshold.

    An alarm is a track when it is reported first, as ``detect`` does: seen in ``min_hits`` frames. It is a false one if
    none of its regions so far lies on an anomaly. An object is found in the first frame in which a reported region lies
    on it, from its own first frame on.

    Args:
        min_hits: frames in which a track must have been seen before it is reported.
        max_age: frames in a row in which a track may not be seen before it ends.
    """

    def __init__(self, min_hits: int, max_age: int):
        self.min_hits, self.tracker = min_hits, Tracker(max_age)
        self.touched: set[int] = set()
        self.found: dict[int, int] = {}
        self.alarms = self.false = 0

    def add(
        self, regions: Sequence[Region], under: Sequence[np.ndarray], owner: np.ndarray, shift: tuple[float, float],
        number: int,
    ) -> None:  # fmt: skip
        """Count the next frame.

        Args:
            regions: what was found in it.
            under: for each, the numbers of the anomalies on which it lies.
            owner: object of each anomaly, see ``Objects.link``.
            shift: of the picture since the last frame.
            number: of the frame.
        """
        tracks: list[Track] = self.tracker.link(regions, shift, regions[0].size[1] if regions else 1)
        for track, anomalies in zip(tracks, under, strict=True):
            if len(anomalies):
                self.touched.add(track.id)
            if starts(track, self.min_hits):
                self.alarms += 1
                self.false += track.id not in self.touched
            if track.hits >= self.min_hits:
                for each in set(owner[anomalies].tolist()) - {0}:
                    self.found.setdefault(each, number)
        self.touched &= {each.id for each in self.tracker.tracks}

    def result(self, since: Mapping[int, int], frames: int, rate: float | None) -> EventMetric:
        """The counts of the whole sequence.

        Args:
            since: object -> its first frame.
            frames: of the sequence.
            rate: frames per second; None where it is not known.
        """
        late = sum(number - since[each] for each, number in self.found.items())
        a_frame = 1 / rate if rate else math.nan
        return EventMetric(
            len(since), len(self.found), late, late * a_frame, self.alarms, self.false, frames, frames * a_frame
        )


def sequences_of(samples: Sequence[Sample]) -> dict[str, list[Sample]]:
    """The frames of each sequence of two frames or more, in their order."""
    found: dict[str, list[Sample]] = {}
    for each in samples:
        if each.sequence:
            found.setdefault(each.sequence, []).append(each)
    return {name: each for name, each in found.items() if len(each) > 1}


def video_pass(
    predictor: Predictor,
    settings: Settings,
    samples: Sequence[Sample],
    dataset: str,
    thresholds: Mapping[str, list[float]],
) -> dict[str, list[VideoCounts]]:
    """Counts of one sequence, frame after frame: score -> one for each threshold.

    Args:
        predictor: gives the maps.
        settings: how.
        samples: the frames in their order.
        dataset: name of their set.
        thresholds: score -> thresholds.

    Raises:
        InputError: if a frame cannot be read, or has another size than the first.
    """
    objects, camera, size = Objects(), CameraShift(), ()
    counts = {name: [VideoCounts(each) for each in values] for name, values in thresholds.items()}
    card = predictor.card
    tracking = Tracking.of({} if card is None else card.calibration, settings.min_hits, settings.max_age)
    events = {name: [Events(tracking.min_hits, tracking.max_age) for _ in each] for name, each in counts.items()}
    least = None if card is None else card.calibration.get("min_area")
    levels = {name: InDistribution.of(card, name) if card is not None else None for name in counts}
    for number, sample in enumerate(samples):
        label, _ = read_truth(settings, sample)
        if (size := size or label.shape) != label.shape:
            raise InputError(
                f"frame '{sample.name}' of sequence '{sample.sequence}' is {label.shape[0]} x {label.shape[1]} and its "
                f"first one {size[0]} x {size[1]}; the frames of one drive have one size"
            )
        x, y = camera(image := read_image(sample))
        shift = x * label.shape[1] / image.shape[1], y * label.shape[0] / image.shape[0]
        truth = Truth.of(label, DATASETS[dataset].min_sizes[1])
        owner = objects.link(truth, shift, number)
        roi = region_of_interest(predictor, settings, sample, dataset, label.shape)
        maps, _ = load_or_compute(predictor, settings, sample, dataset, label.shape)
        for name, heat in maps.items():
            heat = resize_map(heat, label.shape, sample.name, double=settings.exact)
            for each, event in zip(counts[name], events[name], strict=True):
                found = truth.reported(heat, each.threshold, levels[name], roi, least)
                event.add(found, [truth.under(one) for one in found], owner, shift, number)
                above = heat > each.threshold
                each.consistency.add(above if roi is None else above & roi, label)
    rate = settings.fps or samples[0].fps
    for name, values in counts.items():
        for each, event in zip(values, events[name], strict=True):
            each.events = event.result(objects.since, len(samples), rate)
            each.consistency.restart()  # what is sent from a worker holds counts alone
    return counts
