"""Temperature and fitted scores from known data, and a checkpoint that carries them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from small_networks import SLIM_ABOUT as ABOUT
from small_networks import SLIM_ARGUMENTS as ARGUMENTS
from small_networks import labelled_noise as frames

from oddroad.errors import InputError
from oddroad.learn.checkpoints.format import load_network, load_scores, save_checkpoint
from oddroad.learn.detector import Detector
from oddroad.learn.networks.ddrnet import DDRNet
from oddroad.learn.outputs import Outputs
from oddroad.learn.post_hoc import LogitSample, fit_scores, fit_temperature, reliability_diagram
from oddroad.learn.scores import FITTED


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return DDRNet(**ARGUMENTS).eval()


@pytest.mark.parametrize("truth", [0.4, 1.0, 2.5])
def test_the_temperature_that_made_the_labels_is_found(truth: float) -> None:
    draw = torch.Generator().manual_seed(0)
    logits = 4 * torch.randn(1, 5, 200, 200, generator=draw)
    p = torch.softmax(logits / truth, 1).permute(0, 2, 3, 1).reshape(-1, 5)
    labels = torch.multinomial(p, 1, generator=draw).reshape(1, 200, 200)
    sample = LogitSample(most=30000)
    sample.add(Outputs(logits), labels)
    found = sample.fit()
    assert found.value == pytest.approx(truth, rel=0.03)
    assert found.nll[1] <= found.nll[0]
    assert found.ece[1] < 0.01
    assert (found.ece[0] > 0.05) == (truth != 1.0)
    assert found.pixels == 30000
    assert found.line().startswith(f"temperature {found.value:.3f}: negative log-likelihood")


def test_the_temperature_sees_known_classes_only(network: torch.nn.Module, tmp_path: Path) -> None:
    found = fit_temperature(network, ABOUT, frames())
    assert found.frames == 3
    assert found.pixels == sum(((h // 8) - 1) * 12 for h in (64, 72, 80))
    assert sum(found.bins[1]["pixels"]) == found.pixels
    reliability_diagram(found, tmp_path / "r.png")
    assert (tmp_path / "r.png").stat().st_size > 5000
    with pytest.raises(InputError, match="no pixel with a class"):
        fit_temperature(network, ABOUT, [(image, np.full_like(label, 253)) for image, label in frames()])


@pytest.mark.usefixtures("brief_flow")
def test_a_checkpoint_carries_temperature_and_fits(network: torch.nn.Module, tmp_path: Path) -> None:
    about = {**ABOUT, "temperature": 1.7}
    fitted = fit_scores(network, about, list(FITTED), frames())
    path = tmp_path / "x.ckpt"
    save_checkpoint(path, network, {**about, "scores": {"sml": {"data": "noise"}}}, fitted)
    again, kept = load_network(path)
    assert kept["temperature"] == 1.7
    assert kept["scores"]["sml"] == {"data": "noise", "arguments": fitted["sml"].arguments}  # type: ignore[union-attr]
    assert all(
        torch.equal(a, b) for a, b in zip(again.state_dict().values(), network.state_dict().values(), strict=True)
    )
    image = torch.from_numpy(frames()[0][0])[None]
    with torch.inference_mode():
        ours = Detector(network, fitted, temperature=1.7, known=4).eval()(image)
        theirs = Detector(again, load_scores(path, list(FITTED)), temperature=1.7, known=4).eval()(image)
        other = Detector(again, load_scores(path, list(FITTED)), known=4).eval()(image)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert not torch.allclose(other[0], ours[0])
    assert torch.equal(other[1], ours[1])


def test_statistics_are_those_of_the_tempered_logits(network: torch.nn.Module) -> None:
    plain, halved = (fit_scores(network, {**ABOUT, "temperature": t}, ["sml"], frames())["sml"] for t in (1.0, 2.0))
    assert torch.allclose(halved.mean, plain.mean / 2, rtol=1e-4)  # type: ignore[arg-type,operator]
    assert torch.allclose(halved.deviation, plain.deviation / 2, rtol=1e-3)  # type: ignore[arg-type,operator]


def test_what_is_not_there_is_refused_in_one_line(network: torch.nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    save_checkpoint(path, network, ABOUT)
    assert set(load_scores(path, ["msp", "energy"])) == {"msp", "energy"}
    for name, says in (
        ("sml", r"holds no fit of it; run 'oddroad calibrate .*x.ckpt --scores sml --data ...' first"),
        ("odin", "needs a gradient"),
        ("mc_dropout", "use an ensemble"),
        ("mahalanobs", "did you mean 'mahalanobis'"),
    ):
        with pytest.raises(InputError, match=says):
            load_scores(path, [name])
    with pytest.raises(InputError, match="no frame to fit on"):
        fit_scores(network, ABOUT, ["sml"], [])
    with pytest.raises(InputError, match="no fitted score called 'msp'"):
        fit_scores(network, ABOUT, ["msp"], frames())
