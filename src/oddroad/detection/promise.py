"""What a run takes from the card, so that what the card guarantees holds of it, and where it does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from oddroad.card import Card
from oddroad.roi import Roi

if TYPE_CHECKING:
    from oddroad.detection.pipeline import Settings


def completed(settings: Settings, card: Card) -> tuple[Settings, list[str]]:
    """Settings with the card's where none were given, and what was given otherwise than the card's guarantee takes it.

    Args:
        settings: of the run.
        card: of the detector.

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
    return replace(settings, roi=roi, min_area=least), broken


def area(pixels: int | None) -> str:
    """A smallest area in words."""
    return "1 in 10,000 pixels or more" if pixels is None else f"{pixels} pixels or more"


def said(meaning: str, broken: Sequence[str]) -> str:
    """A threshold's meaning, with what it does not hold for."""
    if not broken or not meaning or "without a guarantee" in meaning:
        return meaning
    return f"{meaning}; NOT GUARANTEED HERE: {'; '.join(broken)}"
