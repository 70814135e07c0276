"""Reading videos: colours, times, damage, and what a file really is."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from videos import packets_lost, patches, scene, write_video

from oddroad.errors import InputError
from oddroad.io.decoding import Decoder
from oddroad.io.reading import ReadOptions, ReadReport
from oddroad.io.sources import find_sources
from oddroad.io.video import probe, read
from oddroad.io.video_writer import VideoWriter
from oddroad.types import Frame


class TestVideo:
    def test_every_frame_in_order_with_its_time(self, clip: Path, frames: list[Frame]) -> None:
        found = list(read(find_sources([str(clip)])))
        assert [each.name for each in found] == [f"drive.mp4#{number}" for number in range(8)]
        assert [each.time for each in found] == pytest.approx([number / 10 for number in range(8)], abs=0.01)
        assert all(np.abs(a.image.astype(int) - b.image).mean() < 8 for a, b in zip(found, frames, strict=True))
        assert probe(find_sources([str(clip)])[0]) == (8, 10.0)

    def test_every_third(self, clip: Path) -> None:
        found = list(read(find_sources([str(clip)]), every=3))
        assert [each.name.partition("#")[2] for each in found] == ["0", "3", "6"]

    def test_a_video_without_its_end(self, clip: Path) -> None:
        clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
        with pytest.raises(InputError, match="is not a video that can be read"):
            list(read(find_sources([str(clip)])))

    def test_odd_sizes_can_be_written(self, tmp_path: Path) -> None:
        video = VideoWriter(tmp_path / "odd.mp4", 5)
        video.write(np.full((91, 121, 3), 200, np.uint8))
        video.write(np.full((50, 60, 3), 200, np.uint8))
        video.close()
        assert [each.image.shape for each in read(find_sources([str(tmp_path / "odd.mp4")]))] == [(90, 120, 3)] * 2

    def test_two_streams_are_named_and_one_is_chosen(self, tmp_path: Path) -> None:
        path = tmp_path / "two.mp4"
        with av.open(str(path), "w") as out:
            streams = [out.add_stream("libx264", rate=10) for _ in range(2)]
            for stream, (width, height) in zip(streams, ((160, 96), (64, 48)), strict=True):
                stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for number in range(3):
                for stream in streams:
                    frame = av.VideoFrame.from_ndarray(scene(number, (stream.height, stream.width)), format="rgb24")
                    out.mux(stream.encode(frame))
            for stream in streams:
                out.mux(stream.encode(None))
        report = ReadReport()
        assert next(read(find_sources([str(path)]), report=report)).image.shape == (96, 160, 3)
        names = "two.mp4: 2 video streams: 0 (h264 160x96), 1 (h264 64x48); 0 is read, choose with --stream"
        assert report.notes == [names]
        second = list(read(find_sources([str(path)]), options=ReadOptions(stream=1)))
        assert [each.image.shape for each in second] == [(48, 64, 3)] * 3
        with pytest.raises(InputError, match=r"no video stream 2; there is: 0 \(h264 160x96\), 1 \(h264 64x48\)"):
            list(read(find_sources([str(path)]), options=ReadOptions(stream=2)))

    def test_sound_alone_is_no_video(self, tmp_path: Path) -> None:
        path = tmp_path / "sound.mp4"
        with av.open(str(path), "w") as out:
            stream = out.add_stream("aac", rate=8000)
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
            sound.sample_rate = 8000
            out.mux(stream.encode(sound))
            out.mux(stream.encode(None))
        with pytest.raises(InputError, match="holds no video, but audio"):
            list(read(find_sources([str(path)])))

    def test_frames_above_the_limit_are_refused(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "a.mp4", [scene(0)])
        with pytest.raises(InputError, match=r"frames of 160 x 96, more than the limit of 0.01 megapixels"):
            list(read(find_sources([str(path)]), options=ReadOptions(max_pixels=10_000)))


class TestColours:
    """Patches of flat colour come back as they were: within 3 levels of swscale with the right matrix."""

    def check(self, path: Path, image: np.ndarray, levels: int = 6) -> ReadReport:
        report = ReadReport()
        (found,) = read(find_sources([str(path)]), report=report)
        inside = np.zeros(image.shape[:2], bool)
        inside[16::32, 16::32] = True
        assert np.abs(found.image.astype(int) - image)[inside].max() <= levels
        return report

    @pytest.mark.parametrize("matrix", [1, 5, 6, 9])
    @pytest.mark.parametrize("span", [1, 2])
    def test_tagged(self, tmp_path: Path, matrix: int, span: int) -> None:
        image = patches((96, 160))
        self.check(write_video(tmp_path / "a.mp4", [image], matrix=(matrix, span)), image)

    @pytest.mark.parametrize(("height", "matrix"), [(480, 5), (718, 5), (720, 1), (1080, 1)])
    def test_untagged(self, tmp_path: Path, height: int, matrix: int) -> None:
        image = patches((height, 320))
        path = write_video(tmp_path / "a.mkv", [image], codec="ffv1", matrix=(matrix, 1), change={})
        tagged = av.open(str(path)).streams.video[0].codec_context
        untagged = tmp_path / "untagged.mkv"
        with av.open(str(untagged), "w") as out:
            stream = out.add_stream("libx264", rate=25, options={"preset": "ultrafast", "qp": "0"})
            stream.width, stream.height, stream.pix_fmt = 320, height, "yuv420p"
            (frame,) = av.open(str(path)).decode(video=0)
            frame.colorspace, frame.color_range, frame.pts = 2, 0, 0
            out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
        assert tagged.width == 320
        self.check(untagged, image)

    @pytest.mark.parametrize("span", [1, 2])
    def test_ten_bits(self, tmp_path: Path, span: int) -> None:
        image = patches((96, 160))
        path = write_video(tmp_path / "a.mkv", [image], codec="ffv1", pixels="yuv420p10le", matrix=(1, span))
        assert not self.check(path, image).notes

    def test_an_av1_video(self, tmp_path: Path) -> None:
        images = [scene(number) for number in range(8)]
        path = write_video(tmp_path / "a.mp4", images, "libsvtav1", options={"preset": "13", "svtav1-params": "lp=1"})
        found = list(read(find_sources([str(path)])))
        assert [each.status for each in found] == ["ok"] * 8
        assert all(np.abs(a.image.astype(int) - b).mean() < 8 for a, b in zip(found, images, strict=True))

    @pytest.mark.parametrize(("curve", "name"), [(16, "PQ"), (18, "HLG")])
    def test_high_dynamic_range_is_said_once(self, tmp_path: Path, curve: int, name: str) -> None:
        images = [scene(number) for number in range(3)]
        path = write_video(tmp_path / "a.mp4", images, change={"color_trc": curve, "color_primaries": 9})
        report = ReadReport()
        assert len(list(read(find_sources([str(path), str(path)]), report=report))) == 6
        assert [each for each in report.notes if f"high dynamic range ({name})" in each and each.startswith("a.mp4:")]
        assert len(report.notes) == 2  # once for each source


class TestShapes:
    @pytest.mark.parametrize(("turn", "k"), [(90, 1), (180, 2), (-90, 3)])
    def test_turned_as_the_container_says(self, tmp_path: Path, turn: int, k: int) -> None:
        path = write_video(tmp_path / "a.mp4", [scene(0)], rotation=turn)
        (found,) = read(find_sources([str(path)]))
        expected = np.rot90(scene(0), k)
        assert found.image.shape == expected.shape
        assert np.abs(found.image.astype(int) - expected).mean() < 4

    def test_pixels_are_made_square(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "a.mp4", [scene(0)], aspect=Fraction(16, 11))
        report = ReadReport()
        (found,) = read(find_sources([str(path)]), report=report)
        assert found.image.shape == (96, round(160 * 16 / 11), 3)
        assert report.notes == ["a.mp4: pixels are 1.45 times as wide as high; pictures are resized to square pixels"]

    def test_odd_sizes(self, tmp_path: Path) -> None:
        image = scene(0, (481, 853))
        (found,) = read(find_sources([str(write_video(tmp_path / "a.mp4", [image], pixels="yuv444p"))]))
        assert found.image.shape == (481, 853, 3)
        assert np.abs(found.image.astype(int) - image).mean() < 3

    def test_interlaced_is_decoded_and_said(self, tmp_path: Path) -> None:
        images = [scene(number) for number in range(8)]
        from av.codec.context import Flags

        change = {"flags": Flags.interlaced_dct | Flags.interlaced_me, "bit_rate": 8_000_000}
        path = write_video(tmp_path / "a.mpg", images, "mpeg2video", change=change)
        report = ReadReport()
        found = list(read(find_sources([str(path)]), report=report))
        assert [each.status for each in found] == ["ok"] * 8
        assert all(np.abs(a.image.astype(int) - b).mean() < 6 for a, b in zip(found, images, strict=True))
        assert report.notes == ["a.mpg: interlaced: the two fields of a frame are read as one picture"]


class TestTime:
    def times(self, path: Path, every: int = 1) -> tuple[list[float | None], ReadReport]:
        report = ReadReport()
        found = list(read(find_sources([str(path)]), every, report))
        assert [each.index for each in found] == list(range(0, len(found) * every, every))
        return [each.time for each in found], report

    def test_every_third_of_an_uneven_video(self, tmp_path: Path) -> None:
        stamps = [number / 5 for number in range(20)] + [4 + number / 25 for number in range(25)]
        path = write_video(tmp_path / "a.mp4", [scene(number) for number in range(45)], times=stamps)
        found, report = self.times(path, 3)
        assert found == pytest.approx(stamps[::3], abs=0.001)
        assert not report.gaps

    @pytest.mark.parametrize("rate", [0.5, 480.0])
    def test_slow_and_fast_are_rates(self, tmp_path: Path, rate: float) -> None:
        path = write_video(tmp_path / "a.mp4", [scene(number) for number in range(12)], rate=rate)
        found, report = self.times(path)
        assert found == pytest.approx([number / rate for number in range(12)], abs=0.001)
        assert report.rates == {"a.mp4": pytest.approx(rate)}
        assert probe(find_sources([str(path)])[0]) == (12, pytest.approx(rate))

    @pytest.mark.parametrize("start", [5.0, 1_700_000_000.0])
    def test_a_late_start_is_kept_and_nothing_is_cut_off(self, tmp_path: Path, start: float) -> None:
        stamps = [start + number / 10 for number in range(20)]
        path = write_video(tmp_path / "a.mkv", [scene(number) for number in range(20)], times=stamps)
        found, report = self.times(path)
        assert found == pytest.approx([number / 10 for number in range(20)], abs=0.002)
        assert report.starts == {"a.mkv": pytest.approx(start, abs=0.002)}
        assert (report.skipped, report.gaps) == ([], [])
        assert probe(find_sources([str(path)])[0])[0] is None  # the container's count would be 70, or 17 billion
        utc = next(read(find_sources([str(path)]))).utc
        assert utc is None if start < 6 else utc == pytest.approx(start, abs=0.01)

    def test_a_hole_of_an_hour_is_a_gap(self, tmp_path: Path) -> None:
        stamps = [number / 10 + (3600 if number >= 8 else 0) for number in range(16)]
        path = write_video(tmp_path / "a.mp4", [scene(number) for number in range(16)], times=stamps)
        found, report = self.times(path)
        assert found == pytest.approx(stamps, abs=0.002)
        (gap,) = report.gaps
        assert (gap.source, gap.index, gap.time, gap.seconds) == ("a.mp4", 8, 0.7, pytest.approx(3600.1, abs=0.01))
        assert report.skipped == []
        assert report.rates["a.mp4"] > 1

    def test_joined_transport_streams_go_on(self, tmp_path: Path) -> None:
        one = write_video(tmp_path / "one.ts", [scene(number) for number in range(20)])
        (tmp_path / "joined.ts").write_bytes(one.read_bytes() * 2)
        found, report = self.times(tmp_path / "joined.ts")
        assert len(found) == 40
        assert np.diff(np.array(found, float)) == pytest.approx(1 / 25, abs=0.001)
        (gap,) = report.gaps
        assert (gap.index, gap.seconds) == (20, None)
        assert gap.reason == "time stamps jump back by 0.8 s"

    def test_an_edit_list_hides_frames(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "a.mp4", [scene(number) for number in range(25)], group=30)
        edited = tmp_path / "edited.mp4"
        with av.open(str(path)) as given, av.open(str(edited), "w") as out:
            stream = out.add_stream_from_template(given.streams.video[0])
            for packet in given.demux(video=0):
                if packet.size:
                    packet.pts -= 10 * stream.time_base.denominator // 25 if stream.time_base else 0
                    packet.dts = packet.pts
                    packet.stream = stream
                    out.mux(packet)
        count, _ = probe(find_sources([str(edited)])[0])
        found, report = self.times(edited)
        assert report.skipped == []
        assert count == len(found)

    def test_frames_that_refer_to_later_ones_in_avi(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "a.avi", [scene(number) for number in range(20)], b_frames=2)
        found, report = self.times(path)
        assert found == pytest.approx([number / 25 for number in range(20)], abs=0.001)
        assert (report.gaps, report.skipped) == ([], [])


class TestDamage:
    """What no decoder says: each frame from a damage on, until the next whole key frame, is marked."""

    def statuses(self, path: Path) -> tuple[list[Frame], ReadReport]:
        report = ReadReport()
        return list(read(find_sources([str(path)]), report=report)), report

    @pytest.mark.parametrize(
        ("codec", "name"),
        [("libx264", "a.mp4"), ("libx264", "a.ts"), ("libx264", "a.avi"), ("mpeg4", "a.avi"), ("mjpeg", "b.avi"),
         ("mpeg2video", "a.mpg"), ("libvpx-vp9", "a.webm"), ("libx264", "a.h264"), ("mpeg2video", "a.ts")],
    )  # fmt: skip
    def test_whole_videos_have_no_damaged_frame(self, tmp_path: Path, codec: str, name: str) -> None:
        options = {"deadline": "realtime", "cpu-used": "8"} if "vp9" in codec else {}
        pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        images = [scene(number) for number in range(30)]
        b_frames = 2 if codec == "libx264" else 0
        path = write_video(tmp_path / name, images, codec, options=options, pixels=pixels, b_frames=b_frames)
        found, report = self.statuses(path)
        assert [(each.index, each.reason) for each in found if each.status != "ok"] == []
        assert len(found) == 30
        assert (report.damaged, report.lost, report.skipped) == ({}, {}, [])

    def test_lost_packets_damage_frames_until_a_key_frame(self, tmp_path: Path) -> None:
        noisy = np.random.default_rng(0).integers(-20, 20, (60, 96, 160, 3))
        images = [np.clip(scene(number) + noisy[number], 0, 255).astype(np.uint8) for number in range(60)]
        whole = write_video(tmp_path / "a.ts", images)
        clean = {each.time: each.image for each in read(find_sources([str(whole)]))}
        found, report = self.statuses(packets_lost(whole, 0.01))
        far = [each for each in found if np.abs(each.image.astype(int) - clean[each.time]).mean() > 1]
        assert len(far) > 30
        assert [each.index for each in far if each.status == "ok"] == []
        assert report.damaged == {"lost_a.ts": sum(each.status == "damaged" for each in found)}

    def test_a_lost_packet_leaves_the_groups_before_and_after_as_they_are(self, tmp_path: Path) -> None:
        data = write_video(tmp_path / "a.ts", [scene(number) for number in range(36)]).read_bytes()
        rows = [data[at : at + 188] for at in range(0, len(data), 188)]
        starts = [at for at, row in enumerate(rows) if row[1] & 0x40 and (row[1] & 31, row[2]) == (1, 0)]
        assert len(starts) == 36
        del rows[starts[18] + 1]
        (tmp_path / "a.ts").write_bytes(b"".join(rows))
        found, _ = self.statuses(tmp_path / "a.ts")
        damaged = [each.index for each in found if each.status == "damaged"]
        assert damaged
        assert set(damaged) <= set(range(17, 24))
        assert set(range(18, 24)) <= set(damaged)

    def test_a_frame_that_cannot_be_decoded_is_counted_and_those_after_it_are_numbered_on(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "a.mp4", [scene(number) for number in range(12)], "mpeg4", rate=10, group=6)
        data = bytearray(path.read_bytes())
        marks = [at for at in range(len(data) - 4) if data[at : at + 4] == b"\0\0\x01\xb6"]
        assert len(marks) == 12
        data[marks[3] : marks[4]] = bytes(marks[4] - marks[3])
        path.write_bytes(data)
        found, report = self.statuses(path)
        assert [each.index for each in found] == list(range(11))
        assert [each.time for each in found] == pytest.approx([0, 0.1, 0.2, 0.4, *np.arange(5, 12) / 10], abs=0.001)
        assert [each.index for each in found if each.status == "damaged"] == [3, 4]
        assert found[3].reason == "decoded from a damaged frame before it"
        assert (report.lost, report.skipped) == ({"a.mp4": 1}, ["a.mp4: 1 of 12 frames could not be decoded"])

    @pytest.mark.parametrize(("level", "reason"), [(128, "of one colour"), (3, "nearly black")])
    def test_pictures_that_show_nothing(self, tmp_path: Path, level: int, reason: str) -> None:
        images = [scene(0), np.full((96, 160, 3), level, np.uint8), scene(2)]
        found, report = self.statuses(write_video(tmp_path / "a.mp4", images))
        assert [each.status for each in found] == ["ok", "damaged", "ok"]
        assert reason in found[1].reason
        assert report.damaged == {"a.mp4": 1}

    def test_a_frozen_camera(self, tmp_path: Path) -> None:
        images = [scene(number) for number in range(10)] + [scene(9)] * 25 + [scene(number) for number in range(3)]
        found, _ = self.statuses(write_video(tmp_path / "a.mkv", images, "ffv1"))
        damaged = [each.index for each in found if each.status == "damaged"]
        assert damaged == list(range(22, 35))  # more than half a second after #9
        assert found[22].reason == "the same picture to the bit for 0.5 s"

    def test_a_video_of_five_pictures_per_second_is_not_frozen(self, tmp_path: Path) -> None:
        images = [scene(number // 5) for number in range(50)]
        found, _ = self.statuses(write_video(tmp_path / "a.mkv", images, "ffv1"))
        assert {each.status for each in found} == {"ok"}

    def test_a_few_equal_pictures_of_a_slow_camera_are_not_frozen(self, tmp_path: Path) -> None:
        images = [scene(number // 6) for number in range(12)]
        found, _ = self.statuses(write_video(tmp_path / "a.mkv", images, "ffv1", rate=2))
        assert {each.status for each in found} == {"ok"}

    def test_a_cut_file_is_read_to_its_cut(self, tmp_path: Path) -> None:
        images = [scene(number) for number in range(40)]
        for name, options in (("a.mp4", {"movflags": "faststart"}), ("a.mkv", {}), ("a.avi", {})):
            path = write_video(tmp_path / name, images, container=options)
            path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
            found, report = self.statuses(path)
            assert 10 < len(found) < 40
            (line,) = report.named
            assert line.startswith(f"{name}: cut off or damaged after {len(found)} frames")

    def test_a_real_drive_has_no_damaged_frame(self) -> None:
        path = Path(__file__).parents[3] / "shared" / "data" / "video" / "udacity_solidWhiteRight.mp4"
        if not path.is_file():
            pytest.skip("the motorway clip is not here")
        found, report = self.statuses(path)
        assert len(found) == 221
        assert (report.damaged, report.lost, report.gaps, report.skipped) == ({}, {}, [], [])


def test_every_release_of_pyav_is_asked_in_its_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    from oddroad.io.video_file import any_metadata

    monkeypatch.setattr(av, "__version__", "18.1.0")
    assert any_metadata() == {"metadata_errors": "replace"}
    monkeypatch.setattr(av, "__version__", "19.0.2")
    assert any_metadata() == {}


def test_a_list_of_other_files_is_no_video(tmp_path: Path) -> None:
    write_video(tmp_path / "b.ts", [scene(number) for number in range(8)])
    path = tmp_path / "a.mp4"
    path.write_text("ffconcat version 1.0\nfile b.ts\n")
    with pytest.raises(InputError, match=r"list of other files \(concat\)"):
        list(read(find_sources([str(path)])))


def test_a_video_that_grows_above_the_limit_loses_the_large_frames(tmp_path: Path) -> None:
    parts = [
        write_video(tmp_path / f"{side}.h264", [scene(each, (side, side)) for each in range(6)], format="h264")
        for side in (64, 512)
    ]
    for limit, sizes in ((1_000_000, {64, 512}), (10_000, {64})):
        context = av.CodecContext.create("h264", "r")
        decoder, found = Decoder(context, watched=True, max_pixels=limit), set()
        for part in parts:
            for packet in context.parse(part.read_bytes()):
                found |= {frame.height for frame, _, _ in decoder(packet)}
        found |= {frame.height for frame, _, _ in decoder(None)}
        assert found == sizes
        assert (decoder.lost > 0) == (limit == 10_000)
