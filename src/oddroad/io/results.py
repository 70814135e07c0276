"""The folder that a detection run writes to."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from oddroad.errors import InputError
from oddroad.io.images import write_image
from oddroad.io.video import VideoOut
from oddroad.types import Frame

SPARE = 16 * 2**20
"""Bytes that must stay free, so that a video can still be closed properly."""


PRODUCTS = ("overlay", "maps", "masks")


class Results:
    """The folder a run writes to.

    Args:
        out: the folder.
        save: any of PRODUCTS.
        rates: frames a second of each moving source, by name; filled while the sources are opened.
        every: one of so many frames of a moving source is judged.

    Raises:
        InputError: if the folder cannot be written.
    """

    def __init__(self, out: Path, save: Sequence[str], rates: dict[str, float], every: int):
        self.out, self.save, self.rates, self.every = out, tuple(save), rates, every
        self.videos: dict[str, VideoOut] = {}
        self.taken: dict[str, str] = {}
        try:
            out.mkdir(parents=True, exist_ok=True)
            self.lines: TextIO = open(out / "detections.jsonl", "w", encoding="utf-8")  # noqa: SIM115
        except OSError as error:
            raise InputError(f"cannot write to '{out}': {error.strerror}; choose another folder with --out") from None

    def path(self, product: str, frame: Frame, ending: str) -> Path:
        """Where a product of a frame goes: the source's name with another ending, never the same place twice."""
        numbered = "" if frame.index is None else f"_{frame.index:06d}"
        base = f"{Path(frame.source).with_suffix('')}{numbered}"
        if self.taken.setdefault(base, frame.name) != frame.name:
            base = frame.source + numbered
        return self.out / product / f"{base}{ending}"

    def check_space(self) -> None:
        """Raise InputError while there is still room to close the files."""
        if shutil.disk_usage(self.out).free < SPARE:
            raise InputError(
                f"the disk of '{self.out}' is full; what was written is complete up to here: free some space, "
                "or choose another folder with --out"
            )

    def pictures(self, frame: Frame, heat: np.ndarray, threshold: float, drawn: np.ndarray | None) -> None:
        """Write the overlay, map and mask of a frame, as far as they are wanted."""
        self.check_space()
        source = frame.source
        if drawn is not None and source in self.rates:
            if source not in self.videos:
                path = self.out / "overlay" / Path(source).with_suffix(".mp4")
                path.parent.mkdir(parents=True, exist_ok=True)
                self.videos[source] = VideoOut(path, self.rates[source] / self.every)
            self.videos[source].write(drawn)
        elif drawn is not None:
            write_image(self.path("overlay", frame, ".jpg"), drawn)
        if "maps" in self.save:
            path = self.path("maps", frame, ".npy")
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, heat)
        if "masks" in self.save:
            write_image(self.path("masks", frame, ".png"), (heat > threshold).astype(np.uint8) * 255)

    def line(self, values: dict[str, Any]) -> None:
        """Append one line of JSON."""
        self.lines.write(json.dumps(values) + "\n")
        self.lines.flush()

    def close(self) -> None:
        """Close every file, so that it can be read."""
        for video in self.videos.values():
            video.close()
        self.lines.close()
