"""What a reader is told, and what it tells: options, gaps, and everything that was not read or not read well."""

from __future__ import annotations

from dataclasses import dataclass, field

from oddroad.errors import counted
from oddroad.io.images import MAX_PIXELS


@dataclass(frozen=True)
class ReadOptions:
    """How sources are read.

    Attributes:
        stream: number, from 0, of the video stream to read where a file has several; None for the first.
        patience: seconds after which a live source that does not come back is lost; 0 to never connect again.
        max_pixels: images and videos of more pixels than this are refused.
    """

    stream: int | None = None
    patience: float = 60.0
    max_pixels: int = MAX_PIXELS


@dataclass(frozen=True)
class Gap:
    """A stretch of time of a source of which there are no frames.

    Attributes:
        source: name of the source.
        index: number that the first frame after the gap has, or would have.
        time: seconds since the source's start at which the gap begins; None where it is not known.
        seconds: how long it lasts; None where it is not known, or it never ended.
        reason: why, in words.
    """

    source: str
    index: int | None
    time: float | None
    seconds: float | None
    reason: str


@dataclass
class ReadReport:
    """What a reader learns on its way. It is filled in the reader's thread; lists only grow, so that others may follow.

    Attributes:
        skipped: what could not be read: a line each, with file or frame, and the reason.
        named: those of them that the user named one by one.
        notes: what is to be known about a source and is said once: HDR, several video streams, left-out files.
        gaps: stretches of time without frames, in their order; see Gap.
        damaged: number of damaged frames that were read, by name of the source.
        lost: number of frames that could not be decoded at all, by name of the source.
        rates: nominal frames per second of each moving source that was opened, by its name.
        starts: the time stamp of the first frame of each video in its container, or the log time, in seconds, by name.
    """

    skipped: list[str] = field(default_factory=list)
    named: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    damaged: dict[str, int] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)
    starts: dict[str, float] = field(default_factory=dict)

    def skip(self, reason: str, named: bool) -> None:
        """Note what could not be read."""
        self.skipped.append(reason)
        if named:
            self.named.append(reason)

    def note(self, words: str) -> None:
        """Note something that is said once."""
        if words not in self.notes:
            self.notes.append(words)

    def lose(self, source: str, count: int, of: int) -> None:
        """Count frames of a source that could not be decoded, and say how many they are in all.

        Args:
            source: its name.
            count: those that are not counted yet.
            of: all frames of the source, with them; where others were counted before, without those.
        """
        before = self.lost.pop(source, 0)
        if before + count:
            self.lost[source] = before + count
            self.skipped.append(f"{source}: {before + count} of {counted(before + of, 'frame')} could not be decoded")

    def damage(self, source: str) -> None:
        """Count a damaged frame of a source."""
        self.damaged[source] = self.damaged.get(source, 0) + 1
