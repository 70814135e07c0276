"""Checks of single lines of ``detections.jsonl``: the same rules as its JSON Schema, without a library, in words.

The schema is ``oddroad/io/schema/detections.schema.json``; a test holds both to the same table of wrong lines.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

import numpy as np

from oddroad import json_values
from oddroad.errors import counted
from oddroad.io.reading import Gap
from oddroad.regions import checked_lengths
from oddroad.types import Region

SCHEMA_VERSION = 1
"""Version of the format that is read."""


UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|\+00:00)", re.ASCII)
"""A time in UTC by ISO 8601."""


LARGEST = 1e300
"""The largest number that is taken; larger whole numbers cannot become floats."""


REQUIRED = object()


class LineError(Exception):
    """What is wrong with a line, as the end of a sentence that begins with its file and number."""


def take(
    values: dict[str, Any],
    key: str,
    kind: str,
    default: Any = REQUIRED,
    least: float | None = None,
    null: bool = False,
) -> Any:
    """A value of a line.

    Args:
        values: the line, or a part of it.
        key: its key.
        kind: "text", "whole number", "number", "list" or "object".
        default: what it is where it is absent; without it, it must be there.
        least: the smallest number, or the smallest length of a text.
        null: whether it may be null, which is then its value.

    Raises:
        LineError: if it is not there, or something else.
    """
    an = "an" if kind == "object" else "a"
    if key not in values:
        if default is REQUIRED:
            raise LineError(f"has no '{key}'; expected {an} {kind}{' or null' * null}")
        return default
    value = values[key]
    if value is None and null:
        return None
    types = {"text": str, "whole number": int, "number": (int, float), "list": list, "object": dict}[kind]
    if not isinstance(value, types) or isinstance(value, bool):
        raise LineError(f"'{key}' is {shown(value)}; expected {an} {kind}")
    if isinstance(value, (int, float)) and not abs(value) <= LARGEST:  # NaN is not, either
        told = value if isinstance(value, float) else shown(value)
        raise LineError(f"'{key}' is {told}; expected a finite number")
    if least is not None and value is not None and (len(value) if isinstance(value, str) else value) < least:
        raise LineError(f"'{key}' is {shown(value)}; expected at least {least}{' letters' if kind == 'text' else ''}")
    return value


def shown(value: Any) -> str:
    """A value for a message as JSON, cut where it is long."""
    return json_values.shown(value, json.dumps)


def take_utc(values: dict[str, Any], key: str, null: bool = False) -> str | None:
    """A time in UTC, or None where there is none; ``null`` as for ``take``.

    Raises:
        LineError: if it is something else.
    """
    value = take(values, key, "text", None, null=null)
    if value is None:
        return None
    try:
        if UTC.fullmatch(value) and datetime.fromisoformat(value[:19]):
            return value
    except ValueError:  # the 30th of February
        pass
    raise LineError(f"'{key}' is {shown(value)}; expected a time such as 2026-01-31T12:00:00.25Z")


def run_of(values: dict[str, Any]) -> tuple[str, str, str, float]:
    """Version of the package, model, score and threshold of a line of type "run".

    Raises:
        LineError: if a value is wrong, or the line was written by a newer version.
    """
    version = take(values, "schema_version", "whole number", least=1)
    if version > SCHEMA_VERSION:
        raise LineError(
            f"has schema_version {version}, and this oddroad reads up to {SCHEMA_VERSION}; "
            "upgrade with: pip install --upgrade oddroad"
        )
    for key, kind in (("settings", "object"), ("sources", "list"), ("engine", "text")):
        take(values, key, kind, None)
    for key in ("model_sha256", "threshold_meaning"):
        take(values, key, "text", None, null=True)
    take(values, "part", "whole number", None, least=1)
    take_utc(values, "started")
    words = [take(values, key, "text") for key in ("oddroad", "model", "score")]
    return words[0], words[1], words[2], float(take(values, "threshold", "number"))


def frame_of(values: dict[str, Any]) -> dict[str, Any]:
    """The fields of a ``FrameResult`` in a line of type "frame", but for ``run``; tracks as (id, hits, mean).

    Raises:
        LineError: if a value is wrong.
    """
    size = take(values, "height", "whole number", least=1), take(values, "width", "whole number", least=1)
    status = take(values, "status", "text")
    if status not in ("ok", "damaged"):
        raise LineError(f'\'status\' is {shown(status)}; expected "ok" or "damaged"')
    share = take(values, "roi_share", "number", None, least=0)
    if share is not None and share > 1:
        raise LineError(f"'roi_share' is {share}; expected 0 to 1")
    for each in take(values, "milliseconds", "object", {}).values():
        take({"milliseconds": each}, "milliseconds", "number")
    listed = take(values, "regions", "list", null=True)
    if listed is None and status == "ok":
        raise LineError(
            "'regions' is null, but the status is ok; expected a list, as only damaged frames are not judged"
        )
    found = None
    if listed is not None:
        found = tuple(numbered(region_of, each, size, number) for number, each in enumerate(listed, 1))
    return {
        "source": take(values, "source", "text", least=1),
        "index": take(values, "index", "whole number", least=0, null=True),
        "time": take(values, "time", "number", null=True),
        "utc": take_utc(values, "utc", null=True),
        "size": size,
        "status": status,
        "reason": take(values, "reason", "text", ""),
        "regions": found,
        "tracks": tuple(numbered(track_of, each, size, number) for number, each in enumerate(listed or (), 1)),
    }


def numbered(part: Any, values: Any, size: tuple[int, int], number: int) -> Any:
    """A part of a region, or a LineError that says of which."""
    try:
        if not isinstance(values, dict):
            raise LineError(f"is {shown(values)}; expected an object")
        return part(values, size)
    except LineError as error:
        raise LineError(f"region {number} {error}") from None


def region_of(values: dict[str, Any], size: tuple[int, int]) -> Region:
    """A region of a frame of a size (H, W).

    Raises:
        LineError: if a value is wrong, or its values do not belong together.
    """
    box = take(values, "box", "list")
    height, width = size
    whole = len(box) == 4 and all(isinstance(each, int) and not isinstance(each, bool) for each in box)
    if not whole or not (0 <= box[0] < box[2] <= width and 0 <= box[1] < box[3] <= height):
        raise LineError(f"'box' is {shown(box)}; expected whole numbers x0 < x1 <= {width} and y0 < y1 <= {height}")
    code = take(values, "segmentation", "object")
    area = take(values, "area", "whole number", least=1)
    counts = take(code, "counts", "text", least=1)
    if take(code, "size", "list") != [height, width]:
        raise LineError(f"'size' of the segmentation is {shown(code['size'])}; expected [{height}, {width}]")
    percentile = take(values, "percentile", "number", None, least=0, null=True)
    if percentile is not None and percentile > 1:
        raise LineError(f"'percentile' is {percentile}; expected 0 to 1")
    pixels, bounds = extent(counts, size)
    if pixels != area:
        raise LineError(f"'area' is {area}, but its segmentation has {counted(pixels, 'pixel')}")
    if bounds != box:
        raise LineError(f"'box' is {shown(box)}, but its segmentation lies in {shown(bounds)}")
    mean, peak = float(take(values, "mean", "number")), float(take(values, "peak", "number"))
    return Region((box[0], box[1], box[2], box[3]), area, mean, peak, percentile, size, counts)


def extent(counts: str, size: tuple[int, int]) -> tuple[int, list[int]]:
    """Number of pixels of a run-length code, and the box x0, y0, x1, y1 around them.

    Raises:
        LineError: if it is no code of a mask of this size (H, W), or of an empty one.
    """
    height, width = size
    try:
        lengths = checked_lengths(counts, size)
    except ValueError:
        raise LineError(
            f"'counts' {shown(counts)} is no run-length code of {width} x {height} pixels, some of them inside"
        ) from None
    ends = np.cumsum(lengths)
    inside = lengths[1::2] > 0
    first, last = ends[:-1:2][inside], ends[1::2][inside] - 1
    x0, x1 = int(first[0]) // height, int(last[-1]) // height + 1
    y0, y1 = int((first % height).min()), int((last % height).max()) + 1
    if (first // height != last // height).any():  # a run from one column into the next touches both edges
        y0, y1 = 0, height
    return int(lengths[1::2].sum()), [x0, y0, x1, y1]


def track_of(values: dict[str, Any], _: tuple[int, int]) -> tuple[int, int, float | None] | None:
    """Number, hits and mean score of a region's track, or None where it has none.

    Raises:
        LineError: if a value is wrong.
    """
    track = take(values, "track", "object", None)
    if track is None:
        return None
    number, hits = take(track, "id", "whole number", least=0), take(track, "hits", "whole number", least=1)
    return number, hits, take(track, "mean", "number", None)


def gap_of(values: dict[str, Any]) -> Gap:
    """A line of type "gap".

    Raises:
        LineError: if a value is wrong.
    """
    return Gap(
        take(values, "source", "text", least=1),
        take(values, "index", "whole number", None, null=True),
        take(values, "time", "number", None, null=True),
        take(values, "seconds", "number", None, null=True),
        take(values, "reason", "text"),
    )
