"""What the values of a card may be: a card comes from strangers, and everything that reads one trusts it afterwards."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

from oddroad.json_values import (
    Check,
    above_zero,
    anything,
    check_depth,
    keyed,
    listed,
    maybe,
    named,
    number,
    refuse,
    row,
    share,
    text,
    title,
    truth,
    whole,
)

MOST_PIXELS = 100_000_000
"""Of the size that a network sees."""


def share_or_one(value: Any, where: str) -> None:
    """A number above 0 and up to 1."""
    above_zero(value, where)
    if value > 1:
        refuse(value, where, "a number up to 1")


def curve_point(value: Any, where: str) -> None:
    """A threshold and what was counted there: five numbers or, since alarms are counted in 100 km too, six."""
    listed(maybe(number), 5)(value, where)
    number(value[0], where)
    if len(value) > 6:
        refuse(value, where, "a list of 5 or 6")


def counted_by_hits(value: Any, where: str) -> None:
    """Curves of alarms by the hits of a track: keys are whole numbers."""
    named(listed(curve_point, 1), 1)(value, where)
    if not all(key.isascii() and key.isdigit() and len(key) < 10 for key in value):
        refuse(value, where, "an object whose keys are whole numbers")


def ascending(value: Any, where: str) -> None:
    """Quantiles: shares and scores, two or more, neither falling."""
    listed(row(number, number), 2)(value, where)
    for one, other in itertools.pairwise(value):
        if one[0] > other[0] or one[1] > other[1]:
            refuse([one, other], where, "shares and scores that do not fall")


UNITS = keyed(
    {"count": whole(1), "block": maybe(whole(1)), "equal": whole(), "best": share_or_one},
    ("count", "block", "equal", "best"), only=True,
)  # fmt: skip
TRACK_VALUES = keyed(
    {
        "curves": counted_by_hits, "units": whole(1), "block": maybe(whole(1)), "hours": above_zero,
        "kilometres": maybe(above_zero), "join": maybe(number),
    },
    ("curves", "units", "block", "hours"),
)  # fmt: skip


def tracks(value: Any, where: str) -> None:
    """What is known of alarms; how far was driven is there where a curve counts alarms by it."""
    TRACK_VALUES(value, where)
    by_way = any(each is not None for curve in value["curves"].values() for point in curve for each in point[3:5])
    if by_way and value.get("kilometres") is None:
        refuse(value.get("kilometres"), f"{where}.kilometres", "a number above 0, as alarms in 100 km are counted")


SCORE = keyed({
    "alarms": listed(row(number, number), 1), "units": UNITS, "fpr": listed(row(number, maybe(number), UNITS), 1),
    "quantiles": ascending, "tracks": tracks, "drift": anything,
})  # fmt: skip
CALIBRATION = keyed({
    "scores": named(SCORE), "confidence": share, "coverage": share, "scope": title, "drives": whole(1), "of": title,
    "frames": maybe(whole()), "data": text, "date": title, "min_area": maybe(whole()), "rule": text, "record": anything,
    "tracking": keyed({"min_hits": whole(1), "every": whole(1), "max_age": whole(), "speed": maybe(above_zero)}),
})  # fmt: skip

CARD: dict[str, Check] = {
    "name": title, "network": title, "scores": listed(title, 1), "size": maybe(row(whole(1), whole(1))),
    "stride": whole(1),
    "classes": listed(title), "thresholds": named(number), "threshold_meaning": text, "calibration": CALIBRATION,
    "temperature": number, "upsample": text, "licence": text, "origin": anything, "parity": anything,
    "measured": anything, "weight_storage": text, "precision": text, "quantisation": anything, "portable": truth,
    "reference": named(listed(listed(number))), "digest": text,
}  # fmt: skip
"""Key of a card -> what its value must be."""


def check_card(values: Mapping[str, Any]) -> None:
    """Refuse a card of which a value is not what it should be.

    Args:
        values: the card, as JSON has it.

    Raises:
        InputError: naming the place and what is expected there.
    """
    check_depth(values, "the card")
    for key, check in CARD.items():
        if key in values:
            check(values[key], f"the card's {key}")
    size = values.get("size")
    if size is not None and math.prod(size) > MOST_PIXELS:
        refuse(size, "the card's size", f"at most {MOST_PIXELS} pixels")
