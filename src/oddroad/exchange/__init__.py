"""Results that other tools open: what ``oddroad detect`` writes, read back, and converted to the formats of others.

>>> from oddroad.exchange import FORMATS, read_results
>>> sorted(FORMATS)
['coco', 'csv', 'fiftyone', 'labelme', 'mcap', 'rerun', 'supervision']

In Python, findings become the types of other tools in one call, with or without files in between:

>>> import numpy as np
>>> from oddroad import Model
>>> from oddroad.exchange import to_supervision
>>> image = np.zeros((90, 160, 3), np.uint8)
>>> len(to_supervision(Model().detect(image), image.shape))
0

A converter is a function of ``Results``, a path and perhaps the folder with the pictures; each has a file of its own
and an entry in ``FORMATS``. Only the command line imports this package.
"""

from __future__ import annotations

from oddroad.exchange.coco import as_coco
from oddroad.exchange.fiftyone import to_fiftyone
from oddroad.exchange.formats import FORMATS, convert
from oddroad.exchange.media import Media
from oddroad.exchange.results import FrameResult, Results, RunInfo, TrackInfo, read_results
from oddroad.exchange.supervision import to_supervision

__all__ = [
    "FORMATS", "FrameResult", "Media", "Results", "RunInfo", "TrackInfo", "as_coco", "convert", "read_results",
    "to_fiftyone", "to_supervision",
]  # fmt: skip
