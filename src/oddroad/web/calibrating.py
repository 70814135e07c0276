"""Calibration by looking: drives that were judged, without the frames that a person has struck out, to a new card."""

from __future__ import annotations

import secrets
import threading
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from oddroad.calibration.calibrator import Calibrator, FrameFigures
from oddroad.calibration.drives import SCOPES, Drive, alarm_curve, mean_bound, units_of
from oddroad.calibration.fit import calibrated, leave_out_copies, write_card
from oddroad.calibration.following import Following
from oddroad.calibration.kept import KeptFigures
from oddroad.calibration.thresholds import parse_threshold, threshold_for
from oddroad.calibration.tracks import Moment
from oddroad.errors import InputError
from oddroad.web.chosen import Chosen, chosen, followed, steps_of
from oddroad.web.desk import Desk
from oddroad.web.reply import Call, Refused, Reply, as_json, download, failure
from oddroad.web.view import View, level_of

POINTS = 120
"""Thresholds of a curve that are told, at most."""

KEPT = 8
"""Calibrations that are remembered."""


def curve(desk: Desk, call: Call) -> Reply:
    """Share of frames with an alarm over the threshold, as seen and as guaranteed, for drives (``views``)."""
    what = chosen(desk, call.json())
    drives, told = [], {}
    for name, views in what.drives.items():
        levels: list[float] = []
        for view in views:
            everything = replace(what, struck={})
            told[view.key] = list(zip(everything.numbers(view), levels_within(view, everything), strict=True))
            levels += [each for each in levels_within(view, what) if each is not None]
        if levels:
            drives.append(Drive(name, np.array(levels, np.float64)))
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
    following = followed(what) if values.get("tracks") or parse_threshold(rule)[0] in ("hour", "100km") else None
    if not desk.calibrating.acquire(blocking=False):
        raise Refused("busy, try again: another card is being made", 503, retry=5)
    key, made = secrets.token_urlsafe(9), Calibration(sum(len(what.numbers(each)) for each in what.views))
    desk.calibrations[key] = made
    while len(desk.calibrations) > KEPT:
        old = desk.calibrations.pop(next(iter(desk.calibrations)))
        if old.path is not None:
            old.path.unlink(missing_ok=True)
    threading.Thread(target=work, args=(desk, what, rule, following, key, made), daemon=True, name="calibrate").start()
    return as_json(made.about(key), 202)


def work(desk: Desk, what: Chosen, rule: str, following: Following | None, key: str, made: Calibration) -> None:
    """Gather the figures of every frame and write the file."""
    try:
        detector = desk.detectors[what.detector]
        gathered = {detector.score: Calibrator(detector.min_area)}
        for name, views in what.drives.items():
            for view in views:
                for figures in figures_of(view, what, name, following, made):
                    gathered[detector.score].keep(figures, name)
        leave_out_copies(gathered, made.notes.append)
        about = {
            "data": what.words, "date": date.today().isoformat(), "confidence": what.confidence, "coverage": 0.95,
            "scope": what.scope if len(gathered[detector.score].drives) > 1 else SCOPES[1], "of": "drive",
        }  # fmt: skip
        if within := what.roi.values():
            about["roi"] = within
        card = calibrated(detector.model.card, gathered, about, rule, following, steps_of(what))
        path = desk.folder / f"calibrated-{key}.onnx"
        write_card(detector.model.path, card, path)
        made.meaning = threshold_for(card, rule, detector.score).meaning
        made.path, made.state = path, "done"
    except BaseException as error:
        made.state, made.error = "failed", failure(error)
        if not isinstance(error, InputError):
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


def figures_of(
    view: View, what: Chosen, drive: str, following: Following | None, made: Calibration
) -> Iterator[FrameFigures]:
    """The figures of the frames of a drive that count; kept beside its maps, so that a second time costs nothing.

    Args:
        view: of the drive.
        what: is calibrated on.
        drive: its name.
        following: is shown every frame; with what was struck out, every track ends. None counts no tracks.
        made: is told how far it is.
    """
    detector = view.detectors[what.detector]
    score, key = (
        detector.score,
        {"model": detector.model.sha256, "roi": what.roi.values(), "min_area": detector.min_area},
    )
    kept = KeptFigures(view.kept.folder / f"figures-{what.detector}", key)
    left_out = sorted(what.struck.get(view.key, ()))
    for number in what.numbers(view):
        frame = view.kept.frames[number]
        held = kept.get(number)
        heat = inside = None
        if held is None or following is not None:
            heat, inside = view.kept.heat(number, what.detector), view.inside(number, what.detector, what.roi)
        if held is None:
            assert heat is not None
            figures = FrameFigures.of(heat, None, detector.min_area, inside)
            held = {score: replace(figures, statistics=frame.statistics[what.detector])} if figures is not None else {}
            kept.put(number, held)
        figures = held.get(score)
        if following is not None:
            assert heat is not None
            if frame.time is None:
                raise InputError(f"'{drive}' has no time stamps, without which alarms an hour cannot be counted")
            piece = f"{view.key} {frame.source} {bisect_left(left_out, number)}"
            following.seen(Moment(drive, frame.time, piece, frame.size, frame.shift))
            following.figures(score, following.packed(score, figures, heat, inside))
        made.done += 1
        if figures is not None:
            yield figures
