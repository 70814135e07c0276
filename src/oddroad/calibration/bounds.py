"""Order statistics with a binomial bound: how many calibration frames may exceed a threshold."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def most_exceeding(frames: int, rate: float, confidence: float) -> int:
    """How many calibration frames may exceed a threshold that guarantees a rate; -1 if not even none of them suffices.

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
    """Fewest calibration frames that can guarantee the rate, if none of them exceeds."""
    return math.ceil(math.log(1 - confidence) / math.log1p(-rate))


def order_statistic(levels: Sequence[float] | np.ndarray, rate: float, confidence: float) -> float | None:
    """The smallest threshold that at most ``rate`` of new frames exceed, with confidence; None if frames are too few.

    Args:
        levels: for each calibration frame, the smallest threshold it does not exceed.
        rate: share of new frames that may exceed.
        confidence: probability, over the draw of the calibration frames, that the guarantee holds.
    """
    k = most_exceeding(len(levels), rate, confidence)
    return None if k < 0 else float(np.sort(np.asarray(levels))[::-1][k])
