"""What all formats share: their names, what is missing, what must not be lost."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import pytest

from oddroad.cli import main
from oddroad.exchange import FORMATS


def run(*words: object) -> int:
    return main.main(["results", *map(str, words)])


def test_a_format_that_does_not_exist(results_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(results_file, "--to", "coko", "--out", tmp_path / "a") == 2
    assert capsys.readouterr().err == (
        "oddroad: no format called 'coko'; did you mean 'coco'? There are: "
        "coco, csv, fiftyone, supervision, rerun, mcap, labelme\n"
    )


@pytest.mark.parametrize(
    ("to", "module", "extra"),
    [
        ("mcap", "foxglove", "mcap"), ("rerun", "rerun", "rerun"), ("fiftyone", "fiftyone", "fiftyone"),
    ],
)  # fmt: skip
def test_an_extra_that_is_not_installed(
    to: str,
    module: str,
    extra: str,
    results_file: Path,
    media: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    real = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == module and (args[3] if len(args) > 3 else kwargs.get("level", 0)) == 0:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    assert run(results_file, "--to", to, "--out", tmp_path / "a", "--media", media) == 2
    assert capsys.readouterr().err == (
        f"oddroad: 'results' needs {module}, which is not installed; run: pip install 'oddroad[{extra}]'\n"
    )
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("frames", [0, 1], ids=["nothing", "a damaged frame"])
def test_nothing_judged_is_not_nothing_found(
    to: str, frames: int, results_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = results_file.read_text("utf-8").splitlines()
    results_file.write_text("\n".join([lines[0], *([lines[5]] * frames), lines[-1]]) + "\n", encoding="utf-8")
    assert run(results_file, "--to", to, "--out", tmp_path / "a") == 2
    text = capsys.readouterr().err
    assert text.startswith(f"oddroad: no frame was judged in '{results_file}'")
    assert ("; 1 damaged frame not judged" in text) == bool(frames)
    assert "says nothing about what was on the road" in text
    assert not (tmp_path / "a").exists()


def test_judged_and_nothing_found_is_converted(
    results_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = results_file.read_text("utf-8").splitlines()
    results_file.write_text("\n".join([lines[0], lines[3], lines[-1]]) + "\n", encoding="utf-8")
    assert run(results_file, "--to", "coco", "--out", tmp_path / "a.json") == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"1 frame judged, 0 with regions, 0 regions; written to {tmp_path / 'a.json'}"
    )


def test_numbers_as_json(results_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(results_file, "--to", "csv", "--out", tmp_path / "a.csv", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found.pop("notes")[0].startswith(f"{tmp_path / 'a.frames.csv'}: a line a frame")
    numbers = {"frames": 5, "with_regions": 4, "regions": 8, "not_judged": 1, "gaps": 1}
    assert found == {**numbers, "out": str(tmp_path / "a.csv")}


@pytest.mark.parametrize("to", ["coco", "csv", "mcap"])
def test_what_is_read_is_never_written(to: str, results_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = results_file.read_bytes()
    assert run(results_file, "--to", to, "--out", results_file) == 2
    assert capsys.readouterr().err == f"oddroad: '{results_file}' is what is read; choose another file with --out\n"
    assert results_file.read_bytes() == before


@pytest.mark.parametrize("to", ["supervision", "labelme", "mcap"])
def test_media_of_something_else(
    to: str, results_file: Path, media: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [results_file, "--to", to, "--media", media / "town"]
    assert run(*words, "--out", tmp_path / "a") == 2
    assert "of the results is not in" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()
    assert not (tmp_path / "a.partial").exists()


@pytest.mark.parametrize("name", ["town/a.jpg", "drive.mp4#0"])
def test_media_of_another_size(
    name: str, results_file: Path, media: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = results_file.read_text("utf-8").splitlines()
    empty = text[3].replace('"width": 80', '"width": 90')
    if name == "town/a.jpg":
        empty = empty.replace('"source": "drive.mp4"', '"source": "town/a.jpg"').replace('"index": 0', '"index": null')
    results_file.write_text("\n".join([text[0], empty, text[-1]]) + "\n", encoding="utf-8")
    assert run(results_file, "--to", "supervision", "--media", media, "--out", tmp_path / "a") == 2
    assert f"the picture of '{name}' is 80 x 60, but the results are of one of 90 x 60" in capsys.readouterr().err


def test_media_of_a_shorter_video(
    results_file: Path, media: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = results_file.read_text("utf-8").replace('"index": 3, "time": 0.3', '"index": 9, "time": 0.3')
    results_file.write_text(text, encoding="utf-8")
    assert run(results_file, "--to", "supervision", "--media", media, "--out", tmp_path / "a") == 2
    drive = media / "drive.mp4"
    assert capsys.readouterr().err == (
        f"oddroad: 'drive.mp4#9' of the results cannot be read from '{drive}'; the results are of another file\n"
    )
