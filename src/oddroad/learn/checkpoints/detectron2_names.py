"""Names of published mask networks -> those of NETWORKS, which are Hugging Face's: checkpoints of detectron2.

The authors of Mask2Former and of Mask2Anomaly publish checkpoints of detectron2, with ResNet-50 or Swin behind them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from oddroad.errors import InputError, counted

OF_MASKS = (
    *(f"{name}{backbone}" for name in ("mask2former", "mask2anomaly") for backbone in ("", "_swin", "_small")),
    "mask2anomaly_frozen",
    "mask2anomaly_lean",
)
"""The mask networks among NETWORKS."""


PIXEL = "model.pixel_level_module."


DECODER = "model.transformer_module."


SCALES = PIXEL + r"decoder.encoder.layers.\1."


BLOCK = PIXEL + r"encoder.encoder.stages.\1.layers.\2."


LAYER = DECODER + r"decoder.layers.\1."


SWIN_BLOCK = PIXEL + r"encoder.encoder.layers.\1.blocks.\2."


RULES: list[tuple[str, str]] = [
    # the transformer decoder
    (r"transformer_self_attention_layers\.(\d+)\.self_attn\.", LAYER + "self_attn."),
    (r"transformer_self_attention_layers\.(\d+)\.norm\.", LAYER + "self_attn_layer_norm."),
    (r"transformer_cross_attention_layers\.(\d+)\.multihead_attn_(foreground|background)\.", LAYER + r"cross_attn.\2."),
    (r"transformer_cross_attention_layers\.(\d+)\.multihead_attn\.", LAYER + "cross_attn."),
    (r"transformer_cross_attention_layers\.(\d+)\.norm\.", LAYER + "cross_attn_layer_norm."),
    (r"transformer_ffn_layers\.(\d+)\.linear(\d)\.", LAYER + r"fc\2."),
    (r"transformer_ffn_layers\.(\d+)\.norm\.", LAYER + "final_layer_norm."),
    (r"decoder_norm\.", DECODER + "decoder.layernorm."),
    (r"query_feat\.", DECODER + "queries_features."),
    (r"query_embed\.", DECODER + "queries_embedder."),
    (r"level_embed\.", DECODER + "level_embed."),
    (r"mask_embed\.layers\.(\d+)\.", DECODER + r"decoder.mask_predictor.mask_embedder.\1.0."),
    (r"class_embed\.", "class_predictor."),
    # the pixel decoder
    (r"pixel_decoder\.input_proj\.", PIXEL + "decoder.input_projections."),
    (r"pixel_decoder\.transformer\.level_embed$", PIXEL + "decoder.level_embed"),
    (r"pixel_decoder\.transformer\.encoder\.layers\.(\d+)\.norm1\.", SCALES + "self_attn_layer_norm."),
    (r"pixel_decoder\.transformer\.encoder\.layers\.(\d+)\.norm2\.", SCALES + "final_layer_norm."),
    (r"pixel_decoder\.transformer\.encoder\.layers\.(\d+)\.linear(\d)\.", SCALES + r"fc\2."),
    (r"pixel_decoder\.transformer\.encoder\.layers\.", PIXEL + "decoder.encoder.layers."),
    (r"pixel_decoder\.mask_features\.", PIXEL + "decoder.mask_projection."),
    (r"pixel_decoder\.(adapter|layer)_1\.norm\.", PIXEL + r"decoder.\1_1.1."),
    (r"pixel_decoder\.(adapter|layer)_1\.", PIXEL + r"decoder.\1_1.0."),
    # ResNet-50
    (r"backbone\.stem\.conv1\.norm\.", PIXEL + "encoder.embedder.embedder.normalization."),
    (r"backbone\.stem\.conv1\.", PIXEL + "encoder.embedder.embedder.convolution."),
    (r"backbone\.res(\d)\.(\d+)\.shortcut\.norm\.", BLOCK + "shortcut.normalization."),
    (r"backbone\.res(\d)\.(\d+)\.shortcut\.", BLOCK + "shortcut.convolution."),
    (r"backbone\.res(\d)\.(\d+)\.conv(\d)\.norm\.", BLOCK + r"layer.\3.normalization."),
    (r"backbone\.res(\d)\.(\d+)\.conv(\d)\.", BLOCK + r"layer.\3.convolution."),
    # Swin
    (r"backbone\.patch_embed\.proj\.", PIXEL + "encoder.embeddings.patch_embeddings.projection."),
    (r"backbone\.patch_embed\.norm\.", PIXEL + "encoder.embeddings.norm."),
    (r"backbone\.layers\.(\d+)\.blocks\.(\d+)\.norm1\.", SWIN_BLOCK + "layernorm_before."),
    (r"backbone\.layers\.(\d+)\.blocks\.(\d+)\.norm2\.", SWIN_BLOCK + "layernorm_after."),
    (r"backbone\.layers\.(\d+)\.blocks\.(\d+)\.attn\.proj\.", SWIN_BLOCK + "attention.output.dense."),
    (r"backbone\.layers\.(\d+)\.blocks\.(\d+)\.attn\.", SWIN_BLOCK + "attention.self."),
    (r"backbone\.layers\.(\d+)\.blocks\.(\d+)\.mlp\.fc1\.", SWIN_BLOCK + "intermediate.dense."),
    (r"backbone\.layers\.(\d+)\.blocks\.(\d+)\.mlp\.fc2\.", SWIN_BLOCK + "output.dense."),
    (r"backbone\.layers\.(\d+)\.downsample\.", PIXEL + r"encoder.encoder.layers.\1.downsample."),
    (r"backbone\.norm(\d)\.", PIXEL + r"encoder.hidden_states_norms.stage\1."),
]  # fmt: skip
"""Prefixes of detectron2's names, its ``sem_seg_head.`` and ``predictor.`` taken off, and of NETWORKS."""


