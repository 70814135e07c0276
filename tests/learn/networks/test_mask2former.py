"""Mask2Former and Mask2Anomaly: golden decoder values, the switch between the two, names, deep supervision."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from fabricated import training_root
from golden import GOLDEN, golden, golden_weight, needs_golden

from oddroad.errors import InputError
from oddroad.learn.checkpoints.convert import convert
from oddroad.learn.checkpoints.detectron2_names import from_detectron2, from_others, network_name
from oddroad.learn.checkpoints.format import load_network, read_checkpoint
from oddroad.learn.export.onnx import export
from oddroad.learn.mask_ops import semantic_map
from oddroad.learn.networks import NETWORKS
from oddroad.learn.networks.mask2former import GlobalMaskAttention, Mask2Former
from oddroad.learn.training.fit import fit
from oddroad.recipe import read_recipe

RECIPES = Path(__file__).resolve().parents[3] / "recipes"


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


def test_the_switch_changes_the_cross_attention_and_nothing_else() -> None:
    plain, both = (set(NETWORKS[f"{name}_small"]().state_dict()) for name in ("mask2former", "mask2anomaly"))
    assert all(".cross_attn." in name for name in plain ^ both)
    assert {name.replace(".foreground", "").replace(".background", "") for name in both} == plain


def test_global_mask_attention_is_the_sum_of_two_softmaxes() -> None:
    torch.manual_seed(0)
    attention = GlobalMaskAttention(8, 2).double()
    query, keys, values = (torch.randn(n, 1, 8).double() for n in (4, 10, 10))
    mask = torch.rand(4, 10) > 0.5
    mask[1] = True  # the mask of this query is empty: its row is opened by the decoder
    mask[2] = False  # and this one's is full
    given = mask & ~mask.all(-1, keepdim=True)
    found, _ = attention(query, keys, values, given[None].expand(2, -1, -1))

    def one(part: torch.nn.MultiheadAttention, blocked: torch.Tensor) -> torch.Tensor:
        q, k, v = (
            torch.nn.functional.linear(x[:, 0], w, b).unflatten(1, (2, 4)).transpose(0, 1)
            for x, w, b in zip(
                (query, keys, values), part.in_proj_weight.chunk(3), part.in_proj_bias.chunk(3), strict=True
            )
        )
        weights = (q @ k.transpose(1, 2) / 2).masked_fill(blocked, -torch.inf).softmax(-1)
        return part.out_proj((weights @ v).transpose(0, 1).flatten(1))

    inside = mask.clone()
    inside[1] = False
    outside = ~mask
    outside[2] = False
    expected = one(attention.foreground, inside) + one(attention.background, outside)
    assert torch.allclose(found[:, 0], expected)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_deep_supervision_in_training_only(checkpointing: bool) -> None:
    torch.manual_seed(0)
    network = NETWORKS["mask2anomaly_small"](classes=5, auxiliary=True, checkpointing=checkpointing)
    found = network.train()(torch.rand(2, 3, 64, 64))
    assert [queries.shape for queries, _ in found.deep] == [(2, 32, 6)] * 3
    assert [masks.shape for _, masks in found.deep] == [(2, 32, 16, 16)] * 3
    assert found.masks.shape == (2, 32, 16, 16)
    assert torch.allclose(found.logits, semantic_map(found.queries, found.masks))
    assert network.eval()(torch.rand(1, 3, 64, 64)).deep == ()
    assert NETWORKS["mask2anomaly_small"](classes=5).train()(torch.rand(2, 3, 64, 64)).deep == ()


def test_checkpointing_computes_the_same_gradients() -> None:
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        network = NETWORKS["mask2anomaly_small"](classes=5, checkpointing=checkpointing).train()
        images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
        network(images).logits.square().sum().backward()
        gradients.append([each.grad for each in network.parameters()])
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-6) for a, b in zip(*gradients, strict=True))


def test_a_frozen_backbone_stays() -> None:
    network = NETWORKS["mask2anomaly_small"](frozen=True).train()
    encoder = network.model.pixel_level_module.encoder
    assert not encoder.training
    assert not any(each.requires_grad for each in encoder.parameters())
    assert network.class_predictor.weight.requires_grad


def test_an_unknown_backbone_is_refused() -> None:
    with pytest.raises(InputError, match="no backbone called 'resnet5'; choose from: resnet50, swin_tiny"):
        Mask2Former(backbone="resnet5")


@pytest.mark.parametrize("backbone", ["resnet50", "swin_tiny"])
def test_backbones_of_the_papers(backbone: str) -> None:
    torch.manual_seed(0)
    network = Mask2Former(classes=3, backbone=backbone, queries=5, hidden=32, encoder_layers=1, decoder_layers=1)
    outputs = network.train()(torch.rand(2, 3, 64, 96))
    assert outputs.masks.shape == (2, 5, 16, 24)
    outputs.logits.square().sum().backward()
    assert [key for key, each in network.named_parameters() if each.grad is None] == []


class TestPublishedFiles:
    def test_hugging_face_swin_loads_by_name(self, tmp_path: Path) -> None:
        """A model of transformers itself, with random weights, saved as it saves: same names, same maps."""
        from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, SwinConfig

        torch.manual_seed(0)
        swin = SwinConfig(out_features=["stage1", "stage2", "stage3", "stage4"], depths=[2, 2, 6, 2])
        config = Mask2FormerConfig(backbone_config=swin, num_labels=19)
        theirs = Mask2FormerForUniversalSegmentation(config).eval()
        theirs.save_pretrained(tmp_path)
        done = convert(tmp_path / "model.safetensors", "mask2former_swin")
        assert done.missing == []
        assert {name.rpartition("encoder.")[2] for name in done.ignored} <= {
            "criterion.empty_weight", "swin.layernorm.weight", "swin.layernorm.bias"
        }  # fmt: skip
        images = torch.rand(1, 3, 96, 128)
        with torch.inference_mode():
            wanted, found = theirs(images), done.network(images)
        assert torch.allclose(found.queries, wanted.class_queries_logits, atol=1e-5)
        assert torch.allclose(found.masks, wanted.masks_queries_logits, atol=1e-4)

    def test_names_in_our_files_are_the_published_ones(self) -> None:
        names = NETWORKS["mask2former_swin"]().state_dict()
        block = "model.pixel_level_module.encoder.encoder.layers.0.blocks.0."
        assert f"{block}attention.self.query.weight" in names
        assert f"{block}attention.self.relative_position_bias_table" in names
        assert f"{block}intermediate.dense.weight" in names
        assert "model.pixel_level_module.encoder.embeddings.patch_embeddings.projection.weight" in names
        assert "model.pixel_level_module.encoder.hidden_states_norms.stage1.weight" in names
        assert not [name for name in names if ".swin." in name or ("q_proj" in name and ".blocks." in name)]


def detectron2_names() -> list[str]:
    """Names in a checkpoint of detectron2's Mask2Former with ResNet-50, nine decoder layers and 100 queries."""
    both = ("weight", "bias")
    norm = ("weight", "bias", "running_mean", "running_var")

    def convolution(name: str) -> list[str]:
        return [f"{name}.weight", *(f"{name}.norm.{each}" for each in norm)]

    names = convolution("backbone.stem.conv1")
    for stage, blocks in zip((2, 3, 4, 5), (3, 4, 6, 3), strict=True):
        for block in range(blocks):
            inside = ["conv1", "conv2", "conv3", *(["shortcut"] if block == 0 else [])]
            names += [each for part in inside for each in convolution(f"backbone.res{stage}.{block}.{part}")]
    pixel = "sem_seg_head.pixel_decoder."
    names += [f"{pixel}input_proj.{level}.{part}.{each}" for level in range(3) for part in (0, 1) for each in both]
    names.append(f"{pixel}transformer.level_embed")
    parts = ["self_attn.sampling_offsets", "self_attn.attention_weights", "self_attn.value_proj"]
    parts += ["self_attn.output_proj", "norm1", "linear1", "linear2", "norm2"]
    for layer in range(6):
        names += [f"{pixel}transformer.encoder.layers.{layer}.{part}.{each}" for part in parts for each in both]
    names += [f"{pixel}mask_features.{each}" for each in both]
    for part in ("adapter_1", "layer_1"):
        names += [f"{pixel}{part}.weight", f"{pixel}{part}.norm.weight", f"{pixel}{part}.norm.bias"]
    names += ["pixel_mean", "pixel_std", "criterion.empty_weight"]
    return names


