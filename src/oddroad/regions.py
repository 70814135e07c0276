"""From a score map and a threshold to regions: connected components, parts of one object joined, masks as COCO RLE."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from oddroad.card import Card
from oddroad.types import Region

JOINED_ABOVE = 0.9995
"""Share of in-distribution pixels that score below the contour which joins the parts of one object."""


MIN_AREA_SHARE = 10_000
"""Where no smallest area is given, regions of less than one in so many pixels of the image are left out."""


@dataclass(frozen=True)
class InDistribution:
    """What in-distribution pixels score: the quantiles that calibration keeps in the card.

    Attributes:
        shares: (n,) float64 in [0, 1], ascending.
        values: (n,) float64 scores, ascending; a share ``shares[i]`` of the pixels scores below ``values[i]``.
        join: level of the contour which joins the parts of one object, where alarms were counted with it; None for that
            of JOINED_ABOVE.
    """

    shares: np.ndarray
    values: np.ndarray
    join: float | None = None

    @classmethod
    def of(cls, card: Card, score: str) -> InDistribution | None:
        """The quantiles of a score in a card, or None where it was not calibrated."""
        known = card.calibration.get("scores", {}).get(score, {})
        if not known.get("quantiles"):
            return None
        shares, values = np.asarray(known["quantiles"], np.float64).T
        return cls(shares, values, known.get("tracks", {}).get("join"))

    def percentile(self, score: float) -> float:
        """Share of in-distribution pixels that score below a value, from 0 to 1."""
        return float(np.interp(score, self.values, self.shares))

    def quantile(self, share: float) -> float:
        """The score below which a share of in-distribution pixels lies."""
        return float(np.interp(share, self.shares, self.values))

    def joining(self, threshold: float) -> float | None:
        """The level of the contour that joins the parts of one object; None where it would not lie below."""
        level = self.quantile(JOINED_ABOVE) if self.join is None else self.join
        return level if level < threshold else None


def default_min_area(heat: np.ndarray) -> int:
    """Least area in pixels of a region of a map (H, W), where none is given: 1 in 10,000 of its pixels."""
    return heat.size // MIN_AREA_SHARE


def find(
    heat: np.ndarray,
    threshold: float,
    min_area: int | None = 0,
    in_distribution: InDistribution | None = None,
    inside: np.ndarray | None = None,
) -> list[Region]:
    """Regions whose score lies above the threshold, the largest first.

    >>> heat = np.zeros((4, 6), np.float32)
    >>> heat[1:3, 2:5] = 2.0
    >>> find(heat, 1.0)
    [Region(box=(2, 1, 5, 3), area=6, mean=2.0, peak=2.0, percentile=None)]

    Pixels above the threshold that touch (8 neighbours) are one part. Parts inside one contour of a lower level are one
    region (hysteresis thresholding; Canny 1986), so that an animal with stripes is one region and not seven. The level
    is one that in-distribution pixels rarely reach; without their quantiles each part is a region of its own.

    Args:
        heat: (H, W) float32 score map.
        threshold: in the unit of the map; a pixel counts if it is strictly above.
        min_area: regions without a part of at least so many pixels are left out; None for 1 in 10,000 of the map's.
            Joining parts therefore never changes whether a frame has a region at all, and a calibrated rate of alarms
            holds with it.
        in_distribution: what in-distribution pixels score, for joining and for the percentiles.
        inside: (H, W) bool, the region of interest: pixels outside belong to no region; None for the whole map.
    """
    above = heat > threshold if inside is None else (heat > threshold) & inside
    if not above.any():
        return []
    level = in_distribution.joining(threshold) if in_distribution is not None else None
    least = default_min_area(heat) if min_area is None else min_area
    labels, stats, kept = grouped(above, None if level is None else lambda: heat > level, least)
    return [region(heat, labels, group, stats, in_distribution) for group in kept]


def grouped(
    above: np.ndarray, low: Callable[[], np.ndarray] | None, min_area: int
) -> tuple[np.ndarray, np.ndarray, list[list[int]]]:
    """The parts of a mask, and which of them are one region, the largest first; see ``find``.

    Args:
        above: (H, W) bool, above the threshold.
        low: gives (H, W) bool, above the lower level of the contours that join parts; None joins none.
        min_area: regions without a part of at least so many pixels are left out.

    Returns:
        (H, W) the number of the part at each pixel, OpenCV's statistics of each part, and the regions' parts.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats(above.view(np.uint8), connectivity=8)
    groups = [[number] for number in range(1, count)]
    if low is not None and count > 2:
        groups = joined(low(), labels, count)
    areas = stats[:, cv2.CC_STAT_AREA]
    kept = [group for group in groups if areas[group].max() >= min_area]
    kept.sort(key=lambda group: -int(areas[group].sum()))
    return labels, stats, kept


