"""Losses and scores of mask networks: golden values, the library's own loss, and what each shall do."""

from __future__ import annotations

import functools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from golden import golden, needs_golden

from oddroad.errors import InputError
from oddroad.learn.losses import LOSSES, masks
from oddroad.learn.losses.masks import mask_matching
from oddroad.learn.mask_ops import semantic_map
from oddroad.learn.outputs import Outputs, split_void
from oddroad.learn.scores import SCORES
from oddroad.learn.scores.masks import INFERENCE, refinement_mask
from oddroad.types import IGNORE, OUTLIER


@needs_golden
@pytest.mark.parametrize("outliers", ["", "_no_outliers"])
@pytest.mark.parametrize("name", ["margin_m10", "margin_m075", "bce"])
def test_golden_outlier_losses(name: str, outliers: str) -> None:
    loss = {
        "margin_m10": masks.mask_contrastive_literal,
        "margin_m075": functools.partial(masks.mask_contrastive_literal, margin=0.75),
        "bce": masks.mask_bce_literal,
    }[name]
    arrays = golden("m2a_losses_inference.npz")
    queries = torch.tensor(arrays["loss_class_logits"], dtype=torch.float64, requires_grad=True)
    shapes = torch.tensor(arrays["loss_mask_logits"], dtype=torch.float64, requires_grad=True)
    stored = arrays["loss_ood_mask"]
    labels = torch.tensor(np.where(stored == 1, 0 if outliers else OUTLIER, stored).astype(np.int64))
    value = loss(Outputs(queries[..., 0], queries=queries, masks=shapes), labels)
    value.backward()
    key = f"loss_{name}{outliers}"
    assert value.item() == pytest.approx(float(arrays[key]), rel=1e-6)
    assert np.abs(queries.grad.numpy() - arrays[f"{key}_grad_class"]).max() < 1e-6
    assert np.abs(shapes.grad.numpy() - arrays[f"{key}_grad_mask"]).max() < 1e-6


@needs_golden
@pytest.mark.parametrize("case", ["a", "b", "c"])
def test_golden_inference(case: str) -> None:
    arrays = golden("m2a_losses_inference.npz")
    queries = torch.tensor(arrays[f"sem_{case}_class_logits"], dtype=torch.float64)[None]
    shapes = torch.tensor(arrays[f"sem_{case}_mask_logits"], dtype=torch.float64)[None]
    outputs = Outputs(semantic_map(queries, shapes), queries=queries, masks=shapes)
    semantic = arrays[f"sem_{case}_semseg"]
    assert np.abs(outputs.logits[0].numpy() - semantic[:19]).max() < 1e-5
    assert np.array_equal(refinement_mask(outputs)[0].numpy(), arrays[f"sem_{case}_refinement_mask"])
    for ours, theirs in (
        ("mask_msp", "score_before_refinement"), ("mask2anomaly", "score_refined"), ("rba", "rba"), ("eam", "eam")
    ):  # fmt: skip
        assert np.abs(SCORES[ours](outputs)[0].numpy() - arrays[f"sem_{case}_{theirs}"]).max() < 1e-5


def prediction(seed: int = 0, queries: int = 12, classes: int = 5) -> tuple[Outputs, torch.Tensor]:
    """Random outputs of a mask network with two inner layers, and labels of blocks."""
    draw = torch.Generator().manual_seed(seed)
    parts = [
        (
            torch.randn(2, queries, classes + 1, generator=draw).requires_grad_(),
            torch.randn(2, queries, 16, 24, generator=draw).requires_grad_(),
        )
        for _ in range(3)
    ]
    labels = torch.randint(0, classes, (2, 2, 3), generator=draw).repeat_interleave(16, 1).repeat_interleave(16, 2)
    last = parts[-1]
    return Outputs(semantic_map(*last), queries=last[0], masks=last[1], deep=tuple(parts[:-1])), labels


def test_matching_loss_is_that_of_the_library() -> None:
    """transformers' own loss on the same random points; every pixel has a class."""
    from transformers.models.mask2former.modeling_mask2former import Mask2FormerLoss

    outputs, labels = prediction()
    config = SimpleNamespace(
        num_labels=5, no_object_weight=0.1, train_num_points=labels[0].numel(), oversample_ratio=3,
        importance_sample_ratio=0.75, class_weight=2.0, mask_weight=5.0, dice_weight=5.0,
    )  # fmt: skip
    weights = {"loss_cross_entropy": 2.0, "loss_mask": 5.0, "loss_dice": 5.0}
    theirs = Mask2FormerLoss(config, weights)
    present = [torch.unique(each) for each in labels]
    goals = [(each == found[:, None, None]).float() for each, found in zip(labels, present, strict=True)]
    total = torch.zeros(())
    torch.manual_seed(7)
    for queries, shapes in (*outputs.deep, (outputs.queries, outputs.masks)):
        terms = theirs(shapes, queries, goals, present)
        total = total + sum(weights[name] * value for name, value in terms.items())
    wanted = torch.autograd.grad(total, [outputs.queries, outputs.masks, outputs.deep[0][1]])
    torch.manual_seed(7)
    value = mask_matching(outputs, labels)
    found = torch.autograd.grad(value, [outputs.queries, outputs.masks, outputs.deep[0][1]])
    assert value.item() == pytest.approx(total.item(), rel=1e-5)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(found, wanted, strict=True))


