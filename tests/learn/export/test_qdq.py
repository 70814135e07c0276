"""Quantised graphs: what is repaired in them, what the checker finds, and rewritings that float32 does not see."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from onnx import helper
from torch import Tensor, nn

from oddroad.errors import InputError
from oddroad.learn.export import qdq_checks, qdq_repairs, rewritings, validation
from oddroad.learn.export.graph_passes import bypass, constant_of, maker, put_constant, readers
from oddroad.learn.export.onnx import export
from oddroad.learn.export.parity import scene
from oddroad.learn.export.quantisers import QUANTISERS, outside
from oddroad.learn.outputs import Outputs
from oddroad.types import CITYSCAPES_CLASSES

SIZE = (32, 64)
ABOUT: dict[str, Any] = {"network": "branches", "normalisation": "unit", "classes": list(CITYSCAPES_CLASSES)}
IMAGES = [scene(*SIZE, number) for number in range(3)]


class Branches(nn.Module):
    """What the quantiser meets in real networks, once each; one channel of the second layer is next to nothing."""

    stride = 1

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.filtered = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.projected = nn.Conv2d(8, 8, 1)
        self.mixed = nn.Conv2d(16, 8, 3, padding=1)
        self.logits = nn.Conv2d(8, 19, 1)
        self.outlier = nn.Conv2d(8, 1, 1)
        with torch.no_grad():
            self.first.weight *= torch.logspace(0, -1, 8).reshape(-1, 1, 1, 1)
            self.filtered.weight *= 20
            self.mixed.weight[3] *= 1e-13
            self.mixed.bias[3] = 1e-9

    def forward(self, images: Tensor) -> Outputs:
        """(N, 3, H, W) -> logits and outlier logit."""
        first = self.first(images).relu()
        summed = self.projected(F.relu6(self.filtered(first))) + first
        mixed = self.mixed(torch.cat([summed, F.max_pool2d(first, 3, 1, 1)], 1)).relu()
        return Outputs(self.logits(mixed), outlier=self.outlier(mixed)[:, 0])


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> onnx.ModelProto:
    """The float graph."""
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("branches") / "float.onnx"
    export(Branches(), ABOUT, ["outlier_head"], path, size=SIZE, classes=True)
    return onnx.load(path)


@pytest.fixture(scope="module")
def raw(original: onnx.ModelProto) -> onnx.ModelProto:
    """As ONNX Runtime's quantiser writes it."""
    return QUANTISERS["onnxruntime"](original, IMAGES, outside(original), False)


@pytest.fixture
def sound(raw: onnx.ModelProto, original: onnx.ModelProto) -> onnx.ModelProto:
    """Repaired."""
    return qdq_repairs.repair(raw, original)


