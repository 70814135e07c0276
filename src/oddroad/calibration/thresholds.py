"""Where to put the threshold: what in-distribution scenes score, kept in the Card, and the language that looks it up.

``no-alarms``
    The lowest threshold without a false alarm on the calibration data: a region above the threshold that ``detect``
    would report, of 1 in 10,000 of the frame's pixels or more unless another ``min_area`` was calibrated. Its meaning
    says how rare false alarms are guaranteed to be.
``alarms=1/100frames``
    At most 1 of 100 frames has a false alarm.
``alarms=6/hour``, ``alarms=2/100km``
    At most so many alarms an hour, or in 100 km: an alarm is a track that is reported for the first time, under the
    tracking settings of the calibration; see oddroad.calibration.event_rates. ``alarms=2/100km@90km/h`` takes a speed.
``fpr=0.1%``
    In 95 of 100 frames at most 0.1 % of the in-distribution pixels lie above the threshold.
``0.42``
    The value itself.

The guarantees hold with a stated confidence for every detector and every distribution of scores: for new drives like
those calibrated on, each counting alike, or for later parts of the very same drives; the Card says which. Frames of one
drive depend on each other, so drives, or long blocks of frames, are what is counted: see oddroad.calibration.drives.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from oddroad.calibration.drives import CORRELATION_TIMES, Units, best_rate, threshold_for_rate, units_needed
from oddroad.calibration.event_rates import units_for
from oddroad.calibration.event_thresholds import by_tracks, too_few_tracks
from oddroad.calibration.wording import alarm_words, basis, blocks, in_100, where
from oddroad.card import Card
from oddroad.errors import InputError, counted, shortened

FORMS = "a number, 'no-alarms', 'alarms=1/100frames', 'alarms=6/hour', 'alarms=2/100km' or 'fpr=0.1%'"


LONGEST = 100
"""Letters of a threshold."""


@dataclass(frozen=True)
class Threshold:
    """A value and what it means.

    Attributes:
        value: a pixel is anomalous if its score lies strictly above.
        meaning: what is guaranteed, for what, at which confidence, by how many units of which data; one line.
    """

    value: float
    meaning: str


def calibration_of(card: Card, score: str) -> dict[str, Any]:
    """What the Card knows about a score on in-distribution frames.

    Raises:
        InputError: if the detector was not calibrated for this score.
    """
    found = card.calibration.get("scores", {}).get(score)
    if found is None:
        raise InputError(
            f"'{card.name}' carries no calibration of the score '{score}'; run 'oddroad calibrate' with "
            "in-distribution data, or give the threshold as a number"
        )
    return found


def number(text: str, of: str) -> float:
    """The number in a part of a threshold.

    Raises:
        InputError: if it is none, or not above 0.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"threshold '{of}' holds '{text}'; expected a number above 0")
    return value


def by_pixels(card: Card, score: str, rate: float) -> Threshold:
    """The threshold for a false-positive rate of pixels.

    Raises:
        InputError: if no kept rate is as small.
    """
    calibration, fitting = card.calibration, []
    for each in (kept := calibration_of(card, score)["fpr"]):
        fitting += [each] if each[0] <= rate * (1 + 1e-9) else []
    if not fitting:
        raise InputError(
            f"fpr={rate:.3g} is smaller than the calibration holds; ask for fpr={min(kept)[0]:.2%} or more"
        )
    used, value, found = max(fitting, key=lambda each: each[0])
    units, coverage = Units(**found), calibration["coverage"]
    if value is None:
        raise InputError(too_few(f"fpr={rate:.3g}", f"in {coverage:.0%} of frames", 1 - coverage, calibration, units))
    return Threshold(
        value,
        f"{score} > {value:.6g}: at most {used:.3g} of the in-distribution pixels of a frame{where(calibration)} lie "
        f"above, in {coverage:.0%} of frames, {basis(calibration, units)}",
    )


