"""The tables of a mined archive: their Arrow schemas, and how findings and segments are written as Parquet."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from oddroad.mining.embedding import LENGTH

SCHEMA_VERSION = 1
"""Version of both tables; a column that changes its meaning makes a new one."""

RECORD = b"oddroad.segment"
"""Key of the segment's own row in the metadata of its part, as JSON."""


def findings_schema() -> Any:
    """The columns of ``findings``, one row for each region of each judged frame; ``day`` and ``model`` are folders."""
    import pyarrow as pa

    def field(name: str, kind: Any, words: str, null: bool = False) -> Any:
        return pa.field(name, kind, nullable=null, metadata={"description": words})

    return pa.schema([
        field("id", pa.string(), "SEGMENT-NUMBER, unique in the archive"),
        field("segment", pa.string(), "name of the segment"),
        field("log", pa.string(), "name of the log, as its file is called below the source"),
        field("log_id", pa.string(), "what names the log by its content"),
        field("topic", pa.string(), "of logs with topics, else empty"),
        field("camera", pa.string(), "the topic, or the log where it is one camera"),
        field("time", pa.int64(), "ns, by the clock", True),
        field("clock", pa.string(), "utc: since 1970; file: since the file's start; empty: no time is known"),
        field("frame", pa.int64(), "number of the frame in the segment; of pictures, in the folder"),
        field("latitude", pa.float64(), "degrees, where the log has GNSS", True),
        field("longitude", pa.float64(), "degrees", True),
        field("altitude", pa.float64(), "metres", True),
        field("track", pa.string(), "SEGMENT:NUMBER, the same for one thing in successive frames"),
        field("hits", pa.int32(), "frames in which the track was seen up to here"),
        field("best", pa.bool_(), "whether this is the largest view of its track in the segment"),
        field("x0", pa.int32(), "left edge of the box, pixels"), field("y0", pa.int32(), "upper edge"),
        field("x1", pa.int32(), "right edge, just outside"), field("y1", pa.int32(), "lower edge, just outside"),
        field("height", pa.int32(), "of the frame"), field("width", pa.int32(), "of the frame"),
        field("rle", pa.string(), "mask as COCO's compressed run-length code"),
        field("area", pa.int32(), "pixels"),
        field("mean", pa.float32(), "mean score inside, in the score's unit"),
        field("peak", pa.float32(), "highest score inside"),
        field("p_value", pa.float64(), "how often in-distribution frames hold a region as anomalous as this", True),
        field("score", pa.string(), "name of the score"),
        field("threshold", pa.float64(), "a pixel is anomalous above it"),
        field("threshold_meaning", pa.string(), "what the threshold guarantees"),
        field("thumbnail", pa.binary(), "WebP of the region and what is around it, in best views only", True),
        field("embedding", pa.list_(pa.float32(), LENGTH), "features of the network over the region, length 1"),
    ], metadata={"oddroad.schema_version": str(SCHEMA_VERSION)})  # fmt: skip


def segments_schema() -> Any:
    """The columns of ``segments``, one row for each segment that was mined."""
    import pyarrow as pa

    text, whole, real = pa.string(), pa.int64(), pa.float64()
    columns = {
        "segment": text, "log": text, "log_id": text, "topic": text, "camera": text, "day": text, "model": text,
        "clock": text, "start": whole, "end": whole, "seconds": real, "read": whole, "judged": whole,
        "skipped": whole, "damaged": whole, "lost": whole, "findings": whole, "tracks": whole, "frames_with": whole,
        "width": whole, "height": whole, "part": text, "part_bytes": whole, "reason": text, "addresses": pa.list_(text),
        "settings": text, "took": real, "position": text,
    }  # fmt: skip
    return pa.schema(list(columns.items()), metadata={"oddroad.schema_version": str(SCHEMA_VERSION)})


def findings_part(rows: Sequence[Mapping[str, Any]], record: Mapping[str, Any]) -> bytes:
    """The findings of a segment as a Parquet file, with the segment's own row in its metadata."""
    import pyarrow as pa
    import pyarrow.parquet

    schema = findings_schema()
    schema = schema.with_metadata({**schema.metadata, RECORD: json.dumps(record).encode()})
    columns = [[row[name] for row in rows] for name in schema.names]
    arrays = [pa.array(values, each.type) for values, each in zip(columns, schema, strict=True)]
    table = pa.Table.from_arrays(arrays, schema=schema)
    return as_parquet(table)


def record_of_part(data: bytes) -> dict[str, Any]:
    """The segment's own row in a part of ``findings``."""
    import pyarrow.parquet

    return json.loads(pyarrow.parquet.read_schema(io.BytesIO(data)).metadata[RECORD])


def segments_part(records: Sequence[Mapping[str, Any]]) -> bytes:
    """Rows of ``segments`` as a Parquet file."""
    import pyarrow as pa

    schema = segments_schema()
    arrays = [pa.array([each.get(name) for each in records], schema.field(name).type) for name in schema.names]
    return as_parquet(pa.Table.from_arrays(arrays, schema=schema))


def as_parquet(table: Any) -> bytes:
    """A table as the bytes of a Parquet file."""
    import pyarrow.parquet

    held = io.BytesIO()
    pyarrow.parquet.write_table(table, held, compression="zstd")
    return held.getvalue()
