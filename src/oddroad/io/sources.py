"""What the words of a user stand for: files, folders, globs, cameras, streams."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from oddroad.errors import InputError
from oddroad.io.reading import ReadReport

IMAGES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm"}


VIDEOS = {".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".ts"}


STREAMS = ("rtsp://", "rtsps://", "http://", "https://", "rtmp://", "udp://", "tcp://")


@dataclass(frozen=True)
class Source:
    """One thing to read frames from.

    Attributes:
        kind: "image", "video", "camera" or "stream".
        place: path, camera index, or address.
        name: short unique name; with "/" below a folder.
        named: the user named this very file, rather than its folder.
    """

    kind: str
    place: str
    name: str
    named: bool = True

    @property
    def path(self) -> Path | None:
        """The file it is; None for a camera or stream."""
        return None if self.kind in ("camera", "stream") else Path(self.place)

    @property
    def live(self) -> bool:
        """Whether it happens now, so that its frames cannot be read again."""
        return self.kind in ("camera", "stream")

    @property
    def moving(self) -> bool:
        """Whether its frames follow each other in time."""
        return self.kind != "image"


def find_sources(given: Sequence[str], topics: Sequence[str] = (), report: ReadReport | None = None) -> list[Source]:
    """What the user's words stand for: files, folders, globs, camera numbers, addresses.

    Args:
        given: the words.
        topics: of driving logs, the topics to read; with * and ?.
        report: is told what was left out.

    Raises:
        InputError: if something does not exist, or there is nothing to read.
    """
    if not given:
        raise InputError("nothing to read; pass an image, a folder, a video, a camera number or a stream's address")
    sources: list[Source] = []
    for word in given:
        path = Path(word)
        if word.startswith(STREAMS):
            sources.append(Source("stream", word, word.rstrip("/").rpartition("/")[2] or "stream"))
        elif word.isdigit() and not path.exists():
            sources.append(Source("camera", word, f"camera{word}"))
        elif path.is_dir():
            sources += in_folder(path)
        elif path.exists():
            sources.append(of_file(path, path.name, named=True))
        elif any(mark in word for mark in "*?["):
            matches = [Path(each) for each in sorted(glob.glob(word, recursive=True)) if Path(each).is_file()]
            known = [each for each in matches if each.suffix.lower() in IMAGES | VIDEOS]
            if not known:
                raise InputError(f"nothing matches '{word}'; expected images or videos")
            sources += [of_file(each, each.name, named=False) for each in known]
        else:
            raise InputError(f"no such file or folder: '{word}'")
    return unique(sources)


def of_file(path: Path, name: str, named: bool) -> Source:
    """The source of one file, by its ending; what is not a known video ending is tried as an image."""
    return Source("video" if path.suffix.lower() in VIDEOS else "image", str(path), name, named)


def holds_labels(folder: str) -> bool:
    """Whether a folder's name says that it holds the labels of a data set, not images."""
    return folder.endswith(".labels") or folder in ("labels", "labels_masks", "masks", "gtFine")


def in_folder(folder: Path) -> list[Source]:
    """Every image and video below a folder, in the order of their names; folders of labels are left out.

    Raises:
        InputError: if there is none.
    """
    found = sorted(each for each in folder.rglob("*") if each.is_file() and each.suffix.lower() in IMAGES | VIDEOS)
    kept = [each for each in found if not any(map(holds_labels, each.relative_to(folder).parts[:-1]))] or found
    if not kept:
        raise InputError(f"folder '{folder}' holds no image and no video ({', '.join(sorted(IMAGES | VIDEOS))})")
    return [of_file(each, each.relative_to(folder).as_posix(), named=False) for each in kept]


def unique(sources: list[Source]) -> list[Source]:
    """The same sources, with a number before a name that was taken."""
    taken: set[str] = set()
    result: list[Source] = []
    for each in sources:
        name, number = each.name, 2
        while name in taken:
            name, number = f"{number}_{each.name}", number + 1
        taken.add(name)
        result.append(Source(each.kind, each.place, name, each.named))
    return result
