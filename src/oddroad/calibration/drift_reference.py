"""What a calibration keeps of its drives, to compare later ones with: see oddroad.calibration.drift."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from oddroad.calibration.drift_comparison import OwnBeginning
from oddroad.calibration.drives import correlation_time
from oddroad.calibration.frame_statistics import STATISTICS

BLOCK_TIMES = 5
"""Length of a block in estimated correlation times; by simulation, see docs/research/drift.md."""

FEWEST_BLOCKS = 20
"""A drive of fewer blocks is too short to tell how long its frames depend on each other; of several drives, half."""


SELF_RATE = 0.05
"""Rate at which the calibration's own drives are tested before others are compared with their beginnings."""


@dataclass(frozen=True)
class DriveStatistics:
    """The frames of a drive that was calibrated on.

    Attributes:
        name: of the drive.
        values: (n, 11) float64, STATISTICS of its frames in their order.
        step: from one frame to the next, in seconds, or in frames where a drive has no times.
        timed: whether that is in seconds.
    """

    name: str
    values: np.ndarray
    step: float
    timed: bool

    @cached_property
    def block_lengths(self) -> np.ndarray:
        """(11,) frames of a block by each of the STATISTICS; infinite where it does not change."""
        found = np.full(self.values.shape[1], np.inf)
        for column, series in enumerate(self.values.T):
            if np.ptp(series) > 0:
                ranks = np.unique(series, return_inverse=True)[1].astype(np.float64)
                found[column] = math.ceil(BLOCK_TIMES * max(correlation_time(series), correlation_time(ranks)))
        return found

    def blocks(self, length: int) -> np.ndarray:
        """(m, 11) medians of blocks of so many frames."""
        whole = len(self.values) // length
        return np.median(self.values[: whole * length].reshape(whole, length, -1), axis=1)


def blocks_of(drives: Sequence[DriveStatistics]) -> tuple[np.ndarray, float] | None:
    """Which statistics (11,) bool can be tested by blocks, and how long a block is; None where the drives do not tell.

    Statistics that change too slowly for FEWEST_BLOCKS blocks in most drives are left out. More than half of those that
    change at all must be left: where most are slow, the others may only look fast, as the drives are too short.
    """
    lengths = np.array([each.block_lengths for each in drives])
    fits = (FEWEST_BLOCKS if len(drives) == 1 else FEWEST_BLOCKS // 2) * lengths <= np.array(
        [[len(each.values)] for each in drives]
    )
    usable = fits.mean(axis=0) > 0.5
    if 2 * usable.sum() <= np.isfinite(lengths).any(axis=0).sum():
        return None
    steps = np.array([[each.step] for each in drives])
    return usable, float((np.where(fits & usable, lengths, 0) * steps).max())


def drift_reference(drives: Sequence[DriveStatistics]) -> dict[str, Any]:
    """What the Card keeps of the drives calibrated on, as JSON values.

    Returns:
        ``not_tested``, why drift cannot be tested ("" where it can); ``unit``, "block" or "drive"; ``units``, for each
        its ``statistics``; ``step`` and ``block``, in seconds if ``timed``; of drives also ``shortest`` and
        ``longest``, ``low`` and ``high`` of their blocks in the statistics ``within``, and ``not_within``, why a drive
        is not compared with its own beginning.
    """
    if len({each.timed for each in drives}) > 1:
        return {"not_tested": "of the calibration's drives some are videos and some are pictures without times"}
    step, found = float(np.median([each.step for each in drives])), blocks_of(drives)
    about: dict[str, Any] = {"not_tested": "", "timed": drives[0].timed, "step": rounded(step)}
    if len(drives) == 1:
        if found is None:
            return {
                "not_tested": "the calibration's only drive is too short to tell how long its frames depend on each "
                f"other: it is not {FEWEST_BLOCKS} blocks of {BLOCK_TIMES} correlation times; calibrate on longer or "
                "more drives"
            }
        usable, block = found
        units = drives[0].blocks(round(block / step))[:, usable]
        return {
            **about, "statistics": names_of(usable), "unit": "block", "block": rounded(block), "units": rounded(units)
        }  # fmt: skip
    lasting = [len(each.values) * each.step for each in drives]
    about |= {
        "statistics": list(STATISTICS), "unit": "drive",
        "units": rounded(np.array([np.median(each.values, axis=0) for each in drives])),
        "shortest": rounded(min(lasting)), "longest": rounded(max(lasting)), "block": None,
    }  # fmt: skip
    if found is None:
        return {
            **about,
            "not_within": "the drives calibrated on are too short to tell how long their frames depend on each other",
        }
    return {**about, **own_beginning(drives, *found)}


def names_of(usable: np.ndarray) -> list[str]:
    """The names of those of STATISTICS that are chosen (11,)."""
    return [name for name, chosen in zip(STATISTICS, usable, strict=True) if chosen]


def own_beginning(drives: Sequence[DriveStatistics], usable: np.ndarray, block: float) -> dict[str, Any]:
    """What it takes to compare a drive with its own beginning; the calibration's drives must pass themselves."""
    parts = [each.blocks(max(1, round(block / each.step)))[:, usable] for each in drives]
    changed = 0
    for number, own in enumerate(parts):
        others = np.concatenate([part for other, part in enumerate(parts) if other != number])
        if len(others) and len(own):
            test = OwnBeginning(others.min(axis=0), others.max(axis=0))
            changed += max(test.add(each) for each in own) >= 1 / SELF_RATE
    if changed:
        return {
            "not_within": f"{changed} of the {len(drives)} drives calibrated on change as much from their own beginning"
        }
    every = np.concatenate(parts)
    return {
        "not_within": "", "within": names_of(usable), "block": rounded(block),
        "low": rounded(every.min(axis=0)), "high": rounded(every.max(axis=0)),
    }  # fmt: skip


def rounded(values: Any) -> Any:
    """Numbers in seven digits, as lists where they are arrays."""
    if isinstance(values, np.ndarray):
        return [rounded(each) for each in values]
    return float(f"{float(values):.7g}")
