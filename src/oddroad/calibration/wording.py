"""Guarantees in words: rates, what they speak of, and what they rest on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from oddroad.calibration.drives import Units
from oddroad.errors import counted
from oddroad.roi import Roi


def basis(calibration: Mapping[str, Any], units: Units) -> str:
    """What a guarantee speaks of and rests on: scope, drives, independent units, confidence, frames, data, date."""
    drives, of = calibration["drives"], calibration["of"]
    frames = counted(calibration["frames"], "frame")
    rests = f"{calibration['confidence']:.0%} confidence, from {frames} of {calibration['data']}"
    return f"{spoken_of(calibration['scope'], drives, of, units)}; {rests} ({calibration['date']})"


def spoken_of(scope: str, drives: int, of: str, units: Units) -> str:
    """What a guarantee speaks of, and the independent units behind it."""
    if scope == "new-drives":
        return f"for new {of}s like these {drives}, each counting alike"
    parts = "later parts" if of == "drive" else "other scenes"
    these = f"this {of}" if drives == 1 else f"these {drives} {of}s"
    return f"for {parts} of {these}, {blocks(units)}"


def blocks(units: Units) -> str:
    """The independent blocks in words, of units that are blocks."""
    return f"{counted(units.count, 'independent block')} of up to {counted(units.block or 0, 'frame')}"


def where(calibration: Mapping[str, Any]) -> str:
    """The region of interest that a guarantee speaks of, in words; "" for the whole picture."""
    roi = Roi.of(calibration)
    return "" if roi.kind == "all" else f" within {roi.words}"


def in_100(rate: float) -> str:
    """A share in words, rounded up: "4.2 in 100"."""
    digits = 2 if rate < 0.1 else 3
    scale = 10 ** (digits - 1 - math.floor(math.log10(100 * rate)))
    return f"{math.ceil(100 * rate * scale - 1e-6) / scale:.{digits}g} in 100"


def alarm_words(calibration: Mapping[str, Any]) -> str:
    """What counts as a false alarm, and where: "a false alarm of 70 pixels or more within the road"."""
    pixels = calibration["min_area"]
    area = "1 in 10,000 pixels" if pixels is None else counted(pixels, "pixel")
    return f"a false alarm of {area} or more{where(calibration)}"
