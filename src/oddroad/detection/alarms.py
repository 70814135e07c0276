"""Alarms: what a driver hears once, however long it stays in view."""

from __future__ import annotations

from collections.abc import Sequence

from oddroad.detection.tracking import MAX_AGE, Track, Tracker
from oddroad.types import Region


def starts(track: Track, min_hits: int) -> bool:
    """Whether a track that is seen in a frame raises its alarm there: it is reported for the first time.

    Args:
        track: as it stands after the frame.
        min_hits: frames in which a track must have been seen before it is reported.
    """
    return track.hits == min_hits


class AlarmCounter:
    """Counts the alarms of one sequence of frames after the other, under the tracking settings of ``detect``.

    >>> counter = AlarmCounter(min_hits=2)
    >>> for x in (10, 14, 18):
    ...     found = counter([Region((x, 40, x + 8, 48), 64, 2.0, 3.0)], (0.0, 0.0), 160)
    >>> counter.alarms, found
    (1, [])

    Args:
        min_hits: frames in which a track must have been seen before it is reported.
        max_age: frames in a row in which a track may not be seen before it ends.

    Attributes:
        alarms: in all sequences so far.
        frames: likewise.
    """

    def __init__(self, min_hits: int = 1, max_age: int = MAX_AGE):
        self.min_hits, self.max_age = min_hits, max_age
        self.alarms = self.frames = 0
        self.tracker = Tracker(max_age)

    def restart(self) -> None:
        """The next frame begins another sequence: no track goes on."""
        self.tracker = Tracker(self.max_age)

    def __call__(self, regions: Sequence[Region], shift: tuple[float, float], width: int) -> list[tuple[Region, Track]]:
        """The alarms of the next frame: each region that raises one, with its track.

        Args:
            regions: what was found in the frame, see oddroad.regions.find.
            shift: (x, y) of the picture since the last frame, see oddroad.detection.tracking.CameraShift.
            width: of the frame in pixels.
        """
        tracks = self.tracker.link(regions, shift, width)
        found = [(each, track) for each, track in zip(regions, tracks, strict=True) if starts(track, self.min_hits)]
        self.frames += 1
        self.alarms += len(found)
        return found
