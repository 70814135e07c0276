"""What each frame of the calibration's drives scored, packed into the card, so that later drives can be added to it."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from oddroad.calibration.calibrator import DRAWN, RATES, SHARES, Calibrator, FrameFigures, short
from oddroad.calibration.frame_statistics import STATISTICS
from oddroad.errors import InputError

GRID = np.union1d(np.linspace(0, 1, 101), SHARES)
"""Shares of a drive's pixels whose score quantiles are kept. All else is kept as it is."""

Steps = Mapping[str, tuple[float, bool]]
"""Of each drive, from one frame to the next, and whether that is in seconds or in frames."""


def content_of(gathered: Mapping[str, Calibrator], drive: str) -> str:
    """SHA-256 of what the frames of a drive score under all scores, as far as a record keeps it."""
    found = hashlib.sha256()
    for each in gathered.values():
        found.update(table_of(each.drives[drive]).tobytes())
    return found.hexdigest()


def table_of(frames: list[FrameFigures]) -> np.ndarray:
    """(n, 12) or (n, 23) float32: of each frame the level without an alarm, those of RATES, and its statistics."""
    return np.array(
        [
            [each.alarm, *each.levels, *(() if each.statistics is None else each.statistics)]
            for each in frames
        ],
        np.float32,
    )  # fmt: skip


def packed(table: np.ndarray) -> str:
    """A float32 array as text: bytes of like meaning side by side, deflated, base64."""
    shuffled = np.ascontiguousarray(table.T).view(np.uint8).reshape(-1, 4).T
    return base64.b64encode(zlib.compress(shuffled.tobytes(), 9)).decode()


def unpacked(text: str, rows: int) -> np.ndarray:
    """The float32 array (rows, 23) that was packed.

    Raises:
        InputError: if it is not.
    """
    columns = 1 + len(RATES) + len(STATISTICS)
    try:
        data = np.frombuffer(zlib.decompress(base64.b64decode(text, validate=True)), np.uint8)
        return np.ascontiguousarray(data.reshape(4, -1).T).view(np.float32).reshape(columns, rows).T
    except (ValueError, zlib.error) as error:
        raise InputError(f"the figures of the calibration in the card are damaged ({error}); calibrate anew") from None


def record_of(gathered: Mapping[str, Calibrator], steps: Steps) -> dict[str, Any]:
    """JSON values for the Card.

    Args:
        gathered: for each score, its drives, with the statistics of their frames.
        steps: of each drive.
    """
    drives = list(next(iter(gathered.values())).drives)
    return {
        "drives": [
            {
                "name": drive,
                "step": steps[drive][0],
                "timed": steps[drive][1],
                "content": content_of(gathered, drive),
                "frames": len(next(iter(gathered.values())).drives[drive]),
            }
            for drive in drives
        ],
        "scores": {
            name: [
                {
                    "figures": packed(table_of(each.drives[drive])),
                    "quantiles": [short(value) for value in np.quantile(drawn_of(each.drives[drive]), GRID)],
                }
                for drive in drives
            ]
            for name, each in gathered.items()
        },
    }


def drawn_of(frames: list[FrameFigures]) -> np.ndarray:
    """The drawn scores of some frames."""
    return np.concatenate([each.drawn for each in frames])


def read_record(record: Mapping[str, Any], min_area: int | None) -> tuple[dict[str, Calibrator], dict[str, Any]]:
    """For each score its drives as they were gathered, and their steps; the drawn scores follow the quantiles kept.

    Args:
        record: as of ``record_of``.
        min_area: of the calibration.

    Raises:
        InputError: if it is damaged.
    """
    gathered, points = {}, np.linspace(0, 1, DRAWN)
    for name, drives in record["scores"].items():
        gathered[name] = calibrator = Calibrator(min_area)
        for about, each in zip(record["drives"], drives, strict=True):
            drawn = np.interp(points, GRID, each["quantiles"])
            for row in unpacked(each["figures"], about["frames"]).astype(np.float64):
                levels, statistics = row[1 : 1 + len(RATES)], row[1 + len(RATES) :]
                calibrator.keep(FrameFigures(levels, float(row[0]), drawn, statistics=statistics), about["name"])
    return gathered, {each["name"]: (each["step"], each["timed"]) for each in record["drives"]}
