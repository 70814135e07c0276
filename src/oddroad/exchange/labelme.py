"""labelme: one JSON file a picture, with outlines that a person can correct (https://github.com/wkentaro/labelme)."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from oddroad.errors import InputError, counted
from oddroad.exchange.media import Media, with_images
from oddroad.exchange.names import new_folder, picture_names, save_picture
from oddroad.exchange.outlines import outlines
from oddroad.exchange.results import FrameResult, Results, TrackInfo
from oddroad.files import write_whole
from oddroad.regions import mask_in_box
from oddroad.types import Region

VERSION = "5.4.1"
"""Version of labelme whose format is written: 5.2 brought shapes of type "mask"."""


def shapes_of(region: Region, number: int, track: TrackInfo | None) -> list[dict[str, Any]]:
    """A region as shapes of labelme.

    A polygon for each part, through the centres of the outermost pixels, which labelme fills to the same pixels again.
    A polygon of labelme has no holes and at least three corners: a region with a hole, or with a part that is a line or
    a point, is one shape of type "mask", which holds every pixel, and whose outline cannot be dragged.

    Args:
        region: the region.
        number: of the region in its frame, from 1.
        track: its track.
    """
    contours, holes = outlines(region)
    percentile = "" if region.percentile is None else f", above {region.percentile:.2%} of in-distribution pixels"
    seen = "" if track is None else f", track {track.id} seen in {counted(track.hits, 'frame')}"
    common = {
        "label": "anomaly",
        "group_id": number if track is None else track.id,
        "description": f"peak {region.peak:.4g}, mean {region.mean:.4g}{percentile}{seen}",
        "flags": {},
    }
    if not holes and all(len(each) >= 3 for each in contours):
        polygon = {"shape_type": "polygon", "mask": None}
        return [{**common, **polygon, "points": contour.astype(float).tolist()} for contour in contours]
    x0, y0, x1, y1 = region.box
    _, png = cv2.imencode(".png", mask_in_box(region).astype(np.uint8) * 255)
    corners = [[float(x0), float(y0)], [float(x1 - 1), float(y1 - 1)]]  # the last pixel is inside, as labelme wants it
    mask = base64.b64encode(png.tobytes()).decode("ascii")
    return [{**common, "shape_type": "mask", "points": corners, "mask": mask}]


def as_labelme(frame: FrameResult, image_path: str) -> dict[str, Any]:
    """A judged frame as a file of labelme.

    Args:
        frame: the frame.
        image_path: of its picture, from the folder of the file.
    """
    shapes: list[dict[str, Any]] = []
    for number, (region, track) in enumerate(frame.found(), 1):
        shapes += shapes_of(region, number, track)
    return {
        "version": VERSION,
        "flags": {"damaged": True} if frame.status == "damaged" else {},
        "shapes": shapes,
        "imagePath": image_path,
        "imageData": None,
        "imageHeight": frame.size[0],
        "imageWidth": frame.size[1],
    }


def write_labelme(results: Results, out: Path, media: Media | None) -> list[str]:
    """Write a file for each judged frame; with media, frames of videos are written as pictures beside them.

    Raises:
        InputError: if there are frames of videos and no media, or the folder is not new.
    """
    frames = results.judged
    moving = [each for each in frames if each.index is not None]
    if media is None and moving:
        raise InputError(
            f"labelme opens pictures, and '{moving[0].source}' is a video: pass it, or its folder, with --media"
        )
    names = dict(zip(map(id, frames), picture_names(frames), strict=True))
    taken: set[Path] = set()
    masks = 0
    with new_folder(out) as folder:
        for frame, image in with_images(frames, media):
            picture = folder / names[id(frame)]
            file = picture.with_suffix(".json")
            if file in taken:  # a.jpg and a.png
                file = picture.with_name(f"{picture.name}.json")
            taken.add(file)
            image_path = picture.name
            if media is not None and frame.index is None:
                image_path = Path(os.path.relpath(media.path(frame).resolve(), file.parent.resolve())).as_posix()
            elif image is not None:
                save_picture(picture, image)
            values = as_labelme(frame, image_path)
            masks += sum(each["shape_type"] == "mask" for each in values["shapes"])
            write_whole(file, json.dumps(values, indent=1).encode(), "labelme file")
    notes = [f"{counted(len(taken), 'file')} of labelme, one for each judged frame"]
    if masks:
        have = "has holes or thin parts and is a mask" if masks == 1 else "have holes or thin parts and are masks"
        notes.append(f"{counted(masks, 'region')} {have}, whose outline cannot be dragged")
    if media is None:
        notes.append("copy them beside the pictures to open them, or pass the folder of the pictures with --media")
    return notes
