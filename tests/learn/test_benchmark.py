"""Checkpoints under `oddroad benchmark`: PyTorch's modes, measured and named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from oddroad.cli.main import main
from oddroad.errors import InputError
from oddroad.learn import benchmark
from oddroad.learn.benchmark import Setting, measure, prepare, public_score
from oddroad.learn.checkpoints.format import save_checkpoint
from oddroad.learn.networks import NETWORKS
from oddroad.learn.outputs import Outputs
from oddroad.learn.scores import SCORES
from oddroad.types import CITYSCAPES_CLASSES


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network with random weights."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("net") / "net.ckpt"
    about = {"network": "erfnet", "arguments": {}, "normalisation": "unit", "classes": list(CITYSCAPES_CLASSES)}
    save_checkpoint(path, NETWORKS["erfnet"](), about)
    return path


def test_the_verb_measures_checkpoints_in_every_mode_asked_for(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--mode", "eager", "bfloat16", "cuda_graph", "--size", "32x64", "--seconds", "0.05", "--threads", "1"]
    assert main(["benchmark", str(checkpoint), *words]) == 0
    text = capsys.readouterr().out
    found = json.loads(text.splitlines()[-1])
    able = bool(benchmark.BFLOAT16.intersection(found["processor"]["flags"]))
    said = [(row["engine"], row["precision"]) for row in found["rows"]]
    assert said[0] == ("torch eager on cpu", "float32")
    assert said[1:] == ([("torch bfloat16 on cpu", "bfloat16 and float32")] if able else [])
    for row in found["rows"]:
        stages = row["stages"]
        assert list(stages) == ["network", "score", "frame"]
        assert stages["frame"]["mean"] == pytest.approx(stages["network"]["mean"] + stages["score"]["mean"], rel=0.01)
        assert stages["frame"]["count"] >= 5
        assert row["fps_without_overlap"] == pytest.approx(1e3 / stages["frame"]["mean"], rel=0.02)
        assert (row["network"], row["threads"], row["frame_size"]) == ("erfnet", 1, [32, 64])
        assert row["peak_mb"] > 50
    assert found["left_out"][-1] == "mode 'cuda_graph' needs --device cuda"
    assert able == (len(found["left_out"]) == 1)
    assert "of network and score alone" in text


def test_bfloat16_is_refused_where_the_processor_lacks_it(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for flags, fine in ((["avx2", "avx512_vnni"], False), (["avx2", "avx512_bf16"], True)):
        monkeypatch.setattr(benchmark, "processor", lambda flags=flags: {"flags": flags})
        setting = benchmark.Setting(str(checkpoint), "bfloat16", "cpu", (32, 64), 1, 0.05)
        if fine:
            assert benchmark.device_for(setting, benchmark.MODES["bfloat16"]).type == "cpu"
        else:
            with pytest.raises(InputError, match="this processor has no bfloat16"):
                benchmark.device_for(setting, benchmark.MODES["bfloat16"])


@pytest.mark.parametrize("mode", ["eager", "channels_last", "bfloat16"])
def test_a_mode_computes_the_same(mode: str) -> None:
    torch.manual_seed(1)
    network = NETWORKS["erfnet"]().eval()
    images = torch.rand(1, 3, 32, 64)
    with torch.inference_mode():
        expected = network(images).logits
        run, _ = prepare(network, benchmark.MODES[mode], torch.device("cpu"))
        logits = run(images).float()
    assert torch.allclose(logits, expected, atol=0.1 if mode == "bfloat16" else 1e-4)


def test_the_public_score_is_msp() -> None:
    logits = torch.randn(2, 19, 5, 7)
    assert torch.allclose(public_score(logits), SCORES["msp"](Outputs(logits)), atol=1e-6)


@pytest.mark.parametrize(
    ("mode", "device", "message"),
    [
        ("eager", "tpu", "device 'tpu'; expected 'cpu' or 'cuda'"),
        ("faster", "cpu", "no mode called 'faster'"),
        ("cuda_graph", "cpu", "mode 'cuda_graph' needs --device cuda"),
    ],
)
def test_what_cannot_be(mode: str, device: str, message: str, checkpoint: Path) -> None:
    with pytest.raises(InputError, match=message):
        measure(Setting(str(checkpoint), mode, device, (32, 64), 1, 0.1))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA here")
def test_cuda_that_is_not_there(checkpoint: Path) -> None:
    with pytest.raises(InputError, match="no CUDA device is there"):
        measure(Setting(str(checkpoint), "eager", "cuda", (32, 64), 1, 0.1))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_tells_its_memory(checkpoint: Path) -> None:
    row = measure(Setting(str(checkpoint), "eager", "cuda", (64, 128), 1, 0.1))
    assert 0 < row["gpu_allocated_mb"] <= row["gpu_reserved_mb"]
