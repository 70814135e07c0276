"""8-bit files: what they cost is measured, layers that hurt stay in float32, and the report is in the card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from oddroad.card import describe
from oddroad.cli.main import main
from oddroad.errors import InputError
from oddroad.inference.model import Model, read_card
from oddroad.learn.checkpoints.format import save_checkpoint
from oddroad.learn.data import pasting
from oddroad.learn.export import candidates, parity, quantise, trials
from oddroad.learn.export.onnx import export
from oddroad.learn.export.quantise import export_int8
from oddroad.learn.export.quantisers import layers
from oddroad.learn.networks import NETWORKS
from oddroad.learn.outputs import Outputs
from oddroad.types import CITYSCAPES_CLASSES

SIZE = (64, 128)
FORMS = candidates.FORMS


class Contrast(nn.Module):
    """Odd is what is rough: local contrast, smoothed; the objects of the fabricated data are noise.

    Args:
        fragile: one inner channel is thousands of times larger than those that carry the answer, so that 8 bits for
            the whole layer lose it.
    """

    stride = 1

    def __init__(self, fragile: bool = False):
        super().__init__()
        self.edges = nn.Conv2d(3, 4, 3, padding=1)
        self.mixed = nn.Conv2d(4, 4, 1)
        self.smooth = nn.Conv2d(4, 4, 9, padding=4)
        self.head = nn.Conv2d(4, 19, 1)
        for each in (self.edges, self.mixed, self.smooth, self.head):
            nn.init.zeros_(each.weight)
            nn.init.zeros_(each.bias)
        with torch.no_grad():
            kernel = torch.tensor([[-1.0, -1, -1], [-1, 8, -1], [-1, -1, -1]]) / 8
            self.edges.weight[0, :] = kernel / 3
            self.edges.weight[1, :] = -kernel / 3
            for channel in (0, 1):
                self.mixed.weight[channel, channel] = 1.0
                self.smooth.weight[0, channel] = 1 / 81
            if fragile:
                self.mixed.weight[3, 0] = 40.0
                self.mixed.bias[3] = 5000.0
            self.head.weight[:, 0] = -10.0
            self.head.bias[:] = torch.linspace(1.0, 0.0, 19)

    def forward(self, images: Tensor) -> Outputs:
        """(N, 3, H, W) -> logits, all the lower the rougher it is."""
        x = self.edges(images).relu()
        x = self.mixed(x).relu()
        x = self.smooth(x).relu()
        return Outputs(self.head(x))


@pytest.fixture(autouse=True)
def large_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    """Larger than real obstacles are: in scenes of 64 rows, small ones lose their roughness when they are shrunk."""

    def large(label: np.ndarray, on_road: bool, rng: np.random.Generator) -> tuple[tuple[int, int], int]:
        rows, columns = label.shape
        foot = (int(rng.integers(columns)), int(rng.uniform(0.4, 1.05) * rows))
        if on_road:
            ys, xs = np.nonzero(label == 0)
            chosen = int(rng.integers(len(ys)))
            foot = (int(xs[chosen]), int(ys[chosen]))
        return foot, int(rng.uniform(0.25, 0.6) * rows)

    monkeypatch.setattr(pasting, "sample_placement", large)


ABOUT: dict[str, Any] = {"network": "contrast", "normalisation": "unit", "classes": list(CITYSCAPES_CLASSES)}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The float32 file of a network that 8 bits do not hurt."""
    path = tmp_path_factory.mktemp("plain") / "float.onnx"
    export(Contrast(), ABOUT, ["max_logit"], path, size=SIZE, classes=True)
    return path


