"""The verb ``results``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from oddroad.cli.common import JsonTo, say, write_json


def results(
    source: Annotated[Path, tyro.conf.Positional], /, to: str, out: Path, media: Path | None = None, json: JsonTo = None
) -> None:
    """Convert what 'detect' found to what other tools open.

    Example: oddroad results out/drive --to coco --out drive.json

    Args:
        source: a detections.jsonl, or the folder of one or several.
        to: coco, csv, fiftyone, supervision, rerun, mcap or labelme.
        out: the file to write (coco, csv, rerun, mcap), or a new folder (fiftyone, supervision, labelme).
        media: the file or folder that 'detect' read, for formats that hold or show the pictures.
        json: the numbers of frames and regions and what is to be known as one JSON object: printed, or into FILE.
    """
    from oddroad.exchange import convert

    found, notes = convert(source, to, out, media)
    write_json(json, {**found.counts(), "out": str(out), "notes": notes})
    if json is None:
        for line in notes:
            say(line)
        say(f"{found.line()}; written to {out}")
