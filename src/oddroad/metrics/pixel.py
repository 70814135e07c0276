"""Pixel metrics of score maps: AP, AUROC, FPR95, best F1. All pixels of a set are pooled, label 255 is not valid.

Scores are counted by the order-preserving integer key of a float32 (smaller key, smaller score). As long as the scores
seen take at most ``bins`` different values, every value has a count of its own and the figures are exact. Beyond that
the lowest bits of all keys are dropped, one after the other, until the counts fit again: the state depends on what was
added, never on its order or on how the images were split. A value that many pixels of a frame share (a clipped score, a
filled region) is counted apart, for a tie must stay a tie. Within a bin of several values both kinds of pixels count
as evenly spread, and the result carries a proven bound of what that can cost.
"""

from __future__ import annotations

import numpy as np

from oddroad.errors import InputError
from oddroad.metrics.ranking import Ranking
from oddroad.types import ANOMALY, IGNORE, KNOWN

BINS = 1 << 16
"""Most bins kept by a PixelMetric, 24 bytes each."""

TIES = 1 << 14
"""Most values kept apart because they fill a frame, 20 bytes each."""

HEAVY = 1024
"""A value that holds this part of the normal or of the anomaly pixels of a frame (at least 16) is kept apart."""


PIECE = 1 << 17
"""Pixels that are worked on at a time, which bounds the memory of a large frame."""

MINUS_ZERO = 0x7FFFFFFF
"""The one key that no score has."""


def keys_of(scores: np.ndarray) -> np.ndarray:
    """Order-preserving uint32 keys of float32 scores; -0.0 and 0.0 share one.

    >>> keys = keys_of(np.float32([-np.inf, -1, 0, 1e-45, 1, np.inf]))
    >>> bool((np.diff(keys.astype(np.int64)) > 0).all())
    True
    """
    bits = (scores + np.float32(0)).view(np.int32).reshape(-1)
    for start in range(0, len(bits), PIECE):  # in place and in pieces that stay in the cache
        piece = bits[start : start + PIECE]
        flip = piece >> 31
        flip |= np.int32(-(2**31))
        piece ^= flip
    return bits.view(np.uint32).reshape(scores.shape)


def floats_of(keys: np.ndarray) -> np.ndarray:
    """The float32 scores of uint32 keys; inverse of keys_of."""
    negative = keys < 0x80000000
    return np.where(negative, ~keys, keys ^ np.uint32(0x80000000)).astype(np.uint32).view(np.float32)


def just_below(keys: np.ndarray) -> np.ndarray:
    """The float32 thresholds t such that ``score > t`` holds exactly for the scores with at least these keys."""
    lowest = keys_of(np.array([-np.inf], np.float32))[0]
    below = np.maximum(keys, lowest + np.uint32(1)) - np.uint32(1)
    return floats_of(below - (below == MINUS_ZERO))


