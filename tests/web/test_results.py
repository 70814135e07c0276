"""Results on disk: what is there is shown, also while it is written, and nothing beside it is reached."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from oddroad.reporting.learning_curves import HEAD
from oddroad.web.desk import Desk

pytest.importorskip("starlette", reason="of the extra 'web'")


@pytest.fixture
def results(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of results of every kind, given to the page."""
    folder = tmp_path / "results"
    (folder / "run" / "log").mkdir(parents=True)
    (folder / "run" / "log" / "metrics.csv").write_text(f"{HEAD}1,loss,2.5\n2,loss,2.0\n2,mi")
    frames = [{"name": name, "ap": ap} for name, ap in (("a", 0.9), ("b", 0.5), ("c", 0.1))]
    row = {
        "dataset": "folder", "score": "energy", "model": "m", "model_hash": "h", "protocol": "native", "images": 3,
        "input_size": "own", "seconds": 1.0, "versions": {}, "notes": ["a note"], "ap": 0.5, "fpr95": 0.25,
        "intervals": {"ap": [0.3, 0.7]}, "curve": {"recall": [0.0, 1.0], "precision": [1.0, 0.1], "fpr": [0.0, 1.0]},
        "frames": frames, "frames_folder": "folder", "threshold": 1.0, "prevalence": 0.01,
        "recall_by_size": [{"pixels": [0, 100], "objects": 2, "found": 1}], "deployed": {"threshold": 2.0},
    }  # fmt: skip
    (folder / "own.json").write_text(json.dumps({"results": [row]}))
    pictures = folder / "own.frames" / "folder"
    pictures.mkdir(parents=True)
    for name in ("a", "b", "c"):
        cv2.imwrite(str(pictures / f"{name}.image.jpg"), np.full((20, 30, 3), 90, np.uint8))
        cv2.imwrite(str(pictures / f"{name}.truth.png"), np.eye(20, 30, dtype=np.uint8))
        cv2.imwrite(str(pictures / f"{name}.energy.png"), np.full((20, 30), 200, np.uint8))
    (folder / "out.json").symlink_to(tmp_path / "secret.json")
    (tmp_path / "secret.json").write_text((folder / "own.json").read_text())
    (folder / "other.json").write_text("{}")
    monkeypatch.setattr(desk, "results", [folder])
    return folder


def of_kind(client: Any, kind: str) -> dict[str, Any]:
    return next(each for each in client.get("/api/results").json()["results"] if each["kind"] == kind)


def test_results_of_every_kind_are_listed_and_links_out_are_not(client: Any, results: Path) -> None:
    listed = client.get("/api/results").json()["results"]
    assert [(each["kind"], each["title"]) for each in listed] == [
        ("evaluate", "own.json"), ("train", "run/log/metrics.csv")
    ]  # fmt: skip


def test_an_evaluation_has_figures_intervals_curves_and_frames(client: Any, results: Path) -> None:
    key = of_kind(client, "evaluate")["key"]
    (row,) = client.get(f"/api/results/{key}").json()["rows"]
    assert (row["figures"], row["intervals"]) == ({"ap": 0.5, "fpr95": 0.25}, {"ap": [0.3, 0.7]})
    assert row["sizes"] == [{"pixels": [0, 100], "objects": 2, "found": 1}]
    assert row["deployed"]["sizes"] == []  # of an earlier oddroad
    assert [(each["which"], each["name"]) for each in row["frames"]] == [("best", "a"), ("median", "b"), ("worst", "c")]
    for name in row["frames"][0]["pictures"]:
        answer = client.get(f"/api/results/{key}/pictures/{name}?frame=a")
        assert answer.status_code == 200
        assert cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR).shape == (20, 30, 3)
    cv2.imwrite(str(results / "beside.png"), np.zeros((4, 4), np.uint8))
    for name in ("%2e%2e/own.json", "%2e%2e/beside.png", "folder/none.png", "/etc/passwd"):
        assert client.get(f"/api/results/{key}/pictures/{name}").status_code == 404


def test_a_training_is_followed_while_it_writes(client: Any, results: Path) -> None:
    before = of_kind(client, "train")
    assert client.get(f"/api/results/{before['key']}").json()["curves"] == {"loss": [[1, 2.5], [2, 2.0]]}
    with (results / "run" / "log" / "metrics.csv").open("a") as opened:
        opened.write("ou,0.5\n3,loss,1.0\n")
    assert client.get(f"/api/results/{before['key']}").json()["curves"]["miou"] == [[2, 0.5]]


def test_damaged_results_are_said_without_their_place(client: Any, results: Path, tmp_path: Path) -> None:
    key = of_kind(client, "evaluate")["key"]
    (results / "own.json").write_text('{"results": [')
    answer = client.get(f"/api/results/{key}")
    assert answer.status_code == 409
    assert answer.json()["error"].startswith("'own.json' is no file of results")
    assert str(tmp_path) not in answer.text


def test_a_mined_archive_is_a_gallery_of_the_rarest(client: Any, results: Path) -> None:
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed, of the extra 'mine'")
    parquet = pytest.importorskip("pyarrow.parquet")
    from oddroad.mining.tables import findings_schema

    schema = findings_schema()
    folder = results / "mined" / "findings" / "day=2026-11-27" / "model=m"
    folder.mkdir(parents=True)
    (results / "mined" / "manifest.json").write_text("{}")
    rows = [
        {**dict.fromkeys(schema.names), "id": f"s-{number}", "log": "a.mcap", "peak": float(number), "hits": 1,
         "area": 9, "p_value": p, "best": best, "thumbnail": b"webp", "frame": number, "clock": ""}
        for number, (p, best) in enumerate([(0.5, True), (0.01, True), (0.01, False), (0.01, True), (None, True)])
    ]  # fmt: skip
    loose = arrow.schema([field.with_nullable(True) for field in schema])
    columns = {name: [row[name] for row in rows] for name in schema.names}
    parquet.write_table(arrow.table(columns, schema=loose), folder / "s.parquet")
    (folder / "cut.parquet").write_bytes((folder / "s.parquet").read_bytes()[:200])
    found = client.get(f"/api/results/{of_kind(client, 'mine')['key']}").json()
    assert [each["id"] for each in found["shown"]] == ["s-3", "s-1", "s-0", "s-4"]
    assert (found["findings"], found["views"], found["unread"]) == (5, 4, 1)
