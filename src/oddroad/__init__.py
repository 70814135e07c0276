"""oddroad: find what does not belong on the road, in real time.

>>> from oddroad import Model
>>> import numpy as np
>>> image = np.zeros((360, 640, 3), np.uint8)
>>> Model()(image).shape
(360, 640)
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # before anything imports cv2: its lines break ours
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

if TYPE_CHECKING:
    from oddroad.card import Card
    from oddroad.errors import InputError
    from oddroad.inference.model import Model
    from oddroad.types import ANOMALY, IGNORE, KNOWN, OUTLIER, Detect, Frame, Region, Sample

__all__ = [
    "ANOMALY", "IGNORE", "KNOWN", "OUTLIER", "Card", "Detect", "Frame", "InputError", "Model", "Region", "Sample",
]  # fmt: skip

HOMES = {"Card": "card", "InputError": "errors", "Model": "inference.model"}
"""Public name -> module; all others are in ``types``. Imported when first used: the command line starts fast."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'oddroad' has no attribute '{name}'")
    value = getattr(import_module(f"oddroad.{HOMES.get(name, 'types')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
