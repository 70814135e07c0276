"""The portable form: plain operators of opset 13 that give the same map, or nothing."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from small_networks import TINY_ABOUT
from torch import nn

from oddroad.benchmarking.profile import parts
from oddroad.card import Card
from oddroad.cli.main import main
from oddroad.errors import InputError
from oddroad.files import sha256_of
from oddroad.inference.common import read_head
from oddroad.inference.integrity import digest_of, with_card
from oddroad.inference.model import Model, find_model
from oddroad.learn.export import portable
from oddroad.learn.export.onnx import export
from oddroad.learn.export.opset13 import PLAIN, lower
from oddroad.learn.export.parity import scene
from oddroad.learn.export.portable import export_portable
from oddroad.learn.export.static_graph import make_static
from oddroad.learn.outputs import Outputs


class Light(nn.Module):
    """A network as small encoders are: depthwise convolutions, ReLU6, a pyramid with both kinds of resizing."""

    stride, multiple = 2, 4

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU6())
        self.deep = nn.Sequential(nn.Conv2d(8, 8, 3, 2, 1, groups=8), nn.BatchNorm2d(8), nn.ReLU6(), nn.Conv2d(8, 8, 1))
        self.head, self.outlier = nn.Conv2d(8, 3, 1), nn.Conv2d(8, 1, 1)

    def forward(self, images):
        fine = self.first(images)
        deep = self.deep(fine)
        near, smooth = (F.interpolate(deep, scale_factor=2, mode=mode) for mode in ("nearest", "bilinear"))
        features = fine + near + smooth
        return Outputs(self.head(features), features, outlier=self.outlier(features)[:, 0])


class Sampling(Light):
    """A network with an operator that few runtimes have."""

    def forward(self, images):
        grid = F.affine_grid(
            torch.eye(2, 3)[None], [1, 8, images.shape[2] // 2, images.shape[3] // 2], align_corners=False
        )
        features = F.grid_sample(self.first(images), grid, align_corners=False)
        return Outputs(self.head(features), features, outlier=self.outlier(features)[:, 0])


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    out = tmp_path_factory.mktemp("portable") / "twin.onnx"
    export_portable(find_model("default-fp32"), out)
    return out


def exported(network, about, scores, folder, **options):
    torch.manual_seed(0)
    whole = folder / "whole.onnx"
    export(network().eval(), about, scores, whole, size=(48, 80), **options)
    return whole


def kinds(path):
    return Counter(node.op_type for node in onnx.load(path).graph.node)


def test_the_embedded_file_becomes_plain(twin):
    model = onnx.load(twin)
    onnx.checker.check_model(model, full_check=True)
    assert [(each.domain, each.version) for each in model.opset_import] == [("", 13)]
    assert kinds(twin) == {"Conv": 58, "Clip": 32, "Relu": 4, "Add": 12, "Sub": 1, "Resize": 3}
    (given,) = model.graph.input
    assert (given.name, given.type.tensor_type.elem_type) == ("image", TensorProto.FLOAT)
    assert [side.dim_value for side in given.type.tensor_type.shape.dim] == [1, 3, 320, 640]
    made = {each.name: [side.dim_value for side in each.type.tensor_type.shape.dim] for each in model.graph.output}
    assert made == {"outlier_head": [1, 1, 80, 160], "logits": [1, 19, 80, 160]}
    held = {each.name: each.data_type for each in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Conv":
            assert [held[name] for name in node.input[1:]] == [TensorProto.FLOAT] * (len(node.input) - 1)
    assert {held[name] for name in held} <= {TensorProto.FLOAT, TensorProto.INT64}


def test_the_card_is_in_the_file_and_beside_it(twin):
    data, whole = twin.read_bytes(), Model("default-fp32").card
    stated, true = digest_of(data)
    assert stated == true
    (inside,) = (Card.from_json(each.value) for each in onnx.load(twin).metadata_props)
    beside = json.loads(twin.with_suffix(".json").read_text())
    assert beside["sha256"] == sha256_of(twin)
    assert Card.from_json(json.dumps(beside["card"])) == inside
    assert inside.portable
    assert (inside.thresholds, inside.size, inside.weight_storage) == (whole.thresholds, (320, 640), "float32")
    assert beside["input"] | {"resize": ""} == {
        "name": "image", "shape": [1, 3, 320, 640], "layout": "NCHW", "type": "float32", "channels": "RGB",
        "range": [0, 255], "resize": "", "normalisation": "inside the graph",
    }  # fmt: skip
    score, logits = beside["outputs"]
    assert (score["name"], score["threshold"]) == ("outlier_head", whole.thresholds["outlier_head"])
    assert (logits["name"], logits["kind"], "threshold" in logits) == ("logits", "logits", False)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_the_same_map_comes_from_it(twin, frames, engine):
    whole, plain = Model("default-fp32", "onnxruntime", 1), Model(twin, engine, 1)
    for image in (frames[0].image, scene(320, 640, 0)[0]):
        wanted = whole.outputs(image, ["outlier_head", "classes"])
        found = plain.outputs(image, ["outlier_head", "classes"])
        assert np.abs(found["outlier_head"] - wanted["outlier_head"]).max() < 1e-4
        assert found["classes"].dtype == np.uint8
        assert (found["classes"] != wanted["classes"]).mean() < 1e-3
    assert plain.outputs(image, ["logits"])["logits"].shape == (19, 80, 160)
    assert plain.low_res(image, ["outlier_head"])["outlier_head"].shape == (80, 160)


def test_it_is_profiled_like_any_other(twin, frames):
    for engine in ("onnxruntime", "openvino"):
        found = parts(Model(twin, engine, 1), [each.image for each in frames[:2]], "outlier_head", 1)
        assert len(found["network"]) == 1
        assert found["network"][0] > found["resize"][0] > 0
        assert found["score"][0] > 0


def test_a_small_encoder_its_scores_and_blue_first(tmp_path):
    about, plain = TINY_ABOUT | {"normalisation": "imagenet:bgr"}, tmp_path / "plain.onnx"
    names = ["energy", "joint", "classes"]
    whole = exported(Light, about, names[:2], tmp_path, classes=True, temperature=2.0)
    card = export_portable(whole, plain)
    assert set(kinds(plain)) <= PLAIN
    assert set(kinds(whole)) - PLAIN
    assert all(value < 1e-5 for key, value in card.parity.items() if key.endswith("48x80"))
    constants = {each.name: numpy_helper.to_array(each) for each in onnx.load(plain).graph.initializer}
    clips = [node for node in onnx.load(plain).graph.node if node.op_type == "Clip"]
    assert [[float(constants[name]) for name in node.input[1:]] for node in clips] == [[0, 6], [0, 6]]
    image = scene(48, 80, 1)[0]
    wanted, found = (Model(path).outputs(image, names) for path in (whole, plain))
    for name in names[:2]:
        assert np.abs(wanted[name] - found[name]).max() < 1e-5, name
    assert (wanted["classes"] == found["classes"]).all()
    assert np.abs(wanted["energy"] - Model(whole)(image[..., ::-1].copy())).max() > 1e-3, "the order must matter"


def test_what_cannot_be_portable_is_refused_by_name(tmp_path, twin):
    whole = exported(Sampling, TINY_ABOUT, ["outlier_head"], tmp_path)
    out, any_size = tmp_path / "out.onnx", tmp_path / "any.onnx"
    any_size.write_bytes(with_card(whole.read_bytes(), replace(read_head(whole)[0], size=None)))
    cases = [
        (whole, out, r"not portable: the network uses GridSample \(1, first"),
        (any_size, out, "takes images of any size and a portable file has one"),
        (find_model("default"), out, "INT8 file, which few runtimes compute right"),
        (twin, out, "is portable already"),
        (whole, tmp_path / "out.bin", "ends in .onnx"),
        (whole, tmp_path / "none" / "out.onnx", "there is no such folder"),
    ]
    before = sorted(tmp_path.iterdir())
    for source, to, message in cases:
        with pytest.raises(InputError, match=message) as caught:
            export_portable(source, to)
        assert "\n" not in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


def test_a_file_that_differs_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(portable, "TOLERANCE", 1e-9)
    with pytest.raises(InputError, match=r"another outlier_head in openvino: off by .*e-0[67] .*; nothing was written"):
        export_portable(find_model("default-fp32"), tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


def lowered(nodes, constants, shape=(1, 6, 8, 10)):
    """A graph of opset 18 as it is and in opset 13, and what both give of noise."""
    held = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    given, made = (helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", shape), ("y", None)))
    first = helper.make_model(
        helper.make_graph(nodes, "g", [given], [made], held), opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    )
    second = onnx.ModelProto.FromString(first.SerializeToString())
    second = make_static(second)
    lower(second)
    second = make_static(second)
    onnx.checker.check_model(second, full_check=True)
    noise = np.random.default_rng(0).normal(0, 3, shape).astype(np.float32)
    run = [
        onnxruntime.InferenceSession(each.SerializeToString()).run(None, {"x": noise})[0] for each in (first, second)
    ]
    return second, *run


ONE = np.array([1], np.int64)
NODE = helper.make_node
SMOOTH = {"mode": "linear", "antialias": 0, "coordinate_transformation_mode": "half_pixel"}


@pytest.mark.parametrize(
    ("nodes", "constants"),
    [
        ([NODE("ReduceLogSumExp", ["x", "a"], ["y"], keepdims=1)], {"a": ONE}),
        ([NODE("ReduceLogSumExp", ["x", "a"], ["m"], keepdims=0), NODE("Unsqueeze", ["m", "a"], ["y"])], {"a": ONE}),
        ([NODE("ReduceSum", ["x", "a"], ["y"])], {"a": ONE}),
        ([NODE("ReduceMean", ["x", "a"], ["y"])], {"a": np.array([2, 3])}),
        ([NODE("Slice", ["x", "a", "b", "a"], ["y"])], {"a": ONE, "b": np.array([4])}),
        (
            [NODE("Gather", ["x", "i"], ["m"], axis=1), NODE("Unsqueeze", ["m", "a"], ["y"])],
            {"a": ONE, "i": np.array(2)},
        ),
        ([NODE("HardSwish", ["x"], ["y"])], {}),
        ([NODE("Reciprocal", ["x"], ["y"])], {}),
        ([NODE("Resize", ["x", "", "s"], ["y"], **SMOOTH)], {"s": np.array([1, 1, 2, 2], np.float32)}),
        (
            [
                NODE("ReduceMax", ["x", "a"], ["m"], keepdims=0), NODE("Neg", ["m"], ["n"]),
                NODE("Add", ["m", "n"], ["o"]), NODE("Sub", ["o", "c"], ["p"]),
                NODE("Unsqueeze", ["p", "a"], ["q"]), NODE("Mul", ["q", "x"], ["y"]),
            ],
            {"a": ONE, "c": np.float32(0.5)},
        ),
    ],
)  # fmt: skip
def test_opset_13_says_the_same(nodes, constants):
    model, wanted, found = lowered(nodes, constants)
    assert {node.op_type for node in model.graph.node} <= PLAIN | {"Identity"}
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= 2e-6 * max(1, np.abs(wanted).max())


def test_a_slice_that_turns_round_stays():
    constants = {"f": np.array([-1]), "t": np.array([-100]), "a": np.array([3]), "s": np.array([-1])}
    model, wanted, found = lowered(
        [NODE("Slice", ["x", "f", "t", "a", "s"], ["m"]), NODE("Neg", ["m"], ["y"])], constants
    )
    assert [node.op_type for node in model.graph.node] == ["Slice", "Neg"]
    assert np.array_equal(wanted, found)


def test_antialiasing_is_refused():
    how = SMOOTH | {"antialias": 1}
    with pytest.raises(InputError, match="antialiased"):
        lowered([NODE("Resize", ["x", "", "s"], ["y"], **how)], {"s": np.array([1, 1, 0.5, 0.5], np.float32)})


def test_the_command(tmp_path, capsys):
    out = tmp_path / "a.onnx"
    assert main(["export", "default-fp32", "--for", "portable", "--out", str(out)]) == 0
    assert out.is_file()
    assert out.with_suffix(".json").is_file()
    assert "input 1x3x320x640, portable" in capsys.readouterr().out
    for words, message in (
        (["default-fp32", "--scores", "msp"], "exported already; scores, size and the like are for a checkpoint"),
        (["a.ckpt"], "--for portable needs one size; pass --size HxW"),
        (["a.ckpt", "--size", "64x64", "--weight-storage", "int8"], "--weight-storage int8 is for files without --for"),
        (
            ["a.ckpt", "--size", "64x64", "--precision", "int8"],
            "--precision int8 is not for a",
        ),
    ):
        assert main(["export", *words, "--for", "portable", "--out", str(tmp_path / "b.onnx")]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "b.onnx").exists()
