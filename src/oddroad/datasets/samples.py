"""Finding the folders and files of a set below a root, and saying what was left out of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from oddroad.errors import InputError, counted
from oddroad.io.kinds import IMAGE_ENDINGS, kind_of
from oddroad.io.layouts import is_hidden
from oddroad.types import Sample

DEPTH = 4
"""How many folders below the root a set may lie."""

LABEL_ENDINGS = (".png", ".bmp", ".tif", ".tiff", ".gif")
"""Endings of label images, the first the usual one; a JPEG cannot hold numbers."""

NO_LABEL = "no label"
NO_IMAGE = "no image to this label"


class Samples(list[Sample]):
    """The samples of a set in their order, and what was left out.

    Attributes:
        left_out: reason -> names of the files that are left out for it.
    """

    def __init__(self, samples: Iterable[Sample] = (), left_out: Mapping[str, Sequence[str]] | None = None):
        super().__init__(samples)
        self.left_out = {reason: list(names) for reason, names in (left_out or {}).items() if names}

    def remarks(self) -> list[str]:
        """A line for each reason: "2 of 6 images: 4 left out, no mask of the same name (2.png, 3.png, ...)"."""
        lines = []
        for reason, names in self.left_out.items():
            some = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
            if reason.startswith(NO_IMAGE):
                lines.append(f"{counted(len(names), 'label')} left out, {reason} ({some})")
            else:
                every = len(self) + len(names)
                lines.append(f"{len(self)} of {counted(every, 'image')}: {len(names)} left out, {reason} ({some})")
        return lines


def remarks_of(samples: Sequence[Sample]) -> list[str]:
    """What a loader says about the files that it left out; nothing where it returned a plain list."""
    return samples.remarks() if isinstance(samples, Samples) else []


def visible(paths: Iterable[Path], below: Path) -> list[Path]:
    """The files that are not hidden, themselves or in a hidden folder below ``below``, in order; archives of a Mac
    hold a ``._name`` for each name.
    """
    return sorted(each for each in paths if not is_hidden(each.relative_to(below).parts))


def folders(root: Path, names: Sequence[str]) -> Iterator[Path]:
    """Folders with one of these names (any case) at or below the root, nearest first; hidden ones are skipped.

    Raises:
        InputError: if the root does not exist.
    """
    if not root.is_dir():
        raise InputError(f"no folder '{root}'; pass the folder that holds the data sets as --root")
    wanted = {each.lower() for each in names}
    level = [root.resolve()]
    for _ in range(DEPTH + 1):
        below: list[Path] = []
        for folder in level:
            if folder.name.lower() in wanted:
                yield folder
            with os.scandir(folder) as entries:
                below += sorted(Path(each.path) for each in entries if each.is_dir() and not is_hidden((each.name,)))
        level = below


def images_in(folder: Path) -> list[Path]:
    """The images directly in a folder, by name; numbers sort as numbers, hidden files are skipped."""

    def order(path: Path) -> list[tuple[int, str]]:
        digits = "".join(each if each.isdigit() else " " for each in path.stem).split()
        return [(int(each), "") for each in digits] if path.stem.isdigit() else [(0, path.stem)]

    def is_image(path: Path) -> bool:
        return path.suffix.lower() in IMAGE_ENDINGS or (path.is_file() and kind_of(path) == "image")

    return sorted((each for each in visible(folder.iterdir(), folder) if is_image(each)), key=order)


def labels_in(folder: Path) -> dict[str, Path]:
    """The label images directly in a folder by their stem, those with the usual ending first."""
    found: dict[str, Path] = {}
    for ending in LABEL_ENDINGS:
        for each in visible(folder.iterdir(), folder):
            if each.suffix.lower() == ending:
                found.setdefault(each.stem, each)
    return found


def pair(
    images: Iterable[Path],
    label_of: Callable[[Path], Path | None],
    lookup: np.ndarray,
    labels: Iterable[Path] = (),
    missing: str = NO_LABEL,
    name_of: Callable[[Path], str] = lambda image: image.stem.removesuffix("_leftImg8bit"),
    size: tuple[int, int] | None = None,
) -> Samples:
    """A sample for each image whose label exists; what is left over is named.

    Args:
        images: all of them, in order.
        label_of: image -> its label, or None.
        lookup: (256,) uint8, raw label -> ours.
        labels: all labels that there are.
        missing: the reason, in words, for an image without a label.
        name_of: image -> name of the sample.
        size: (H, W) of the samples, see ``Sample``.
    """
    samples, without, used = [], [], set()
    for image in images:
        label = label_of(image)
        if label is None or not label.is_file():
            without.append(image.name)
        else:
            used.add(label)
            samples.append(Sample(name_of(image), image, label, lookup, size))
    return Samples(samples, {missing: without, NO_IMAGE: [each.name for each in labels if each not in used]})
