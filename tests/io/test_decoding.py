"""The decoder: which frames are damaged after what the container, the decoder or its log say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from videos import scene, write_video

from oddroad.io.decoding import MISSING, Decoder


def decode(path: Path, change: Callable[[int, Any], Any], watched: bool = False) -> tuple[list[tuple], Decoder]:
    """(time, reason, number of the packet) of each frame of a video whose packets are changed first; None drops one."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        decoder, found = Decoder(stream.codec_context, watched), []
        for number, packet in enumerate(container.demux(stream)):
            if packet.size == 0:
                found += decoder(None)
                break
            changed = change(number, packet)
            if changed is not None:
                found += decoder(changed)
    return [(round(seconds * 25), reason, frame.opaque) for frame, seconds, reason in found], decoder


def flag(*numbers: int) -> Callable[[int, Any], Any]:
    """Marks packets as the demuxer of transport streams does after a gap."""

    def change(number: int, packet: Any) -> Any:
        if number in numbers:
            packet.is_corrupt = True
        return packet

    return change


def cut(number: int) -> Callable[[int, Any], Any]:
    """Leaves the second half of a packet away."""

    def change(at: int, packet: Any) -> Any:
        if at != number:
            return packet
        half = av.Packet(bytes(packet)[: packet.size // 2])
        half.pts, half.dts, half.time_base, half.is_keyframe = (
            packet.pts,
            packet.dts,
            packet.time_base,
            packet.is_keyframe,
        )
        return half

    return change


@pytest.fixture
def groups(tmp_path: Path) -> Path:
    """Three groups of twelve frames, each of which refers to the one before."""
    return write_video(tmp_path / "a.mp4", [scene(number) for number in range(36)])


@pytest.mark.parametrize("watched", [False, True])
class TestFlags:
    def test_nothing_is_damaged_without_one(self, groups: Path, watched: bool) -> None:
        found, decoder = decode(groups, flag(), watched)
        assert [at for at, reason, _ in found if reason] == []
        assert len(found) == 36
        assert decoder.lost == 0

    def test_from_a_flagged_packet_to_the_next_key_frame(self, groups: Path, watched: bool) -> None:
        found, _ = decode(groups, flag(15), watched)
        assert [at for at, reason, _ in found if reason] == list(range(15 if watched else 14, 24))
        assert [reason for at, reason, _ in found if at in (15, 20)] == [
            "parts of it could not be decoded", "decoded from a damaged frame before it",
        ]  # fmt: skip

    def test_the_packet_after_a_flagged_one_may_lack_something_too(self, groups: Path, watched: bool) -> None:
        found, _ = decode(groups, flag(11), watched)
        assert [at for at, reason, _ in found if reason] == list(range(11 if watched else 10, 24))

    def test_the_packet_before_a_flagged_one_may_lack_something_too(self, groups: Path, watched: bool) -> None:
        found, _ = decode(groups, flag(13), watched)  # HEVC: the key frame itself lacks a part
        assert [at for at, reason, _ in found if reason] == list(range(13 if watched else 12, 24))  # 12 was shown

    def test_frames_shown_before_a_key_frame_refer_to_the_group_before(self, tmp_path: Path, watched: bool) -> None:
        options = {
            "x264-params": "open-gop=1:keyint=12:min-keyint=12:bframes=2:b-adapt=0:scenecut=0",
            "preset": "veryfast",
        }
        images = [scene(number) for number in range(36)]
        path = write_video(tmp_path / "a.mp4", images, options=options, b_frames=2)
        with av.open(str(path)) as container:
            rows = [(packet.is_keyframe, packet.pts) for packet in container.demux(video=0) if packet.size]
        keys = [number for number, (key, _) in enumerate(rows) if key]
        leading = [number for number in range(keys[1], keys[2]) if rows[number][1] < rows[keys[1]][1]]
        assert leading
        found, _ = decode(path, flag(keys[1] - 3), watched)
        damaged = {number for _, reason, number in found if reason}
        assert set(leading) <= damaged
        assert keys[1] not in damaged
        assert not damaged & set(range(keys[2], 36))


class TestSigns:
    def test_a_frame_that_its_decoder_marks(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "a.mp4", [scene(number) for number in range(36)], "mpeg4")
        found, _ = decode(path, cut(15))
        assert [at for at, reason, _ in found if reason] == list(range(15, 24))

    def test_a_packet_that_is_refused(self, groups: Path) -> None:
        found, decoder = decode(groups, cut(15), watched=True)
        assert decoder.lost == 1
        assert [at for at, reason, _ in found if reason] == list(range(16, 24))
        assert len(found) == 35

    def test_in_threads_it_is_refused_late(self, groups: Path) -> None:
        found, decoder = decode(groups, cut(15))
        assert decoder.lost == 1
        damaged = {at for at, reason, _ in found if reason}
        assert set(range(16, 24)) <= damaged <= set(range(13, 24))

    def test_frames_before_the_first_key_frame_are_damaged_not_hidden(self, groups: Path) -> None:
        found, decoder = decode(groups, lambda number, packet: packet if number >= 4 else None, watched=True)
        assert [at for at, reason, _ in found if not reason] == list(range(12, 36))
        assert len(found) + decoder.lost == 32

    def test_a_jpeg_whole_by_its_markers_with_lost_parts(self, tmp_path: Path) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (8, 96, 160, 3), np.uint8)
        path = write_video(tmp_path / "a.avi", list(noise), "mjpeg", pixels="yuvj420p")

        def emptied(number: int, packet: Any) -> Any:
            if number != 3:
                return packet
            data = bytes(packet)
            half = av.Packet(data[: len(data) // 2] + bytes(len(data) // 2) + b"\xff\xd9")
            half.pts, half.dts, half.time_base, half.is_keyframe = packet.pts, packet.dts, packet.time_base, True
            return half

        found, _ = decode(path, emptied)
        assert [(at, reason) for at, reason, _ in found if reason] == [(3, "parts of it could not be decoded")]

    @pytest.mark.parametrize(
        "words",
        [
            "The cu_qp_delta 90 is outside the valid range [-26, 25].\n",
            "Skipping invalid undecodable NALU: 1\n",
            "Could not find ref with POC 13\n",
            "mjpeg_decode_dc: bad vlc: 0\n",
            "error y=22 x=77\n",
            "overread 8\n",
        ],
    )
    def test_words_of_decoders_that_lack_something(self, words: str) -> None:
        assert MISSING.search(words)

    def test_half_a_picture_of_a_row_of_jpegs(self, tmp_path: Path) -> None:
        images = [scene(number) for number in range(8)]
        path = write_video(tmp_path / "a.avi", images, "mjpeg", pixels="yuvj420p")
        found, _ = decode(path, cut(3))
        assert [at for at, reason, _ in found if reason] == [3]
