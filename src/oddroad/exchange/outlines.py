"""Masks of regions as outlines, for tools that know only lines."""

from __future__ import annotations

import cv2
import numpy as np

from oddroad.regions import mask_in_box
from oddroad.types import Region


def outlines(region: Region) -> tuple[list[np.ndarray], int]:
    """The outer contour of each part of a region, and the number of its holes.

    A contour is an array (n, 2) int of x and y in the frame, and goes through the centres of the outermost pixels.
    """
    mask = np.ascontiguousarray(mask_in_box(region)).view(np.uint8)
    contours, hierarchy = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE, offset=region.box[:2])
    outer = [contour[:, 0] for contour, links in zip(contours, hierarchy[0], strict=True) if links[3] < 0]
    return outer, len(contours) - len(outer)
