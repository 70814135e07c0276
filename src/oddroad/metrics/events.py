"""Objects and alarms of drives, each counted once however long it stays in view."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass
class EventMetric:
    """Objects found, how late, and alarms of drives at one threshold under one setting of tracking.

    Attributes:
        objects: those that came into sight; each is one, in however many frames it is seen.
        found: those for which an alarm was raised.
        late_frames: sum over the found ones of the frames from the first in which it is seen to that of the alarm.
        late_seconds: the same in seconds; NaN where the frames per second are not known.
        alarms: tracks that were reported.
        false: those of them that lay on no anomaly before or when they were reported.
        frames: of all drives.
        seconds: of all drives; NaN where the frames per second are not known.
    """

    objects: int = 0
    found: int = 0
    late_frames: int = 0
    late_seconds: float = 0.0
    alarms: int = 0
    false: int = 0
    frames: int = 0
    seconds: float = 0.0

    def merge(self, other: EventMetric) -> None:
        """Add the counts of other drives."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))

    def without(self, part: EventMetric) -> EventMetric:
        """The counts less those of a part of them."""
        return EventMetric(*(getattr(self, each.name) - getattr(part, each.name) for each in fields(self)))

    def result(self) -> dict[str, float]:
        """Figures of all drives.

        Returns:
            ``event_recall`` share of the objects that are found; ``delay_frames`` and ``delay_seconds`` means over the
            found ones; ``alarms_per_hour`` and of these ``false_alarms_per_hour``; each NaN where there is nothing to
            count, or the frames per second are not known; ``false_alarms_per_100_frames``; and the counts
            ``event_objects``, ``alarms``, ``false_alarms``, ``frames``, ``seconds``.
        """

        def ratio(value: float, of: float) -> float:
            return value / of if of else float("nan")

        return {
            "event_recall": ratio(self.found, self.objects),
            "delay_frames": ratio(self.late_frames, self.found),
            "delay_seconds": ratio(self.late_seconds, self.found),
            "alarms_per_hour": ratio(3600.0 * self.alarms, self.seconds),
            "false_alarms_per_hour": ratio(3600.0 * self.false, self.seconds),
            "false_alarms_per_100_frames": ratio(100.0 * self.false, self.frames),
            "event_objects": float(self.objects),
            "alarms": float(self.alarms),
            "false_alarms": float(self.false),
            "frames": float(self.frames),
            "seconds": float(self.seconds),
        }

    def weights(self) -> dict[str, tuple[float, ...]]:
        """What each figure is a mean over."""
        objects, found, frames = (float(self.objects),), (float(self.found),), (float(self.frames),)
        return {
            "event_recall": objects,
            "delay_frames": found,
            "delay_seconds": found,
            "alarms_per_hour": frames,
            "false_alarms_per_hour": frames,
            "false_alarms_per_100_frames": frames,
        }

    def steps(self) -> dict[str, float]:
        """By how much one object or alarm changes each figure; 0 where nothing bounds it."""
        an_hour = 3600.0 / self.seconds if self.seconds else float("nan")
        return {
            "event_recall": 1 / max(self.objects, 1),
            "delay_frames": 0.0,
            "delay_seconds": 0.0,
            "alarms_per_hour": an_hour,
            "false_alarms_per_hour": an_hour,
            "false_alarms_per_100_frames": 100.0 / max(self.frames, 1),
        }
