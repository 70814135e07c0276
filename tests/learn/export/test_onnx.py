"""The exporter: one complete file, equal to torch in both engines, or none."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
import torch
from small_networks import TINY_ABOUT as ABOUT
from small_networks import Tiny
from torch import nn

from oddroad.card import Card
from oddroad.errors import InputError
from oddroad.inference.engines import ENGINES
from oddroad.learn.detector import Detector
from oddroad.learn.export import onnx as exporter
from oddroad.learn.export import parity
from oddroad.learn.export.module_passes import constant_slopes, fold_batchnorm
from oddroad.learn.export.onnx import export
from oddroad.learn.networks.wrapped import Odin, Scales
from oddroad.learn.outputs import Outputs
from oddroad.learn.scores import SCORES


@pytest.fixture
def tiny() -> nn.Module:
    torch.manual_seed(0)
    network = Tiny()
    for each in network.modules():
        if isinstance(each, nn.BatchNorm2d):
            nn.init.uniform_(each.running_mean, -0.2, 0.2)
            nn.init.uniform_(each.running_var, 0.5, 2)
            nn.init.uniform_(each.weight, 0.5, 2)
    return network.eval()


def run(path, image, engine="onnxruntime", outputs=None):
    model = onnx.load(path)
    names = outputs or [each.name for each in model.graph.output]
    return ENGINES[engine](path, 1)[1](image, names)


@pytest.mark.parametrize(
    ("upsample", "size"),
    [
        ("score", None),
        ("logits", None),
        ("score", (45, 77)),
        ("logits", (48, 80)),
        pytest.param("score", (48, 80), marks=pytest.mark.slow),
        pytest.param("logits", (45, 77), marks=pytest.mark.slow),
    ],
)
def test_the_file_is_the_detector_at_any_size(tiny, tmp_path, size, upsample):
    out = tmp_path / "a.onnx"
    card = export(tiny, ABOUT, ["max_logit", "joint"], out, size=size, upsample=upsample, classes=True, temperature=2.0)
    names = ["max_logit", "joint", "classes"]
    how = {"upsample": upsample, "temperature": 2.0, "known": 3, "classes": True}
    detector = Detector(tiny, {each: SCORES[each] for each in names[:2]}, "cityscapes", size, **how).eval()
    for height, width in ((64, 96), (37, 53), (5, 3)):
        image = parity.scene(height, width, 5)
        with torch.inference_mode():
            expected = detector(torch.from_numpy(image))
        for engine in ("onnxruntime", "openvino"):
            for wanted, found in zip(expected, run(out, image, engine, names), strict=True):
                assert found.shape == (1, height, width)
                assert found.dtype == wanted.numpy().dtype
                if found.dtype == np.uint8:
                    assert (found != wanted.numpy()).mean() < 0.01
                else:
                    assert np.abs(found - wanted.numpy()).max() < 1e-4
    inside = Card.from_json(onnx.load(out).metadata_props[0].value)
    assert inside == card
    assert (card.size, card.stride, card.upsample, card.temperature) == (size, 4, upsample, 2.0)
    assert (card.scores, card.classes, card.licence) == (("max_logit", "joint"), ("road", "sky", "car"), "test")
    first = size or (96, 144)
    for engine in ("onnxruntime", "openvino"):
        for height, width in (first, (first[0] + 11, first[1] - 21)):
            assert 0 <= card.parity[f"{engine} {height}x{width}"] <= parity.TOLERANCE


def test_any_size_crops_without_drift(tiny):
    detector = Detector(tiny, {"max_logit": SCORES["max_logit"]}, known=3)
    image = torch.from_numpy(parity.scene(40, 56, 0))
    whole, part = detector(image)[0], detector(image[:, :37, :53])[0]
    assert part.shape == (1, 37, 53)
    assert torch.equal(whole[:, :24, :40], part[:, :24, :40])


def test_void_output_takes_no_part_in_scores(tiny, tmp_path):
    with torch.no_grad():
        tiny.head.bias[3] += 100
    out = tmp_path / "a.onnx"
    export(tiny, ABOUT, ["max_logit", "void"], out)
    max_logit, void = run(out, parity.scene(32, 32, 0))
    assert max_logit.min() > -50
    assert void.min() > 0.99


def optimised(path, folder):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(folder / "optimised.onnx").graph.node)


class Wide(nn.Module):
    """A few convolutions of many weights, which are nearly all of the file."""

    stride, multiple = 4, 4

    def __init__(self):
        super().__init__()
        layers = nn.Conv2d(3, 64, 4, 4), nn.ReLU(), nn.Conv2d(64, 256, 3, 1, 1), nn.BatchNorm2d(256), nn.ReLU()
        self.body = nn.Sequential(*layers, nn.Conv2d(256, 256, 3, 2, 1), nn.ReLU())
        self.up, self.head = nn.ConvTranspose2d(256, 128, 2, 2), nn.Conv2d(128, 3, 1)

    def forward(self, images):
        features = self.up(self.body(images))
        return Outputs(self.head(features), features)


def test_short_weights_are_computed_when_the_file_is_loaded(tmp_path):
    torch.manual_seed(0)
    network = Wide().eval()
    sizes, nodes, kinds = {}, {}, {}
    for weights in exporter.STORAGE:
        out = tmp_path / f"{weights}.onnx"
        card = export(network, ABOUT, ["max_logit"], out, size=(64, 128), weight_storage=weights)
        assert card.weight_storage == weights
        sizes[weights], nodes[weights] = out.stat().st_size, optimised(out, tmp_path)
        kinds[weights] = Counter(
            each.data_type for each in onnx.load(out).graph.initializer if np.prod(each.dims) > 4095
        )
        assert ("rounding" in card.parity) == (weights != "float32")
        if weights == "float16":
            assert 0 < card.parity["rounding"] < 0.05
    assert sizes["float16"] < 0.52 * sizes["float32"]
    assert sizes["int8"] < 0.27 * sizes["float32"]
    assert nodes["float32"] == nodes["float16"] == nodes["int8"]
    assert set(kinds["int8"]) == {onnx.TensorProto.INT8}
    assert set(kinds["float16"]) == {onnx.TensorProto.FLOAT16}
    for weights in ("float16", "int8"):
        compiled = openvino.Core().compile_model(str(tmp_path / f"{weights}.onnx"), "CPU")
        types = {node.get_output_element_type(0) for node in compiled.get_runtime_model().get_ordered_ops()}
        assert not types & {openvino.Type.i8, openvino.Type.f16}, "OpenVINO has not computed the weights at load"


def test_int8_is_the_nearest_of_255_values_for_each_channel(tiny, tmp_path):
    out = tmp_path / "a.onnx"
    export(tiny, ABOUT, ["max_logit"], out, weight_storage="int8")
    held = {each.name: onnx.numpy_helper.to_array(each) for each in onnx.load(out).graph.initializer}
    folded = fold_batchnorm(tiny, torch.zeros(1, 3, 16, 16))
    for name, axis, wanted in (("down.0", 0, folded.down[0]), ("up", 1, folded.up)):
        stored = held[f"detector.network.{name}.weight.stored"].reshape(wanted.weight.shape)
        scale = held[f"detector.network.{name}.weight.scale"]
        assert stored.dtype == np.int8
        assert scale.shape[axis] == 64
        off = np.abs(stored * scale - wanted.weight.detach().numpy())
        assert (off <= 0.5001 * scale).all()
        assert (np.abs(stored).max(axis=tuple({0, 1, 2, 3} - {axis})) == 127).all()


def test_folding_keeps_the_function(tiny):
    folded = fold_batchnorm(tiny, torch.zeros(1, 3, 16, 16))
    left = [name for name, each in folded.named_modules() if isinstance(each, nn.BatchNorm2d)]
    assert left == ["before"]
    images = torch.randn(2, 3, 24, 40)
    assert torch.allclose(tiny(images).logits, folded(images).logits, atol=1e-5)
    assert not torch.equal(tiny.first[0].weight, folded.first[0].weight), "the original must stay as it is"


def test_a_network_that_looks_at_two_sizes_is_folded_as_one_that_looks_once(tiny, tmp_path):
    twice = Scales(tiny, (0.5,))
    images = torch.randn(1, 3, 32, 64)
    folded = fold_batchnorm(twice, images)
    assert [name for name, each in folded.named_modules() if isinstance(each, nn.BatchNorm2d)] == ["network.before"]
    assert torch.allclose(twice(images).logits, folded(images).logits, atol=1e-5)
    with pytest.raises(InputError, match="runs at one size only"):
        export(twice, ABOUT, ["max_logit"], tmp_path / "a.onnx")
    card = export(twice, ABOUT, ["max_logit"], tmp_path / "a.onnx", size=(32, 64))
    assert all(each < 1e-4 for name, each in card.parity.items() if name.startswith(("onnxruntime", "openvino")))
    held = onnx.load(tmp_path / "a.onnx").graph
    weights = [each for each in held.initializer if len(each.dims) == 4 and max(each.dims) > 1]
    assert len({each.name for each in weights}) == len(weights)
    once = export(tiny, ABOUT, ["max_logit"], tmp_path / "b.onnx", size=(32, 64))
    assert once.scores == card.scores
    alone = (tmp_path / "b.onnx").stat().st_size
    assert (tmp_path / "a.onnx").stat().st_size < 1.5 * alone, "the weights are there once"


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_a_file_that_differs_is_not_written(tiny, tmp_path, monkeypatch, engine):
    make = ENGINES[engine]

    def wrong(path, threads):
        card, run = make(path, threads)
        return card, lambda *given, **how: [x + np.float32(3e-4) * (x == x.max()) for x in run(*given, **how)]

    monkeypatch.setitem(ENGINES, engine, wrong)
    with pytest.raises(InputError, match=rf"{engine} differs from torch at 96 x 144: msp is off by up to 0.000"):
        export(tiny, ABOUT, ["msp"], tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


def test_an_older_file_survives_a_refusal(tiny, tmp_path, monkeypatch):
    out = tmp_path / "a.onnx"
    out.write_bytes(b"older")
    monkeypatch.setattr(parity, "TOLERANCE", 0.0)
    with pytest.raises(InputError, match="nothing was written"):
        export(tiny, ABOUT, ["energy"], out)
    assert out.read_bytes() == b"older"


def test_nothing_of_the_machine_is_in_the_file(tiny, tmp_path):
    out = tmp_path / "a.onnx"
    export(tiny, ABOUT, ["msp"], out)
    content = out.read_bytes()
    for trace in (b"site-packages", b"torch/", b".py", str(tmp_path).encode()):
        assert trace not in content
    assert json.loads(onnx.load(out).metadata_props[0].value)["name"] == "a"


def test_bad_requests_are_one_line(tiny, tmp_path):
    out = tmp_path / "a.onnx"
    cases = [
        ({"scores": ["mps"]}, "no score called 'mps'; did you mean 'msp'"),
        ({"scores": []}, "no score to export"),
        (
            {"scores": ["msp"], "weight_storage": "int4"},
            "weight_storage 'int4'; expected one of: float32, float16, int8",
        ),
        ({"scores": ["msp"], "upsample": "maps"}, "expected 'score' or 'logits'"),
        ({"scores": ["mutual_information"]}, "several members"),
        ({"scores": ["msp"], "network": Odin(tiny, known=3)}, "export --scores max_logit"),
        ({"scores": ["msp"], "out": tmp_path / "none" / "a.onnx"}, "there is no such folder"),
        ({"scores": ["msp"], "about": {**ABOUT, "classes": ["a"]}}, "the network has 4 outputs; expected 1 classes"),
    ]
    for given, message in cases:
        arguments = {"network": tiny, "about": ABOUT, "out": out} | given
        with pytest.raises(InputError, match=message) as caught:
            export(**arguments)
        assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_constant_slopes_are_the_same_function():
    torch.manual_seed(0)
    network = nn.Sequential(nn.PReLU(init=0.3), nn.Sequential(nn.PReLU(4)))
    x = torch.randn(2, 4, 3, 3)
    expected = network(x)
    changed = constant_slopes(network)
    assert isinstance(changed[0], nn.LeakyReLU)
    assert isinstance(changed[1][0], nn.PReLU)
    assert torch.equal(changed(x), expected)
