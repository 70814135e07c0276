"""Published checkpoints in all the forms they come in, and files that must be refused."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch
from golden import DATA, needs_data
from safetensors.torch import save_file
from torch import nn

from oddroad.cli.main import main
from oddroad.errors import InputError
from oddroad.learn.checkpoints.convert import PUBLISHED, convert, convert_file
from oddroad.learn.checkpoints.format import load_network
from oddroad.learn.export.onnx import export
from oddroad.learn.networks import NETWORKS
from oddroad.types import CITYSCAPES_CLASSES


def made(name="erfnet", **arguments) -> nn.Module:
    torch.manual_seed(1)
    return NETWORKS[name](**{"classes": 20, "auxiliary": True, **arguments}).eval()


def same(first: nn.Module, second: nn.Module) -> bool:
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        return torch.equal(first(images).logits, second(images).logits)


OURS = ("erfnet_lite", "efficientnet_lite1", "efficientnet_lite2", "image_resynthesis", "synthcp", "synboost")
"""Networks that nobody else has weights of, and those whose code is another's."""
QUICK = [name for name in NETWORKS if name not in OURS and (not name.startswith("mask2") or name.endswith("_small"))]


@pytest.mark.parametrize("name", QUICK)
def test_every_network_but_ours_has_a_published_form_that_comes_back(name, tmp_path):
    network = made(name, classes=19)
    torch.save({f"module.{key}": each for key, each in network.state_dict().items()}, tmp_path / "a.pth")
    done = convert_file(tmp_path / "a.pth", name, tmp_path / "a.ckpt")
    assert done.about["normalisation"] == PUBLISHED[name].normalisation
    loaded, about = load_network(tmp_path / "a.ckpt")
    assert same(network, loaded)
    assert about["classes"] == list(CITYSCAPES_CLASSES)
    assert about["arguments"]["auxiliary"] == (name != "enet" and not name.startswith("mask2"))
    assert done.ignored == done.missing == []
    assert about["origin"]["file"] == "a.pth"
    assert len(about["origin"]["sha256"]) == 64


def test_the_encoder_of_an_image_classifier_is_taken(tmp_path):
    network = made("efficientnet_lite0", classes=19)
    theirs = {
        ".".join(f"_{part}" if part[0].isalpha() and part not in LEAVES else part for part in key.split(".")[1:]): each
        for key, each in network.state_dict().items()
        if key.startswith("encoder.")
    }
    assert "_blocks.0._depthwise_conv.weight" in theirs
    for prefix in ("", "module."):
        extra = {f"{prefix}_fc.weight": torch.ones(10, 1280), f"{prefix}_conv_head.weight": torch.ones(1, 1, 1, 1)}
        torch.save({f"{prefix}{key}": each for key, each in theirs.items()} | extra, tmp_path / "a.pth")
        done = convert(tmp_path / "a.pth", "efficientnet_lite0")
        images = torch.rand(1, 3, 64, 64)
        with torch.inference_mode():
            mine, other = (each.encoder(images)[32] for each in (done.network, network))
        assert torch.equal(mine, other)
        assert done.about["untrained"] == ["classifier", "laterals", "smooth"]
        assert sorted(done.ignored) == sorted(extra)
        assert "an image classifier, of which the encoder is taken" in done.recognised


LEAVES = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")

FORMS = {
    "plain": (lambda state: state, []),
    "ordered, .pth.tar of its authors": (
        lambda state: {
            "epoch": 9,
            "arch": "ERFNet(\n)",
            "state_dict": OrderedDict(state),
            "best_acc": np.float64(0.72),
        },
        ["arch", "best_acc", "epoch"],
    ),
    "optimiser beside": (
        lambda state: {"optimizer": {"state": {}, "param_groups": [{"lr": 1.0}]}, "model": state},
        ["optimizer"],
    ),
    "two prefixes": (lambda state: {f"model.module.{key}": each for key, each in state.items()}, []),
    "of Lightning": (
        lambda state: {"state_dict": {f"net.{k}": v for k, v in state.items()} | {"loss.weight": torch.ones(19)}},
        ["loss.weight"],
    ),
    "without counters": (lambda state: {k: v for k, v in state.items() if "num_batches" not in k}, []),
    "of half precision": (lambda state: {k: v.half() if v.is_floating_point() else v for k, v in state.items()}, []),
    "one more entry": (lambda state: state | {"decoder.extra.weight": torch.ones(3)}, ["decoder.extra.weight"]),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms(form, tmp_path):
    wrap, ignored = FORMS[form]
    network = made()
    torch.save(wrap(network.state_dict()), tmp_path / "a.pth.tar")
    done = convert(tmp_path / "a.pth.tar", "erfnet")
    assert sorted(done.ignored) == ignored
    assert done.about["arguments"] == {"classes": 20, "outlier": False, "auxiliary": True}
    assert done.about["classes"] == list(CITYSCAPES_CLASSES)
    if "half" in form:
        network.half().float()
        for key, each in done.network.state_dict().items():
            assert each.dtype == network.state_dict()[key].dtype
    assert same(network, done.network)


def test_safetensors(tmp_path):
    network = made("pidnet_s", classes=19, auxiliary=False)
    state = {f"model.{key}": each.contiguous() for key, each in network.state_dict().items()}
    save_file(state, tmp_path / "a.safetensors")
    done = convert_file(tmp_path / "a.safetensors", "pidnet_s", tmp_path / "a.ckpt")
    assert same(network, done.network)
    assert not done.about["arguments"]["auxiliary"]
    assert "names that begin with 'model.'" in done.recognised
    with pytest.raises(InputError, match="is an oddroad checkpoint already"):
        convert(tmp_path / "a.ckpt", "pidnet_s")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "a.safetensors").read_bytes()[:200])
    with pytest.raises(InputError, match="damaged safetensors"):
        convert(tmp_path / "cut.safetensors", "pidnet_s")


