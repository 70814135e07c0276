"""What a run takes from the card, so that what the card guarantees holds of it, and where it does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from oddroad.calibration.event_thresholds import counts_tracks
from oddroad.card import Card
from oddroad.detection.tracking import Tracking
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
    tracking = Tracking.of(known, settings.min_hits, settings.max_age, settings.every)
    if counts_tracks(settings.threshold_meaning or card.threshold_meaning):
        broken += other_tracking(card, tracking, settings.threshold is not None)
        broken += other_rates(sources, known["tracking"]["rate"], tracking.every, Tracking.of(known).every)
    return replace(settings, roi=roi, min_area=least, **asdict(tracking)), broken


def other_tracking(card: Card, tracking: Tracking, looked_up: bool) -> list[str]:
    """What is tracked otherwise than the alarms of the card were counted.

    Args:
        card: of the detector.
        tracking: of the run.
        looked_up: whether the threshold was looked up for the hits of this run.
    """
    broken, own = [], asdict(Tracking.of(card.calibration))
    for name, value in asdict(tracking).items():
        if value != own[name] and not (looked_up and name == "min_hits"):
            option = f"--{name.replace('_', '-')}"
            broken.append(f"its alarms were counted with {option} {own[name]} and this run has {value}")
    return broken


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
