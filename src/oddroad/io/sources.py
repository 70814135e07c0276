"""What the words of a user stand for: files, folders, globs, logs, cameras, streams."""

from __future__ import annotations

import glob
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from oddroad.errors import InputError, counted
from oddroad.io.kinds import kind_of
from oddroad.io.layouts import is_hidden, is_label
from oddroad.io.reading import ReadReport
from oddroad.io.redaction import redact, short_name

STREAMS = ("rtsp://", "rtsps://", "http://", "https://", "rtmp://", "rtmps://", "udp://", "tcp://", "rtp://", "srt://")


DEPTH = "/compressedDepth"
"""How the topics of ROS's compressed depth end, which have the type of pictures."""


PRODUCTS = ("overlay", "maps", "masks")
"""Folders that a run writes beside its ``detections.jsonl``; they are never read as input by way of a folder."""


@dataclass(frozen=True)
class Source:
    """One thing to read frames from.

    Attributes:
        kind: "image", "video", "log", "camera" or "stream".
        place: path, camera index, or address. Addresses may hold passwords: show ``shown`` instead.
        name: short unique name; with "/" below a folder.
        named: the user named this very file, rather than its folder.
        topic: of a log, the topic that is read.
    """

    kind: str
    place: str
    name: str
    named: bool = True
    topic: str = ""

    @property
    def path(self) -> Path | None:
        """The file it is; None for a camera or stream."""
        return None if self.live else Path(self.place)

    @property
    def live(self) -> bool:
        """Whether it happens now, so that its frames cannot be read again."""
        return self.kind in ("camera", "stream")

    @property
    def moving(self) -> bool:
        """Whether its frames follow each other in time."""
        return self.kind != "image"

    @property
    def shown(self) -> str:
        """The place as it may be shown: without passwords and tokens."""
        return redact(self.place)


def find_sources(given: Sequence[str], topics: Sequence[str] = (), report: ReadReport | None = None) -> list[Source]:
    """What the user's words stand for: files, folders, globs, logs, camera numbers, addresses.

    Args:
        given: the words.
        topics: of driving logs, the topics to read; with * and ?. By default every topic with pictures.
        report: is told what was left out, and why.

    Raises:
        InputError: if something does not exist, or there is nothing to read.
    """
    if not given:
        raise InputError("nothing to read; pass an image, a folder, a video, a camera number or a stream's address")
    report = report if report is not None else ReadReport()
    sources: list[Source] = []
    for word in given:
        path = Path(word)
        if not word:
            raise InputError("an empty word names no source; pass '.' for the folder you are in")
        if word.lower().startswith(STREAMS):
            sources.append(Source("stream", word, short_name(word)))
        elif word.isdigit() and not path.exists():
            sources.append(Source("camera", word, f"camera{word}"))
        elif path.is_dir():
            sources += [Source("log", word, path.resolve().name)] if is_bag(path) else in_folder(path, report)
        elif path.is_char_device() and path.name.startswith("video") and path.name[5:].isdigit():
            sources.append(Source("camera", path.name[5:], f"camera{path.name[5:]}"))
        elif path.exists():
            if not path.is_file():
                raise InputError(f"'{word}' is a pipe or a device, no file; pass a file, or the address of a stream")
            sources.append(Source(kind_of(path) or "image", str(path), path.name))
        elif any(mark in word for mark in "*?["):
            sources += of_glob(word, report)
        else:
            raise InputError(f"no such file or folder: '{redact(word)}'")
    return unique(with_topics(sources, topics, report))


def with_topics(sources: Sequence[Source], topics: Sequence[str], report: ReadReport) -> list[Source]:
    """The same sources, with a log for each of its topics that is to be read.

    Raises:
        InputError: if a log lacks the topics or cannot be read, or topics are given where there is no log.
    """
    found: list[Source] = []
    if topics and not any(each.kind == "log" for each in sources):
        raise InputError(f"--topic {' '.join(topics)} is for driving logs; none is given")
    for source in sources:
        if source.kind != "log":
            found.append(source)
            continue
        from oddroad.io.logs import topics_of

        try:
            named = topics_of(source, topics)
        except InputError as error:
            if source.named or len(sources) == 1:
                raise
            report.skip(str(error), False)
            continue
        depth = [] if topics else [each for each in named if each.endswith(DEPTH)]
        if 0 < len(depth) < len(named):
            report.note(f"{source.name}: left out {', '.join(depth)}: depth, no pictures; choose it with --topic")
            named = [each for each in named if each not in depth]
        found += [replace(source, name=f"{source.name}/{below(topic)}", topic=topic) for topic in named]
    if not found:
        raise InputError(report.skipped[-1])
    return found


