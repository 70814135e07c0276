"""Thresholds from in-distribution frames, written into the card."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from oddroad.calibration.calibrator import Calibrator, enough_frames
from oddroad.calibration.data import CalibrationData
from oddroad.calibration.kept import KeptFigures
from oddroad.calibration.thresholds import basis, check_threshold, threshold_for
from oddroad.card import Card
from oddroad.errors import InputError
from oddroad.files import write_whole
from oddroad.inference.integrity import with_card
from oddroad.inference.model import Model


def find_thresholds(
    model: Model,
    data: CalibrationData,
    scores: Sequence[str] = (),
    rule: str = "fpr=0.1%",
    confidence: float = 0.95,
    coverage: float = 0.95,
    min_area: int | None = None,
    progress: Callable[[], None] = lambda: None,
    keep: Path | None = None,
) -> Card:
    """The Card of a detector with what in-distribution frames score under it, and with default thresholds.

    Args:
        model: the detector; it runs once on every frame, at the frame's own size.
        data: frames without an anomaly; pixels labelled IGNORE are left out.
        scores: names of the detector's scores; all where empty.
        rule: the default threshold, in the language of ``oddroad.calibration.thresholds``.
        confidence: of every guarantee.
        coverage: share of new frames that a false-positive rate of pixels holds for.
        min_area: pixels of the smallest false alarm; 1 in 10,000 of the frame's pixels if None.
        progress: called after each frame.
        keep: folder for the figures of each frame, from which an interrupted calibration goes on; None keeps none.

    Raises:
        InputError: if a score does not exist, or the frames are too few for confidence and rule; where their number is
            known, that is said before the first of them is judged.
    """
    names = [model.pick_score(name) for name in scores] or list(model.scores)
    check_options(rule, confidence, coverage, min_area, data.count)
    made_of = {"model": model.sha256, "engine": model.engine, "scores": names, "min_area": min_area}
    kept = None if keep is None or not data.identity else KeptFigures(keep, {**made_of, "data": data.identity})
    gathered = {name: Calibrator(min_area) for name in names}
    for number, (image, label) in enumerate(data.frames()):
        figures = None if kept is None else kept.get(number)
        if figures is None:
            maps = model.maps(image, names)
            found = {name: gathered[name].add(maps[name], label) for name in names}
            if kept is not None:
                kept.put(number, {name: each for name, each in found.items() if each is not None})
        else:
            for name, each in figures.items():
                gathered[name].frames.append(each)
        progress()
    about = {
        "data": data.words, "date": date.today().isoformat(), "confidence": confidence, "coverage": coverage,
    }  # fmt: skip
    return calibrated(model.card, gathered, about, rule)


def check_options(rule: str, confidence: float, coverage: float, min_area: int | None, frames: int | None) -> None:
    """Refuse what cannot work, before any work.

    Args:
        rule: the default threshold.
        confidence: of every guarantee.
        coverage: share of new frames that a false-positive rate of pixels holds for.
        min_area: pixels of the smallest false alarm, or None.
        frames: how many there are, or None where that is not known.

    Raises:
        InputError: naming the option.
    """
    if not 0 < confidence < 1:
        raise InputError(f"--confidence is {confidence:g}; expected a share between 0 and 1, such as 0.95")
    if min_area is not None and min_area < 1:
        raise InputError(f"--min-area is {min_area}; expected 1 pixel or more")
    check_threshold(rule, frames, confidence)
    if frames is not None:
        enough_frames(frames, coverage, confidence)


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


def calibrated(card: Card, gathered: Mapping[str, Calibrator], about: Mapping[str, Any], rule: str) -> Card:
    """The Card with calibration and default thresholds.

    Args:
        card: of the detector.
        gathered: for each score, its in-distribution frames.
        about: ``data`` in words, ``date``, ``confidence``, ``coverage``.
        rule: the default threshold in the language of this module.

    Raises:
        InputError: if the frames are too few for the confidence or the rule.
    """
    first = next(iter(gathered.values()))
    scores = {name: each.result(about["confidence"], about["coverage"]) for name, each in gathered.items()}
    calibration = {**about, "frames": len(first.frames), "min_area": first.min_area, "scores": scores}
    card = replace(card, calibration=calibration)
    defaults = {name: threshold_for(card, rule, name).value for name in gathered}
    return replace(card, thresholds={**card.thresholds, **defaults}, threshold_meaning=f"{rule}; {basis(calibration)}")
