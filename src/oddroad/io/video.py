"""Sources read as frames: images, videos, streams, cameras and logs, one after another; videos written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from oddroad.errors import InputError
from oddroad.io.damage import blank
from oddroad.io.decoding import lacking
from oddroad.io.images import bytes_of, decode_image
from oddroad.io.reading import ReadOptions, ReadReport
from oddroad.io.sources import Source
from oddroad.io.video_file import count_frames, nominal_rate, open_container, pick_stream, read_container
from oddroad.types import Frame


def probe(source: Source, options: ReadOptions | None = None) -> tuple[int | None, float | None]:
    """Frames that a source has, and nominal frames per second; None where that is not known before it is read."""
    if source.kind == "image":
        return 1, None
    if source.live:
        return None, None
    try:
        if source.kind == "log":
            from oddroad.io.logs import probe_log

            return probe_log(source)
        with open_container(source.place) as container:
            stream = pick_stream(container, source, options or ReadOptions())
            return count_frames(container, stream), nominal_rate(stream)
    except InputError:  # it is reported when it is its turn to be read
        return None, None


def read_still(source: Source, report: ReadReport, options: ReadOptions) -> Frame:
    """The frame of an image file; a blank picture is damaged, and one of which parts cannot be decoded."""
    data = bytes_of(Path(source.place))
    image = decode_image(data, source.place, options.max_pixels, report.note)
    reason = lacking(data) or blank(image)
    if reason:
        report.damage(source.name)
    return Frame(image, source.name, status="damaged" if reason else "ok", reason=reason)


def read_source(source: Source, every: int, report: ReadReport, options: ReadOptions) -> Iterator[Frame]:
    """The frames of one source; see ``read``."""
    if source.kind == "image":
        yield read_still(source, report, options)
    elif source.kind == "log":
        from oddroad.io.logs import read_log

        yield from read_log(source, every, report, options)
    elif source.live:
        from oddroad.io.live import read_live

        yield from read_live(source, every, report, options)
    else:
        with open_container(source.place) as container:
            yield from read_container(container, source, every, report, options)


def read(
    sources: Sequence[Source],
    every: int = 1,
    report: ReadReport | None = None,
    options: ReadOptions | None = None,
) -> Iterator[Frame]:
    """Frames of all the sources in order.

    Frames of moving sources are numbered as they are decoded. Their time is that of the container's time stamps, made
    monotonic (oddroad.io.timeline); of live sources, the time since the first frame came. Frames that are not what
    the camera saw have the status "damaged" and a reason: oddroad.io.decoding and oddroad.io.damage say which.

    Args:
        sources: from ``find_sources``.
        every: of moving sources, take every n-th decoded frame.
        report: is told what could not be read; without it the first such thing is an error.
        options: how to read.

    Raises:
        LostSource: if a camera or stream stays away for longer than ``options.patience``.
        InputError: if a camera or stream cannot be opened, or ``report`` is None and something else cannot be read.
    """
    known = report if report is not None else ReadReport()
    for source in sources:
        try:
            yield from read_source(source, every, known, options or ReadOptions())
        except InputError as error:
            if report is None or source.live:
                raise
            report.skip(str(error), source.named)
