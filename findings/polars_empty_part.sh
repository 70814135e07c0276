#!/usr/bin/env bash
# polars reads a folder of Parquet files without the part that is empty, and says nothing.
#
# Versions: polars 1.42.1; pyarrow 26.0.1 for comparison.
# Input:    two parts of 100 rows, and one of 0 bytes, as a full disk or a killed worker leaves it.
# Expected: the error that polars raises for this file alone, and that pyarrow raises for the folder.
# Seen:     200 rows from read_parquet and scan_parquet, for a folder and for a glob; no warning. A part that is cut
#           off after its first byte is an error everywhere, so that tests with broken files find nothing.
# Cost:     a fleet's table lacks the rows of the workers that failed, and every later sum is right of what is left.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q polars==1.42.1 pyarrow==26.0.1
cd "$folder"
venv/bin/python - <<'PYTHON'
from pathlib import Path

import polars
import pyarrow.dataset

parts = Path("parts")
parts.mkdir()
for name, first in (("a", 0), ("b", 100)):
    polars.DataFrame({"frame": range(first, first + 100)}).write_parquet(parts / f"{name}.parquet")
(parts / "c.parquet").touch()


def tried(read):
    try:
        return read()
    except Exception as error:
        return type(error).__name__


found = {
    "polars.read_parquet, folder": tried(lambda: polars.read_parquet("parts").height),
    "polars.scan_parquet, glob": tried(lambda: polars.scan_parquet("parts/*.parquet").collect().height),
    "polars.read_parquet, the empty part": tried(lambda: polars.read_parquet("parts/c.parquet").height),
    "pyarrow, folder": tried(lambda: pyarrow.dataset.dataset("parts").to_table().num_rows),
}
(parts / "c.parquet").write_bytes(b"P")
found["polars.read_parquet, folder, part of one byte"] = tried(lambda: polars.read_parquet("parts").height)
for name, value in found.items():
    print(f"{name}: {value}")
assert list(found.values()) == [200, 200, "ComputeError", "ArrowInvalid", "ComputeError"], "polars or pyarrow changed"
PYTHON