def boxes(above: np.ndarray, low: np.ndarray | None, min_area: int) -> list[tuple[int, int, int, int]]:
    """The boxes (x0, y0, x1, y1) of the regions that ``find`` would give, in its order; see ``grouped``."""
    _, stats, kept = grouped(above, None if low is None else lambda: low, min_area)
    found = []
    for group in kept:
        x, y, width, height = stats[group, :4].T
        found.append((int(x.min()), int(y.min()), int((x + width).max()), int((y + height).max())))
    return found


def joined(low: np.ndarray, labels: np.ndarray, count: int) -> list[list[int]]:
    """Parts that lie in one component of a lower level.

    Args:
        low: (H, W) bool, above the lower level; every part lies inside.
        labels: (H, W) int32, number of the part at each pixel, 0 for none.
        count: number of labels, 0 included.

    Returns:
        the numbers of the parts of each region.
    """
    _, components = cv2.connectedComponents(low.view(np.uint8), connectivity=8)
    places = np.flatnonzero(labels)
    component_of = np.zeros(count, np.int64)
    component_of[labels.ravel()[places]] = components.ravel()[places]
    groups: dict[int, list[int]] = {}
    for number in range(1, count):
        groups.setdefault(int(component_of[number]), []).append(number)
    return list(groups.values())


def region(
    heat: np.ndarray,
    labels: np.ndarray,
    parts: Sequence[int],
    stats: np.ndarray,
    in_distribution: InDistribution | None = None,
) -> Region:
    """Some parts of a map as one region, looked at within their box only.

    Args:
        heat: (H, W) float32.
        labels: (H, W) int32, number of the part at each pixel.
        parts: numbers of the parts.
        stats: (n, 5) OpenCV's statistics of each part: left, top, width, height, area.
        in_distribution: for the percentile of the peak.
    """
    x, y, width, height = stats[parts, :4].T
    x0, y0, x1, y1 = int(x.min()), int(y.min()), int((x + width).max()), int((y + height).max())
    crop = labels[y0:y1, x0:x1]
    wanted = np.zeros(len(stats), bool)
    wanted[parts] = True
    inside = wanted[crop]
    values = heat[y0:y1, x0:x1][inside]
    peak = float(values.max())
    return Region(
        box=(x0, y0, x1, y1),
        area=len(values),
        mean=float(values.mean(dtype=np.float64)),
        peak=peak,
        percentile=None if in_distribution is None else in_distribution.percentile(peak),
        size=(heat.shape[0], heat.shape[1]),
        counts=encode_rle(inside, (x0, y0), (heat.shape[0], heat.shape[1])),
    )


def encode_rle(inside: np.ndarray, corner: tuple[int, int], size: tuple[int, int]) -> str:
    """A mask as COCO's compressed run-length code: the same text that ``pycocotools.mask.encode`` gives.

    >>> encode_rle(np.ones((2, 3), bool), (2, 1), (4, 6))
    '9220003'

    Runs go down the columns, one column after another: so many pixels outside, so many inside, and so on. From the
    fourth number on, the difference to the last but one is stored. A number is stored in groups of five bits, the
    lowest first; a sixth bit says that more follow; 48 is added to make a letter of it.

    Args:
        inside: (h, w) bool, a part of the image outside of which the mask is empty.
        corner: (x, y) of its first pixel in the image.
        size: (H, W) of the image.
    """
    x, y = corner
    height, width = size
    columns = np.zeros((inside.shape[1], inside.shape[0] + 2), np.int8)
    columns[:, 1:-1] = inside.T
    steps = np.diff(columns, axis=1)
    at, starts = np.nonzero(steps == 1)
    _, ends = np.nonzero(steps == -1)
    starts, ends = (x + at) * height + y + starts, (x + at) * height + y + ends
    apart = starts[1:] > ends[:-1]  # a run that reaches the lower edge goes on at the upper one
    starts, ends = starts[np.r_[True, apart][: len(starts)]], ends[np.r_[apart, True][: len(ends)]]
    bounds = np.stack([starts, ends], 1).ravel()
    if not len(bounds) or bounds[-1] < height * width:
        bounds = np.r_[bounds, height * width]
    numbers = np.diff(bounds, prepend=0)
    coded = numbers.copy()
    coded[3:] -= numbers[1:-2]
    return as_letters(coded)


