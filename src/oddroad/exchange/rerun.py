"""Rerun: a recording with image, score map, regions and tracks over time (https://rerun.io)."""

from __future__ import annotations

import contextlib
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np

from oddroad.exchange.media import Media, map_path, saved_map, with_images
from oddroad.exchange.names import as_jpeg, safe_parts
from oddroad.exchange.results import FrameResult, Results
from oddroad.files import written_whole
from oddroad.regions import mask_in_box

STILLS = "images"
"""Path that all still images share; each moving source has its own."""


TRAIL = 100
"""Frames that the line behind a track goes back."""


class SourceLog:
    """Logs the frames of one moving source, or of all still images, below a path of their own.

    Args:
        recording: a ``rerun.RecordingStream``.
        path: the path.
        limits: of the colours of score maps.
    """

    def __init__(self, recording: Any, path: str, limits: tuple[float, float]):
        import rerun

        self.recording, self.path, self.limits = recording, path, limits
        nothing = rerun.AnnotationInfo(0, "not anomalous", (0, 0, 0, 0))  # or the viewer tints the whole picture
        recording.log(path, rerun.AnnotationContext([nothing]), static=True)
        self.trails: dict[int, deque[tuple[float, float]]] = {}

    def log(self, frame: FrameResult, image: np.ndarray | None, heat: np.ndarray | None) -> None:
        """Log one frame; a frame that was not judged has no regions and a warning."""
        import rerun

        put = self.recording.log
        put(f"{self.path}/name", rerun.TextDocument(frame.name))
        if image is not None:
            put(f"{self.path}/image", rerun.EncodedImage(contents=as_jpeg(image), media_type="image/jpeg"))
        if heat is not None:
            colours = {"colormap": "inferno", "depth_range": self.limits}
            put(f"{self.path}/map", rerun.DepthImage(heat, **colours))
        if frame.regions is None:
            for part in ("regions", "boxes", "tracks"):
                put(f"{self.path}/{part}", rerun.Clear(recursive=False))
            put(f"{self.path}/log", rerun.TextLog(f"{frame.name} was not judged: {frame.reason}", level="WARN"))
            return
        numbers = np.zeros(frame.size, np.uint16)
        labels: list[str] = []
        for number, (region, track) in enumerate(frame.found(), 1):
            x0, y0, x1, y1 = region.box
            numbers[y0:y1, x0:x1][mask_in_box(region)] = class_id(number if track is None else track.id)
            labels.append(f"{'anomaly' if track is None else f'anomaly {track.id}'}: {region.peak:.3g}")
            if track is not None:
                self.trails.setdefault(track.id, deque(maxlen=TRAIL)).append(((x0 + x1) / 2, (y0 + y1) / 2))
        ids = [class_id(number if track is None else track.id) for number, (_, track) in enumerate(frame.found(), 1)]
        boxes = np.array([each.box for each in frame.regions], np.float32).reshape(-1, 4)
        put(f"{self.path}/regions", rerun.SegmentationImage(numbers, opacity=0.4))
        put(
            f"{self.path}/boxes",
            rerun.Boxes2D(array=boxes, array_format=rerun.Box2DFormat.XYXY, labels=labels, class_ids=ids),
        )
        here = [track.id for _, track in frame.found() if track is not None]
        if self.trails:
            put(
                f"{self.path}/tracks",
                rerun.LineStrips2D([list(self.trails[each]) for each in here], class_ids=list(map(class_id, here))),
            )


def class_id(number: int) -> int:
    """The number by which the viewer colours a track: 1 to 65535, as it has 16 bits and 0 is what is not anomalous."""
    return (number - 1) % 65535 + 1


def write_rerun(results: Results, out: Path, media: Media | None) -> list[str]:
    """Write a recording (.rrd) of ``regions``, ``boxes``, ``tracks``, and as far as given ``image`` and ``map``.

    Each moving source has a path of its own, still images share ``images``. The timelines are ``frame``, ``time`` since
    the start of the source, and ``utc``, as far as they are known.

    Raises:
        InputError: if a picture is missing, or nothing can be written.
    """
    import rerun

    limits = map_limits(results)
    recording = rerun.RecordingStream("oddroad")
    recording.set_log_time_enabled(False)
    logs: dict[str, SourceLog] = {}
    with contextlib.ExitStack() as stack:
        partial = stack.enter_context(written_whole(out, "recording"))
        stack.callback(recording.disconnect)
        recording.save(partial, default_blueprint=layout(results))
        for number, (frame, image) in enumerate(with_images(results.frames, media)):
            recording.reset_time()
            recording.set_time("frame", sequence=number if frame.index is None else frame.index)
            if frame.time is not None:
                recording.set_time("time", duration=frame.time)
            if (utc := frame.nanoseconds) is not None:
                recording.set_time("utc", timestamp=np.datetime64(utc, "ns"))
            path = entity_path(frame)
            if path not in logs:
                logs[path] = SourceLog(recording, path, limits)
            logs[path].log(frame, image, saved_map(frame))
    notes = [f"open it with: rerun {out}"]
    if media is None:
        notes.append("without pictures; pass the file or folder that 'oddroad detect' read with --media to have them")
    return notes


def entity_path(frame: FrameResult) -> str:
    """Where a frame is logged."""
    import rerun

    return STILLS if frame.index is None else rerun.new_entity_path(safe_parts(frame.source)).lstrip("/")


def layout(results: Results) -> Any:
    """What the viewer shows at first: for each source the image with what was found, and beside it the map."""
    from rerun import blueprint

    views: list[Any] = []
    mapped = {entity_path(frame) for frame in results.frames if map_path(frame) is not None}
    for path in dict.fromkeys(map(entity_path, results.frames)):
        views.append(
            blueprint.Spatial2DView(origin=path, contents=["+ $origin/**", "- $origin/map"], name=f"{path}: found")
        )
        if path in mapped:
            views.append(blueprint.Spatial2DView(origin=path, contents="$origin/map", name=f"{path}: score map"))
    return blueprint.Blueprint(blueprint.Grid(*views), collapse_panels=True)


def map_limits(results: Results) -> tuple[float, float]:
    """Lowest and highest value of all saved maps; (0, 1) where there is none."""
    lowest, highest = np.inf, -np.inf
    for frame in results.frames:
        heat = saved_map(frame)
        if heat is not None:
            lowest, highest = min(lowest, float(heat.min())), max(highest, float(heat.max()))
    return (lowest, highest) if lowest < highest else (0.0, 1.0)
