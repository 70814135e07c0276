"""Metrics: each counts frames with ``add``, joins parts with ``merge``, and gives fractions with ``result``."""

from __future__ import annotations

from oddroad.metrics.component import ComponentMetric, components
from oddroad.metrics.pixel import ExactPixelMetric, PixelMetric
from oddroad.metrics.semantic import SemanticMetric

__all__ = ["ComponentMetric", "ExactPixelMetric", "PixelMetric", "SemanticMetric", "components"]
