"""What ``oddroad mine`` has found, as a gallery: the best views of the rarest things, read while it is written."""

from __future__ import annotations

import base64
import heapq
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from oddroad.errors import InputError

SHOWN, PARTS = 120, 20_000
"""Best views that are shown, and parts of the data set that are looked through, at most."""

COLUMNS = (
    "id", "log", "camera", "time", "clock", "frame", "track", "hits", "area", "peak", "p_value", "latitude",
    "longitude", "thumbnail",
)  # fmt: skip


def gallery(manifest: Path) -> dict[str, Any]:
    """The best views with the lowest p-values, the highest peaks first among equals; and how many there are in all.

    Args:
        manifest: the ``manifest.json`` of a mined archive.

    Raises:
        InputError: if pyarrow is not installed.
    """
    try:
        import pyarrow.parquet as parquet
    except ModuleNotFoundError:
        raise InputError("a mined archive is Parquet; run: pip install 'oddroad[mine]'") from None
    numbers = itertools.count()
    best: list[tuple[float, float, int, dict[str, Any]]] = []
    rows = views = unread = 0
    for part in parts(manifest.parent / "findings"):
        try:
            with parquet.ParquetFile(part) as opened:
                rows += opened.metadata.num_rows
                known = [name for name in (*COLUMNS, "best") if name in opened.schema_arrow.names]
                found = opened.read(columns=known).to_pylist()
        except (OSError, ValueError):  # pyarrow's own errors are kinds of these; a part that is cut off is said
            unread += 1
            continue
        for row in found:
            if not row.pop("best", False):
                continue
            views += 1
            rank = -(row["p_value"] if row.get("p_value") is not None else 1.0), float(row["peak"]), next(numbers), row
            if len(best) < SHOWN:
                heapq.heappush(best, rank)
            else:
                heapq.heappushpop(best, rank)
    chosen = [row for *_, row in sorted(best, key=lambda each: each[:3], reverse=True)]
    for row in chosen:
        row["thumbnail"] = base64.b64encode(row["thumbnail"]).decode() if row.get("thumbnail") else None
    return {"findings": rows, "views": views, "unread": unread, "shown": chosen}


def parts(folder: Path) -> Iterator[Path]:
    """The parts of the data set, the newest days first; links that lead out of it are left out."""
    root = folder.resolve()
    found = (each for each in sorted(folder.glob("day=*/model=*/*.parquet"), reverse=True))
    yield from itertools.islice((each for each in found if each.resolve().is_relative_to(root)), PARTS)
