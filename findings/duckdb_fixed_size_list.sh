#!/usr/bin/env bash
# DuckDB reads a Parquet column of Arrow's fixed-size lists as lists of any length, so that its array functions refuse it.
#
# Versions: duckdb 2.0.1; pyarrow 26.0.1 and polars 2.1.0 for comparison.
# Input:    one column fixed_size_list<float>[4], written by pyarrow with its Arrow schema in the file.
# Expected: FLOAT[4], as polars and pyarrow read it, since the file says so.
# Seen:     typeof is FLOAT[]; array_cosine_similarity does not bind to it. A cast, embedding::FLOAT[4], is enough.
# Cost:     the query that every page on embeddings shows fails on files that are right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q duckdb==2.0.1 pyarrow==26.0.1 polars==2.1.0
cd "$folder"
venv/bin/python - <<'PYTHON'
import duckdb
import polars
import pyarrow as pa
import pyarrow.parquet

kind = pa.list_(pa.float32(), 4)
pyarrow.parquet.write_table(pa.table({"e": pa.array([[1.0, 0, 0, 0], [0, 1, 0, 0]], kind)}), "e.parquet")
seen = duckdb.sql("SELECT typeof(e) FROM 'e.parquet' LIMIT 1").fetchall()[0][0]
try:
    duckdb.sql("SELECT array_cosine_similarity(e, e) FROM 'e.parquet'").fetchall()
    bare = "works"
except duckdb.BinderException:
    bare = "BinderException"
cast = duckdb.sql("SELECT array_cosine_similarity(e::FLOAT[4], e::FLOAT[4]) FROM 'e.parquet'").fetchall()
print("pyarrow:", pyarrow.parquet.read_table("e.parquet").schema.field("e").type)
print("polars:", polars.read_parquet("e.parquet").schema["e"])
print("DuckDB:", seen, "; array function:", bare, "; after a cast:", cast)
assert pyarrow.parquet.read_table("e.parquet").schema.field("e").type == kind
assert polars.read_parquet("e.parquet").schema["e"] == polars.Array(polars.Float32, 4)
assert (seen, bare, cast) == ("FLOAT[]", "BinderException", [(1.0,), (1.0,)]), "DuckDB changed"
PYTHON
