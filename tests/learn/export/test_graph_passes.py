"""Surgery on graphs: every step gives the same function, and does what it is for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from small_networks import TINY_ABOUT as ABOUT
from small_networks import Tiny

from oddroad.inference.common import read_head
from oddroad.inference.engines import ENGINES
from oddroad.inference.host_resize import LOW_RES, HostResize
from oddroad.learn.detector import Detector
from oddroad.learn.export.graph_passes import (
    deduplicate_weights,
    fold_mean_into_padding,
    fold_normalisation,
    give_each_its_weights,
    normalisation,
    tidy,
)
from oddroad.learn.export.module_passes import fold_batchnorm
from oddroad.learn.export.onnx import export, trace, write
from oddroad.learn.export.parity import scene
from oddroad.learn.export.qdq_passes import back_to_float, make_fast
from oddroad.learn.export.quantisers import QUANTISERS, convolutions, outside
from oddroad.learn.networks.erfnet import Downsampler
from oddroad.learn.networks.wrapped import Scales
from oddroad.learn.outputs import Outputs
from oddroad.learn.scores import SCORES

SIZE = (64, 96)
NAMES = ["max_logit", "energy"]
TABLE = {name: SCORES[name] for name in NAMES}


class First(torch.nn.Module):
    """A convolution that extends the image by one pixel."""

    stride, multiple = 2, 1

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(3, 8, 3, 2, 1)

    def forward(self, images: torch.Tensor) -> Outputs:
        return Outputs(self.first(images))


class Pooled(torch.nn.Module):
    """A convolution beside a maximum, as ERFNet begins."""

    stride, multiple = 2, 2

    def __init__(self) -> None:
        super().__init__()
        self.first = Downsampler(3, 8)

    def forward(self, images: torch.Tensor) -> Outputs:
        return Outputs(self.first(images))


@pytest.fixture(scope="module")
def network() -> Tiny:
    torch.manual_seed(0)
    network = Tiny()
    for _ in range(4):
        network.train()(torch.randn(2, 3, 64, 64))
    return network.eval()


@pytest.fixture(scope="module")
def file(network: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The float32 file."""
    path = tmp_path_factory.mktemp("graph") / "float.onnx"
    export(network, ABOUT, NAMES, path, size=SIZE)
    return path


def maps(model: onnx.ModelProto, image: np.ndarray, folder: Path, engine: str = "onnxruntime") -> np.ndarray:
    """The first score by the graph alone."""
    path = folder / "graph.onnx"
    card = ENGINES["onnxruntime"](folder / "card.onnx", 1)[0]
    write(model, card, path)
    return ENGINES[engine](path, 1)[1](image, NAMES[:1], inside=True)[0]


@pytest.fixture(scope="module")
def traced(network: Tiny) -> Callable[[str], onnx.ModelProto]:
    """The network's graph by its normalisation, traced once; each caller gets a copy."""

    @cache
    def serialised(kind: str) -> bytes:
        return trace(Detector(network, TABLE, kind, SIZE).eval()).SerializeToString()

    return lambda kind: onnx.ModelProto.FromString(serialised(kind))


@pytest.fixture(scope="module")
def bordered() -> Callable[[tuple[int, int]], onnx.ModelProto]:
    """The graph of ``First`` by its size, traced once; each caller gets a copy."""
    torch.manual_seed(0)
    network = First()

    @cache
    def serialised(size: tuple[int, int]) -> bytes:
        return trace(Detector(network, TABLE, "imagenet", size).eval()).SerializeToString()

    return lambda size: onnx.ModelProto.FromString(serialised(size))


@pytest.fixture
def folder(tmp_path: Path, file: Path) -> Path:
    """A folder with a file whose card is that of the graphs."""
    (tmp_path / "card.onnx").write_bytes(file.read_bytes())
    return tmp_path


def kinds(model: onnx.ModelProto) -> Counter[str]:
    """How many nodes there are of each kind."""
    return Counter(node.op_type for node in model.graph.node)