@needs_golden
@pytest.mark.parametrize(("name", "kind"), [("mask2former", "masked"), ("mask2anomaly", "gma")])
def test_the_authors_checkpoints_convert(name: str, kind: str, tmp_path: Path) -> None:
    """All names of detectron2 with their shapes: every parameter of ours is filled, and each gets its own value."""
    listed = json.loads((GOLDEN / f"m2a_decoder_{kind}_state_dict.json").read_text())["state_dict"]
    own = NETWORKS[name](queries=10).state_dict()
    shapes = {f"sem_seg_head.predictor.{each}": tuple(shape) for each, shape in listed}
    for each in detectron2_names():
        shapes[each] = tuple(own[network_name(each)].shape) if network_name(each) else (3,)
    draw = torch.Generator().manual_seed(0)
    state = {each: torch.randn(shape, generator=draw) for each, shape in shapes.items()}
    torch.save({"model": state, "iteration": 89999, "trainer": {}}, tmp_path / "model_final.pth")
    done = convert(tmp_path / "model_final.pth", name)
    assert done.missing == []
    fused = [f"sem_seg_head.predictor.{each}" for each, _ in listed if "fusion_layer" in each]
    assert set(done.ignored) == {"pixel_mean", "pixel_std", "criterion.empty_weight", "iteration", "trainer", *fused}
    assert "fusion_layer" in "\n".join(done.lines()) or kind == "masked"
    assert done.about["arguments"]["queries"] == 10
    assert len(done.about["classes"]) == 19
    loaded = done.network.state_dict()
    encoder = "model.pixel_level_module.encoder."
    for theirs, ours in (
        ("backbone.stem.conv1.weight", f"{encoder}embedder.embedder.convolution.weight"),
        ("backbone.res4.5.conv2.norm.running_var",
         f"{encoder}encoder.stages.2.layers.5.layer.1.normalization.running_var"),
        ("backbone.res2.0.shortcut.weight", f"{encoder}encoder.stages.0.layers.0.shortcut.convolution.weight"),
        ("sem_seg_head.pixel_decoder.layer_1.norm.bias", "model.pixel_level_module.decoder.layer_1.1.bias"),
        ("sem_seg_head.pixel_decoder.transformer.encoder.layers.5.norm2.weight",
         "model.pixel_level_module.decoder.encoder.layers.5.final_layer_norm.weight"),
        ("sem_seg_head.predictor.query_embed.weight", "model.transformer_module.queries_embedder.weight"),
    ):  # fmt: skip
        assert torch.equal(state[theirs], loaded[ours])
    stacked = state["sem_seg_head.predictor.transformer_self_attention_layers.3.self_attn.in_proj_weight"]
    layer = "model.transformer_module.decoder.layers.3.self_attn."
    assert torch.equal(stacked, torch.cat([loaded[f"{layer}{each}_proj.weight"] for each in "qkv"]))


