"""Values and gradients of the losses against the golden files, and what all of them promise."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from golden import golden, needs_golden
from torch import Tensor

from oddroad.errors import InputError
from oddroad.learn.losses import LOSSES, outlier, pixel, weighted
from oddroad.learn.outputs import Outputs
from oddroad.types import IGNORE, OUTLIER, UNNAMED

Loss = Callable[[Outputs, Tensor], Tensor]


def value_and_gradient(loss: Loss, logits: np.ndarray, classes: int = 19, labels: np.ndarray | None = None) -> tuple:
    """The loss and its gradient in float64 for golden logits, whose channels past the classes are the abstention."""
    arrays = golden("losses_scores.npz")
    z = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    target = torch.tensor((arrays["labels"] if labels is None else labels).astype(np.int64))
    outputs = Outputs(z[:, :classes], void=z[:, classes] if z.shape[1] > classes else None)
    value = loss(outputs, target)
    value.backward()
    assert z.grad is not None
    return value.item(), z.grad.numpy()


GOLDEN_CASES = {
    "ce": (pixel.cross_entropy, "logits", "ce", "ce_grad"),
    "focal": (pixel.focal, "logits", "focal_g2", "focal_g2_grad"),
    "logit_norm": (pixel.logit_norm, "logits", "logitnorm_t004", "logitnorm_t004_grad"),
    "logit_norm 1": (
        functools.partial(pixel.logit_norm, temperature=1.0), "logits", "logitnorm_t1", "logitnorm_t1_grad",
    ),
    "ohem": (pixel.ohem, "logits", "ohem_t07", "ohem_t07_grad"),
    "ohem confident": (pixel.ohem, "logits_confident", "ohem_t07_confident", "ohem_t07_confident_grad"),
    "maximised entropy": (outlier.maximised_entropy, "logits", "maxent_a09", "maxent_a09_grad"),
    "pebal energy": (outlier.pebal_energy, "logits20", "pebal_energy_loss", "pebal_energy_loss_grad"),
    "pebal energy shifted": (
        outlier.pebal_energy, "logits20_shifted", "pebal_energy_loss_shifted", "pebal_energy_loss_shifted_grad",
    ),
    "pebal abstention": (
        outlier.pebal_abstention, "logits20", "pebal_gambler_with_outliers", "pebal_gambler_with_outliers_grad",
    ),
    "pebal abstention shifted": (
        outlier.pebal_abstention, "logits20_shifted", "pebal_gambler_with_outliers_shifted",
        "pebal_gambler_with_outliers_shifted_grad",
    ),
    "gambler 2.2": (outlier.deep_gambler, "logits20", "gambler_o22", "gambler_o22_grad"),
    "gambler 6": (functools.partial(outlier.deep_gambler, reward=6.0), "logits20", "gambler_o60", "gambler_o60_grad"),
}  # fmt: skip


@needs_golden
@pytest.mark.parametrize("case", GOLDEN_CASES)
def test_golden_values_and_gradients(case: str) -> None:
    loss, logits, value, gradient = GOLDEN_CASES[case]
    arrays = golden("losses_scores.npz")
    found, slope = value_and_gradient(loss, arrays[logits])
    assert found == pytest.approx(float(arrays[value]), rel=1e-6)
    assert np.abs(slope - arrays[gradient]).max() < 1e-6


@needs_golden
def test_golden_class_weights() -> None:
    arrays = golden("losses_scores.npz")
    weights = torch.tensor(arrays["class_weights"])
    found, slope = value_and_gradient(functools.partial(pixel.cross_entropy, weights=weights), arrays["logits"])
    assert found == pytest.approx(float(arrays["ce_weighted"]), rel=1e-6)
    assert np.abs(slope - arrays["ce_weighted_grad"]).max() < 1e-6


@needs_golden
@pytest.mark.parametrize("kind", ["", "_shifted"])
def test_golden_pebal_where_nothing_is_odd(kind: str) -> None:
    arrays = golden("losses_scores.npz")
    labels = np.where(arrays["labels"] == OUTLIER, IGNORE, arrays["labels"])
    energy, _ = value_and_gradient(outlier.pebal_energy, arrays[f"logits20{kind}"], labels=labels)
    abstention, _ = value_and_gradient(outlier.pebal_abstention, arrays[f"logits20{kind}"], labels=labels)
    assert energy == pytest.approx(float(arrays[f"pebal_energy_loss{kind}_no_outliers"]), rel=1e-6)
    assert abstention == pytest.approx(float(arrays[f"pebal_gambler_no_outliers{kind}"]), rel=1e-6)


@needs_golden
def test_golden_dense_hybrid() -> None:
    arrays = golden("losses_scores.npz")
    z = torch.tensor(arrays["logits"], dtype=torch.float64, requires_grad=True)
    head = torch.tensor(arrays["densehybrid_head_logits"], dtype=torch.float64, requires_grad=True)
    labels = torch.tensor(arrays["labels"].astype(np.int64))
    outputs = Outputs(z, outlier=head[:, 1] - head[:, 0])
    value = outlier.dense_hybrid(outputs, labels, ignored_as_inlier=True)
    value.backward()
    assert value.item() == pytest.approx(float(arrays["densehybrid_loss"]), rel=1e-6)
    assert z.grad is not None
    assert head.grad is not None
    assert np.abs(z.grad.numpy() - arrays["densehybrid_grad_logits"]).max() < 1e-6
    assert np.abs(head.grad.numpy() - arrays["densehybrid_grad_head"]).max() < 1e-6


@needs_golden
def test_golden_isomax() -> None:
    arrays = golden("losses_scores.npz")
    z = torch.tensor(arrays["iso_logits"], dtype=torch.float64)
    labels = torch.tensor(arrays["labels"].astype(np.int64))
    assert pixel.isomax(Outputs(z), labels).item() == pytest.approx(float(arrays["iso_loss_es10"]), rel=1e-6)


@pytest.mark.parametrize("name", LOSSES)
class TestContract:
    """What every loss of the table promises."""

    def outputs(self) -> tuple[Outputs, list[Tensor]]:
        draw = torch.Generator().manual_seed(1)
        logits = (3 * torch.randn(2, 19, 6, 8, generator=draw)).requires_grad_()
        rest = [torch.randn(2, 6, 8, generator=draw).requires_grad_() for _ in range(3)]
        queries = torch.randn(2, 24, 20, generator=draw).requires_grad_()
        masks = torch.randn(2, 24, 6, 8, generator=draw).requires_grad_()
        iou = torch.rand(2, 19, generator=draw)
        outputs = Outputs(
            logits, outlier=rest[0], void=rest[1], auxiliary=(logits * 0.5,), failure=rest[2], iou=iou.requires_grad_()
        )
        deep = ((queries * 0.5, masks * 0.5),)
        return outputs._replace(queries=queries, masks=masks, deep=deep), [logits, *rest, masks]

    def test_ignored_pixels_get_no_gradient(self, name: str) -> None:
        outputs, leaves = self.outputs()
        labels = torch.randint(0, 19, (2, 6, 8), generator=torch.Generator().manual_seed(0))
        labels[:, 0], labels[:, 3:5, 2:5], labels[:, 5, 5], labels[:, 5, 6] = IGNORE, OUTLIER, UNNAMED, 200
        value = LOSSES[name](outputs, labels)
        value.backward()
        assert torch.isfinite(value)
        assert value.ndim == 0
        if name in ("pebal", "mask_matching"):  # blur and smoothness; points between pixels: both reach over neighbours
            return
        if name == "failure_iou":  # of a number for each class of the image
            assert outputs.iou is not None
            assert outputs.iou.grad is not None
            assert (outputs.iou.grad != 0).any()
            return
        for leaf in leaves:
            if leaf.grad is not None:
                assert (leaf.grad[..., 0, :] == 0).all()
                assert torch.isfinite(leaf.grad).all()
        assert any(leaf.grad is not None and (leaf.grad != 0).any() for leaf in leaves)

    def test_maps_of_another_size_are_enlarged(self, name: str) -> None:
        outputs, _ = self.outputs()
        labels = torch.randint(0, 19, (2, 12, 16), generator=torch.Generator().manual_seed(0))
        labels[:, 2:5, 2:5] = OUTLIER
        assert torch.isfinite(LOSSES[name](outputs, labels))

    def test_nothing_to_learn_from(self, name: str) -> None:
        outputs, _ = self.outputs()
        value = LOSSES[name](outputs, torch.full((2, 6, 8), IGNORE))
        assert torch.isfinite(value)
        if name != "pebal":
            assert value.item() == 0


@pytest.mark.parametrize("name", ["cross_entropy", "focal", "ohem", "logit_norm", "isomax", "deep_gambler"])
def test_a_good_prediction_costs_less(name: str) -> None:
    labels = torch.randint(0, 19, (1, 5, 5))
    good = 6 * torch.nn.functional.one_hot(labels, 19).movedim(-1, 1).float()
    void = torch.zeros(1, 5, 5)
    assert LOSSES[name](Outputs(good, void=void), labels) < LOSSES[name](Outputs(-good, void=void), labels)


@pytest.mark.parametrize(
    "name", ["maximised_entropy", "energy_margin", "densehybrid_ood", "rpl", "dense_hybrid", "pebal"]
)
def test_being_unsure_of_what_is_odd_costs_less(name: str) -> None:
    labels = torch.zeros(1, 8, 8, dtype=torch.int64)
    labels[:, 2:6, 2:6] = OUTLIER
    sure = torch.full((1, 19, 8, 8), -3.0)
    sure[:, 0] = 15.0
    unsure = sure.clone()
    unsure[:, 0, 2:6, 2:6] = -3.0
    rest = {"outlier": torch.zeros(1, 8, 8), "void": torch.zeros(1, 8, 8)}
    assert LOSSES[name](Outputs(unsure, **rest), labels) < LOSSES[name](Outputs(sure, **rest), labels)


def test_a_small_object_weighs_as_much_as_a_large_one() -> None:
    """Outlier pixels alone would let the large one decide; one window holds one object here."""
    labels = torch.zeros(1, 64, 256, dtype=torch.int64)
    labels[:, 22:42, 20:40] = OUTLIER
    labels[:, 30:35, 200:205] = OUTLIER
    logit = torch.zeros(1, 64, 256)
    logit[:, :, :128] = 4.0  # the large one is found
    half = outlier.outlier_objects(Outputs(logit[:, None], outlier=logit), labels, window=0.64, most=2000.0)
    good, bad = (torch.nn.functional.softplus(torch.tensor(value)) for value in (-4.0, 0.0))
    assert half.item() == pytest.approx((good + bad).item() / 2, rel=1e-3)
    bounded = outlier.outlier_objects(Outputs(logit[:, None], outlier=logit), labels, window=0.64, most=1.0)
    assert bounded.item() == pytest.approx((400 * good + 25 * bad).item() / 425, rel=1e-3)


def test_the_hardest_known_pixels_count_away_from_objects() -> None:
    labels = torch.zeros(1, 40, 100, dtype=torch.int64)
    labels[:, 10:20, 10:20] = OUTLIER
    labels[:, :, 95:] = IGNORE
    logit = torch.full((1, 40, 100), -9.0)
    logit[:, 10:24, 10:24] = 7.0  # the object and its edge
    logit[:, 5, 97] = 7.0
    logit[:, 30, 50:70] = 3.0  # 20 of 4000 pixels: half of one in a hundred
    given = Outputs(logit[:, None], outlier=logit)
    found = outlier.outlier_hardest(given, labels, share=0.005, margin=0.22)
    assert found.item() == pytest.approx(torch.nn.functional.softplus(torch.tensor(3.0)).item(), rel=1e-4)
    assert outlier.outlier_hardest(given, labels, share=0.01, margin=0.22) < found
    assert outlier.outlier_hardest(given, labels, share=0.005, margin=0.0) > found


@pytest.mark.parametrize(
    "name", ["outlier_head", "outlier_objects", "outlier_hardest", "dense_hybrid", "pebal", "deep_gambler"]
)
def test_a_missing_output_is_named(name: str) -> None:
    with pytest.raises(InputError, match=f"the loss {name} needs an out"):
        LOSSES[name](Outputs(torch.zeros(1, 19, 4, 4)), torch.zeros(1, 4, 4).long())


def test_isomax_with_logit_norm_warns() -> None:
    with pytest.warns(UserWarning, match="collapses: the norm divides away the distances"):
        weighted({"isomax": 1.0, "logit_norm": 1.0})
