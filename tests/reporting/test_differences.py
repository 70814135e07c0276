"""The report's paired tests: the numbers of SciPy's, one line for each pair, and what the page says of them."""

import csv
import json

import numpy as np
import pytest
from scipy.stats import false_discovery_control, ttest_rel

from oddroad.cli.main import main
from oddroad.reporting.differences import differences_sheet, holm
from oddroad.reporting.sheets import comma_separated, markdown
from oddroad.reporting.tables import measured_table, sheet_of


def result(score, values, dataset="road_anomaly", figure="ap", **more):
    """A result whose figure is the mean of the values of its images, so that the jackknife is the t test's."""
    values = np.array(values, float)
    without = (values.sum() - values) / (len(values) - 1)
    units = [f"image {number}" for number in range(len(values))]
    kept = {"units": units, "of": "images", "figures": {figure: without.tolist()}, "degrees": {figure: len(values) - 1}}
    base = {"dataset": dataset, "split": "val", "score": score, "model": "net", "model_hash": "0" * 64, "seconds": 1.0}
    base |= {"protocol": "native", "input_size": "own", "images": 10, "versions": {"oddroad": "1"}, "notes": []}
    curve = {"recall": [0.5, 1.0], "precision": [0.8, 0.2], "fpr": [0.01, 0.5]}
    base |= {"fpr95": 0.5, "prevalence": 0.1, "frames": [], "curve": curve, "ap": 0.5}
    return {**base, figure: float(values.mean()), "left_out": kept, **more}


ONE, OTHER, THIRD = [0.5, 0.6, 0.7, 0.9], [0.4, 0.55, 0.6, 0.7], [0.52, 0.58, 0.71, 0.88]


def test_the_test_of_a_mean_is_the_paired_t_test():
    sheet = differences_sheet([result("a", ONE), result("b", OTHER)], ["net a", "net b"])
    row = dict(zip(sheet.heads, sheet.rows[0], strict=True))
    wanted = ttest_rel(ONE, OTHER)
    ends = wanted.confidence_interval(0.95)
    assert row == {
        "data set": "Road Anomaly", "figure": "AP", "first": "net a", "second": "net b", "units": "4",
        "difference": f"{100 * (np.mean(ONE) - np.mean(OTHER)):+.2f}", "p": f"{wanted.pvalue:.3f}",
        "95 % interval": f"[{100 * ends.low:+.1f}, {100 * ends.high:+.1f}]", "p of all": f"{wanted.pvalue:.3f}",
    }  # fmt: skip
    (read,) = csv.DictReader(comma_separated(sheet).splitlines())
    assert float(read["low"]) == pytest.approx(100 * ends.low, rel=1e-4)
    assert float(read["p"]) == pytest.approx(wanted.pvalue, rel=1e-4)


def test_all_pairs_on_the_same_images_and_no_others():
    other_units = result("d", ONE)
    other_units["left_out"]["units"] = [f"frame {number}" for number in range(4)]
    older = {key: each for key, each in result("e", ONE).items() if key != "left_out"}
    results = [result("a", ONE), result("b", OTHER), result("c", THIRD), other_units, older]
    results += [result("a", ONE, "road_obstacle21"), result("f", ONE, protocol="network")]
    results += [result("g", ONE, split="test"), result("h", ONE, anomaly_pixels=3.0)]
    sheet = differences_sheet(results, [each["score"] for each in results])
    assert [row[2:4] for row in sheet.rows] == [["a", "b"], ["a", "c"], ["b", "c"]]
    assert differences_sheet(results[3:], list("deafgh")) is None


def test_the_p_of_all_lines_is_holms():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.7]) == [1, 1]
    assert holm([0.02, np.nan, 0.01])[::2] == pytest.approx([0.02, 0.02])
    values = [0.001, 0.2, 0.03, 0.004]
    assert all(mine >= other for mine, other in zip(holm(values), false_discovery_control(values), strict=True))


def test_a_pair_that_cannot_be_tested_has_dashes():
    one, other = result("a", ONE), result("b", OTHER)
    one["left_out"]["figures"]["ap"][2] = None
    (row,) = differences_sheet([one, other], ["a", "b"]).rows
    assert row[4:] == ["+11.25", "-", "-", "-", "4"]


def test_intervals_stand_in_the_tables():
    one, other = result("a", ONE, intervals={"ap": [0.4, 0.8912]}), result("b", OTHER, intervals={"ap": [None, None]})
    table = measured_table([one, other], ["a", "b"], ("ap", "fpr95"), "Pixels")
    sheet = sheet_of(table)
    assert [row[1:] for row in sheet.rows] == [["67.50 [40.0, 89.1]", "50.00"], ["56.25", "50.00"]]
    assert "**67.50 [40.0, 89.1]**" in markdown(sheet)
    first, second = csv.DictReader(comma_separated(sheet).splitlines())
    assert (first["road_anomaly ap low"], first["road_anomaly ap high"]) == ("40", "89.12")
    assert (second["road_anomaly ap low"], "road_anomaly fpr95 low" in second) == ("", False)


def test_the_page_shows_them(tmp_path):
    results = [result("a", ONE, intervals={"ap": [0.4, 0.9]}), result("b", OTHER)]
    (tmp_path / "r.json").write_text(json.dumps({"results": results}))
    assert main(["report", str(tmp_path / "r.json"), "--out", str(tmp_path / "out")]) == 0
    page = (tmp_path / "out/report.html").read_text()
    assert "Differences on the same images" in page
    assert "67.50 [40.0, 90.0]" in page
    assert "95 % interval over images" in page
    assert (tmp_path / "out/differences.csv").is_file()


def test_figures_at_the_deployed_threshold_and_of_drives_are_compared():
    def deployed(values, rates):
        recall, rate = result("a", values, figure="object_recall"), result("a", rates, figure="false_alarms_per_hour")
        return {**recall, "video": rate}

    both = [
        result(score, ONE, deployed=deployed(values, rates))
        for score, values, rates in (("a", ONE, [100, 120, 90, 130]), ("b", OTHER, [60, 70, 65, 50]))
    ]
    sheet = differences_sheet(both, ["a", "b"])
    rows = {row[1]: row for row in sheet.rows}
    assert set(rows) == {"AP", "object recall", "false alarms/h"}
    assert rows["object recall"][4] == f"{100 * (np.mean(ONE) - np.mean(OTHER)):+.2f}"
    assert rows["false alarms/h"][4] == "+48.75"
    wanted = ttest_rel([100, 120, 90, 130], [60, 70, 65, 50])
    assert rows["false alarms/h"][6] == f"{wanted.pvalue:.3f}"
    ends = wanted.confidence_interval(0.95)
    assert rows["false alarms/h"][5] == f"[{ends.low:+.1f}, {ends.high:+.1f}]"
