"""Engines beyond the processor's two: boards' own formats give the same map; devices that are not there are refused."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from oddroad import InputError, Model
from oddroad.card import Card
from oddroad.cli.common import EngineName
from oddroad.inference import engines, onnxruntime_engine, openvino_engine
from oddroad.inference.board_files import read_beside
from oddroad.inference.integrity import with_card
from oddroad.inference.model import find_model

SIZE = (32, 48)
WEIGHT = np.random.default_rng(5).normal(0, 0.02, (1, 3, 2, 2)).astype(np.float32)
BIAS = np.array([-3.0], np.float32)
CARD = Card("tiny", "conv", ("outlier_head",), SIZE, 2, ("road",), {"outlier_head": 0.5}, portable=True)
IMAGE = np.random.default_rng(6).integers(0, 256, (50, 60, 3), np.uint8)


def beside(path: Path, **changes: Any) -> Path:
    """Write the card beside a file."""
    about = {"outputs": [{"name": "outlier_head"}], "card": asdict(replace(CARD, **changes))}
    path.write_text(json.dumps(about))
    return path


@pytest.fixture
def twin(tmp_path: Path) -> Model:
    """The same detector as a portable ONNX file."""
    held = [numpy_helper.from_array(WEIGHT, "weight"), numpy_helper.from_array(BIAS, "bias")]
    node = helper.make_node("Conv", ["image", "weight", "bias"], ["outlier_head"], strides=[2, 2])
    given = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, *SIZE])
    made = helper.make_tensor_value_info("outlier_head", TensorProto.FLOAT, [1, 1, 16, 24])
    graph = helper.make_graph([node], "twin", [given], [made], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path = tmp_path / "twin.onnx"
    path.write_bytes(with_card(model.SerializeToString(), CARD))
    return Model(path)


@pytest.fixture
def ncnn_file(tmp_path: Path) -> Path:
    """It in ncnn's format."""
    path = tmp_path / "detector.param"
    path.write_text(
        "7767517\n2 2\nInput in0 0 1 in0\n"
        "Convolution conv 1 1 in0 out0 0=1 1=2 11=2 2=1 12=1 3=2 13=2 4=0 14=0 5=1 6=12\n"
    )
    path.with_suffix(".bin").write_bytes(np.uint32(0).tobytes() + WEIGHT.tobytes() + BIAS.tobytes())
    beside(tmp_path / "detector.json")
    return path


@pytest.fixture
def litert_file(tmp_path: Path) -> Path:
    """It in TensorFlow Lite's: channels last inside, the map as (1, 1, h, w)."""
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    import flatbuffers  # type: ignore[import-not-found]

    model = schema.ModelT()
    model.version, model.buffers, tensors = 3, [schema.BufferT()], []

    def tensor(name: str, shape: tuple[int, ...], values: np.ndarray | None = None) -> int:
        each, buffer = schema.TensorT(), schema.BufferT()
        each.name, each.shape, each.type, each.buffer = name, list(shape), schema.TensorType.FLOAT32, len(model.buffers)
        if values is not None:
            buffer.data = np.frombuffer(values.tobytes(), np.uint8)
            each.type = schema.TensorType.INT32 if values.dtype == np.int32 else each.type
        model.buffers.append(buffer)
        tensors.append(each)
        return len(tensors) - 1

    def operator(code: int, inputs: list[int], output: int, kind: int, options: Any) -> Any:
        each, known = schema.OperatorT(), schema.OperatorCodeT()
        known.builtinCode, known.deprecatedBuiltinCode, known.version = code, code, 1
        each.opcodeIndex, each.inputs, each.outputs = len(model.operatorCodes), inputs, [output]
        each.builtinOptionsType, each.builtinOptions = kind, options
        model.operatorCodes.append(known)
        return each

    model.operatorCodes = []
    image = tensor("image", (1, *SIZE, 3))
    weight = tensor("weight", (1, 2, 2, 3), np.ascontiguousarray(WEIGHT.transpose(0, 2, 3, 1)))
    bias, inner = tensor("bias", (1,), BIAS), tensor("inner", (1, 16, 24, 1))
    shape = tensor("shape", (4,), np.array([1, 1, 16, 24], np.int32))
    heat = tensor("outlier_head", (1, 1, 16, 24))
    conv, reshape, kinds = schema.Conv2DOptionsT(), schema.ReshapeOptionsT(), schema.BuiltinOptions
    conv.padding, conv.strideH, conv.strideW, conv.dilationHFactor, conv.dilationWFactor = (
        schema.Padding.VALID,
        2,
        2,
        1,
        1,
    )
    reshape.newShape = [1, 1, 16, 24]
    graph = schema.SubGraphT()
    graph.inputs, graph.outputs, graph.tensors = [image], [heat], tensors
    graph.operators = [
        operator(schema.BuiltinOperator.CONV_2D, [image, weight, bias], inner, kinds.Conv2DOptions, conv),
        operator(schema.BuiltinOperator.RESHAPE, [inner, shape], heat, kinds.ReshapeOptions, reshape),
    ]
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path = tmp_path / "tiny.tflite"
    path.write_bytes(bytes(builder.Output()))
    beside(tmp_path / "tiny.json")
    return path


