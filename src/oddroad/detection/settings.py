"""How a detection run works, and which settings are impossible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from oddroad.detection.drawing import Style
from oddroad.detection.drift_monitor import DEFAULT_RATE
from oddroad.errors import InputError
from oddroad.io.reading import ReadOptions
from oddroad.io.sources import Source
from oddroad.roi import Roi


@dataclass(frozen=True)
class Settings:
    """How a detection run works; the options of ``oddroad detect``.

    Attributes:
        score: one of the model's scores; its default where None.
        threshold: in the score's unit; the card's where None.
        threshold_meaning: of the threshold, in words.
        min_area: regions of fewer pixels are left out; where None, the card's, or 1 in 10,000 of the image's pixels.
        roi: region of interest, outside of which nothing is reported; the card's where None.
        every: of moving sources, judge every n-th frame; where None, as the card's alarms were counted, or every one.
        save: any of "overlay", "maps", "masks".
        min_hits: of moving sources, report only tracks with at least so many hits; see oddroad.detection.tracking.
            Where None, as the card's alarms were counted, or 1.
        max_age: frames in a row that a track may miss before it ends; where None, the card's, or MAX_AGE.
        latest: of live sources, judge the newest frame there is and drop older ones.
        max_frames: stop after so many frames; None for all.
        style: of the overlays.
        rotate: time or size after which the results go on in another folder, such as "10min" or "500MB"; "" for never.
        stdout: write the lines to standard output, too.
        resume: go on with an unfinished run of the same settings.
        heartbeat: seconds between signs of life in the lines of live sources; 0 for none.
        drift: rate of false alarms of the test whether frames still look like the calibration; None to not test.
        reading: how sources are read.
    """

    score: str | None = None
    threshold: float | None = None
    threshold_meaning: str = ""
    min_area: int | None = None
    roi: Roi | None = None
    every: int | None = None
    save: tuple[str, ...] = ("overlay",)
    min_hits: int | None = None
    max_age: int | None = None
    latest: bool = False
    max_frames: int | None = None
    style: Style = field(default_factory=Style)
    rotate: str = ""
    stdout: bool = False
    resume: bool = False
    heartbeat: float = 60.0
    drift: float | None = DEFAULT_RATE
    reading: ReadOptions = field(default_factory=ReadOptions)

    def with_threshold(self, value: float, meaning: str) -> Settings:
        """The same with a threshold and its meaning in words."""
        return replace(self, threshold=value, threshold_meaning=meaning)

    def for_results(self) -> dict[str, Any]:
        """Those that change what is found, as the first line states them."""
        names = ("min_area", "every", "min_hits", "max_age", "latest", "save", "drift")
        values = {name: getattr(self, name) for name in names}
        roi = None if self.roi is None else self.roi.values()
        return values | {
            "save": list(self.save), "roi": roi, "stream": self.reading.stream, "style": asdict(self.style),
        }  # fmt: skip


def check_settings(sources: Sequence[Source], settings: Settings) -> None:
    """Raise InputError if a setting is impossible for the sources."""
    if settings.every is not None and settings.every < 1:
        raise InputError(f"--every is {settings.every}; expected 1 or more")
    if settings.min_area is not None and settings.min_area < 0:
        raise InputError(f"--min-area is {settings.min_area}; expected a number of pixels")
    if settings.min_hits is not None and settings.min_hits < 1:
        raise InputError(f"--min-hits is {settings.min_hits}; expected a number of frames, 1 or more")
    if settings.max_age is not None and settings.max_age < 0:
        raise InputError(f"--max-age is {settings.max_age}; expected a number of frames")
    if settings.max_frames is not None and settings.max_frames < 1:
        raise InputError(f"--max-frames is {settings.max_frames}; expected 1 or more")
    if not 0 <= settings.style.alpha <= 1:
        raise InputError(f"--alpha is {settings.style.alpha}; expected 0 to 1")
    if settings.heartbeat < 0:
        raise InputError(f"--heartbeat is {settings.heartbeat}; expected seconds, 0 for none")
    still = next((each.name for each in sources if not each.moving), None)
    if (settings.min_hits or 1) > 1 and still is not None:
        raise InputError(f"--min-hits links the frames of videos, cameras and streams; '{still}' is a still image")
    stored = next((each.name for each in sources if not each.live), None)
    if settings.latest and stored is not None:
        raise InputError(f"--latest is for cameras and streams; '{stored}' is a file, of which no frame is late")
    live = next((each.name for each in sources if each.live), None)
    if settings.resume and live is not None:
        raise InputError(f"--resume is for files, which can be read again; '{live}' is live")
    if settings.resume and (settings.rotate or settings.stdout):
        raise InputError("--resume goes on with one file of lines; leave --rotate and --stdout away")
