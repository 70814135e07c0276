"""Results that other tools open: what ``oddroad detect`` writes, read back, and converted to the formats of others.

>>> from oddroad.exchange import FORMATS, read_results
>>> sorted(FORMATS)
['coco', 'csv', 'fiftyone', 'labelme', 'mcap', 'rerun', 'supervision']

A converter is a function of ``Results``, a path and perhaps the folder with the pictures; each has a file of its own
and an entry in ``FORMATS``. Only the command line imports this package.
"""

from __future__ import annotations

from oddroad.exchange.formats import FORMATS, convert
from oddroad.exchange.results import FrameResult, Results, RunInfo, TrackInfo, read_results

__all__ = ["FORMATS", "FrameResult", "Results", "RunInfo", "TrackInfo", "convert", "read_results"]
