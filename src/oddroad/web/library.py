"""What may be looked at: the sources that were named when the page was started, and the files that clients send."""

from __future__ import annotations

import hashlib
import secrets
import shutil
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oddroad.errors import InputError
from oddroad.io.kinds import kind_of
from oddroad.io.reading import ReadReport
from oddroad.io.redaction import redact
from oddroad.io.sources import Source, find_sources
from oddroad.web.limits import Limits
from oddroad.web.reply import Refused

LISTED = 5000
"""Sources that are listed, at most."""

BATCHES = 50
"""Groups of pictures that may be on their way at the same time."""


@dataclass(frozen=True)
class Entry:
    """One thing that can be opened.

    Attributes:
        key: that clients use; it says nothing about where the thing lies.
        title: for people.
        sources: what is read, in its order: one moving source, or the pictures of one folder.
        uploaded: whether a client sent it.
    """

    key: str
    title: str
    sources: tuple[Source, ...]
    uploaded: bool = False

    @property
    def kind(self) -> str:
        """What it is: "images", or the kind of its source."""
        return "images" if self.sources[0].kind == "image" else self.sources[0].kind

    @property
    def live(self) -> bool:
        """Whether it happens now."""
        return self.sources[0].live

    def about(self) -> dict[str, Any]:
        """What the page shows; no place on the disk and no password is in it."""
        return {
            "key": self.key, "title": self.title, "kind": self.kind, "live": self.live, "uploaded": self.uploaded,
            "count": len(self.sources) if self.kind == "images" else None,
        }  # fmt: skip


def fenced(sources: Sequence[Source], words: Sequence[str]) -> list[Source]:
    """The sources that truly lie where the words say: links out of a folder are left out."""
    roots = [fixed_part(each).resolve() for each in words]
    return [
        each for each in sources
        if each.path is None or each.named or any(each.path.resolve().is_relative_to(root) for root in roots)
    ]  # fmt: skip


def fixed_part(word: str) -> Path:
    """A path as far as it holds no wildcard."""
    parts = Path(word).parts
    wild = next((number for number, each in enumerate(parts) if any(mark in each for mark in "*?[")), None)
    return Path(word) if wild is None or Path(word).exists() else Path(*parts[:wild])


def without_places(text: str, words: Sequence[str]) -> str:
    """A text in which what the user named is called by its last part."""
    for each in sorted(words, key=len, reverse=True):
        text = text.replace(str(Path(each)), Path(each).resolve().name if "://" not in each else redact(each))
    return text


def key_of(words: str) -> str:
    """A short name that is always the same for the same place and does not tell it."""
    return hashlib.sha256(words.encode(errors="surrogateescape")).hexdigest()[:12]


def entries_of(sources: Sequence[Source], uploaded: bool = False, title: str = "") -> list[Entry]:
    """Sources as things to open: a moving source alone, the pictures of a folder together."""
    moving = [Entry(key_of(f"{each.place}\n{each.topic}"), each.name, (each,), uploaded)
              for each in sources if each.moving]  # fmt: skip
    folders: dict[str, list[Source]] = {}
    for each in sources:
        if not each.moving:
            folders.setdefault(str(Path(each.place).parent), []).append(each)
    still = []
    for folder, pictures in folders.items():
        name = title or (pictures[0].name if len(pictures) == 1 else Path(folder).resolve().name or folder)
        key = key_of("\n".join([folder, *(each.name for each in pictures)]))
        still.append(Entry(key, name, tuple(pictures), uploaded))
    return [*moving, *still]


