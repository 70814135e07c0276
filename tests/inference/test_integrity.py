"""A file that was changed is noticed, and an engine that computes something else."""

from __future__ import annotations

import importlib.util
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from oddroad.card import Card
from oddroad.cli.main import main
from oddroad.errors import InputError
from oddroad.inference import self_test
from oddroad.inference.common import read_head
from oddroad.inference.engines import ENGINES
from oddroad.inference.integrity import check_digest, with_card
from oddroad.inference.model import EMBEDDED, Model, find_model, read_card


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the embedded detector."""
    return Path(shutil.copy(find_model("default"), tmp_path / "copy.onnx"))


@pytest.mark.parametrize("name", EMBEDDED)
def test_the_embedded_files_are_what_was_exported(name: str) -> None:
    check_digest(find_model(name).read_bytes(), name)


def test_one_changed_byte_anywhere_is_noticed(copy: Path) -> None:
    data = copy.read_bytes()
    places = np.random.default_rng(0).integers(0, len(data), 60).tolist()
    card_at = data.index(key := b'"thresholds": {"outlier_head": ') + len(key)
    for place in [*places, 0, len(data) - 1, card_at]:
        changed = bytearray(data)
        changed[place] ^= 1
        with pytest.raises(InputError, match=r"is not what was exported|no digest"):
            check_digest(bytes(changed), "copy.onnx")


def test_a_changed_weight_is_refused_when_loaded(copy: Path) -> None:
    data = bytearray(copy.read_bytes())
    data[len(data) // 2] ^= 64
    copy.write_bytes(data)
    with pytest.raises(InputError, match=r"copy\.onnx' is not what was exported: its digest is .* copy or export it"):
        Model(copy)


def test_a_card_is_replaced_and_nothing_else(copy: Path, noise: np.ndarray, model: Model) -> None:
    before = read_card(copy)
    copy.write_bytes(with_card(copy.read_bytes(), replace(before, name="other", thresholds={"outlier_head": 1.0})))
    after = read_card(copy)
    assert (after.name, after.thresholds) == ("other", {"outlier_head": 1.0})
    assert replace(after, name=before.name, thresholds=before.thresholds, digest=before.digest) == before
    assert np.array_equal(Model(copy)(noise), model(noise))
    twice = with_card(copy.read_bytes(), after)
    assert twice == copy.read_bytes()


def test_a_file_without_a_digest(copy: Path) -> None:
    text = Card.from_json(read_card(copy).to_json()).to_json()
    from oddroad.inference.onnx_graph import with_metadata

    copy.write_bytes(with_metadata(copy.read_bytes(), "oddroad", text.replace('"digest"', '"other"')))
    with pytest.raises(InputError, match=r"copy\.onnx' has no digest in its card; export it again"):
        read_head(copy)


def test_the_picture_is_the_same_everywhere() -> None:
    image = self_test.reference_picture()
    assert (image.shape, image.dtype) == ((192, 384, 3), np.uint8)
    assert image.astype(np.int64).sum() == 27979601
    assert image[130, 240].tolist() == [231, 201, 41]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", EMBEDDED)
def test_each_engine_gives_what_the_card_says(name: str, engine: str) -> None:
    if importlib.util.find_spec(engine) is None:
        pytest.skip(f"{engine} is not installed here")
    (found,) = self_test.compare(find_model(name), engine)
    assert found.deviation <= found.tolerance / 3


def test_check_tells_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--json", str(tmp_path / "c.json")]) == 0
    text = capsys.readouterr().out
    assert "oddroad-default.onnx: the file is what was exported" in text
    assert "onnxruntime  outlier_head     off by" in text
    assert all(each["passed"] for each in json.loads((tmp_path / "c.json").read_text()))


@pytest.mark.parametrize("how", ["shifted", "not finite", "turned"])
def test_an_engine_that_computes_something_else_fails(
    how: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(path: Path, *more: object) -> object:
        card, run = engine(path, *more)

        def other(images: np.ndarray, names: object) -> list[np.ndarray]:
            (heat,) = run(images, names)
            changes = {"shifted": heat + 1.5, "not finite": heat * np.nan, "turned": heat[:, :, ::-1]}
            return [changes[how]]

        return card, other

    engine = ENGINES["onnxruntime"]
    monkeypatch.setitem(ENGINES, "onnxruntime", broken)
    with pytest.raises(SystemExit) as stop:
        main(["check"])
    assert stop.value.code == 1
    assert "allowed: WRONG" in capsys.readouterr().out


def test_a_card_without_reference(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy.write_bytes(with_card(copy.read_bytes(), replace(read_card(copy), reference={})))
    assert main(["check", str(copy)]) == 2
    assert "keeps no reference of outlier_head; export it again" in capsys.readouterr().err
