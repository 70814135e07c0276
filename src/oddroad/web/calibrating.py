"""Calibration by looking: drives that were judged, without the frames that a person has struck out, to a new card."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from oddroad.calibration.calibrator import Calibrator, FrameFigures
from oddroad.calibration.drives import SCOPES, Drive, alarm_curve, mean_bound, units_of
from oddroad.calibration.fit import calibrated, copies, write_card
from oddroad.calibration.kept import KeptFigures
from oddroad.calibration.thresholds import threshold_for
from oddroad.errors import InputError
from oddroad.roi import Roi
from oddroad.web.desk import Desk
from oddroad.web.reply import Call, Refused, Reply, as_json, download
from oddroad.web.view import View, level_of

POINTS = 120
"""Thresholds of a curve that are told, at most."""

KEPT = 8
"""Calibrations that are remembered."""


@dataclass(frozen=True)
class Chosen:
    """What is calibrated on.

    Attributes:
        views: one a drive, all judged.
        struck: for each view the numbers of the frames that are left out: they hold an anomaly.
        detector: number of the detector.
        confidence: of the guarantees.
        scope: what they speak of.
        roi: region of interest.
    """

    views: list[View]
    struck: Mapping[str, frozenset[int]]
    detector: int
    confidence: float
    scope: str
    roi: Roi

    def numbers(self, view: View) -> list[int]:
        """The frames of a drive that count."""
        left_out = self.struck.get(view.key, frozenset())
        frames = view.kept.frames
        return [each.number for each in frames if each.status == "ok" and each.number not in left_out]

    @property
    def words(self) -> str:
        """What it is, for the card."""
        count = sum(len(each) for each in self.struck.values())
        without = f", without {count} frame{'s' * (count > 1)} struck out by eye" if count else ""
        return " and ".join(each.entry.title for each in self.views) + without


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
    scope = values.get("scope") or SCOPES[len(views) < 2]
    if scope not in SCOPES or (scope == SCOPES[0] and len(views) < 2):
        raise Refused(
            f"'scope' is '{scope}' with {len(views)} drives; expected same-drives, or new-drives with several"
        )
    left_out = {str(key): frozenset(numbers) for key, numbers in struck.items()}
    roi = desk.roi(Call(query={"roi": str(values.get("roi") or "card")})) or desk.detectors[detector].roi
    return Chosen(views, left_out, detector, float(confidence), scope, roi)


def curve(desk: Desk, call: Call) -> Reply:
    """Share of frames with an alarm over the threshold, as seen and as guaranteed, for drives (``views``)."""
    what = chosen(desk, call.json())
    drives, told = [], {}
    for view in what.views:
        everything = replace(what, struck={})
        told[view.key] = list(zip(everything.numbers(view), levels_within(view, everything), strict=True))
        known = np.array([each for each in levels_within(view, what) if each is not None], np.float64)
        if len(known):
            drives.append(Drive(view.entry.title, known))
    if not drives:
        raise Refused("every frame is struck out, or none was judged")
    scope = what.scope if len(drives) > 1 else SCOPES[1]
    units, points = units_of(drives, scope, what.confidence), alarm_curve(drives, scope)
    steps = np.unique(np.geomspace(1, len(points), POINTS).round().astype(int)) - 1
    rates = [each.rate / each.every for each in what.views if each.rate]
    return as_json({
        "units": asdict(units), "scope": scope, "drives": len(drives),
        "frames": sum(len(each.levels) for each in drives),
        "fps": min(rates, default=None),
        "levels": {key: [pair for pair in pairs if pair[1] is not None] for key, pairs in told.items()},
        "points": [
            {"threshold": level, "seen": rate,
             "bound": units.best if rate <= 0 else max(units.best, mean_bound(rate, units.equal, what.confidence))}
            for level, rate in (points[step] for step in steps)
        ],
    })  # fmt: skip


def levels_within(view: View, what: Chosen) -> list[float | None]:
    """The lowest threshold without an alarm of each frame that counts, within the region of interest."""
    detector = view.detectors[what.detector]
    if what.roi.same(detector.roi):
        return [view.kept.frames[number].levels[what.detector] for number in what.numbers(view)]
    held = view.levels.setdefault((what.detector, what.roi), {})
    for number in what.numbers(view):
        if number not in held:
            heat, inside = view.kept.heat(number, what.detector), view.inside(number, what.detector, what.roi)
            held[number] = level_of(heat, detector.min_area, inside)
    return [held[number] for number in what.numbers(view)]


@dataclass
class Calibration:
    """A new card that is being made.

    Attributes:
        total: frames that count.
        done: of them, those whose figures are there.
        state: "working", "done" or "failed".
        error: why it failed, one line.
        meaning: of the new threshold.
        path: the new file; None until it is there.
    """

    total: int
    done: int = 0
    state: str = "working"
    error: str = ""
    meaning: str = ""
    notes: list[str] = field(default_factory=list)
    path: Path | None = None

    def about(self, key: str) -> dict[str, Any]:
        """What the page shows."""
        return {
            "key": key, "total": self.total, "done": self.done, "state": self.state, "error": self.error,
            "meaning": self.meaning, "notes": self.notes,
        }  # fmt: skip


def begin(desk: Desk, call: Call) -> Reply:
    """Make a new card of drives (``views``) with ``rule`` as its threshold; ask for it by the key in the answer."""
    values = call.json()
    what, rule = chosen(desk, values), str(values.get("rule") or "no-alarms")
    if not desk.calibrating.acquire(blocking=False):
        raise Refused("busy, try again: another card is being made", 503, retry=5)
    key, made = secrets.token_urlsafe(9), Calibration(sum(len(what.numbers(each)) for each in what.views))
    desk.calibrations[key] = made
    while len(desk.calibrations) > KEPT:
        old = desk.calibrations.pop(next(iter(desk.calibrations)))
        if old.path is not None:
            old.path.unlink(missing_ok=True)
    threading.Thread(target=work, args=(desk, what, rule, key, made), daemon=True, name="calibrate").start()
    return as_json(made.about(key), 202)


def work(desk: Desk, what: Chosen, rule: str, key: str, made: Calibration) -> None:
    """Gather the figures of every frame and write the file."""
    try:
        detector = desk.detectors[what.detector]
        gathered = Calibrator(detector.min_area)
        for view in what.views:
            for figures in figures_of(view, what, made):
                gathered.keep(figures, view.entry.title)
        for drive, first in copies({detector.score: gathered}).items():
            made.notes.append(f"left out: '{drive}' is frame by frame the same as '{first}'")
            del gathered.drives[drive]
        about = {
            "data": what.words, "date": date.today().isoformat(), "confidence": what.confidence, "coverage": 0.95,
            "scope": what.scope if len(gathered.drives) > 1 else SCOPES[1], "of": "drive",
        }  # fmt: skip
        if within := what.roi.values():
            about["roi"] = within
        card = calibrated(detector.model.card, {detector.score: gathered}, about, rule)
        path = desk.folder / f"calibrated-{key}.onnx"
        write_card(detector.model.path, card, path)
        made.meaning = threshold_for(card, rule, detector.score).meaning
        made.path, made.state = path, "done"
    except InputError as error:
        made.state, made.error = "failed", str(error)
    except BaseException as error:
        made.state, made.error = "failed", f"a fault in oddroad: {type(error).__name__}: {error}"
        raise
    finally:
        desk.calibrating.release()


def made_of(desk: Desk, call: Call) -> Calibration:
    """The calibration of the key in the address.

    Raises:
        Refused: if there is none.
    """
    found = desk.calibrations.get(call.path["key"])
    if found is None:
        raise Refused("there is no such calibration; begin it again", 404)
    return found


def progress(desk: Desk, call: Call) -> Reply:
    """How far a new card is."""
    return as_json(made_of(desk, call).about(call.path["key"]))


def file(desk: Desk, call: Call) -> Reply:
    """The detector's file with its new card."""
    found = made_of(desk, call)
    if found.path is None:
        raise Refused(found.error or "the card is not made yet", 409)
    return download(found.path, "application/octet-stream", "calibrated.onnx")


def figures_of(view: View, what: Chosen, made: Calibration) -> Sequence[FrameFigures]:
    """The figures of the frames of a drive that count; kept beside its maps, so that a second time costs nothing."""
    detector = view.detectors[what.detector]
    key = {"model": detector.model.sha256, "roi": what.roi.values(), "min_area": detector.min_area}
    kept = KeptFigures(view.kept.folder / f"figures-{what.detector}", key)
    found = []
    for number in what.numbers(view):
        held = kept.get(number)
        if held is None:
            inside = view.inside(number, what.detector, what.roi)
            figures = FrameFigures.of(view.kept.heat(number, what.detector), None, detector.min_area, inside)
            held = {detector.score: figures} if figures is not None else {}
            kept.put(number, held)
        found += held.values()
        made.done += 1
    return found
