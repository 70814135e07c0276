"""The intervals of an evaluation's figures, and what the report's test of two detectors needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from oddroad.evaluation.terminal import HEADS, WITH_INTERVAL
from oddroad.metrics.intervals import LEVEL, LeftOut, interval, why_none


def give_intervals(place: dict[str, Any], parts: Sequence[LeftOut], of: str) -> None:
    """Give figures their intervals, the figures with each unit left out, and why one has no interval.

    Args:
        place: the figures; what is given is added to it.
        parts: the figures with each unit left out.
        of: what the units are, "images" or "sequences".
    """
    place["intervals"] = {name: interval(place[name], part, name) for part in parts for name in part.figures}
    place["left_out"] = {
        "level": LEVEL,
        "of": of,
        "units": list(parts[0].units),
        "figures": {name: values.tolist() for part in parts for name, values in part.figures.items()},
        "degrees": {name: degrees for part in parts for name, degrees in part.degrees.items()},
    }
    lacking = {name: why_none(part, name) for part in parts for name in part.figures}
    place["no_interval"] = {name: reason for name, reason in lacking.items() if reason}


def missing_intervals(result: dict[str, Any]) -> list[str]:
    """Of the figures whose interval stands in the table on the terminal: which have none, and why."""
    lacking, notes = {name: result["no_interval"].get(name, "") for name in WITH_INTERVAL}, []
    for reason in dict.fromkeys(lacking.values()):
        names = [HEADS[name] for name in WITH_INTERVAL if lacking[name] == reason]
        notes += [f"no interval of {' and '.join(names)}: {reason}"] if reason else []
    return notes
