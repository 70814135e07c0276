"""Tables of methods that were trained alike: spread over the seeds, costs, and the paper's rows beside."""

import json

import pytest

from oddroad.cli.main import main
from oddroad.errors import InputError
from oddroad.reporting.comparison import comparison_sheets


def result(method, seed=0, dataset="road_obstacle21", ap=0.2, **more):
    base = {"dataset": dataset, "score": "msp", "model": "closed", "model_hash": f"{method}{seed}", "seconds": 1.0}
    base |= {"protocol": "native", "input_size": "256x512", "images": 30, "versions": {"oddroad": "1"}, "notes": []}
    figures = {"ap": ap, "fpr95": 0.5, "f1_star": 0.1, "miou": 0.4, "milliseconds": 150.0, "parameters": 2_060_000}
    return {**base, **figures, "method": method, "seed": seed, "training_hours": 0.02, **more}


FOUND = [
    *(result("Max Softmax", seed, ap=ap, miou=miou) for seed, ap, miou in ((0, 0.1, 0.4), (1, 0.3, 0.5))),
    *(result("Max Softmax", seed, "road_anomaly", miou=miou) for seed, miou in ((0, 0.4), (1, 0.5))),
    result("PEBAL", ap=0.3),
    result("Ours alone", ap=0.005, training_hours=None),
]


def sheets():
    return {name: sheet for name, _, sheet, _ in comparison_sheets(FOUND)}


def row(sheet, method):
    return dict(zip(sheet.heads, next(each for each in sheet.rows if each[0] == method), strict=True))


def test_every_method_has_its_spread_and_its_cost():
    sheet = sheets()["comparison"]
    assert [each[0] for each in sheet.rows] == ["Max Softmax", "PEBAL", "Ours alone"]
    softmax = row(sheet, "Max Softmax")
    assert softmax["seeds"] == "2"
    assert softmax["RO-21 AP"] == "20.00 ± 14.14"
    assert softmax["mIoU"] == "45.0 ± 7.1"  # each training counts once, not once a data set
    assert (softmax["ms an image"], softmax["parameters, M"]) == ("150 ± 0", "2.06 ± 0.00")
    assert row(sheet, "PEBAL")["Road Anomaly AP"] == "-"
    assert row(sheet, "Ours alone")["training, hours"] == "-"
    at = sheet.heads.index("RO-21 AP")
    assert [sheet.marks.get((number, at)) for number in range(3)] == ["second", "best", None]
    assert not any(column > sheet.heads.index("RO-21 F1*") for _, column in sheet.marks)


def test_the_papers_rows_stand_beside_in_their_order():
    sheet = sheets()["supplement_2"]
    assert [each[0] for each in sheet.rows[:2]] == ["Max Softmax", "ODIN"]
    assert [each[0] for each in sheet.rows[-2:]] == ["PEBAL", "Ours alone"]
    assert row(sheet, "Max Softmax") == {
        "Method": "Max Softmax", "RA-21 AP": "-", "RA-21 AP, published": "40.40", "RA-21 FPR95": "-",
        "RA-21 FPR95, published": "60.20", "RO-21 AP": "20.00 ± 14.14", "RO-21 AP, published": "43.40",
        "RO-21 FPR95": "50.00 ± 0.00", "RO-21 FPR95, published": "3.80",
    }  # fmt: skip
    assert row(sheet, "Ours alone")["RO-21 AP"] == "0.50†"
    assert row(sheet, "ODIN")["RO-21 AP"] == "-"
    first = sheets()["supplement_1"]
    assert row(first, "PEBAL")["FS L&F AP, published"] == "59.83"
    assert not any(each[0] == "PEBEL" for each in first.rows)


def test_two_results_of_one_method_that_differ_are_refused():
    assert len(comparison_sheets([*FOUND, FOUND[0]])) == 3
    with pytest.raises(InputError, match="method 'Max Softmax', seed 0, on road_obstacle21 differ"):
        comparison_sheets([*FOUND, {**FOUND[0], "ap": 0.7}])
    assert comparison_sheets([]) == []


def test_the_report_writes_them(tmp_path):
    path = tmp_path / "closed_0.json"
    path.write_text(json.dumps({"results": FOUND}))
    assert main(["report", str(path), "--out", str(tmp_path / "report")]) == 0
    made = {each.name for each in (tmp_path / "report").iterdir()}
    assert {"comparison.md", "supplement_1.csv", "supplement_2.tex", "report.html"} <= made
    assert not {"seeds.md", "pixels.md"} & made
    page = (tmp_path / "report" / "report.html").read_text()
    assert "SMIYC Validation Results, measured here beside" in page
