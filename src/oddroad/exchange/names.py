"""Names of pictures, pictures as files, and folders that are made for a tool."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from oddroad.errors import InputError, why
from oddroad.exchange.results import FrameResult
from oddroad.io.images import encode_image, write_image


def safe_parts(source: str) -> list[str]:
    """The parts of a source's name that may be parts of a path below a folder: none leads out of it.

    >>> safe_parts("../town/a:b.jpg")
    ['town', 'a_b.jpg']
    """
    parts = [re.sub(r'[\x00-\x1f<>:"|?*]', "_", part) for part in re.split(r"[/\\]", source)]
    return [part for part in parts if part not in ("", ".", "..")] or ["frame"]


def picture_names(frames: Iterable[FrameResult]) -> list[str]:
    """A name for the picture of each frame, no two the same: ``town/a.jpg``, ``drive.mp4/000012.jpg``."""
    taken: set[str] = set()
    names: list[str] = []
    for frame in frames:
        parts = safe_parts(frame.source)
        if frame.index is not None:
            parts.append(f"{frame.index:06d}.jpg")
        name, number = "/".join(parts), 2
        while name.lower() in taken:  # the same source in two runs
            name, number = "/".join([f"run{number}", *parts]), number + 1
        taken.add(name.lower())
        names.append(name)
    return names


@contextlib.contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder to fill, which becomes ``out`` when everything is in it, and is gone if something fails.

    Raises:
        InputError: if ``out`` holds something, or cannot be made.
    """
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise InputError(f"'{out}' is already there; pass a new folder with --out, or remove it first")
    partial = out.with_name(f"{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        yield partial
        if out.is_dir():
            out.rmdir()
        partial.replace(out)
    except OSError as error:
        raise InputError(f"cannot write to '{out}': {why(error)}; or choose another folder with --out") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def save_picture(path: Path, image: np.ndarray) -> None:
    """Write an image (H, W, 3) uint8 RGB by the ending of its path, in high quality."""
    write_image(path, image, quality=95)


def as_jpeg(image: np.ndarray) -> bytes:
    """An image (H, W, 3) uint8 RGB as a JPEG file."""
    return encode_image(image, ".jpg", 90)
