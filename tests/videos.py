"""Videos for tests, written by PyAV: each of a smooth picture in which a bar moves."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

TICKS = 90_000
"""Time stamps per second."""


def scene(number: int, size: tuple[int, int] = (96, 160)) -> np.ndarray:
    """A smooth picture (H, W, 3) uint8 RGB with a bar that moves with its number."""
    height, width = size
    y, x = np.mgrid[:height, :width]
    image = np.stack([x * 200 // width + 20, y * 180 // height + 30, (x + y) * 160 // (height + width) + 40], -1)
    image[:, 7 * number % width : 7 * number % width + 12] = (200, 60, 30)
    return image.astype(np.uint8)


def patches(size: tuple[int, int]) -> np.ndarray:
    """Squares of 32 pixels of random colours (H, W, 3) uint8 RGB."""
    small = np.random.default_rng(0).integers(0, 256, (-(-size[0] // 32), -(-size[1] // 32), 3), np.uint8)
    return small.repeat(32, 0).repeat(32, 1)[: size[0], : size[1]]


def write_video(
    path: Path,
    images: Sequence[np.ndarray],
    codec: str = "libx264",
    rate: float = 25.0,
    pixels: str = "yuv420p",
    times: Sequence[float] | None = None,
    options: dict[str, str] | None = None,
    group: int = 12,
    b_frames: int = 0,
    matrix: tuple[int, int] | None = None,
    change: dict[str, Any] | None = None,
    container: dict[str, str] | None = None,
    format: str | None = None,
    aspect: Fraction | None = None,
    rotation: int = 0,
) -> Path:
    """Write images (H, W, 3) uint8 RGB, all of one size.

    Args:
        path: the file.
        images: the frames.
        codec: an encoder of PyAV's.
        rate: frames per second.
        pixels: pixel format.
        times: seconds of each frame, where they are not even.
        options: of the encoder.
        group: frames from one key frame to the next.
        b_frames: frames between others that refer to later ones.
        matrix: (H.273 number of the matrix, 1 for 16 to 235 or 2 for 0 to 255), with which the colours are made.
        change: attributes of the encoder, such as color_trc.
        container: options of the container.
        format: of the container, where the ending does not say.
        aspect: width of a pixel by its height.
        rotation: degrees counterclockwise by which a player turns it.
    """
    height, width = images[0].shape[:2]
    with av.open(str(path), "w", format=format, options=container or {}) as out:
        stream = out.add_stream(codec, rate=Fraction(rate).limit_denominator(1001))
        context = stream.codec_context
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        context.gop_size, context.max_b_frames = group, b_frames
        fast = {"preset": "ultrafast", "qp": "2", "bf": str(b_frames)} if codec == "libx264" else {}
        context.options = {**fast, **(options or {})}
        if times is not None:
            context.time_base = stream.time_base = Fraction(1, TICKS)
        if aspect is not None:
            context.sample_aspect_ratio = aspect
        if rotation:
            stream.set_display_rotation(rotation)
        tags = {} if matrix is None else {"colorspace": matrix[0], "color_range": matrix[1]}
        for name, value in {**tags, **(change or {})}.items():
            setattr(context, name, value)
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            if matrix is not None:
                number_of, span = matrix
                kind = {1: 1, 5: 5, 6: 5, 9: 9}[number_of]
                frame = frame.reformat(
                    format=pixels, src_colorspace=kind, dst_colorspace=kind, src_color_range=2, dst_color_range=span
                )
                frame.colorspace, frame.color_range = number_of, span
            frame.pts = number if times is None else round(times[number] * TICKS)
            frame.time_base = Fraction(1, TICKS) if times is not None else 1 / Fraction(rate).limit_denominator(1001)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def packets_lost(path: Path, share: float, seed: int = 0) -> Path:
    """A transport stream without a share of its packets of 188 bytes; its first 20 stay."""
    data = path.read_bytes()
    keep = np.random.default_rng(seed).random(len(data) // 188) > share
    keep[:20] = True
    rows = np.frombuffer(data, np.uint8)[: len(keep) * 188].reshape(-1, 188)
    lost = path.with_name(f"lost_{path.name}")
    lost.write_bytes(rows[keep].tobytes())
    return lost