def same_answers(model: Model, twin: Model) -> None:
    """Card, map and regions."""
    assert model.card == replace(twin.card, digest="")
    np.testing.assert_allclose(model(IMAGE), twin(IMAGE), rtol=1e-5, atol=1e-5)
    found, expected = model.detect(IMAGE, min_area=3), twin.detect(IMAGE, min_area=3)
    assert [each.box for each in found] == [each.box for each in expected]
    assert expected
    with pytest.raises(InputError, match="gives its maps alone"):
        model.with_features(IMAGE)
    with pytest.raises(InputError, match="does not compute in bfloat16"):
        Model(model.path, precision="bfloat16")


def test_ncnn_gives_the_same(ncnn_file: Path, twin: Model) -> None:
    pytest.importorskip("ncnn")
    for path in (ncnn_file, ncnn_file.parent):  # the folder that the exporter writes, too
        model = Model(path)
        assert model.engine == "ncnn"
        same_answers(model, twin)
    ncnn_file.with_suffix(".bin").unlink()
    with pytest.raises(InputError, match=r"there is no 'detector.bin' beside it"):
        Model(ncnn_file)


def test_ncnn_refuses_what_is_none(ncnn_file: Path) -> None:
    pytest.importorskip("ncnn")
    ncnn_file.write_text("no network\n")
    with pytest.raises(InputError, match="damaged or no ncnn file"):
        Model(ncnn_file)


def test_litert_gives_the_same(litert_file: Path, twin: Model) -> None:
    model = Model(litert_file)
    assert model.engine == "litert"
    same_answers(model, twin)
    litert_file.write_bytes(b"no network")
    with pytest.raises(InputError, match="damaged or no LiteRT file"):
        Model(litert_file)


def test_the_card_of_a_doubled_ending(tmp_path: Path) -> None:
    beside(tmp_path / "X.json")
    card, outputs = read_beside(tmp_path / "X.ncnn.param")
    assert (card, outputs) == (CARD, ["outlier_head"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "there is no 'X.json' beside it"),
        ("[", "is no card that"),
        ('{"outputs": []}', "is no card that"),
        (json.dumps({"outputs": [], "card": asdict(CARD)}), "names no output outlier_head"),
        (json.dumps({"outputs": [], "card": asdict(replace(CARD, portable=False))}), "that is not portable"),
    ],
)
def test_bad_cards_are_refused(tmp_path: Path, text: str | None, words: str) -> None:
    if text is not None:
        (tmp_path / "X.json").write_text(text)
    with pytest.raises(InputError, match=words):
        read_beside(tmp_path / "X.tflite")


