"""The reader of ``detections.jsonl`` and the schema of it say the same."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from oddroad.cli import main
from oddroad.errors import InputError
from oddroad.exchange import read_results
from oddroad.exchange.lines import extent
from oddroad.io.reading import Gap
from oddroad.regions import decode_rle

Lines = list[dict[str, Any]]


def schema() -> dict[str, Any]:
    """The schema in the package."""
    return json.loads((resources.files("oddroad") / "io" / "schema" / "detections.schema.json").read_text("utf-8"))


VALIDATOR = jsonschema.Draft202012Validator(schema())


def save(path: Path, lines: Lines) -> Path:
    """The lines as a file."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def unknown_keys(values: Any, rules: dict[str, Any], where: str = "") -> list[str]:
    """Keys of a line that the schema does not describe, anywhere in it."""
    if "$ref" in rules:
        rules = schema()["$defs"][rules["$ref"].rpartition("/")[2]]
    if isinstance(values, list):
        return [key for each in values for key in unknown_keys(each, rules.get("items", {}), where)]
    if not isinstance(values, dict) or "properties" not in rules:
        return []
    found = [f"{where}{key}" for key in values if key not in rules["properties"] and key != "type"]
    for key, value in values.items():
        found += unknown_keys(value, rules["properties"].get(key, {}), f"{where}{key}.")
    return found


def test_the_schema_is_one_and_holds_for_the_lines_of_these_tests(lines: Lines) -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    for line in lines:
        VALIDATOR.validate(line)
        assert unknown_keys(line, schema()["$defs"][line["type"]]) == []


