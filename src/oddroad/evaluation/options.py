"""Options of an evaluation that are impossible, or would do nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from oddroad.errors import InputError
from oddroad.evaluation.predictors import Predictor
from oddroad.evaluation.video import sequences_of
from oddroad.evaluation.workers import Settings
from oddroad.types import Sample


def check_options(settings: Settings, anomaly_sets: Sequence[str]) -> None:
    """Refuse numbers that mean nothing, and options that would do nothing.

    Raises:
        InputError: naming the option.
    """
    if settings.workers < 1:
        raise InputError(f"--workers {settings.workers}; expected 1 or more")
    if not anomaly_sets:
        for name in ("scores", "threshold", "exact", "video"):
            if getattr(settings, name):
                raise InputError(f"--{name} does nothing for sets of classes, which are judged by the classes alone")


def check_video(settings: Settings, sets: Mapping[str, Sequence[Sample]]) -> None:
    """Refuse options of sequences that are impossible or would do nothing.

    Args:
        settings: how.
        sets: the anomaly sets.

    Raises:
        InputError: naming the option.
    """
    given = {
        "fps": settings.fps is not None,
        "min-hits": settings.min_hits is not None,
        "max-age": settings.max_age is not None,
    }
    if not settings.video:
        if alone := [name for name, each in given.items() if each]:
            raise InputError(f"--{alone[0]} is for sequences of frames; pass --video, too")
        return
    if settings.fps is not None and not (math.isfinite(settings.fps) and settings.fps > 0):
        raise InputError(f"--fps is {settings.fps}; expected frames per second above 0")
    for name, value, least in (("min-hits", settings.min_hits, 1), ("max-age", settings.max_age, 0)):
        if value is not None and value < least:
            raise InputError(f"--{name} is {value}; expected a number of frames, {least} or more")
    if settings.protocol == "network":
        raise InputError("--video with --protocol network, which leaves out frames without an anomaly; use native")
    if lacking := [name for name, samples in sets.items() if not sequences_of(samples)]:
        raise InputError(
            f"--video needs frames of drives, and {lacking[0]} has single images; a set of your own names its drives "
            "in sequences.json"
        )


def check_saved(settings: Settings, predictor: Predictor) -> None:
    """Refuse a size that saved maps, which are as they are, would not heed.

    Raises:
        InputError: naming the option.
    """
    if predictor.saved and settings.size is not None and settings.protocol == "native":
        raise InputError(
            "--size does nothing for saved maps in protocol native: they are enlarged to the labels; leave it out, or "
            "pass --protocol network to shrink the labels"
        )