def by_alarms(card: Card, score: str, rate: float | None, asked: str) -> Threshold:
    """The threshold for a share of frames with a false alarm; of None, the lowest without one on the calibration data.

    Raises:
        InputError: if the calibration data are too few; says which rate they can guarantee.
    """
    calibration, found = card.calibration, calibration_of(card, score)
    confidence, units = calibration["confidence"], Units(**found["units"])
    region = alarm_words(calibration)
    if rate is None:
        value = found["alarms"][0][0]
        return Threshold(
            value,
            f"{score} > {value:.6g}: no frame of the calibration has {region}, and at most {in_100(units.best)} frames "
            f"have one, {basis(calibration, units)}",
        )
    value = threshold_for_rate(found["alarms"], units, rate, confidence)
    if value is None:
        raise InputError(too_few(asked, f"{in_100(rate)} frames", rate, calibration, units))
    return Threshold(
        value,
        f"{score} > {value:.6g}: at most {in_100(rate)} frames have {region}, {basis(calibration, units)}",
    )


def threshold_for(card: Card, text: str, score: str | None = None, min_hits: int | None = None) -> Threshold:
    """Read a threshold in the language of this module.

    Args:
        card: of the detector.
        text: ``no-alarms``, a number, ``fpr=RATE``, ``alarms=N/Mframes``, ``alarms=N/hour``, ``alarms=N/100km``.
        score: one of the Card's scores; the first if None.
        min_hits: of tracks that are reported, for alarms an hour; the Card's if None.

    Raises:
        InputError: if the text is not understood, the detector is not calibrated, the calibration is too small, or
            the Card lacks a part of it.
    """
    try:
        return looked_up(card, text, score or card.scores[0], min_hits)
    except (KeyError, OverflowError, ZeroDivisionError) as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else f"holds impossible numbers ({error})"
        raise InputError(f"the calibration in the card of '{card.name}' {what}; calibrate it anew") from None


def looked_up(card: Card, text: str, score: str, min_hits: int | None) -> Threshold:
    """See ``threshold_for``."""
    kind, value = parse_threshold(text)
    if kind == "fpr":
        return by_pixels(card, score, value)
    if kind in ("hour", "100km"):
        calibration_of(card, score)
        return Threshold(*by_tracks(card, score, value, kind, text.strip(), min_hits))
    if kind != "value":
        return by_alarms(card, score, None if kind == "no-alarms" else value, text.strip())
    return Threshold(value, f"{score} > {value:.6g}: a number that was given, without a guarantee")


def parse_threshold(text: str) -> tuple[str, float]:
    """What a threshold asks for, and how much.

    That is "fpr" and a share of pixels, "alarms" and one of frames, "hour" or "100km" and a number of alarms,
    "no-alarms", or "value". A rate in 100 km at a speed is one an hour.

    >>> parse_threshold("fpr=0.1%"), parse_threshold("alarms=1/100km@50km/h"), parse_threshold("-0.5")
    (('fpr', 0.001), ('hour', 0.5), ('value', -0.5))

    Args:
        text: in the language of this module.

    Raises:
        InputError: if the text is not understood.
    """
    text = text.strip()
    if len(text) > LONGEST:
        raise InputError(f"threshold '{shortened(text)}' is not understood; expected {FORMS}")
    if text == "no-alarms":
        return text, 0.0
    if match := re.fullmatch(r"fpr=([^%]+)(%?)", text):
        return "fpr", share(number(match[1], text) / (100 if match[2] else 1), text)
    if match := re.fullmatch(r"alarms=([^/]+)/([\d.]*)frames?", text):
        return "alarms", share(number(match[1], text) / (number(match[2], text) if match[2] else 1), text)
    if match := re.fullmatch(r"alarms=([^/]+)/hour", text):
        return "hour", number(match[1], text)
    if match := re.fullmatch(r"alarms=([^/]+)/100 ?km(?:@(.+)km/h)?", text):
        rate = number(match[1], text)
        return ("hour", rate * number(match[2], text) / 100) if match[2] else ("100km", rate)
    if re.fullmatch(r"alarms=.*/hour@.*fps", text):
        raise InputError(f"'{text}': an hour counts alarms, not frames; for frames write 'alarms=1/100frames'")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"threshold '{text}' is not understood; expected {FORMS}")
    return "value", value


def parse_speed(text: str) -> float:
    """A speed in km/h, given as "90km/h".

    Raises:
        InputError: if it is none.
    """
    match = re.fullmatch(r"\s*([\d.]+) ?km/h\s*", text[:LONGEST])
    if match is None or not (match[1].count(".") < 2 and match[1] != "." and float(match[1]) > 0):
        raise InputError(f"--speed '{shortened(text)}'; expected a speed such as 90km/h")
    return float(match[1])


