"""Scores on logits: golden values, and properties that hold over the whole table."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from golden import golden, needs_golden
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import MASK_SCORES

from oddroad.errors import InputError
from oddroad.learn.detector import Detector
from oddroad.learn.outputs import Outputs, split_void
from oddroad.learn.scores import SCORES

"""Scores of mask networks, which have tests of their own."""

NEEDS_NO_CLASS = {"outlier_head", "mutual_information", "resynthesis", "failure", *MASK_SCORES}
"""Scores that do not look at the class logits."""

SHIFT = {
    "msp": 0, "entropy": 0, "void": 0, "gambler": 0, "outlier_head": 0, "mutual_information": 0,
    "resynthesis": 0, "failure": 0,
    "max_logit": -1, "energy": -1, "pebal": -1, "min_distance": -1, "dense_hybrid": -1, "joint": -1,
}  # fmt: skip
"""What adding 1 to every logit, the void output included, adds to the score."""

RANGE = {
    "msp": (0, 1 - 1 / 19), "entropy": (0, 1), "void": (0, 1), "gambler": (0, 1),
    "mutual_information": (0, math.log(19)),
}  # fmt: skip


def outputs_of(logits: torch.Tensor, seed: int = 0) -> Outputs:
    """Outputs with these logits and something in every other part a score can read."""
    draw = torch.Generator().manual_seed(seed)
    shape = (logits.shape[0], *logits.shape[2:])
    return Outputs(
        logits=logits,
        outlier=torch.randn(shape, generator=draw, dtype=logits.dtype),
        void=torch.randn(shape, generator=draw, dtype=logits.dtype),
        mutual_information=torch.rand(shape, generator=draw, dtype=logits.dtype),
        queries=3 * torch.randn(shape[0], 9, logits.shape[1] + 2, generator=draw, dtype=logits.dtype),
        masks=4 * torch.randn(shape[0], 9, *shape[1:], generator=draw, dtype=logits.dtype),
        anomaly=torch.rand(shape, generator=draw, dtype=logits.dtype),
        failure=torch.randn(shape, generator=draw, dtype=logits.dtype),
    )


def random_logits(seed: int, spread: float) -> torch.Tensor:
    """(2, 19, 6, 7) float64 logits of the given spread."""
    return spread * torch.randn(2, 19, 6, 7, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


GOLDEN_SCORES = {
    "score_msp": ("msp", "logits", 1.0),
    "score_msp_t2": ("msp", "logits", 2.0),
    "score_maxlogit": ("max_logit", "logits", 1.0),
    "score_entropy_normalised": ("entropy", "logits", 1.0),
    "score_energy": ("energy", "logits", 1.0),
    "iso_min_distance_score": ("min_distance", "iso_logits", 1.0),
    "pebal_score_blurred": ("pebal", "logits20", 1.0),
    "pebal_score_blurred_shifted": ("pebal", "logits20_shifted", 1.0),
    "gambler_score": ("gambler", "logits20", 1.0),
}


@needs_golden
@pytest.mark.parametrize("name", GOLDEN_SCORES)
def test_golden(name: str) -> None:
    arrays = golden("losses_scores.npz")
    score, source, temperature = GOLDEN_SCORES[name]
    logits = torch.from_numpy(arrays[source]).double() / temperature
    ours = SCORES[score](split_void(Outputs(logits), 19)).numpy()
    assert np.abs(ours - arrays[name]).max() <= 1e-6 * np.abs(arrays[name]).max()


@needs_golden
def test_golden_energy_at_temperature_two() -> None:
    arrays = golden("losses_scores.npz")
    ours = 2 * SCORES["energy"](Outputs(torch.from_numpy(arrays["logits"]).double() / 2)).numpy()
    assert np.abs(ours - arrays["score_energy_t2"]).max() <= 1e-5


@needs_golden
def test_golden_dense_hybrid() -> None:
    arrays = golden("losses_scores.npz")
    head = torch.from_numpy(arrays["densehybrid_head_logits"]).double()
    outputs = Outputs(torch.from_numpy(arrays["logits"]).double(), outlier=head[:, 1] - head[:, 0])
    assert np.abs(SCORES["dense_hybrid"](outputs).numpy() - arrays["densehybrid_score"]).max() <= 1e-5


@pytest.mark.parametrize("name", SCORES)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), spread=st.sampled_from([0.1, 3.0, 40.0]))
def test_shape_type_and_range(name: str, seed: int, spread: float) -> None:
    logits = random_logits(seed, spread).float()
    value = SCORES[name](outputs_of(logits, seed))
    assert value.shape == (2, 6, 7)
    assert value.dtype == torch.float32
    assert torch.isfinite(value).all()
    low, high = RANGE.get(name, (-math.inf, math.inf))
    assert value.min() >= low - 1e-6
    assert value.max() <= high + 1e-6


@pytest.mark.parametrize("name", SCORES)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), shift=st.floats(-20, 20))
def test_shift_of_all_logits(name: str, seed: int, shift: float) -> None:
    outputs = outputs_of(random_logits(seed, 3.0), seed)
    assert outputs.void is not None
    moved = outputs._replace(logits=outputs.logits + shift, void=outputs.void + shift)
    expected = SCORES[name](outputs) + SHIFT.get(name, 0) * shift
    assert torch.allclose(SCORES[name](moved), expected, atol=1e-9)


@pytest.mark.parametrize("name", SCORES)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_order_of_the_classes_does_not_matter(name: str, seed: int) -> None:
    outputs = outputs_of(random_logits(seed, 3.0), seed)
    order = torch.randperm(19, generator=torch.Generator().manual_seed(seed))
    permuted = outputs._replace(logits=outputs.logits[:, order])
    assert torch.allclose(SCORES[name](permuted), SCORES[name](outputs), atol=1e-9)


@pytest.mark.parametrize("name", [each for each in SCORES if each not in NEEDS_NO_CLASS])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), rise=st.floats(0.1, 10))
def test_more_of_the_winning_class_is_less_strange(name: str, seed: int, rise: float) -> None:
    outputs = outputs_of(random_logits(seed, 3.0), seed)
    winner = torch.zeros_like(outputs.logits).scatter_(1, outputs.logits.argmax(1, keepdim=True), 1.0)
    surer = outputs._replace(logits=outputs.logits + rise * winner)
    assert (SCORES[name](surer) < SCORES[name](outputs)).all()


@pytest.mark.parametrize("name", [each for each in SCORES if each not in NEEDS_NO_CLASS])
def test_flat_is_stranger_than_confident(name: str) -> None:
    flat = torch.zeros(1, 19, 6, 7)
    confident = flat.clone()
    confident[:, 3] = 12.0
    assert (SCORES[name](outputs_of(flat)) > SCORES[name](outputs_of(confident))).all()


def test_flat_and_confident_values() -> None:
    flat, confident = Outputs(torch.zeros(1, 19, 1, 1)), torch.zeros(1, 19, 1, 1)
    confident[:, 3] = 200.0
    assert SCORES["msp"](flat).item() == pytest.approx(18 / 19)
    assert SCORES["entropy"](flat).item() == pytest.approx(1)
    assert SCORES["energy"](flat).item() == pytest.approx(-math.log(19))
    assert SCORES["msp"](Outputs(confident)).item() == 0
    assert SCORES["entropy"](Outputs(confident)).item() == 0


@pytest.mark.parametrize(
    ("name", "says"),
    [("void", "beyond the closed-set classes"), ("outlier_head", "outlier head"), ("mutual_information", "Ensemble")],
)
def test_a_missing_part_is_named(name: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        SCORES[name](Outputs(torch.zeros(1, 19, 6, 7)))


def test_the_void_output_takes_no_part_in_the_others() -> None:
    logits = random_logits(0, 3.0)
    with_void = split_void(Outputs(torch.cat([logits, 50 + logits[:, :1]], 1)), 19)
    assert torch.equal(SCORES["max_logit"](with_void), SCORES["max_logit"](Outputs(logits)))
    assert (SCORES["void"](with_void) > 0.99).all()
    with pytest.raises(InputError, match="has 19 outputs; expected 17"):
        split_void(Outputs(logits), 17)


class Fixed(torch.nn.Module):
    """A network that says the same 20 logits everywhere."""

    stride = 4

    def forward(self, images: torch.Tensor) -> Outputs:
        height, width = images.shape[-2] // 4, images.shape[-1] // 4
        return Outputs(torch.arange(20.0).view(1, 20, 1, 1).expand(images.shape[0], 20, height, width))


def test_a_detector_splits_the_void_output_and_applies_the_temperature() -> None:
    detector = Detector(Fixed(), {"max_logit": SCORES["max_logit"], "void": SCORES["void"]}, temperature=2.0, known=19)
    largest, odd = detector(torch.zeros(1, 8, 12, 3, dtype=torch.uint8))
    expected = torch.softmax(torch.arange(20.0) / 2, 0)[19]
    assert torch.allclose(largest, torch.full((1, 8, 12), -9.0))
    assert torch.allclose(odd, torch.full((1, 8, 12), expected.item()))