class TestNormalisation:
    @pytest.mark.parametrize("how", [{}, {"flip_tta": True}])
    @pytest.mark.parametrize("kind", ["unit", "imagenet"])
    def test_it_is_folded(
        self, network: Tiny, traced: Callable[[str], onnx.ModelProto], folder: Path, kind: str, how: dict
    ) -> None:
        model = trace(Detector(network, TABLE, kind, SIZE, **how).eval()) if how else traced(kind)
        before = maps(model, scene(70, 90, 0), folder)
        looks = 1 + len(how)  # each divides by itself, and the first convolution has one set of weights
        assert [len(each) for each in normalisation(model.graph)] == [looks, looks]
        fold_normalisation(model)
        left = 0 if kind == "unit" else looks  # a mean of zero goes as well
        assert [len(each) for each in normalisation(model.graph)] == [left, 0]
        np.testing.assert_allclose(maps(model, scene(70, 90, 0), folder), before, atol=1e-4)

    @pytest.mark.parametrize("kind", ["unit", "imagenet"])
    def test_it_is_folded_through_a_maximum(self, folder: Path, kind: str) -> None:
        model = trace(Detector(fold_batchnorm(Pooled(), torch.rand(1, 3, 8, 8)), TABLE, kind, SIZE).eval())
        before = maps(model, scene(70, 90, 0), folder)
        fold_normalisation(model)
        assert len(normalisation(model.graph)[1]) == 0
        assert kinds(model)["MaxPool"] == 1
        np.testing.assert_allclose(maps(model, scene(70, 90, 0), folder), before, atol=1e-4)

    def test_it_is_folded_where_the_image_is_made_smaller(self, folder: Path) -> None:
        torch.manual_seed(0)
        model = trace(Detector(Scales(First(), (0.5,)), TABLE, "imagenet", SIZE).eval())
        before = maps(model, scene(70, 90, 0), folder)
        fold_normalisation(model)
        assert len(normalisation(model.graph)[1]) == 0
        np.testing.assert_allclose(maps(model, scene(70, 90, 0), folder), before, atol=1e-4)

    def test_each_convolution_gets_weights_of_its_own(self, folder: Path) -> None:
        torch.manual_seed(0)
        model = trace(Detector(Scales(First(), (0.5,)), TABLE, "imagenet", SIZE).eval())
        before = maps(model, scene(70, 90, 0), folder)

        def read() -> list[str]:
            return [name for node in model.graph.node if node.op_type == "Conv" for name in node.input[1:]]

        assert len(set(read())) == 2
        give_each_its_weights(model)
        assert len(set(read())) == len(read()) == 4
        np.testing.assert_array_equal(maps(model, scene(70, 90, 0), folder), before)
        deduplicate_weights(model)
        assert len(set(read())) == 2
        np.testing.assert_array_equal(maps(model, scene(70, 90, 0), folder), before)

    def test_weights_that_are_stored_in_8_bits_are_left_alone(self, traced: Callable[[str], onnx.ModelProto]) -> None:
        model = traced("imagenet")
        fold_normalisation(model, ["network.first.0.weight"])
        assert len(normalisation(model.graph)[1]) == 1

    def test_weights_that_something_else_reads_are_left_alone(self, traced: Callable[[str], onnx.ModelProto]) -> None:
        model = traced("imagenet")
        (convolution,) = (node for node in model.graph.node if "network.first.0.weight" in node.input)
        model.graph.node.append(onnx.helper.make_node("Identity", [convolution.input[1]], ["other"]))
        model.graph.output.append(onnx.helper.make_tensor_value_info("other", onnx.TensorProto.FLOAT, None))
        fold_normalisation(model)
        assert len(normalisation(model.graph)[1]) == 1

    @pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
    @pytest.mark.parametrize("size", [(64, 96), (65, 97)])
    def test_the_mean_goes_into_a_border(
        self, bordered: Callable[[tuple[int, int]], onnx.ModelProto], folder: Path, engine: str, size: tuple[int, int]
    ) -> None:
        model = bordered(size)
        image = scene(80, 100, 0)
        before = maps(model, image, folder, engine)
        fold_normalisation(model)
        fold_mean_into_padding(model, size)
        tidy(model)
        assert normalisation(model.graph) == ([], [])
        assert sum(node.name.startswith("border") for node in model.graph.node) == 2
        np.testing.assert_allclose(maps(model, image, folder, engine), before, atol=1e-4)