def run(model: onnx.ModelProto, image: np.ndarray = IMAGES[0]) -> list[np.ndarray]:
    """Score and classes by ONNX Runtime as it prepares graphs by default."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found: Any = session.run(["outlier_head", "classes"], {"image": image})
    return found


def copy(model: onnx.ModelProto) -> onnx.ModelProto:
    """Another of the same."""
    return onnx.ModelProto.FromString(model.SerializeToString())


def test_repairs_that_change_no_value_give_the_same_to_the_bit(raw: onnx.ModelProto, original: onnx.ModelProto) -> None:
    repaired = copy(raw)
    del repaired.graph.value_info[:]
    qdq_repairs.restore_activations(repaired, original)
    assert sum(node.op_type in ("Relu", "Clip") for node in repaired.graph.node) == 3
    assert not any(node.op_type == "Relu" for node in raw.graph.node)
    qdq_repairs.match_shapes(repaired)
    repaired = qdq_repairs.newer_opset(repaired)
    for image in IMAGES:
        for one, other in zip(run(raw, image), run(repaired, image), strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_tool_that_drops_quantisers_still_has_the_network(sound: onnx.ModelProto, original: onnx.ModelProto) -> None:
    bare = copy(sound)
    for node in list(bare.graph.node):
        if node.op_type == "QuantizeLinear":
            for after in readers(bare.graph, node.output[0]):
                bypass(bare.graph, after)
            bypass(bare.graph, node)
    exact, found = run(original)[0], run(bare)[0]
    assert np.abs(found - exact).max() < 0.1 * exact.std()


def test_scores_and_classes_are_not_rounded(sound: onnx.ModelProto, original: onnx.ModelProto) -> None:
    assert not qdq_repairs.behind_convolutions(sound.graph)
    assert len(np.unique(run(sound)[0])) > 256
    assert (run(sound)[1] != run(original)[1]).mean() < 0.1


def test_relu6_is_rounded_behind_its_bounds(sound: onnx.ModelProto) -> None:
    (clip,) = [node for node in sound.graph.node if node.op_type == "Clip"]
    made = maker(sound.graph, clip.input[0])
    assert made is not None
    assert made.op_type == "Conv"
    (quantise,) = readers(sound.graph, clip.output[0])
    scale = constant_of(sound.graph, quantise.input[1])
    assert scale is not None
    assert float(scale) <= 6 / 255 + 1e-7


def test_a_channel_of_next_to_nothing_keeps_its_bias(
    raw: onnx.ModelProto, sound: onnx.ModelProto, original: onnx.ModelProto
) -> None:
    with pytest.raises(InputError, match=r"has a channel of scale .*e-1[0-9] beside one of"):
        qdq_checks.check(raw, original)
    node = next(node for node in original.graph.node if node.input[1:2] == ["network.mixed.weight"])
    now = next(each for each in sound.graph.node if each.name == node.name)
    dequantise = maker(sound.graph, now.input[2])
    assert dequantise is not None
    stored, scale = (constant_of(sound.graph, each) for each in dequantise.input[:2])
    true = constant_of(original.graph, node.input[2])
    assert stored is not None
    assert scale is not None
    assert true is not None
    np.testing.assert_allclose(stored * scale, true, atol=2 * float(np.median(scale)))


def lose_relu(model: onnx.ModelProto) -> None:
    """Leave a ReLU to the range."""
    node = next(node for node in model.graph.node if node.op_type == "Relu")
    before = maker(model.graph, node.input[0])
    assert before is not None
    before.output[0] = node.output[0]
    model.graph.node.remove(node)


def leak(model: onnx.ModelProto) -> None:
    """A ReLU of another slope."""
    node = next(node for node in model.graph.node if node.op_type == "Relu")
    node.op_type = "LeakyRelu"
    node.attribute.append(helper.make_attribute("alpha", 0.1))


def round_scores(model: onnx.ModelProto) -> None:
    """Quantise the outlier head's result."""
    graph = model.graph
    head = next(node for node in graph.node if node.op_type == "Conv" and "outlier" in node.input[1])
    put_constant(graph, "s", np.array(0.1, np.float32))
    put_constant(graph, "z", np.array(128, np.uint8))
    place = list(graph.node).index(head) + 1
    made, head.output[0] = head.output[0], "head"
    graph.node.insert(place, helper.make_node("QuantizeLinear", ["head", "s", "z"], ["q"], "q"))
    graph.node.insert(place + 1, helper.make_node("DequantizeLinear", ["q", "s", "z"], [made], "dq"))


def of_bias(model: onnx.ModelProto, change: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]) -> None:
    """Change scale and zero point of the outlier head's bias."""
    head = next(node for node in model.graph.node if node.op_type == "Conv" and "outlier" in node.input[1])
    dequantise = maker(model.graph, head.input[2])
    assert dequantise is not None
    scale, zero = (constant_of(model.graph, each) for each in dequantise.input[1:])
    assert scale is not None
    assert zero is not None
    dequantise.input[1], dequantise.input[2] = "other.scale", "other.zero"
    for name, value in zip(("other.scale", "other.zero"), change(scale, zero), strict=True):
        put_constant(model.graph, name, value)


