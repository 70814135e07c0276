"""Reading the images and labels of samples: values as stored, one aspect, one size."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from oddroad.errors import InputError
from oddroad.io.images import MAX_PIXELS, decode, resize_nearest
from oddroad.io.images import read_image as read_image_file
from oddroad.types import IGNORE, MaskCodes, Sample

INDEXED = {"1", "L", "P", "I", "I;16", "I;16B", "I;16L"}
"""Pillow's modes of one number a pixel; in "P" it is the index into a palette."""


def table(pairs: dict[int, int] | None = None, keep: int = 0) -> np.ndarray:
    """(256,) uint8: raw label -> ours; the first ``keep`` values stay, ``pairs`` are mapped, the rest is IGNORE.

    >>> table({2: 1}, keep=1)[[0, 1, 2]].tolist()
    [0, 255, 1]
    """
    values = np.full(256, IGNORE, np.uint8)
    values[:keep] = np.arange(keep)
    for raw, ours in (pairs or {}).items():
        values[raw] = ours
    return values


def read_image(sample: Sample) -> np.ndarray:
    """The image of a sample, (H, W, 3) uint8 RGB, at ``sample.size`` if that is set.

    Raises:
        InputError: if the file is missing or damaged.
    """
    image = read_image_file(sample.image)
    if sample.size is not None and image.shape[:2] != sample.size:
        image = cv2.resize(image, sample.size[::-1], interpolation=cv2.INTER_LINEAR)
    return image


def read_numbers(path: Path) -> np.ndarray:
    """The numbers in an image file, (H, W) of an integer type: of a palette the indices, of 1 to 4 bits the values.

    Raises:
        InputError: if the file is missing, damaged, or a picture with colours.
    """
    from PIL import Image

    try:
        with Image.open(path) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise InputError(
                    f"label '{path}' has {opened.width} x {opened.height} pixels, more than the limit of "
                    f"{MAX_PIXELS / 1e6:g} megapixels; scale it down"
                )
            scaled = opened.format == "PPM" and opened.mode != "1"  # by the range that the header names
            if opened.mode in INDEXED and not scaled:
                numbers = np.asarray(opened)
                bits = grey_bits(path) if opened.mode == "L" else 8
                return numbers.astype(np.uint8) if opened.mode == "1" else numbers // (255 // (2**bits - 1))
    except FileNotFoundError:
        raise InputError(f"no label file '{path}'") from None
    except InputError:
        raise
    except Exception as error:  # Pillow raises errors of many kinds on damaged files
        raise InputError(f"label '{path}' is no readable image ({' '.join(str(error).split())[:120]})") from None
    pixels = decode(path, cv2.IMREAD_UNCHANGED)
    colours = pixels[..., :3] if pixels.ndim == 3 else pixels[..., None]
    if (colours != colours[..., :1]).any():
        found = np.unique(colours.reshape(-1, colours.shape[-1])[:, ::-1], axis=0)[:4].tolist()
        raise InputError(
            f"label '{path}' is a colour image (RGB such as {', '.join(map(str, found))}); expected one number a "
            "pixel: save the class numbers as a grey or palette PNG"
        )
    return np.ascontiguousarray(colours[..., 0])


def grey_bits(path: Path) -> int:
    """Bits a pixel of a grey PNG, whose values Pillow spreads over 0 to 255 where there are fewer than 8."""
    with path.open("rb") as opened:
        head = opened.read(26)
    return head[24] if head[:8] == b"\x89PNG\r\n\x1a\n" and head[25] == 0 and head[24] < 8 else 8


