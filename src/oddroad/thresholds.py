"""Where to put the threshold: what known scenes score, kept in the Card, and the language that looks it up.

``fpr=0.1%``
    In 95 of 100 frames like those calibrated on, at most 0.1 % of the known pixels lie above the threshold.
``alarms=1/100frames``
    At most 1 of 100 frames like those calibrated on has a false alarm: a region above the threshold that ``detect``
    would report, of 1 in 10,000 of the frame's pixels or more unless another ``smallest`` was calibrated.
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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from oddroad.errors import InputError
from oddroad.types import IGNORE, Card

RATES = (0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005, 0.0002, 0.0001)
"""False-positive rates of pixels for which a threshold is kept."""

SHARES = (
    0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 1.0,
)  # fmt: skip
"""Shares of the known pixels whose score quantiles are kept."""

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


def most_exceeding(frames: int, rate: float, confidence: float) -> int:
    """How many calibration frames may exceed a threshold that promises a rate; -1 if not even none of them suffices.

    The largest k with P(Binomial(frames, rate) <= k) <= 1 - confidence.

    >>> most_exceeding(58, 0.05, 0.95), most_exceeding(59, 0.05, 0.95), most_exceeding(500, 0.01, 0.95)
    (-1, 0, 1)
    """
    if rate >= 1:
        return frames - 1
    total, k = 0.0, -1
    while k + 1 < frames:
        i = k + 1
        log_choose = math.lgamma(frames + 1) - math.lgamma(i + 1) - math.lgamma(frames - i + 1)
        total += math.exp(log_choose + i * math.log(rate) + (frames - i) * math.log1p(-rate))
        if total > 1 - confidence:
            break
        k = i
    return k


def frames_needed(rate: float, confidence: float) -> int:
    """Fewest calibration frames that can promise the rate, if none of them exceeds."""
    return math.ceil(math.log(1 - confidence) / math.log1p(-rate))


def order_statistic(levels: Sequence[float] | np.ndarray, rate: float, confidence: float) -> float | None:
    """The smallest threshold that at most ``rate`` of new frames exceed, with confidence; None if frames are too few.

    Args:
        levels: for each calibration frame, the smallest threshold it does not exceed.
        rate: share of new frames that may exceed.
        confidence: probability, over the draw of the calibration frames, that the promise holds.
    """
    k = most_exceeding(len(levels), rate, confidence)
    return None if k < 0 else float(np.sort(np.asarray(levels))[::-1][k])


def pixel_levels(values: np.ndarray) -> np.ndarray:
    """For each of RATES, the smallest threshold that at most this share of the values (P,) exceeds."""
    ranks = [len(values) - 1 - math.floor(rate * len(values)) for rate in RATES]
    return np.partition(values, ranks)[ranks].astype(np.float64)


def alarm_level(heat: np.ndarray, judged: np.ndarray, smallest: int) -> float:
    """The smallest threshold above which no connected region of judged pixels has ``smallest`` pixels or more.

    Args:
        heat: (H, W) float32.
        judged: (H, W) bool; other pixels belong to no region.
        smallest: pixels, 1 or more. Neighbours touch at sides and corners.
    """
    import cv2

    values = np.unique(heat[judged])

    def alarm(threshold: float) -> bool:
        mask = ((heat > threshold) & judged).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        return bool((stats[1:, cv2.CC_STAT_AREA] >= smallest).any())

    low, high = 0, len(values) - 1
    while low < high:
        middle = (low + high) // 2
        if alarm(values[middle]):
            low = middle + 1
        else:
            high = middle
    return float(values[low])


@dataclass
class Calibrator:
    """Gathers what one score says about known frames.

    Attributes:
        smallest: pixels of the smallest false alarm; 1 in 10,000 of the frame's pixels if None, as in detect.
        levels: for each frame, the thresholds of RATES.
        alarms: for each frame, the threshold without a false alarm.
        drawn: for each frame, up to 4096 known scores, evenly spaced over the frame.
    """

    smallest: int | None = None
    levels: list[np.ndarray] = field(default_factory=list)
    alarms: list[float] = field(default_factory=list)
    drawn: list[np.ndarray] = field(default_factory=list)

    def add(self, heat: np.ndarray, label: np.ndarray | None = None) -> None:
        """One frame on which nothing is odd: scores (H, W) and labels (H, W), of which IGNORE is left out.

        Raises:
            InputError: if a score is not a finite number, or the shapes differ.
        """
        if label is not None and label.shape != heat.shape:
            raise InputError(f"the score map is {heat.shape} and the label {label.shape}; expected one size")
        judged = np.ones(heat.shape, bool) if label is None else label != IGNORE
        if not judged.any():
            return
        values = heat[judged]
        if not np.isfinite(values).all():
            raise InputError("the score map holds values that are no finite numbers; is the model sound?")
        self.levels.append(pixel_levels(values))
        smallest = heat.size // 10_000 if self.smallest is None else self.smallest
        self.alarms.append(alarm_level(heat, judged, max(1, smallest)))
        self.drawn.append(values[:: max(1, len(values) // 4096)].astype(np.float64))

    def result(self, confidence: float = 0.95, coverage: float = 0.95) -> dict[str, Any]:
        """JSON values for the Card: thresholds by rate, alarm levels in falling order, quantiles.

        Raises:
            InputError: if the frames are too few for the confidence.
        """
        frames = len(self.levels)
        if order_statistic([0.0] * frames, 1 - coverage, confidence) is None:
            raise InputError(
                f"{frames} frames with known pixels cannot promise anything about {coverage:.0%} of new frames at "
                f"{confidence:.0%} confidence; pass at least {frames_needed(1 - coverage, confidence)} frames"
            )
        levels = np.stack(self.levels)
        drawn = np.concatenate(self.drawn)
        return {
            "fpr": [[rate, order_statistic(levels[:, i], 1 - coverage, confidence)] for i, rate in enumerate(RATES)],
            "fpr_pooled": [[rate, float(np.quantile(drawn, 1 - rate, method="higher"))] for rate in RATES],
            "alarms": sorted((float(f"{each:.7g}") for each in self.alarms), reverse=True),
            "quantiles": [
                [share, float(f"{value:.7g}")] for share, value in zip(SHARES, np.quantile(drawn, SHARES), strict=True)
            ],
        }


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
        smallest = min(each for each, _ in calibration_of(card, score)["fpr"])
        raise InputError(f"fpr={rate:.3g} is smaller than the calibration holds; ask for fpr={smallest:.2%} or more")
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
    pixels = calibration["smallest"]
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


def calibrated(card: Card, gathered: Mapping[str, Calibrator], about: Mapping[str, Any], rule: str) -> Card:
    """The Card with calibration and default thresholds.

    Args:
        card: of the detector.
        gathered: for each score, its known frames.
        about: ``data`` in words, ``date``, ``confidence``, ``coverage``.
        rule: the default threshold in the language of this module.

    Raises:
        InputError: if the frames are too few for the confidence or the rule.
    """
    from dataclasses import replace

    first = next(iter(gathered.values()))
    scores = {name: each.result(about["confidence"], about["coverage"]) for name, each in gathered.items()}
    calibration = {**about, "frames": len(first.levels), "smallest": first.smallest, "scores": scores}
    card = replace(card, calibration=calibration)
    defaults = {name: threshold_for(card, rule, name).value for name in gathered}
    return replace(card, thresholds={**card.thresholds, **defaults}, threshold_rule=f"{rule}; {basis(calibration)}")
