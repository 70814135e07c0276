"""Heat map, boxes and legend on an image."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from oddroad.types import Region

BOX = (255, 40, 40)


INK = (255, 255, 255)


SHADE = (0, 0, 0)


LEVELS = np.arange(256, dtype=np.uint8)[:, None]


OPACITY = np.clip(LEVELS * 0.9 - 40, 0, 120)[..., None]  # of 255, by level


INFERNO = cv2.cvtColor(cv2.applyColorMap(LEVELS, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)


KEPT = np.repeat(255 - OPACITY.round(), 3, 2).astype(np.uint8)


ADDED = (INFERNO * (OPACITY / 255)).round().astype(np.uint8)
"""By level, what the heat map leaves of the image (times 255) and what it adds to it: two look-ups for each pixel."""


def heat_levels(heat: np.ndarray, low: float, high: float) -> np.ndarray:
    """(H, W) uint8: 0 at ``low`` and below, 255 at ``high`` and above. The range is given, never taken from the map."""
    scale = 255.0 / max(high - low, 1e-6)
    return cv2.convertScaleAbs(np.clip(heat, low, high), alpha=scale, beta=-low * scale)


def overlay(
    image: np.ndarray,
    heat: np.ndarray,
    regions: Sequence[Region],
    threshold: float,
    display_range: tuple[float, float],
    title: str = "",
) -> np.ndarray:
    """A copy of the image with the score as colour, a box and the mean score for each region, and a legend.

    Args:
        image: (H, W, 3) uint8 RGB.
        heat: (H, W) float32.
        regions: to be boxed.
        threshold: marked in the legend.
        display_range: score of the first and of the last colour; what lies below the first stays uncoloured.
        title: text beside the legend.
    """
    levels = heat_levels(heat, *display_range)
    drawn = cv2.multiply(image, cv2.applyColorMap(levels, KEPT), scale=1 / 255)
    cv2.add(drawn, cv2.applyColorMap(levels, ADDED), dst=drawn)
    height = image.shape[0]
    line = max(round(height / 360), 1)
    font = max(height / 900, 0.35)
    for region in regions:
        x0, y0, x1, y1 = region.box
        cv2.rectangle(drawn, (x0, y0), (x1 - 1, y1 - 1), BOX, line)
        write(drawn, f"{region.mean:.1f}", (x0, y0 - 2 * line if y0 > 14 * line else y1 + 9 * line), font)
    return legend(drawn, threshold, display_range, title, font, line)


def write(image: np.ndarray, text: str, place: tuple[int, int], font: float) -> None:
    """Outlined text on an image, in place; ``place`` is the left end of its base line.

    The outline is the same text moved: OpenCV 5 sets a thicker text wider, which would not lie under this one.
    """
    thickness, step = max(round(font * 1.6), 1), max(round(font), 1)
    moved = [(x * step, y * step) for x in (-1, 0, 1) for y in (-1, 0, 1) if x or y]
    for (x, y), colour in [*((each, SHADE) for each in moved), ((0, 0), INK)]:
        at = (place[0] + x, place[1] + y)
        cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, font, colour, thickness, cv2.LINE_AA)


def legend(
    image: np.ndarray, threshold: float, display_range: tuple[float, float], title: str, font: float, line: int
) -> np.ndarray:
    """A colour bar with its ends and the threshold in the lower left corner, in place."""
    height, width = image.shape[:2]
    long, high, margin = max(width // 4, 60), max(height // 50, 4), max(height // 40, 4)
    if width < 160 or height < 120:
        return image
    x, y = margin, height - margin - high
    bar = np.broadcast_to(np.linspace(0, 255, long).astype(np.uint8), (high, long))
    image[y : y + high, x : x + long] = cv2.cvtColor(
        cv2.applyColorMap(np.ascontiguousarray(bar), cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB
    )
    at = x + round(
        np.clip((threshold - display_range[0]) / max(display_range[1] - display_range[0], 1e-6), 0, 1) * (long - 1)
    )
    cv2.line(image, (at, y - 2 * line), (at, y + high + line), INK, line)
    label = f"{title}  {display_range[0]:.3g} .. {display_range[1]:.3g}, marked above {threshold:.3g}"
    write(image, label, (x, y - 4 * line), font * 0.8)
    return image


def contact_sheet(images: Sequence[np.ndarray], columns: int, width: int) -> np.ndarray:
    """Images (H, W, 3) uint8 RGB side by side, ``columns`` in a row, each brought to the same width."""
    height = round(width * images[0].shape[0] / images[0].shape[1])
    cells = [cv2.resize(each, (width, height), interpolation=cv2.INTER_AREA) for each in images]
    cells += [np.zeros_like(cells[0])] * (-len(cells) % columns)
    return np.vstack([np.hstack(cells[i : i + columns]) for i in range(0, len(cells), columns)])
