"""What image and synthesis are compared by: features, uncertainty, the comparison network, ensemble weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from oddroad.errors import InputError
from oddroad.learn.networks.efficientnet_lite import Encoder
from oddroad.learn.resynthesis.comparison import Comparison, similarity
from oddroad.learn.resynthesis.ensemble import best_weights, grid, judged
from oddroad.learn.resynthesis.features import (
    EncoderFeatures,
    VGG19Features,
    perceptual_difference,
    perceptual_loss,
    vgg19_weights,
)
from oddroad.learn.resynthesis.swapping import THINGS, example, own_vehicle, swapped
from oddroad.learn.resynthesis.uncertainty import softmax_distance, softmax_entropy


def test_encoder_features_are_the_encoders_maps() -> None:
    encoder = Encoder().eval()
    found = EncoderFeatures(encoder).eval()
    images = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        maps, own = found(images), encoder(found.normalised(images))
    assert [each.shape[1] for each in maps] == list(found.channels)
    assert [64 // each.shape[2] for each in maps] == list(found.strides) == [2, 4, 8, 16, 32]
    assert all(torch.equal(one, own[stride]) for one, stride in zip(maps[1:], found.strides[1:], strict=True))


def test_vgg19_takes_torchvisions_names() -> None:
    network = VGG19Features()
    names = [
        f"features.{at}.{kind}"
        for at in (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28)
        for kind in ("weight", "bias")
    ]
    assert list(network.state_dict()) == names
    assert sum(each.numel() for each in network.parameters()) == 12_944_960
    state = {**network.state_dict(), "classifier.0.weight": torch.zeros(2, 2)}
    assert list(vgg19_weights(state)) == names
    del state["features.10.bias"]
    with pytest.raises(InputError, match=r"no 'features\.10\.bias' of shape \(256,\); expected a state dict of torchv"):
        vgg19_weights(state)
    with torch.inference_mode():
        maps = network(torch.rand(1, 3, 32, 32))
    assert [(each.shape[1], 32 // each.shape[2]) for each in maps] == list(
        zip(network.channels, network.strides, strict=True)
    )
    assert all(float(each.min()) >= 0 for each in maps)  # behind the ReLU


def test_differences_of_features() -> None:
    real, fake = (
        [torch.full((1, 2, 2, 2), 2.0), torch.full((1, 4, 1, 1), 10.0)],
        [torch.zeros(1, 2, 2, 2), torch.full((1, 4, 1, 1), 15.0)],
    )
    assert float(perceptual_loss(real, fake)) == pytest.approx((1 + 0.5) / 2)
    found = perceptual_difference(real, fake, torch.tensor([4.0, 5.0]), (4, 4))
    assert torch.allclose(found, torch.full((1, 4, 4), (0.5 + 1.0) / 2))


def test_uncertainty_of_a_softmax() -> None:
    sure, even = torch.tensor([1.0, 0, 0, 0]).view(1, 4, 1, 1), torch.full((1, 4, 1, 1), 0.25)
    assert float(softmax_entropy(sure)) == pytest.approx(0, abs=1e-6)
    assert float(softmax_entropy(even)) == pytest.approx(1)
    assert float(softmax_distance(sure)) == 0
    assert float(softmax_distance(even)) == 1
    mixed = torch.tensor([0.6, 0.3, 0.1, 0.0]).view(1, 4, 1, 1)
    assert float(softmax_distance(mixed)) == pytest.approx(0.7)
    assert float(softmax_entropy(mixed)) == pytest.approx(
        -(0.6 * math.log(0.6) + 0.3 * math.log(0.3) + 0.1 * math.log(0.1)) / math.log(4)
    )


def test_similarity() -> None:
    one, other = torch.randn(1, 5, 3, 3), torch.randn(1, 5, 3, 3)
    assert torch.allclose(similarity(one, other)[:, 0], torch.nn.functional.cosine_similarity(one, other), atol=1e-6)
    assert torch.allclose(similarity(1e-4 * one, other), similarity(one, other), atol=1e-6)
    assert float(similarity(0 * one, other).abs().max()) == 0


@pytest.mark.parametrize(("uncertainty", "spatial"), [(0, False), (3, True)])
def test_every_part_of_the_comparison_is_read(uncertainty: int, spatial: bool) -> None:
    torch.manual_seed(0)
    network = Comparison((2, 4), (3, 5), 4, uncertainty, spatial, width=8, per_class=True)
    given = [torch.randn(2, 3, 8, 16), torch.randn(2, 5, 4, 8), torch.randn(2, 3, 8, 16), torch.randn(2, 5, 4, 8)]
    given += [torch.rand(2, 4, 16, 32), torch.rand(2, max(uncertainty, 1), 16, 32)]
    given = [each.requires_grad_() for each in given]
    logit, iou = network(given[:2], given[2:4], given[4], given[5] if uncertainty else None)
    assert logit.shape == (2, 16, 32)
    assert iou.shape == (2, 4)
    assert ((iou > 0) & (iou < 1)).all()
    (logit.square().mean() + iou.square().mean()).backward()
    assert all(each.grad is not None and float(each.grad.abs().sum()) > 0 for each in given[: 6 if uncertainty else 5])
    assert not [name for name, each in network.named_parameters() if each.grad is None]


def street() -> np.ndarray:
    """A road with a car, a person, and the own bonnet below; void beside them."""
    label = np.zeros((40, 60), np.uint8)
    label[5:15, 5:20], label[5:15, 30:36], label[20:24, 40:50], label[34:, 10:50] = 13, 11, 255, 255
    return label


def test_whole_things_are_swapped_and_nothing_else() -> None:
    label = street()
    found, changed = swapped(label, 19, np.random.default_rng(0), share=1.0)
    assert np.array_equal(changed, np.isin(label, THINGS))
    assert (found[changed] != label[changed]).all()
    assert np.array_equal(found[~changed], label[~changed])
    assert all(len(np.unique(found[label == each])) == 1 for each in (11, 13))
    assert not swapped(label, 19, np.random.default_rng(0), share=0.0)[1].any()
    assert set(np.unique(found[changed])) < set(range(19))


def test_targets_of_an_example() -> None:
    label, rng = street(), np.random.default_rng(1)
    given, target = example(label, None, 19, rng, share=1.0)
    assert (target[np.isin(label, THINGS)] == 254).all()
    assert (target[label == 255] == 255).all()
    assert (target[label == 0] == 0).all()
    assert (given[label == 255] == 255).all()
    seen = np.full_like(label, 2)
    given, target = example(label, seen, 19, rng, share=0.0, void=True)
    assert (given[label == 255] == 2).all()
    assert (target[20:24, 40:50] == 254).all()
    assert (target[34:, 10:50] == 255).all()  # the own bonnet
    label[0, 0] = 254
    assert example(label, None, 19, rng, share=0.0)[1][0, 0] == 254
    assert own_vehicle(label).sum() == 6 * 40


def test_the_grid_and_the_best_of_it() -> None:
    weights = grid(0.25)
    assert len(weights) == 35
    assert np.allclose(weights.sum(1), 1)
    assert weights.min() == 0
    with pytest.raises(InputError, match=r"a grid of steps of 0\.3; expected a step that divides 1"):
        grid(0.3)
    rng = np.random.default_rng(0)
    anomalous = rng.random(400) < 0.1
    values = rng.random((400, 4)).astype(np.float32)
    values[:, 1] += anomalous
    ranked = best_weights(values, anomalous, weights)
    assert ranked[0].weights[1] >= 0.5
    assert ranked[0].ap == max(each.ap for each in ranked)
    assert (
        judged(values, anomalous, np.array([0, 1.0, 0, 0])).ap > judged(values, anomalous, np.array([1.0, 0, 0, 0])).ap
    )
    with pytest.raises(InputError, match="these hold no anomaly"):
        best_weights(values, np.zeros(400, bool), weights)
