"""A region as 64 numbers that are alike for what looks alike to the network, and what is like what."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import cv2
import numpy as np

from oddroad.regions import mask_in_box
from oddroad.types import Region

LENGTH = 64
"""Numbers of an embedding."""

ALIKE = 0.9
"""Cosine of two embeddings from which on their regions are taken for the same kind of thing."""


@functools.lru_cache(8)
def projection(channels: int) -> np.ndarray:
    """The fixed random matrix (channels, LENGTH) that keeps angles, the same on every machine.

    Source: Johnson and Lindenstrauss, "Extensions of Lipschitz mappings into a Hilbert space", 1984.
    """
    random = np.random.Generator(np.random.PCG64(channels))
    return (random.standard_normal((channels, LENGTH)) / np.sqrt(LENGTH)).astype(np.float32)


def embed(features: Sequence[np.ndarray], region: Region) -> np.ndarray:
    """The embedding (LENGTH,) float32 of a region, of length 1.

    The features that the score's head reads are averaged over the region, each kind is brought to length 1, and all of
    them together are projected to LENGTH numbers by a fixed random matrix. Embeddings of one detector are comparable,
    those of two are not.

    Args:
        features: each (D, h, w) float32 of the whole image; zeros come back where there are none.
        region: with its mask.
    """
    parts = [unit(pooled(each, region)) for each in features]
    if not parts:
        return np.zeros(LENGTH, np.float32)
    whole = np.concatenate(parts)
    return unit(whole @ projection(len(whole)))


def pooled(features: np.ndarray, region: Region) -> np.ndarray:
    """The mean (D,) of features (D, h, w) over a region, each of their pixels by the share of it that lies inside."""
    height, width = region.size
    _, rows, columns = features.shape
    x0, y0, x1, y1 = region.box
    left, top = x0 * columns // width, y0 * rows // height
    right, bottom = -(-x1 * columns // width), -(-y1 * rows // height)
    # the box on the grid of the features, in pixels of the image, with the mask in it
    px, py = left * width / columns, top * height / rows
    inside = np.zeros((round(bottom * height / rows - py), round(right * width / columns - px)), np.float32)
    mask = mask_in_box(region)
    at_y, at_x = round(y0 - py), round(x0 - px)
    part = inside[at_y : at_y + mask.shape[0], at_x : at_x + mask.shape[1]]
    part[:] = mask[: part.shape[0], : part.shape[1]]
    weights = cv2.resize(inside, (right - left, bottom - top), interpolation=cv2.INTER_AREA).ravel()
    cut = features[:, top:bottom, left:right].reshape(len(features), -1)
    total = float(weights.sum())
    return cut @ weights / total if total > 0 else cut.mean(1)


def unit(vector: np.ndarray) -> np.ndarray:
    """A vector brought to length 1; zeros stay zeros."""
    length = float(np.linalg.norm(vector))
    return (vector / length).astype(np.float32) if length > 0 else vector.astype(np.float32)


def groups(embeddings: np.ndarray, alike: float = ALIKE) -> np.ndarray:
    """The number (n,) of the group of each embedding (n, LENGTH), in their order: the first of a group speaks for it.

    >>> groups(np.float32([[1, 0], [0.99, 0.1], [0, 1]]))
    array([0, 0, 1])

    Each joins the group whose first one it is most like, if it is alike, or begins a new one; given the most
    interesting first, groups are spoken for by those. Source: Hartigan, "Clustering Algorithms", 1975 (leader).
    """
    leaders = np.zeros((0, embeddings.shape[1]), np.float32)
    found = np.zeros(len(embeddings), np.int64)
    for number, each in enumerate(embeddings):
        likeness = leaders @ each
        best = int(likeness.argmax()) if len(leaders) else -1
        if best >= 0 and likeness[best] >= alike:
            found[number] = best
        else:
            found[number] = len(leaders)
            leaders = np.concatenate([leaders, each[None]])
    return found


def diverse(embeddings: np.ndarray, count: int, first: int = 0) -> list[int]:
    """Numbers of ``count`` of the embeddings (n, LENGTH) that leave none of the others far from all of them.

    >>> diverse(np.float32([[1, 0], [0.99, 0.1], [0, 1]]), 2)
    [0, 2]

    Each next one is the farthest from those taken (the greedy 2-approximation of k-centre). Sources: Gonzalez,
    "Clustering to minimize the maximum intercluster distance", 1985; Sener and Savarese, ICLR 2018.
    """
    if not len(embeddings):
        return []
    taken = [first]
    near = embeddings @ embeddings[first]
    while len(taken) < min(count, len(embeddings)):
        near[taken] = np.inf
        taken.append(int(near.argmin()))
        near = np.maximum(near, embeddings @ embeddings[taken[-1]])
    return taken
