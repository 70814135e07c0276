"""The report: marks, formats, published figures equal to the papers, and what the page says and shows."""

import csv
import json
import re

import cv2
import numpy as np
import pytest
from golden import SHARED

from oddroad.cli.main import main
from oddroad.errors import InputError
from oddroad.reporting import seeds
from oddroad.reporting.figures import learning_curves, of_heat, of_truth, representative_frames
from oddroad.reporting.methods import method_names
from oddroad.reporting.report import load_results, run_name
from oddroad.reporting.sheets import as_html, comma_separated, latex, markdown
from oddroad.reporting.tables import Table, beside, measured_table, published, sheet_of, with_published


def result(score, dataset="road_anomaly21", ap=0.2, fpr95=0.5, **more):
    frames = [{"name": name, "ap": value} for name, value in (("a", 0.1), ("b", 0.5), ("c", None), ("d", 0.9))]
    curve = {"recall": [0.5, 1.0], "precision": [0.8, 0.2], "fpr": [0.01, 0.5]}
    base = {"dataset": dataset, "split": "val", "score": score, "model": "net", "model_hash": "0" * 64, "seconds": 1.0}
    base |= {"protocol": "native", "input_size": "own", "images": 10, "versions": {"oddroad": "1"}, "notes": []}
    figures = {"ap": ap, "fpr95": fpr95, "prevalence": 0.14807, "siou": 0.3, "ppv": 0.4, "f1_star": 0.25}
    return {**base, **figures, "frames": frames, "curve": curve, **more}


def table(*results):
    return measured_table(results, method_names(results), ("ap", "fpr95"), "Pixels")


