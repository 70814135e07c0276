"""Thresholds from in-distribution frames, written into the card."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from oddroad.calibration.calibrator import Calibrator, FrameFigures
from oddroad.calibration.data import CalibrationData
from oddroad.calibration.drift_reference import DriveStatistics, drift_reference
from oddroad.calibration.drives import SCOPES
from oddroad.calibration.following import Following
from oddroad.calibration.kept import KeptFigures
from oddroad.calibration.record import content_of, record_of
from oddroad.calibration.thresholds import check_threshold, threshold_for
from oddroad.card import Card
from oddroad.errors import InputError, counted
from oddroad.files import write_whole
from oddroad.inference.integrity import with_card
from oddroad.inference.model import Model
from oddroad.roi import Roi


def find_thresholds(
    model: Model,
    data: CalibrationData,
    scores: Sequence[str] = (),
    rule: str = "no-alarms",
    confidence: float = 0.95,
    coverage: float = 0.95,
    min_area: int | None = None,
    progress: Callable[[], None] = lambda: None,
    keep: Path | None = None,
    scope: str | None = None,
    note: Callable[[str], None] = lambda _: None,
    roi: Roi | None = None,
    following: Following | None = None,
) -> Card:
    """The Card of a detector with what in-distribution frames score under it, and with default thresholds.

    Args:
        model: the detector; it runs once on every frame, at the frame's own size.
        data: frames without an anomaly, drive by drive; pixels labelled IGNORE are left out.
        scores: names of the detector's scores; all where empty.
        rule: the default threshold, in the language of ``oddroad.calibration.thresholds``.
        confidence: of every guarantee.
        coverage: share of new frames that a false-positive rate of pixels holds for.
        min_area: pixels of the smallest false alarm; 1 in 10,000 of the frame's pixels if None.
        progress: called after each frame.
        keep: folder for the figures of each frame, from which an interrupted calibration goes on; None keeps none.
        scope: what the guarantees speak of, one of SCOPES; None for new drives where there are two or more.
        note: is told what was left out.
        following: counts tracks for promises of alarms an hour; None counts none.
        roi: region of interest, within which the guarantees hold; the whole picture if None, whatever the Card has.

    Raises:
        InputError: if a score or the region does not exist, or the data are too few for confidence and rule; where that
            is known, it is said before the first frame is judged, and after it the figures are kept.
    """
    names = [model.pick_score(name) for name in scores] or list(model.scores)
    about = {
        "data": data.words, "date": date.today().isoformat(), "confidence": confidence, "coverage": coverage,
        "scope": scope or SCOPES[len(data.drives) < 2], "of": data.of,
    }  # fmt: skip
    roi = model.roi(roi or Roi())
    if within := roi.values():
        about["roi"] = within
    check_options(rule, {**about, "drives": len(data.drives), "frames": data.count}, min_area)
    made_of = {"model": model.sha256, "engine": model.engine, "scores": names, "min_area": min_area, "roi": within}
    made_of["followed"] = following is not None
    kept = None if keep is None or not data.identity else KeptFigures(keep, {**made_of, "data": data.identity})
    gathered = judged(model, data, names, min_area, kept, progress, note, roi, following)
    for drive in data.drives:
        if drive not in gathered[names[0]].drives:
            note(f"left out: '{drive}' holds no frame that could be judged")
    leave_out_copies(gathered, note)
    if scope is None and len(gathered[names[0]].drives) < 2:
        about["scope"] = SCOPES[1]
    try:
        return calibrated(model.card, gathered, about, rule, following, data.steps)
    except InputError as error:
        if kept is None or not kept.count():
            raise
        raise InputError(
            f"{error}; the figures are kept for the same command with another threshold or scope"
        ) from None


def judged(
    model: Model,
    data: CalibrationData,
    names: Sequence[str],
    min_area: int | None,
    kept: KeptFigures | None,
    progress: Callable[[], None],
    note: Callable[[str], None],
    roi: Roi,
    following: Following | None = None,
) -> dict[str, Calibrator]:
    """For each score, what the frames say, drive by drive; those whose figures were kept are not run again."""
    gathered, empty = {name: Calibrator(min_area) for name in names}, 0
    number, enlarged, sees = -1, 0, model.card.size or (0, 0)
    for number, (image, label, drive) in enumerate(data.frames()):
        enlarged += image.shape[0] < sees[0] or image.shape[1] < sees[1]
        if following is not None:
            following.frame(image, drive, data.moments[-1])
        figures = None if kept is None else kept.get(number)
        if figures is None:
            maps, inside = model.maps_inside(image, names, roi)
            seen = image if data.steps else None
            found = {name: FrameFigures.of(maps[name], label, min_area, inside, seen) for name in names}
            if following is not None:
                found = {name: following.packed(name, found[name], maps[name], inside) for name in names}
            figures = {name: each for name, each in found.items() if each is not None}
            if kept is not None:
                kept.put(number, figures)
        for name, each in figures.items():
            gathered[name].keep(each, drive)
        if following is not None:
            for name in names:
                following.figures(name, figures.get(name))
        empty += not figures
        progress()
    if roi.kind != "all" and empty:
        note(f"left out: {counted(empty, 'frame')} in which nothing lies within {roi.words}")
    if enlarged:
        note(
            f"{enlarged} of {counted(number + 1, 'frame')} {'is' if enlarged == 1 else 'are'} smaller than the "
            f"{sees[0]}x{sees[1]} that the detector sees: a sharper camera may have more alarms than these say"
        )
    return gathered


def copies(gathered: Mapping[str, Calibrator], known: Mapping[str, str] | None = None) -> dict[str, str]:
    """Drives that score frame by frame the same as an earlier one under every score, and that one's name.

    Args:
        gathered: for each score, its drives.
        known: content, as of ``content_of``, and name of drives that count already.
    """
    found, result = dict(known or {}), {}
    for drive in next(iter(gathered.values())).drives:
        content = content_of(gathered, drive)
        if content in found:
            result[drive] = found[content]
        found.setdefault(content, drive)
    return result


def leave_out_copies(
    gathered: Mapping[str, Calibrator], note: Callable[[str], None], known: Mapping[str, str] | None = None
) -> None:
    """Leave out drives that are copies, see ``copies``, and say so."""
    for drive, first in copies(gathered, known).items():
        note(f"left out: '{drive}' is frame by frame the same as '{first}'")
        for each in gathered.values():
            del each.drives[drive]


def check_options(rule: str, about: Mapping[str, Any], min_area: int | None) -> None:
    """Refuse what cannot work, before any work.

    Args:
        rule: the default threshold.
        about: as of ``check_threshold``.
        min_area: pixels of the smallest false alarm, or None.

    Raises:
        InputError: naming the option.
    """
    confidence, scope = about["confidence"], about["scope"]
    if not 0 < confidence < 1:
        raise InputError(f"--confidence is {confidence:g}; expected a share between 0 and 1, such as 0.95")
    if min_area is not None and min_area < 1:
        raise InputError(f"--min-area is {min_area}; expected 1 pixel or more")
    if scope not in SCOPES:
        raise InputError(f"--scope is '{scope}'; expected {' or '.join(SCOPES)}")
    if scope == "new-drives" and about["drives"] < 2:
        raise InputError(
            f"--scope new-drives with {about['drives']} {about['of']}; expected two or more: one says nothing of others"
        )
    check_threshold(rule, about)


def write_card(source: Path, card: Card, out: Path) -> None:
    """Write a copy of an .onnx file with another Card and its digest; the copy appears whole or not at all.

    Raises:
        InputError: if the source is no ONNX file, or the copy cannot be written.
    """
    try:
        data = with_card(source.read_bytes(), card)
    except ValueError as error:
        raise InputError(f"'{source}' is no ONNX file ({error})") from None
    write_whole(out, data, "calibrated model")


def calibrated(
    card: Card,
    gathered: Mapping[str, Calibrator],
    about: Mapping[str, Any],
    rule: str,
    following: Following | None = None,
    steps: Mapping[str, tuple[float, bool]] | None = None,
) -> Card:
    """The Card with calibration and default thresholds.

    Args:
        card: of the detector.
        gathered: for each score, its in-distribution frames.
        about: ``data`` in words, ``date``, ``confidence``, ``coverage``, ``scope``, ``of`` ("drive" or "place").
        rule: the default threshold in the language of ``oddroad.calibration.thresholds``.
        following: the frames for the count of tracks; None counts none.
        steps: of each drive, from one frame to the next, as of CalibrationData; None where they are no drives.

    Raises:
        InputError: if the data are too few for the confidence or the rule.
    """
    first = next(iter(gathered.values()))
    check_options(rule, {**about, "drives": len(first.drives), "frames": first.count}, first.min_area)
    scores = {
        name: each.result(about["scope"], about["confidence"], about["coverage"]) for name, each in gathered.items()
    }
    if steps:
        scores = {name: {**each, "drift": drift_of(gathered[name], steps)} for name, each in scores.items()}
    calibration = {
        **about, "frames": first.count, "drives": len(first.drives), "min_area": first.min_area, "rule": rule,
        "scores": scores,
    }  # fmt: skip
    if following is not None:
        calibration["tracking"] = following.settings()
        for name, each in gathered.items():
            levels = [frame.alarm for frames in each.drives.values() for frame in frames]
            scores[name]["tracks"] = following.result(name, scores[name], levels, each.drives, calibration)
    if steps:
        calibration["record"] = record_of(gathered, steps)
    card = replace(card, calibration=calibration)
    found = {name: threshold_for(card, rule, name) for name in gathered}
    thresholds = {**card.thresholds, **{name: each.value for name, each in found.items()}}
    meaning = f"{rule}: {' / '.join(each.meaning for each in found.values())}"
    return replace(card, thresholds=thresholds, threshold_meaning=meaning)


def drift_of(gathered: Calibrator, steps: Mapping[str, tuple[float, bool]]) -> dict[str, Any]:
    """What drift is measured against, as of ``drift_reference``."""
    return drift_reference(
        [
            DriveStatistics(name, np.array([each.statistics for each in frames]), *steps[name])
            for name, frames in gathered.drives.items()
        ]
    )
