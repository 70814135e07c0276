"""NETWORKS: the table of networks, each ``(N, 3, H, W) float32 normalised -> Outputs``."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from oddroad.learn.networks.bisenetv1 import BiSeNetV1
from oddroad.learn.networks.bisenetv2 import BiSeNetV2
from oddroad.learn.networks.ddrnet import DDRNet
from oddroad.learn.networks.enet import ENet
from oddroad.learn.networks.erfnet import ERFNet
from oddroad.learn.networks.pidnet import PIDNetS

NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "erfnet": ERFNet,
    "enet": ENet,
    "bisenetv1": BiSeNetV1,
    "bisenetv2": BiSeNetV2,
    "ddrnet23_slim": DDRNet,
    "pidnet_s": PIDNetS,
}
"""Each is called with ``classes``, ``outlier``, ``auxiliary`` and, where asked for, ``isomax``; it has ``stride`` (of
its outputs).
"""