def cells(text):
    """The rows of a Markdown table, without its head."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()[2:]]


def test_the_best_is_bold_and_the_second_underlined():
    made = sheet_of(
        table(result("a", ap=0.9, fpr95=0.3), result("b", ap=0.5, fpr95=0.1), result("c", ap=0.1, fpr95=0.2))
    )
    assert cells(markdown(made)) == [
        ["net a", "**90.00**", "30.00"],
        ["net b", "<u>50.00</u>", "**10.00**"],
        ["net c", "10.00†", "<u>20.00</u>"],
    ]
    assert r"net a & \textbf{90.00} & 30.00 \\" in latex(made)
    assert r"net c & 10.00$^\dagger$ & \underline{20.00} \\" in latex(made)
    page = as_html(made)
    assert re.search(r"#T_\w+_row0_col1, #T_\w+_row1_col2 {\s*font-weight: bold", page)
    assert re.search(r"#T_\w+_row1_col1, #T_\w+_row2_col2 {\s*text-decoration: underline", page)


def test_equal_values_share_the_mark_and_one_method_has_none():
    made = table(result("a", ap=0.5), result("b", ap=0.5), result("c", ap=0.4))
    assert [made.marks().get((f"net {name}", 0)) for name in "abc"] == ["best", "best", "second"]
    assert table(result("a")).marks() == {}


def test_published_rows_are_never_marked_and_are_named():
    made = sheet_of(with_published(table(result("msp", ap=0.2), result("energy", ap=0.1))))
    rows = {row[0]: row[1:] for row in cells(markdown(made))}
    assert rows["MSP [Real-time, Table 1]"] == ["14.58†", "95.08"]
    assert rows["Mask2Anomaly (Ours) [Mask2Anomaly, Table 2]"] == ["94.50", "3.30"]
    assert rows["net msp"][0] == "**20.00**"
    read = list(csv.DictReader(comma_separated(made).splitlines()))
    assert read[0]["source"] == "measured"
    assert float(read[0]["road_anomaly21 ap"]) == pytest.approx(20)
    assert "Table" in read[-1]["source"]
    lines = latex(made).splitlines()
    assert lines[lines.index(next(each for each in lines if "net energy" in each)) + 1] == r"\midrule"
    assert as_html(made).count('class="data row2 col0 published"') == 1
    assert 'col0 published" >net' not in as_html(made)


def test_columns_without_a_value_are_dashes():
    made = sheet_of(table(result("a"), result("a", dataset="road_anomaly"), result("b")))
    assert made.heads == ["Method", "RA-21 AP", "RA-21 FPR95", "Road Anomaly AP", "Road Anomaly FPR95"]
    assert cells(markdown(made))[1][-2:] == ["-", "-"]


def test_protocol_is_named_where_it_differs():
    names = method_names([result("a"), result("a", protocol="network", input_size="512x1024")])
    assert names == ["net a (native, own)", "net a (network, 512x1024)"]


def test_names_are_escaped_in_every_format():
    made = sheet_of(Table("t", [("a_b", "ap")], {"x_y & 5 % | <b>": [1.0]}, {"x_y & 5 % | <b>": ""}, {}))
    assert r"x\_y \& 5 \% | <b>" in latex(made)
    assert r"a\_b AP" in latex(made)
    assert "x_y &amp; 5 % | &lt;b&gt;" in as_html(made)
    assert r"x_y & 5 % \| <b>" in markdown(made)


@pytest.mark.parametrize(
    ("one", "other", "names"),
    [
        ({"model_hash": "1", "model_file": "/r/a/net.ckpt"}, {"model_hash": "2", "model_file": "/r/b/net.ckpt"},
         ["a/net msp", "b/net msp"]),
        ({"model_hash": "", "model_file": "/x/a/net"}, {"model_hash": "", "model_file": "/x/b/net"},
         ["a/net msp", "b/net msp"]),
        ({"model_hash": "1" * 64, "model_file": "/r/net"}, {"model_hash": "2" * 64, "model_file": "/r/net"},
         ["net msp [one.json]", "net msp [other.json]"]),
        ({}, {}, ["net msp [one.json]", "net msp [other.json]"]),
        ({"engine": "openvino"}, {"engine": "onnxruntime"}, ["net msp [openvino]", "net msp [onnxruntime]"]),
        ({}, {"flip_tta": "averaged"}, ["net msp", "net msp [averaged]"]),
        ({"split": "val"}, {"split": "test"}, ["net msp [val]", "net msp [test]"]),
        ({"file": "a/r.json"}, {"file": "b/r.json"}, ["net msp [a/r.json]", "net msp [b/r.json]"]),
        ({"file": "r.json"}, {"file": "r.json"}, ["net msp [1]", "net msp [2]"]),
    ],
)  # fmt: skip
def test_two_results_with_one_name_are_two_rows(one, other, names):
    results = [result("msp", **{"ap": ap, "file": f"{file}.json", **more})
               for ap, file, more in ((0.2, "one", one), (0.4, "other", other))]  # fmt: skip
    assert method_names(results) == names
    rows = cells(markdown(sheet_of(table(*results))))
    assert [row[1] for row in rows] == ["<u>20.00</u>", "**40.00**"]


def test_a_row_is_never_filled_from_two_results():
    results = [result("msp", ap=0.2, fpr95=None, file="one.json"), result("msp", ap=0.4, fpr95=0.1, file="two.json")]
    rows = cells(markdown(sheet_of(table(*results))))
    assert [row[1:] for row in rows] == [["<u>20.00</u>", "-"], ["**40.00**", "10.00"]]


def test_results_of_one_content_on_several_sets_share_a_row_and_a_repeated_one_is_shown_once():
    place = {"model_hash": "1" * 64, "model_file": "/a/net.onnx"}
    results = [
        result("msp", **place, file="one.json"),
        result("msp", "road_anomaly", **place, file="two.json"),
        result("msp", **place, file="three.json"),
        result("msp", "road_anomaly", ap=0.5, model_hash="2" * 64, model_file="/b/net.onnx"),
    ]
    assert method_names(results) == ["a/net msp", "a/net msp", "a/net msp", "b/net msp"]
    assert len(cells(markdown(sheet_of(table(*results))))) == 2


def test_models_of_other_content_on_other_sets_do_not_share_a_row():
    results = [
        result("msp", model_hash="1" * 64, file="r.json"),
        result("msp", "road_anomaly", model_hash="2" * 64, file="r.json"),
    ]
    assert method_names(results) == ["net msp [111111111111]", "net msp [222222222222]"]
    assert [row[1:].count("-") for row in cells(markdown(sheet_of(table(*results))))] == [2, 2]


def test_learning_curves_have_both_panels(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr("oddroad.reporting.figures.save", lambda figure, path: shown.append(figure) or path)
    runs = {"a": [(20, "loss", 2.5), (40, "loss", 1.5), (40, "miou", 0.2)], "b": [(20, "loss", 3.0)]}
    learning_curves(runs, tmp_path / "curves.png")
    left, right = shown[0].axes
    assert [line.get_xydata().tolist() for line in left.lines] == [[[20, 2.5], [40, 1.5]], [[20, 3.0]]]
    assert [line.get_xydata().tolist() for line in right.lines] == [[[40, 20.0]]]
    assert left.get_ylabel() == "training loss (each in its own unit)"
    assert right.get_ylabel() == "validation mean IoU, %"
    assert [each.get_text() for each in right.get_legend().get_texts()] == ["a"]


def test_published_and_measured_of_the_same_score_stand_side_by_side():
    (line, other) = beside([result("msp", ap=0.3)], ["net msp"])  # and not Table 2, which repeats Table 1
    assert line[:4] == ["RA-21", "net msp", "30.00 / 50.00", "40.40 / 60.20"]
    assert line[-1] == ""
    assert other[3] == "14.58 / 95.08"
    assert "carries no information" in other[-1]


@pytest.mark.skipif(not SHARED.is_dir(), reason="the papers are not here")
@pytest.mark.parametrize(("name", "tables"), [("real_time_anomaly_segmentation", 4), ("mask2anomaly_supplement", 5)])
def test_published_figures_are_those_of_the_papers(name, tables):
    text = (SHARED / "papers" / f"{name}.txt").read_text()
    lines = [re.sub(r"</?u>|±", "", line).split("\t") for line in text.splitlines() if "\t" in line]
    (paper,) = [each for each in published() if len(each["tables"]) == tables]
    for each in paper["tables"]:
        for row in each["rows"]:
            assert len(row) == 1 + len(each["columns"])
            wanted = [f"{value:g}" for value in row[1:] if value is not None]
            assert any(
                [f"{float(cell):g}" for cell in line if re.fullmatch(r"\s*[\d.]+\s*", cell)] == wanted
                and set(re.findall(r"\w+", row[0])) - {"C", "M", "f"} <= words_up_to(lines, line)
                for line in lines
            ), row


def words_up_to(lines, line):
    """The words of a line and of those above it, for the method that is named once for several lines."""
    at = lines.index(line)
    return set(re.findall(r"\w+", " ".join(cell for each in lines[max(0, at - 6) : at + 1] for cell in each)))


def test_the_telling_frames():
    assert representative_frames([result("a")]) == [("best", "d"), ("median", "b"), ("worst", "a")]
    only = result("a", frames=[{"name": "x", "ap": 0.5}])
    assert representative_frames([only]) == [("best", "x")]
    assert representative_frames([result("a", frames=[{"name": "x", "ap": None}])]) == []


def test_pictures_tell_labels_apart():
    label = np.uint8([[0, 1, 255]])
    assert of_truth(label)[0].tolist() == [[40, 40, 40], [255, 140, 0], [150, 150, 150]]
    heat = of_heat(np.uint8([[255, 255, 255]]), label)[0]
    assert heat[0].tolist() == heat[1].tolist() != heat[2].tolist()
    assert of_heat(np.zeros((4, 6), np.uint8), label).shape == (4, 6, 3)  # the label of another protocol


def test_the_command_makes_one_page_with_all_of_it(tmp_path, capsys):
    semantic = {
        "miou": 0.7,
        "ece": 0.02,
        "reliability": {"pixels": [1, 3], "confidence": [0.4, 0.9], "accuracy": [0.5, 1]},
    }
    known = {k: v for k, v in result("", dataset="cityscapes_small", **semantic).items() if k not in ("ap", "siou")}
    made = [result("msp", notes=["5 of 10 images: incomplete <b>"]), result("energy", ap=0.4), known]
    (tmp_path / "r.json").write_text(json.dumps({"results": made}))
    folder = tmp_path / "r.frames/road_anomaly21"
    folder.mkdir(parents=True)
    for frame in "abd":
        cv2.imwrite(str(folder / f"{frame}.image.jpg"), np.zeros((9, 16, 3), np.uint8))
        for kind in ("truth", "msp", "energy"):
            cv2.imwrite(str(folder / f"{frame}.{kind}.png"), np.zeros((9, 16), np.uint8))
    out = tmp_path / "report"
    assert main(["report", str(tmp_path / "r.json"), "--out", str(out)]) == 0
    written = {each.name for each in out.iterdir()}
    wanted = "report.html pixels.md pixels.csv pixels.tex components.md classes.tex curves_road_anomaly21.png"
    assert set(wanted.split()) | {"frames_road_anomaly21.png", "reliability_cityscapes_small_0.png"} <= written
    assert set(capsys.readouterr().out.split()) == {str(each) for each in out.iterdir()}
    page = (out / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 3
    assert 'src="http' not in page
    assert "5 of 10 images: incomplete &lt;b&gt;" in page
    assert "font-weight: bold" in page
    assert ">40.00<" in page


def test_wrong_files_are_named(tmp_path, capsys):
    (tmp_path / "wrong.json").write_text("[]")
    (tmp_path / "old.json").write_text('{"results": [{"dataset": "camvid", "score": ""}]}')
    (tmp_path / "empty.json").write_text('{"results": []}')
    for name, message in (
        ("wrong", "is no file of results"),
        ("empty", "no results in"),
        ("none", "cannot read results"),
    ):
        assert main(["report", str(tmp_path / f"{name}.json"), "--out", str(tmp_path / "out")]) == 2
        assert message in capsys.readouterr().err


def repeated(row, seed, score="msp", **more):
    return result(score, "road_anomaly", row=row, seed=seed, **more)


def test_seeds_are_gathered_beside_the_published_row():
    results = [repeated("LN + CE", seed, ap=ap, fpr95=0.5) for seed, ap in enumerate((0.10, 0.12, 0.17))]
    results += [repeated("LN + CE", 0, ap=0.3, temperature="fitted"), repeated("CE", 0, "max_logit", ap=0.2)]
    results += [repeated("ENet", 0, "void"), repeated("EIML + 4 FL", 0)]
    results += [{**repeated("LN + CE", seed), "dataset": "cityscapes_small", "score": "", "miou": 0.4 + seed / 100}
                for seed in range(3)]  # fmt: skip
    lines, columns = seeds.lines_of(results)
    assert columns == [("", "miou"), ("road_anomaly", "ap"), ("road_anomaly", "fpr95")]
    rows = {line.name: seeds.cells_of(line, columns) for line in lines}
    ln_ce = ["3", "41.00 ± 1.00", "66.62", "13.00 ± 3.61", "11.20", "50.00 ± 0.00", "94.16", "Real-time, Table 4"]
    assert rows["MSP, LN + CE"] == ["MSP, LN + CE", *ln_ce]
    assert rows["MSP (T fitted), LN + CE"][4:] == ["30.00", "-", "50.00", "-", "-"]
    assert rows["MaxLogit, CE"][1:] == ["1", "-", "72.20", "20.00", "8.71†", "50.00", "93.76", "Real-time, Table 1"]
    assert rows["Void, ENet"][3:] == ["40.94", "20.00", "9.83†", "50.00", "95.24", "Real-time, Table 3"]
    assert rows["MSP, EIML + 4 FL"][-1] == "-"
    assert next(iter(rows)) == "MSP, LN + CE"
    sheet = seeds.sheet_of(lines, columns)
    read = list(csv.DictReader(comma_separated(sheet).splitlines()))
    assert float(read[0]["Road Anomaly AP standard deviation"]) == pytest.approx(3.60555, abs=1e-4)
    assert r"13.00 $\pm$ 3.61 & 11.20" in latex(sheet)
    assert cells(markdown(sheet))[0][:4] == ["MSP, LN + CE", "3", "41.00 ± 1.00", "66.62"]
    assert seeds.lines_of([*results, results[0]])[0] == lines
    with pytest.raises(InputError, match=r"two results of row 'LN \+ CE', seed 0, msp on road_anomaly differ"):
        seeds.lines_of([*results, {**results[0], "ap": 0.5}])
    more = [*results, {**repeated("LN + CE", 0), "dataset": "camvid", "score": "", "miou": 0.9}]
    assert seeds.lines_of(more)[1][:2] == [("cityscapes_small", "miou"), ("camvid", "miou")]


def test_the_command_draws_learning_curves_and_the_table_of_seeds(tmp_path, capsys):
    files = tmp_path / "results.json"
    files.write_text(
        json.dumps({"results": [repeated("LN", at, temperature=t) for at in range(2) for t in ("1", "2")]})
    )
    for name in ("ln", "ce"):
        path = tmp_path / name / "0" / "log" / "metrics.csv"
        path.parent.mkdir(parents=True)
        path.write_text("step,figure,value\n20,loss,2.5\n40,loss,1.5\n40,miou,0.2\n")
    out = tmp_path / "report"
    assert main(["report", str(files), str(tmp_path / "ln" / "0"), str(tmp_path / "ce" / "0"), "--out", str(out)]) == 0
    names = {path.name for path in out.iterdir()}
    tables = {f"{name}.{ending}" for name in ("seeds", "temperatures") for ending in ("md", "csv", "tex")}
    assert names == tables | {"learning_curves.png", "report.html"}
    assert "(T 2)" not in (out / "seeds.md").read_text()
    assert "MSP (T 2), LN" in (out / "temperatures.md").read_text()
    assert cv2.imread(str(out / "learning_curves.png")).shape[1] > 600
    page = (out / "report.html").read_text()
    assert "20.00 ± 0.00" in page
    assert "Learning curves" in page
    assert run_name(tmp_path / "ln" / "0", [tmp_path / "ln" / "0", tmp_path / "ce" / "0"]) == "ln/0"
    assert run_name(tmp_path / "ln", [tmp_path / "ln", tmp_path / "ce"]) == "ln"
    assert main(["report", str(tmp_path), "--out", str(out)]) == 2
    assert "cannot read the curves" in capsys.readouterr().err
    (tmp_path / "ln" / "0" / "log" / "metrics.csv").write_text("step,figure,value\n")
    assert main(["report", str(tmp_path / "ln" / "0"), "--out", str(out)]) == 2
    assert "no loss and no mean IoU in the logs of 0" in capsys.readouterr().err


def test_objects_and_drives_at_both_thresholds(tmp_path, capsys):
    """Rates and delays are no percentages; smaller ones are better; each row says at which threshold it stands."""

    def at(threshold, recall, false, late):
        drives = {"threshold": threshold, "event_recall": recall, "delay_frames": late, "delay_seconds": late / 10}
        drives |= {"false_alarms_per_hour": 100 * false, "vc_star": 0.5, "intervals": {"delay_frames": [1.0, 9.0]}}
        figures = {"threshold": threshold, "object_recall": recall, "false_alarms_per_frame": false, "video": drives}
        return {**figures, "siou": 0.3, "ppv": 0.4, "f1_star": 0.25, "intervals": {"false_alarms_per_frame": [0.5, 3]}}

    one = result("a", **{key: each for key, each in at(0.2, 0.9, 2.0, 4.0).items() if key not in ("siou", "ppv")})
    (tmp_path / "a.json").write_text(json.dumps({"results": [{**one, "deployed": at(0.7, 0.5, 1.0, 5.0)}]}))
    assert main(["report", str(tmp_path / "a.json"), "--out", str(tmp_path / "out")]) == 0
    rows = cells((tmp_path / "out/thresholds.md").read_text())
    assert [row[:3] for row in rows] == [
        ["net a, deployed threshold", "<u>50.00</u>", "**1.00 [0.5, 3.0]**"],
        ["net a, best threshold", "**90.00**", "<u>2.00 [0.5, 3.0]</u>"],
    ]
    rows = cells((tmp_path / "out/drives.md").read_text())
    assert [row[2:5] for row in rows] == [
        ["<u>5.00 [1.0, 9.0]</u>", "<u>0.50</u>", "**100.00**"],
        ["**4.00 [1.0, 9.0]**", "**0.40**", "<u>200.00</u>"],
    ]
    page = (tmp_path / "out/report.html").read_text()
    assert "Drives: objects and alarms as events" in page
    assert "chosen with the truth in hand" in page
    numbers = next(csv.DictReader((tmp_path / "out/drives.csv").read_text().splitlines()))
    assert float(numbers["road_anomaly21 false_alarms_per_hour"]) == 100


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("dataset", "../x"), ("ap", "0.5"), ("ap", 10**400), ("intervals", {"ap": [1]}), ("notes", [1]),
        ("versions", 3),
        ("curve", {"recall": [1.0], "precision": [], "fpr": [1.0]}), ("frames", [{"name": "a/../b", "ap": 0.5}]),
        ("left_out", {"units": ["a"], "figures": {"ap": [0.1, 0.2]}, "degrees": {"ap": 1}}), ("protocol", []),
        ("frames_folder", "../../x"), ("deployed", 7), ("reliability", {"pixels": [1]}),
    ],
)  # fmt: skip
def test_a_result_with_a_wrong_value_is_refused(key, value, tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"results": [result("energy")]}))
    assert load_results([path])
    path.write_text(json.dumps({"results": [result("energy") | {key: value}]}))
    with pytest.raises(InputError, match=f"holds a result in which .*{key}.*expected") as caught:
        load_results([path])
    assert len(str(caught.value)) < 400


def test_the_same_table_is_the_same_page_every_time() -> None:
    from oddroad.reporting.sheets import Sheet, as_html

    one, other = (Sheet(["method", "AP"], [[name, "1.0"]], {(0, 1): "best"}) for name in ("msp", "energy"))
    assert as_html(one) == as_html(one)
    names = [re.findall(r'table id="(\w+)"', as_html(each)) for each in (one, other)]
    assert names[0] != names[1]
