"""The generator and its opponent: SPADE against its formula, spectral norm against singular values, losses by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from oddroad.learn.resynthesis.discriminator import (
    Discriminator,
    PatchDiscriminator,
    discriminator_loss,
    feature_matching,
    generator_loss,
)
from oddroad.learn.resynthesis.generator import Generator, Spade, SpadeBlock, one_hot, shares


def test_spade_is_its_formula() -> None:
    torch.manual_seed(0)
    layer, x, labels = Spade(6, 4, 8).train(), torch.randn(3, 6, 5, 7), torch.rand(3, 4, 5, 7)
    mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), unbiased=False, keepdim=True)
    hidden = F.conv2d(labels, layer.shared.weight, layer.shared.bias, padding=1).clamp(min=0)
    both = F.conv2d(hidden, layer.scale_and_shift.weight, layer.scale_and_shift.bias)
    expected = (x - mean) / (variance + 1e-5).sqrt() * (1 + both[:, :6]) + both[:, 6:]
    assert torch.allclose(layer(x, labels), expected, atol=1e-5)
    assert not [name for name, _ in layer.norm.named_parameters()]


def test_a_block_adds_its_shortcut() -> None:
    torch.manual_seed(0)
    block, x, labels = SpadeBlock(8, 4, 3, 8).eval(), torch.randn(1, 8, 4, 4), torch.rand(1, 3, 4, 4)
    block.second.weight.data.zero_()
    block.second.bias.data.zero_()
    assert torch.allclose(block(x, labels), block.shortcut(x))
    assert SpadeBlock(4, 4, 3, 8).shortcut is None


def test_the_generator_paints_by_class_and_place() -> None:
    torch.manual_seed(0)
    generator, labels = Generator(5, width=4).eval(), torch.zeros(1, 32, 64, dtype=torch.int64)
    other = labels.clone()
    other[:, :8, 40:] = 3
    with torch.inference_mode():
        one, two = generator(one_hot(labels, 5)), generator(one_hot(other, 5))
    assert one.shape == (1, 3, 32, 64)
    assert one.abs().max() <= 1
    changed = (one - two).abs().sum(1)[0]
    assert changed[:8, 48:].min() > 0
    assert changed[:8, 48:].mean() > 5 * changed[:, :8].mean()


def test_class_maps() -> None:
    found = one_hot(torch.tensor([[[0, 2, 255]]]), 3)
    assert found[0, :, 0].tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]
    logits = torch.tensor([3.0, 0.0, 2.999]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    map_of = shares(logits, (2, 2), 10.0)
    assert map_of.shape == (1, 3, 2, 2)
    assert torch.allclose(map_of.sum(1), torch.ones(1, 2, 2))
    assert 0.5 < map_of[0, 0, 0, 0] < 0.51  # nearly a tie: shared
    assert shares(2 * logits[:, :2], (2, 2), 10.0)[0, 0, 0, 0] > 0.9999  # else one class


def test_spectral_norm_makes_the_largest_singular_value_one() -> None:
    torch.manual_seed(0)
    network = PatchDiscriminator(5, width=8, layers=2).train()
    pair = torch.rand(1, 5, 16, 16)
    for _ in range(60):
        network(pair)
    network.eval()
    for layer in [*network.layers, network.verdict]:
        assert float(torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)) == pytest.approx(1, abs=0.02)


def test_losses_by_hand() -> None:
    def maps(inner: float, verdict: float) -> list[torch.Tensor]:
        return [torch.full((1, 2, 4, 4), inner), torch.full((1, 1, 2, 2), verdict)]

    real, fake = [maps(1.0, 0.5), maps(3.0, 2.0)], [maps(2.0, -0.5), maps(5.0, -3.0)]
    assert float(discriminator_loss(real, fake)) == pytest.approx((0.5 + 0.5 + 0 + 0) / 2)
    assert float(generator_loss(fake)) == pytest.approx((0.5 + 3.0) / 2)
    assert float(feature_matching(real, fake)) == pytest.approx((1 + 2) / 2)


def test_the_second_scale_sees_half_the_size() -> None:
    judged = Discriminator(4, width=4)(torch.rand(1, 3, 64, 64), torch.rand(1, 4, 64, 64))
    assert [each[-1].shape[-1] for each in judged] == [8, 4]