def valid_pixels(
    scores: np.ndarray, labels: np.ndarray, name: str, double: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Scores and boolean "is an anomaly" of the valid pixels, both flat.

    Args:
        scores: (H, W) of any float type.
        labels: (H, W) with KNOWN, ANOMALY and IGNORE.
        name: of the frame, for the messages.
        double: leave float64 as it is; all else is rounded to float32.

    Raises:
        InputError: if the shapes differ, a score is NaN, or a label is none of the three.
    """
    if scores.shape != labels.shape:
        raise InputError(
            f"the score map of frame '{name}' has shape {scores.shape} and its label {labels.shape}; bring the map to "
            "the size of the label"
        )
    kind = np.float64 if double and scores.dtype == np.float64 else np.float32
    scores = np.ascontiguousarray(scores, dtype=kind).reshape(-1)
    if np.isnan(scores.max(initial=-np.inf)):
        count = int(np.isnan(scores).sum())
        raise InputError(f"the score map of frame '{name}' holds {count} NaN; a score must be a number at every pixel")
    labels = np.ascontiguousarray(labels).reshape(-1)
    anomalous, ignored = labels == ANOMALY, labels == IGNORE
    if not (anomalous | ignored | (labels == KNOWN)).all():
        unknown = sorted(set(np.unique(labels).tolist()) - {KNOWN, ANOMALY, IGNORE})
        raise InputError(
            f"the label of frame '{name}' holds {unknown}; expected {KNOWN} (in-distribution), {ANOMALY} (anomaly) "
            f"and {IGNORE} (not judged)"
        )
    if not ignored.any():
        return scores, anomalous
    keep = ~ignored
    return scores[keep], anomalous[keep]


class PixelMetric:
    """Pixel metrics in constant memory.

    >>> metric = PixelMetric()
    >>> metric.add(np.float32([[0.9, 0.2], [0.8, 0.1]]), np.uint8([[1, 0], [0, 0]]))
    >>> metric.result()["ap"], metric.result()["fpr95"]
    (1.0, 0.0)

    Args:
        bins: most bins kept.
    """

    def __init__(self, bins: int = BINS):
        self.bins = bins
        self.shift = 0
        self.lowest = np.zeros(0, np.uint32)
        self.highest = np.zeros(0, np.uint32)
        self.counts = np.zeros((2, 0), np.int64)
        self.apart = True
        self.ties = np.zeros(0, np.uint32)
        self.tie_counts = np.zeros((2, 0), np.int64)

    def add(self, scores: np.ndarray, labels: np.ndarray, name: str = "") -> None:
        """Count one frame.

        Args:
            scores: (H, W) float, higher means more anomalous.
            labels: (H, W) with KNOWN, ANOMALY and IGNORE.
            name: of the frame, for the messages.

        Raises:
            InputError: see ``valid_pixels``.
        """
        values, anomalous = valid_pixels(scores, labels, name)
        keys = keys_of(values)
        del values
        both = keys[~anomalous], keys[anomalous]
        del keys
        for part in both:
            part.sort()
        ties = np.union1d(heavy(both[0]), heavy(both[1])) if self.apart else np.zeros(0, np.uint32)
        counts = np.zeros((2, len(ties)), np.int64)
        for row, part in enumerate(both):
            starts, ends = np.searchsorted(part, ties), np.searchsorted(part, ties, side="right")
            counts[row] = ends - starts
            gaps = zip(np.concatenate([[0], ends]), np.concatenate([starts, [len(part)]]), strict=True)
            self._count(np.concatenate([part[start:end] for start, end in gaps]) if len(ties) else part, row)
        self._join_ties(ties, counts)

    def merge(self, other: PixelMetric) -> None:
        """Add the counts of another part of the same set."""
        self.bins = min(self.bins, other.bins)
        self.shift = max(self.shift, other.shift)
        self._join(other.lowest, other.highest, other.counts)
        self.apart = self.apart and other.apart
        self._join_ties(other.ties, other.tie_counts)

    def ranking(self) -> Ranking:
        """The counts as a ranking."""
        lowest = np.concatenate([self.lowest, self.ties])[::-1]
        highest = np.concatenate([self.highest, self.ties])[::-1]
        counts = np.concatenate([self.counts, self.tie_counts], axis=1)[:, ::-1]
        place = (lowest.astype(np.int64) + highest) * 2 + (lowest != highest)
        order = np.argsort(-place, kind="stable")
        starts, _ = runs(place[order])
        lowest, highest = lowest[order][starts], highest[order][starts]
        counts = np.add.reduceat(counts[:, order], starts, axis=1) if len(starts) else counts
        normal, anomalous = counts
        found, false = np.cumsum(anomalous), np.cumsum(normal)

        # What lies in one block (a bin, and the ties among its values) is in an order that is not known.
        blocks, ends = runs(lowest >> np.uint32(self.shift))
        block = np.repeat(np.arange(len(blocks)), ends - blocks)
        above = np.append(0, found)[blocks][block], np.append(0, false)[blocks][block]
        down_to = np.append(0, found)[ends][block], np.append(0, false)[ends][block]
        mixed, alone = lowest != highest, (ends - blocks)[block] == 1
        own = np.where(mixed, 0, normal)
        best = down_to[0] / np.maximum(down_to[0] + above[1] + own, 1)
        least = above[0] + np.where(mixed, 1, anomalous)
        worst = least / np.maximum(least + down_to[1], 1)
        sure = alone & ~mixed
        best[sure] = worst[sure] = (found / np.maximum(found + false, 1))[sure]
        hit = anomalous > 0
        return Ranking(
            thresholds=just_below(lowest[hit]),
            found=found[hit],
            false=false[hit],
            step=anomalous[hit],
            level=normal[hit],
            mixed=mixed[hit],
            best=best[hit],
            worst=worst[hit],
            slack=np.where(sure, 0, down_to[1] - above[1])[hit],
            positives=int(anomalous.sum()),
            negatives=int(normal.sum()),
        )

    def result(self) -> dict[str, float]:
        """The figures, see ``Ranking.result``."""
        return self.ranking().result()

    def quantiles(self, shares: np.ndarray | list[float]) -> np.ndarray:
        """Scores below which these shares of the valid pixels lie, to the width of a bin."""
        keys = np.concatenate([self.lowest, self.ties])
        order = np.argsort(keys, kind="stable")
        total = np.cumsum(np.concatenate([self.counts, self.tie_counts], axis=1).sum(0)[order])
        at = np.searchsorted(total, np.asarray(shares) * total[-1]).clip(0, len(total) - 1)
        return floats_of(keys[order][at])

    def _count(self, keys: np.ndarray, row: int) -> None:
        """Count sorted keys of one kind of pixel, joining as soon as there are many bins to join."""
        waiting: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        bins = 0
        for start in range(0, len(keys), PIECE):
            waiting.append(tally(keys[start : start + PIECE], row, self.shift))
            bins += len(waiting[-1][0])
            if bins > self.bins or start + PIECE >= len(keys):
                lowest, highest, counts = zip(*waiting, strict=True)
                self._join(np.concatenate(lowest), np.concatenate(highest), np.concatenate(counts, axis=1))
                waiting, bins = [], 0

    def _join(self, lowest: np.ndarray, highest: np.ndarray, counts: np.ndarray) -> None:
        """Take further bins in, coarsening all until they fit."""
        lowest = np.concatenate([self.lowest, lowest])
        order = np.argsort(lowest, kind="stable")
        self.lowest, self.highest = lowest[order], np.concatenate([self.highest, highest])[order]
        self.counts = np.concatenate([self.counts, counts], axis=1)[:, order]
        while True:
            starts, _ = runs(self.lowest >> np.uint32(self.shift))
            if len(starts) <= self.bins:
                break
            self.shift += 1
        if len(starts) < len(self.lowest):
            self.lowest = self.lowest[starts]
            self.highest = np.maximum.reduceat(self.highest, starts)
            self.counts = np.add.reduceat(self.counts, starts, axis=1)

    def _join_ties(self, ties: np.ndarray, counts: np.ndarray) -> None:
        """Take further values in that are counted apart; if there are too many of them, no value is."""
        ties = np.concatenate([self.ties, ties])
        order = np.argsort(ties, kind="stable")
        self.ties, self.tie_counts = ties[order], np.concatenate([self.tie_counts, counts], axis=1)[:, order]
        starts, _ = runs(self.ties)
        if len(starts) < len(self.ties):
            self.ties, self.tie_counts = self.ties[starts], np.add.reduceat(self.tie_counts, starts, axis=1)
        self.apart = self.apart and len(self.ties) <= TIES
        if not self.apart and len(self.ties):
            ties, counts = self.ties, self.tie_counts
            self.ties, self.tie_counts = ties[:0], counts[:, :0]
            self._join(ties, ties, counts)


class ExactPixelMetric:
    """The same figures from all scores at once: exact for any scores, of float64 too, and a sort at the end.

    It keeps 4 bytes a pixel, 8 where the scores are float64.
    """

    def __init__(self) -> None:
        self.normal: list[np.ndarray] = []
        self.anomalous: list[np.ndarray] = []

    def add(self, scores: np.ndarray, labels: np.ndarray, name: str = "") -> None:
        """Keep the scores of one frame; see ``PixelMetric.add``."""
        values, anomalous = valid_pixels(scores, labels, name, double=True)
        self.normal.append(values[~anomalous])
        self.anomalous.append(values[anomalous])

    def merge(self, other: ExactPixelMetric) -> None:
        """Add the scores of another part of the same set."""
        self.normal += other.normal
        self.anomalous += other.anomalous

    def ranking(self) -> Ranking:
        """The scores as a ranking: both kinds sorted apart, then the one looked up in the other."""
        none = [np.zeros(0, np.float32)]
        normal = np.sort(np.concatenate(self.normal or none))
        values, step = np.unique(np.concatenate(self.anomalous or none), return_counts=True)
        values, step = values[::-1], step[::-1]
        found = np.cumsum(step)
        false = len(normal) - np.searchsorted(normal, values, side="left")
        precision = found / (found + false)
        return Ranking(
            thresholds=just_below(keys_of(values)) if values.dtype == np.float32 else np.nextafter(values, -np.inf),
            found=found,
            false=false,
            step=step,
            level=false - (len(normal) - np.searchsorted(normal, values, side="right")),
            mixed=np.zeros(len(values), bool),
            best=precision,
            worst=precision,
            slack=np.zeros(len(values), int),
            positives=int(step.sum()),
            negatives=len(normal),
        )

    def result(self) -> dict[str, float]:
        """The figures, see ``Ranking.result``."""
        return self.ranking().result()

    def quantiles(self, shares: np.ndarray | list[float]) -> np.ndarray:
        """Scores below which these shares of the valid pixels lie."""
        values = np.sort(np.concatenate(self.normal + self.anomalous))
        return values[(np.asarray(shares) * len(values)).astype(int).clip(0, len(values) - 1)]


def runs(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Starts and ends of the runs of equal values in an ordered array."""
    if len(values) == 0:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    inner = np.flatnonzero(values[1:] != values[:-1]) + 1
    return np.concatenate([[0], inner]), np.concatenate([inner, [len(values)]])


def tally(keys: np.ndarray, row: int, shift: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bins of sorted keys of one kind of pixel: lowest keys, highest keys, counts (2, K) with one row filled."""
    starts, ends = runs(keys >> np.uint32(shift))
    counts = np.zeros((2, len(starts)), np.int64)
    counts[row] = ends - starts
    return keys[starts], keys[ends - 1], counts


def heavy(keys: np.ndarray) -> np.ndarray:
    """The values that take a 1/HEAVY part, and at least 16, of these sorted keys."""
    least = max(16, -(-len(keys) // HEAVY))
    sampled = keys[:: least // 2]
    likely = np.unique(sampled[1:][sampled[1:] == sampled[:-1]])
    long = np.searchsorted(keys, likely, side="right") - np.searchsorted(keys, likely) >= least
    return likely[long]
