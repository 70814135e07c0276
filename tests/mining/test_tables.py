"""DuckDB, polars and pandas read the tables as they are: the examples of docs/mining.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mining.fleet import fleet
from mining.test_run import mined

from oddroad.mining.manifest import read_findings

PAGE = (Path(__file__).parents[2] / "docs" / "mining.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def archive(red, tmp_path_factory):
    """A mined archive called ``findings``, as on the page."""
    folder = tmp_path_factory.mktemp("tables")
    fleet(folder / "drives", 30)
    mined(red, folder / "drives", folder / "findings")
    return folder


@pytest.fixture
def truth(archive):
    return read_findings(str(archive / "findings")).to_pylist()


def test_duckdb(archive, truth, monkeypatch):
    duckdb = pytest.importorskip("duckdb")
    monkeypatch.chdir(archive)
    (block,) = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    cameras, alike, days = [duckdb.sql(each).fetchall() for each in block.split(";\n") if each.strip()]
    tracks: dict[str, set] = {}
    for row in truth:
        tracks.setdefault(row["camera"], set()).add(row["track"])
    assert dict(cameras) == {name: len(found) for name, found in tracks.items()}
    assert len(alike) == 10
    assert alike[0][1] == pytest.approx(1, abs=1e-5)
    assert {str(day) for day, _, _ in days} == {row["day"] for row in truth}
    kind = duckdb.sql("SELECT typeof(embedding) FROM 'findings/findings/**/*.parquet' LIMIT 1").fetchall()[0]
    assert kind == ("FLOAT[]",), "the page says so"


def test_polars(archive, truth, monkeypatch):
    polars = pytest.importorskip("polars")
    monkeypatch.chdir(archive)
    code = re.search(r"`(polars\.scan_parquet[^`]*)`", PAGE)
    assert code
    found = eval(code[1], {"polars": polars}).collect()
    assert found.height == len(truth)
    assert found.schema["embedding"] == polars.Array(polars.Float32, 64)
    assert set(found["day"].cast(polars.String)) == {row["day"] for row in truth}


def test_pandas(archive, truth, monkeypatch):
    pandas = pytest.importorskip("pandas")
    monkeypatch.chdir(archive)
    code = re.search(r"`(pandas\.read_parquet[^`]*)`", PAGE)
    assert code
    found = eval(code[1], {"pandas": pandas})
    assert len(found) == len(truth)
    assert sorted(found["id"]) == sorted(row["id"] for row in truth)
    assert len(found["embedding"].iloc[0]) == 64


def test_each_column_is_named_on_the_page_or_says_what_it_is(archive):
    import pyarrow.parquet

    part = next((archive / "findings" / "findings").rglob("*.parquet"))
    for field in pyarrow.parquet.read_schema(part):
        assert field.metadata[b"description"]
