"""Figures of frames, kept while a calibration runs, so that an interrupted one goes on where it was."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import shutil
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from oddroad.calibration.calibrator import FrameFigures
from oddroad.files import write_whole

KEY = "key.json"


class KeptFigures:
    """A folder with the figures of each frame that was run, one file each, written whole.

    Args:
        folder: where they lie; it is made with the first figures, and emptied if it belongs to something else.
        made_of: everything that decides on the figures: model, scores, data, options.
    """

    def __init__(self, folder: Path, made_of: Mapping[str, Any]):
        self.folder = folder
        self.key = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()
        with contextlib.suppress(OSError):
            if folder.is_dir() and (folder / KEY).read_text() != self.key:
                shutil.rmtree(folder)

    def count(self) -> int:
        """Frames whose figures are there."""
        return sum(1 for _ in self.folder.glob("*.npz")) if (self.folder / KEY).is_file() else 0

    def get(self, number: int) -> dict[str, FrameFigures] | None:
        """The figures of a frame by score; None if they are not there or damaged. A frame without pixels has none."""
        try:
            held = io.BytesIO((self.folder / f"{number:06d}.npz").read_bytes())
            with np.load(held, allow_pickle=False) as opened:
                names = [key.removesuffix(".levels") for key in opened if key.endswith(".levels")]
                return {
                    name: FrameFigures(
                        opened[f"{name}.levels"],
                        float(opened[f"{name}.alarm"]),
                        opened[f"{name}.drawn"],
                        above=opened.get(f"{name}.above"),
                        ladder=opened.get(f"{name}.ladder"),
                        statistics=opened.get(f"{name}.statistics"),
                    )
                    for name in names
                }
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
            return None

    def put(self, number: int, figures: Mapping[str, FrameFigures]) -> None:
        """Keep the figures of a frame.

        Raises:
            InputError: if they cannot be written.
        """
        if not (self.folder / KEY).is_file():
            write_whole(self.folder / KEY, self.key.encode(), "key of the kept figures")
        arrays: dict[str, Any] = {}
        for name, each in figures.items():
            arrays |= {f"{name}.levels": each.levels, f"{name}.alarm": each.alarm, f"{name}.drawn": each.drawn}
            if each.above is not None and each.ladder is not None:
                arrays |= {f"{name}.above": each.above, f"{name}.ladder": each.ladder}
            if each.statistics is not None:
                arrays[f"{name}.statistics"] = each.statistics
        held = io.BytesIO()
        np.savez(held, **arrays)
        write_whole(self.folder / f"{number:06d}.npz", held.getbuffer(), "figures of a frame")

    def remove(self) -> None:
        """Delete them all: the calibration is done."""
        shutil.rmtree(self.folder, ignore_errors=True)
