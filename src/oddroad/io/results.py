"""The folder that a detection run writes to: one line of JSON a frame, and the products that are wanted beside it."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from oddroad.errors import InputError, why
from oddroad.files import npy_bytes
from oddroad.io.earlier import COUNTED, Earlier, carry_over, clear, drop_partial, mend_list, note_file
from oddroad.io.folder_lock import FolderLock
from oddroad.io.images import write_image
from oddroad.io.line_file import LineFile
from oddroad.io.rotation import Rotation
from oddroad.io.sources import Source
from oddroad.io.video_writer import VideoWriter
from oddroad.types import Frame

SCHEMA_VERSION = 1
"""Version of the lines; ``oddroad/io/schema/detections.schema.json`` describes them."""


LINES = "detections.jsonl"
"""Name of the file of lines."""


SPARE = 16 * 2**20
"""Bytes that must stay free, so that a video can still be closed properly."""


PRODUCTS = ("overlay", "maps", "masks")
"""What can be written beside the lines, and the names of the folders."""


def base_names(sources: Sequence[Source]) -> dict[str, str]:
    """Where the products of each source go, without an ending: its name without its ending where that is unique.

    >>> base_names([Source("video", "a.mp4", "a.mp4"), Source("video", "b.mp4", "b.mp4")])
    {'a.mp4': 'a', 'b.mp4': 'b'}
    >>> base_names([Source("video", "a.mp4", "a.mp4"), Source("video", "a.avi", "a.avi")])
    {'a.mp4': 'a.mp4', 'a.avi': 'a.avi'}
    """
    stems = {each.name: str(Path(each.name).with_suffix("")) for each in sources}
    counts = Counter([*(stem.lower() for stem in stems.values()), *(each.name.lower() for each in sources)])
    numbered = {match[1].lower() for stem in stems.values() if (match := re.fullmatch(r"(.*)_\d{6}", stem))}
    return {
        name: stem if counts[stem.lower()] == 1 + (stem == name) and stem.lower() not in numbered else name
        for name, stem in stems.items()
    }


class Results:
    """What a run writes. Nothing is touched before the first line, so that a start that fails leaves earlier results.

    Args:
        out: the folder; None to write lines to ``stream`` alone.
        save: any of PRODUCTS.
        sources: what is read.
        header: the first line, which tells what ran; it begins every part.
        rates: frames per second of each moving source, by name; filled while the sources are opened.
        every: of moving sources, every n-th frame is judged.
        stream: gets every line, too.
        rotation: when to go on in another folder below ``out``; None for never.
        earlier: an unfinished run to go on with.

    Raises:
        InputError: if the folder cannot be written, or belongs to a run that still works.
    """

    def __init__(
        self,
        out: Path | None,
        save: Sequence[str],
        sources: Sequence[Source],
        header: Mapping[str, Any],
        rates: Mapping[str, float],
        every: int = 1,
        stream: TextIO | None = None,
        rotation: Rotation | None = None,
        earlier: Earlier | None = None,
    ):
        self.out, self.save, self.header, self.rates, self.every = out, tuple(save), header, rates, every
        self.stream, self.rotation, self.earlier = stream, rotation, earlier
        self.bases = base_names(sources)
        self.lock = FolderLock(out) if out is not None else None
        self.lines: LineFile | None = None
        self.video: VideoWriter | None = None
        self.video_of = ""
        self.videos: Counter[str] = Counter()
        self.part, self.started = 0, False
        self.counts = dict.fromkeys(COUNTED, 0)
        self.writing = threading.RLock()

    @property
    def folder(self) -> Path | None:
        """Where the files go now: the folder itself, or its part."""
        return self.out / f"{self.part:04d}" if self.out is not None and self.rotation is not None else self.out

    def start(self) -> None:
        """Open the lines: what an earlier run has written goes first, unless this one goes on with it."""
        resumed = self.earlier is not None and not self.started
        self.part += 1
        header = dict(self.header) | ({"part": self.part} if self.rotation is not None else {})
        if self.folder is not None:
            with self.told():
                self.open_lines(self.folder / LINES, None if resumed else line_of(header))
        self.started = True
        if self.rotation is not None:
            self.rotation.begin()
            self.rotation.add(len(line_of(header)))
        if self.stream is not None and not resumed:
            self.stream.write(line_of(header))
            self.stream.flush()

    def open_lines(self, path: Path, first: str | None) -> None:
        """Begin the file of lines, or go on with it; only then does what an earlier run has written go.

        Args:
            path: of the file.
            first: its first line; None to go on.
        """
        assert self.out is not None
        path.parent.mkdir(parents=True, exist_ok=True)
        mend_list(self.out)
        note_file(self.out, path)
        if first is None and self.earlier is not None:
            self.earlier.cut()
            drop_partial(self.out)
        self.lines = LineFile(path, first)
        if not self.started and (first is not None or self.earlier is None or not self.earlier.done):
            clear(self.out, path)

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """An error of the operating system while writing is said in one line."""
        try:
            yield
        except OSError as error:
            raise InputError(f"cannot write to '{self.out}': {why(error)}; what was written before is kept") from None

    def put(self, values: Mapping[str, Any]) -> None:
        """Append one line of JSON; it is in the file when this returns."""
        text = line_of(values)
        if self.lines is not None:
            with self.told():
                self.lines.append(text)
        if self.stream is not None:
            self.stream.write(text)
            self.stream.flush()
        if self.rotation is not None:
            self.rotation.add(len(text))

    def line(self, values: Mapping[str, Any]) -> None:
        """Append one line, and count it if it is a frame's. Threads may call it at once."""
        with self.writing:
            if not self.started:
                self.start()
            self.put(values)
            if values["type"] == "frame":
                self.counts["frames"] += values["regions"] is not None
                self.counts["with_regions"] += bool(values["regions"])
                self.counts["without_roi"] += values.get("roi_share") == 0
                self.counts["damaged"] += values["status"] != "ok"
            self.counts["drift_alarms"] += values["type"] == "drift"

    def products(
        self,
        frame: Frame,
        heat: np.ndarray | None,
        threshold: float,
        drawn: np.ndarray | None,
        inside: np.ndarray | None = None,
    ) -> None:
        """Write the overlay, map and mask of a frame, as far as they are wanted; its line comes after them.

        Args:
            frame: what was judged.
            heat: (H, W) float32 its score; None where it was not judged.
            threshold: pixels above it are set in the mask.
            drawn: (H, W, 3) uint8 RGB, its overlay; None where it is not wanted.
            inside: (H, W) bool, the region of interest, outside of which nothing is set in the mask; None for all.

        Raises:
            InputError: if there is no room left, while the files can still be closed.
        """
        with self.writing:
            if self.started and self.rotation is not None and self.rotation.due(self.video_size()):
                self.close_part()
                self.start()
            if not self.started:
                self.start()
            if self.out is not None and self.save:
                with self.told():
                    self.pictures(frame, heat, threshold, drawn, inside)

    def close_part(self) -> None:
        """Close what belongs to one part, with a summary of it."""
        self.close_video()
        self.videos.clear()
        self.put({"type": "summary", "part": self.part, **self.counts})
        self.counts = dict.fromkeys(self.counts, 0)
        self.close_lines()

    def close_lines(self) -> None:
        """Close the file of lines."""
        lines, self.lines = self.lines, None
        if lines is not None:
            with self.told():
                lines.close()

    def path(self, product: str, frame: Frame, ending: str) -> Path:
        """Where a picture or map of a frame goes."""
        assert self.folder is not None
        numbered = "" if frame.index is None else f"_{frame.index:06d}"
        return self.folder / product / f"{self.bases.get(frame.source, frame.source)}{numbered}{ending}"

    def pictures(
        self,
        frame: Frame,
        heat: np.ndarray | None,
        threshold: float,
        drawn: np.ndarray | None,
        inside: np.ndarray | None,
    ) -> None:
        """Write the files of a frame; see ``products``."""
        assert self.out is not None
        if shutil.disk_usage(self.out).free < SPARE:
            raise InputError(
                f"the disk of '{self.out}' is full; what was written is complete up to here: free some space, "
                "or choose another folder with --out"
            )
        if frame.source != self.video_of:
            self.close_video()
        if drawn is not None and frame.time is not None:
            self.video_for(frame).write(drawn, frame.time)
        elif drawn is not None:
            self.picture(self.path("overlay", frame, ".jpg"), drawn)
        if heat is not None and "maps" in self.save:
            path = self.path("maps", frame, ".npy")
            self.claim(path)
            path.write_bytes(npy_bytes(heat))
            self.weigh(path)
        if heat is not None and "masks" in self.save:
            above = heat > threshold if inside is None else (heat > threshold) & inside
            self.picture(self.path("masks", frame, ".png"), above.astype(np.uint8) * 255)

    def picture(self, path: Path, image: np.ndarray) -> None:
        """Write an image file."""
        self.claim(path)
        write_image(path, image)
        self.weigh(path)

    def claim(self, path: Path) -> None:
        """Note that a file is this run's before it is written."""
        assert self.out is not None
        path.parent.mkdir(parents=True, exist_ok=True)
        note_file(self.out, path)

    def weigh(self, path: Path) -> None:
        """Count the bytes of a file for the rotation."""
        if self.rotation is not None:
            self.rotation.add(path.stat().st_size)

    def video_for(self, frame: Frame) -> VideoWriter:
        """The open overlay of the frame's source; that of another source has been closed."""
        if self.video is None:
            assert self.folder is not None
            self.videos[frame.source] += 1
            again = self.videos[frame.source]
            base = self.bases.get(frame.source, frame.source) + ("" if again == 1 else f"_{again}")
            path = self.folder / "overlay" / f"{base}.mp4"
            self.claim(path)
            rate = self.rates.get(frame.source, 25.0) / max(self.every, 1)
            if self.earlier is not None and self.earlier.last_source == frame.source:
                self.video = carry_over(path, VideoWriter(path, rate), self.earlier)
            else:
                self.video = VideoWriter(path, rate)
            self.video_of = frame.source
        return self.video

    def video_size(self) -> int:
        """Bytes of the overlay that is being written."""
        return self.video.path.stat().st_size if self.video is not None and self.video.path.exists() else 0

    def close_video(self) -> None:
        """Finish the overlay that is being written, so that it plays."""
        video, self.video, self.video_of = self.video, None, ""
        if video is not None:
            video.close()
            self.weigh(video.path)

    def close(self, summary: Mapping[str, Any] | None = None) -> None:
        """Close every file, so that it can be read, and give the folder back.

        Args:
            summary: the last line; without it the run counts as interrupted. Nothing is written where no line was.
        """
        with self.writing:
            try:
                with self.told():
                    self.close_video()
                if summary is not None and not self.started and self.earlier is not None and self.earlier.done:
                    self.start()  # that run had every frame, and no summary yet
                if summary is not None and self.started:
                    self.put(summary)
            finally:
                try:
                    self.close_lines()
                finally:
                    if self.lock is not None:
                        self.lock.release()
                        self.lock = None


def line_of(values: Mapping[str, Any]) -> str:
    """Values as a line of JSON."""
    return json.dumps(values, allow_nan=False) + "\n"
