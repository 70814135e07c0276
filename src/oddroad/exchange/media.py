"""The pictures of the frames, read again from where ``oddroad detect`` read them, and the maps that it saved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from oddroad.errors import InputError
from oddroad.exchange.results import FrameResult
from oddroad.io.images import MAX_PIXELS
from oddroad.io.reading import ReadOptions, ReadReport
from oddroad.io.sources import Source, find_sources
from oddroad.io.video import read


class Media:
    """The folder or file that frames were read from.

    Args:
        root: the folder, or the one image or video.

    Raises:
        InputError: if there is nothing to read in it.
    """

    def __init__(self, root: Path):
        self.root = root
        self.sources = {each.name: each for each in find_sources([str(root)])}

    def source(self, name: str) -> Source:
        """Where the frames of a source come from.

        Raises:
            InputError: if it is not there.
        """
        if name not in self.sources:
            there = ", ".join(list(self.sources)[:3]) + (", ..." if len(self.sources) > 3 else "")
            raise InputError(
                f"'{name}' of the results is not in '{self.root}', which holds {there}; pass with --media the file or "
                "folder that 'oddroad detect' read"
            )
        return self.sources[name]

    def path(self, frame: FrameResult) -> Path:
        """The file of a still image."""
        return Path(self.source(frame.source).place)

    def images(self, frames: Iterable[FrameResult]) -> Iterator[tuple[FrameResult, np.ndarray]]:
        """Each frame with its image (H, W, 3) uint8 RGB, one source after another; a video is decoded once.

        Raises:
            InputError: if an image is missing or has another size than the frame had.
        """
        by_source: dict[str, dict[int | None, list[FrameResult]]] = {}
        for each in frames:
            by_source.setdefault(each.source, {}).setdefault(each.index, []).append(each)
        for name, wanted in by_source.items():
            source, report = self.source(name), ReadReport()
            for decoded in read([source], report=report, options=options_of(wanted)):
                for frame in wanted.pop(decoded.index, ()):
                    yield frame, checked(decoded.image, frame)
                if not wanted:
                    break
            if wanted:
                missing = next(iter(wanted.values()))[0]
                reason = f": {report.skipped[0]}" if report.skipped else "; the results are of another file"
                raise InputError(f"'{missing.name}' of the results cannot be read from '{source.place}'{reason}")


def options_of(frames: Mapping[int | None, Sequence[FrameResult]]) -> ReadOptions:
    """How frames of one source were read: the number of the video stream, and at least their size is allowed."""
    each = [frame for same in frames.values() for frame in same]
    stream = each[0].run.values.get("settings", {}).get("stream")
    pixels = max(frame.size[0] * frame.size[1] for frame in each)
    return ReadOptions(stream=stream if type(stream) is int else None, max_pixels=max(pixels, MAX_PIXELS))


def checked(image: np.ndarray, frame: FrameResult) -> np.ndarray:
    """The image, if it has the size that the frame had.

    Raises:
        InputError: if it has another.
    """
    if image.shape[:2] != frame.size:
        raise InputError(
            f"the picture of '{frame.name}' is {image.shape[1]} x {image.shape[0]}, but the results are of one of "
            f"{frame.size[1]} x {frame.size[0]}; pass with --media what 'oddroad detect' read"
        )
    return image


def with_images(frames: Iterable[FrameResult], media: Media | None) -> Iterator[tuple[FrameResult, np.ndarray | None]]:
    """Each frame with its image, or with None where no media were given."""
    if media is None:
        yield from ((frame, None) for frame in frames)
    else:
        yield from media.images(frames)


def map_path(frame: FrameResult) -> Path | None:
    """The file of the score map that ``--save maps`` wrote beside the results; None where there is none."""
    folder = frame.run.file.parent / "maps"
    ending = ".npy" if frame.index is None else f"_{frame.index:06d}.npy"
    for base in (frame.source, str(Path(frame.source).with_suffix(""))):
        path = folder / f"{base}{ending}"
        if path.is_file() and path.resolve().is_relative_to(folder.resolve()):
            return path
    return None


def saved_map(frame: FrameResult) -> np.ndarray | None:
    """The score map (H, W) float32 that ``--save maps`` wrote beside the results; None where there is none.

    Raises:
        InputError: if it has another size than the frame.
    """
    path = map_path(frame)
    if path is None:
        return None
    try:
        heat = np.load(path, allow_pickle=False)
    except (OSError, ValueError):
        raise InputError(f"'{path}' is not a score map that can be read; remove it or run detect again") from None
    if heat.shape != frame.size:
        raise InputError(f"'{path}' has shape {heat.shape}; expected {frame.size} as its frame has")
    return heat.astype(np.float32, copy=False)
