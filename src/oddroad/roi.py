"""Where in the picture anomalies count: the whole of it, the road, a polygon, or a mask.

One threshold for the whole picture is set by roofs and hedges. Within a region of interest it may lie lower, at the
same rate of false alarms; see docs/research/roi.md for what that gains. A region is part of a calibration and travels
in the Card with it.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from oddroad.errors import InputError
from oddroad.io.headers import PNG
from oddroad.io.images import MAX_PIXELS, decode, resize_nearest
from oddroad.regions import checked_lengths, decode_rle, encode_rle

GROUND = ("road", "sidewalk")
"""Names of the classes that ``road`` consists of, beside what lies between them."""

ROAD_ROWS = 128
"""About so many rows the road is found at: a network's own map has no more."""

LEAST_SHARE, LEAST_OF_PICTURE = 0.1, 0.005
"""Parts of the ground smaller than this share of its largest part, or of the picture, are specks, not ground."""

FORMS = (
    "'road', 'all', a polygon of shares of width and height such as '0,1 0.4,0.5 0.6,0.5 1,1', one in pixels with the "
    "size of the picture behind it such as '0,540 400,270 560,270 960,540 @540x960', or a mask (PNG, 0 outside)"
)


@dataclass(frozen=True)
class Roi:
    """A region of interest.

    Attributes:
        kind: "all", "road", "polygon" or "mask".
        points: of a polygon, its corners (x, y) as shares of width and height, 0 to 1.
        size: of a mask, its (H, W).
        counts: of a mask, its pixels as COCO's compressed run-length code.
        name: of a mask, its file, for people.
    """

    kind: str = "all"
    points: tuple[tuple[float, float], ...] = ()
    size: tuple[int, int] = (0, 0)
    counts: str = ""
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> Roi:
        """Read what the option ``--roi`` says; a file is read now.

        >>> Roi.parse("0,10 5,0 10,10 @10x20").points
        ((0.0, 1.0), (0.25, 0.0), (0.5, 1.0))

        Raises:
            InputError: if it is not understood, the mask cannot be read, or nothing lies within.
        """
        text = text.strip()
        if text in ("all", "road"):
            return cls(text)
        if len(text) < 4096 and "\0" not in text:  # no system has longer paths
            path = Path(text)
            if os.path.isfile(text) or path.suffix.lower() == ".png":
                return read_mask(path)
        return read_polygon(text)

    @classmethod
    def of(cls, calibration: Mapping[str, Any]) -> Roi:
        """The one of a Card's calibration; the whole picture where it has none.

        Raises:
            InputError: if it is none that this version knows.
        """
        values = calibration.get("roi")
        if values is None:
            return cls()
        try:
            if values["kind"] == "road":
                return cls("road")
            if values["kind"] == "polygon":
                points = tuple((float(x), float(y)) for x, y in values["points"])
                if len(points) >= 3 and all(0 <= each <= 1 for point in points for each in point):
                    return cls("polygon", points)
            if values["kind"] == "mask":
                height, width = (int(each) for each in values["size"])
                if min(height, width) > 0 and height * width <= MAX_PIXELS:
                    checked_lengths(str(values["counts"]), (height, width))
                    return cls("mask", size=(height, width), counts=str(values["counts"]), name=str(values["name"]))
        except (KeyError, TypeError, ValueError, OverflowError):
            pass
        raise InputError(f"the card's region of interest is {str(values)[:80]}; upgrade with 'pip install -U oddroad'")

    def values(self) -> dict[str, Any] | None:
        """JSON values for the Card and the results; None for the whole picture."""
        if self.kind == "all":
            return None
        if self.kind == "polygon":
            return {"kind": "polygon", "points": [list(each) for each in self.points]}
        if self.kind == "mask":
            return {"kind": "mask", "size": list(self.size), "counts": self.counts, "name": self.name}
        return {"kind": self.kind}

    @property
    def words(self) -> str:
        """What it is, after "within": "the road"."""
        mask = f"the mask '{self.name}'"
        return {"all": "the picture", "road": "the road", "polygon": "a polygon", "mask": mask}[self.kind]

    def same(self, other: Roi) -> bool:
        """Whether it is the same part of the picture; a mask's file may have another name."""
        return (self.kind, self.points, self.size, self.counts) == (other.kind, other.points, other.size, other.counts)

    def inside(
        self, size: tuple[int, int], classes: np.ndarray | None = None, names: Sequence[str] = ()
    ) -> np.ndarray | None:
        """Its pixels in a picture, (H, W) bool; None for all of them.

        Args:
            size: (H, W) of the picture.
            classes: (H, W) uint8, the most likely class of each pixel; for "road".
            names: of the classes.

        Raises:
            InputError: if a mask has another aspect than the picture.
        """
        if self.kind == "all":
            return None
        if self.kind == "road":
            assert classes is not None
            return road(classes, [number for number, name in enumerate(names) if name in GROUND])
        return fixed(self, size)