def test_engines_fit_their_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert engines.choose_engine("auto", tmp_path / "a.onnx") == "onnxruntime"
    with pytest.raises(InputError, match=r"engine 'openvino' runs .onnx files and 'a.tflite' is none"):
        engines.choose_engine("openvino", tmp_path / "a.tflite")
    with pytest.raises(InputError, match=r"engine 'ncnn' runs .param files and 'a.onnx' is none"):
        engines.choose_engine("ncnn", tmp_path / "a.onnx")
    with pytest.raises(InputError, match="did you mean 'onnxruntime-cuda'"):
        engines.choose_engine("onnxruntime-cude")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ai_edge_litert" else object())
    assert engines.choose_engine("auto", tmp_path / "a.param") == "ncnn"
    with pytest.raises(InputError, match=r"pip install 'oddroad\[litert\]'"):
        engines.choose_engine("auto", tmp_path / "a.tflite")


def test_the_command_line_offers_every_engine() -> None:
    assert get_args(EngineName) == ("auto", *engines.every_engine())


class Providers:
    """A stand-in for a machine with a GPU: which providers ONNX Runtime has, and which of them start."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, there: list[str], starting: list[str]):
        import onnxruntime

        self.options: Any = None
        self.asked: list[Any] = []

        def session(data: Any, options: Any, providers: list[Any]) -> Any:
            self.options, self.asked = options, providers
            return type("Session", (), {"get_providers": lambda _: starting})()

        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: there)
        monkeypatch.setattr(onnxruntime, "InferenceSession", session)


CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"


def test_a_gpu_is_asked_for_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Providers(monkeypatch, [TENSORRT, CUDA, CPU], [TENSORRT, CUDA, CPU])
    assert Model("default-fp32", "onnxruntime-cuda").engine == "onnxruntime-cuda"
    assert seen.asked == [(CUDA, {"use_tf32": "0"}), CPU]
    Model("default-fp32", "onnxruntime-tensorrt")
    assert [each if isinstance(each, str) else each[0] for each in seen.asked] == [TENSORRT, CUDA, CPU]


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    Providers(monkeypatch, ["AzureExecutionProvider", CPU], [CPU])
    with pytest.raises(InputError, match=f"needs {CUDA} and this onnxruntime has AzureExecutionProvider, {CPU};"):
        Model("default-fp32", "onnxruntime-cuda")


def test_a_gpu_that_does_not_start_is_no_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    Providers(monkeypatch, [CUDA, CPU], [CPU])
    with pytest.raises(InputError, match=f"onnxruntime has {CUDA}, but it does not start here .*{CPU}"):
        Model("default-fp32", "onnxruntime-cuda")


def test_threads_wait_and_keep_their_arena(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("default", "default-fp32"):
        seen = Providers(monkeypatch, [CPU], [CPU])
        onnxruntime_engine.onnxruntime_engine(find_model(name), 2)
        assert seen.options.enable_cpu_mem_arena
        assert seen.options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


class Devices:
    """A stand-in for OpenVINO on a machine with these devices."""

    def __init__(self, *names: str):
        self.available_devices = list(names)

    def get_property(self, device: str, name: str) -> list[str]:
        """What each device computes in."""
        return ["FP32", "FP16", "INT8"]


def test_openvino_on_other_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    import openvino

    monkeypatch.setattr(openvino, "Core", lambda: Devices("CPU", "GPU.0", "GPU.1", "NPU"))
    assert openvino_engine.openvino_config(2, device="GPU") == {
        "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32",
    }  # fmt: skip
    assert openvino_engine.openvino_config(2, device="NPU", parallel=2) == {"PERFORMANCE_HINT": "THROUGHPUT"}
    assert openvino_engine.openvino_config(2)["INFERENCE_NUM_THREADS"] == 2
    monkeypatch.setattr(openvino, "Core", lambda: Devices("CPU"))
    for word in ("gpu", "npu"):
        with pytest.raises(InputError, match=f"'openvino-{word}' finds no {word.upper()} here; OpenVINO sees: CPU;"):
            Model("default-fp32", f"openvino-{word}")