@dataclass
class Library:
    """What may be opened.

    Args:
        words: what was named: files, folders, globs, logs, cameras, addresses; may be none.
        folder: of the files that clients send.
        limits: of them.

    Raises:
        InputError: if something that was named does not exist.
    """

    words: Sequence[str]
    folder: Path
    limits: Limits
    report: ReadReport = field(default_factory=ReadReport)

    def __post_init__(self) -> None:
        self.uploads: dict[str, Entry] = {}
        self.sizes: dict[str, int] = {}
        self.batches: dict[str, list[tuple[str, Path]]] = {}
        self.guarding = threading.Lock()
        found = fenced(find_sources(self.words, report=self.report), self.words) if self.words else []
        self.named = {each.key: each for each in entries_of(found[:LISTED])}
        if len(found) > LISTED:
            self.report.note(f"the first {LISTED} of {len(found)} sources are listed")
        self.notes = [without_places(each, self.words) for each in self.report.notes]

    def entries(self) -> list[Entry]:
        """Everything, the files that were sent last first."""
        with self.guarding:
            return [*reversed(self.uploads.values()), *self.named.values()]

    def find(self, key: str) -> Entry:
        """The thing of a key.

        Raises:
            Refused: if there is none.
        """
        with self.guarding:
            found = self.uploads.get(key) or self.named.get(key)
        if found is None:
            raise Refused("there is no such source; it may have been removed to make room", 404)
        return found

    def take(self, files: Sequence[tuple[str, Path]], title: str) -> Entry:
        """Files that a client has sent, moved to where they are kept.

        Args:
            files: the name that the client gave, of which only the last part is used, and where the bytes lie.
            title: of them together.

        Raises:
            Refused: if one is neither picture, video nor log, or they are too much.
        """
        total = sum(path.stat().st_size for _, path in files)
        if total > self.limits.uploads_bytes:
            raise Refused(f"{total / 2**20:.0f} MiB are more than the limit of all uploads together", 413)
        key = secrets.token_hex(8)
        folder = self.folder / key
        folder.mkdir(parents=True)
        try:
            sources = []
            for number, (name, path) in enumerate(files):
                shown = Path(name.replace("\\", "/")).name.replace("\0", "")[:120] or "file"
                ending = Path(shown).suffix.lower() if len(Path(shown).suffix) < 12 else ""
                kept = folder / f"{number:05d}{ending if ending.replace('.', '').isalnum() else ''}"
                shutil.move(path, kept)
                kind = kind_of(kept)
                if kind is None:
                    raise Refused(f"'{shown}' is neither a picture, a video nor a driving log", 415)
                sources.append(Source(kind, str(kept), shown))
            if any(each.kind == "log" for each in sources):
                sources = [found for each in sources for found in self.of_log(each)]
            if len({each.moving for each in sources}) > 1 or sum(each.moving for each in sources) > 1:
                raise Refused("send one video or log, or pictures only, at a time", 415)
            entry = Entry(key, title or sources[0].name, tuple(sources), uploaded=True)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        with self.guarding:
            self.uploads[key], self.sizes[key] = entry, total
        self.make_room()
        return entry

    def collect(self, batch: str, name: str, path: Path, last: bool, title: str) -> Entry | None:
        """Gather pictures that are sent one by one; the entry with the last of them, else None.

        Raises:
            Refused: if they are too many or too much together, or ``take`` refuses them.
        """
        with self.guarding:
            gathered = self.batches.setdefault(batch[:64], [])
            waiting = [each for files in self.batches.values() for _, each in files]
            weight = sum(each.stat().st_size for each in waiting if each.is_file()) + path.stat().st_size
            if len(waiting) >= self.limits.frames or weight > self.limits.uploads_bytes or len(self.batches) > BATCHES:
                self.batches.pop(next(iter(self.batches)))
                raise Refused(f"too many pictures are on their way: {len(waiting)}, {weight / 2**20:.0f} MiB", 413)
            kept = self.folder / "waiting" / secrets.token_hex(8)
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, kept)
            gathered.append((name, kept))
            if not last:
                return None
            self.batches.pop(batch[:64])
        return self.take(sorted(gathered), title)

    def of_log(self, source: Source) -> list[Source]:
        """The first topic of a log that was sent.

        Raises:
            Refused: if it holds no pictures.
        """
        if source.kind != "log":
            return [source]
        try:
            found = find_sources([source.place], report=ReadReport())
        except InputError as error:
            raise Refused(str(error).replace(source.place, source.name), 415) from None
        return [Source("log", source.place, source.name, topic=found[0].topic)]

    def make_room(self) -> None:
        """Forget the oldest uploads until all fit into the limit."""
        with self.guarding:
            while len(self.uploads) > 1 and sum(self.sizes.values()) > self.limits.uploads_bytes:
                self.forget(next(iter(self.uploads)))

    def forget(self, key: str) -> None:
        """Delete an upload; the caller holds the lock."""
        self.uploads.pop(key, None)
        self.sizes.pop(key, None)
        shutil.rmtree(self.folder / key, ignore_errors=True)
