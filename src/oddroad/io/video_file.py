"""Video files, and streams that have an end, as frames."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from oddroad.errors import InputError, counted, out_of_memory
from oddroad.io.colours import ToRGB
from oddroad.io.damage import Frozen, blank
from oddroad.io.decoding import Decoder
from oddroad.io.headers import PNG
from oddroad.io.reading import Gap, ReadOptions, ReadReport
from oddroad.io.redaction import redact
from oddroad.io.sources import Source
from oddroad.io.timeline import EPOCH, Timeline
from oddroad.types import Frame

ASSUMED_RATE = 25.0
"""Frames per second of a source that does not say."""


HIGHEST_RATE = 1000.0
"""Frames per second from which on a container's rate is the unit of its clock, and no rate."""


LOSSY = {"mpegts", "h264", "hevc", "rtsp", "rtp", "sdp", "mpjpeg", "m4v", "mpegvideo"}
"""Formats in which packets may be missing without a trace in the container."""


FIXED_LENGTH = {"matroska,webm", "avi", "flv", "asf"}
"""Formats whose header says how long the file is, whatever became of its end."""


class FrameMaker:
    """Numbers the decoded frames of a moving source, keeps every n-th, and marks those that show nothing.

    Args:
        source: name of the source.
        every: one of how many frames is kept.
        report: counts the damaged ones.

    Attributes:
        index: number of the next frame.
    """

    def __init__(self, source: str, every: int, report: ReadReport):
        self.source, self.every, self.report = source, every, report
        self.index = 0
        self.frozen = Frozen()

    def __call__(
        self, image: Callable[[], np.ndarray], time: float, utc: float | None = None, damage: str = ""
    ) -> Frame | None:
        """The next frame, or None if it is not kept; only then ``image`` is not called.

        Args:
            image: gives (H, W, 3) uint8 RGB.
            time: seconds since the start of the source.
            utc: seconds since 1970, where it is known.
            damage: why it is damaged, as far as the decoder knows.
        """
        number = self.index
        self.index += 1
        if number % self.every:
            return None
        pixels = image()
        still = self.frozen(pixels, time)
        reason = damage or blank(pixels) or still
        if reason:
            self.report.damage(self.source)
        status = "damaged" if reason else "ok"
        return Frame(pixels, self.source, number, round(time, 4), utc=utc, status=status, reason=reason)


def any_metadata() -> dict[str, Any]:
    """What makes ``av.open`` take texts that are no UTF-8; PyAV before 19 has to be told, later ones take them."""
    import av

    return {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}


def open_container(place: str, timeout: float | None = None) -> Any:
    """An open av.container.InputContainer of a file or an address.

    Args:
        place: path or address.
        timeout: seconds to open it, and to wait for each of its packets.

    Raises:
        InputError: if it cannot be opened.
    """
    import av

    shown = redact(place)
    address = place if "://" in place else f"file:{place}"
    options = {"rtsp_transport": "tcp"} if place.lower().startswith("rtsp") else {}
    if "://" not in place:  # a file may name others, on this machine or on the network
        options["protocol_whitelist"] = "file"
    form = "apng" if "://" not in place and starts_png(Path(place)) else None  # else a still one is made of it
    try:
        container = av.open(address, format=form, options=options, timeout=timeout, **any_metadata())
    except av.error.FileNotFoundError:
        raise InputError(f"no such file: '{shown}'") from None
    except (av.error.FFmpegError, ValueError) as error:
        if "://" in place:
            raise InputError(f"cannot open the stream '{shown}': {reason_of(error)}") from None
        if out_of_memory(error):
            raise InputError(f"there is no memory to open '{shown}', or it is damaged and claims too much") from None
        raise InputError(
            f"'{shown}' is not a video that can be read: it is cut off, damaged or of an unknown format"
        ) from None
    if "://" not in place and container.format.name in REFERRING:
        container.close()
        raise InputError(f"'{shown}' is a list of other files ({container.format.name}), no video; pass these")
    return container


