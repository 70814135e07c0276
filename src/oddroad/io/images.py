"""Images and label images: read, written, resized."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from oddroad.errors import InputError, out_of_memory
from oddroad.io.headers import PNG, damaged_png, end_of, has_pages, is_animated, range_of_pnm, size_of

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # its lines would be printed between ours

MAX_PIXELS = 100_000_000
"""Pixels of a picture that is read without asking: a small file can hold one that fills the memory."""


def decode(path: Path, how: int) -> np.ndarray:
    """Pixels of an image file as OpenCV gives them; numbers of a Netpbm picture as they stand, whatever its range.

    Raises:
        InputError: if the file is missing, damaged, or has more than MAX_PIXELS.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read '{path}': {error.strerror}") from None
    check_size(data, str(path), MAX_PIXELS)
    end = end_of(data)
    if end is None or (data.startswith(PNG) and damaged_png(data[:end])):  # OpenCV takes memory for what a chunk claims
        raise InputError(f"'{path}' is cut off or damaged; download it again")
    try:
        pixels = cv2.imdecode(np.frombuffer(full_range(data[:end])[0], np.uint8), how) if data else None
    except cv2.error as error:
        if out_of_memory(error):
            raise
        pixels = None
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


def read_image(path: Path, max_pixels: int = MAX_PIXELS, note: Callable[[str], None] | None = None) -> np.ndarray:
    """An image file as (H, W, 3) uint8 RGB: turned as EXIF says, grey repeated, alpha dropped, 16 bits reduced to 8.

    The one reader of images. What stands behind the end of the picture (a video, a trailer) is not looked at. See
    ``to_eight_bits`` for pictures of 10, 12 and 14 bits in files of 16.

    Args:
        path: the file; its ending does not matter.
        max_pixels: pictures of more pixels are refused before they are decoded.
        note: is told what is worth knowing about the picture.

    Raises:
        InputError: if there is no such file, it is no image, it is cut off, or it is too large.
    """
    return decode_image(bytes_of(path), str(path), max_pixels, note)


def bytes_of(path: Path) -> bytes:
    """What a file holds.

    Raises:
        InputError: if there is no such file, or it cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"no such file: '{path}'") from None
    except OSError as error:
        raise InputError(f"cannot read '{path}': {error.strerror}") from None


def decode_image(
    data: bytes, name: str, max_pixels: int = MAX_PIXELS, note: Callable[[str], None] | None = None
) -> np.ndarray:
    """The bytes of an image file as (H, W, 3) uint8 RGB; see ``read_image``.

    Args:
        data: the bytes.
        name: what they are called in errors.
        max_pixels: pictures of more pixels are refused before they are decoded.
        note: is told what is worth knowing about the picture.

    Raises:
        InputError: if they are no image, are cut off, or hold too large a picture.
    """
    if not data:
        raise InputError(f"'{name}' is empty")
    check_size(data, name, max_pixels)
    end = end_of(data)
    if end is None:
        raise InputError(f"'{name}' is cut off: its last part is missing")
    if data.startswith(PNG) and damaged_png(data[:end]):
        raise InputError(f"'{name}' is damaged: its check sums are wrong; copy or download it again")
    try:
        whole, most = full_range(data[:end])
        image = cv2.imdecode(np.frombuffer(whole, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error as error:
        if out_of_memory(error):
            raise
        image = None
    if image is None:
        raise InputError(f"'{name}' is not an image that can be read")
    if note is not None and is_animated(data[: 2**20]):
        note("animated pictures are read as their first picture")
    if note is not None and has_pages(data):
        note("TIFFs of several pages are read as their first page")
    if most:  # its header says what is white
        image = ((np.minimum(image, most).astype(np.uint32) * 255 + most // 2) // most).astype(np.uint8)
    if image.dtype == np.uint16:
        image = to_eight_bits(image, note)
    if image.dtype != np.uint8:
        raise InputError(
            f"'{name}' holds {image.dtype} values, of which the range is not known; save it with 8 or 16 bits"
        )
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def full_range(data: bytes) -> tuple[bytes, int]:
    """A picture as OpenCV reads its numbers unchanged, and the largest one that its header allows; 0 where they need
    not be scaled by it.

    OpenCV scales the numbers of Netpbm pictures that are written as text by their range, and those of others not.
    """
    found = range_of_pnm(data)
    if found is None or not 0 < found[0] < 65535 or found[0] == 255:
        return data, 0
    most, begin, end = found
    return b"".join((data[:begin], b"255" if most < 256 else b"65535", data[end:])), most


def check_size(data: bytes, name: str, max_pixels: int) -> None:
    """Refuse a picture before it is decoded if it has too many pixels, or none can say how many.

    Args:
        data: the bytes of the file.
        name: what they are called in errors.
        max_pixels: that it may have.

    Raises:
        InputError: if it is too large, or of a format whose size is not known here: a small file of it could fill the
            memory.
    """
    size = size_of(data)
    if size is None and data:
        raise InputError(f"'{name}' is not an image that can be read: its header does not say how large it is")
    if size is not None and size[0] * size[1] > max_pixels:
        raise InputError(
            f"'{name}' has {size[1]} x {size[0]} = {size[0] * size[1] / 1e6:.0f} megapixels, more than the limit of "
            f"{max_pixels / 1e6:g}; scale it down"
        )


def to_eight_bits(image: np.ndarray, note: Callable[[str], None] | None = None, least: int = 8) -> np.ndarray:
    """Pictures of uint16 as uint8: divided by what brings the bits that are used to 8.

    Cameras of 10, 12 and 14 bits store 0 to 1023, 4095 or 16383 in files of 16 bits, which would be nearly black if
    divided by 256. How many bits there are is told from the highest value. A picture of truly 16 bits without any
    value over a quarter of the range would be taken for one of 14 bits, and be lighter than it was; ``note`` is told.
    Of a camera's stream, ``least`` is the number of bits that earlier pictures had, so that a dark one stays dark.

    >>> to_eight_bits(np.array([[0, 2048, 4095]], np.uint16)).tolist()
    [[0, 128, 255]]
    """
    bits = used_bits(image, least)
    if bits < 16 and note is not None:
        note(f"pictures of 16 bits with values up to {2**bits - 1} are read as {bits} bits")
    return (image >> (bits - 8)).astype(np.uint8)


def used_bits(image: np.ndarray, least: int = 8) -> int:
    """Bits that the values of a picture of uint16 need: 8, 10, 12, 14 or 16, and no fewer than ``least``."""
    highest = int(image.max())
    return next(each for each in (8, 10, 12, 14, 16) if each >= least and highest < 2**each)


def encode_image(image: np.ndarray, ending: str, quality: int = 92) -> bytes:
    """An image as the bytes of a file.

    Args:
        image: (H, W, 3) uint8 RGB, or (H, W) uint8.
        ending: of the format, such as ".png".
        quality: of a JPEG, 0 to 100.

    Raises:
        InputError: if it cannot be encoded so.
    """
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    lossy = ending.lower() in (".jpg", ".jpeg")
    good, data = cv2.imencode(ending, pixels, [cv2.IMWRITE_JPEG_QUALITY, quality] if lossy else [])
    if not good:
        raise InputError(f"cannot encode an image of shape {image.shape} as '{ending}'")
    return data.tobytes()


def write_image(path: Path, image: np.ndarray, quality: int = 92) -> None:
    """Write (H, W, 3) uint8 RGB or (H, W) uint8 in the format of the path's ending; its folders are made.

    Raises:
        InputError: if it cannot be encoded in that format.
        OSError: if it cannot be written.
    """
    data = encode_image(image, path.suffix, quality)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
