"""Scores fitted on known data: golden SML, Mahalanobis against direct inversion, the flow against a Gaussian."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from golden import golden, needs_golden
from scipy.stats import multivariate_normal

from oddroad.errors import InputError
from oddroad.learn.outputs import Outputs
from oddroad.learn.scores import FITTED
from oddroad.learn.scores.density import EmbeddingDensity
from oddroad.learn.scores.distance import Mahalanobis
from oddroad.learn.scores.moments import Moments
from oddroad.learn.scores.sml import StandardizedMaxLogit, boundary, smooth, spread, suppress


def scenes(count: int = 6, channels: int = 8, seed: int = 0) -> list[tuple[Outputs, torch.Tensor]]:
    """Maps whose features are Gaussian around the class of their label, classes 0 to 3, with some ignored pixels."""
    draw = torch.Generator().manual_seed(seed)
    centres = 4 * torch.randn(4, channels, generator=torch.Generator().manual_seed(9))
    mix = torch.randn(channels, channels, generator=torch.Generator().manual_seed(8))
    found = []
    for _ in range(count):
        labels = torch.randint(0, 4, (1, 12, 16), generator=draw)
        noise = torch.randn(1, 12, 16, channels, generator=draw) @ mix
        features = (centres[labels] + noise).permute(0, 3, 1, 2).contiguous()
        logits = torch.nn.functional.one_hot(labels, 4).permute(0, 3, 1, 2) * 5.0 + torch.rand(
            1, 4, 12, 16, generator=draw
        )
        labels[:, :2] = 255
        found.append((Outputs(logits, features=features), labels))
    return found


def pixels(stream: list[tuple[Outputs, torch.Tensor]]) -> tuple[np.ndarray, np.ndarray]:
    """All labelled features (P, D) float64 and their labels (P,)."""
    keep = [labels != 255 for _, labels in stream]
    features = [outputs.features.permute(0, 2, 3, 1)[k] for (outputs, _), k in zip(stream, keep, strict=True)]  # type: ignore[union-attr]
    labels = [labels[k] for (_, labels), k in zip(stream, keep, strict=True)]
    return torch.cat(features).double().numpy(), torch.cat(labels).numpy()


@needs_golden
def test_sml_meets_the_golden_values() -> None:
    arrays = golden("sml.npz")
    prediction = torch.from_numpy(arrays["prediction"]).float()[None, None]
    edges = [boundary(prediction)]
    for radius in (1, 2, 3):
        edges.append(spread(edges[-1]))
        assert np.array_equal(edges[-1][0, 0].numpy(), arrays[f"boundary_expanded_{radius}"])
    assert np.array_equal(edges[0][0, 0].numpy(), arrays["boundary"])
    standardized = torch.from_numpy(arrays["standardized"])[None, None]
    assert np.abs(suppress(standardized, edges)[0, 0].numpy() - arrays["suppressed"]).max() <= 1e-4
    assert np.abs(smooth(standardized, 6)[0, 0].numpy() - arrays["smoothed_only"]).max() <= 1e-4

    score = StandardizedMaxLogit(19)
    score.mean.copy_(torch.from_numpy(arrays["mean"]))
    score.deviation.copy_(torch.from_numpy(arrays["var"]).sqrt())
    outputs = Outputs(torch.from_numpy(arrays["logits"]).float()[None])
    assert np.abs(-score(outputs)[0].numpy() - arrays["suppressed_smoothed"]).max() <= 1e-4
    plain = StandardizedMaxLogit(19, iterations=0, dilation=0)
    plain.load_state_dict(score.state_dict())
    assert np.abs(-plain(outputs)[0].numpy() - arrays["standardized"]).max() <= 1e-4


@needs_golden
def test_sml_statistics_meet_the_golden_values_in_pieces() -> None:
    arrays = golden("sml.npz")
    logits = torch.from_numpy(arrays["logits"]).float()[None]
    score = StandardizedMaxLogit(19)
    score.fit((Outputs(rows), torch.zeros(1, rows.shape[2], 96, dtype=torch.int64)) for rows in logits.split(10, 2))
    assert np.array_equal(score.moments.count.numpy(), arrays["stat_count"])
    enough = arrays["stat_count"] >= 2
    assert np.abs(score.mean.numpy() - arrays["stat_mean"])[enough].max() <= 1e-4
    assert np.abs(score.deviation.numpy() ** 2 - arrays["stat_var"])[enough].max() <= 1e-4


def test_moments_merge_as_if_gathered_at_once() -> None:
    draw = np.random.default_rng(0)
    values, groups = draw.normal(1e4, 1.0, (500, 5)), draw.integers(0, 3, 500)
    moments = Moments(3, 5)
    for part in np.array_split(np.arange(500), 7):
        moments.add(torch.from_numpy(values[part]), torch.from_numpy(groups[part]))
    for group in range(3):
        own = values[groups == group]
        assert np.allclose(moments.mean[group], own.mean(0), rtol=1e-12)
        assert np.allclose(moments.scatter[group] / (len(own) - 1), np.cov(own.T), rtol=1e-7, atol=1e-9)
    mean, covariance = moments.pooled()
    assert np.allclose(mean, values.mean(0), rtol=1e-12)
    assert np.allclose(covariance, np.cov(values.T), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("per_class", [False, True])
def test_mahalanobis_is_the_distance_by_direct_inversion(per_class: bool) -> None:
    stream = scenes()
    score = Mahalanobis(5, 8, per_class).fit(stream)
    values, labels = pixels(stream)
    residuals = {c: values[labels == c] - values[labels == c].mean(0) for c in range(4)}
    shared = sum(each.T @ each for each in residuals.values()) / (len(values) - 1)
    tested = scenes(1, seed=5)[0][0]
    points = tested.features.permute(0, 2, 3, 1).reshape(-1, 8).double().numpy()  # type: ignore[union-attr]
    distances = []
    for c in range(4):
        precision = np.linalg.inv(np.cov(residuals[c].T) if per_class else shared)
        step = points - values[labels == c].mean(0)
        distances.append(np.einsum("pi,ij,pj->p", step, precision, step))
    expected = np.min(distances, 0).reshape(12, 16)
    assert np.allclose(score(tested)[0].numpy(), expected, rtol=1e-3, atol=1e-3)
    assert expected.mean() == pytest.approx(8, rel=0.3)


@pytest.mark.parametrize("per_class", [False, True])
def test_a_class_that_the_data_lacks_is_far_from_everything(per_class: bool) -> None:
    outputs, labels = scenes(1)[0]
    five, four = (Mahalanobis(classes, 8, per_class).fit([(outputs, labels)]) for classes in (5, 4))
    middle = outputs._replace(features=five.centre.view(1, 8, 1, 1).expand(1, 8, 12, 16))
    assert four(middle).min() > 1
    assert torch.allclose(five(middle), four(middle), rtol=1e-4)


def test_a_class_with_few_pixels_uses_the_shared_covariance() -> None:
    outputs, labels = scenes(1)[0]
    labels[labels == 3] = 0
    labels[0, 5, :3] = 3
    score = Mahalanobis(4, 8, per_class=True).fit([(outputs, labels)])
    assert torch.isfinite(score(outputs)).all()
    own = score.weight.reshape(4, 8, 8)
    shared = Mahalanobis(4, 8).fit([(outputs, labels)]).weight[:, :, 0, 0]
    assert torch.allclose(own[3], shared, rtol=1e-4)
    assert not torch.allclose(own[0], shared, rtol=1e-2)


def test_a_flow_without_couplings_is_a_gaussian() -> None:
    stream = scenes()
    score = EmbeddingDensity([8], couplings=0).fit(stream)
    values, _ = pixels(stream)
    covariance = np.cov(values.T)
    covariance += 1e-4 * covariance.diagonal().mean() * np.eye(8)
    tested = scenes(1, seed=5)[0][0]
    points = tested.features.permute(0, 2, 3, 1).reshape(-1, 8).double().numpy()  # type: ignore[union-attr]
    expected = -multivariate_normal(values.mean(0), covariance).logpdf(points).reshape(12, 16)
    assert np.allclose(score(tested)[0].numpy(), expected, rtol=1e-4, atol=1e-3)


def test_the_flow_is_invertible_volume_aware_and_better_than_a_gaussian() -> None:
    stream = scenes(20)
    gaussian = EmbeddingDensity([8], couplings=0).fit(stream)
    flow = EmbeddingDensity([8], couplings=4, hidden=32, steps=150).fit(stream)
    tested = scenes(4, seed=5)
    gain = torch.stack([gaussian(outputs).mean() - flow(outputs).mean() for outputs, _ in tested]).mean()
    assert gain > 0.5
    inner = flow.flows[0]
    x = tested[0][0].features[:, :, 3, 4].double()[0]  # type: ignore[index]
    inner.double()

    def latent(point: torch.Tensor) -> torch.Tensor:
        y = torch.nn.functional.conv2d(point[None, :, None, None] - inner.centre, inner.white)
        for coupling in inner.couplings:
            y, _ = coupling(y)
        return y[0, :, 0, 0]

    jacobian = torch.autograd.functional.jacobian(latent, x)
    expected = 0.5 * latent(x).square().sum() + 4 * np.log(2 * np.pi) - torch.linalg.slogdet(jacobian)[1]
    assert torch.allclose(inner(x[None, :, None, None])[0, 0, 0], expected, rtol=1e-4)


def test_the_minimum_over_layers_is_standardised() -> None:
    stream = [
        (outputs._replace(layers=(outputs.features[:, :3, ::2, ::2] * 100,)), labels) for outputs, labels in scenes()
    ]  # type: ignore[index]
    score = EmbeddingDensity.build(stream[0][0], 1)
    assert score.arguments["channels"] == [3, 8]
    score.steps = 0
    score.fit(stream)
    value = score(stream[0][0])
    assert value.shape == (1, 12, 16)
    assert abs(value.mean().item()) < 1.5
    outputs = stream[0][0]
    parts = [
        (flow(maps) - usual) / deviation
        for flow, maps, usual, deviation in zip(
            score.flows, (outputs.layers[0], outputs.features), score.usual, score.deviation, strict=True
        )
    ]
    coarse = torch.nn.functional.interpolate(parts[0][:, None], size=(12, 16), mode="bilinear")[:, 0]
    assert torch.allclose(value, torch.minimum(coarse, parts[1]), atol=1e-5)
    with pytest.raises(InputError, match="fitted on 2 layers and got 1"):
        score(stream[0][0]._replace(layers=()))


@pytest.mark.usefixtures("brief_flow")
@pytest.mark.parametrize("name", FITTED)
def test_every_fitted_score_keeps_its_state_and_finds_what_is_odd(name: str) -> None:
    stream = scenes()
    outputs = stream[0][0]
    score = FITTED[name].build(outputs, 8).fit(stream)
    usual = score(outputs)
    assert usual.shape == (1, 12, 16)
    assert torch.isfinite(usual).all()
    odd = outputs._replace(logits=0.1 * outputs.logits, features=outputs.features + 60)
    assert score(odd).mean() > usual.mean() + 1
    again = FITTED[name](**score.arguments)
    again.load_state_dict(score.state_dict())
    assert torch.equal(again(outputs), usual)


@pytest.mark.parametrize("name", FITTED)
def test_nothing_labelled_is_refused(name: str) -> None:
    outputs, labels = scenes(1)[0]
    with pytest.raises(InputError, match=f"no labelled pixel to fit {name}"):
        FITTED[name].build(outputs, 8).fit([(outputs, torch.full_like(labels, 255))])


def test_features_are_asked_for() -> None:
    with pytest.raises(InputError, match="last features"):
        Mahalanobis.build(Outputs(torch.zeros(1, 4, 2, 2)), 8)
