"""Networks around a network: ODIN against golden values, averages of opinions, inner layers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from golden import golden, golden_weight, needs_golden
from torch import nn

from oddroad.errors import InputError
from oddroad.learn.networks.wrapped import Ensemble, Layers, McDropout, Odin, Scales, Tempered
from oddroad.learn.outputs import Outputs
from oddroad.learn.scores import SCORES
from oddroad.learn.tensor_ops import resize


class Small(nn.Module):
    """The three-convolution network of the golden ODIN values, with an optional dropout."""

    stride = 1

    def __init__(self, seed: int = 0, dropout: float = 0.0, classes: int = 19):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
        self.conv2 = nn.Conv2d(8, 16, 3, dilation=2, padding=2)
        self.drop = nn.Dropout2d(dropout)
        self.conv3 = nn.Conv2d(16, classes, 1)
        state = {name: golden_weight(name, tuple(each.shape), 1.0, seed) for name, each in self.state_dict().items()}
        self.load_state_dict({name: torch.from_numpy(each) for name, each in state.items()})

    def forward(self, images: torch.Tensor) -> Outputs:
        """(N, 3, H, W) -> Outputs at the same size."""
        features = torch.relu(self.conv2(torch.relu(self.conv1(images))))
        return Outputs(self.conv3(self.drop(features)), features=features)


def pictures(seed: int = 0) -> torch.Tensor:
    """(2, 3, 16, 24) float32."""
    return torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(seed))


@needs_golden
@pytest.mark.parametrize(
    ("prefix", "temperature", "epsilon"), [("textbook_T1000", 1000.0, 0.0014), ("textbook_T1_eps001", 1.0, 0.01)]
)
def test_odin_meets_the_golden_values(prefix: str, temperature: float, epsilon: float) -> None:
    arrays = golden("odin.npz")
    network = Odin(Small().double(), temperature, epsilon)
    x = torch.from_numpy(arrays["x"]).double()
    assert np.abs(network.inner(x).logits.detach().numpy() - arrays["logits"]).max() <= 1e-5
    moved, gradient = network.step(x)
    assert np.abs(gradient.numpy() - arrays[f"{prefix}_grad"]).max() <= 1e-5
    assert np.abs(moved.numpy() - arrays[f"{prefix}_x"]).max() <= 1e-7
    with torch.inference_mode():
        score = SCORES["msp"](network(x)).numpy()
    assert np.abs(score - arrays[f"{prefix}_score"]).max() <= 1e-7
    assert (score < arrays[f"{prefix}_score_without_step"]).mean() > 0.95


def test_tempered_divides_the_logits() -> None:
    network, x = Small(classes=20), pictures()
    outputs = Tempered(network, 2.0, known=19)(x)
    assert torch.equal(outputs.logits, network(x).logits[:, :19] / 2)
    assert outputs.void is not None
    assert torch.equal(outputs.void, network(x).logits[:, 19] / 2)
    with pytest.raises(InputError, match="temperature 0"):
        Tempered(network, 0)


def test_an_ensemble_averages_probabilities_and_measures_disagreement() -> None:
    networks, x = [Small(seed).eval() for seed in range(3)], pictures()
    outputs = Ensemble(networks)(x)
    each = torch.stack([torch.softmax(network(x).logits.double(), 1) for network in networks])
    mean = each.mean(0)
    entropies = -(each * each.log()).sum(2).mean(0)
    expected = -(mean * mean.log()).sum(1) - entropies
    assert torch.allclose(outputs.logits.double(), mean.log(), atol=1e-5)
    assert outputs.mutual_information is not None
    assert torch.allclose(outputs.mutual_information.double(), expected, atol=1e-5)
    assert torch.allclose(SCORES["msp"](outputs).double(), 1 - mean.amax(1), atol=1e-5)
    assert torch.equal(SCORES["mutual_information"](outputs), outputs.mutual_information)


def test_equal_members_agree_and_extreme_logits_stay_finite() -> None:
    network, x = Small().eval(), pictures()
    same = Ensemble([network, network])(x)
    assert same.mutual_information is not None
    assert same.mutual_information.max() < 1e-5
    assert torch.allclose(SCORES["entropy"](same), SCORES["entropy"](network(x)), atol=1e-5)
    sure = Ensemble([Tempered(network, 1e-3), Tempered(Small(1).eval(), 1e-3)])(x)
    assert torch.isfinite(SCORES["entropy"](sure)).all()
    assert sure.mutual_information is not None
    assert sure.mutual_information.max() <= math.log(2) + 1e-5


def test_an_ensemble_refuses_what_does_not_fit() -> None:
    with pytest.raises(InputError, match="ensemble of 1"):
        Ensemble([Small()])
    coarse = Small()
    coarse.stride = 8
    with pytest.raises(InputError, match=r"strides \[1, 8\]"):
        Ensemble([Small(), coarse])


def test_mc_dropout_samples_and_leaves_the_network_as_it_was() -> None:
    network, x = Small(dropout=0.5).eval(), pictures()
    plain = network(x).logits
    torch.manual_seed(0)
    wrapped = McDropout(network, samples=64)
    outputs = wrapped(x)
    assert outputs.mutual_information is not None
    assert outputs.mutual_information.mean() > 0.01
    assert not network.drop.training
    assert torch.equal(network(x).logits, plain)
    torch.manual_seed(1)
    again = wrapped(x)
    assert not torch.equal(again.logits, outputs.logits)
    assert (again.logits.exp() - outputs.logits.exp()).abs().mean() < 0.05
    with pytest.raises(InputError, match="no dropout"):
        McDropout(Small())
    with pytest.raises(InputError, match="expected 2 or more"):
        McDropout(network, samples=1)


def test_layers_hands_out_inner_maps() -> None:
    network, x = Small().eval(), pictures()
    outputs = Layers(network, ["conv1", "conv2"])(x)
    assert [tuple(each.shape) for each in outputs.layers] == [(2, 8, 16, 24), (2, 16, 16, 24)]
    assert torch.equal(outputs.layers[0], network.conv1(x))
    with pytest.raises(InputError, match="no layer 'conv9'; its outermost are: conv1, conv2, drop, conv3"):
        Layers(network, ["conv9"])


@pytest.mark.parametrize("kind", [Odin, McDropout])
def test_what_cannot_be_exported_says_why_and_what_instead(kind: type) -> None:
    assert "export" in kind.not_exportable
    assert "\n" not in kind.not_exportable


class Judging(nn.Module):
    """Logits, void and outlier logits at stride 4 that depend on the size of the image."""

    stride = 4
    multiple = 8

    def forward(self, images: torch.Tensor) -> Outputs:
        """(N, 3, H, W) -> Outputs."""
        maps = torch.nn.functional.avg_pool2d(images, 4)
        grain = maps * images.shape[-1] / 48
        return Outputs(torch.cat([maps, grain[:, :2]], 1), features=maps, outlier=grain[:, 0], void=grain[:, 1])


def test_several_sizes_are_averaged_at_the_finest() -> None:
    images = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    network = Judging()
    whole, half, other = (network(each) for each in (images, resize(images, (16, 24)), resize(images, (24, 32))))
    found = Scales(network, (0.5, 0.7))(images)  # 0.7 of 48 is nearest to 32
    logits = (whole.logits + resize(half.logits, (8, 12)) + resize(other.logits, (8, 12))) / 3
    assert torch.allclose(found.logits, logits, atol=1e-6)
    for name in ("outlier", "void"):
        first, *rest = (getattr(each, name)[:, None] for each in (whole, half, other))
        mean = (first + sum(resize(each, (8, 12)) for each in rest)) / 3
        assert torch.allclose(getattr(found, name), mean[:, 0], atol=1e-6)
    assert found.features is not None
    assert torch.equal(found.features, whole.features)


def test_a_void_output_is_split_off_at_every_size() -> None:
    found = Scales(Judging(), (0.5,), known=4)(torch.rand(1, 3, 32, 48))
    assert found.logits.shape == (1, 4, 8, 12)
    assert found.void is not None


@pytest.mark.parametrize(("smaller", "words"), [((), "none"), ((0.5, 1.0), "0.5, 1"), ((-0.5,), "-0.5")])
def test_other_sizes_must_be_smaller_ones(smaller: tuple[float, ...], words: str) -> None:
    with pytest.raises(InputError, match=f"made smaller by: {words}; expected"):
        Scales(Judging(), smaller)


def test_a_mask_network_is_not_averaged_over_sizes() -> None:
    class Masks(Judging):
        def forward(self, images: torch.Tensor) -> Outputs:
            return super().forward(images)._replace(masks=torch.zeros(1, 2, 8, 12))

    with pytest.raises(InputError, match="mask network"):
        Scales(Masks(), (0.5,))(torch.rand(1, 3, 32, 48))
