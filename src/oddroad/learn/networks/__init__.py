"""NETWORKS: the table of networks, each ``(N, 3, H, W) float32 normalised -> Outputs``."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from oddroad.learn.networks.ddrnet import DDRNet

NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "ddrnet23_slim": DDRNet,
}
"""Each is called with ``classes``, ``outlier`` and ``auxiliary`` and has ``stride`` (of its outputs)."""