def test_swin_names_of_detectron2() -> None:
    encoder = "model.pixel_level_module.encoder."
    qkv = torch.arange(12.0).view(6, 2)
    ours, left = from_detectron2(
        {
            "backbone.layers.2.blocks.5.attn.qkv.weight": qkv,
            "backbone.layers.2.blocks.5.attn.relative_position_bias_table": torch.ones(1),
            "backbone.layers.2.blocks.5.attn.relative_position_index": torch.ones(1),
            "backbone.layers.2.blocks.5.attn.proj.bias": torch.ones(1),
            "backbone.layers.2.blocks.5.mlp.fc1.weight": torch.ones(1),
            "backbone.layers.0.downsample.norm.weight": torch.ones(1),
            "backbone.patch_embed.proj.weight": torch.ones(1),
            "backbone.norm3.bias": torch.ones(1),
        }
    )
    block = f"{encoder}encoder.layers.2.blocks.5."
    assert left == ["backbone.layers.2.blocks.5.attn.relative_position_index"]
    assert torch.equal(ours[f"{block}attention.self.key.weight"], qkv[2:4])
    assert set(ours) == {
        *(f"{block}attention.self.{each}.weight" for each in ("query", "key", "value")),
        f"{block}attention.self.relative_position_bias_table",
        f"{block}attention.output.dense.bias",
        f"{block}intermediate.dense.weight",
        f"{encoder}encoder.layers.0.downsample.norm.weight",
        f"{encoder}embeddings.patch_embeddings.projection.weight",
        f"{encoder}hidden_states_norms.stage4.bias",
    }
    assert set(ours) <= set(NETWORKS["mask2former_swin"]().state_dict())


