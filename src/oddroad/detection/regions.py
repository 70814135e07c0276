"""From a score map and a threshold to connected regions."""

from __future__ import annotations

import cv2
import numpy as np

from oddroad.types import Region


def find(heat: np.ndarray, threshold: float, min_area: int = 0) -> list[Region]:
    """Connected regions (8 neighbours) whose score lies above the threshold, the largest first.

    >>> heat = np.zeros((4, 6), np.float32)
    >>> heat[1:3, 2:5] = 2.0
    >>> find(heat, 1.0)
    [Region(box=(2, 1, 5, 3), area=6, mean=2.0, peak=2.0)]

    Args:
        heat: (H, W) float32 score map.
        threshold: in the unit of the map; a pixel counts if it is strictly above.
        min_area: regions of fewer pixels are left out.
    """
    above = heat > threshold
    if not above.any():
        return []
    _, labels, stats, _ = cv2.connectedComponentsWithStats(above.view(np.uint8), connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    large = 1 + np.flatnonzero(areas >= min_area)
    return [
        region(heat, labels, int(i), stats[i])
        for i in large[np.argsort(-stats[large, cv2.CC_STAT_AREA], kind="stable")]
    ]


def region(heat: np.ndarray, labels: np.ndarray, number: int, stats: np.ndarray) -> Region:
    """One component of a map, looked at within its box only.

    Args:
        heat: (H, W) float32.
        labels: (H, W) number of the component at each pixel.
        number: of the component.
        stats: its row of OpenCV's statistics: left, top, width, height, area.
    """
    x, y, width, height, area = stats.tolist()
    box = (slice(y, y + height), slice(x, x + width))
    values = heat[box][labels[box] == number]
    return Region(
        box=(x, y, x + width, y + height),
        area=area,
        mean=float(values.mean(dtype=np.float64)),
        peak=float(values.max()),
    )