def test_ignored_pixels_move_no_mask_and_odd_ones_do() -> None:
    for value, moved in ((IGNORE, False), (200, False), (OUTLIER, True)):
        outputs, labels = prediction()
        labels[:, :, 32:] = value
        mask_matching(outputs, labels).backward()
        far = outputs.masks.grad[..., 18:]  # two pixels from the border: points between pixels reach over one
        assert (far != 0).any() == moved


def test_an_image_without_classes_is_passed_over() -> None:
    outputs, labels = prediction()
    labels[0] = IGNORE
    mask_matching(outputs, labels).backward()
    assert (outputs.masks.grad[0] == 0).all()
    assert (outputs.queries.grad[0] == 0).all()
    assert (outputs.masks.grad[1] != 0).any()


def perfect(labels: torch.Tensor, classes: int, odd: float) -> Outputs:
    """One query a class with its mask; on odd pixels the mask of class 0 has this logit."""
    queries = 20 * torch.eye(classes + 1)[None, :classes]
    shapes = torch.stack([torch.where(labels == each, 10.0, -10.0) for each in range(classes)], 1)
    shapes[:, 0] = torch.where(labels == OUTLIER, odd, shapes[:, 0])
    return Outputs(semantic_map(queries, shapes), queries=queries, masks=shapes)


def test_matching_prefers_the_right_masks() -> None:
    labels = torch.arange(4).view(1, 2, 2).repeat_interleave(16, 1).repeat_interleave(16, 2)
    right, wrong = perfect(labels, 4, -10.0), perfect(labels.roll(8, 2), 4, -10.0)
    assert mask_matching(right, labels).item() < 2
    assert mask_matching(wrong, labels).item() > 10
    shuffled = right._replace(queries=right.queries[:, [2, 0, 3, 1]], masks=right.masks[:, [2, 0, 3, 1]])
    torch.manual_seed(0)
    first = mask_matching(right, labels)
    torch.manual_seed(0)
    assert mask_matching(shuffled, labels).item() == pytest.approx(first.item(), rel=0.2)


@pytest.mark.parametrize(
    "name", ["mask_contrastive", "mask_contrastive_literal", "mask_bce", "mask_bce_literal", "mask_rba"]
)
def test_a_mask_on_what_is_odd_costs_more(name: str) -> None:
    labels = torch.zeros(1, 12, 12, dtype=torch.int64)
    labels[:, 3:8, 3:8] = OUTLIER
    assert LOSSES[name](perfect(labels, 2, -10.0), labels) < LOSSES[name](perfect(labels, 2, 10.0), labels)


def test_what_the_literal_contrastive_loss_gets_wrong() -> None:
    """Less confidence on known pixels costs more by every loss but the contrastive one as published."""
    labels = torch.zeros(1, 6, 6, dtype=torch.int64)
    sure, unsure = perfect(labels, 2, 0.0), perfect(labels, 2, 0.0)
    unsure = unsure._replace(masks=unsure.masks * 0.02)
    for name in ("mask_contrastive", "mask_bce", "mask_bce_literal"):
        assert LOSSES[name](sure, labels) < LOSSES[name](unsure, labels)
    assert LOSSES["mask_contrastive_literal"](sure, labels) > LOSSES["mask_contrastive_literal"](unsure, labels)


def test_margin_of_the_intended_loss() -> None:
    labels = torch.full((1, 4, 4), OUTLIER)
    labels[:, :2] = 0
    outputs = perfect(labels, 1, float(np.log(0.2 / 0.8)))  # 1 - S = 0.8 on what is odd: beyond 0.75
    assert LOSSES["mask_contrastive"](outputs, labels).item() < 1e-6
    assert masks.mask_contrastive(outputs, labels, margin=0.9).item() == pytest.approx(0.5 * 0.1**2, rel=1e-2)


def test_semantic_maps_above_one_keep_their_gradient() -> None:
    labels = torch.full((1, 4, 4), OUTLIER)
    queries = torch.tensor([[[9.0, -9.0], [9.0, -9.0]]])
    shapes = torch.full((1, 2, 4, 4), 6.0, requires_grad=True)
    value = LOSSES["mask_bce"](Outputs(shapes[:, :1], queries=queries, masks=shapes), labels)
    value.backward()
    assert torch.isfinite(value)
    assert (shapes.grad > 0).all()


