"""Outputs of an ONNX file, chosen without the onnx package."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

from oddroad.card import Card
from oddroad.inference import onnxruntime_engine
from oddroad.inference.common import SESSIONS
from oddroad.inference.host_resize import HostResize
from oddroad.inference.model import Model, find_model
from oddroad.inference.onnx_graph import (
    as_field,
    as_number,
    has_data_outside,
    metadata,
    number_at,
    output_names,
    with_metadata,
    with_outputs,
)
from oddroad.inference.onnxruntime_engine import onnx_session
from oddroad.types import Frame


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 2**20, 2**40 + 5])
def test_numbers_of_any_length(value: int) -> None:
    assert number_at(b"\xff" + as_number(value) + b"\x01", 1) == (value, 1 + len(as_number(value)))


def test_a_text_that_is_there_twice_or_as_a_number_is_read_as_onnx_does() -> None:
    import onnx

    twice = (
        as_field(1, b"key")
        + as_field(2, b"one")
        + as_field(2, b"two")
        + as_field(1, b"\x12")
        + as_number(1 << 3)
        + as_number(5)
    )
    number = as_number(1 << 3) + as_number(0x12)  # the field of the key, but as a number
    output = as_field(12, as_field(1, b"\x01") + as_field(1, b"name") + number)
    data = as_field(14, twice) + as_field(14, as_field(2, b"alone")) + as_field(7, output + as_field(12, b""))
    theirs = onnx.ModelProto.FromString(data)
    assert metadata(data) == {each.key: each.value for each in theirs.metadata_props} == {"\x12": "two", "": "alone"}
    assert output_names(data) == [each.name for each in theirs.graph.output] == ["name", ""]
    assert metadata(with_metadata(data, "\x12", "new")) == {"\x12": "new", "": "alone"}


def test_the_names_are_those_that_onnxruntime_sees() -> None:
    path = find_model("default")
    session = onnx_session(path, 1, optimise=False)
    assert output_names(path.read_bytes()) == [each.name for each in session.get_outputs()]
    assert metadata(path.read_bytes()) == session.get_modelmeta().custom_metadata_map


def test_only_the_wanted_outputs_are_left_and_they_are_the_same(frames: list[Frame]) -> None:
    path, image = find_model("default"), frames[0].image[None]
    whole, cut = onnx_session(path, 1), onnx_session(path, 1, names=["outlier_head", "classes"])
    names = [each.name for each in cut.get_outputs()]
    assert set(names) == {"outlier_head", "classes"}
    for ours, all_of_them in zip(cut.run(names, {"image": image}), whole.run(names, {"image": image}), strict=True):
        np.testing.assert_array_equal(ours, all_of_them)


def test_what_nobody_reads_is_not_computed(frames: list[Frame], tmp_path) -> None:
    import json

    path, found = find_model("default"), {}
    for names in (["outlier_head"], ["outlier_head", "classes"]):
        session = onnx_session(path, 1, profile=str(tmp_path / "p"), names=names)
        session.run(["outlier_head"], {"image": frames[0].image[None]})
        with open(session.end_profiling()) as file:
            found[len(names)] = {each["args"].get("op_name") for each in json.load(file) if each.get("cat") == "Node"}
    assert "ArgMax" in found[2]
    assert "ArgMax" not in found[1]


def test_what_is_no_onnx_file() -> None:
    for data in (b"\x07\x01", b"\x0a\x7f\x00", b"\x80"):
        with pytest.raises(ValueError, match="not a protocol buffer"):
            with_outputs(data, ["x"])


def test_the_oldest_session_goes_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[str, ...]] = []
    alive: weakref.WeakSet[Any] = weakref.WeakSet()

    class Session:
        """Notes that it was made."""

        def __init__(self, path: object, threads: int, names: tuple[str, ...] = (), **_: object):
            made.append(tuple(names))
            alive.add(self)

        def run(self, names: list[str], given: dict[str, np.ndarray]) -> list[np.ndarray]:
            """Nothing but zeros."""
            return [np.zeros((1, 4, 4), np.float32) for _ in names]

    monkeypatch.setattr(onnxruntime_engine, "onnx_session", Session)
    run = onnxruntime_engine.onnxruntime_engine(find_model("default"), 1)[1]
    image, names = np.zeros((1, 4, 4, 3), np.uint8), ["outlier_head", "classes"]
    asked = [[names[0]], [names[1]], names, names[::-1], [names[0], names[0]]]
    for each in asked:
        run(image, each, inside=True)
    gc.collect()
    assert len(alive) == SESSIONS == 4
    before = len(made)
    run(image, asked[-1], inside=True)
    assert len(made) == before  # still there
    run(image, asked[0], inside=True)
    assert len(made) == before + 1  # made again


@pytest.mark.parametrize(("precision", "size"), [("float32", None), ("int8", (8, 16))])
def test_images_are_resized_beforehand_for_int8_files_alone(precision: str, size: tuple[int, int] | None) -> None:
    card = Card("a", "n", ("s",), (8, 16), 4, (), precision=precision)
    host = HostResize.of(card, ["s", "s.low_res", "classes"])
    image = np.random.default_rng(0).integers(0, 256, (1, 20, 30, 3), np.uint8)
    assert host.size == size
    assert host.before(image).shape == ((1, 8, 16, 3) if size else (1, 20, 30, 3))
    assert host.asked(["s", "classes"]) == ["s.low_res", "classes"]
    low = np.float32([[[[0, 8], [0, 8]]]])
    wide = host.after(low, image)
    assert wide.shape == (1, 20, 30)
    assert 3 < wide[0, 10, 14] < 5  # linear between the two
    classes = host.after(np.uint8([[[0, 8], [0, 8]]]), image)
    assert set(np.unique(classes).tolist()) == {0, 8}  # classes are never mixed


def test_sessions_are_kept_for_each_set_of_outputs(model: Model, frames: list[Frame]) -> None:
    image, names = frames[0].image, [*model.scores, "classes"]
    together = model.outputs(image, names)
    for name in names:
        np.testing.assert_allclose(model.outputs(image, [name])[name], together[name], atol=1e-4)


def test_weights_in_other_files_are_seen() -> None:
    inside = as_field(8, b"w")
    outside = inside + as_field(13, as_field(1, b"location") + as_field(2, b"secret"))
    assert not has_data_outside(as_field(7, as_field(5, inside)))
    assert has_data_outside(as_field(7, as_field(5, inside) + as_field(5, outside)))


def test_two_graphs_are_no_graph() -> None:
    with pytest.raises(ValueError, match="2 graphs and not one"):
        output_names(as_field(7, b"") * 2)


def test_a_number_without_an_end() -> None:
    with pytest.raises(ValueError, match="more than 64 bits"):
        number_at(b"\xff" * 1000, 0)
