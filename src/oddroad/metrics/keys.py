"""Order-preserving integer keys of float32 scores."""

from __future__ import annotations

import numpy as np

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