def test_an_encoder_from_imagenet_needs_training(tmp_path):
    network = made()
    state = {f"module.features.{k}": v for k, v in network.state_dict().items() if "decoder" not in k}
    state = {k: v for k, v in state.items() if "output_conv" not in k}
    state |= {
        "module.classifier.linear.weight": torch.ones(1000, 128),
        "module.classifier.linear.bias": torch.ones(1000),
    }
    torch.save({"state_dict": state}, tmp_path / "erfnet_encoder_pretrained.pth.tar")
    done = convert_file(tmp_path / "erfnet_encoder_pretrained.pth.tar", "erfnet", tmp_path / "a.ckpt")
    images = torch.rand(1, 3, 32, 32)
    assert torch.equal(network.encoder(images), done.network.encoder(images))
    assert sorted(done.ignored) == ["module.classifier.linear.bias", "module.classifier.linear.weight"]
    assert {each.split(".")[0] for each in done.missing} == {"decoder"}
    assert done.about["arguments"]["classes"] == 19
    loaded, about = load_network(tmp_path / "a.ckpt")
    with pytest.raises(InputError, match="the decoder of this erfnet is untrained"):
        export(loaded, about, ["msp"], tmp_path / "a.onnx")


@pytest.mark.parametrize("outside", [True, False])
def test_an_isomax_head_under_any_name(tmp_path, outside):
    network = made(classes=20, isomax=16)
    nn.init.constant_(network.isomax.distance_scale, 3.0)
    rename = {"isomax.": "criterion.first." if outside else "module.decoder.loss_first_part."}
    state = {}
    for key, each in network.state_dict().items():
        head = key.startswith("isomax.")
        state[key.replace("isomax.", rename["isomax."]) if head else f"module.{key}"] = each
    torch.save(state, tmp_path / "a.pth")
    done = convert(tmp_path / "a.pth", "erfnet")
    assert done.about["arguments"] == {"classes": 20, "outlier": False, "isomax": 16, "auxiliary": True}
    assert same(network, done.network)
    assert done.ignored == []
    assert "an IsoMax+ head with prototypes of 16 channels" in done.recognised


def test_classes_other_than_those_of_cityscapes(tmp_path):
    torch.save(made("enet", classes=4).state_dict(), tmp_path / "a.pth")
    done = convert(tmp_path / "a.pth", "enet", classes=("road", "car", "sky"), normalisation="imagenet", licence="MIT")
    assert done.about["classes"] == ["road", "car", "sky"]
    assert (done.about["normalisation"], done.about["licence"]) == ("imagenet", "MIT")
    assert any(each.startswith("4 outputs: 3 classes, the last one taken as void") for each in done.recognised)
    with pytest.raises(InputError, match=r"has 4 outputs and there are 19 names; pass --classes"):
        convert(tmp_path / "a.pth", "enet")


class Evil:
    def __reduce__(self):
        return os.system, ("touch evil_was_here",)


class Whole(nn.Module):
    pass