def below(topic: str) -> str:
    """A topic as the end of a source's name, from which names of files are made: none leads out of its folder.

    >>> below("/camera/front"), below("/../a/./b")
    ('camera/front', '_/a/_/b')
    """
    parts = ["_" if part.strip() in (".", "..") else part for part in re.split(r"[/\\]", topic) if part]
    return "/".join("".join(each if each.isprintable() else "_" for each in part) for part in parts) or "_"


def is_bag(folder: Path) -> bool:
    """Whether a folder is a bag of ROS 2: with its ``metadata.yaml``, or with nothing but parts of one."""
    files = [each for each in folder.iterdir() if not each.name.startswith(".")]
    parts = [each for each in files if each.suffix.lower() in (".db3", ".mcap", ".zstd")]
    if any(each.name == "metadata.yaml" for each in files) and parts:
        return True
    numbered = {each.stem.rpartition("_")[0] for each in parts if each.stem.rpartition("_")[2].isdigit()}
    return bool(parts) and len(parts) == len(files) and len(numbered) == 1 and all(each.is_file() for each in parts)


def of_glob(word: str, report: ReadReport) -> list[Source]:
    """The files that a glob matches, in the order of their names; labels below its first wildcard are left out.

    Raises:
        InputError: if there is none.
    """
    fixed = 0
    for part in Path(word).parts:
        if any(mark in part for mark in "*?["):
            break
        fixed += 1
    matches = [Path(each) for each in sorted(glob.glob(word, recursive=True)) if Path(each).is_file()]
    named = [(each, each.parts[fixed:], each.name) for each in matches]
    kept = readable(named, word, report)
    if not kept:
        raise InputError(f"nothing matches '{word}'; expected images, videos or logs")
    return kept


def in_folder(folder: Path, report: ReadReport) -> list[Source]:
    """Every image, video and log below a folder, in the order of their names.

    Hidden files, labels (see oddroad.io.layouts), results of earlier runs and files of other kinds are left out.

    Raises:
        InputError: if there is none.
    """
    files = sorted(each for each in folder.rglob("*") if each.is_file())
    below = [each.relative_to(folder) for each in files]
    kept = readable([(file, each.parts, each.as_posix()) for file, each in zip(files, below, strict=True)], str(folder),
                    report)  # fmt: skip
    if not kept:
        left = next((each for each in report.notes if each.startswith(f"'{folder}': left out")), "")
        raise InputError(f"folder '{folder}' holds no image and no video{left and f' to read ({left})'}")
    return kept


def readable(files: Iterable[tuple[Path, tuple[str, ...], str]], where: str, report: ReadReport) -> list[Source]:
    """The sources among some files, each given as path, parts of the path that count, and name; the rest is noted."""
    files = list(files)
    stems = {(parts[:-1], Path(parts[-1]).stem) for _, parts, _ in files}
    kept, left = [], Counter[str]()
    for path, parts, name in files:
        if is_hidden(parts):
            left["hidden"] += 1
        elif any((path.parents[i].parent / "detections.jsonl").is_file() for i in range(len(parts) - 1)
                 if path.parents[i].name in PRODUCTS):  # fmt: skip
            left["results of an earlier run"] += 1
        elif (kind := kind_of(path)) is None:
            left["neither image nor video"] += 1
        elif kind == "image" and is_label(parts, stems):
            left["label"] += 1
        else:
            kept.append(Source(kind, str(path), name, named=False))
    if left:
        counts = ", ".join(
            counted(number, why) if why == "label" else f"{number} {why}" for why, number in left.most_common()
        )
        report.note(
            f"'{where}': left out {sum(left.values())} of {counted(sum(left.values()) + len(kept), 'file')}: {counts}"
        )
    return kept


def unique(sources: list[Source]) -> list[Source]:
    """The same sources, with a number before a name that was taken."""
    taken: set[str] = set()
    result: list[Source] = []
    for each in sources:
        name, number = each.name, 2
        while name in taken:
            name, number = f"{number}_{each.name}", number + 1
        taken.add(name)
        result.append(replace(each, name=name))
    return result