def as_letters(numbers: np.ndarray) -> str:
    """Numbers (n,) int64 in the five-bit groups of ``encode_rle``."""
    groups = 1 + int(np.abs(numbers).max()).bit_length() // 5  # one bit more than its size, for the sign
    parts = numbers[:, None] >> 5 * np.arange(groups + 1)
    bits = parts[:, :-1] & 31
    ends = parts[:, 1:] == -((bits & 16) >> 4)
    used = np.ones_like(ends)
    used[:, 1:] = ~np.logical_or.accumulate(ends, 1)[:, :-1]
    return (bits + np.where(ends, 48, 80))[used].astype(np.uint8).tobytes().decode("ascii")


def run_lengths(counts: str) -> np.ndarray:
    """The numbers (n,) int64 of a text from ``encode_rle`` or from pycocotools: outside, inside, outside, ..."""
    bits = np.frombuffer(counts.encode("ascii"), np.uint8).astype(np.int64) - 48
    last = np.flatnonzero(bits & 32 == 0)  # of each number
    first = np.r_[0, last[:-1] + 1][: len(last)]
    if not len(last):
        return np.zeros(0, np.int64)
    shifts = 5 * (np.arange(len(bits)) - np.repeat(first, last - first + 1)[: len(bits)])
    numbers = np.add.reduceat((bits & 31) << shifts, first)
    numbers -= np.where(bits[last] & 16, np.int64(1) << (shifts[last] + 5), 0)
    for start in (1, 2):  # from the fourth on, the difference to the last but one
        numbers[start::2] = np.cumsum(numbers[start::2])
    return numbers


def checked_lengths(counts: str, size: tuple[int, int]) -> np.ndarray:
    """The numbers (n,) int64 of a code that comes from elsewhere; see ``run_lengths``.

    Raises:
        ValueError: if it is no code of a mask of this size (H, W), or of an empty one.
    """
    if not re.fullmatch("([P-o]{0,7}[0-O])+", counts):  # a letter from P on says that the number goes on
        raise ValueError("no run-length code")
    lengths = run_lengths(counts)
    ends = np.cumsum(lengths)
    if lengths.min() < 0 or ends[-1] != size[0] * size[1] or ends.max() != ends[-1] or not lengths[1::2].any():
        raise ValueError("a run-length code of another size, or of nothing")
    return lengths


def decode_rle(counts: str, size: tuple[int, int]) -> np.ndarray:
    """The mask (H, W) bool of a text from ``encode_rle`` or from pycocotools.

    >>> int(decode_rle("9220003", (4, 6)).sum())
    6
    """
    lengths = run_lengths(counts)
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(size[1], size[0]).T


def mask_in_box(region: Region) -> np.ndarray:
    """The pixels of a region within its box, (y1 - y0, x1 - x0) bool; nothing of the image's size is made."""
    x0, y0, x1, y1 = region.box
    height = region.size[0]
    bounds = np.cumsum(run_lengths(region.counts)) - x0 * height
    steps = np.zeros((x1 - x0) * height + 1, np.int8)
    steps[bounds[:-1:2]] += 1
    steps[bounds[1::2]] -= 1
    inside = np.cumsum(steps[:-1], dtype=np.int8).astype(bool).reshape(x1 - x0, height)
    return np.ascontiguousarray(inside[:, y0:y1].T)
