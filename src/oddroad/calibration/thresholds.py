"""Where to put the threshold: what in-distribution scenes score, kept in the Card, and the language that looks it up.

``fpr=0.1%``
    In 95 of 100 frames like those calibrated on, at most 0.1 % of the in-distribution pixels lie above the
    threshold.
``alarms=1/100frames``
    At most 1 of 100 frames like those calibrated on has a false alarm: a region above the threshold that ``detect``
    would report, of 1 in 10,000 of the frame's pixels or more unless another ``min_area`` was calibrated.
``alarms=30/hour@1fps``
    The same as a number an hour, at a number of frames per second (the video's own, where detect knows it).
``0.42``
    The value itself.

Both guarantees hold with a stated confidence for every detector and every distribution of scores, as long as new frames
are drawn like the calibration frames: the threshold is an order statistic of one number a frame, and its rank comes
from the binomial distribution. Pixels of one frame depend on each other, so frames are what is counted. Sources:
Wilks, "Determination of Sample Sizes for Setting Tolerance Limits", 1941; Vovk, "Conditional Validity of Inductive
Conformal Predictors", 2012; Angelopoulos and Bates, "A Gentle Introduction to Conformal Prediction", 2021.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from oddroad.calibration.bounds import frames_needed, order_statistic
from oddroad.card import Card
from oddroad.errors import InputError

FORMS = "a number, 'fpr=0.1%', 'alarms=1/100frames' or 'alarms=30/hour@1fps'"


@dataclass(frozen=True)
class Threshold:
    """A value and what it means.

    Attributes:
        value: a pixel is anomalous if its score lies strictly above.
        meaning: what is guaranteed, at which confidence, by how many frames of which data; one line.
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


def basis(calibration: Mapping[str, Any]) -> str:
    """What the guarantees rest on: confidence, frames, data, date."""
    return (
        f"{calibration['confidence']:.0%} confidence, from {calibration['frames']} frames of {calibration['data']} "
        f"({calibration['date']})"
    )


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
    kept = [(each, value) for each, value in calibration_of(card, score)["fpr"] if each <= rate * (1 + 1e-9)]
    if not kept:
        smallest = min(each for each, _ in calibration_of(card, score)["fpr"])
        raise InputError(f"fpr={rate:.3g} is smaller than the calibration holds; ask for fpr={smallest:.2%} or more")
    used, value = max(kept)
    coverage = card.calibration["coverage"]
    return Threshold(
        value,
        f"{score} > {value:.6g}: at most {used:.3g} of the in-distribution pixels of a frame lie above, in "
        f"{coverage:.0%} of frames; {basis(card.calibration)}",
    )


def by_alarms(card: Card, score: str, rate: float, asked: str) -> Threshold:
    """The threshold for a share of frames with a false alarm.

    Raises:
        InputError: if the calibration frames are too few; says which rate they can guarantee.
    """
    calibration, levels = card.calibration, calibration_of(card, score)["alarms"]
    confidence = calibration["confidence"]
    value = order_statistic(levels, rate, confidence)
    if value is None:
        raise InputError(too_few(asked, rate, len(levels), confidence))
    pixels = calibration["min_area"]
    region = "1 in 10,000 pixels" if pixels is None else f"{pixels} pixels"
    return Threshold(
        value,
        f"{score} > {value:.6g}: at most {rate:.3g} of frames have a false alarm of {region} or more; "
        f"{basis(calibration)}",
    )


def threshold_for(card: Card, text: str, score: str | None = None, fps: float | None = None) -> Threshold:
    """Read a threshold in the language of this module.

    Args:
        card: of the detector.
        text: a number, ``fpr=RATE``, ``alarms=N/Mframes``, ``alarms=N/hour``, or with ``@Ffps``.
        score: one of the Card's scores; the first if None.
        fps: frames per second of what is being looked at, for alarms an hour without ``@``.

    Raises:
        InputError: if the text is not understood, the detector is not calibrated, or the calibration is too small.
    """
    score = score or card.scores[0]
    kind, value = parse_threshold(text, fps)
    if kind == "fpr":
        return by_pixels(card, score, value)
    if kind == "alarms":
        return by_alarms(card, score, value, text.strip())
    return Threshold(value, f"{score} > {value:.6g}: a number that was given, without a guarantee")


def parse_threshold(text: str, fps: float | None = None) -> tuple[str, float]:
    """What a threshold asks for: "fpr" and a share of the pixels, "alarms" and a share of frames, "value" and itself.

    >>> parse_threshold("fpr=0.1%"), parse_threshold("alarms=72/hour@10fps"), parse_threshold("-0.5")
    (('fpr', 0.001), ('alarms', 0.002), ('value', -0.5))

    Args:
        text: in the language of this module.
        fps: frames per second of what is being looked at, for alarms an hour without ``@``.

    Raises:
        InputError: if the text is not understood.
    """
    text = text.strip()
    if match := re.fullmatch(r"fpr=([^%]+)(%?)", text):
        return "fpr", share(number(match[1], text) / (100 if match[2] else 1), text)
    if match := re.fullmatch(r"alarms=([^/]+)/([\d.]*)frames?", text):
        return "alarms", share(number(match[1], text) / (number(match[2], text) if match[2] else 1), text)
    if match := re.fullmatch(r"alarms=([^/]+)/hour(?:@(.+)fps)?", text):
        speed = number(match[2], text) if match[2] else fps
        if speed is None:
            raise InputError(f"'{text}' needs to know the frames per second; write for example '{text}@10fps'")
        return "alarms", share(number(match[1], text) / (3600 * speed), text)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"threshold '{text}' is not understood; expected {FORMS}")
    return "value", value


def share(value: float, of: str) -> float:
    """A rate that is a share.

    Raises:
        InputError: if it is above 1.
    """
    if value > 1:
        raise InputError(f"threshold '{of}' asks for a rate of {value:.3g}, which is above 1; expected a share")
    return value


def check_threshold(text: str, frames: int | None, confidence: float) -> None:
    """Refuse a threshold that cannot be guaranteed by so many frames, before they are judged.

    Args:
        text: in the language of this module.
        frames: number of calibration frames, or None where it is not known.
        confidence: of the guarantee.

    Raises:
        InputError: if it is not understood, or the frames are too few.
    """
    kind, rate = parse_threshold(text)
    if kind == "alarms" and frames is not None and order_statistic([0.0] * frames, rate, confidence) is None:
        raise InputError(too_few(text, rate, frames, confidence))


def too_few(asked: str, rate: float, frames: int, confidence: float) -> str:
    """Says that a rate of alarms needs more frames, and which rate these can guarantee."""
    best = 1 - (1 - confidence) ** (1 / frames) if frames else 1.0
    return (
        f"'{asked}' is {rate:.2g} a frame, which {frames} frames cannot guarantee at {confidence:.0%} confidence; "
        f"calibrate on {frames_needed(rate, confidence)} frames or more, or ask for "
        f"alarms=1/{math.floor(1 / best)}frames"
    )


def probability(card: Card, score: str, heat: np.ndarray) -> np.ndarray:
    """The share of in-distribution pixels that score lower, (H, W) float32 in [0, 1].

    0.999 is as anomalous as one in-distribution pixel in 1000. In-distribution scenes cannot tell how likely an anomaly
    is, so this is the probability of an in-distribution pixel to score lower, not that of the pixel to be an anomaly.

    Raises:
        InputError: if the detector was not calibrated for this score.
    """
    shares, values = np.asarray(calibration_of(card, score)["quantiles"], np.float64).T
    return np.interp(heat, values, shares).astype(np.float32)
