"""CSV files as Python's reader and pandas read them."""

from __future__ import annotations

import csv
from pathlib import Path

from oddroad.cli import main


def test_a_line_a_region_and_a_line_a_frame(results_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "found.csv"
    assert main.main(["results", str(results_file), "--to", "csv", "--out", str(out)]) == 0
    with out.open(newline="", encoding="utf-8") as opened:
        rows = list(csv.DictReader(opened))
    assert len(rows) == 8
    assert [row["source"] for row in rows] == ["town/a.jpg"] * 2 + ["town/a.png"] * 3 + ["drive.mp4"] * 3
    row = rows[5]
    assert (row["index"], row["time"], row["utc"]) == ("1", "0.1", "2026-01-31T12:00:00.100000001Z")
    assert [int(row[key]) for key in ("x0", "y0", "x1", "y1", "area")] == [10, 22, 40, 28, 120]
    assert (float(row["peak"]), float(row["mean"]), row["track_id"], row["track_hits"]) == (3.0, 2.5, "1", "3")
    assert (row["model"], row["score"], row["threshold"]) == ("oddroad-default", "energy", "1.0")
    assert rows[0]["track_id"] == ""
    with (tmp_path / "found.frames.csv").open(newline="", encoding="utf-8") as opened:
        frames = list(csv.DictReader(opened))
    assert [each["regions"] for each in frames] == ["2", "3", "0", "1", "", "2"]
    assert [each["judged"] for each in frames] == ["1", "1", "1", "1", "0", "1"]
    assert (frames[4]["status"], frames[4]["reason"]) == ("damaged", "concealed after lost packets")
    assert (frames[3]["peak"], frames[2]["peak"]) == ("3.0", "")
