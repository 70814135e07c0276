"""Where to put the threshold: what known scenes score, kept in the Card, and the language that looks it up.

``fpr=0.1%``
    In 95 of 100 frames like those calibrated on, at most 0.1 % of the known pixels lie above the threshold.
``alarms=1/100frames``
    At most 1 of 100 frames like those calibrated on has a false alarm: a region above the threshold that ``detect``
    would report, of 1 in 10,000 of the frame's pixels or more unless another ``min_area`` was calibrated.
``alarms=30/hour@1fps``
    The same as a number an hour, at a number of frames a second (the video's own, where detect knows it).
``0.42``
    The value itself.

Both promises hold with a stated confidence for every detector and every distribution of scores, as long as new frames
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
        value: a pixel is odd if its score lies strictly above.
        meaning: what is promised, how surely, resting on how many frames of which data; one line.
    """

    value: float
    meaning: str


def calibration_of(card: Card, score: str) -> dict[str, Any]:
    """What the Card knows about a score on known frames.

    Raises:
        InputError: if the detector was not calibrated for this score.
    """
    found = card.calibration.get("scores", {}).get(score)
    if found is None:
        raise InputError(
            f"'{card.name}' carries no calibration of the score '{score}'; run 'oddroad calibrate' with known data, or "
            "give the threshold as a number"
        )
    return found


def basis(calibration: Mapping[str, Any]) -> str:
    """What the promises rest on: confidence, frames, data, date."""
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
        min_area = min(each for each, _ in calibration_of(card, score)["fpr"])
        raise InputError(f"fpr={rate:.3g} is smaller than the calibration holds; ask for fpr={min_area:.2%} or more")
    used, value = max(kept)
    coverage = card.calibration["coverage"]
    return Threshold(
        value,
        f"{score} > {value:.6g}: at most {used:.3g} of the known pixels of a frame lie above, in {coverage:.0%} of "
        f"frames; {basis(card.calibration)}",
    )


def by_alarms(card: Card, score: str, rate: float, asked: str) -> Threshold:
    """The threshold for a share of frames with a false alarm.

    Raises:
        InputError: if the calibration frames are too few to promise it; says how few it can promise.
    """
    calibration, levels = card.calibration, calibration_of(card, score)["alarms"]
    confidence = calibration["confidence"]
    value = order_statistic(levels, rate, confidence)
    if value is None:
        best = 1 - (1 - confidence) ** (1 / len(levels))
        raise InputError(
            f"'{asked}' is {rate:.2g} a frame, which {len(levels)} frames cannot promise at {confidence:.0%} "
            f"confidence; calibrate on {frames_needed(rate, confidence)} frames or more, or ask for "
            f"alarms=1/{math.floor(1 / best)}frames"
        )
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
        fps: frames a second of what is being looked at, for alarms an hour without ``@``.

    Raises:
        InputError: if the text is not understood, the detector is not calibrated, or the calibration is too small.
    """
    score = score or card.scores[0]
    text = text.strip()
    if match := re.fullmatch(r"fpr=([^%]+)(%?)", text):
        rate = number(match[1], text) / (100 if match[2] else 1)
        return by_pixels(card, score, rate)
    if match := re.fullmatch(r"alarms=([^/]+)/([\d.]*)frames?", text):
        rate = number(match[1], text) / (number(match[2], text) if match[2] else 1)
        return by_alarms(card, score, rate, text)
    if match := re.fullmatch(r"alarms=([^/]+)/hour(?:@(.+)fps)?", text):
        speed = number(match[2], text) if match[2] else fps
        if speed is None:
            raise InputError(f"'{text}' needs to know the frames a second; write for example '{text}@10fps'")
        return by_alarms(card, score, number(match[1], text) / (3600 * speed), text)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"threshold '{text}' is not understood; expected {FORMS}")
    return Threshold(value, f"{score} > {value:.6g}: a number that was given, without a promise")


def probability(card: Card, score: str, heat: np.ndarray) -> np.ndarray:
    """The share of known pixels that score lower, (H, W) float32 in [0, 1].

    0.999 is as strange as one known pixel in 1000.
    Known scenes cannot tell how likely an odd object is, so this is the probability of a known pixel to score lower,
    and not the probability that the pixel is odd.

    Raises:
        InputError: if the detector was not calibrated for this score.
    """
    shares, values = np.asarray(calibration_of(card, score)["quantiles"], np.float64).T
    return np.interp(heat, values, shares).astype(np.float32)
