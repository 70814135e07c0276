"""The tables as they are on disk: which parts there are, with how many rows; checked on reading."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from oddroad.errors import InputError, counted, out_of_memory
from oddroad.files import load_json
from oddroad.json_values import check_depth, keyed, refuse, text, whole
from oddroad.json_values import listed as list_of
from oddroad.json_values import name as file_name
from oddroad.mining.store import Store
from oddroad.mining.tables import segments_part, segments_schema
from oddroad.mining.worker import DONE, FINDINGS

MANIFEST = "manifest.json"
SEGMENTS = "segments"
BATCH = 5000
"""Segments in one part of ``segments``."""


def part_file(value: Any, where: str) -> None:
    """The name of a part of ``segments``: a file in that folder, and in no other."""
    text(value, where)
    folder, _, file = value.partition("/")
    if folder != SEGMENTS:
        refuse(value, where, f"'{SEGMENTS}/NAME'")
    file_name(file, where)


MADE_OF = keyed(
    {
        "segments": list_of(keyed({"file": part_file, "rows": whole(), "bytes": whole()}, ("file", "rows", "bytes"))),
        "findings": whole(), "parts": whole(), "models": keyed({}),
    },
    ("segments", "findings", "parts", "models"),
)  # fmt: skip
"""What the values of a manifest must be."""


@dataclass
class Manifest:
    """What is there, as the last writing of the manifest says.

    Attributes:
        segments: parts of ``segments``: file, rows, bytes.
        findings: rows of ``findings``.
        parts: parts of ``findings``.
        model: what is known about each detector: name, score, threshold, by the short hash.
    """

    segments: list[dict[str, Any]] = field(default_factory=list)
    findings: int = 0
    parts: int = 0
    models: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, store: Store) -> Manifest:
        """The manifest of a store; an empty one where there is none yet.

        Raises:
            InputError: if it is damaged.
        """
        data = store.read(MANIFEST)
        if data is None:
            return cls()
        try:
            values = load_json(data)
            MADE_OF(values, "the manifest")
            check_depth(values, "the manifest")
            return cls(values["segments"], values["findings"], values["parts"], values["models"])
        except (ValueError, KeyError, TypeError):
            raise InputError(f"'{store.place}/{MANIFEST}' is damaged; restore it from a copy") from None

    def write(self, store: Store) -> None:
        """Write it in the place of the one before."""
        values = {"segments": self.segments, "findings": self.findings, "parts": self.parts, "models": self.models}
        store.replace(MANIFEST, json.dumps(values, indent=1).encode())


def names_in(store: Store, manifest: Manifest) -> Iterator[str]:
    """The names of the segments in the parts of ``segments`` that the manifest lists."""
    for each in manifest.segments:
        yield from read_part(store, each, ["segment"]).column(0).to_pylist()


def read_part(store: Store, listed: Mapping[str, Any], columns: list[str] | None = None) -> Any:
    """A part of ``segments`` as an Arrow table.

    Raises:
        InputError: if it is not what the manifest says.
    """
    import pyarrow
    import pyarrow.parquet

    data = store.read(listed["file"])
    try:
        table = pyarrow.parquet.read_table(io.BytesIO(data or b""), columns=columns)
        table.validate(full=True)
        missing = set(columns or segments_schema().names) - set(table.column_names)
        table = None if missing else table
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError, MemoryError) as error:
        enough_memory(error, f"'{store.place}/{listed['file']}'")
        table = None
    if table is None or table.num_rows != listed["rows"]:
        found = "missing"
        if data is not None:
            found = counted(len(data), "byte") if table is None else counted(table.num_rows, "row")
        raise InputError(
            f"'{store.place}/{listed['file']}' is damaged: the manifest says {counted(listed['rows'], 'row')} in "
            f"{counted(listed['bytes'], 'byte')}, found: {found}; restore it, or delete '{store.place}' and mine again"
        )
    return table


def enough_memory(error: Exception, what: str) -> None:
    """Tell a part that could not be read for lack of memory from one that is damaged.

    Raises:
        InputError: if the error speaks of memory.
    """
    if out_of_memory(error):
        raise InputError(
            f"there is no memory to read {what}, or it is damaged and claims too much; free some and try again, or "
            "restore it from a copy"
        ) from None


def fold(store: Store, known: set[str] | None = None) -> Manifest:
    """Bring the records of segments that are done into ``segments``, then list it in the manifest, then delete them.

    A run that is killed in between leaves parts that the manifest does not list, which are deleted here, or records
    that are listed already, likewise. Of a segment that was done both whole and in halves, the one that is listed
    stays, or else the whole.

    Args:
        store: the place.
        known: names that the manifest lists, if they were read already.
    """
    manifest = Manifest.read(store)
    listed = {each["file"] for each in manifest.segments}
    for name, _ in list(store.names(SEGMENTS)):
        if name not in listed:
            store.remove(name)
    waiting = sorted(name for name, _ in store.names(DONE) if name.endswith(".json"))
    if not waiting:
        return manifest
    known = set(names_in(store, manifest)) if known is None else known
    for first in range(0, len(waiting), BATCH):
        batch = waiting[first : first + BATCH]
        records, dropped = [], []
        names = {name_of(each) for each in waiting}
        for file in batch:
            data = store.read(file)
            if data is None or name_of(file) in known:
                continue
            record = load_json(data)
            if overruled(name_of(file), known, names):
                dropped.append(record)
            else:
                records.append(record)
        if records:
            data = segments_part(records)
            name = f"{SEGMENTS}/{hashlib.sha256(data).hexdigest()[:16]}.parquet"
            store.create(name, data)
            manifest.segments.append({"file": name, "rows": len(records), "bytes": len(data)})
            manifest.findings += sum(each["findings"] for each in records)
            manifest.parts += sum(bool(each["part"]) for each in records)
            manifest.write(store)
            known.update(each["segment"] for each in records)
        for record in dropped:
            if record["part"]:
                store.remove(record["part"])
        for file in batch:
            store.remove(file)
    return manifest


def name_of(file: str) -> str:
    """The segment of a file of DONE."""
    return file.rpartition("/")[2].removesuffix(".json")


def overruled(name: str, known: set[str], waiting: set[str]) -> bool:
    """Whether a segment does not count because it is there in another form: whole, or in halves."""
    whole, dot, _ = name.partition(".")
    if dot:
        return whole in known or whole in waiting
    return f"{name}.a" in known or f"{name}.b" in known


def check(store: Store, manifest: Manifest, thorough: bool = False) -> list[str]:
    """What is wrong with the parts of ``findings``: missing, cut off, not listed. Empty where all is well.

    Args:
        store: the place.
        manifest: its manifest.
        thorough: count the rows of every part, too.
    """
    import pyarrow.parquet

    there = dict(store.names(FINDINGS))
    wrong: list[str] = []
    for listed in manifest.segments:
        table = read_part(store, listed, ["part", "part_bytes", "findings"])
        for row in table.to_pylist():
            if not row["part"]:
                continue
            size = there.pop(row["part"], None)
            if size is None:
                wrong.append(f"{row['part']} is missing; it held {counted(row['findings'], 'finding')}")
            elif size != row["part_bytes"]:
                wrong.append(f"{row['part']} has {counted(size, 'byte')}; expected {row['part_bytes']}")
            elif thorough:
                data = io.BytesIO(store.read(row["part"]) or b"")
                try:
                    rows = pyarrow.parquet.read_metadata(data).num_rows
                except (pyarrow.ArrowException, OSError):
                    rows = -1
                if rows != row["findings"]:
                    there_are = counted(rows, "row") if rows >= 0 else "no readable rows"
                    wrong.append(f"{row['part']} has {there_are}; expected {row['findings']}")
    return wrong + [f"{name} is in no segment that is done" for name in there]


def remove_strays(store: Store, known: set[str]) -> int:
    """Delete parts of halves that were killed before they were done and then mined whole; returns how many.

    Args:
        store: the place.
        known: names of the segments that are done.
    """
    strays = []
    for file, _ in store.names(FINDINGS):
        name = file.rpartition("/")[2].removesuffix(".parquet")
        if "." in name and name.partition(".")[0] in known:
            strays.append(file)
    for each in strays:
        store.remove(each)
    return len(strays)


def read_segments(place: str) -> Any:
    """The table ``segments`` of a mined archive, as an Arrow table; each part is checked.

    Raises:
        InputError: if it is damaged, or nothing was mined there.
    """
    import pyarrow as pa

    store = Store(place)
    manifest = Manifest.read(store)
    if not manifest.segments:
        raise InputError(f"'{place}' holds no mined archive; 'oddroad mine SOURCES --out {place}' makes one")
    try:
        table = pa.concat_tables([read_part(store, each) for each in manifest.segments])
        return table.select(segments_schema().names).cast(segments_schema())
    except (pa.ArrowException, KeyError, UnicodeDecodeError) as error:
        raise InputError(
            f"'{place}' is damaged: its table of segments has other columns ({str(error)[:100]})"
        ) from None


def read_findings(place: str, columns: list[str] | None = None, best: bool = False) -> Any:
    """The table ``findings`` of a mined archive, as an Arrow table with ``day`` and ``model``; each part is checked.

    Args:
        place: of the archive.
        columns: only these.
        best: only the best view of each track.

    Raises:
        InputError: if a part is missing or damaged.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet

    from oddroad.mining.tables import findings_schema

    store, rows = Store(place), read_segments(place).select(["part", "findings", "day", "model"]).to_pylist()
    tables = []
    schema = findings_schema().remove_metadata()
    for row in rows:
        if not row["part"]:
            continue
        data = store.read(row["part"])
        wanted = None if columns is None else sorted({*columns, "best"} - {"day", "model"})
        try:
            table = pyarrow.parquet.read_table(io.BytesIO(data or b""), columns=wanted, partitioning=None)  # pyright: ignore[reportArgumentType]
            table.validate(full=True)
        except (pa.ArrowException, OSError, UnicodeDecodeError, MemoryError) as error:
            enough_memory(error, f"'{place}/{row['part']}'")
            table = None
        if table is None or table.num_rows != row["findings"]:
            raise InputError(
                f"'{place}/{row['part']}' is missing or damaged; it held {counted(row['findings'], 'finding')}"
            )
        table = table.replace_schema_metadata(None)
        if best:
            table = table.filter(pc.field("best"))
        for name in ("day", "model"):
            table = table.append_column(name, pa.array([row[name]] * table.num_rows, pa.string()))
        tables.append(table if columns is None else table.select(columns))
    if not tables:
        empty = schema.append(pa.field("day", pa.string())).append(pa.field("model", pa.string())).empty_table()
        return empty if columns is None else empty.select(columns)
    return pa.concat_tables(tables)
