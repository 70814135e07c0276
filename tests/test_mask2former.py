"""Mask2Former and Mask2Anomaly: golden decoder values, the switch between the two, names, deep supervision."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from golden import GOLDEN, golden, golden_weight, needs_golden

from oddroad.learn.convert_masks import from_detectron2
from oddroad.learn.networks import NETWORKS
from oddroad.learn.networks.mask2former import GlobalMaskAttention, Mask2Former


def golden_features() -> tuple[list[torch.Tensor], torch.Tensor]:
    """The three scales and the mask features of the golden decoder."""
    arrays = golden("m2a_decoder.npz")
    draw = np.random.default_rng(int(arrays["input_seed"]))
    shapes = [(1, 256, 8, 16), (1, 256, 16, 32), (1, 256, 32, 64), (1, 256, 8, 16), (1, 256, 64, 128), (1, 256, 1, 1)]
    *scales, coarse, fine, shift = (draw.standard_normal(shape, dtype=np.float32) for shape in shapes)
    features = np.float32(0.5) * coarse.repeat(8, 2).repeat(8, 3) + np.float32(0.1) * fine + np.float32(0.8) * shift
    for each, total, head in zip((*scales, features), arrays["feature_sums"], arrays["feature_heads"], strict=True):
        assert np.allclose(each.flatten()[:8], head)
        assert each.sum(dtype=np.float64) == pytest.approx(float(total), rel=1e-5)
    return [torch.from_numpy(each) for each in scales], torch.from_numpy(features)


@needs_golden
@pytest.mark.parametrize("kind", ["gma", "masked"])
def test_golden_decoder(kind: str) -> None:
    arrays = golden("m2a_decoder.npz")
    listed = json.loads((GOLDEN / f"m2a_decoder_{kind}_state_dict.json").read_text())["state_dict"]
    published = {name: torch.from_numpy(golden_weight(name, tuple(shape), 1.0)) for name, shape in listed}
    total = sum(float(each.double().sum()) for each in published.values())
    assert total == pytest.approx(float(arrays[f"{kind}_weights_sum"]), rel=1e-6)
    ours, left = from_detectron2(published)
    assert all(".fusion_layer." in name for name in left)
    assert len(left) == (18 if kind == "gma" else 0)
    network = Mask2Former(auxiliary=True, global_mask=kind == "gma", queries=10, backbone="ddrnet23_slim")
    own = network.state_dict()
    assert set(ours) == {name for name in own if name.startswith(("model.transformer_module", "class_predictor"))}
    network.load_state_dict({**own, **ours})
    network.training = True  # deep supervision, with everything else in evaluation mode
    with torch.inference_mode():
        found = network.decode(*golden_features())
    assert np.abs(found.queries.numpy() - arrays[f"{kind}_pred_logits"]).max() < 1e-3
    assert np.abs(found.masks[..., ::2, ::2].numpy() - arrays[f"{kind}_pred_masks"]).max() < 5e-3
    assert len(found.deep) == 9
    for (queries, masks), wanted, shape in zip(
        found.deep, arrays[f"{kind}_aux_logits"], arrays[f"{kind}_aux_masks"], strict=True
    ):
        assert np.abs(queries.numpy() - wanted).max() < 1e-3
        assert np.abs(masks[..., ::8, ::8].numpy() - shape).max() < 5e-3
