"""Bins of sorted keys, values that occur often, and counting keys into bins that span their slot."""

from __future__ import annotations

import cv2
import numpy as np

from oddroad.metrics.keys import PIECE, keys_of

HEAVY = 1024
"""A value that holds this part of the normal or of the anomaly pixels of a frame (at least 16) is kept apart."""


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


def least_of(pixels: int) -> int:
    """How often a value must occur among so many pixels of a frame to be kept apart."""
    return max(16, -(-pixels // HEAVY))


def heavy(keys: np.ndarray, least: int) -> np.ndarray:
    """The values that occur at least so often in sorted keys."""
    sampled = keys[:: least // 2]
    likely = np.unique(sampled[1:][sampled[1:] == sampled[:-1]])
    return likely[count_of(keys, likely) >= least]


def without(keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Sorted keys without some values."""
    if not len(values):
        return keys
    starts, ends = np.searchsorted(keys, values), np.searchsorted(keys, values, side="right")
    gaps = zip(np.concatenate([[0], ends]), np.concatenate([starts, [len(keys)]]), strict=True)
    return np.concatenate([keys[start:end] for start, end in gaps])


def count_of(keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    """How often each of some values occurs in sorted keys."""
    return np.searchsorted(keys, values, side="right") - np.searchsorted(keys, values)


MOST_SLOTS = 1 << 21
"""Slots of keys for which a table is made, 2 bytes each."""

NARROW = 1 << 16
"""Values of 16 bits, which OpenCV counts four times as fast as NumPy does."""

CHUNK = 1 << 21
"""Pixels whose bins are held at a time, 2 bytes each; OpenCV's counts are float32, and exact up to 8 times as many."""


def frequencies(bins: np.ndarray, count: int) -> np.ndarray:
    """How often each of the numbers below ``count`` occurs in bins (P,) of uint16 or uint32."""
    if bins.dtype != np.uint16:
        return np.bincount(bins, minlength=count)
    found = cv2.calcHist([bins.reshape(1, -1)], [0], None, [NARROW], [0, NARROW])
    return found.ravel()[:count].astype(np.int64)


class Slots:
    """A table from the slot of a key, which is the key without its lowest bits, to the bin that spans it.

    Args:
        shift: bits that are dropped.
        first: the lowest slot of the table.
        table: (S + 1,) uint16 or uint32: slot - first -> bin; ``none`` where no bin spans the slot, and at the end.
        none: number of bins.
    """

    def __init__(self, shift: int, first: int, table: np.ndarray, none: int):
        self.shift, self.first, self.table, self.none = np.uint32(shift), np.uint32(first), table, none

    @classmethod
    def of(cls, lowest: np.ndarray, highest: np.ndarray, shift: int) -> Slots | None:
        """The table of bins with these lowest and highest keys; None where none spans a slot, or for too many slots."""
        if not shift or not len(lowest):
            return None
        slots = lowest >> np.uint32(shift)
        first, count = int(slots[0]), int(slots[-1]) - int(slots[0]) + 1
        if count > MOST_SLOTS:
            return None
        table = np.full(count + 1, len(slots), np.uint16 if len(slots) < NARROW else np.uint32)
        mixed = np.flatnonzero(lowest != highest)
        table[slots[mixed] - first] = mixed
        return cls(shift, first, table, len(slots))

    def bins_of(self, keys: np.ndarray) -> np.ndarray:
        """The bin of each key; ``none`` where no bin spans it."""
        slots = keys >> self.shift
        slots -= self.first  # below the first it wraps around to a large number
        return self.table.take(slots, mode="clip")

    def count(
        self, values: np.ndarray, anomalous: np.ndarray, least: tuple[int, int] | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Count the scores of a frame.

        Args:
            values: (P,) float32.
            anomalous: (P,) bool.
            least: how often a value of normal and of anomaly pixels must occur to be kept apart; None for never.

        Returns:
            counts (2, bins) of the keys in spanned bins; the keys in no such bin and whether they are anomalous; the
            keys in bins that may hold a value to be kept apart, which are counted, and whether they are anomalous.
        """
        total = np.zeros((2, self.none + 1), np.int64)
        rest, near = [np.zeros(0, np.intp)], [np.zeros(0, np.intp)]
        marked: list[np.ndarray] = [np.zeros(0, self.table.dtype)]
        buffer = np.empty(min(len(values), CHUNK), self.table.dtype)
        bins = buffer
        for start in range(0, len(values), CHUNK):
            bins = self._fill(buffer, values[start : start + CHUNK])
            found = frequencies(bins, self.none + 1)
            total[0] += found
            if found[-1]:
                rest.append(np.flatnonzero(bins == self.none) + start)
            marked.append(bins[np.flatnonzero(anomalous[start : start + CHUNK])])
        total[1] = np.bincount(np.concatenate(marked), minlength=self.none + 1)
        total[0] -= total[1]
        if least is not None and len(hot := np.flatnonzero((total[:, :-1] >= np.array(least)[:, None]).any(0))):
            warm = np.zeros(self.none + 1, bool)
            warm[hot] = True
            for start in range(0, len(values), CHUNK):
                if len(values) > CHUNK:
                    bins = self._fill(buffer, values[start : start + CHUNK])
                near.append(np.flatnonzero(warm[bins]) + start)
        at, close = np.concatenate(rest), np.concatenate(near)
        return total[:, :-1], keys_of(values[at]), anomalous[at], keys_of(values[close]), anomalous[close]

    def _fill(self, bins: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Write the bins of up to CHUNK scores to the start of a buffer, which is returned as far as it is used."""
        for start in range(0, len(values), PIECE):
            piece = keys_of(values[start : start + PIECE])
            piece >>= self.shift
            piece -= self.first
            self.table.take(piece, mode="clip", out=bins[start : start + len(piece)])
        return bins[: len(values)]
