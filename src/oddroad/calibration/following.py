"""Frames of calm drives, followed while a calibration runs, so that their tracks can be counted at its end."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from oddroad.calibration.calibrator import FrameFigures, short
from oddroad.calibration.tracks import Ladder, Moment, Moments, alarm_curves
from oddroad.detection.tracking import Tracking
from oddroad.errors import InputError
from oddroad.regions import InDistribution


class Following:
    """What the frames of a calibration leave behind for the count of tracks.

    Args:
        tracking: settings of ``detect`` under which alarms are counted.
        kilometres: driven per hour, of all drives or of each; None where it is not known.
    """

    def __init__(self, tracking: Tracking, kilometres: float | Mapping[str, float] | None = None):
        self.tracking, self.kilometres = tracking, kilometres
        self.moments = Moments()
        self.ladders: dict[str, Ladder] = {}
        self.frames: dict[str, list[np.ndarray | None]] = {}

    def frame(self, image: np.ndarray, drive: str, moment: tuple[float | None, int]) -> None:
        """The next frame, (H, W, 3) uint8, its drive, its seconds and its piece; ``figures`` comes after it.

        Raises:
            InputError: if it has no time.
        """
        if moment[0] is None:
            raise InputError(f"'{drive}' has no time stamps, without which alarms an hour cannot be counted")
        self.moments.add(image, drive, moment[0], moment[1])

    def seen(self, moment: Moment) -> None:
        """The next frame where its shift is known already, in the place of ``frame``."""
        self.moments.all.append(moment)

    def packed(
        self, score: str, figures: FrameFigures | None, heat: np.ndarray, inside: np.ndarray | None
    ) -> FrameFigures | None:
        """The figures of a frame with which levels its score (H, W) exceeds, so that they can be kept."""
        if figures is None:
            return None
        if score not in self.ladders:
            self.ladders[score] = Ladder.of(heat, np.ones(heat.shape, bool) if inside is None else inside)
        ladder = self.ladders[score]
        return replace(figures, above=ladder.pack(heat, inside), ladder=np.array([ladder.base, ladder.step]))

    def figures(self, score: str, figures: FrameFigures | None) -> None:
        """The figures of the frame that was added last; None where nothing of it counts."""
        if figures is not None and score not in self.ladders and figures.ladder is not None:
            self.ladders[score] = Ladder(*figures.ladder.tolist())
        self.frames.setdefault(score, []).append(None if figures is None else figures.above)

    def result(
        self, score: str, values: Mapping[str, Any], levels: Sequence[float], drives: Collection[str], about: Mapping
    ) -> dict[str, Any]:
        """JSON values for the Card.

        Args:
            score: its name.
            values: what the Card holds of the score: ``quantiles``.
            levels: the lowest thresholds without an alarm, of the frames with figures of these drives, in their order.
            drives: those that count.
            about: ``scope``, ``confidence``, ``min_area``.

        Returns:
            ``curves``, for each smallest number of hits rows as of oddroad.calibration.tracks.Curve; ``units``, their
            number, ``block`` and ``hours``; ``join``.
        """
        chosen = [number for number, each in enumerate(self.moments.all) if each.drive in drives]
        moments = Moments()
        moments.all = [self.moments.all[number] for number in chosen]
        frames = [self.frames[score][number] for number in chosen]
        known = self.kilometres
        kilometres = known if known is None or isinstance(known, Mapping) else None
        shares, scores = np.asarray(values["quantiles"], np.float64).T
        curves, exposure, driven, join = alarm_curves(
            frames, moments, self.ladders[score], levels, InDistribution(shares, scores), self.tracking,
            about["scope"], about["confidence"], about["min_area"], kilometres,
        )  # fmt: skip
        return {
            "units": len(exposure.lengths), "block": exposure.block, "hours": short(exposure.total), "join": join,
            **({} if math.isnan(driven) else {"kilometres": short(100 * driven)}),
            "curves": {
                hits: [[None if each is None else float(f"{each:.9g}") for each in row] for row in rows]
                for hits, rows in curves.items()
            },
        }  # fmt: skip

    def settings(self) -> dict[str, Any]:
        """JSON values for the Card: the settings under which alarms were counted."""
        speed = {"speed": self.kilometres} if isinstance(self.kilometres, float) else {}
        return asdict(self.tracking) | {"rate": short(self.rate()), **speed}

    def rate(self) -> float:
        """Frames judged per second of the drives, in the median."""
        seconds = self.moments.seconds()
        return 1 / float(np.median(seconds)) if len(seconds) and np.median(seconds) > 0 else 0.0