REFERRING = {"hls", "concat", "dash", "imf", "sdp", "webm_dash_manifest", "image2", "rtsp"}
"""Formats that are lists of other files: whoever gives such a one would be shown what lies elsewhere."""


def starts_png(path: Path) -> bool:
    """Whether a file begins as a PNG does."""
    try:
        with path.open("rb") as opened:
            return opened.read(len(PNG)) == PNG
    except OSError:
        return False


def reason_of(error: Exception) -> str:
    """What a library's error says, without the address that it may repeat."""
    return (getattr(error, "strerror", None) or type(error).__name__).strip().rstrip(".").lower()


def describe_stream(number: int, stream: Any) -> str:
    """A video stream in a few words."""
    context = stream.codec_context
    return f"{number} ({context.name} {context.width}x{context.height})" if context else f"{number} (unknown)"


def pick_stream(container: Any, source: Source, options: ReadOptions, note: Callable[[str], None] | None = None) -> Any:
    """The video stream to read: the one that was asked for, or the first; cover pictures are none.

    Raises:
        InputError: if there is none, no such one, its codec is unknown, or its pictures are too large.
    """
    from av.stream import Disposition

    streams = [each for each in container.streams.video if not each.disposition & Disposition.attached_pic]
    if not streams:
        there = ", ".join(sorted({each.type for each in container.streams})) or "nothing"
        raise InputError(f"'{source.shown}' holds no video, but {there}")
    wanted = options.stream or 0
    names = ", ".join(describe_stream(number, each) for number, each in enumerate(streams))
    if not 0 <= wanted < len(streams):
        raise InputError(f"'{source.shown}' has no video stream {wanted}; there is: {names}")
    if len(streams) > 1 and note is not None:
        note(f"{source.name}: {len(streams)} video streams: {names}; {wanted} is read, choose with --stream")
    stream = streams[wanted]
    context = stream.codec_context
    if context is None:
        raise InputError(f"'{source.shown}' is in a format for which there is no decoder")
    if context.width * context.height > options.max_pixels:
        raise InputError(
            f"'{source.shown}' has frames of {context.width} x {context.height}, more than the limit of "
            f"{options.max_pixels / 1e6:g} megapixels; scale it down"
        )
    return stream


def nominal_rate(stream: Any) -> float | None:
    """Nominal frames per second of a stream; None where it does not say.

    The average is taken, unless a hole in the time stamps made it less than 1, which the usual step contradicts, or it
    counts the two fields of each frame.
    """
    average, usual = (
        float(each) if each and 0 < each <= HIGHEST_RATE else None
        for each in (stream.average_rate, stream.guessed_rate)
    )
    if usual is not None and (average is None or average < 1 <= usual or average == 2 * usual):
        return usual
    return average


def count_frames(container: Any, stream: Any) -> int | None:
    """Frames that a file says it will show; None where the container does not know it packet by packet."""
    if "mp4" not in container.format.name:
        return None
    return sum(not each.is_discard for each in stream.index_entries) or None


def recorded_at(container: Any) -> float | None:
    """When the recording began, in seconds since 1970, as a file's metadata says; None where it does not."""
    try:
        began = datetime.datetime.fromisoformat(container.metadata.get("creation_time", ""))
    except ValueError:
        return None
    seconds = began.replace(tzinfo=began.tzinfo or datetime.UTC).timestamp()
    return seconds if EPOCH[0] < seconds < EPOCH[1] else None


def decoded(container: Any, stream: Any, decoder: Decoder, ended: list[str]) -> Iterator[tuple[Any, float | None, str]]:
    """What ``decoder`` makes of every packet of a stream; if reading breaks off, ``ended`` is told why."""
    import av

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError as error:
            ended.append(reason_of(error))
            packet = None
        if packet is None or packet.size == 0:
            yield from decoder(None)
            return
        if container.format.name == "avi":  # it stores times of decoding only; the others are made up
            packet.pts = None
        yield from decoder(packet)


