"""MCAP: findings as foxglove.ImageAnnotations, so that a log and its findings play side by side in Foxglove."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from oddroad.errors import InputError, counted
from oddroad.exchange.media import Media, with_images
from oddroad.exchange.names import as_jpeg, safe_parts
from oddroad.exchange.outlines import outlines
from oddroad.exchange.results import FrameResult, Results, TrackInfo
from oddroad.files import written_whole
from oddroad.types import Region


def log_time(frame: FrameResult) -> int | None:
    """When a frame was, in nanoseconds: in UTC where the source tells it, else since its start; None for a still."""
    if (utc := frame.nanoseconds) is not None:
        return utc
    return None if frame.time is None else max(round(frame.time * 1e9), 0)


def topic(frame: FrameResult, name: str) -> str:
    """The topic of a source; each camera has its own."""
    return "/".join(["", *safe_parts(frame.source), name])


def annotations_of(frame: FrameResult, stamp: Any) -> Any:
    """The findings of a frame as ``foxglove.messages.ImageAnnotations``: an outline and a text a region.

    A frame without regions has no annotations, which clears those of the frame before; one that was not judged says so
    in its upper left corner.
    """
    from foxglove.messages import Color, ImageAnnotations, KeyValuePair, Point2
    from foxglove.messages import PointsAnnotation as Points
    from foxglove.messages import PointsAnnotationType as Kind
    from foxglove.messages import TextAnnotation as Text

    red, yellow, black = Color(r=1, g=0.2, b=0, a=1), Color(r=1, g=0.8, b=0, a=1), Color(r=0, g=0, b=0, a=0.6)
    lines: list[Points] = []
    texts: list[Text] = []

    def say(words: str, x: float, y: float, colour: Color) -> None:
        style = {"font_size": max(frame.size[0] / 40, 8.0), "text_color": colour, "background_color": black}
        texts.append(Text(timestamp=stamp, position=Point2(x=x, y=y), text=words, **style))

    if frame.regions is None:
        say(f"not judged: {frame.reason}", 0.0, frame.size[0] / 20, yellow)
    for region, track in frame.found():
        facts = [KeyValuePair(key=key, value=value) for key, value in facts_of(region, track).items()]
        for contour in outlines(region)[0]:
            corners = [Point2(x=float(x), y=float(y)) for x, y in contour + 0.5]  # (0, 0) is the corner of a pixel
            style = {"outline_color": red, "thickness": 2.0, "metadata": facts}
            lines.append(Points(timestamp=stamp, type=Kind.LineLoop, points=corners, **style))
        name = "anomaly" if track is None else f"anomaly {track.id}"
        say(f"{name}: {region.peak:.3g}", float(region.box[0]), float(region.box[1]), red)
    return ImageAnnotations(timestamp=stamp, points=lines, texts=texts)


def facts_of(region: Region, track: TrackInfo | None) -> dict[str, str]:
    """What is known about a region, as text."""
    facts = {"area": region.area, "mean": region.mean, "peak": region.peak, "percentile": region.percentile}
    if track is not None:
        facts |= {"track": track.id, "hits": track.hits}
    return {key: str(value) for key, value in facts.items() if value is not None}


def write_mcap(results: Results, out: Path, media: Media | None) -> list[str]:
    """Write an MCAP file with a topic ``/SOURCE/anomalies`` a source and, with media, ``/SOURCE/image``.

    Log times are those of the source, so that the file plays beside a log of the same drive.

    Raises:
        InputError: if no frame has a time, or nothing can be written.
    """
    import foxglove
    from foxglove.channels import CompressedImageChannel, ImageAnnotationsChannel
    from foxglove.messages import CompressedImage, Timestamp

    frames = [each for each in results.frames if log_time(each) is not None]
    if not frames:
        raise InputError("the results are of still images, which have no time; MCAP is for videos, cameras and logs")
    context = foxglove.Context()
    channels: dict[str, Any] = {}

    def channel(kind: Any, name: str) -> Any:
        if name not in channels:
            channels[name] = kind(name, context=context)
        return channels[name]

    with (
        written_whole(out, "MCAP file") as partial,
        foxglove.open_mcap(partial, allow_overwrite=True, context=context) as writer,
    ):
        writer.write_metadata("oddroad", metadata_of(results))
        for frame, image in with_images(frames, media):
            at = log_time(frame) or 0
            stamp = Timestamp(sec=at // 10**9, nsec=at % 10**9)
            if image is not None:
                picture = CompressedImage(timestamp=stamp, frame_id=frame.source, data=as_jpeg(image), format="jpeg")
                channel(CompressedImageChannel, topic(frame, "image")).log(picture, log_time=at)
            found = annotations_of(frame, stamp)
            channel(ImageAnnotationsChannel, topic(frame, "anomalies")).log(found, log_time=at)
    notes = [f"topics: {', '.join(sorted(channels))}"]
    if any(each.utc is None for each in frames):
        notes.append("times are seconds since the start of the source, as it does not tell the time of day")
    if len(frames) < len(results.frames):
        notes.append(f"left out, without a time: {counted(len(results.frames) - len(frames), 'still image')}")
    return notes


def metadata_of(results: Results) -> dict[str, str]:
    """What ran, as text; of several runs, the last."""
    run = results.runs[-1]
    return {"oddroad": run.oddroad, "model": run.model, "score": run.score, "threshold": str(run.threshold)}