def test_both_quantisers_are_tried_and_the_report_is_in_the_card(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = {
        by: tuple(dict.fromkeys((forms[0], forms[-1], *[each for each in forms if each.frames != "scenes"])))
        for by, forms in FORMS.items()
    }
    monkeypatch.setattr(candidates, "FORMS", some)
    card = export_int8(Contrast(), ABOUT, ["max_logit"], tmp_path / "c.onnx", root, size=SIZE)
    assert read_card(tmp_path / "c.onnx") == card
    assert (card.precision, card.weight_storage, card.name) == ("int8", "int8", "c")
    report = card.quantisation
    tried = report["candidates"]
    forms = [form for form in candidates.FORMS["onnxruntime"] if form.frames == "scenes"]  # there are no sharp scenes
    assert set(tried) == {f"onnxruntime, {form}" for form in forms} | {
        f"nncf, {form}" for form in candidates.FORMS["nncf"]
    }
    assert {"ap", "ap small", "miou", "deviation", "engine_deviation"} <= tried[
        f"nncf, {candidates.FORMS['nncf'][0]}"
    ].keys()
    timed = {name for name, each in tried.items() if "onnxruntime_ms" in each}
    assert {name.partition(",")[0] for name in timed} == {"nncf", "onnxruntime"}
    assert len(timed) == 2
    kept = f"{report['by'].split()[0]}, {report['form']}"
    assert kept in timed
    own = [each for name, each in tried.items() if name.split(",")[0] == kept.split(",")[0]]
    assert report["spread"]["deviation"] == [min(e["deviation"] for e in own), max(e["deviation"] for e in own)]
    assert report["spread"]["forms"] == len(own)
    assert report["deviation"] == tried[kept]["deviation"] > 0
    assert report["validation"].startswith("small (6) scenes")
    assert report["float32"]["ap"] > 0.25  # so that there is something to lose
    assert report["change"]["ap"] >= -candidates.MOST_COST
    assert report["change"]["ap"] == pytest.approx(report["int8"]["ap"] - report["float32"]["ap"], abs=2e-4)
    assert report["layers"] == "4 of 4 convolutions in INT8"
    assert report["float_layers"] == []
    assert "quantised" in describe(card)
    image = parity.scene(*SIZE, 0)[0]
    export(Contrast(), ABOUT, ["max_logit"], tmp_path / "f.onnx", size=SIZE)
    exact = Model(tmp_path / "f.onnx")(image)
    for engine in ("onnxruntime", "openvino"):
        model = Model(tmp_path / "c.onnx", engine)
        assert model.precision == "int8 and float32"
        off = np.abs(model(image) - exact)
        assert 0 < off.mean() < 0.1 * exact.std()
    graph = onnx.load(tmp_path / "c.onnx").graph
    assert [each.name for each in graph.output] == ["max_logit"]
    assert not any(node.op_type == "ArgMax" for node in graph.node)
    assert any(node.op_type == "QuantizeLinear" for node in graph.node)


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the engines here and try few forms, which is quicker; the first test does all of it."""
    few = {"nncf": (candidates.Form(averaged=True),), "onnxruntime": (candidates.Form(),)}
    monkeypatch.setattr(candidates, "FORMS", few)
    functions = {"try_engines": trials.try_engines, "race": trials.race}
    monkeypatch.setattr(
        candidates, "in_own_process", lambda function, trial: functions[function.partition(":")[2]](trial)
    )


def test_no_part_is_most_of_the_network() -> None:
    weights = ["encoder.first.conv", "encoder.head", "fine", "outlier", "fine_outlier"]
    weights += [f"encoder.layers.{block}.conv{each}" for block in range(5) for each in (1, 2)]
    weights += ["encoder.last.a", "encoder.last.b"]
    nodes = [onnx.helper.make_node("Conv", ["x", f"network.{each}.weight"], ["y"], name=each) for each in weights]
    parts = layers(onnx.helper.make_model(onnx.helper.make_graph(nodes, "parts", [], [])))
    assert sorted(node for each in parts.values() for node in each) == sorted(weights)
    assert parts["encoder.layers.1"] == ["encoder.layers.1.conv1", "encoder.layers.1.conv2"]
    assert max(map(len, parts.values())) <= len(weights) / 2


@pytest.mark.usefixtures("in_this_process")
def test_layers_that_cost_too_much_stay_in_float(root: Path, tmp_path: Path) -> None:
    network = Contrast(fragile=True)
    out = tmp_path / "c.onnx"
    card = export_int8(network, ABOUT, ["max_logit"], out, root, by="nncf", classes=True, size=SIZE)
    report = card.quantisation
    (tried,) = report["candidates"].values()
    assert report["float32"]["ap"] - tried["ap"] > candidates.MOST_COST
    assert report["float_layers"][0] == "smooth"  # whose input 8 bits cannot hold
    assert report["float32"]["ap"] - report["int8"]["ap"] <= candidates.MOST_COST
    assert "classes" in [each.name for each in onnx.load(out).graph.output]


@pytest.mark.usefixtures("in_this_process")
def test_parts_in_float_are_tried_where_the_engines_agree(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def apart(function: str, trial: trials.Trial) -> dict[str, Any]:
        if function.endswith("race"):
            return trials.race(trial)
        found = trials.try_engines(trial)
        return {path: [9.0] if "onnxruntime" in path else off for path, off in found.items()}

    real = candidates.Bench.cost
    monkeypatch.setattr(candidates, "in_own_process", apart)
    monkeypatch.setattr(
        candidates.Bench, "cost", lambda self, each: 0.0 if each.by == "onnxruntime" else real(self, each)
    )
    card = export_int8(Contrast(fragile=True), ABOUT, ["max_logit"], tmp_path / "c.onnx", root, size=SIZE)
    assert card.quantisation["by"].startswith("nncf")
    assert card.quantisation["float_layers"][0] == "smooth"


@pytest.mark.usefixtures("in_this_process")
def test_the_form_is_chosen_by_ap_then_by_distance_then_by_time(
    root: Path, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forms = [candidates.Form(frames=name) for name in ("a", "b", "c", "d", "e")]
    ap = dict(zip(forms, (0.5, 0.9, 0.8995, 0.95, 0.93), strict=True))  # float32 has 0.9; the engines differ on d
    off = dict(zip(forms, (0.01, 0.06, 0.05, 0.01, 0.07), strict=True))

    def made(self: candidates.Bench, by: str, form: candidates.Form, float_layers: list[str]) -> candidates.Candidate:
        engines = 0.9 if form == forms[3] else 0.05
        figures = {"ap": ap[form], "fpr95": 0.0, "miou": 1.0, "deviation": off[form], "engine_deviation": engines}
        figures |= dict.fromkeys((*quantise.DISTANCES, "ap small"), 0.1) | figures
        return candidates.Candidate(by, form, tmp_path / f"{form.frames}.onnx", self.model, [], figures)

    def raced(self: candidates.Bench, finalists: list[candidates.Candidate]) -> None:
        assert [each.form for each in finalists] == [forms[2], forms[0]]
        for each in finalists:
            each.figures |= {"onnxruntime_ms": 5.0, "openvino_ms": 5.0}

    monkeypatch.setattr(candidates.Bench, "forms", lambda self, by: forms if by == "nncf" else forms[:1])
    monkeypatch.setattr(candidates.Bench, "candidate", made)
    monkeypatch.setattr(candidates.Bench, "time", raced)
    monkeypatch.setattr(candidates, "validate", lambda *_: {"ap": 0.9, "fpr95": 0.0, "miou": 1.0, "ap small": 0.9})
    report = quantise.quantise(plain, tmp_path / "c.onnx", root).quantisation
    assert report["form"].endswith("ranges of c")  # the other finalist loses 40 points
    assert report["spread"]["ap"] == [0.5, 0.95]


@pytest.mark.usefixtures("in_this_process")
def test_what_cannot_be_saved_is_refused(
    root: Path, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "MOST_COST", -1.0)
    with pytest.raises(InputError, match=r"points of AP or mean IoU.* in float32; -100\.0 points"):
        quantise.quantise(plain, tmp_path / "c.onnx", root, by="nncf")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("in_this_process")
def test_a_crash_of_an_engine_is_survived(
    root: Path, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = candidates.in_own_process

    def crashes(function: str, trial: trials.Trial) -> dict[str, Any]:
        if "nncf" in trial.paths[0]:
            raise RuntimeError("the measuring process ended with -11: ")
        return real(function, trial)

    monkeypatch.setattr(candidates, "in_own_process", crashes)
    card = quantise.quantise(plain, tmp_path / "c.onnx", root)
    assert card.quantisation["by"].startswith("onnxruntime")
    (refused,) = card.quantisation["refused"].values()
    assert "an engine crashes on it (the measuring process ended with -11" in refused


class TestVerb:
    def test_int8_needs_data(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        torch.manual_seed(0)
        path = tmp_path / "net.ckpt"
        about = {"network": "enet", "arguments": {}, "normalisation": "unit", "classes": list(CITYSCAPES_CLASSES)}
        save_checkpoint(path, NETWORKS["enet"](), about)
        assert main(["export", str(path), "--precision", "int8", "--out", str(tmp_path / "x.onnx")]) == 2
        assert "--precision int8 needs --quantisation-data DATA" in capsys.readouterr().err
        for words, message in (
            (["--quantisation-data", "."], "--quantisation-data is for --precision int8"),
            (["--quantiser", "nncf"], "--quantiser nncf is for --precision int8"),
            (["--precision", "int8", "--quantisation-data", ".", "--weight-storage", "int8"], "leave one of them out"),
            (["--precision", "int8", "--quantisation-data", ".", "--flip-tta"], "leave one of them out"),
        ):
            assert main(["export", "none.ckpt", *words, "--out", str(tmp_path / "x.onnx")]) == 2
            assert message in capsys.readouterr().err
        words = [
            "--precision",
            "int8",
            "--quantisation-data",
            str(tmp_path),
            "--size",
            "64x128",
            "--out",
            str(tmp_path / "x.onnx"),
        ]
        with monkeypatch.context() as patch:  # it is said before the float32 file is made
            patch.setattr(quantise, "export", lambda *_, **__: pytest.fail("exported before it looked for the data"))
            assert main(["export", str(path), *words]) == 2
        assert "cityscapes_small" in capsys.readouterr().err
        assert not (tmp_path / "x.onnx").exists()
