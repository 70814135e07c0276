"""What the words of a user stand for in an archive: logs, each a video, a folder of pictures, an MCAP file or a bag."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from oddroad.errors import InputError, counted
from oddroad.io.kinds import IMAGE_ENDINGS, VIDEO_ENDINGS
from oddroad.io.layouts import is_hidden, is_label
from oddroad.io.log_files import parts_of
from oddroad.io.reading import ReadReport
from oddroad.io.redaction import redact
from oddroad.io.sources import Source, find_sources, is_bag
from oddroad.mining.places import StoredFile, files_below, is_remote, join, open_file, read_bytes, reason_of

COLUMNS = ("source", "path", "uri", "url", "address", "file")
"""Names of the column of a manifest that holds the places, the first there is."""

Tell = Callable[[str, str], None]
"""Is told of a place that cannot be used, and the reason."""


@dataclass(frozen=True)
class LogSource:
    """One log of an archive, before it is opened.

    Attributes:
        kind: "video", "images", "mcap" or "bag".
        name: what it is called: its path below what the user named.
        addresses: of its files, in their order; of pictures, in the order of their names.
        topics: patterns of topics to read; none for what the user asked for.
    """

    kind: str
    name: str
    addresses: tuple[str, ...]
    topics: tuple[str, ...] = ()


def find_logs(given: Sequence[str], tell: Tell) -> Iterator[LogSource]:
    """The logs that the user's words stand for: folders, globs, files, addresses, manifests.

    Args:
        given: the words.
        tell: of what cannot be used; the rest goes on.
    """
    for word in given:
        try:
            if is_manifest(word):
                yield from in_manifest(word, tell)
            elif is_remote(word):
                yield from grouped(word, list(files_below(word)))
            else:
                yield from on_this_machine(word)
        except Exception as error:  # each file system has errors of its own
            tell(redact(word), reason_of(error))


def is_manifest(word: str) -> bool:
    """Whether a word names a list of logs."""
    return word.lower().endswith((".csv", ".parquet"))


def in_manifest(word: str, tell: Tell) -> Iterator[LogSource]:
    """The logs of a manifest: a CSV or Parquet file with a column ``source``, and maybe ``topic``.

    Raises:
        InputError: if it has no such column.
    """
    if word.lower().endswith(".parquet"):
        import pyarrow.parquet

        with open_file(word) as opened:
            rows = pyarrow.parquet.read_table(opened).to_pylist()
    else:
        rows = list(csv.DictReader(io.StringIO(read_bytes(word).decode("utf-8-sig"))))
    names = list(rows[0]) if rows else []
    column = next((each for each in COLUMNS if each in names), None)
    if column is None:
        raise InputError(f"the manifest has the columns {', '.join(map(str, names)) or '(none)'}; expected 'source'")
    for number, row in enumerate(rows, 2):
        place = str(row[column] or "").strip()
        if not place:
            tell(f"{redact(word)}, line {number}", f"the column '{column}' is empty; expected a path or an address")
            continue
        if not is_remote(place) and not is_remote(word) and not Path(place).is_absolute():
            place = str(Path(word).parent / place)
        topic = str(row.get("topic") or "").strip()
        for each in find_logs([place], lambda where, why, number=number: tell(f"{where} (line {number})", why)):
            yield replace(each, topics=(topic,)) if topic else each


def on_this_machine(word: str) -> Iterator[LogSource]:
    """The logs of a path or glob.

    Raises:
        InputError: if there is none.
    """
    path = Path(word)
    if path.is_dir() and described(path):
        yield bag(path, path.resolve().name)
        return
    files = named_files(word)
    bags = sorted(
        {Path(each.place).parent for each in files if each.kind == "log" and described(Path(each.place).parent)}
    )
    found = [each for each in files if each.kind != "log" or Path(each.place).parent not in bags]
    root = path if path.is_dir() else path.parent
    for each in bags:
        yield bag(each, each.relative_to(root).as_posix() if each.is_relative_to(root) else each.name)
    pictures: dict[Path, list[str]] = {}
    for each in found:
        if each.kind == "image":
            pictures.setdefault(Path(each.place).parent, []).append(each.place)
        else:
            kind = "video" if each.kind == "video" else "mcap" if each.place.lower().endswith(".mcap") else "bag"
            yield LogSource(kind, each.name, (each.place,))
    for folder, places in pictures.items():
        name = folder.relative_to(root).as_posix() if folder.is_relative_to(root) else folder.name
        yield LogSource("images", folder.resolve().name if name == "." else name, tuple(sorted(places, key=natural)))


def described(folder: Path) -> bool:
    """Whether a folder is a bag of ROS 2 that says so: logs that are only numbered are drives of their own."""
    return (folder / "metadata.yaml").is_file() and is_bag(folder)


def named_files(word: str) -> list[Source]:
    """The images, videos and log files of a path or glob; labels, hidden files and results are left out."""
    from oddroad.io.sources import in_folder, of_glob

    report = ReadReport()
    path = Path(word)
    if path.is_dir():
        return in_folder(path, report)
    if path.exists():
        from oddroad.io.kinds import kind_of

        kind = kind_of(path)
        if kind is None:
            raise InputError(f"'{word}' is neither a picture, a video nor a log that can be read")
        return [Source(kind, word, path.name)]
    if any(mark in word for mark in "*?["):
        return of_glob(word, report)
    return find_sources([word])


def bag(folder: Path, name: str) -> LogSource:
    """A folder of a bag as a log."""
    parts = parts_of(folder)
    kind = "mcap" if all(each.suffix.lower() == ".mcap" for each in parts) else "bag"
    return LogSource(kind, name, tuple(map(str, parts)))


def natural(name: str) -> list[tuple[int, str]]:
    """Sorts names with numbers by the numbers: ``a9.jpg`` comes before ``a10.jpg``."""
    return [(int(each), "") if each.isdigit() else (-1, each) for each in re.split(r"(\d+)", name)]


def grouped(word: str, files: Sequence[StoredFile]) -> Iterator[LogSource]:
    """The logs among the files of an address, told by their endings."""
    root = word.rstrip("/")
    folders: dict[str, list[StoredFile]] = {}
    for each in files:
        folders.setdefault(each.address.rpartition("/")[0], []).append(each)
    stems = {
        (tuple(folder.split("/")), PurePosixPath(each.address).stem) for folder in folders for each in folders[folder]
    }
    found = False
    for folder, inside in folders.items():
        pictures: list[str] = []
        below = folder.removeprefix(root).strip("/")
        if any(each.address.endswith("/metadata.yaml") for each in inside):
            parts = sorted((each.address for each in inside if ending(each) in (".mcap", ".db3")), key=natural)
            if parts:
                kind = "mcap" if all(each.endswith(".mcap") for each in parts) else "bag"
                yield LogSource(kind, below or folder.rpartition("/")[2], tuple(parts))
                found = True
                continue
        for each in inside:
            name = each.address.removeprefix(root).strip("/") or each.address.rpartition("/")[2]
            parts_of_name = tuple(each.address.split("/"))
            if is_hidden(tuple(name.split("/"))) or is_label(parts_of_name[3:], stems):
                continue
            if ending(each) in (".mcap", ".db3", ".bag"):
                yield LogSource("mcap" if ending(each) == ".mcap" else "bag", name, (each.address,))
            elif ending(each) in VIDEO_ENDINGS:
                yield LogSource("video", name, (each.address,))
            elif ending(each) in IMAGE_ENDINGS:
                pictures.append(each.address)
                continue
            else:
                continue
            found = True
        if pictures:
            yield LogSource("images", below or folder.rpartition("/")[2], tuple(sorted(pictures, key=natural)))
            found = True
    if not found:
        raise InputError(f"there is no picture, video or log among {counted(len(files), 'file')}; see {join(root, '')}")


def ending(file: StoredFile) -> str:
    """The ending of a file's name in lower case."""
    return PurePosixPath(file.address).suffix.lower()