def read_container(
    container: Any, source: Source, every: int, report: ReadReport, options: ReadOptions
) -> Iterator[Frame]:
    """Every n-th frame of an open video file, until it ends.

    Raises:
        InputError: if it holds no video, or not one frame can be decoded.
    """
    stream = pick_stream(container, source, options, report.note)
    rate = nominal_rate(stream) or ASSUMED_RATE
    report.rates[source.name] = rate
    decoder = Decoder(stream.codec_context, watched=container.format.name in LOSSY, max_pixels=options.max_pixels)
    aspect = stream.sample_aspect_ratio
    convert = ToRGB(float(aspect) if aspect else 1.0, lambda words: report.note(f"{source.name}: {words}"))
    maker, timeline, ended = FrameMaker(source.name, every, report), Timeline(rate), []
    recorded, seconds, holes = recorded_at(container), 0.0, 0
    for frame, stamp, damage in decoded(container, stream, decoder, ended):
        seconds, gap = timeline(stamp)
        if maker.index == 0:
            report.starts[source.name] = timeline.start or 0.0
            recorded = timeline.utc if timeline.utc is not None else recorded
        if gap is not None:
            holes += 1
            report.gaps.append(Gap(source.name, maker.index, round(gap[0], 4), gap[1], gap[2]))
        utc = None if recorded is None else recorded + seconds
        made = maker(lambda frame=frame: convert(frame), seconds, utc, damage)
        if made is not None:
            yield made
    if maker.index == 0:
        raise InputError(f"'{source.shown}' gave no frame: it is cut off, damaged, or has ended")
    report.lose(source.name, decoder.lost, maker.index + decoder.lost)
    why = ended[0] if ended else cut_short(container, stream, decoder.sent, timeline if not holes else None)
    if why:
        report.skip(f"{source.name}: cut off or damaged after {counted(maker.index, 'frame')}: {why}", source.named)


def cut_short(container: Any, stream: Any, packets: int, timeline: Timeline | None) -> str:
    """Why a file that was read to its end lacks its last part; empty if it does not, or nothing tells.

    Args:
        container: the file.
        stream: the one that was read.
        packets: how many it gave.
        timeline: of its frames; None if there were jumps, after which nothing can be said of its length.
    """
    if "mp4" in container.format.name:
        expected = len(stream.index_entries)
        return f"its index has {counted(expected, 'frame')}" if expected > packets else ""
    if container.format.name == "avi" and (missing := missing_bytes(Path(container.name.removeprefix("file:")))) > 0:
        return f"{counted(missing, 'byte')} missing"
    if container.format.name not in FIXED_LENGTH or timeline is None:
        return ""
    length, slack = stream_length(stream), 3 * timeline.interval
    if length is None:  # that of the longest stream, which may be one of sound
        length, slack = (container.duration or 0) / 1e6, slack + (2.0 if len(container.streams) > 1 else 0.0)
    last = (timeline.last or 0.0) + (timeline.start or 0.0)
    return f"its header says {length:.1f} s" if last + slack < 0.98 * length else ""


def missing_bytes(path: Path) -> int:
    """How many bytes of an AVI file's first part are not there, by the size in its header; 0 if that was never set."""
    if not path.is_file():
        return 0
    with path.open("rb") as opened:
        head = opened.read(12)
    told = int.from_bytes(head[4:8], "little")
    return max(told + 8 - path.stat().st_size, 0) if head[:4] == b"RIFF" and 0 < told < 2**32 - 1 else 0


def stream_length(stream: Any) -> float | None:
    """Seconds at which a stream ends, as Matroska's tags say; None where they do not."""
    parts = stream.metadata.get("DURATION", "").split(":")
    try:
        hours, minutes, seconds = (float(each) for each in parts)
    except ValueError:
        return None
    return 3600 * hours + 60 * minutes + seconds
