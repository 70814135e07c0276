"""DATASETS: the table of data sets."""

from __future__ import annotations

from oddroad.datasets.driving import camvid, cityscapes_small, idd_lite

DATASETS = {
    "cityscapes_small": cityscapes_small,
    "camvid": camvid,
    "idd_lite": idd_lite,
}