def test_code_in_a_pickle_is_not_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    state = dict(made().state_dict())
    torch.save({"state_dict": state, "note": Evil()}, "evil.pth")
    for protocol in (2, 5):
        (tmp_path / f"bare{protocol}.pth").write_bytes(pickle.dumps(Evil(), protocol=protocol))
    torch.save(Whole(), "whole.pth")
    for name, wants in (
        ("evil.pth", "system"),
        ("bare2.pth", "system"),
        ("bare5.pth", "system"),
        ("whole.pth", "Whole"),
    ):
        assert main(["convert", name, "--network", "erfnet", "--out", "a.ckpt"]) == 2
        error = capsys.readouterr().err
        assert f"'{name}' is refused: reading it would run" in error
        assert wants in error
        assert error.count("\n") == 1
    assert not (tmp_path / "evil_was_here").exists()
    assert not (tmp_path / "a.ckpt").exists()


def test_what_does_not_fit_is_refused_in_one_line(tmp_path):
    state = dict(made().state_dict())
    first = "encoder.initial_block.conv.weight"
    cases = {
        "wide": (state | {first: torch.ones(16, 3, 3, 3)}, rf"{first} is \(16, 3, 3, 3\), expected \(13, 3, 3, 3\)"),
        "lacking": ({k: v for k, v in state.items() if k != first}, f"lacks 1 of 34[0-9] parameters, first {first}"),
        "nan": (state | {first: torch.full((13, 3, 3, 3), torch.nan)}, f"no finite numbers, first in {first}"),
        "other": (dict(made("enet").state_dict()), "has no decoder.output_conv.weight .* choose another --network"),
        "numbers": ({"a": 1, "b": [2]}, "holds no weights .a dict with a, b."),
        "list": ([1, 2], "holds no weights .a list."),
        "empty": ({}, "holds no weights"),
    }
    for name, (held, message) in cases.items():
        torch.save(held, tmp_path / name)
        with pytest.raises(InputError, match=message) as caught:
            convert(tmp_path / name, "erfnet")
        assert "\n" not in str(caught.value), name
    torch.save(state, tmp_path / "whole.pth")
    content = (tmp_path / "whole.pth").read_bytes()
    for name, damaged in (("cut", content[: len(content) // 2]), ("text", b"<html>not found"), ("none", b"")):
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(InputError, match="damaged, or no checkpoint") as caught:
            convert(tmp_path / name, "erfnet")
        assert "\n" not in str(caught.value), name
    with pytest.raises(InputError, match=r"no checkpoint '.*absent.pth'"):
        convert(tmp_path / "absent.pth", "erfnet")
    with pytest.raises(InputError, match="there is no such folder"):
        convert_file(tmp_path / "whole.pth", "erfnet", tmp_path / "absent" / "a.ckpt")
    with pytest.raises(InputError, match="no normalisation called 'imagnet'; did you mean 'imagenet'"):
        convert(tmp_path / "whole.pth", "erfnet", normalisation="imagnet")


def test_convert_then_export_by_command(tmp_path, capsys):
    torch.save({"state_dict": made("enet").state_dict()}, tmp_path / "a.pth")
    ours, out = str(tmp_path / "a.ckpt"), str(tmp_path / "a.onnx")
    assert main(["convert", str(tmp_path / "a.pth"), "--network", "enet", "--out", ours]) == 0
    printed = capsys.readouterr().out
    assert "recognised: a state dict under state_dict of" in printed
    assert "ignored: nothing" in printed
    assert "licence: the file does not say" in printed
    words = [
        "--scores",
        "void",
        "max_logit",
        "--size",
        "32x64",
        "--weight-storage",
        "float16",
        "--stride",
        "2",
        "--out",
        out,
    ]
    assert main(["export", ours, *words]) == 0
    assert "void, max_logit, input 32x64, weights float16" in capsys.readouterr().out
    from oddroad.inference.model import Model

    model = Model(out)
    assert model.card.stride == 2
    assert model.card.origin["file"] == "a.pth"
    assert model(np.zeros((40, 50, 3), np.uint8)).shape == (40, 50)
    assert main(["export", ours, "--size", "32", "--out", out]) == 2
    assert "expected height x width such as 512x1024, or 'any'" in capsys.readouterr().err
    torch.save(made("bisenetv2", classes=19).state_dict(), tmp_path / "b.pth")
    assert main(["convert", str(tmp_path / "b.pth"), "--network", "bisenetv2", "--out", ours]) == 0
    assert main(["export", ours, "--stride", "2", "--out", out]) == 2
    assert "network 'bisenetv2' does not take stride" in capsys.readouterr().err


@needs_data
@pytest.mark.parametrize("name", ["erfnet", "enet"])
def test_real_weights(name):
    file = {"erfnet": "erfnet_cityscapes_20.pth", "enet": "enet_cityscapes_void_20.pth"}[name]
    done = convert(DATA / "weights" / file, name)
    assert done.ignored == done.missing == []
    assert done.about["arguments"]["classes"] == 20
    assert done.about["normalisation"] == "unit"
