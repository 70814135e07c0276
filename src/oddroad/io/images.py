"""Images and label images: read, written, resized."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from oddroad.errors import InputError


def decode(path: Path, how: int) -> np.ndarray:
    """Pixels of an image file as OpenCV gives them.

    Raises:
        InputError: if the file is missing or damaged.
    """
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise InputError(f"cannot read '{path}': {error.strerror}") from None
    pixels = cv2.imdecode(data, how) if len(data) else None
    if pixels is None:
        raise InputError(f"'{path}' is no readable image; download it again")
    return pixels


def resize_nearest(label: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W) to ``size``, each pixel the one whose area holds its centre; what Pillow does, not OpenCV."""
    if label.shape == tuple(size):
        return label
    rows, columns = (
        np.cumsum([0.5 * old / new] + [old / new] * (new - 1)).astype(int).clip(0, old - 1)
        for new, old in zip(size, label.shape, strict=True)
    )
    return label[rows[:, None], columns]


def resize_area(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) uint8 to ``size`` by a triangle filter over two new pixels: Pillow's bilinear, without aliasing."""
    for axis, new in ((1, size[1]), (0, size[0])):
        old = image.shape[axis]
        if old == new:
            continue
        scale = old / new
        reach = max(scale, 1.0)
        centres = (np.arange(new) + 0.5) * scale
        weights = np.maximum(1 - np.abs(np.arange(old) + 0.5 - centres[:, None]) / reach, 0)
        weights = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
        turned = np.moveaxis(image, axis, 0)
        mixed = (weights @ turned.reshape(old, -1).astype(np.float32)).reshape(new, *turned.shape[1:])
        image = np.moveaxis(np.floor(mixed + np.float32(0.5)).clip(0, 255).astype(np.uint8), 0, axis)
    return np.ascontiguousarray(image)


def whole(data: bytes) -> bool:
    """Whether the bytes of a JPEG, PNG or WebP go to their end; True for other formats."""
    if data[:2] == b"\xff\xd8":
        return data.rfind(b"\xff\xd9") > data.rfind(b"\xff\xda")
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return b"IEND" in data[-64:]
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return int.from_bytes(data[4:8], "little") + 8 <= len(data)
    return True


def read_image(path: Path) -> np.ndarray:
    """An image file as (H, W, 3) uint8 RGB: turned as EXIF says, 16 bit reduced to 8, grey repeated, alpha dropped.

    Raises:
        InputError: if there is no such file, it is no image, or it is cut off.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"no such file: '{path}'") from None
    except OSError as error:
        raise InputError(f"cannot read '{path}': {error.strerror}") from None
    if not data:
        raise InputError(f"'{path}' is empty")
    if not whole(data):
        raise InputError(f"'{path}' is cut off: its last part is missing")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        image = None
    if image is None:
        raise InputError(f"'{path}' is not an image that can be read")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def write_image(path: Path, image: np.ndarray, quality: int = 92) -> None:
    """Write (H, W, 3) uint8 RGB or (H, W) uint8 in the format of the path's ending; raises OSError if it cannot."""
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    good, data = cv2.imencode(path.suffix, pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not good:
        raise InputError(f"cannot encode '{path}'")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.tobytes())