def share(value: float, of: str) -> float:
    """A rate that is a share.

    Raises:
        InputError: if it is above 1.
    """
    if value > 1:
        raise InputError(f"threshold '{of}' asks for a rate of {value:.3g}, which is above 1; expected a share")
    return value


def check_threshold(text: str, about: Mapping[str, Any]) -> None:
    """Refuse a threshold that cannot be guaranteed, before any frame is judged.

    Args:
        text: in the language of this module.
        about: ``scope``, ``drives`` (how many), ``of``, ``frames`` (None where not known), ``confidence`` and
            ``coverage``, as in the Card.

    Raises:
        InputError: if it is not understood, or drives and frames are too few even if frames depended on none other.
    """
    kind, rate = parse_threshold(text)
    asked = f"{in_100(rate)} frames" if kind == "alarms" else f"in {about['coverage']:.0%} of frames"
    if kind == "fpr":
        rate = 1 - about["coverage"]
    if kind in ("hour", "100km"):
        if about["scope"] == "new-drives" and about["drives"] < units_for(about["confidence"]):
            raise InputError(too_few_tracks(text.strip(), rate, kind, about, about["drives"], None, None, None))
        return
    if kind not in ("fpr", "alarms") or rate >= 1:
        return
    confidence, frames = about["confidence"], about["frames"]
    if about["scope"] == "new-drives":
        most = Units(about["drives"], None, about["drives"], best_rate(about["drives"], confidence))
    elif frames is None:
        return
    else:
        number = max(1, frames // CORRELATION_TIMES)
        most = Units(number, min(CORRELATION_TIMES, frames), number, best_rate(number, confidence))
    if most.best > rate + 1e-12:
        raise InputError(too_few(text.strip(), asked, rate, about, most, "at most "))


def too_few(text: str, asked: str, rate: float, about: Mapping[str, Any], units: Units, known: str = "") -> str:
    """Says that a guarantee needs more drives, how many of what length, and what these can guarantee.

    Args:
        text: the threshold as it was given.
        asked: what it asks for, in words: so many in 100 frames, or "in" a share of frames.
        rate: share of frames that may break it.
        about: ``scope``, ``drives``, ``of``, ``frames``, ``confidence``.
        units: that there are.
        known: "at most " before the frames are judged.
    """
    need, drives, of = units_needed(rate, about["confidence"]), about["drives"], about["of"]
    length = max(1, round(about["frames"] / drives)) if about["frames"] else None
    there, least = counted(drives, of), ""
    if units.block is None:
        kind, more = of, need - units.count
    else:
        kind, more = "block", math.ceil(max(1, need - units.equal) * units.block / (length or units.block))
        there += f" with {counted(about['frames'], 'frame')}, {known}{blocks(units)},"
        least = "at least " if known else ""
    each = f" of {counted(length, 'frame')}" if length else ""
    kept = math.floor(1000 * (1 - units.best) + 1e-6) / 10
    best = f"in {kept:g}% of frames" if asked.startswith("in ") else f"{in_100(units.best)} frames"
    return (
        f"'{text}' ({asked}) takes {counted(need, f'independent {kind}')} without an alarm at "
        f"{about['confidence']:.0%} confidence; "
        f"{there} can guarantee {best} at best; add {least}{counted(more, f'more {of}')}{each}, or take "
        "'no-alarms'"
    )


def probability(card: Card, score: str, heat: np.ndarray) -> np.ndarray:
    """The share of in-distribution pixels that score lower, (H, W) float32 in [0, 1].

    0.999 is as anomalous as one in-distribution pixel in 1000. In-distribution scenes cannot tell how likely an anomaly
    is, so this is the probability of an in-distribution pixel to score lower, not that of the pixel to be an anomaly.

    Raises:
        InputError: if the detector was not calibrated for this score.
    """
    kept = calibration_of(card, score).get("quantiles")
    if kept is None:
        raise InputError(
            f"the calibration in the card of '{card.name}' lacks the quantiles of '{score}'; calibrate anew"
        )
    shares, values = np.asarray(kept, np.float64).T
    return np.interp(heat, values, shares).astype(np.float32)