LOWERED = (r"(encoder\.encoder\.stages\.)(\d)", r"(layers\.\d+\.layer\.)(\d)", r"(hidden_states_norms\.stage)(\d)")
"""Where detectron2 counts from 2 (res2) or 1 (conv1) and Hugging Face from 0; Swin's norms the other way round."""


TORCHVISION: list[tuple[str, str]] = [
    (r"conv1\.", PIXEL + "encoder.embedder.embedder.convolution."),
    (r"bn1\.", PIXEL + "encoder.embedder.embedder.normalization."),
    (r"layer(\d)\.(\d+)\.conv(\d)\.", BLOCK + r"layer.\3.convolution."),
    (r"layer(\d)\.(\d+)\.bn(\d)\.", BLOCK + r"layer.\3.normalization."),
    (r"layer(\d)\.(\d+)\.downsample\.0\.", BLOCK + "shortcut.convolution."),
    (r"layer(\d)\.(\d+)\.downsample\.1\.", BLOCK + "shortcut.normalization."),
]
"""The same of torchvision's ResNet-50, which Barlow Twins publishes its weights as; both count from 1."""


UNTRAINED = (PIXEL + "decoder.", DECODER, "class_predictor.")
"""What a file with a backbone alone does not have."""


def number_of_queries(state: Mapping[str, Tensor], path: Path) -> int:
    """How many queries a state dict under the names of NETWORKS has.

    Raises:
        InputError: if it holds no queries.
    """
    name = f"{DECODER}queries_features.weight"
    if name not in state:
        raise InputError(f"'{path}' holds no mask network: it has no {name}")
    return int(state[name].shape[0])


def is_backbone(state: Mapping[str, Tensor]) -> bool:
    """Whether a state dict under the names of NETWORKS has a backbone and nothing behind it."""
    return any(name.startswith(PIXEL + "encoder.") for name in state) and not any(
        name.startswith(UNTRAINED) for name in state
    )


def is_detectron2(state: Mapping[str, Tensor]) -> bool:
    """Whether a state dict has the names of detectron2: its Mask2Former, or its ResNet alone."""
    return "backbone.stem.conv1.weight" in state or any("transformer_cross_attention_layers." in name for name in state)


def network_name(name: str) -> str | None:
    """The name in NETWORKS of a parameter of detectron2's Mask2Former, or None where there is none."""
    bare = re.sub(r"^(module\.)?(sem_seg_head\.)?(predictor\.)?", "", name)
    return renamed(bare, RULES, (-2, -1, 1))


def renamed(name: str, rules: list[tuple[str, str]], shifts: tuple[int, int, int]) -> str | None:
    """A name by the first rule that fits its beginning, with the counts of LOWERED moved; None if none fits."""
    for pattern, replacement in rules:
        found, count = re.subn("^" + pattern, replacement, name)
        if count:
            for number, shift in zip(LOWERED, shifts, strict=True):
                found = re.sub(number, lambda m, by=shift: f"{m[1]}{int(m[2]) + by}", found)
            return found
    return None


def from_others(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str], list[str]]:
    """A state dict under the names of NETWORKS: from those of detectron2, of torchvision's ResNet-50, or as it is.

    Returns:
        the entries that have a place in NETWORKS, the names of the others, and what was recognised, in words.
    """
    if "stem.conv1.weight" in state and any(name.startswith("res5.") for name in state):  # a backbone of its zoo
        state = {f"backbone.{name}": value for name, value in state.items()}
    if is_detectron2(state):
        renamed_state, left = from_detectron2(state)
        words = ["the names of detectron2, brought to those of Hugging Face"]
        if unused := sum(".fusion_layer." in each for each in left):
            words.append(
                f"{counted(unused, 'value')} of fusion_layer, which Mask2Anomaly's own code never uses; left out"
            )
        return renamed_state, left, words
    bare = {name: re.sub(r"^(module\.|backbone\.)*", "", name) for name in state}
    if "layer4.2.bn3.weight" in bare.values() and "layer4.2.conv3.weight" in bare.values():
        names = {name: renamed(each, TORCHVISION, (-1, -1, 0)) for name, each in bare.items()}
        renamed_state = {to: state[name] for name, to in names.items() if to}
        words = ["the names of torchvision's ResNet-50, brought to those of Hugging Face"]
        return renamed_state, [name for name, to in names.items() if not to], words
    return dict(state), [], []


def from_detectron2(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """A state dict of detectron2's Mask2Former or Mask2Anomaly under NETWORKS' names; and what has no place there.

    Attention projections that are stacked there and separate here are cut in three. Unused there too, and left out:
    Mask2Anomaly's ``fusion_layer``, the loss's ``criterion``, and what is computed anew (``relative_position_index``).
    """
    renamed_state: dict[str, Tensor] = {}
    left: list[str] = []
    for name, value in state.items():
        to = network_name(name)
        if to is None or ".fusion_layer." in name or to.endswith("relative_position_index"):
            left.append(name)
        elif ".self_attn.in_proj_" in to or ".attention.self.qkv." in to:
            kinds = ("q_proj.", "k_proj.", "v_proj.") if "in_proj_" in to else ("query.", "key.", "value.")
            stacked = "in_proj_" if "in_proj_" in to else "qkv."
            for kind, part in zip(kinds, torch.chunk(value, 3), strict=True):
                renamed_state[to.replace(stacked, kind)] = part
        else:
            renamed_state[to] = value
    return renamed_state, left