def test_a_file_without_queries_is_refused(tmp_path: Path) -> None:
    state = NETWORKS["mask2anomaly_small"]().state_dict()
    del state["model.transformer_module.queries_features.weight"]
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(InputError, match="holds no mask network: it has no model"):
        convert(tmp_path / "a.pth", "mask2anomaly_small")


def test_a_resnet50_of_torchvision_is_where_training_starts(tmp_path: Path) -> None:
    """Barlow Twins' file: a ResNet-50 without classifier; the rest is new and is trained before it is exported."""
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    names = ["conv1.weight", *(f"bn1.{each}" for each in norm)]
    for stage, blocks in zip((1, 2, 3, 4), (3, 4, 6, 3), strict=True):
        for block in range(blocks):
            at = f"layer{stage}.{block}."
            names += [f"{at}conv{n}.weight" for n in (1, 2, 3)] + [f"{at}bn{n}.{e}" for n in (1, 2, 3) for e in norm]
            if block == 0:
                names += [f"{at}downsample.0.weight", *(f"{at}downsample.1.{each}" for each in norm)]
    own = NETWORKS["mask2anomaly_frozen"]().state_dict()
    ours, left, _ = from_others({**dict.fromkeys(names, torch.ones(1)), "fc.weight": torch.ones(1)})
    encoder = {name for name in own if name.startswith("model.pixel_level_module.encoder.")}
    assert set(ours) == encoder
    assert left == ["fc.weight"]
    draw = torch.Generator().manual_seed(0)
    back = dict(zip(names, from_others({name: torch.ones(1) for name in names})[0], strict=True))
    state = {name: torch.rand(own[back[name]].shape, generator=draw) for name in names}
    torch.save(state, tmp_path / "resnet50.pth")
    done = convert(tmp_path / "resnet50.pth", "mask2anomaly_frozen")
    assert "a backbone alone" in "\n".join(done.lines())
    loaded = done.network.state_dict()
    assert torch.equal(
        loaded["model.pixel_level_module.encoder.encoder.stages.3.layers.0.shortcut.convolution.weight"],
        state["layer4.0.downsample.0.weight"],
    )
    assert torch.equal(
        loaded["model.pixel_level_module.encoder.encoder.stages.1.layers.3.layer.2.normalization.running_var"],
        state["layer2.3.bn3.running_var"],
    )
    with pytest.raises(InputError, match="is untrained; train it first"):
        export(done.network, done.about, ["mask2anomaly"], tmp_path / "a.onnx", size=(64, 64))


def test_a_small_mask_network_trains_and_goes_on(tmp_path: Path) -> None:
    """Both stages on rendered scenes: weights move, the run resumes, and the second starts from the first."""
    root = training_root(tmp_path / "data")
    small = {"scenes.crop": (64, 128), "scenes.scale": (0.3, 0.5), "optim.batch": 2, "optim.warmup": 1}
    first = read_recipe(RECIPES / "mask2anomaly_small_first.yaml", {**small, "optim.steps": 2})
    fit(first, root, tmp_path / "first", until=1)
    start = fit(first, root, tmp_path / "first")
    second = read_recipe(RECIPES / "mask2anomaly_small_second.yaml", {**small, "optim.steps": 1})
    done = fit(second, root, tmp_path / "second", init_from=start)
    states = [read_checkpoint(path)[0] for path in (start, done)]
    moved = [name for name in states[0] if not torch.equal(states[0][name], states[1][name])]
    assert "class_predictor.weight" in moved
    assert "model.transformer_module.decoder.layers.2.cross_attn.background.in_proj_weight" in moved
    network, about = load_network(done)
    assert about["network"] == "mask2anomaly_small"
    assert network.eval()(torch.rand(1, 3, 64, 64)).queries.shape == (1, 32, 20)
