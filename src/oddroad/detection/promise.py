"""What a run takes from the card, so that what the card guarantees holds of it, and where it does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from oddroad.calibration.event_thresholds import counts_tracks
from oddroad.card import Card
from oddroad.detection.tracking import MAX_AGE
from oddroad.errors import counted
from oddroad.io.sources import Source
from oddroad.io.video import probe
from oddroad.roi import Roi

if TYPE_CHECKING:
    from oddroad.detection.settings import Settings


OTHER_RATE = 0.1
"""Share by which the frames per second may differ from those that alarms were counted at."""


def completed(settings: Settings, card: Card, sources: Sequence[Source] = ()) -> tuple[Settings, list[str]]:
    """Settings with the card's where none were given, and what was given otherwise than the card's guarantee takes it.

    Args:
        settings: of the run.
        card: of the detector.
        sources: that are read.

    Returns:
        the settings, and the differences in words; none for a card without a calibration.
    """
    known = card.calibration
    own = Roi.of(known)
    roi = own if settings.roi is None else settings.roi
    broken = []
    if known and not roi.same(own):
        broken.append(f"it was calibrated within {own.words} and this run looks at {roi.words}")
    least = known.get("min_area") if settings.min_area is None else settings.min_area
    if known and least != known.get("min_area"):
        broken.append(
            f"it was calibrated for false alarms of {area(known.get('min_area'))} and this run reports {area(least)}"
        )
    own = {"min_hits": 1, "max_age": MAX_AGE, "every": 1} | known.get("tracking", {})
    tracking = {
        name: own[name] if getattr(settings, name) is None else getattr(settings, name)
        for name in ("min_hits", "max_age", "every")
    }
    if counts_tracks(settings.threshold_meaning or card.threshold_meaning):
        for name, value in tracking.items():
            by_itself = name == "min_hits" and settings.threshold is not None  # looked up for these hits
            if value != own[name] and not by_itself:
                option = f"--{name.replace('_', '-')}"
                broken.append(f"its alarms were counted with {option} {own[name]} and this run has {value}")
        broken += other_rates(sources, own["rate"], tracking["every"], own["every"])
    return replace(settings, roi=roi, min_area=least, **tracking), broken


def other_rates(sources: Sequence[Source], rate: float, every: int, own: int) -> list[str]:
    """What does not hold for sources whose frames do not follow each other as those did that alarms were counted on.

    Args:
        sources: that are read.
        rate: frames per second that were judged then.
        every: every n-th frame is judged.
        own: likewise then.
    """
    if still := next((each.name for each in sources if not each.moving), None):
        return [f"its alarms are tracks of videos, and '{still}' is a still image"]
    for each in sources:
        fps = probe(each)[1]
        if fps is not None and every == own and abs(fps / every / rate - 1) > OTHER_RATE:
            words = f"{counted(rate, 'frame', '.3g')} per second, and '{each.name}' has {fps / every:.3g}"
            return [f"its alarms were counted at {words}"]
    return []


def area(pixels: int | None) -> str:
    """A smallest area in words."""
    return "1 in 10,000 pixels or more" if pixels is None else f"{counted(pixels, 'pixel')} or more"


def said(meaning: str, broken: Sequence[str]) -> str:
    """A threshold's meaning, with what it does not hold for."""
    if not broken or not meaning or "without a guarantee" in meaning:
        return meaning
    return f"{meaning}; NOT GUARANTEED HERE: {'; '.join(broken)}"
