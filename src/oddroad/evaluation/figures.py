"""The JSON object of one score: figures at the best threshold, at the deployed one, and of drives."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from oddroad.evaluation.intervals import give_intervals, missing_intervals
from oddroad.evaluation.judged import AtThreshold
from oddroad.evaluation.video import VideoCounts
from oddroad.evaluation.workers import PartialCounts, Settings
from oddroad.metrics.intervals import leave_one_out, leave_one_out_counts, merged

NO_INFORMATION = "this score carries no information here: its AP is not above the prevalence"


def anomaly_result(
    settings: Settings,
    common: dict[str, Any],
    score: str,
    whole: PartialCounts,
    pixel: dict[str, float],
    judged: Sequence[Sequence[AtThreshold]],
    drives: Sequence[Sequence[VideoCounts]],
    units: Sequence[str],
    sequences: Sequence[str],
    notes: Sequence[str],
) -> dict[str, Any]:
    """The JSON object of one data set and score.

    Args:
        settings: how it was evaluated.
        common: what all scores of the set share, see ``describe_run``.
        score: its name.
        whole: the counts of the first pass over all frames.
        pixel: the pixel figures of this score.
        judged: for the best threshold and, where there is one, the deployed one: the counts of each frame.
        drives: likewise the counts of each sequence; empty without ``settings.video``.
        units: of each frame, its sequence or the frame itself.
        sequences: the names of the sequences.
        notes: what is to be said about the set.

    Returns:
        JSON values but for NaN and infinities, fractions and not percent.
    """
    remarks = list(notes)
    if (rounded := whole.rounded.get(score)) and not settings.exact:
        name, single, double = max(rounded, key=lambda each: abs(each[1] - each[2]))
        remarks.append(
            f"the float64 maps differ by less than float32 resolves: AP of frame '{name}' is {100 * single:.2f} in "
            f"float32 and {100 * double:.2f} in float64; --exact ranks in float64"
        )
    elif pixel["ap"] <= pixel["prevalence"] * (1 + 1e-6):
        remarks.append(NO_INFORMATION)
    if pixel["ap_error"] > 1e-4:
        remarks.append(f"AP is proven to {pixel['ap_error']:.1e} only; --exact removes the doubt")
    hashes = whole.hashes.get(score)
    result = {
        **common,
        **({"model_hash": hashlib.sha256("".join(hashes).encode()).hexdigest()} if hashes else {}),
        "score": score,
        **pixel,
        "min_sizes": [judged[0][0].components.min_predicted, judged[0][0].components.min_truth],
        "exact": settings.exact,
        "notes": remarks,
        "frames": [{"name": each["name"], "ap": each["ap"][score]} for each in whole.frames],
        "curve": whole.pixel[score].ranking().curve(),
    }
    unresolved = settings.exact and bool(whole.rounded.get(score))
    with_intervals, of = (
        settings.intervals and not unresolved,
        "images" if len(set(units)) == len(units) else "sequences",
    )
    if settings.intervals and unresolved:
        remarks.append("no intervals: they count in float32, which does not resolve these float64 maps")
    places = [result] + [result.setdefault("deployed", {"threshold": float(each[0].threshold)}) for each in judged[1:]]
    for number, (place, frames) in enumerate(zip(places, judged, strict=True)):
        kinds = list(zip(*(each.parts for each in frames), strict=True))
        for parts in kinds:
            place.update(merged(parts).result())
        place["recall_by_size"] = merged([each.objects for each in frames]).by_size()
        if with_intervals:
            coarse = [leave_one_out(whole.coarse[score], units)] if place is result else []
            give_intervals(place, [*coarse, *(leave_one_out_counts(parts, units) for parts in kinds)], of)
        if drives:
            place["video"] = video_result(settings, drives[number], sequences)
    if with_intervals:
        remarks += missing_intervals(result)
    return result


def video_result(settings: Settings, drives: Sequence[VideoCounts], sequences: Sequence[str]) -> dict[str, Any]:
    """The JSON object of the sequences at one threshold.

    Args:
        settings: how they were judged.
        drives: the counts of each sequence.
        sequences: their names.
    """
    kinds = list(zip(*(each.parts for each in drives), strict=True))
    place: dict[str, Any] = {
        "threshold": float(drives[0].threshold), "sequences": len(drives), "min_hits": settings.min_hits,
        "max_age": settings.max_age, "window": drives[0].consistency.window,
    }  # fmt: skip
    for parts in kinds:
        place.update(merged(parts).result())
    if settings.intervals:
        give_intervals(place, [leave_one_out_counts(parts, sequences) for parts in kinds], "sequences")
    return place
