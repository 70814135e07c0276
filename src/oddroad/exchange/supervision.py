"""supervision: regions as ``sv.Detections``, and a folder that ``sv.DetectionDataset.from_coco`` reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from oddroad.exchange.coco import as_coco
from oddroad.exchange.media import Media
from oddroad.exchange.names import new_folder, save_picture
from oddroad.exchange.results import Results, TrackInfo
from oddroad.files import write_whole
from oddroad.regions import decode_rle
from oddroad.types import Region

if TYPE_CHECKING:
    import supervision


def to_supervision(
    regions: Sequence[Region], shape: Sequence[int], tracks: Sequence[TrackInfo | None] = ()
) -> supervision.Detections:
    """Regions of one frame as ``supervision.Detections``, with masks.

    >>> to_supervision([Region((1, 0, 3, 2), 4, 5.0, 6.0, None, (2, 4), "242")], (2, 4)).area
    array([4])

    ``confidence`` is the peak in the unit of the score, not a probability. ``data`` holds ``class_name``, ``mean``,
    ``percentile`` (NaN without calibration) and ``area``.

    Args:
        regions: from ``Model().detect(image)``, or of a ``FrameResult``.
        shape: of the image: (H, W) or (H, W, 3).
        tracks: the track of each region, or nothing; ``tracker_id`` is -1 where one is None.
    """
    import supervision

    height, width = shape[:2]
    masks = [decode_rle(each.counts, each.size) for each in regions]
    numbers = [-1 if each is None else each.id for each in tracks]
    return supervision.Detections(
        xyxy=np.array([each.box for each in regions], np.float32).reshape(-1, 4),
        mask=np.array(masks, bool).reshape(-1, height, width),
        confidence=np.array([each.peak for each in regions], np.float32),
        class_id=np.zeros(len(regions), int),
        tracker_id=np.array(numbers, int) if any(each is not None for each in tracks) else None,
        data={
            "class_name": np.array(["anomaly"] * len(regions), dtype=str),
            "mean": np.array([each.mean for each in regions], np.float32),
            "percentile": np.array(
                [np.nan if each.percentile is None else each.percentile for each in regions], np.float32
            ),
            "area": np.array([each.area for each in regions], int),
        },
    )


def write_supervision(results: Results, out: Path, media: Media | None) -> list[str]:
    """Write ``annotations.json`` and, with media, ``images/`` for ``sv.DetectionDataset.from_coco``.

    Raises:
        InputError: if the folder is not new.
    """
    coco = as_coco(results)
    with new_folder(out) as folder:
        if media is not None:
            names = {id(frame): each["file_name"] for frame, each in zip(results.judged, coco["images"], strict=True)}
            for frame, image in media.images(results.judged):
                save_picture(folder / "images" / names[id(frame)], image)
        write_whole(folder / "annotations.json", json.dumps(coco).encode(), "annotations")
    return [
        f"open it with: sv.DetectionDataset.from_coco('{out / 'images'}', '{out / 'annotations.json'}')",
        "supervision reads boxes, masks and areas from it, not scores and tracks: for these call "
        "oddroad.exchange.to_supervision(frame.regions, frame.size, frame.tracks) in Python",
    ]
