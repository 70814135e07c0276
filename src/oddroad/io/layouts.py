"""Names of folders and files of official data sets that hold labels, not photos: the one list for all readers."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence

LABEL_FOLDERS = {
    "gt", "gtfine", "gtcoarse", "gt_image_2", "gt_bbox", "labels", "label", "labels_masks", "labels_with_invalid_mask",
    "labelids", "labeltrainids", "masks", "mask", "bitmasks", "colormaps", "annotations", "annotation", "annot",
    "ground_truth", "groundtruth", "ground_truth_pixelwise", "segmentationclass", "segmentationclassaug",
    "segmentationobject", "labeledapproved_full", "semantic", "semantic_rgb", "instance", "instances", "panoptic",
    "stuffthingmaps", "segmentation", "disparity",
}  # fmt: skip
"""Folders of labels in lower case: Cityscapes, Lost and Found, IDD, CamVid, VOC, MVTec, KITTI, BDD, ADE20K, SMIYC."""


LABEL_FILES = re.compile(
    r"(?i)(_labels|_labels_semantic(_color)?|_labels_instance\w*|_labelids|_labeltrainids|_instanceids"
    r"|_instancetrainids|_(gtfine|gtcoarse)_\w+)\.(png|bmp|tiff?|gif|webp)$|^labels_(semantic|instance)\w*\.png$"
)
"""Files of labels, wherever they lie."""


BESIDE = re.compile(r"(?i)(.+)_(label|mask|masks|gt|groundtruth|ground_truth|segmentation|seg|l)$")
"""Stems of files that are labels where a photo of the stem before lies beside them: ``x_mask.png`` beside ``x.jpg``."""


def holds_labels(folder: str) -> bool:
    """Whether a folder's name says that it holds the labels of a data set.

    >>> [holds_labels(each) for each in ("gtCoarse", "testannot", "x.labels", "images")]
    [True, True, True, False]
    """
    name = folder.lower()
    return name in LABEL_FOLDERS or name.endswith((".labels", "annot"))


def is_label(parts: Sequence[str], stems: Container[tuple[Sequence[str], str]] = ()) -> bool:
    """Whether a file is a label image.

    Args:
        parts: the parts of its path below the folder that was named.
        stems: (folder's parts, file's stem) of the files that were found with it.
    """
    folder, name = parts[:-1], parts[-1]
    beside = BESIDE.match(name.rpartition(".")[0])
    return (
        any(map(holds_labels, folder))
        or LABEL_FILES.search(name) is not None
        or (beside is not None and (folder, beside[1]) in stems)
    )


def is_hidden(parts: Sequence[str]) -> bool:
    """Whether a file or one of the folders it lies in is hidden (``.cache``, ``._a.jpg``, ``__MACOSX``)."""
    return any(each.startswith(".") or each == "__MACOSX" for each in parts)
