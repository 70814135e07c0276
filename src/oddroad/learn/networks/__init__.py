"""NETWORKS: the table of networks, each ``(N, 3, H, W) float32 normalised -> Outputs``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from oddroad.learn.networks.bisenetv1 import BiSeNetV1
from oddroad.learn.networks.bisenetv2 import BiSeNetV2
from oddroad.learn.networks.ddrnet import DDRNet
from oddroad.learn.networks.efficientnet_lite import EfficientNetLite
from oddroad.learn.networks.enet import ENet
from oddroad.learn.networks.erfnet import ERFNet
from oddroad.learn.networks.erfnet_lite import ERFNetLite
from oddroad.learn.networks.mask2former import Mask2Former
from oddroad.learn.networks.pidnet import PIDNetS
from oddroad.learn.networks.resynthesised import METHODS, resynthesised

SMALL: dict[str, Any] = {
    "backbone": "ddrnet23_slim", "queries": 32, "hidden": 64, "encoder_layers": 1, "decoder_layers": 3,
    "feedforward": 256, "heads": 4,
}  # fmt: skip
"""A mask network that trains on two cores."""

NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "erfnet": ERFNet,
    "erfnet_lite": ERFNetLite,
    "efficientnet_lite0": partial(EfficientNetLite, scale="lite0"),
    "efficientnet_lite1": partial(EfficientNetLite, scale="lite1"),
    "efficientnet_lite2": partial(EfficientNetLite, scale="lite2"),
    "enet": ENet,
    "bisenetv1": BiSeNetV1,
    "bisenetv2": BiSeNetV2,
    "ddrnet23_slim": DDRNet,
    "pidnet_s": PIDNetS,
    "mask2former": Mask2Former,
    "mask2anomaly": partial(Mask2Former, global_mask=True),
    "mask2anomaly_frozen": partial(Mask2Former, global_mask=True, frozen=True),
    "mask2anomaly_lean": partial(Mask2Former, global_mask=True, frozen=True, checkpointing=True),
    "mask2former_swin": partial(Mask2Former, backbone="swin_tiny"),
    "mask2anomaly_swin": partial(Mask2Former, global_mask=True, backbone="swin_tiny"),
    "mask2former_small": partial(Mask2Former, **SMALL),
    "mask2anomaly_small": partial(Mask2Former, global_mask=True, **SMALL),
    "mask2anomaly_lite": partial(Mask2Former, global_mask=True, **{**SMALL, "backbone": "efficientnet_lite0"}),
    **{method: partial(resynthesised, method) for method in METHODS},
}
"""Each is called with ``classes``, ``outlier``, ``auxiliary`` and, where asked for, ``isomax``; it has ``stride`` (of
its outputs). The networks around a network, those of ``METHODS``, take the arguments of ``resynthesised`` instead.
"""
