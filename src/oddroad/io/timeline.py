"""Times of frames made monotonic: jumps of a container's time stamps are bridged, and said."""

from __future__ import annotations

HOLE = 5.0
"""Seconds between two frames from which on there is a hole; also at least three frames."""


JUMP = 24 * 3600.0
"""Seconds from which on a step forward is no hole in the recording but another clock."""


EPOCH = (946684800.0, 4102444800.0)
"""Time stamps between the years 2000 and 2100 are UTC."""


class Timeline:
    """Turns a container's time stamps, in the order in which frames are shown, to seconds since the first frame.

    Steps forward are kept: the frames before and after a hole are that far apart. A step back, as where transport
    streams were joined or their clock of 33 bits went round, and a step forward by more than a day say nothing about
    the time between: the next frame follows the last by one interval, and the clock goes on from there.

    Args:
        rate: nominal frames per second, for frames without a time stamp.

    Attributes:
        start: the container's time of the first frame, seconds; None before it.
    """

    def __init__(self, rate: float):
        self.interval = 1 / rate
        self.start: float | None = None
        self.offset = 0.0
        self.last: float | None = None

    def __call__(self, stamp: float | None) -> tuple[float, tuple[float, float | None, str] | None]:
        """The time of the next frame, and the gap before it: where it begins, seconds (None if unknown), and why."""
        if stamp is None:
            stamp = (self.last + self.interval if self.last is not None else 0.0) - self.offset
        if self.start is None or self.last is None:
            self.start, self.offset, self.last = stamp, -stamp, 0.0
            return 0.0, None
        before, now, gap = self.last, stamp + self.offset, None
        step = now - before
        if -min(1.0, 3 * self.interval) <= step < 0:  # rounding, or frames in the wrong order
            now = before
        elif step < 0 or step > JUMP:
            gap = (before, None, f"time stamps jump {'back' if step < 0 else 'ahead'} by {abs(step):.1f} s")
            now = before + self.interval
            self.offset = now - stamp
        elif step > max(HOLE, 3 * self.interval):
            gap = (before, step, f"no frame for {step:.1f} s")
        self.last = now
        return now, gap

    @property
    def utc(self) -> float | None:
        """UTC of the first frame in seconds since 1970, where its time stamp is one; else None."""
        return self.start if self.start is not None and EPOCH[0] < self.start < EPOCH[1] else None
