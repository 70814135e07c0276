"""What a detection run did, for people and as the last line of its results."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from oddroad.detection.drift_monitor import drift_words
from oddroad.errors import counted
from oddroad.io.reading import ReadReport


@dataclass
class Summary:
    """What a run did.

    Attributes:
        frames: frames judged.
        with_regions: of them, those with at least one region.
        without_roi: of them, those in which the region of interest is empty, so that nothing was looked at.
        damaged: frames that were read but are not what the camera saw; they are not judged.
        dropped: frames of a live source that were left out because a newer one was there.
        lost: names of live sources that did not come back.
        seconds: from the first frame to the last.
        milliseconds: sum over the frames, by stage.
        reading: what could not be read, and why; gaps; notes.
        earlier: of the frames, those that an interrupted run had done before this one went on with it.
        drift: whether the frames still look like those of the calibration, as of oddroad.detection.drift_monitor; empty
            where nobody asked.
        drift_first: the line of the first drift alarm of this run.
        drift_before: drift alarms that the interrupted run had raised.
    """

    frames: int = 0
    with_regions: int = 0
    without_roi: int = 0
    damaged: int = 0
    dropped: int = 0
    lost: list[str] = field(default_factory=list)
    seconds: float = 0.0
    milliseconds: dict[str, float] = field(default_factory=dict)
    reading: ReadReport = field(default_factory=ReadReport)
    earlier: int = 0
    drift: dict[str, Any] = field(default_factory=dict)
    drift_first: dict[str, Any] | None = None
    drift_before: int = 0

    @property
    def rate(self) -> float:
        """Frames per second of this run, everything included."""
        return (self.frames + self.damaged - self.earlier) / self.seconds if self.seconds else 0.0

    def add(self, values: dict[str, Any]) -> None:
        """Count a frame by its line."""
        if values["status"] != "ok":
            self.damaged += 1
        if values["regions"] is not None:
            self.frames += 1
            self.with_regions += bool(values["regions"])
            self.without_roi += values.get("roi_share") == 0
        for stage, value in values.get("milliseconds", {}).items():
            self.milliseconds[stage] = self.milliseconds.get(stage, 0.0) + value

    def text(self) -> str:
        """The summary in one line; that nothing was found and that nothing was seen are never the same words."""
        if not self.frames:
            words = "no frames"
            if self.damaged:
                every = "the only frame is" if self.damaged == 1 else f"all {self.damaged} frames are"
                words = f"NOTHING WAS JUDGED: {every} damaged"
        else:
            found = f"{self.with_regions} with anomalies" if self.with_regions else "no anomaly found"
            words = f"{counted(self.frames, 'frame')} judged, {found}"
            if self.damaged:
                words += f"; {counted(self.damaged, 'damaged frame')} NOT judged"
            if self.without_roi:
                words += f"; in {self.without_roi} of them NOTHING WAS LOOKED AT: their region of interest is empty"
        words += f"; {self.rate:.1f} FPS"
        if gaps := len(self.reading.gaps):
            words += f"; {counted(gaps, 'gap')} without frames"
        if self.lost:
            words += f"; lost: {', '.join(self.lost)}"
        if self.dropped:
            words += f"; dropped {counted(self.dropped, 'older frame')} to keep up"
        if count := len(self.reading.skipped):
            shown = "; ".join(self.reading.skipped[:3]) + ("; ..." if count > 3 else "")
            words += f"; skipped {count}: {shown}"
        if self.drift:
            words += f"; {drift_words(self.drift, self.drift_first)}"
        return words

    def line(self) -> dict[str, Any]:
        """The last line of the results."""
        return {
            "type": "summary",
            "frames": self.frames,
            "with_regions": self.with_regions,
            "without_roi": self.without_roi,
            "damaged": self.damaged,
            "lost": self.lost,
            "dropped": self.dropped,
            "gaps": len(self.reading.gaps),
            "seconds": round(self.seconds, 3),
            "fps": round(self.rate, 2),
            "skipped": self.reading.skipped,
            "notes": self.reading.notes,
            "drift": self.drift,
        }
