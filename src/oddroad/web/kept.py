"""Frames and maps of one view, kept on disk: what was computed once is never computed again."""

from __future__ import annotations

import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from oddroad.files import npy_bytes
from oddroad.inference.host_resize import enlarged
from oddroad.types import Frame
from oddroad.web.reply import Refused


@dataclass(frozen=True)
class KeptFrame:
    """What is known of a frame beside its pixels and maps.

    Attributes:
        number: in the view, from 0.
        source: name of the file, camera or stream.
        index: in its source; None for a still image.
        time: seconds since the start of the source; None for a still image.
        utc: seconds since 1970; None where it is not known.
        size: (H, W).
        status: "ok" or "damaged".
        reason: why it is damaged.
        shift: (x, y) of the picture since the last judged frame of the same source, in pixels.
        levels: for each detector the lowest threshold without an alarm; None where it was not judged.
        statistics: for each detector (11,) float64, those of oddroad.calibration.frame_statistics; None where it was
            not judged, or is live.
        milliseconds: by stage.
    """

    number: int
    source: str
    index: int | None
    time: float | None
    utc: float | None
    size: tuple[int, int]
    status: str
    reason: str
    shift: tuple[float, float]
    levels: tuple[float | None, ...]
    statistics: tuple[np.ndarray | None, ...] = ()
    milliseconds: dict[str, float] = field(default_factory=dict)

    def as_frame(self, image: np.ndarray | None = None) -> Frame:
        """The frame; without its ``image`` with black pixels that need no memory."""
        pixels = np.broadcast_to(np.uint8(0), (*self.size, 3)) if image is None else image
        return Frame(pixels, self.source, self.index, self.time, utc=self.utc, status=self.status, reason=self.reason)


class Kept:
    """The frames of one view, in their order.

    Args:
        folder: of their files; it is made.
        most: frames that are kept, the latest; None for all.

    Attributes:
        frames: what is known of each frame; those that were let go stay here.
        first: number of the first frame whose files are there.
        size: bytes on disk.
    """

    def __init__(self, folder: Path, most: int | None = None):
        self.folder, self.most = folder, most
        self.frames: list[KeptFrame] = []
        self.first = self.size = 0
        self.weights: dict[int, int] = {}
        self.guarding = threading.Lock()
        folder.mkdir(parents=True)

    def add(
        self,
        frame: KeptFrame,
        picture: bytes,
        maps: list[np.ndarray | None],
        roads: list[np.ndarray | None],
    ) -> None:
        """Keep the next frame.

        Args:
            frame: what is known of it.
            picture: its JPEG.
            maps: of each detector, at its stride (h, w) float32; None where the frame was not judged.
            roads: of each detector, (H, W) bool; None where its region of interest is not the road.
        """
        (self.folder / f"{frame.number}.jpg").write_bytes(picture)
        weight = len(picture)
        for number, each in enumerate(maps):
            if each is not None:
                (self.folder / f"{frame.number}.{number}.npy").write_bytes(npy_bytes(each))
                weight += each.nbytes
        for number, each in enumerate(roads):
            if each is not None:
                (self.folder / f"{frame.number}.{number}.road.npy").write_bytes(npy_bytes(np.packbits(each)))
                weight += each.size // 8
        with self.guarding:
            self.frames.append(frame)
            self.weights[frame.number] = weight
            self.size += weight
            while self.most is not None and len(self.frames) - self.first > self.most:
                self.let_go(self.first)
                self.first += 1

    def let_go(self, number: int) -> None:
        """Delete the files of a frame."""
        for each in self.folder.glob(f"{number}.*"):
            each.unlink(missing_ok=True)
        self.size -= self.weights.pop(number, 0)

    def path(self, number: int, ending: str) -> Path:
        """A file of a frame.

        Raises:
            Refused: if it is not there.
        """
        path = self.folder / f"{number}{ending}"
        if not path.is_file():
            raise Refused(f"frame {number} is not there; there are {self.first} to {len(self.frames) - 1}", 404)
        return path

    def array(self, number: int, ending: str) -> np.ndarray:
        """An array of a frame.

        Raises:
            Refused: if it is not there, or is let go at this moment.
        """
        path = self.path(number, ending)
        try:
            return np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            raise Refused(f"frame {number} was let go", 404) from None

    def low_res(self, number: int, detector: int) -> np.ndarray:
        """The map of a frame by a detector, (h, w) float32.

        Raises:
            Refused: if the frame was not judged, or is not there any more.
        """
        return self.array(number, f".{detector}.npy")

    def heat(self, number: int, detector: int) -> np.ndarray:
        """The map of a frame by a detector at the frame's size, (H, W) float32: what ``Model`` gives."""
        return enlarged(self.low_res(number, detector)[None], self.frames[number].size)[0]

    def road(self, number: int, detector: int) -> np.ndarray:
        """The road in a frame, (H, W) bool."""
        height, width = self.frames[number].size
        bits = self.array(number, f".{detector}.road.npy")
        return np.unpackbits(bits, count=height * width).reshape(height, width).astype(bool)

    def remove(self) -> None:
        """Delete everything."""
        shutil.rmtree(self.folder, ignore_errors=True)
