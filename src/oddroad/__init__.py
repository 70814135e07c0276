"""oddroad: find what does not belong on the road, in real time.

>>> from oddroad import Model
>>> import numpy as np
>>> image = np.zeros((360, 640, 3), np.uint8)
>>> Model()(image).shape
(360, 640)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oddroad.errors import InputError
from oddroad.types import ANOMALY, IGNORE, KNOWN, OUTLIER, Card, Detect, Frame, Region, Sample

if TYPE_CHECKING:
    from oddroad.runtime import Model

__all__ = [
    "ANOMALY", "IGNORE", "KNOWN", "OUTLIER", "Card", "Detect", "Frame", "InputError", "Model", "Region", "Sample",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "Model":
        from oddroad.runtime import Model

        return Model
    raise AttributeError(f"module 'oddroad' has no attribute '{name}'")