class TestCoarse:
    def test_each_score_is_there_at_the_stride_of_the_network(self, file: Path) -> None:
        names = {each.name for each in onnx.load(file).graph.output}
        assert names == {*NAMES, *(name + LOW_RES for name in NAMES)}
        run = ENGINES["onnxruntime"](file, 1)[1]
        (small,) = run(scene(*SIZE, 0), [NAMES[0] + LOW_RES], inside=True)
        assert small.shape == (1, 1, SIZE[0] // 4, SIZE[1] // 4)

    @pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
    @pytest.mark.parametrize("size", [SIZE, (51, 150), (300, 40)])
    def test_opencv_enlarges_as_the_graph_does(self, file: Path, engine: str, size: tuple[int, int]) -> None:
        run = ENGINES[engine](file, 1)[1]
        image = scene(*size, 1)
        for ours, theirs in zip(run(image, NAMES), run(image, NAMES, inside=True), strict=True):
            assert ours.shape == theirs.shape == (1, *size)
            np.testing.assert_allclose(ours, theirs, atol=2e-5 * max(1, np.abs(theirs).max()))

    def test_float_files_get_images_as_they_are_and_8_bit_files_at_their_size(self, file: Path) -> None:
        card, outputs = read_head(file)
        image = scene(80, 200, 0)
        assert HostResize.of(card, outputs).before(image) is image
        assert HostResize.of(replace(card, precision="int8"), outputs).before(image).shape == (1, *SIZE, 3)
        assert HostResize.of(replace(card, precision="int8", size=None), outputs).before(image) is image


class TestQuantised:
    @pytest.fixture(scope="class", params=list(QUANTISERS))
    def pair(self, request: pytest.FixtureRequest, file: Path) -> tuple[onnx.ModelProto, onnx.ModelProto]:
        """The graph before and after quantisation."""
        by = request.param
        model = onnx.load(file)
        fold_mean_into_padding(model, SIZE)
        images = [scene(*SIZE, seed) for seed in range(3)]
        return model, QUANTISERS[by](model, images, outside(model))

    def test_only_the_network_is_quantised(self, pair: tuple[onnx.ModelProto, onnx.ModelProto]) -> None:
        left = {node.name for node in pair[0].graph.node} - set(outside(pair[0]))
        kinds_inside = {node.op_type for node in pair[0].graph.node if node.name in left}
        assert kinds_inside <= {"Conv", "ConvTranspose", "Relu", "Add", "Mul", "Resize", "BatchNormalization"}
        assert len(left & set(convolutions(pair[0]))) == len(convolutions(pair[0]))
        assert not any(name.startswith("border") for name in left)

    @pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
    def test_made_fast_it_is_the_same_function(
        self, pair: tuple[onnx.ModelProto, onnx.ModelProto], folder: Path, engine: str
    ) -> None:
        original, quantised = pair
        fast = onnx.ModelProto.FromString(quantised.SerializeToString())
        make_fast(fast)
        deduplicate_weights(fast)
        onnx.checker.check_model(fast)
        image = scene(*SIZE, 5)
        exact, before = (maps(each, image, folder, engine) for each in (original, quantised))
        after = maps(fast, image, folder, engine)
        rounding = np.abs(before - exact).mean()
        assert 0 < rounding < 0.3 * exact.std()
        assert np.abs(after - exact).mean() < 2 * rounding
        assert np.abs(after - before).mean() < 2 * rounding

    def test_pixels_stay_as_they_are(self, pair: tuple[onnx.ModelProto, onnx.ModelProto]) -> None:
        fast = onnx.ModelProto.FromString(pair[1].SerializeToString())
        make_fast(fast)
        held = {each.name: onnx.numpy_helper.to_array(each) for each in fast.graph.initializer}
        made = {name: node for node in fast.graph.node for name in node.output}
        (quantise,) = (node for node in fast.graph.node if any(each.endswith(".seen") for each in node.output))
        assert held[quantise.input[1]] == 1
        assert held[quantise.input[2]] == 0
        (dequantise,) = (node for node in fast.graph.node if "border.pixels" in node.input)
        (first,) = (node for node in fast.graph.node if dequantise.output[0] in node.input)
        weight = held[made[first.input[1]].input[0]]
        assert weight.shape[1] == 4
        assert not weight[:, 3].any()

    def test_all_parts_back_in_float_is_the_original(
        self, pair: tuple[onnx.ModelProto, onnx.ModelProto], folder: Path
    ) -> None:
        original, quantised = pair
        image = scene(*SIZE, 5)
        exact = maps(original, image, folder)
        names = list(convolutions(original))
        off = [
            np.abs(maps(back_to_float(quantised, original, names[:count]), image, folder) - exact).mean()
            for count in (0, len(names))
        ]
        assert off[1] < 0.75 * off[0]
        back = back_to_float(quantised, original, names)
        for node in back.graph.node:
            if node.op_type == "Conv":
                makers = [each.op_type for each in back.graph.node if node.input[0] in each.output]
                assert "DequantizeLinear" not in makers
