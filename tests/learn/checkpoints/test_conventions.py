"""What no parameter tells: where void is, the order of the classes, RGB or BGR, 0 to 1 or 0 to 255."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fabricated import write_pair
from torch import nn

from oddroad.cli.main import main
from oddroad.errors import InputError
from oddroad.inference.model import Model
from oddroad.learn.checkpoints.conventions import AUTHORS, LABEL_IDS, author_of, class_axes, output_order
from oddroad.learn.checkpoints.convert import PUBLISHED, convert, convert_file
from oddroad.learn.checkpoints.format import load_network, load_networks
from oddroad.learn.checkpoints.on_scenes import labelled_scenes, mean_iou
from oddroad.learn.detector import Detector, Preprocessing
from oddroad.learn.networks import NETWORKS
from oddroad.learn.predictor import open_checkpoint
from oddroad.recipe import NETWORK_NAMES, PUBLISHED_NAMES
from oddroad.types import CITYSCAPES_CLASSES

N = len(CITYSCAPES_CLASSES)
NAMES = list(CITYSCAPES_CLASSES)


def made(name: str = "enet", **arguments: Any) -> nn.Module:
    torch.manual_seed(1)
    return NETWORKS[name](**{"classes": N + 1, "outlier": False, "auxiliary": False, **arguments}).eval()


def logits(network: nn.Module, pixels: torch.Tensor | None = None) -> torch.Tensor:
    with torch.inference_mode():
        return network(
            torch.rand(1, 3, 32, 64, generator=torch.Generator().manual_seed(3)) if pixels is None else pixels
        ).logits


@pytest.mark.parametrize("name", ["enet", "erfnet", "bisenetv2", "ddrnet23_slim", "mask2former_small"])
def test_void_first_gives_the_network_with_void_last(name: str, tmp_path: Path) -> None:
    network = made(name, auxiliary=name not in ("enet", "mask2former_small"))
    path = tmp_path / "a.pth"
    torch.save(network.state_dict(), path)
    done = convert(path, name, void="first")
    before, after = logits(network), logits(done.network)
    assert torch.allclose(after[:, :N], before[:, 1:], atol=1e-5)
    assert torch.allclose(after[:, N], before[:, 0], atol=1e-5)
    assert any("first one taken as void" in each for each in done.recognised)
    assert done.about["classes"] == NAMES
    assert "first one taken as void" in done.about["origin"]["outputs"]
    axes = class_axes(NETWORKS[name], done.about["arguments"])
    assert len(axes) > 2 or name in ("enet", "ddrnet23_slim", "mask2former_small")
    for key, axis in axes.items():  # the heads for training have the same order
        found, held = (each.state_dict()[key].movedim(axis, 0) for each in (done.network, network))
        assert torch.equal(found, held[[*range(1, N + 1), 0, *range(N + 1, len(held))]])


def test_outputs_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    network = made()
    torch.save(network.state_dict(), path)
    before = logits(network)
    shuffled = ["void", *reversed(NAMES)]
    named = logits(convert(path, "enet", class_order=shuffled).network)
    for at, name in enumerate([*NAMES, "void"]):
        assert torch.equal(named[:, at], before[:, shuffled.index(name)])
    assert torch.equal(logits(convert(path, "enet", classes=shuffled[1:], void="first").network), named)
    own = convert(path, "enet", class_order=["void", *(f"c{at}" for at in range(N))])
    assert own.about["classes"] == [f"c{at}" for at in range(N)]
    assert torch.equal(logits(own.network), before[:, [*range(1, N + 1), 0]])


def test_label_ids_leave_the_voids_out(tmp_path: Path) -> None:
    network, path = made(classes=34), tmp_path / "a.pth"
    torch.save(network.state_dict(), path)
    done = convert(path, "enet", class_order=["labelids"])
    assert done.about["arguments"]["classes"] == N
    assert torch.equal(logits(done.network), logits(network)[:, sorted(LABEL_IDS)])
    assert any("15 void outputs left out" in each for each in done.recognised)
    assert sorted(LABEL_IDS.values()) == sorted(NAMES)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"void": "none"}, "has 20 outputs and there are 19 names with --void none; pass --classes"),
        ({"classes": NAMES[:5], "void": "first"}, "has 20 outputs and there are 5 names with --void first"),
        ({"class_order": ["void"]}, "has 20 outputs and --class-order names 1; expected a name for each"),
        ({"class_order": [*NAMES, "road"]}, "names 'road' twice"),
        ({"class_order": [*NAMES, "void"], "void": "last"}, "--class-order says where void is; leave --void out"),
        ({"class_order": [*NAMES, "void"], "classes": ["cat", *NAMES[1:]]}, "differ in 'cat'"),
        ({"class_order": ["labelids"]}, "--class-order names 34"),
        ({"channel_order": "gbr"}, "no channel order called 'gbr'"),
        ({"value_range": "-1-1"}, "no value range called '-1-1'"),
    ],
)
def test_what_does_not_fit(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    torch.save(made().state_dict(), tmp_path / "a.pth")
    with pytest.raises(InputError, match=message):
        convert(tmp_path / "a.pth", "enet", **options)


def test_known_authors(tmp_path: Path) -> None:
    network, path = made(), tmp_path / "a.pth"
    torch.save({"epoch": 3, "miou": 0.5, "optimizer": {}, "state_dict": network.state_dict()}, path)
    done = convert(path, "enet")
    assert "a file of davidtvs/PyTorch-ENet" in done.recognised
    assert torch.equal(logits(done.network)[:, N], logits(network)[:, 0])
    assert torch.equal(logits(convert(path, "enet", void="last").network), logits(network))
    assert output_order(20, path, author=None).indices == tuple(range(20))
    assert author_of("enet", 12, {"epoch", "miou", "optimizer"}) is None
    msra = author_of("mask2former", 19, (), "MSRA")
    assert msra is not None
    assert (msra.channel_order, msra.value_range) == ("bgr", "0-255")
    assert author_of("mask2former", 19, (), "third_party") is None
    assert {name for each in AUTHORS for name in each.networks} <= set(NETWORKS)


@pytest.mark.parametrize(
    ("normalisation", "size"),
    [
        ("imagenet", (32, 64)),
        pytest.param("unit", (32, 64), marks=pytest.mark.slow),
        pytest.param("imagenet", None, marks=pytest.mark.slow),
        pytest.param("unit", None, marks=pytest.mark.slow),
    ],
)
def test_bgr_and_0_to_255_reach_checkpoint_predictor_and_file(
    normalisation: Any, size: tuple[int, int] | None, tmp_path: Path
) -> None:
    network, path, out = made(), tmp_path / "a.pth", tmp_path / "a.onnx"
    torch.save(network.state_dict(), path)
    done = convert_file(
        path, "enet", tmp_path / "a.ckpt", channel_order="bgr", value_range="0-255", normalisation=normalisation
    )
    assert any("BGR in 0-255" in each for each in done.lines())
    image = np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)
    seen = torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)[None].float()  # as its author feeds it
    if normalisation == "imagenet":
        seen -= 255 * torch.tensor([0.406, 0.456, 0.485]).view(1, 3, 1, 1)
    expected = -logits(network, seen)[:, :N].amax(1)[0].numpy()
    scale = np.abs(expected).max()
    assert (
        np.abs(
            open_checkpoint(str(tmp_path / "a.ckpt"), ["max_logit"]).maps("", None, image)["max_logit"] - expected
        ).max()
        < 1e-4 * scale
    )  # type: ignore[arg-type]
    words = ["export", str(tmp_path / "a.ckpt"), "--scores", "max_logit", "--out", str(out)]
    assert main(words + (["--size", "32x64"] if size else [])) == 0
    assert np.abs(Model(out)(image) - expected).max() < 1e-4 * scale
    assert np.abs(Model(out, engine="openvino")(image) - expected).max() < 1e-4 * scale


def test_an_ensemble_needs_one_convention(tmp_path: Path) -> None:
    torch.save(made().state_dict(), tmp_path / "a.pth")
    for name, order in (("one", "rgb"), ("two", "bgr")):
        convert_file(tmp_path / "a.pth", "enet", tmp_path / f"{name}.ckpt", channel_order=order)
    with pytest.raises(InputError, match="normalisation of"):
        load_networks([tmp_path / "one.ckpt", tmp_path / "two.ckpt"])


def test_preprocessing() -> None:
    pixels = torch.tensor([10.0, 20.0, 30.0]).view(1, 3, 1, 1)
    assert Preprocessing.parse("unit").normalised(pixels).flatten().tolist() == pytest.approx(
        [10 / 255, 20 / 255, 30 / 255]
    )
    assert Preprocessing.parse("unit:0-255:bgr").normalised(pixels).flatten().tolist() == [30, 20, 10]
    found = Preprocessing.parse("imagenet:bgr").normalised(pixels).flatten().tolist()
    assert found == pytest.approx([(30 / 255 - 0.406) / 0.225, (20 / 255 - 0.456) / 0.224, (10 / 255 - 0.485) / 0.229])
    for text, message in (("imagnet", "did you mean 'imagenet'"), ("unit:rbg", "holds 'rbg'")):
        with pytest.raises(InputError, match=message):
            Preprocessing.parse(text)


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """Two scenes of cityscapes_small whose labels are what an untrained ENet, void first, would say of them."""
    network = made()
    for at in range(2):
        image = np.random.default_rng(at).integers(0, 256, (256, 512, 3), dtype=np.uint8)
        with torch.inference_mode():
            found = Detector(network, {}, "unit").eval().outputs(torch.from_numpy(image)[None]).logits
        label = found[0, 1:].argmax(0).numpy().astype(np.uint8)
        folder = tmp_path / "data" / "cityscapes_small" / "val"
        write_pair(folder / "images" / f"{at}.png", folder / "labels" / f"{at}.png", image, label)
    return tmp_path / "data"


def test_two_labelled_scenes_tell_a_wrong_convention(
    labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(made().state_dict(), tmp_path / "a.pth")
    words = ["convert", str(tmp_path / "a.pth"), "--network", "enet", "--check-data", str(labelled)]
    assert main([*words, "--out", str(tmp_path / "a.ckpt")]) == 0
    caught = capsys.readouterr()
    assert "near chance" in caught.err
    assert "with --void first it is" in caught.err
    assert caught.err.count("\n") == 1
    assert main([*words, "--void", "first", "--out", str(tmp_path / "b.ckpt")]) == 0
    caught = capsys.readouterr()
    assert caught.err == ""
    assert "on 2 scenes of cityscapes_small/val" in caught.out
    assert "2 scenes of cityscapes_small" in load_network(tmp_path / "b.ckpt")[1]["origin"]["checked"]
    scenes = labelled_scenes(labelled, NAMES)
    right, chance = mean_iou(*load_network(tmp_path / "b.ckpt"), scenes)
    assert right > 0.9
    assert chance < 0.2
    assert main([*words[:-1], str(tmp_path), "--classes", *"abcdefghijklmnopqrs", "--out", "c.ckpt"]) == 2
    assert "no data set with these classes lies at or below" in capsys.readouterr().err


def test_the_names_of_the_help_are_those_of_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(NETWORK_NAMES) == set(NETWORKS)
    assert set(PUBLISHED_NAMES) == set(PUBLISHED)
    with pytest.raises(SystemExit):
        main(["convert", "--help"])
    printed = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert all(name in printed for name in PUBLISHED)
    assert "--void {auto,first,last,none}" in printed
