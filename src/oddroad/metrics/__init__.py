"""Metrics: each counts frames with ``add``, joins parts with ``merge``, and gives fractions with ``result``."""

from __future__ import annotations

from oddroad.metrics.component import ComponentMetric, components
from oddroad.metrics.consistency import ConsistencyMetric
from oddroad.metrics.events import EventMetric
from oddroad.metrics.objects import ObjectMetric
from oddroad.metrics.pixel import ExactPixelMetric, PixelMetric
from oddroad.metrics.semantic import SemanticMetric

__all__ = [
    "ComponentMetric",
    "ConsistencyMetric",
    "EventMetric",
    "ExactPixelMetric",
    "ObjectMetric",
    "PixelMetric",
    "SemanticMetric",
    "components",
]
