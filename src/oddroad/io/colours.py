"""Decoded frames as RGB, with the matrix and range that the video was made with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

HD = 720
"""Lines from which on a video that does not name its matrix is bt.709; fewer are bt.601."""


MATRICES = {1: "bt.709", 4: "FCC", 5: "bt.601", 6: "bt.601", 7: "SMPTE 240M", 9: "bt.2020", 10: "bt.2020"}
"""Matrices of H.273 that swscale converts, by number."""


OTHERS = {8: "YCgCo", 11: "SMPTE 2085", 12: "chromaticity-derived", 13: "chromaticity-derived", 14: "ICtCp"}


HDR = {16: "PQ", 18: "HLG"}
"""Transfer characteristics of H.273 of high dynamic range, by number."""


FULL = 2
"""The colour range of 0 to 255; 1 is that of 16 to 235."""


LEAST_STRETCH = 0.02
"""Pixels that are not square by less than this are rounding of the size, not meant."""


class ToRGB:
    """Converts the frames of one source.

    Args:
        aspect: width of a pixel by its height; 1 where it is not known.
        note: is told, once, what is worth knowing about the pictures.
    """

    def __init__(self, aspect: float, note: Callable[[str], None]):
        from av.video.reformatter import VideoReformatter

        stretched = 0.25 <= aspect <= 4 and abs(aspect - 1) > LEAST_STRETCH
        self.aspect = aspect if stretched else 1.0
        self.note = note
        self.reformatter = VideoReformatter()
        self.noted = False

    def __call__(self, frame: Any) -> np.ndarray:
        """An av.VideoFrame as (H, W, 3) uint8 RGB: square pixels, turned as the container says."""
        from av.video.reformatter import Colorspace

        matrix = frame.colorspace if frame.colorspace in MATRICES else 1 if frame.height >= HD else 5
        source = {1: Colorspace.ITU709, 4: Colorspace.FCC, 7: Colorspace.SMPTE240M}.get(matrix, Colorspace.ITU601)
        if matrix in (9, 10):
            source = Colorspace.BT2020
        full = frame.color_range == FULL or frame.format.name.startswith("yuvj")
        if not self.noted:
            self.describe(frame)
        rgb = self.reformatter.reformat(
            frame, format="rgb24", src_colorspace=source, dst_colorspace=source, src_color_range=2 if full else 1,
            dst_color_range=2,
        ).to_ndarray()  # fmt: skip
        if self.aspect != 1:
            size = (max(round(rgb.shape[1] * self.aspect), 1), rgb.shape[0])
            rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_LINEAR)
        turns = round(frame.rotation / 90) % 4
        return np.ascontiguousarray(np.rot90(rgb, turns)) if turns else rgb

    def describe(self, frame: Any) -> None:
        """Say once what is unusual about the first frame."""
        self.noted = True
        if frame.color_trc in HDR:
            self.note(f"high dynamic range ({HDR[frame.color_trc]}), read without tone mapping: scores may be off")
        if frame.colorspace in OTHERS:
            self.note(f"colours in {OTHERS[frame.colorspace]}, read as bt.709 or bt.601: colours are wrong")
        if frame.interlaced_frame:
            self.note("interlaced: the two fields of a frame are read as one picture")
        if self.aspect != 1:
            self.note(f"pixels are {self.aspect:.3g} times as wide as high; pictures are resized to square pixels")