def read_raw_label(sample: Sample) -> np.ndarray:
    """The label image of a sample as stored, (H, W) uint8: numbers, never colours.

    Raises:
        InputError: if the file is missing, damaged, a picture with colours, or holds a number above 255.
    """
    if sample.label is None:
        raise InputError(f"'{sample.image}' has no label")
    if sample.codes is not None:
        return read_coded(sample.label, sample.codes)
    label = read_numbers(sample.label)
    if label.dtype != np.uint8:
        if not np.issubdtype(label.dtype, np.integer) or label.min() < 0 or label.max() > 255:
            beyond = [each for each in np.unique(label).tolist() if not 0 <= each <= 255 or each != int(each)]
            raise InputError(
                f"label '{sample.label}' holds {label.dtype} with values such as {beyond[:4] or label.flat[0]}; "
                "expected whole numbers from 0 to 255"
            )
        label = label.astype(np.uint8)
    return np.ascontiguousarray(label)


def read_codes(path: Path, colours: bool) -> np.ndarray:
    """The numbers of a mask, (H, W) of an integer type; of colours red * 65536 + green * 256 + blue.

    Raises:
        InputError: if the file is missing, damaged, or holds the other of the two.
    """
    if not colours:
        numbers = read_numbers(path)
        if not np.issubdtype(numbers.dtype, np.integer):
            raise InputError(f"mask '{path}' holds {numbers.dtype}; expected whole numbers")
        return numbers
    pixels = decode(path, cv2.IMREAD_COLOR)
    blue, green, red = (pixels[..., each].astype(np.int32) for each in range(3))
    return red << 16 | green << 8 | blue


def read_coded(path: Path, how: MaskCodes) -> np.ndarray:
    """A mask of one's own as training labels, (H, W) uint8.

    Raises:
        InputError: if it cannot be read, or holds what the class map does not name and the map says nothing of the
            rest.
    """
    numbers = read_codes(path, how.colours)
    known = np.array(sorted(how.codes), np.int64)
    labels = np.array([how.codes[each] for each in known.tolist()], np.uint8)
    at = np.searchsorted(known, numbers).clip(max=len(known) - 1)
    missing = known[at] != numbers
    found = labels[at]
    if missing.any():
        if how.rest is None:
            lacking = np.unique(numbers[missing]).tolist()
            shown = ", ".join(f"#{each:06x}" if how.colours else str(each) for each in lacking[:4])
            raise InputError(
                f"mask '{path}' holds {shown}{', ...' if len(lacking) > 4 else ''}, which the class map does not name; "
                "name them, or write 'ignore: rest'"
            )
        found[missing] = how.rest
    return found


def read_label(sample: Sample) -> np.ndarray:
    """The label of a sample in our terms, (H, W) uint8, at ``sample.size`` if that is set.

    Raises:
        InputError: see ``read_raw_label``.
    """
    label = sample.lookup[read_raw_label(sample)]
    return label if sample.size is None else resize_nearest(label, sample.size)


def same_aspect(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether two sizes (H, W) show the same picture at two scales, the smaller one's sides rounded by under a pixel.

    >>> same_aspect((135, 240), (1080, 1920)), same_aspect((240, 135), (1080, 1920))
    (True, False)
    """
    small, large = sorted((one, other), key=lambda size: size[0] * size[1])
    least = max((each - 1) / whole for each, whole in zip(small, large, strict=True))
    most = min((each + 1) / whole for each, whole in zip(small, large, strict=True))
    return least < most


def check_shapes(sample: Sample, image: tuple[int, ...], label: tuple[int, ...], heat: tuple[int, ...] | None) -> None:
    """Refuse an image, a label and a map that cannot show the same scene.

    Args:
        sample: whose they are.
        image: (H, W) of the image.
        label: (H, W) of the label.
        heat: (H, W) of the map; None where there is none.

    Raises:
        InputError: if their aspects differ by more than rounding; one line with all shapes.
    """
    if same_aspect(image, label) and (heat is None or (same_aspect(heat, image) and same_aspect(heat, label))):
        return
    sizes = [f"image {image[0]} x {image[1]}", f"label {label[0]} x {label[1]}"]
    sizes += [] if heat is None else [f"map {heat[0]} x {heat[1]}"]
    raise InputError(
        f"frame '{sample.name}' has shapes of different aspects (height x width): {', '.join(sizes)}; expected one "
        f"aspect: is one of them transposed, cropped, or of another frame? ('{sample.image}')"
    )
