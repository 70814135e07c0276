"""Names of folders and files of official data sets that hold labels, not photos: the one list for all readers."""

from __future__ import annotations

import re
from collections.abc import Sequence

LABEL_FOLDERS = {
    "gt", "gtfine", "gtcoarse", "gt_image_2", "gt_bbox", "labels", "label", "labels_masks", "labels_with_invalid_mask",
    "labelids", "labeltrainids", "masks", "mask", "bitmasks", "colormaps", "annotations", "annotation", "annot",
    "ground_truth", "groundtruth", "ground_truth_pixelwise", "segmentationclass", "segmentationclassaug",
    "segmentationobject", "labeledapproved_full", "semantic", "semantic_rgb", "instance", "instances", "panoptic",
    "stuffthingmaps", "segmentation", "disparity",
}  # fmt: skip
"""Folders of labels in lower case: Cityscapes, Lost and Found, IDD, CamVid, VOC, MVTec, KITTI, BDD, ADE20K, SMIYC."""


LABEL_FILES = re.compile(
    r"(?i)(_labels|_labels_semantic(_color)?|_labels_instance\w*|_label|_labelids|_labeltrainids|_instanceids"
    r"|_instancetrainids|_(gtfine|gtcoarse)_\w+|_mask|_masks|_gt|_groundtruth|_ground_truth|_segmentation|_seg)"
    r"\.(png|bmp|tiff?|gif|webp)$|^labels_(semantic|instance)\w*\.png$|(?-i:\d_L)\.png$"
)
"""Files of labels that lie beside their photos."""


def holds_labels(folder: str) -> bool:
    """Whether a folder's name says that it holds the labels of a data set.

    >>> [holds_labels(each) for each in ("gtCoarse", "testannot", "x.labels", "images")]
    [True, True, True, False]
    """
    name = folder.lower()
    return name in LABEL_FOLDERS or name.endswith((".labels", "annot"))


def is_label(parts: Sequence[str]) -> bool:
    """Whether a file, given as the parts of its path below the folder that was named, is a label image."""
    return any(map(holds_labels, parts[:-1])) or LABEL_FILES.search(parts[-1]) is not None


def is_hidden(parts: Sequence[str]) -> bool:
    """Whether a file or one of the folders it lies in is hidden (``.cache``, ``._a.jpg``, ``__MACOSX``)."""
    return any(each.startswith(".") or each == "__MACOSX" for each in parts)
