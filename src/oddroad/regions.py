"""From a score map and a threshold to connected regions."""

from __future__ import annotations

import cv2
import numpy as np

from oddroad.types import Region


def find(heat: np.ndarray, threshold: float, smallest: int = 0) -> list[Region]:
    """Connected regions (8 neighbours) whose score lies above the threshold, the largest first.

    >>> heat = np.zeros((4, 6), np.float32)
    >>> heat[1:3, 2:5] = 2.0
    >>> find(heat, 1.0)
    [Region(box=(2, 1, 5, 3), area=6, mean=2.0, peak=2.0)]

    Args:
        heat: (H, W) float32 score map.
        threshold: in the unit of the map; a pixel counts if it is strictly above.
        smallest: regions of fewer pixels are left out.
    """
    above = heat > threshold
    if not above.any():
        return []
    count, labels, stats, _ = cv2.connectedComponentsWithStats(above.view(np.uint8), connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA]
    inside = np.flatnonzero(above)
    owners, values = labels.ravel()[inside].astype(np.intp), heat.ravel()[inside]
    sums = np.bincount(owners, weights=values, minlength=count)
    peaks = np.full(count, -np.inf, np.float32)
    np.maximum.at(peaks, owners, values)
    order = sorted(range(1, count), key=lambda i: -areas[i])
    return [
        Region(
            box=(int(x := stats[i, 0]), int(y := stats[i, 1]), int(x + stats[i, 2]), int(y + stats[i, 3])),
            area=int(areas[i]),
            mean=float(sums[i] / areas[i]),
            peak=float(peaks[i]),
        )
        for i in order
        if areas[i] >= smallest
    ]
