"""Mask2Former and Mask2Anomaly: queries that each give a class and a mask; one switch between the two.

Sources: Cheng, Misra, Schwing, Kirillov, Girdhar, "Masked-attention Mask Transformer for Universal Image Segmentation",
CVPR 2022 (arXiv 2112.01527); Rai, Cermelli, Fontanel, Masone, Caputo, "Unmasking Anomalies in Road-Scene Segmentation",
ICCV 2023 (arXiv 2307.13316). The parts are those of ``transformers``; Mask2Anomaly replaces the masked cross-attention
of each decoder layer by GlobalMaskAttention and nothing else. Names of parameters are those of the published Hugging
Face checkpoints, whatever the installed version of ``transformers`` calls its modules.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from oddroad.errors import InputError
from oddroad.learn.mask_ops import semantic_map
from oddroad.learn.networks.ddrnet import DDRNet
from oddroad.learn.networks.efficientnet_lite import Encoder
from oddroad.learn.outputs import Outputs, crop_outputs
from oddroad.learn.tensor_ops import pad_to_multiple

STAGES = ["stage1", "stage2", "stage3", "stage4"]

SWIN: dict[str, dict[str, Any]] = {
    "swin_tiny": {"embed_dim": 96, "depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24], "window_size": 7},
    "swin_small": {"embed_dim": 96, "depths": [2, 2, 18, 2], "num_heads": [3, 6, 12, 24], "window_size": 7},
    "swin_base": {"embed_dim": 128, "depths": [2, 2, 18, 2], "num_heads": [4, 8, 16, 32], "window_size": 12},
    "swin_large": {"embed_dim": 192, "depths": [2, 2, 18, 2], "num_heads": [6, 12, 24, 48], "window_size": 12},
}

PUBLISHED_NAMES = [
    (r"(pixel_level_module\.encoder)\.swin\.", r"\1."),
    (r"(\.blocks\.\d+)\.attention\.q_proj\.", r"\1.attention.self.query."),
    (r"(\.blocks\.\d+)\.attention\.k_proj\.", r"\1.attention.self.key."),
    (r"(\.blocks\.\d+)\.attention\.v_proj\.", r"\1.attention.self.value."),
    (r"(\.blocks\.\d+)\.attention\.o_proj\.", r"\1.attention.output.dense."),
    (r"(\.blocks\.\d+)\.attention\.relative_position_bias\.", r"\1.attention.self."),
    (r"(\.blocks\.\d+)\.mlp\.fc1\.", r"\1.intermediate.dense."),
    (r"(\.blocks\.\d+)\.mlp\.fc2\.", r"\1.output.dense."),
]
"""From the names of ``transformers`` 5 to those of the published files, which older versions have as well."""


def published_name(name: str) -> str:
    """What the published files call a parameter."""
    for pattern, replacement in PUBLISHED_NAMES:
        name = re.sub(pattern, replacement, name)
    return name


class MaskedAttention(nn.MultiheadAttention):
    """Cross-attention of queries within a mask; with ``keep_weights`` it also gives its weights (N, Q, keys)."""

    keep_weights = False

    def forward(self, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor, **unused: Any):  # type: ignore[override]
        """Queries (Q, N, D), keys and values (K, N, D), mask (N x heads, Q, K), True where blocked -> (Q, N, D)."""
        return super().forward(query, key, value, attn_mask=attn_mask, need_weights=self.keep_weights)


class GlobalMaskAttention(nn.Module):
    """Two masked cross-attentions with weights of their own, within the mask and outside of it, added.

    A row that blocks everything is opened, in either of the two. Source: Rai et al., 2023, equation 3.

    The mask that comes in has its blocked rows opened already, so that such a row reads "all open". The complement of
    all open is all blocked, which is opened again: right for a mask that is empty and for one that is full.
    """

    def __init__(self, dimension: int, heads: int):
        super().__init__()
        self.foreground = MaskedAttention(dimension, heads)
        self.background = MaskedAttention(dimension, heads)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor, **unused: Any):
        """As MaskedAttention; the weights, where kept, are those of the foreground and of the background, stacked."""
        outside = ~attn_mask.bool()
        outside = outside & ~outside.all(-1, keepdim=True)
        near, near_weights = self.foreground(query, key, value, attn_mask)
        far, far_weights = self.background(query, key, value, outside)
        return near + far, None if near_weights is None else torch.stack((near_weights, far_weights))


def resnet50() -> nn.Module:
    """ResNet-50 with random weights: maps at strides 4, 8, 16 and 32."""
    from transformers import AutoBackbone, ResNetConfig

    return AutoBackbone.from_config(ResNetConfig(out_features=STAGES))  # pyright: ignore[reportCallIssue]


def swin(name: str) -> nn.Module:
    """A Swin transformer with random weights: maps at strides 4, 8, 16 and 32."""
    from transformers import AutoBackbone, SwinConfig

    backbone = AutoBackbone.from_config(SwinConfig(out_features=STAGES, drop_path_rate=0.3, **SWIN[name]))  # pyright: ignore
    for each in (backbone, getattr(backbone, "swin", backbone)):
        if hasattr(each, "layernorm"):  # of its classifier; published mask networks have none
            each.layernorm = nn.Identity()
    return backbone


def light() -> nn.Module:
    """DDRNet-23-slim without its heads: maps at strides 4, 8 (both branches), 16 and 32."""
    body = DDRNet(classes=1)
    body.final_layer = nn.Identity()  # pyright: ignore[reportAttributeAccessIssue]
    return body


def lite() -> nn.Module:
    """EfficientNet-Lite0's encoder: maps at strides 4, 8, 16 and 32."""
    return Encoder("lite0")


