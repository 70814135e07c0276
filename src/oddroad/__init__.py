"""oddroad: find what does not belong on the road, in real time.

>>> from oddroad import Model
>>> import numpy as np
>>> image = np.zeros((360, 640, 3), np.uint8)
>>> Model()(image).shape
(360, 640)
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from oddroad.card import Card
from oddroad.errors import InputError
from oddroad.types import ANOMALY, IGNORE, KNOWN, OUTLIER, Detect, Frame, Region, Sample

os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")  # before anything imports cv2: its warnings break our lines
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

if TYPE_CHECKING:
    from oddroad.inference.model import Model

__all__ = [
    "ANOMALY", "IGNORE", "KNOWN", "OUTLIER", "Card", "Detect", "Frame", "InputError", "Model", "Region", "Sample",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "Model":
        from oddroad.inference.model import Model

        return Model
    raise AttributeError(f"module 'oddroad' has no attribute '{name}'")