BREAKS: dict[str, Callable[[onnx.ModelProto], None]] = {
    r"it is of opset 18, expected 19": lambda model: setattr(model.opset_import[0], "version", 18),
    r"Relu node_relu is gone": lose_relu,
    r"Relu node_relu has become a leaky one": leak,
    r"head, which no convolution reads, is rounded to INT8": round_scores,
    r"a scale of shape \(1,\) and a zero point of shape \(\)": lambda model: of_bias(
        model, lambda scale, zero: (scale.reshape(1), zero.reshape(()))
    ),
    r"the scale of .* is not above 0 everywhere": lambda model: of_bias(model, lambda scale, zero: (0 * scale, zero)),
    r"has a channel of scale 1e-12 beside one of 1;": lambda model: of_bias(
        model, lambda scale, zero: (np.array([1, 1e-12], np.float32), zero.repeat(2))
    ),
}


@pytest.mark.parametrize("words", BREAKS)
def test_the_checker_finds_each_fault(words: str, sound: onnx.ModelProto, original: onnx.ModelProto) -> None:
    qdq_checks.check(sound, original)
    BREAKS[words](sound)
    with pytest.raises(InputError, match=words):
        qdq_checks.check(sound, original)


@pytest.mark.parametrize("name", [name for name, exponents in rewritings.REWRITINGS.items() if exponents is not None])
def test_rewritings_are_exact(name: str, original: onnx.ModelProto) -> None:
    exponents = rewritings.REWRITINGS[name]
    assert exponents is not None
    other = rewritings.rewrite(original, exponents, IMAGES)
    before, after = (constant_of(each.graph, "network.first.weight") for each in (original, other))
    assert before is not None
    assert after is not None
    factors = (after / before).reshape(8, -1)
    assert set(np.unique(factors)) <= {1.0, 2.0, 4.0, 8.0, 16.0}
    assert len(np.unique(factors)) > 1
    for image in IMAGES:
        for one, two in zip(run(original, image), run(other, image), strict=True):
            np.testing.assert_array_equal(one, two)


def test_values_behind_a_bound_are_not_scaled(original: onnx.ModelProto) -> None:
    groups = rewritings.Groups(original.graph)
    (clip,) = [node for node in original.graph.node if node.op_type == "Clip"]
    members = groups.members()
    assert groups.root(groups.first[clip.input[0]]) not in members
    first = next(node for node in original.graph.node if node.op_type == "Relu")
    assert groups.root(groups.first[first.output[0]]) in members


def test_small_channels_are_made_larger() -> None:
    exponents = rewritings.evened(0.5)(np.array([1.0, 0.5, 0.25, 2.0**-6, 0.0]))
    np.testing.assert_array_equal(exponents, [0, 0, 1, 3, 4])


def test_frames_of_sharp_scenes_where_they_are(root: Path, tmp_path: Path) -> None:
    alone = validation.calibration_sets(root, 4, SIZE)
    assert set(alone) == {"scenes"}
    for each in root.iterdir():
        (tmp_path / each.name).symlink_to(each)
    for kind, picture in (("images", np.full((64, 128, 3), 90, np.uint8)), ("labels", np.zeros((64, 128), np.uint8))):
        (tmp_path / validation.SHARP / kind).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / validation.SHARP / kind / "a.png"), picture)
    found = validation.calibration_sets(tmp_path, 4, SIZE)
    assert {name: len(frames) for name, frames in found.items()} == {"scenes": 4, "scenes and sharp": 4}
    np.testing.assert_array_equal(found["scenes"], alone["scenes"])
    assert (found["scenes and sharp"][2] == 90).all()


def test_differences_of_maps() -> None:
    expected = [(np.array([[0.0, 2.0]]), np.array([[1, 2]])), (np.array([[0.0, 4.0]]), np.array([[1, 2]]))]
    found = [(np.array([[0.5, 2.5]]), np.array([[1, 1]])), (np.array([[0.0, 4.0]]), np.array([[1, 2]]))]
    off = validation.Difference.of(found, expected)
    assert (off.deviation, off.worst, off.classes) == (0.25, 0.5, 0.25)
