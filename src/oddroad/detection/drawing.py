"""What was found, drawn on the image: colour by score, an outline and a labelled box for each region, a legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from oddroad.detection.tracking import Track
from oddroad.regions import InDistribution, mask_in_box
from oddroad.types import Frame, Region

OUTLINE = (255, 32, 32)
INK = (255, 255, 255)
SHADE = (16, 16, 18)
"""Colours, RGB: of outlines and boxes, of text, and of what text stands on."""


EDGE = 0.35
"""Opacity of the line, in the colour of text, around the region of interest."""


BELOW, ABOVE = ((30, 60, 160), (40, 90, 240)), ((235, 70, 20), (255, 225, 70))
"""First and last colour, RGB, of what lies below the threshold and of what lies above."""


FAINTEST = 0.99
"""Share of in-distribution pixels that stay uncoloured: colour begins at the score that they lie below."""


HALF = 128
"""Level of the colours at which the threshold lies: 0 to 127 are below, 128 to 255 above."""


@dataclass(frozen=True)
class Style:
    """How results are drawn.

    Attributes:
        alpha: opacity of the colours above the threshold, 0 to 1; below it they fade out.
        legend: draw the legend.
        side_by_side: the untouched image to the left of the drawn one.
    """

    alpha: float = 0.5
    legend: bool = True
    side_by_side: bool = False


@dataclass(frozen=True)
class Scale:
    """Which colour a score has, relative to the threshold and to what in-distribution pixels score; alike everywhere.

    Attributes:
        low: score at which colour begins: the 99th percentile of in-distribution pixels; without calibration the
            threshold.
        threshold: scores above have the colours above HALF.
        high: score of the last colour; the threshold without calibration, where all above look the same.
    """

    low: float
    threshold: float
    high: float

    @classmethod
    def of(cls, threshold: float, in_distribution: InDistribution | None) -> Scale:
        """The scale of a threshold; half the way from the median of in-distribution pixels goes on above it."""
        if in_distribution is None:
            return cls(threshold, threshold, threshold)
        median, low = in_distribution.quantile(0.5), in_distribution.quantile(FAINTEST)
        reach = max(abs(threshold - median), low - median, 1e-6)
        return cls(min(low, threshold - 0.05 * reach), threshold, threshold + 0.5 * reach)

    def levels(self, heat: np.ndarray) -> np.ndarray:
        """(H, W) float32 -> (H, W) uint8: 0 at ``low`` and below, 127 at the threshold, above it 128 up to 255."""
        above = (heat > self.threshold).view(np.uint8)
        if self.low == self.threshold:
            return above * np.uint8(HALF + 64)
        levels = part(heat, self.low, self.threshold)
        if cv2.countNonZero(above):
            levels += above
            levels += part(heat, self.threshold, self.high)
        return levels


def part(heat: np.ndarray, low: float, high: float) -> np.ndarray:
    """(H, W) uint8: 0 at ``low`` and below, 127 at ``high`` and above."""
    factor = (HALF - 1) / max(high - low, 1e-12)
    return cv2.convertScaleAbs(np.clip(heat, low, high), alpha=factor, beta=-low * factor)


class Painter:
    """Draws results on frames of one run.

    Args:
        threshold: above which a pixel is anomalous.
        in_distribution: what in-distribution pixels score; None without calibration.
        model: name of the detector, for the legend.
        score: name of the score, for the legend.
        style: how.
    """

    def __init__(
        self,
        threshold: float,
        in_distribution: InDistribution | None = None,
        model: str = "",
        score: str = "",
        style: Style | None = None,
    ):
        self.scale, self.style = Scale.of(threshold, in_distribution), style or Style()
        self.calibrated, self.model, self.score = in_distribution is not None, model, score
        steps = np.linspace(0, 1, HALF)[:, None]
        colours = np.concatenate(
            [(1 - steps) * first + steps * last for first, last in np.array([BELOW, ABOVE], float)]
        )
        opacity = np.concatenate([0.9 * steps, np.ones_like(steps)]) * np.clip(self.style.alpha, 0, 1)
        self.colours = colours.round().astype(np.uint8)[:, None]
        self.kept = np.repeat(255 * (1 - opacity), 3, 1).round().astype(np.uint8)[:, None]
        self.added = (colours * opacity).round().astype(np.uint8)[:, None]

    def __call__(
        self,
        frame: Frame,
        heat: np.ndarray | None,
        regions: Sequence[Region] = (),
        tracks: Sequence[Track] = (),
        inside: np.ndarray | None = None,
    ) -> np.ndarray:
        """A copy of the frame's image with everything on it; twice as wide where it is side by side.

        Args:
            frame: its image (H, W, 3) uint8 RGB stays as it is.
            heat: (H, W) float32 its score; None for a frame that was not judged, which the picture then says.
            regions: to be outlined.
            tracks: of the regions, in their order; none for still images.
            inside: (H, W) bool, the region of interest, which gets a thin line around it; None for the whole picture.
        """
        drawn = frame.image.copy()
        unit = max(frame.image.shape[0] / 540, 0.5)
        if heat is None:
            tag(drawn, f"not judged: {frame.reason or 'damaged'}", (round(8 * unit), round(26 * unit)), unit, SHADE)
        else:
            self.colour(drawn, heat, regions, inside)
            if inside is not None:
                edge(drawn, inside, max(round(unit), 1))
            for number, region in enumerate(regions):
                outline(drawn, region, max(round(1.5 * unit), 1))
                name = f"#{tracks[number].id} " if number < len(tracks) else ""
                box(drawn, region, name + rarity(region), unit)
        if self.style.legend:
            self.legend(drawn, frame, unit)
        return np.hstack([frame.image, drawn]) if self.style.side_by_side else drawn

    def colour(
        self, image: np.ndarray, heat: np.ndarray, regions: Sequence[Region], inside: np.ndarray | None = None
    ) -> None:
        """Blend the colours of the scores onto an image, in place; above the threshold only where it is reported."""
        levels = self.scale.levels(heat)
        if inside is not None:
            levels *= inside.view(np.uint8)
        x, y, width, height = cv2.boundingRect(levels)
        if not width:
            return
        reported = np.zeros_like(levels)
        for region in regions:
            x0, y0, x1, y1 = region.box
            reported[y0:y1, x0:x1] |= mask_in_box(region).view(np.uint8)
        window = (slice(y, y + height), slice(x, x + width))
        shown = cv2.min(levels[window], (HALF - 1) + HALF * reported[window])
        blended = cv2.multiply(image[window], cv2.applyColorMap(shown, self.kept), scale=1 / 255)
        image[window] = cv2.add(blended, cv2.applyColorMap(shown, self.added))

    def legend(self, image: np.ndarray, frame: Frame, unit: float) -> None:
        """Model, source, time, colours and what the boxes say, in the lower left corner, in place; not on small images.

        Args:
            image: (H, W, 3) uint8 RGB.
            frame: its source and time are named.
            unit: size of letters and lines, 1 at 540 rows.
        """
        height, width = image.shape[:2]
        if width < 240 or height < 160:
            return
        size, step, margin = 0.42 * unit, round(16 * unit), round(8 * unit)
        when = "" if frame.time is None else f"  {clock(frame.time)}"
        lines = [f"{self.model}  {self.score}", f"{frame.source}{when}"]
        lines.append(
            "%: in-distribution pixels that score lower; #: track" if self.calibrated else "not calibrated; #: track"
        )
        wide = min(max(text_width(each, size) for each in lines) + 2 * margin, width)
        high = step * (len(lines) + 2) + margin
        top = height - high
        shade(image[top:, :wide])
        for number, line in enumerate(lines[:2] + [""] * 2 + lines[2:]):
            write(image, line, (margin, top + step * (number + 1)), size)
        left, right = margin, wide - margin
        bar = slice(top + round(2.3 * step), top + round(2.9 * step))
        levels = np.linspace(0, 255, right - left).round().astype(np.uint8)[None]
        if not self.calibrated:
            levels = np.where(levels < HALF, 0, HALF + 64).astype(np.uint8)
        colours = cv2.applyColorMap(levels, self.colours)
        image[bar, left:right] = colours
        at = self.tick(left, right)
        cv2.line(image, (at, bar.start - 2), (at, bar.stop + 2), INK, max(round(unit), 1))
        words = f"threshold {self.scale.threshold:.3g}"
        below = bar.stop + step - round(4 * unit)
        write(image, words, (min(at - text_width(words, size) // 2, right - text_width(words, size)), below), size)
        if self.calibrated:
            write(image, f"{FAINTEST:.0%}", (left, below), size)

    def tick(self, left: int, right: int) -> int:
        """Column of the threshold on a bar of all colours between two columns: where the first colour above it is."""
        return left + round((right - left - 1) * HALF / 255)


def rarity(region: Region) -> str:
    """What a box says: how many in-distribution pixels score below the region's peak; without calibration the peak.

    >>> rarity(Region((0, 0, 1, 1), 1, 2.0, 3.0, 0.99731))
    '99.7%'
    >>> rarity(Region((0, 0, 1, 1), 1, 2.0, 3.0, 1.0))
    '>99.9%'
    """
    if region.percentile is None:
        return f"{region.peak:.3g}"
    return f"{100 * region.percentile:.1f}%" if region.percentile < 0.9995 else ">99.9%"


def clock(seconds: float) -> str:
    """Seconds as people read them.

    >>> clock(4.25), clock(3671.5)
    ('0:04.2', '1:01:11.5')
    """
    tenths = int(seconds * 10 + 1e-6)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    text = f"{minutes:02d}:{rest // 10:02d}.{rest % 10}"
    return f"{hours}:{text}" if hours else text.removeprefix("0") if minutes < 10 else text


def outline(image: np.ndarray, region: Region, line: int) -> None:
    """The contour of a region's pixels, in place.

    Args:
        image: (H, W, 3) uint8 RGB.
        region: whose pixels are outlined, each part and each hole.
        line: thickness in pixels.
    """
    contours, _ = cv2.findContours(
        mask_in_box(region).view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE, offset=region.box[:2]
    )
    cv2.drawContours(image, contours, -1, OUTLINE, line, cv2.LINE_AA)


def edge(image: np.ndarray, inside: np.ndarray, line: int) -> None:
    """A faint line around the region of interest (H, W) bool, in place; none along the border of the picture."""
    contours, _ = cv2.findContours(np.pad(inside, 1, "edge").view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    drawn = np.zeros((image.shape[0] + 2, image.shape[1] + 2), np.uint8)
    cv2.drawContours(drawn, contours, -1, 1, line)
    border = np.pad(np.zeros((image.shape[0] - 2, image.shape[1] - 2), bool), 1, constant_values=True)
    there = drawn[1:-1, 1:-1].astype(bool) & ~border
    image[there] = ((1 - EDGE) * image[there] + EDGE * np.array(INK)).astype(np.uint8)


def box(image: np.ndarray, region: Region, words: str, unit: float) -> None:
    """A box a little larger than a region, with words above it, or below where there is no room, in place."""
    height, width = image.shape[:2]
    line, gap = max(round(2 * unit), 1), round(4 * unit)
    x0, y0 = max(region.box[0] - gap, 0), max(region.box[1] - gap, 0)
    x1, y1 = min(region.box[2] + gap, width) - 1, min(region.box[3] + gap, height) - 1
    cv2.rectangle(image, (x0, y0), (x1, y1), OUTLINE, line)
    high = round(20 * unit)
    tag(image, words, (x0, y0 if y0 >= high else min(y1 + high, height - 1)), unit, OUTLINE)


def tag(image: np.ndarray, words: str, corner: tuple[int, int], unit: float, colour: tuple[int, int, int]) -> None:
    """Words on a filled rectangle whose lower left corner is given, moved into the image, in place."""
    size = 0.5 * unit
    wide, high = text_width(words, size) + round(8 * unit), round(18 * unit)
    x, y = max(min(corner[0], image.shape[1] - wide), 0), max(min(corner[1], image.shape[0] - 1), high)
    cv2.rectangle(image, (x, y - high), (x + wide, y), colour, -1)
    write(image, words, (x + round(4 * unit), y - round(5 * unit)), size)


def shade(image: np.ndarray) -> None:
    """Darken a part of an image, in place, so that text can be read on it."""
    image[...] = cv2.addWeighted(image, 0.3, np.full_like(image, SHADE), 0.7, 0)


def drawable(words: str) -> str:
    """A text that can be drawn: a question mark for each character that does not print."""
    return "".join(each if each.isprintable() else "?" for each in words)


def text_width(words: str, size: float) -> int:
    """Width of a text in pixels."""
    return cv2.getTextSize(drawable(words), cv2.FONT_HERSHEY_SIMPLEX, size, max(round(size * 2), 1))[0][0]


def write(image: np.ndarray, words: str, place: tuple[int, int], size: float) -> None:
    """White text, in place; ``place`` is the left end of its base line."""
    thickness = max(round(size * 2), 1)
    cv2.putText(image, drawable(words), place, cv2.FONT_HERSHEY_SIMPLEX, size, INK, thickness, cv2.LINE_AA)


def contact_sheet(images: Sequence[np.ndarray], columns: int, width: int) -> np.ndarray:
    """Images (H, W, 3) uint8 RGB side by side, ``columns`` in a row, each brought to the same width."""
    height = round(width * images[0].shape[0] / images[0].shape[1])
    cells = [cv2.resize(each, (width, height), interpolation=cv2.INTER_AREA) for each in images]
    cells += [np.zeros_like(cells[0])] * (-len(cells) % columns)
    return np.vstack([np.hstack(cells[i : i + columns]) for i in range(0, len(cells), columns)])
