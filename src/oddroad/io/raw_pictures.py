"""Raw pictures of cameras, as messages of driving logs hold them, in RGB."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from oddroad.errors import InputError, counted
from oddroad.io.images import to_eight_bits, used_bits

ENCODINGS: dict[str, tuple[int, int, Any]] = {
    "rgb8": (3, 1, None), "bgr8": (3, 1, cv2.COLOR_BGR2RGB),
    "rgba8": (4, 1, cv2.COLOR_RGBA2RGB), "bgra8": (4, 1, cv2.COLOR_BGRA2RGB),
    "mono8": (1, 1, cv2.COLOR_GRAY2RGB), "8UC1": (1, 1, cv2.COLOR_GRAY2RGB),
    "8UC3": (3, 1, cv2.COLOR_BGR2RGB), "8UC4": (4, 1, cv2.COLOR_BGRA2RGB),
    "rgb16": (3, 2, None), "bgr16": (3, 2, cv2.COLOR_BGR2RGB),
    "rgba16": (4, 2, cv2.COLOR_RGBA2RGB), "bgra16": (4, 2, cv2.COLOR_BGRA2RGB),
    "mono16": (1, 2, cv2.COLOR_GRAY2RGB), "16UC1": (1, 2, cv2.COLOR_GRAY2RGB),
    "16UC3": (3, 2, cv2.COLOR_BGR2RGB), "16UC4": (4, 2, cv2.COLOR_BGRA2RGB),
    "yuv422": (2, 1, cv2.COLOR_YUV2RGB_UYVY), "uyvy": (2, 1, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422_yuy2": (2, 1, cv2.COLOR_YUV2RGB_YUY2), "yuyv": (2, 1, cv2.COLOR_YUV2RGB_YUY2),
    "nv12": (1, 1, cv2.COLOR_YUV2RGB_NV12), "nv21": (1, 1, cv2.COLOR_YUV2RGB_NV21),
    **{
        f"bayer_{pattern}{8 * size}": (1, size, code)
        for size in (1, 2)
        for pattern, code in (
            ("rggb", cv2.COLOR_BayerRGGB2RGB), ("bggr", cv2.COLOR_BayerBGGR2RGB),
            ("gbrg", cv2.COLOR_BayerGBRG2RGB), ("grbg", cv2.COLOR_BayerGRBG2RGB),
        )
    },
}  # fmt: skip
"""Encodings of sensor_msgs/image_encodings.hpp: values a pixel in a row, bytes a value, and OpenCV's conversion."""


class Depth:
    """The number of bits that the pictures of one camera used so far, where they come in 16."""

    def __init__(self) -> None:
        self.bits = 8

    def __call__(self, image: np.ndarray, note: Callable[[str], None]) -> np.ndarray:
        """A picture of uint16 as uint8; see ``to_eight_bits``."""
        self.bits = used_bits(image, self.bits)
        return to_eight_bits(image, note, self.bits)


def raw_picture(
    data: np.ndarray,
    size: tuple[int, int, int],
    encoding: str,
    bigendian: bool,
    where: str,
    max_pixels: int,
    note: Callable[[str], None],
    depth: Depth,
) -> np.ndarray:
    """A raw picture as (H, W, 3) uint8 RGB.

    Args:
        data: its bytes, uint8.
        size: height, width, and bytes from the start of a row to the start of the next, which may be padded.
        encoding: a key of ENCODINGS.
        bigendian: whether the high byte of 16 bits comes first.
        where: what it is called in errors.
        max_pixels: larger pictures are refused.
        note: is told how many bits were used, of 16.
        depth: of the camera's pictures.

    Raises:
        InputError: if the encoding is not known, the picture is too large, or there are fewer bytes than pixels.
    """
    height, width, step = size
    if encoding not in ENCODINGS:
        raise InputError(f"{where} is in '{encoding[:40]}'; expected one of {', '.join(ENCODINGS)}")
    if min(height, width) > 0 and height * width > max_pixels:
        raise InputError(f"{where} has {width} x {height}, more than the limit of {max_pixels / 1e6:g} megapixels")
    values, bytes_each, conversion = ENCODINGS[encoding]
    rows, row = height * 3 // 2 if encoding.startswith("nv") else height, width * values * bytes_each
    step = step if step and rows > 1 else row
    if min(height, width) <= 0 or step < row or len(data) < step * (rows - 1) + row:
        raise InputError(
            f"{where} has {counted(len(data), 'byte')}; expected {counted(rows, 'row')} of {step} for {width} x "
            f"{height}"
        )
    padded = np.zeros(step * rows, np.uint8)
    padded[: len(data)] = data[: len(padded)]
    pixels = np.ascontiguousarray(padded.reshape(rows, step)[:, :row])
    if bytes_each == 2:
        pixels = depth(pixels.view(">u2" if bigendian else "<u2").astype(np.uint16), note)
    pixels = pixels.reshape(rows, width, values) if values > 1 else pixels.reshape(rows, width)
    try:
        return pixels if conversion is None else cv2.cvtColor(pixels, conversion)
    except cv2.error:  # two pixels share their colours
        raise InputError(f"{where} has {width} x {height}, which is no size of '{encoding}'") from None
