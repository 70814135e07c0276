"""What a person chose to calibrate on: drives that were judged, less the frames that were struck out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oddroad.calibration.data import drive_of, speed_of
from oddroad.calibration.drives import SCOPES
from oddroad.calibration.following import Following
from oddroad.calibration.update import free_name
from oddroad.detection.tracking import Tracking
from oddroad.errors import counted
from oddroad.roi import Roi
from oddroad.web.desk import Desk
from oddroad.web.reply import Call, Refused
from oddroad.web.view import View


@dataclass(frozen=True)
class Chosen:
    """What is calibrated on.

    Attributes:
        views: of drives, all judged.
        struck: for each view the numbers of the frames that are left out: they hold an anomaly.
        detector: number of the detector.
        confidence: of the guarantees.
        scope: what they speak of.
        roi: region of interest.
        min_hits: of tracks, where alarms are counted by tracks.
    """

    views: list[View]
    struck: Mapping[str, frozenset[int]]
    detector: int
    confidence: float
    scope: str
    roi: Roi
    min_hits: int

    @property
    def drives(self) -> dict[str, list[View]]:
        """The views of each drive, by a name of its own: cameras of one log saw one drive, as in ``calibrate``."""
        return drives_of(self.views)

    def numbers(self, view: View) -> list[int]:
        """The frames of a drive that count."""
        left_out = self.struck.get(view.key, frozenset())
        frames = view.kept.frames
        return [each.number for each in frames if each.status == "ok" and each.number not in left_out]

    @property
    def words(self) -> str:
        """What it is, for the card."""
        count = sum(len(each) for each in self.struck.values())
        without = f", without {counted(count, 'frame')} struck out by eye" if count else ""
        return " and ".join(each.entry.title for each in self.views) + without


def drives_of(views: Sequence[View]) -> dict[str, list[View]]:
    """The views of each drive, by the title of its first, made unique."""
    places: dict[str, list[View]] = {}
    for view in views:
        places.setdefault(drive_of(view.entry.sources[0])[0], []).append(view)
    found: dict[str, list[View]] = {}
    for own in places.values():
        found[free_name(own[0].entry.title, found)] = own
    return found


def chosen(desk: Desk, values: Mapping[str, Any]) -> Chosen:
    """What a request wants to calibrate on.

    Raises:
        Refused: if a drive is not there or not judged yet, or a value is wrong.
    """
    keys, struck = values.get("views"), values.get("struck", {})
    if not isinstance(keys, list) or not keys or not isinstance(struck, dict):
        raise Refused("'views' names no drive; choose one or more")
    views = [desk.views.find(str(each)) for each in dict.fromkeys(map(str, keys))]
    unready = [each.entry.title for each in views if each.state == "working" or not each.done]
    if unready:
        raise Refused(f"'{unready[0]}' is not judged yet; wait for it, or stop it", 409)
    if any(each.entry.live for each in views):
        raise Refused("what is live cannot be looked at again; record it, and calibrate on the recording")
    if not all(isinstance(each, list) and all(isinstance(n, int) for n in each) for each in struck.values()):
        raise Refused("'struck' is no object of lists of numbers")
    detector, confidence = values.get("detector", 0), values.get("confidence", 0.95)
    if detector not in range(len(desk.detectors)):
        raise Refused(f"detector {detector!r} is not there; there are {len(desk.detectors)}")
    if not isinstance(confidence, (int, float)) or not 0 < confidence < 1:
        raise Refused(f"'confidence' is {confidence!r}; expected a share between 0 and 1")
    if len({each.entry.key for each in views}) < len(views):
        raise Refused("a drive is chosen twice; it counts once: leave one out")
    count = len(drives_of(views))
    scope = values.get("scope") or SCOPES[count < 2]
    if scope not in SCOPES or (scope == SCOPES[0] and count < 2):
        raise Refused(
            f"'scope' is '{scope}' with {counted(count, 'drive')}; expected same-drives, or new-drives with several"
        )
    left_out = {str(key): frozenset(numbers) for key, numbers in struck.items()}
    roi = desk.roi(Call(query={"roi": str(values.get("roi") or "card")})) or desk.detectors[detector].roi
    hits = values.get("min_hits", 1)
    if not isinstance(hits, int) or hits < 1:
        raise Refused(f"'min_hits' is {hits!r}; expected a whole number, 1 or more")
    return Chosen(views, left_out, detector, float(confidence), scope, roi, hits)


def followed(what: Chosen) -> Following:
    """Counts the tracks of the chosen drives under the settings that ``calibrate`` takes by default.

    Raises:
        Refused: if they are no drives with times, or were opened with different steps.
    """
    still = next((each.entry.title for each in what.views if each.entry.kind == "images"), None)
    if still is not None:
        raise Refused(
            f"alarms an hour are counted on drives, and '{still}' is of still images; choose videos or driving logs, "
            "or ask for alarms=1/100frames"
        )
    steps = {each.every for each in what.views}
    if len(steps) > 1:
        raise Refused(f"the drives were opened with every {' and '.join(map(str, sorted(steps)))}; open all alike")
    speeds = {name: speed_of(views[0].entry.sources) for name, views in what.drives.items()}
    known = {name: speed for name, speed in speeds.items() if speed is not None}
    return Following(Tracking(what.min_hits, every=steps.pop()), known if len(known) == len(speeds) else None)


def steps_of(what: Chosen) -> dict[str, tuple[float, bool]]:
    """Of each drive, from one frame to the next, and whether that is in seconds; as of CalibrationData."""

    def step(view: View) -> tuple[float, bool]:
        if view.entry.kind == "images":  # all of them are judged
            return 1.0, False
        return (view.every / view.rate, True) if view.rate else (float(view.every), False)

    return {name: step(views[0]) for name, views in what.drives.items()}