def read_mask(path: Path) -> Roi:
    """A mask from a PNG file: what is not 0 lies within.

    Raises:
        InputError: if it cannot be read, is no PNG, or is 0 throughout.
    """
    pixels = decode(path, cv2.IMREAD_GRAYSCALE) > 0
    with path.open("rb") as opened:
        if opened.read(len(PNG)) != PNG:
            raise InputError(f"the mask '{path}' is no PNG; other formats blur its edge: save it as PNG")
    if not pixels.any():
        raise InputError(f"the mask '{path}' is 0 throughout; pixels that count must be above 0")
    size = (pixels.shape[0], pixels.shape[1])
    return Roi("mask", size=size, counts=encode_rle(pixels, (0, 0), size), name=path.name)


def read_polygon(text: str) -> Roi:
    """A polygon from its corners, in shares of the picture, or in pixels with its size behind an "@".

    Raises:
        InputError: if it is none, reaches out of the picture, or has no area.
    """
    corners, _, behind = text.partition("@")
    shown = text if len(text) <= 80 else f"{text[:77]}..."
    try:
        points = [(float(x), float(y)) for x, y in (each.split(",") for each in corners.replace(";", " ").split())]
        high, wide = (float(each) for each in behind.strip().split("x")) if behind else (1.0, 1.0)
        finite = all(math.isfinite(each) for point in points for each in point) and high > 0 and wide > 0
    except ValueError:
        finite, points, high, wide = False, [], 1.0, 1.0
    if not finite or not points:
        raise InputError(f"--roi '{shown}' is not understood; expected {FORMS}")
    if outside := [(x, y) for x, y in points if not (0 <= x <= wide and 0 <= y <= high)]:
        hint = (
            f"that picture is {high:g} high and {wide:g} wide"
            if behind
            else "shares go from 0 to 1; behind pixels, write the picture's size, such as '@540x960' (height x width)"
        )
        raise InputError(f"--roi: the corner {outside[0][0]:g},{outside[0][1]:g} lies outside of the picture; {hint}")
    shares = tuple((round(x / wide, 6), round(y / high, 6)) for x, y in points)
    if len(points) < 3 or cv2.contourArea(cv2.convexHull(np.array(shares, np.float32))) < 1e-4:
        raise InputError(f"--roi '{shown}' has no area; a polygon takes three corners or more")
    return Roi("polygon", shares)


@functools.lru_cache(8)
def fixed(roi: Roi, size: tuple[int, int]) -> np.ndarray:
    """The pixels (H, W) bool of a polygon or mask in pictures of a size, which are shared: not to be written to.

    Raises:
        InputError: if a mask has another aspect than the picture.
    """
    height, width = size
    if roi.kind == "polygon":
        corners = np.array([(x * width - 0.5, y * height - 0.5) for x, y in roi.points])
        drawn = np.zeros(size, np.uint8)
        cv2.fillPoly(drawn, [np.round(corners * 16).astype(np.int32)], 1, shift=4)
        found = drawn.astype(bool)
    else:
        if abs(math.log(width * roi.size[0] / (height * roi.size[1]))) > 0.02:
            raise InputError(
                f"the mask '{roi.name}' is {roi.size[0]} x {roi.size[1]} and the picture {height} x {width}, another "
                "aspect; make the mask on a picture of this camera"
            )
        found = resize_nearest(decode_rle(roi.counts, roi.size), size)
    found.flags.writeable = False
    return found


def road(classes: np.ndarray, ground: Sequence[int]) -> np.ndarray:
    """The ground and what it encloses: all that lies between ground to its left and ground to its right.

    Args:
        classes: (H, W) uint8.
        ground: numbers of the classes that are ground.

    Returns:
        (H, W) bool; nothing where there is no ground.
    """
    height, width = classes.shape
    step = max(1, round(height / ROAD_ROWS))
    found = np.isin(classes[step // 2 :: step, step // 2 :: step], ground).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(found, connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    kept = areas >= max(LEAST_SHARE * areas.max(), LEAST_OF_PICTURE * found.size)
    found = kept[labels].astype(np.uint8)
    found |= np.maximum.accumulate(found, 1) & np.maximum.accumulate(found[:, ::-1], 1)[:, ::-1]
    if step == 1:
        return found.astype(bool)
    return cv2.resize(found, (width, height), interpolation=cv2.INTER_NEAREST).astype(bool)
