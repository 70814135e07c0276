"""The embedded detector and its file: card, scores, engines, and files that are not ours."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

from oddroad import InputError, Model
from oddroad.calibration.thresholds import threshold_for
from oddroad.card import CARD_FORMAT, WIDE, Card, describe
from oddroad.cli.main import main
from oddroad.inference.host_resize import enlarged
from oddroad.inference.integrity import digest_of
from oddroad.inference.model import find_model, read_card
from oddroad.metrics import PixelMetric
from oddroad.regions import InDistribution, find
from oddroad.synthetic.scenes import drive
from oddroad.types import Frame

THRESHOLD = 0.99
"""Of both default files: six of the 601 known scenes that they were calibrated on have a region above it."""


def changed(tmp_path: Path, old: bytes, new: bytes) -> Path:
    """A copy of the embedded detector's file with some bytes replaced by as many others, and a digest that fits."""
    data = find_model("default").read_bytes()
    assert old in data
    assert len(old) == len(new)
    path = tmp_path / "changed.onnx"
    data = data.replace(old, new)
    stated, true = digest_of(data)
    path.write_bytes(data.replace(stated.encode(), true.encode()))
    return path


class TestCard:
    def test_it_is_complete(self) -> None:
        card = read_card("default")
        assert len(card.classes) == 19
        assert set(card.thresholds) == set(card.scores)
        assert card.licence
        assert {"recipe", "date", "data"} <= card.origin.keys()
        assert card.measured
        assert card.threshold_meaning

    def test_parity_with_torch_was_within_tolerance(self) -> None:
        parity = read_card("default").parity
        assert parity
        text = str(parity)
        assert "onnxruntime" in text
        assert "openvino" in text

    def test_the_file_is_under_ten_megabytes(self) -> None:
        assert find_model("default").stat().st_size < 10e6

    def test_json_round_trip(self) -> None:
        card = read_card("default")
        assert Card.from_json(card.to_json()) == card

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("{", "is not JSON"),
            ("[]", "expected an object"),
            ("{}", "does not state its format"),
            (f'{{"format": {CARD_FORMAT + 1}}}', "upgrade with"),
            ('{"format": 2}', "has format 2, from before the first release; export the file again and calibrate it"),
            (f'{{"format": {CARD_FORMAT}, "name": "x"}}', "the card lacks classes, network"),
        ],
    )
    def test_what_is_no_card(self, text: str, message: str) -> None:
        with pytest.raises(InputError, match=message):
            Card.from_json(text)

    def test_info_prints_it(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["info"]) == 0
        text = capsys.readouterr().out
        card, words = read_card("default"), " ".join(text.split())
        assert all(each in words for each in (card.name, card.network, card.licence, *card.scores, *card.classes))
        assert not any(mark in text for mark in ("{", "}", "['", "None", "True", "False"))
        assert max(map(len, text.splitlines())) <= WIDE
        main(["info", "--json"])
        assert Card.from_json(capsys.readouterr().out) == card

    def test_the_card_is_a_table(self) -> None:
        origin = {
            "date": "2026-11-28", "sets": ["a", "b"], "reinit": [], "bf16": True, "note": None, "sha256": "0f" * 32,
            "recipe": {"optim": {"name": "adamw", "lr": 0.0004, "more": {"a": 1}}, "losses": [["vos", 0.5], ["x", 2]]},
        }  # fmt: skip
        measured = {"a set with a long name (60 images, native)": {"energy": "AP 50.0", "classes": "mean IoU 1"}}
        card = Card(
            "net", "erfnet", ("energy",), (4, 8), 2, ("road",), {"energy": 0.25}, origin=origin, measured=measured
        )
        assert describe(card).splitlines() == [
            "net",
            "  network    erfnet",
            "  input      4 x 8, stride 2",
            "  weights    stored as float32, computed in float32",
            "  scores     energy (the first is the default), computed before upsampling",
            "  threshold  energy  > 0.25",
            "  classes    road",
            "  origin     date    2026-11-28",
            "             sets    a, b",
            "             reinit  none",
            "             bf16    yes",
            "             note    none",
            "             sha256  0f0f0f0f0f0f...",
            "             recipe  optim:",
            "                       name: adamw",
            "                       lr: 0.0004",
            "                       more: a 1",
            "                     losses:",
            "                       vos, 0.5",
            "                       x, 2",
            "  measured   a set with a long name (60 images, native):",
            "               energy AP 50.0, classes mean IoU 1",
            "  licence    not stated",
        ]


