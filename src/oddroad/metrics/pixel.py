"""Pixel metrics of score maps: AP, AUROC, FPR95, best F1. All pixels of a set are pooled, label 255 is not valid.

Scores are counted by the order-preserving integer key of a float32 (smaller key, smaller score). As long as the scores
seen take at most ``bins`` different values, every value has a count of its own and the figures are exact. Beyond that
the lowest bits of all keys are dropped, one after the other, until the counts fit again: the state depends on what was
added, never on its order or on how the images were split. A bin of several values spans its whole slot of keys, so that
further keys in it need counting and no sorting. A value that many pixels of a frame share (a clipped score, a
filled region) is counted apart, for a tie must stay a tie. Within a bin of several values both kinds of pixels count
as evenly spread, and the result carries a proven bound of what that can cost.
"""

from __future__ import annotations

import numpy as np

from oddroad.errors import InputError
from oddroad.metrics.keys import PIECE, floats_of, just_below, keys_of
from oddroad.metrics.ranking import Ranking
from oddroad.metrics.slots import Slots, count_of, heavy, least_of, runs, tally, without
from oddroad.types import ANOMALY, IGNORE, KNOWN

BINS = 1 << 16
"""Most bins kept by a PixelMetric, 24 bytes each, and as many new ones that wait to be joined to them."""

SAMPLED = 16
"""Of so many sorted keys one is looked at to see at once how many bits must be dropped at least."""

TIES = 1 << 14
"""Most values kept apart because they fill a frame, 20 bytes each."""


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
    ignored_pixels = np.count_nonzero(ignored)
    if np.count_nonzero(anomalous) + ignored_pixels + np.count_nonzero(labels == KNOWN) < len(labels):
        unknown = sorted(set(np.unique(labels).tolist()) - {KNOWN, ANOMALY, IGNORE})
        raise InputError(
            f"the label of frame '{name}' holds {unknown}; expected {KNOWN} (in-distribution), {ANOMALY} (anomaly) "
            f"and {IGNORE} (not judged)"
        )
    if not ignored_pixels:
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
        self.waiting: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

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
        positives = int(np.count_nonzero(anomalous))
        least = least_of(len(values) - positives), least_of(positives)
        slots = Slots.of(self.lowest, self.highest, self.shift)
        if slots is None:
            keys = keys_of(values)
            del values
            both = keys[~anomalous], keys[anomalous]
            del keys
            self._add_sorted(both, least)
            return
        counts, rest, rest_anomalous, near, near_anomalous = slots.count(
            values, anomalous, least if self.apart else None
        )
        del values
        near = near[~near_anomalous], near[near_anomalous]
        for part in near:
            part.sort()
        ties = np.union1d(heavy(near[0], least[0]), heavy(near[1], least[1]))
        tie_counts = np.array([count_of(part, ties) for part in near])
        for row in (0, 1):
            np.subtract.at(counts[row], slots.bins_of(ties), tie_counts[row])
        self.counts += counts
        self._join_ties(ties, tie_counts)
        self._add_sorted((rest[~rest_anomalous], rest[rest_anomalous]), least)

    def _add_sorted(self, both: tuple[np.ndarray, np.ndarray], least: tuple[int, int]) -> None:
        """Count the keys of normal and of anomaly pixels by sorting them, in place.

        Args:
            both: all of a frame's keys that may fall into new bins, uint32.
            least: how often a value of each kind must occur to be kept apart.
        """
        for part in both:
            part.sort()
        none = np.zeros(0, np.uint32)
        ties = np.union1d(*(heavy(*each) for each in zip(both, least, strict=True))) if self.apart else none
        counts = np.array([count_of(part, ties) for part in both])
        kept = [without(part, ties) for part in both]
        if sum(map(len, kept)) <= PIECE:
            self.waiting += [tally(part, row, self.shift) for row, part in enumerate(kept) if len(part)]
            if sum(len(lowest) for lowest, _, _ in self.waiting) > self.bins:
                self.settle()
        else:
            self._presume(kept)
            for row, part in enumerate(kept):
                self._count(part, row)
        self._join_ties(ties, counts)

    def settle(self) -> None:
        """Join the bins that wait; whoever reads bins, counts or the shift calls it first."""
        if self.waiting:
            lowest, highest, counts = zip(*self.waiting, strict=True)
            self.waiting = []
            self._join(np.concatenate(lowest), np.concatenate(highest), np.concatenate(counts, axis=1))

    def merge(self, other: PixelMetric) -> None:
        """Add the counts of another part of the same set."""
        self.settle()
        other.settle()
        self.bins = min(self.bins, other.bins)
        self.shift = max(self.shift, other.shift)
        self._join(other.lowest, other.highest, other.counts)
        self.apart = self.apart and other.apart
        self._join_ties(other.ties, other.tie_counts)

    def ranking(self) -> Ranking:
        """The counts as a ranking."""
        self.settle()
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
        self.settle()
        keys = np.concatenate([self.lowest, self.ties])
        order = np.argsort(keys, kind="stable")
        total = np.cumsum(np.concatenate([self.counts, self.tie_counts], axis=1).sum(0)[order])
        at = np.searchsorted(total, np.asarray(shares) * total[-1]).clip(0, len(total) - 1)
        return floats_of(np.clip(keys[order][at], *keys_of(np.array([-np.inf, np.inf], np.float32))))

    def _presume(self, both: list[np.ndarray]) -> None:
        """Drop as many bits as the keys of a frame, sorted by kind, need in any case: those that a sample needs."""
        sample = max(both, key=len)[::SAMPLED]
        while len(runs(sample >> np.uint32(self.shift))[0]) > self.bins:
            self.shift += 1

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
        shift = np.uint32(self.shift)
        mixed = self.lowest != self.highest  # a bin of several values spans its slot, whichever they are
        self.lowest = np.where(mixed, self.lowest >> shift << shift, self.lowest)
        self.highest = np.where(mixed, self.lowest | (np.uint32(1) << shift) - np.uint32(1), self.highest)

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
