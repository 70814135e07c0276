"""Packets of a video decoded to frames, each with what is wrong with it.

Decoders hide damage: after lost packets they go on with what they have, and say that all is well. Whoever judges such
a picture as calm has seen nothing. Here every frame from a damage on is marked, until the next whole key frame.
"""

from __future__ import annotations

import heapq
import logging
import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

from oddroad.io.headers import JPEG, end_of_jpeg
from oddroad.io.images import MAX_PIXELS

logging.getLogger("libav").addHandler(logging.NullHandler())  # its lines would be printed between ours


MISSING = re.compile(
    r"reference picture missing|missing reference|unref short failure|conceal|error while decoding|frame num gap"
    r"|could not find ref|damaged at|slice mismatch|invalid mb type|cabac decode|block unavailable|corrupt"
    r"|number of reference frames|outside the valid range|undecodable NALU|\boverread\b|bad vlc|error y=\d",
    re.IGNORECASE,
)
"""What decoders say when they lack something and go on; they raise no error for it."""


REMEMBERED = 1000
"""Packets whose damage is remembered: more than any decoder holds back."""


PARTS = "parts of it could not be decoded"


def lacking(data: bytes) -> str:
    """Why a JPEG that is whole by its markers is damaged: FFmpeg says it, OpenCV goes on silently. Empty if it is not.

    Pictures of other formats, and of kinds that FFmpeg does not decode, count as whole.
    """
    import av

    if not data.startswith(JPEG):
        return ""

    context = av.CodecContext.create("mjpeg", "r")
    context.thread_count = 1
    av.logging.set_skip_repeated(False)
    av.logging.set_level(av.logging.WARNING)
    with av.logging.Capture() as said:
        try:
            context.decode(av.Packet(data))
        except av.error.MemoryError:  # no sign of damage
            raise
        except av.error.FFmpegError:
            pass
        finally:
            av.logging.set_level(None)
    return PARTS if any(MISSING.search(words) for _, _, words in said) else ""


class Decoder:
    """Decodes the packets of one video stream.

    Args:
        context: an av.VideoCodecContext that is not open yet.
        watched: whether packets may be missing without a trace (streams, logs, transport streams): what the decoder
            says is listened to, and it runs in one thread, so that no frame is held back and each word is heard.
        max_pixels: pictures of more pixels are refused before memory is taken for them, also where a stream that began
            with small ones goes on with them; they count as lost.

    Attributes:
        lost: packets from which no picture could be decoded.
        sent: packets decoded.
    """

    def __init__(self, context: Any, watched: bool = False, max_pixels: int = MAX_PIXELS):
        from av.codec.context import Flags

        watched = watched or context.name == "mjpeg"  # which has no flag for parts that it could not decode
        context.options = {**context.options, "max_pixels": str(max_pixels)}
        context.flags |= Flags.output_corrupt
        context.copy_opaque = True
        context.thread_type = "SLICE" if watched else "AUTO"
        if watched:
            context.thread_count = 1
        self.context, self.watched = context, watched
        self.sent = self.lost = 0
        self.broken: list[int] = []  # packets at which damage was noticed, in order
        self.keys: list[int] = []  # packets of key frames, in order
        self.key_times: dict[int, int] = {}
        self.waiting: list[int] = []  # decoding times of packets without a presentation time
        self.time_base: Any = None

    def __call__(self, packet: Any) -> Iterator[tuple[Any, float | None, str]]:
        """Decode a packet; None to be given what the decoder still holds.

        Returns:
            frames (av.VideoFrame) in the order in which they are shown, each with its time in seconds as the container
            says, None where it does not, and the reason why it is damaged, empty if it is not.
        """
        number = self.sent
        if packet is not None:
            self.sent += 1
            packet.opaque = number
            self.note_packet(packet, number)
        for frame in self.decode(packet, number):
            place = frame.opaque if isinstance(frame.opaque, int) else number
            if frame.is_corrupt:
                self.add_broken(place)
            yield frame, self.seconds(frame), self.reason(place, frame.pts)

    def note_packet(self, packet: Any, number: int) -> None:
        """Remember key frames, times, and what the container says about damage."""
        self.time_base = packet.time_base
        if packet.is_keyframe:
            self.keys.append(number)
            if packet.pts is not None:
                self.key_times[number] = packet.pts
            while len(self.keys) > REMEMBERED:
                self.key_times.pop(self.keys.pop(0), None)
        if packet.pts is None and packet.dts is not None:
            heapq.heappush(self.waiting, packet.dts)
        if packet.is_corrupt:  # the parser may flag the packet before or after the one that lacks something
            for each in range(max(number - 1, 0), number + 2):
                self.add_broken(each)
        if self.context.name == "mjpeg":
            data = bytes(packet)
            if data.startswith(JPEG) and end_of_jpeg(data)[0] is None:
                self.add_broken(number)

    def decode(self, packet: Any, number: int) -> list[Any]:
        """The frames that a packet brings; none if it cannot be decoded.

        Raises:
            MemoryError: if there is no memory for it, which is no damage.
        """
        import av

        said: list[tuple[int, str, str]] = []
        try:
            if not self.watched:
                return self.context.decode(packet)
            av.logging.set_skip_repeated(False)
            av.logging.set_level(av.logging.DEBUG)  # gaps in the numbers of frames are said there
            with av.logging.Capture() as said:
                return self.context.decode(packet)
        except av.error.EOFError:
            return []
        except av.error.MemoryError:
            raise
        except av.error.FFmpegError:
            self.lost += 1
            if packet is not None and packet.pts is None and packet.dts in self.waiting:
                self.waiting.remove(packet.dts)
                heapq.heapify(self.waiting)
            late = 0 if self.watched else max(self.context.thread_count - 1, 0)
            self.add_broken(max(number - late, 0))  # of the packet that a thread began with so long ago
            return []
        finally:
            if self.watched:
                av.logging.set_level(None)
                if any(MISSING.search(words) for _, _, words in said):
                    self.add_broken(number)

    def add_broken(self, number: int) -> None:
        """Note damage at a packet."""
        at = bisect_right(self.broken, number)
        if at == 0 or self.broken[at - 1] != number:
            self.broken.insert(at, number)
            del self.broken[:-REMEMBERED]

    def reason(self, number: int, shown: int | None) -> str:
        """Why the frame of a packet, shown at a time, is damaged; empty if it is not.

        It is if there was damage at or before it and no whole key frame since, or one that is shown only after it.
        """
        at = bisect_right(self.broken, number)
        if at == 0:
            return ""
        damage = self.broken[at - 1]
        for key in self.keys[bisect_right(self.keys, damage) : bisect_right(self.keys, number)]:
            if shown is None or key == number or shown >= self.key_times.get(key, shown):
                return ""
        if damage == number:
            return PARTS
        return "decoded from a damaged frame before it"

    def seconds(self, frame: Any) -> float | None:
        """The time of a frame: its own, or else the earliest decoding time that no frame was shown at yet."""
        if frame.pts is not None:
            if self.waiting:
                heapq.heappop(self.waiting)
            base = frame.time_base or self.time_base  # the last frames have none
            return float(frame.pts * base) if base else None
        return float(heapq.heappop(self.waiting) * self.time_base) if self.waiting and self.time_base else None