class TestModel:
    def test_maps_of_all_scores(self, model: Model, noise: np.ndarray) -> None:
        maps = model.maps(noise)
        assert tuple(maps) == model.scores
        assert all(each.shape == noise.shape[:2] and each.dtype == np.float32 for each in maps.values())
        assert np.array_equal(model(noise), maps[model.scores[0]])
        assert np.array_equal(model(noise, model.scores[-1]), maps[model.scores[-1]])

    def test_it_sees_colour_in_rgb(self, model: Model, frames: list) -> None:
        image = frames[0].image
        assert not np.allclose(model(image), model(np.ascontiguousarray(image[..., ::-1])), atol=0.1)

    @pytest.mark.parametrize("name", ["default", "default-fp32", "accurate"])
    def test_it_finds_rendered_objects(self, name: str) -> None:
        model, metric = Model(name), PixelMetric()
        for frame in drive(seed=11, frames=6, size=(270, 480), rate=2.0):
            assert frame.label is not None
            metric.add(model(frame.image), frame.label)
        figures = metric.result()
        assert figures["ap"] > 10 * figures["prevalence"]

    def test_the_embedded_ones_are_what_the_cards_say(self, model: Model) -> None:
        in_float = Model("default-fp32")
        assert [each.card.precision for each in (model, in_float)] == ["int8", "float32"]
        for each in (model, in_float):
            assert (each.card.network, each.scores) == ("efficientnet_lite0", ("outlier_head",))
            assert "non-commercial" in each.card.licence
            assert each.threshold() == THRESHOLD
            assert "without a guarantee" in each.card.threshold_meaning
            guaranteed = threshold_for(each.card, "no-alarms")
            assert guaranteed.value > THRESHOLD
            assert re.search(r"at most 1\d\.\d in 100 frames .* for other scenes of these 2 places", guaranteed.meaning)

    @pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="openvino is not installed")
    def test_the_engines_agree(self, frames: list) -> None:
        model, other = Model("default-fp32"), Model("default-fp32", engine="openvino")
        for image in (frames[0].image, frames[0].image[:101, :203]):
            ours, theirs = model.maps(image), other.maps(image)
            for name, expected in ours.items():
                assert np.abs(theirs[name] - expected).max() <= 2e-4 * max(1.0, float(np.abs(expected).max()))

    @pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="openvino is not installed")
    def test_the_engines_agree_in_8_bits_but_for_rounding(self, model: Model, frames: list) -> None:
        ours, theirs = model.maps(frames[0].image), Model(engine="openvino").maps(frames[0].image)
        for name, expected in ours.items():
            assert np.abs(theirs[name] - expected).mean() <= 0.1 * expected.std(), name

    @pytest.mark.parametrize(
        "image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((4, 4, 4), np.uint8), "a.jpg"]
    )
    def test_what_is_no_image(self, model: Model, image: object) -> None:
        with pytest.raises(InputError, match=r"expected an array \(height, width, 3\) of uint8 in RGB"):
            model(image)  # type: ignore[arg-type]

    def test_regions_of_an_image_in_one_call(self, model: Model, frames: list[Frame]) -> None:
        image = frames[0].image
        heat, level = model(image), float(np.quantile(model(image), 0.97))
        found = model.detect(image, threshold=level)
        assert found == find(heat, level, heat.size // 10_000, InDistribution.of(model.card, model.scores[0]))
        assert found
        assert all(each.percentile is not None and each.size == heat.shape for each in found)
        assert len(model.detect(image, threshold=level, min_area=found[0].area)) == 1
        assert model.detect(image, model.scores[0]) == model.detect(image, threshold=model.threshold())

    def test_an_output_that_does_not_exist_is_named_and_other_failures_are_not_taken_for_it(
        self, model: Model, noise: np.ndarray, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with pytest.raises(InputError, match=r"oddroad-default\.onnx has no output 'nope'; it has: outlier_head"):
            model.outputs(noise, ["classes", "nope"])

        def broken(*_: object) -> None:
            raise RuntimeError("out of memory")

        monkeypatch.setattr(model, "_run", broken)
        with pytest.raises(RuntimeError, match="out of memory"):
            model.outputs(noise, ["classes"])

    def test_unknown_score_and_engine(self, model: Model, noise: np.ndarray) -> None:
        with pytest.raises(InputError, match="There are: " + ", ".join(model.scores)):
            model(noise, "nope")
        with pytest.raises(InputError, match="no engine called 'onnxrt'; did you mean 'onnxruntime'"):
            Model(engine="onnxrt")

    def test_an_engine_that_is_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        with pytest.raises(InputError, match=r"pip install 'oddroad\[openvino\]'"):
            Model(engine="openvino")


class TestFilesThatAreNotOurs:
    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"is no file; expected an \.onnx file, one of: default"):
            Model(tmp_path / "none.onnx")
        with pytest.raises(InputError, match="is a folder"):
            Model(tmp_path)

    def test_damaged(self, tmp_path: Path) -> None:
        path = tmp_path / "damaged.onnx"
        path.write_bytes(find_model("default").read_bytes()[:200_000])
        with pytest.raises(InputError, match="cannot be loaded, it is damaged or no ONNX file"):
            Model(path)
        path.write_bytes(b"not a model")
        with pytest.raises(InputError, match="cannot be loaded"):
            read_card(path)

    def test_without_a_card(self, tmp_path: Path) -> None:
        data = find_model("default").read_bytes()
        path = tmp_path / "other.onnx"
        path.write_bytes(data.replace(b"\x0a\x07oddroad\x12", b"\x0a\x07another\x12"))
        with pytest.raises(InputError, match="an ONNX file without an oddroad card; 'oddroad export' writes those"):
            Model(path)

    def test_newer_than_this_version(self, tmp_path: Path) -> None:
        path = changed(tmp_path, b'"format": 3', b'"format": 9')
        with pytest.raises(InputError, match="has format 9 and this oddroad reads up to 3; upgrade"):
            Model(path)

    def test_a_card_that_names_missing_outputs(self, tmp_path: Path) -> None:
        name = read_card("default").scores[0].encode()
        path = changed(tmp_path, b'"scores": ["' + name, b'"scores": ["' + name[::-1])
        with pytest.raises(InputError, match="lacks the outputs"):
            Model(path)


class TestPrecision:
    def test_it_is_stated(
        self, model: Model, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert model.precision == ("float32" if model.card.precision == "float32" else "int8 and float32")
        assert main(["detect", str(picture), "--save", "--out", str(tmp_path)]) == 0
        assert f" in {model.precision}, score " in capsys.readouterr().out

    def test_onnxruntime_has_no_bfloat16(self) -> None:
        with pytest.raises(InputError, match="onnxruntime does not compute in bfloat16 on the CPU"):
            Model(engine="onnxruntime", precision="bfloat16")

    def test_a_precision_that_does_not_exist(self) -> None:
        with pytest.raises(InputError, match="no precision called 'float31'; did you mean 'float32'"):
            Model(precision="float31")

    def test_openvino_in_bfloat16(self, frames: list[Frame]) -> None:
        openvino = pytest.importorskip("openvino")
        if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            with pytest.raises(InputError, match="this processor does not compute in bfloat16"):
                Model(engine="openvino", precision="bfloat16")
            return
        exact, short = (Model(engine="openvino", precision=each)(frames[0].image) for each in ("float32", "bfloat16"))
        assert 1e-3 < float(np.abs(exact - short).mean()) < 0.1 * float(exact.std()) + 0.1


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_one_score_alone_is_that_of_all_of_them(engine: str, frames: list[Frame]) -> None:
    if importlib.util.find_spec(engine) is None:
        pytest.skip(f"{engine} is not installed here")
    model = Model(engine=engine)
    together = model.maps(frames[0].image)
    assert list(together) == list(model.scores)
    for name in model.scores:
        assert np.allclose(model(frames[0].image, name), together[name], atol=1e-4)
    first = model(frames[0].image)
    kept = first.copy()
    model(frames[-1].image)
    assert np.array_equal(first, kept)  # a later call does not write into an earlier map


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_the_low_resolution_map_enlarged_is_the_map(engine: str, frames: list[Frame]) -> None:
    if importlib.util.find_spec(engine) is None:
        pytest.skip(f"{engine} is not installed here")
    model, image = Model(engine=engine), frames[0].image
    low = model.low_res(image, [*model.scores, "classes"])
    assert low[model.scores[0]].shape == (80, 160)
    for name, values in model.outputs(image, list(low)).items():
        assert np.array_equal(enlarged(low[name][None], image.shape[:2])[0], values)
    with pytest.raises(InputError, match="the image is"):
        model.low_res(image[:, :, 0], model.scores)
