"""The intervals of an evaluation's figures, and what the report's test of two detectors needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from oddroad.evaluation.terminal import HEADS, WITH_INTERVAL
from oddroad.evaluation.workers import PartialCounts
from oddroad.metrics import ComponentMetric
from oddroad.metrics.intervals import LEVEL, interval, leave_one_out, leave_one_out_components, why_none


def add_intervals(
    result: dict[str, Any],
    whole: PartialCounts,
    components: Sequence[Sequence[ComponentMetric]],
    units: Sequence[str],
) -> None:
    """Give a result the intervals of its figures, the figures with each unit left out, and why one has no interval.

    Args:
        result: of one score; its ``deployed`` figures get intervals too.
        whole: the counts of the first pass.
        components: the component metrics of each frame, at the best threshold and at the deployed one.
        units: of each frame, its sequence or the frame itself.
    """
    score = result["score"]
    if result["exact"] and whole.rounded.get(score):
        result["notes"].append("no intervals: they count in float32, which does not resolve these float64 maps")
        return
    best, *deployed = [leave_one_out_components(each, units) for each in components]
    parts = [leave_one_out(whole.coarse[score], units), best]
    result["intervals"] = {name: interval(result[name], part, name) for part in parts for name in part.figures}
    result["left_out"] = {
        "level": LEVEL,
        "of": "images" if len(set(units)) == len(units) else "sequences",
        "units": list(parts[0].units),
        "figures": {name: values.tolist() for part in parts for name, values in part.figures.items()},
        "degrees": {name: degrees for part in parts for name, degrees in part.degrees.items()},
    }
    for part in deployed:
        figures = result["deployed"]
        figures["intervals"] = {name: interval(figures[name], part, name) for name in part.figures}
    lacking = {name: why_none(part, name) for part in parts for name in part.figures}
    result["no_interval"] = {name: reason for name, reason in lacking.items() if reason}
    for reason in dict.fromkeys(lacking[name] for name in WITH_INTERVAL):
        names = [HEADS[name] for name in WITH_INTERVAL if lacking[name] == reason]
        result["notes"] += [f"no interval of {' and '.join(names)}: {reason}"] if reason else []
