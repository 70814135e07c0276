"""The scripts of runs/resynthesis.sh on a few rendered scenes and tiny networks."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import cv2
import pytest
import torch
from fabricated import training_root

from oddroad.learn.checkpoints.format import load_network, read_checkpoint, save_checkpoint
from oddroad.learn.networks import NETWORKS
from oddroad.learn.resynthesis.features import VGG19Features
from oddroad.types import CITYSCAPES_CLASSES

RUNS = Path(__file__).resolve().parents[2] / "runs"


def run(monkeypatch: pytest.MonkeyPatch, name: str, *words: object) -> None:
    """Run a script in this process."""
    spec = importlib.util.spec_from_file_location(f"resynthesis_{name.removesuffix('.py')}", RUNS / name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
    spec.loader.exec_module(module)
    module.main()


def kept(path: Path, name: str, **arguments: object) -> Path:
    """A random network as a checkpoint."""
    torch.manual_seed(0)
    about = {
        "network": name, "arguments": arguments, "normalisation": "unit", "classes": list(CITYSCAPES_CLASSES),
        "licence": "test",
    }  # fmt: skip
    save_checkpoint(path, NETWORKS[name](**arguments), about)
    return path


def test_the_start_joins_closed_set_network_and_features(tmp_path: Path, monkeypatch, capsys) -> None:
    closed_set = kept(tmp_path / "closed.ckpt", "erfnet_lite", classes=20)
    encoder = kept(tmp_path / "lite0.ckpt", "efficientnet_lite0", classes=19)
    words = ("--size", "32x64", "--width", 2)
    run(monkeypatch, "resynthesis_start.py", closed_set, tmp_path / "a.ckpt", "--features", encoder, *words)
    network, about = load_network(tmp_path / "a.ckpt")
    assert about["untrained"] == ["generator", "comparison"]
    assert about["arguments"]["closed_set_void"] is True
    assert about["licence"] == "test"
    own = network.state_dict()
    for path, here, there in ((closed_set, "network.", ""), (encoder, "features.encoder.", "encoder.")):
        state = read_checkpoint(path)[0]
        assert all(
            torch.equal(own[here + key.removeprefix(there)], each)
            for key, each in state.items()
            if key.startswith(there)
        )
    torch.save(VGG19Features().state_dict(), tmp_path / "vgg19.pth")
    run(monkeypatch, "resynthesis_start.py", closed_set, tmp_path / "b.ckpt", "--vgg19", tmp_path / "vgg19.pth", *words)
    assert read_checkpoint(tmp_path / "b.ckpt")[1]["arguments"]["features"] == "vgg19"
    with pytest.raises(SystemExit):
        run(monkeypatch, "resynthesis_start.py", closed_set, tmp_path / "c.ckpt")
    assert "give --features ENCODER.ckpt or --vgg19 vgg19.pth, one of them" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run(monkeypatch, "resynthesis_start.py", closed_set, tmp_path / "c.ckpt", "--features", closed_set)
    assert "the parts do not give 'features.encoder.conv_stem.weight'" in capsys.readouterr().err
    assert not (tmp_path / "c.ckpt").exists()


def test_weights_failures_and_pictures(tmp_path: Path, monkeypatch, capsys) -> None:
    root = training_root(tmp_path / "data", 2)
    small = {"closed_set": "erfnet_lite", "size": [32, 64], "width": 2}
    synboost, synthcp = (kept(tmp_path / f"{each}.ckpt", each, **small) for each in ("synboost", "synthcp"))
    table = tmp_path / "weights.json"
    words = ("--root", root, "--scenes", 2, "--pixels", 1500, "--step", 0.5, "--table", table)
    run(monkeypatch, "resynthesis_weights.py", synboost, tmp_path / "b.ckpt", *words)
    best = json.loads(table.read_text())["best"][0]["weights"]
    network, about = load_network(tmp_path / "b.ckpt")
    assert network.weights.tolist() == best == about["origin"]["ensemble"]["weights"]
    assert sum(best) == 1
    with pytest.raises(SystemExit):
        run(monkeypatch, "resynthesis_weights.py", synthcp, tmp_path / "c.ckpt", *words)
    assert "holds synthcp; the weights are SynBoost's" in capsys.readouterr().err
    words = ("--root", root, "--scenes", 2, "--json", tmp_path / "f.json")
    run(monkeypatch, "resynthesis_failures.py", synthcp, *words)
    figures = json.loads((tmp_path / "f.json").read_text())
    assert 0 < figures["misclassified"] <= 1
    assert set(figures["scores"]) == {"failure", "msp", "entropy", "max_logit"}
    run(monkeypatch, "resynthesis_pictures.py", tmp_path / "a.jpg", "--networks", synboost, synthcp, "--rendered", 1)
    assert cv2.imread(str(tmp_path / "a.jpg")).shape == (24 + 160, 6 * 320, 3)
