"""COCO: one JSON file with images, annotations and masks as compressed run-length code (https://cocodataset.org)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from oddroad.exchange.media import Media
from oddroad.exchange.names import picture_names
from oddroad.exchange.results import FrameResult, Results
from oddroad.files import write_whole

CATEGORY = {"id": 1, "name": "anomaly", "supercategory": "road"}
"""The one class."""


def as_coco(results: Results) -> dict[str, Any]:
    """What was found, as a COCO data set that ``pycocotools.coco.COCO`` reads.

    >>> as_coco(Results())["categories"]
    [{'id': 1, 'name': 'anomaly', 'supercategory': 'road'}]

    An image stands for a frame that was judged, with annotations or without. Frames that were damaged and not judged
    are no images, as an image without annotations says that nothing is on it; they are listed in ``info``. ``score`` is
    the peak in the unit of the score, not a probability. Frames of a video name it by ``video_id`` and ``frame_index``,
    and a ``track_id`` is unique in the file.
    """
    videos: dict[str, int] = {}
    tracks: dict[tuple[str, str, int], int] = {}  # when a run began, source, number of the track
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (frame, name) in enumerate(zip(results.judged, picture_names(results.judged), strict=True), 1):
        images.append(image_of(frame, name, number, videos))
        for region, track in frame.found():
            x0, y0, x1, y1 = region.box
            annotation: dict[str, Any] = {
                "id": len(annotations) + 1,
                "image_id": number,
                "category_id": CATEGORY["id"],
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "area": region.area,
                "segmentation": {"size": list(region.size), "counts": region.counts},
                "iscrowd": 0,
                "score": region.peak,
                "attributes": {"mean": region.mean, "peak": region.peak, "percentile": region.percentile},
            }
            if track is not None:
                key = (frame.run.values.get("started", str(frame.run.file)), frame.source, track.id)  # parts share it
                annotation["track_id"] = tracks.setdefault(key, len(tracks) + 1)
                annotation["attributes"] |= {"track_in_source": track.id, "hits": track.hits}
            annotations.append(annotation)
    return {
        "info": {
            "description": "anomalies on the road, found by oddroad",
            "runs": [
                {"oddroad": run.oddroad, "model": run.model, "score": run.score, "threshold": run.threshold}
                for run in results.runs
            ],
            "not_judged": [{"frame": frame.name, "reason": frame.reason} for frame in results.not_judged],
        },
        "licenses": [],
        "categories": [CATEGORY],
        "videos": [{"id": number, "name": name} for name, number in videos.items()],
        "images": images,
        "annotations": annotations,
    }


def image_of(frame: FrameResult, name: str, number: int, videos: dict[str, int]) -> dict[str, Any]:
    """The COCO entry of a frame; ``videos`` gives each moving source its number and grows."""
    height, width = frame.size
    image: dict[str, Any] = {"id": number, "file_name": name, "width": width, "height": height}
    if frame.index is not None:
        video = videos.setdefault(frame.source, len(videos) + 1)
        image |= {"video_id": video, "frame_index": frame.index, "time": frame.time}
    if frame.utc is not None:
        image["date_captured"] = frame.utc
    if frame.status != "ok":
        image["damaged"] = frame.reason
    return image


def write_coco(results: Results, out: Path, media: Media | None) -> list[str]:
    """Write ``as_coco`` to a file; pictures are not copied. Returns what is to be known about it."""
    write_whole(out, json.dumps(as_coco(results)).encode(), "COCO file")
    return [f"{out}: file_name is what 'oddroad detect' read; frames of videos are VIDEO/000012.jpg, not written here"]
