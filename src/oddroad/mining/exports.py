"""Chosen findings for other tools: COCO with pictures, clips in MCAP, a list for labelling."""

from __future__ import annotations

import csv
import io
import json
from base64 import b64encode
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from oddroad.errors import InputError
from oddroad.files import write_whole
from oddroad.mining.places import reason_of
from oddroad.mining.selection import Footage

CATEGORY = {"id": 1, "name": "anomaly", "supercategory": "road"}

IMAGE_SCHEMA = {
    "title": "foxglove.CompressedImage", "type": "object", "properties": {
        "timestamp": {
            "type": "object", "title": "time", "properties": {"sec": {"type": "integer"}, "nsec": {"type": "integer"}},
        },
        "frame_id": {"type": "string"}, "data": {"type": "string", "contentEncoding": "base64"},
        "format": {"type": "string"},
    },
}  # fmt: skip
"""https://docs.foxglove.dev/docs/visualization/message-schemas/compressed-image"""

ANNOTATIONS_SCHEMA = {"title": "foxglove.ImageAnnotations", "type": "object", "properties": {}}


def jpeg(image: Any) -> bytes:
    """An RGB image (H, W, 3) as a JPEG."""
    from oddroad.exchange.names import as_jpeg

    return as_jpeg(image)


def write_coco(rows: Sequence[dict[str, Any]], footage: Footage, folder: Path, tell: Callable[[str], None]) -> int:
    """Write ``annotations.json`` and the pictures beside it; returns how many pictures. What cannot be read is told.

    Raises:
        InputError: if nothing can be written.
    """
    images: dict[tuple[str, str, Any, Any], dict[str, Any]] = {}
    annotations: list[dict[str, Any]] = []
    for row in rows:
        key = (row["log_id"], row["topic"], row["time"], row["frame"] if row["time"] is None else None)
        if key not in images:
            name = (
                f"images/{row['log_id']}_{row['topic'].strip('/').replace('/', '_')}_{row['time'] or row['frame']}.jpg"
            )
            try:
                write_whole(folder / name, jpeg(footage.frame(row)), "picture")
            except InputError as error:
                tell(f"{row['id']}: {reason_of(error)}")
                continue
            images[key] = {
                "id": len(images) + 1, "file_name": name, "width": row["width"], "height": row["height"],
                "log": row["log"], "topic": row["topic"], "time": row["time"], "latitude": row["latitude"],
                "longitude": row["longitude"],
            }  # fmt: skip
        annotations.append({
            "id": len(annotations) + 1, "image_id": images[key]["id"], "category_id": 1,
            "bbox": [row["x0"], row["y0"], row["x1"] - row["x0"], row["y1"] - row["y0"]], "area": row["area"],
            "segmentation": {"size": [row["height"], row["width"]], "counts": row["rle"]}, "iscrowd": 0,
            "score": row["peak"],
            "attributes": {"finding": row["id"], "track": row["track"], "mean": row["mean"], "p_value": row["p_value"]},
        })  # fmt: skip
    values = {
        "info": {"description": "anomalies on the road, mined by oddroad"}, "licenses": [], "categories": [CATEGORY],
        "images": list(images.values()), "annotations": annotations,
    }  # fmt: skip
    write_whole(folder / "annotations.json", json.dumps(values).encode(), "COCO file")
    return len(images)


def write_clips(
    rows: Sequence[dict[str, Any]], footage: Footage, folder: Path, seconds: float, tell: Callable[[str], None]
) -> int:
    """Write an MCAP file for each finding with its camera's frames around it and its box; returns how many."""
    count = 0
    for row in rows:
        try:
            data = clip(row, footage, seconds)
        except (InputError, OSError) as error:
            tell(f"{row['id']}: {reason_of(error)}")
            continue
        write_whole(folder / f"{row['id']}.mcap", data, "clip")
        count += 1
    return count


def clip(row: dict[str, Any], footage: Footage, seconds: float) -> bytes:
    """The MCAP file of one finding: JPEGs as foxglove.CompressedImage, and its box as foxglove.ImageAnnotations.

    Raises:
        InputError: if the log cannot be read any more, or has no times.
        OSError: likewise.
    """
    from mcap.writer import Writer

    if row["time"] is None:
        raise InputError(f"'{row['log']}' has no times, and MCAP is for what has; export it as COCO")
    topic = row["topic"] or "/camera"
    held, count = io.BytesIO(), 0
    writer = Writer(held)
    writer.start(library="oddroad")
    schemas = [
        writer.register_schema(each["title"], "jsonschema", json.dumps(each).encode())
        for each in (IMAGE_SCHEMA, ANNOTATIONS_SCHEMA)
    ]
    image, marks = (
        writer.register_channel(name, "json", schema)
        for name, schema in ((topic, schemas[0]), (f"{topic}/anomalies", schemas[1]))
    )
    for taken in footage.around(row, seconds, seconds):
        time = taken.time or 0
        stamp = {"sec": time // 10**9, "nsec": time % 10**9}
        coded = b64encode(jpeg(taken.frame.image)).decode()
        message = {"timestamp": stamp, "frame_id": row["camera"], "data": coded, "format": "jpeg"}
        writer.add_message(image, time, json.dumps(message).encode(), time)
        count += 1
        if time == row["time"]:
            writer.add_message(marks, time, json.dumps(box_of(row, stamp)).encode(), time)
    writer.add_metadata("oddroad", {key: str(row[key]) for key in ("id", "log", "topic", "time", "peak", "p_value")})
    writer.finish()
    if not count:
        raise InputError(f"'{row['log']}' has no frame at {row['time']} any more")
    return held.getvalue()


def box_of(row: dict[str, Any], stamp: dict[str, int]) -> dict[str, Any]:
    """A finding's box as foxglove.ImageAnnotations."""
    x0, y0, x1, y1 = (row[name] for name in ("x0", "y0", "x1", "y1"))
    corners = [{"x": x, "y": y} for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))]
    red = {"r": 1, "g": 0.2, "b": 0, "a": 1}
    line = {"timestamp": stamp, "type": 2, "points": corners, "outline_color": red, "thickness": 2}
    return {"circles": [], "points": [line], "texts": []}


LABELLING = ("id", "log", "topic", "time", "frame", "x0", "y0", "x1", "y1", "p_value", "peak", "group", "group_size")


def labelling_list(rows: Sequence[dict[str, Any]], group: Sequence[int], sizes: Sequence[int]) -> bytes:
    """A CSV file of what to label, the most telling first; ``group_size`` is how many tracks look like it."""
    held = io.StringIO()
    writer = csv.writer(held)
    writer.writerow(LABELLING)
    for row, number, size in zip(rows, group, sizes, strict=True):
        writer.writerow([*(row[name] for name in LABELLING[:-2]), number, size])
    return held.getvalue().encode()