def test_what_detect_writes_follows_the_schema(clip: Path, picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "found"
    assert main.main(["detect", str(clip), str(picture), "--threshold", "0", "--out", str(out), "--save", "maps"]) == 0
    written = [json.loads(line) for line in (out / "detections.jsonl").read_text("utf-8").splitlines()]
    for line in written:
        VALIDATOR.validate(line)
        assert unknown_keys(line, schema()["$defs"][line["type"]]) == []
    results = read_results(out)
    assert [each.name for each in results.judged] == [f"drive.mp4#{n}" for n in range(8)] + ["scene.jpg"]
    assert any(each.regions for each in results.judged)
    assert results.notes == []


def test_everything_is_read(results_file: Path, lines: Lines) -> None:
    results = read_results(results_file.parent)
    assert results.files == [results_file]
    (run,) = results.runs
    assert (run.model, run.score, run.threshold, run.oddroad) == ("oddroad-default", "energy", 1.0, "0.1.0")
    assert [each.name for each in results.frames] == [
        "town/a.jpg", "town/a.png", "drive.mp4#0", "drive.mp4#1", "drive.mp4#2", "drive.mp4#3",
    ]  # fmt: skip
    assert [each.name for each in results.not_judged] == ["drive.mp4#2"]
    assert results.gaps == [Gap("drive.mp4", 3, 0.25, 0.05, "hole")]
    assert results.line() == (
        "5 frames judged, 4 with regions, 8 regions; 1 damaged frame not judged, first drive.mp4#2 "
        "(concealed after lost packets); 1 gap without frames"
    )
    assert results.notes == []
    frame = results.frames[3]
    ((region, track),) = frame.found()
    assert track is not None
    assert (track.id, track.hits, track.mean) == (1, 3, 2.0)
    assert (region.box, region.area, region.peak) == ((10, 22, 40, 28), 120, 3.0)
    mask = decode_rle(region.counts, region.size)
    assert mask.sum() == 120
    assert not mask[22:28, 20:30].any()
    assert frame.nanoseconds == 1769860800_100000001
    assert results.frames[4].nanoseconds == 1769860800_200000000
    assert results.frames[0].nanoseconds is None


def test_frames_without_regions_and_frames_not_judged_differ(results_file: Path) -> None:
    results = read_results(results_file)
    assert results.frames[2].regions == ()
    assert results.frames[4].regions is None


def region_of(lines: Lines) -> dict[str, Any]:
    return lines[1]["regions"][0]


WRONG: list[tuple[str, int, str, Callable[[Lines], Any], bool]] = [
    ("no type", 1, "has no 'type'", lambda x: x[0].pop("type"), True),
    ("unknown type", 2, "type \"frames\"; expected run, frame", lambda x: x[1].update(type="frames"), True),
    ("no version", 1, "has no 'schema_version'", lambda x: x[0].pop("schema_version"), True),
    ("newer", 1, "has schema_version 2, and this oddroad reads up to 1; upgrade with: pip install --upgrade oddroad",
     lambda x: x[0].update(schema_version=2), True),
    ("version 0", 1, "'schema_version' is 0; expected at least 1", lambda x: x[0].update(schema_version=0), True),
    ("version a truth", 1, "'schema_version' is true", lambda x: x[0].update(schema_version=True), True),
    ("threshold a text", 1, "'threshold' is \"4\"; expected a number", lambda x: x[0].update(threshold="4"), True),
    ("bad start", 1, "'started' is \"yesterday\"; expected a time such as",
     lambda x: x[0].update(started="yesterday"), True),
    ("no source", 2, "has no 'source'", lambda x: x[1].pop("source"), True),
    ("empty source", 2, "'source' is \"\"; expected at least 1 letters", lambda x: x[1].update(source=""), True),
    ("no index", 2, "has no 'index'; expected a whole number or null", lambda x: x[1].pop("index"), True),
    ("index -1", 4, "'index' is -1; expected at least 0", lambda x: x[3].update(index=-1), True),
    ("index 1.5", 4, "'index' is 1.5; expected a whole number", lambda x: x[3].update(index=1.5), True),
    ("index true", 4, "'index' is true; expected a whole number", lambda x: x[3].update(index=True), True),
    ("time text", 4, "'time' is \"0:01\"; expected a number", lambda x: x[3].update(time="0:01"), True),
    ("local time", 4, "'utc' is \"2026-01-31T12:00:00+01:00\"",
     lambda x: x[3].update(utc="2026-01-31T12:00:00+01:00"), True),
    ("no such day", 4, "'utc' is \"2026-02-30T12:00:00Z\"", lambda x: x[3].update(utc="2026-02-30T12:00:00Z"), False),
    ("width 0", 2, "'width' is 0; expected at least 1", lambda x: x[1].update(width=0), True),
    ("status", 2, "'status' is \"fine\"; expected \"ok\" or \"damaged\"", lambda x: x[1].update(status="fine"), True),
    ("calm", 2, "'regions' is null, but the status is ok", lambda x: x[1].update(regions=None), True),
    ("no regions", 2, "has no 'regions'", lambda x: x[1].pop("regions"), True),
    ("region a list", 2, "region 1 is []; expected an object", lambda x: x[1].update(regions=[[]]), True),
    ("no box", 2, "region 1 has no 'box'", lambda x: region_of(x).pop("box"), True),
    ("box of 3", 2, "region 1 'box' is [1, 2, 3]; expected whole numbers x0 < x1 <= 80 and y0 < y1 <= 60",
     lambda x: region_of(x).update(box=[1, 2, 3]), True),
    ("box of floats", 2, "region 1 'box' is", lambda x: region_of(x).update(box=[1.5, 2.5, 3.5, 9.5]), True),
    ("box outside", 2, "region 1 'box' is [70, 0, 81, 9]", lambda x: region_of(x).update(box=[70, 0, 81, 9]), False),
    ("box turned", 2, "region 1 'box' is [9, 9, 3, 3]", lambda x: region_of(x).update(box=[9, 9, 3, 3]), False),
    ("area 0", 2, "region 1 'area' is 0; expected at least 1", lambda x: region_of(x).update(area=0), True),
    ("area of another", 2, "region 1 'area' is 7, but its segmentation has 596 pixels",
     lambda x: region_of(x).update(area=7), False),
    ("percentile", 2, "region 1 'percentile' is 99.5; expected 0 to 1",
     lambda x: region_of(x).update(percentile=99.5), True),
    ("no mask", 2, "region 1 has no 'segmentation'", lambda x: region_of(x).pop("segmentation"), True),
    ("mask of another size", 2, "region 1 'size' of the segmentation is [80, 60]; expected [60, 80]",
     lambda x: region_of(x)["segmentation"].update(size=[80, 60]), False),
    ("no code", 2, "region 1 'counts' \"hello\" is no run-length code of 80 x 60 pixels",
     lambda x: region_of(x)["segmentation"].update(counts="hello"), False),
    ("a code with strange letters", 2, "is no run-length code of 80 x 60 pixels",
     lambda x: region_of(x)["segmentation"].update(counts="\u00e9\u4e00 "), False),
    ("a code that is cut off", 2, "is no run-length code of 80 x 60 pixels",
     lambda x: region_of(x)["segmentation"].update(counts=region_of(x)["segmentation"]["counts"][:-1]), False),
    ("an empty mask", 2, "is no run-length code of 80 x 60 pixels, some of them inside",
     lambda x: region_of(x)["segmentation"].update(counts="Pf4"), False),
    ("a negative run", 2, "is no run-length code of 80 x 60 pixels",
     lambda x: region_of(x)["segmentation"].update(counts=":Kke4"), False),
    ("box of another", 2, "region 1 'box' is [15, 10, 47, 41], but its segmentation lies in [15, 10, 46, 41]",
     lambda x: region_of(x).update(box=[15, 10, 47, 41]), False),
    ("a code of lists", 2, "region 1 'counts' is [5, 3]; expected a text",
     lambda x: region_of(x)["segmentation"].update(counts=[5, 3]), True),
    ("a huge code", 2, "is no run-length code of 80 x 60 pixels",
     lambda x: region_of(x)["segmentation"].update(counts="ooooooooooooooo?"), False),
    ("track 0 hits", 5, "region 1 'hits' is 0", lambda x: x[4]["regions"][0]["track"].update(hits=0), True),
    ("track without number", 5, "region 1 has no 'id'", lambda x: x[4]["regions"][0]["track"].pop("id"), True),
    ("gap without reason", 7, "has no 'reason'", lambda x: x[6].pop("reason"), True),
    ("no track that is said", 5, "region 1 'track' is null; expected an object",
     lambda x: x[4]["regions"][0].update(track=None), True),
    ("a track without mean that is said", 5, "region 1 'mean' is null; expected a number",
     lambda x: x[4]["regions"][0]["track"].update(mean=None), True),
    ("no reason that is said", 2, "'reason' is null; expected a text", lambda x: x[1].update(reason=None), True),
    ("no engine that is said", 1, "'engine' is null; expected a text", lambda x: x[0].update(engine=None), True),
    ("share", 2, "'roi_share' is 1.5; expected 0 to 1", lambda x: x[1].update(roi_share=1.5), True),
    ("time of a stage", 2, "'milliseconds' is \"3\"; expected a number",
     lambda x: x[1].update(milliseconds={"network": "3"}), True),
    ("frame first", 1, "a line of type 'frame' before any of type 'run'", lambda x: x.pop(0), False),
]  # fmt: skip


@pytest.mark.parametrize(("number", "message", "spoil", "in_schema"), [e[1:] for e in WRONG], ids=[e[0] for e in WRONG])
def test_wrong_lines(
    number: int, message: str, spoil: Callable[[Lines], Any], in_schema: bool, lines: Lines, tmp_path: Path
) -> None:
    lines = copy.deepcopy(lines)
    spoil(lines)
    path = save(tmp_path / "detections.jsonl", lines)
    with pytest.raises(InputError) as caught:
        read_results(path)
    assert str(caught.value).startswith(f"{path}, line {number}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert VALIDATOR.is_valid(lines[number - 1]) == (not in_schema)


@pytest.mark.parametrize("key", ["type", "source", "status", "utc", "regions", "index"])
def test_a_long_value_is_shown_short(key: str, lines: Lines, tmp_path: Path) -> None:
    lines = copy.deepcopy(lines)
    lines[1][key] = ["x" * 50_000]
    path = save(tmp_path / "detections.jsonl", lines)
    with pytest.raises(InputError) as caught:
        read_results(path)
    assert len(str(caught.value)) < len(str(path)) + 250


@pytest.mark.parametrize(
    ("rows", "columns", "box"),
    [
        ([*range(60), *range(60)], [3] * 60 + [4] * 60, [3, 0, 5, 60]),
        ([59, 0], [3, 4], [3, 0, 5, 60]),
        ([0, 59], [0, 79], [0, 0, 80, 60]),
        ([7], [79], [79, 7, 80, 8]),
    ],
    ids=["whole columns", "from one edge to the other", "corners", "a pixel"],
)
def test_the_box_of_a_code(rows: list[int], columns: list[int], box: list[int]) -> None:
    mask = np.zeros((60, 80), bool)
    mask[rows, columns] = True
    code = coco_mask.encode(np.asfortranarray(mask.view(np.uint8)))["counts"].decode("ascii")
    assert extent(code, (60, 80)) == (mask.sum(), box)


def test_what_is_not_finite_is_refused(lines: Lines, tmp_path: Path) -> None:
    for word, message in (("NaN", "NaN is not a number of JSON"), ("1e999", "'threshold' is inf; expected a finite")):
        path = tmp_path / "detections.jsonl"
        path.write_text(json.dumps(lines[0]).replace("1.0,", f"{word},", 1) + "\n", encoding="utf-8")
        with pytest.raises(InputError, match=message):
            read_results(path)


@pytest.mark.parametrize("end", [0, 1, 40], ids=["whole", "without its end", "in the middle"])
def test_a_last_line_that_is_cut_off(end: int, results_file: Path, lines: Lines) -> None:
    data = results_file.read_bytes()
    results_file.write_bytes(data[: len(data) - end])
    results = read_results(results_file)
    assert len(results.frames) == 6
    if end < 2:
        assert results.notes == []
    else:
        assert results.notes == [
            f"{results_file}, line 9: cut off, as an interrupted run leaves it; left out",
            f"{results_file}: has no summary at its end; the run was interrupted or is still going on",
        ]


def test_zeros_of_a_power_cut_are_a_cut(results_file: Path) -> None:
    with results_file.open("ab") as opened:
        opened.write(bytes(512))
    results = read_results(results_file)
    assert len(results.frames) == 6
    assert "line 10: cut off" in results.notes[0]


def test_a_line_that_is_wrong_in_the_middle_is_no_cut(results_file: Path, lines: Lines) -> None:
    text = results_file.read_text("utf-8").splitlines()
    text[3] = text[3][:50]
    results_file.write_text("\n".join(text) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 4: is not JSON; expected one JSON object a line"):
        read_results(results_file)


def test_a_run_that_goes_on_in_the_same_file(lines: Lines, tmp_path: Path) -> None:
    second = {**lines[0], "threshold": 2.0}
    path = save(tmp_path / "detections.jsonl", [*lines[:3], second, *lines[3:]])
    results = read_results(path)
    assert [each.run.threshold for each in results.frames] == [1.0, 1.0, 2.0, 2.0, 2.0, 2.0]
    assert results.notes == []


def test_a_folder_of_runs(lines: Lines, tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        save(tmp_path / name / "detections.jsonl", lines)
    results = read_results(tmp_path)
    assert [each.parent.name for each in results.files] == ["a", "b"]
    assert len(results.frames) == 12


def test_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "detections.jsonl").write_text("\n")
    for path, message in (
        (tmp_path / "nowhere", "no such file or folder"),
        (tmp_path / "detections.jsonl", "is empty: no run was recorded in it"),
    ):
        with pytest.raises(InputError, match=message):
            read_results(path)
    (tmp_path / "detections.jsonl").unlink()
    with pytest.raises(InputError, match=r"holds no detections.jsonl; pass the --out folder"):
        read_results(tmp_path)


def test_numbers_are_kept_as_they_are(results_file: Path, lines: Lines) -> None:
    for frame, line in zip(read_results(results_file).judged[:2], lines[1:3], strict=True):
        for (region, _), values in zip(frame.found(), line["regions"], strict=True):
            assert (region.mean, region.peak, region.percentile) == (
                values["mean"],
                values["peak"],
                values["percentile"],
            )
            assert np.count_nonzero(decode_rle(region.counts, region.size)) == values["area"]


@pytest.mark.parametrize("number", ["7" * 400, "7" * 5000, "1e400"])
def test_numbers_that_no_float_holds(number: str, tmp_path: Path) -> None:
    run = {"type": "run", "schema_version": 1, "oddroad": "1", "model": "m", "score": "e", "threshold": 4}
    path = tmp_path / "detections.jsonl"
    path.write_text(json.dumps(run).replace('"threshold": 4', f'"threshold": {number}') + "\n")
    with pytest.raises(InputError, match=r"line 1: (is not JSON|'threshold' is)") as caught:
        read_results(path)
    assert len(str(caught.value)) < 300
