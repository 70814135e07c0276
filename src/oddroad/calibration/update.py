"""Add recent drives to the calibration in a card: thresholds and guarantees are those of all drives together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from oddroad.calibration.calibrator import Calibrator
from oddroad.calibration.data import CalibrationData
from oddroad.calibration.drives import SCOPES
from oddroad.calibration.fit import calibrated, check_options, judged, leave_out_copies
from oddroad.calibration.kept import KeptFigures
from oddroad.calibration.record import read_record
from oddroad.card import Card
from oddroad.errors import InputError, counted
from oddroad.inference.model import Model

MOST_FINDINGS = 0.2
"""Share of a drive's frames that may have a finding at the threshold until now; of more it is not taken in."""


def updated(
    model: Model,
    data: CalibrationData,
    rule: str | None = None,
    confidence: float | None = None,
    scope: str | None = None,
    progress: Callable[[], None] = lambda: None,
    keep: Path | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> Card:
    """The Card of a calibrated detector with more drives; what is None stays as it is in the card.

    The result is what calibrating on all the drives at once would give, but for the kept score quantiles, which are
    interpolated.

    Args:
        model: a detector that was calibrated on drives.
        data: drives without an anomaly that are not in its calibration.
        rule: the default threshold, in the language of ``oddroad.calibration.thresholds``.
        confidence: of every guarantee.
        scope: what the guarantees speak of; None for new drives, unless the card speaks of the same several drives.
        progress: called after each frame.
        keep: folder for the figures of each frame, from which an interrupted update goes on; None keeps none.
        note: is told what was left out, and what changes.

    Raises:
        InputError: if the card holds no drives, the data are no new drives, too many of their frames have a finding, or
            they are too few for the rule.
    """
    before = model.card.calibration
    check_record(model.card, data)
    names, min_area = list(before["scores"]), before["min_area"]
    known, steps = read_record(before["record"], min_area)
    several = before["drives"] > 1
    roi = model.roi()
    about = {
        "data": f"{before['data']} and {data.words}", "date": date.today().isoformat(),
        "confidence": before["confidence"] if confidence is None else confidence, "coverage": before["coverage"],
        "scope": scope or (before["scope"] if several else SCOPES[0]), "of": "drive",
    }  # fmt: skip
    if within := roi.values():
        about["roi"] = within
    rule = str(before["rule"]) if rule is None else rule
    frames = None if data.count is None else before["frames"] + data.count
    check_options(rule, {**about, "drives": before["drives"] + len(data.drives), "frames": frames}, min_area)
    made_of = {
        "model": model.sha256, "engine": model.engine, "scores": names, "min_area": min_area, "data": data.identity,
        "roi": within,
    }  # fmt: skip
    kept = None if keep is None or not data.identity else KeptFigures(keep, made_of)
    gathered = judged(model, data, names, min_area, kept, progress, note, roi)
    contents = {each["content"]: each["name"] for each in before["record"]["drives"]}
    leave_out_copies(gathered, note, contents)
    if not gathered[names[0]].drives:
        raise InputError(
            f"{data.words}: no frame could be judged that the calibration does not hold already; give another drive"
        )
    check_clean(model.card, gathered, known, note)
    for drive in list(gathered[names[0]].drives):
        free = free_name(drive, steps)
        steps[free] = data.steps[drive]
        for name in names:
            known[name].drives[free] = gathered[name].drives[drive]
    card = calibrated(model.card, known, about, rule, steps=steps)
    for name in names:
        note(
            f"{name}: threshold {model.card.thresholds[name]:.6g} until now, {card.thresholds[name]:.6g} from now on; "
            f"drives {before['drives']} until now, {card.calibration['drives']} from now on"
        )
    return card


def check_record(card: Card, data: CalibrationData) -> None:
    """Refuse what cannot be updated, before any work.

    Raises:
        InputError: if the card holds no drives, or the data are none.
    """
    if not card.calibration:
        raise InputError(f"'{card.name}' is not calibrated, so there is nothing to update; leave --update out")
    if "record" not in card.calibration:
        raise InputError(
            f"'{card.name}' was calibrated on {card.calibration['data']}, not on drives of a camera that others could "
            "be added to; leave --update out to calibrate it on your drives"
        )
    if "tracking" in card.calibration:
        raise InputError(
            f"'{card.name}' was calibrated for alarms an hour or in 100 km, which are counted on the frames "
            "themselves; calibrate on all drives together, without --update"
        )
    if not data.steps:
        raise InputError(f"--update adds drives, and {data.words} is a data set; give videos, logs or folders")


def free_name(drive: str, taken: Mapping[str, Any]) -> str:
    """A name that no other drive has: two drives of different days may have been read from the same file name."""
    name, number = drive, 1
    while name in taken:
        number += 1
        name = f"{drive} ({number})"
    return name


def check_clean(
    card: Card, gathered: Mapping[str, Calibrator], known: Mapping[str, Calibrator], note: Callable[[str], None]
) -> None:
    """Refuse drives on which the detector finds much; say where it finds something.

    Args:
        card: until now.
        gathered: the new drives, for each score.
        known: those that are in the card.
        note: is told of findings.

    Raises:
        InputError: naming the drive, the frames and what to do.
    """
    name = next(iter(gathered))
    threshold = card.thresholds[name]
    usual = max(sum(each.alarm > threshold for each in frames) / len(frames) for frames in known[name].drives.values())
    for drive, frames in gathered[name].drives.items():
        found = [number for number, each in enumerate(frames) if each.alarm > threshold]
        if len(found) > MOST_FINDINGS * len(frames):
            raise InputError(
                f"'{drive}' is not clean enough to be taken in: a finding on {len(found)} of its "
                f"{counted(len(frames), 'frame')} at the threshold until now ({name} > {threshold:.6g}), of the "
                "drives before on at most "
                f"{usual:.0%}; look at them with 'oddroad detect'. If nothing on them is an anomaly, the camera has "
                "changed: calibrate on all drives without --update"
            )
        if found:
            note(
                f"'{drive}': a finding on {len(found)} of {counted(len(frames), 'frame')} at the threshold until "
                "now; look at them: an anomaly among them makes the new threshold miss such anomalies"
            )