@pytest.mark.parametrize("name", [name for name in LOSSES if name.startswith("mask_")])
def test_a_network_of_pixels_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"the loss {name} needs a mask network"):
        LOSSES[name](Outputs(torch.zeros(1, 3, 4, 4)), torch.zeros(1, 4, 4, dtype=torch.int64))


class TestScores:
    def outputs(self, negative: bool = False) -> Outputs:
        draw = torch.Generator().manual_seed(3)
        queries = torch.randn(1, 7, 21 if negative else 20, generator=draw).double()
        shapes = 3 * torch.randn(1, 7, 5, 6, generator=draw).double()
        return split_void(Outputs(semantic_map(queries, shapes), queries=queries, masks=shapes), 19)

    def test_table_3(self) -> None:
        outputs = self.outputs()
        c, m = outputs.queries[0].numpy(), outputs.masks[0].numpy()
        exp = np.exp(c)
        sigmoid = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731
        over_queries = np.exp(m) / np.exp(m).sum(0)
        p = (exp / exp.sum(1, keepdims=True))[:, :19]
        product = lambda weights, shapes: np.einsum("qc,qhw->chw", weights, shapes)  # noqa: E731
        s = product(p, sigmoid(m))
        expected = {
            "mask_identity": 1 - product(c[:, :19], m).max(0),
            "mask_softmax": 1 - product(p, over_queries).max(0),
            "mask_sigmoid": 1 - product(sigmoid(c[:, :19]), sigmoid(m)).max(0),
            "mask_sigmoid_softmax": 1 - product(sigmoid(c[:, :19]), over_queries).max(0),
            "mask_msp": 1 - s.max(0),
            "mask_msp_softmax": 1 - np.exp(s.max(0)) / np.exp(s).sum(0),
        }
        assert list(expected) == list(INFERENCE)
        for name, wanted in expected.items():
            assert np.abs(SCORES[name](outputs)[0].numpy() - wanted).max() < 1e-9

    def test_uno(self) -> None:
        outputs = self.outputs(negative=True)
        p = outputs.queries.softmax(-1)[0]
        weight = p[:, :19].amax(1) - p[:, 19]
        wanted = -(weight[:, None, None] * outputs.masks[0].sigmoid()).sum(0)
        assert torch.allclose(SCORES["uno"](outputs)[0], wanted)
        with pytest.raises(InputError, match="this network's queries have 19 classes: train it"):
            SCORES["uno"](self.outputs())

    def test_outputs_beyond_the_known_classes_do_not_count(self) -> None:
        """A query that is sure of the negative class leaves mask2anomaly, EAM and RbA where they are."""
        outputs = self.outputs(negative=True)
        queries = torch.full((1, 1, 21), -9.0).double()
        queries[..., 19] = 9.0
        more = outputs._replace(
            queries=torch.cat([outputs.queries, queries], 1),
            masks=torch.cat([outputs.masks, torch.full((1, 1, 5, 6), 9.0).double()], 1),
        )
        for name in ("mask2anomaly", "eam", "rba", "mask_msp"):
            assert torch.allclose(SCORES[name](more), SCORES[name](outputs), atol=1e-6)
        assert (SCORES["uno"](more) > SCORES["uno"](outputs) + 0.9).all()

    @pytest.mark.parametrize("name", ["mask2anomaly", "rba", "eam", "uno", *INFERENCE])
    def test_a_network_of_pixels_is_refused(self, name: str) -> None:
        with pytest.raises(InputError, match="needs a mask network"):
            SCORES[name](Outputs(torch.zeros(1, 19, 4, 4)))

    def test_refinement_acts_on_sure_stuff_only(self) -> None:
        queries = torch.full((1, 4, 20), -9.0)
        for query, each in enumerate((2, 8, 0, 13)):  # building, vegetation, road, car
            queries[0, query, each] = 9.0
        shapes = torch.full((1, 4, 1, 4), -9.0)
        for pixel in range(4):
            shapes[0, pixel, 0, pixel] = 9.0
        outputs = Outputs(semantic_map(queries, shapes), queries=queries, masks=shapes)
        assert refinement_mask(outputs)[0, 0].tolist() == [1, 1, 0, 0]
        queries[0, 1, 8] = -6.5  # unsure now: one kept query is not enough
        assert refinement_mask(outputs._replace(queries=queries))[0, 0].tolist() == [0, 0, 0, 0]


def test_ignored_pixels_do_not_dilute_the_loss() -> None:
    """The same mistake on every judged pixel costs the same, however many pixels are ignored."""
    whole = torch.zeros(1, 32, 32, dtype=torch.int64)
    half = whole.clone()
    half[:, :, 16:] = IGNORE
    queries, shapes = torch.tensor([[[9.0, -9.0]]]), torch.full((1, 1, 32, 32), -0.5)
    values = [mask_matching(Outputs(shapes, queries=queries, masks=shapes), each).item() for each in (whole, half)]
    assert values[1] == pytest.approx(values[0], rel=0.02)