BACKBONES: dict[str, Callable[[], nn.Module]] = {
    "resnet50": resnet50,
    **{name: lambda name=name: swin(name) for name in SWIN},
    "ddrnet23_slim": light,
    "efficientnet_lite0": lite,
}


class Mask2Former(nn.Module):
    """Mask2Former, and with ``global_mask`` Mask2Anomaly; masks, features and logits at stride 4.

    Args:
        classes: number of classes; "no object" comes on top.
        outlier: add a 1x1 outlier head on the pixel embeddings, which the papers do not have.
        auxiliary: deep supervision: in training, give the queries and masks after every decoder layer.
        global_mask: attend to both sides of each mask.
        backbone: key in BACKBONES; weights are random until a checkpoint is loaded.
        queries: number of queries, Q.
        hidden: channels of everything behind the backbone, a multiple of 32.
        encoder_layers: deformable layers of the pixel decoder.
        decoder_layers: layers of the transformer decoder; three of them see each scale once.
        feedforward: inner channels of the decoder's layers; the pixel decoder has half as many.
        heads: attention heads.
        frozen: the backbone keeps its weights and statistics in training, as published.
        checkpointing: in training, keep only the inputs of each transformer layer and compute the rest again.
    """

    model: Any  # transformers' modules, whose attributes a type checker takes for tensors
    stride = 4
    fixed_size = True
    """Its deformable attention samples a grid of a fixed size: exported files have one size."""
    discontinuous = 0.01
    """A mask's logit near 0 may open or block a position of the attention, in one engine and not in the other."""

    def __init__(
        self,
        classes: int = 19,
        outlier: bool = False,
        auxiliary: bool = False,
        global_mask: bool = False,
        backbone: str = "resnet50",
        queries: int = 100,
        hidden: int = 256,
        encoder_layers: int = 6,
        decoder_layers: int = 9,
        feedforward: int = 2048,
        heads: int = 8,
        frozen: bool = False,
        checkpointing: bool = False,
    ):
        super().__init__()
        from transformers import Mask2FormerConfig
        from transformers.models.mask2former import modeling_mask2former as parts

        if backbone not in BACKBONES:
            raise InputError(f"no backbone called '{backbone}'; choose from: {', '.join(BACKBONES)}")
        encoder = BACKBONES[backbone]()
        channels = (
            [encoder.channels[each] for each in (4, 8, 16, 32)] if isinstance(encoder, Encoder) else encoder.channels
        )
        self.multiple = int(getattr(encoder, "multiple", 32))
        self.auxiliary, self.frozen = auxiliary, frozen
        config = Mask2FormerConfig(
            feature_size=hidden,
            mask_feature_size=hidden,
            hidden_dim=hidden,
            encoder_feedforward_dim=feedforward // 2,
            dim_feedforward=feedforward,
            encoder_layers=encoder_layers,
            decoder_layers=decoder_layers + 1,
            num_attention_heads=heads,
            num_queries=queries,
        )
        model = parts.Mask2FormerPreTrainedModel(config)
        model.pixel_level_module = nn.Module()
        model.pixel_level_module.decoder = parts.Mask2FormerPixelDecoder(config, channels)
        model.transformer_module = parts.Mask2FormerTransformerModule(hidden, config)
        model.post_init()
        decoder = model.transformer_module.decoder
        for each in decoder.layers:
            each.cross_attn = (GlobalMaskAttention if global_mask else MaskedAttention)(hidden, heads)
        model.pixel_level_module.encoder = encoder
        self.model = model
        self.class_predictor = nn.Linear(hidden, classes + 1)
        self.outlier = nn.Conv2d(hidden, 1, 1) if outlier else None
        if checkpointing:
            for each in (*model.pixel_level_module.decoder.encoder.layers, *decoder.layers):
                each.forward = computed_again(each, each.forward)
        if frozen:
            encoder.requires_grad_(False)
        self.register_state_dict_post_hook(give_published_names)
        self.register_load_state_dict_pre_hook(take_published_names)

    def train(self, mode: bool = True):
        """As nn.Module; a frozen backbone stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.model.pixel_level_module.encoder.eval()
        return self

    def backbone(self, images: Tensor) -> tuple[Tensor, ...]:
        """(N, 3, H, W) -> maps at strides 4, 8, 16 and 32."""
        encoder = self.model.pixel_level_module.encoder
        if isinstance(encoder, DDRNet):
            return encoder.stages(images)[:4]
        return tuple(encoder(images).values() if isinstance(encoder, Encoder) else encoder(images).feature_maps)

    def forward(self, images: Tensor) -> Outputs:
        """(N, 3, H, W) normalised -> Outputs at ceil(H / 4) x ceil(W / 4); any size."""
        height, width = images.shape[-2:]
        maps = self.backbone(pad_to_multiple(images, self.multiple))
        pixels = self.model.pixel_level_module.decoder(maps, output_hidden_states=False)
        return crop_outputs(self.decode(pixels.multi_scale_features, pixels.mask_features), height, width, self.stride)

    def decode(self, scales: tuple[Tensor, ...], features: Tensor) -> Outputs:
        """The transformer decoder alone.

        Args:
            scales: three maps (N, D, h, w), the coarsest first.
            features: pixel embeddings (N, D, H, W), which the masks are products with.
        """
        found = self.model.transformer_module(list(scales), features)
        layers = found.intermediate_hidden_states
        inner = range(len(layers) - 1) if self.training and self.auxiliary else ()
        queries = self.class_predictor(layers[-1].transpose(0, 1))
        masks = found.masks_queries_logits[-1]
        return Outputs(
            logits=semantic_map(queries, masks),
            features=features,
            outlier=None if self.outlier is None else self.outlier(features)[:, 0],
            masks=masks,
            queries=queries,
            deep=tuple((self.class_predictor(layers[i].transpose(0, 1)), found.masks_queries_logits[i]) for i in inner),
        )


def computed_again(layer: nn.Module, forward: Callable[..., Any]) -> Callable[..., Any]:
    """The forward pass of a layer that in training keeps its inputs only; same values and gradients."""

    def run(*given: Any, **named: Any) -> Any:
        if layer.training and torch.is_grad_enabled():
            return checkpoint(forward, *given, use_reentrant=False, **named)
        return forward(*given, **named)

    return run


def give_published_names(module: nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    """Rename this module's entries of a state dict that is being made, in place and in order."""
    entries = list(state.items())
    state.clear()
    for key, each in entries:
        own = key.startswith(prefix)
        state[prefix + published_name(key.removeprefix(prefix)) if own else key] = each


def take_published_names(module: nn.Module, state: dict[str, Any], prefix: str, *unused: Any) -> None:
    """Rename published entries of a state dict that is about to be loaded to what the modules are called, in place."""
    names = (key for kind in (module.named_parameters, module.named_buffers) for key, _ in kind())
    for name in list(names):
        given = prefix + published_name(name)
        if given in state:
            state[prefix + name] = state.pop(given)
