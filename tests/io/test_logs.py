"""Driving logs: MCAP and bags of ROS 1 and 2, whole and cut off, with what cameras publish in them."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from log_writers import (
    START,
    jpeg,
    packets,
    ros_compressed,
    ros_image,
    scene,
    write_json_mcap,
    write_ros1,
    write_ros2,
)
from mcap.writer import CompressionType

from oddroad.errors import InputError
from oddroad.io.log_mcap import unpack
from oddroad.io.log_messages import picture
from oddroad.io.log_types import Message
from oddroad.io.raw_pictures import Depth
from oddroad.io.reading import ReadOptions, ReadReport
from oddroad.io.sources import find_sources
from oddroad.io.video import probe, read
from oddroad.types import Frame

TENTH = 100_000_000
"""Nanoseconds between two messages."""


def images(count: int = 12, topic: str = "/camera/front", first: bool = False, late: int = 0) -> list[tuple]:
    """(topic, time, message) of raw pictures with padded rows."""
    times = [START + late + number * TENTH for number in range(count)]
    return [(topic, at, ros_image(scene(number), pad=7, first=first)) for number, at in enumerate(times)]


def everything(path: Path, topics: tuple[str, ...] = (), every: int = 1) -> tuple[list[Frame], ReadReport]:
    """All frames of a log and the report."""
    report = ReadReport()
    return list(read(find_sources([str(path)], topics, report), every, report)), report


def check(found: list[Frame], source: str, count: int = 12, levels: float = 0) -> None:
    """That frames are those of ``scene``, with their times."""
    assert [each.name for each in found] == [f"{source}#{number}" for number in range(count)]
    assert [each.time for each in found] == pytest.approx([number / 10 for number in range(count)], abs=1e-4)
    assert [each.utc for each in found] == pytest.approx([START / 1e9 + number / 10 for number in range(count)])
    for number, each in enumerate(found):
        assert np.abs(each.image.astype(int) - scene(number)).mean() <= levels
        assert each.status == "ok"


def ros2(path: Path) -> Path:
    return write_ros2(path / "drive", images())


def ros2_mcap(path: Path) -> Path:
    return write_ros2(path / "drive", images(), mcap=True)


def ros1(path: Path) -> Path:
    return write_ros1(path / "drive", images(first=True))


def bare(make: Callable[[Path], Path], ending: str) -> Callable[[Path], Path]:
    """The file of a bag folder alone."""

    def made(path: Path) -> Path:
        (path / "other").mkdir()
        (part,) = make(path / "other").glob(f"*{ending}")
        return part.rename(path / "drive")

    return made


def without_metadata(make: Callable[[Path], Path]) -> Callable[[Path], Path]:
    """A bag folder without its metadata.yaml."""

    def made(path: Path) -> Path:
        folder = make(path)
        for each in folder.iterdir():
            if each.name == "metadata.yaml":
                each.unlink()
            else:
                each.rename(folder / f"drive_0{each.suffix}")
        return folder

    return made


KINDS = {
    "ros2": ros2, "ros2 mcap": ros2_mcap, "ros1": ros1,
    "bare db3": bare(ros2, ".db3"), "bare mcap": bare(ros2_mcap, ".mcap"),
    "db3 without metadata": without_metadata(ros2), "mcap without metadata": without_metadata(ros2_mcap),
}  # fmt: skip


class TestBags:
    @pytest.mark.parametrize("kind", KINDS)
    def test_every_kind_with_padded_rows(self, tmp_path: Path, kind: str) -> None:
        path = KINDS[kind](tmp_path)
        found, report = everything(path)
        check(found, "drive/camera/front")
        assert (report.skipped, report.gaps, report.damaged) == ([], [], {})
        assert report.rates["drive/camera/front"] == pytest.approx(10)
        assert probe(find_sources([str(path)])[0]) == (12, pytest.approx(10))

    @pytest.mark.parametrize("mode", ["FILE", "MESSAGE"])
    def test_compressed_by_rosbag2(self, tmp_path: Path, mode: str) -> None:
        from rosbags.rosbag2 import CompressionFormat, CompressionMode, Writer
        from rosbags.typesys import Stores, get_typestore

        store = get_typestore(Stores.ROS2_HUMBLE)
        writer = Writer(tmp_path / "drive", version=9)
        writer.set_compression(CompressionMode[mode], CompressionFormat.ZSTD)
        with writer:
            connection = writer.add_connection("/camera/front", "sensor_msgs/msg/Image", typestore=store)
            for _, time, message in images():
                writer.write(connection, time, store.serialize_cdr(message, "sensor_msgs/msg/Image"))
        check(everything(tmp_path / "drive")[0], "drive/camera/front")

    def test_several_parts_of_one_bag(self, tmp_path: Path) -> None:
        folder = tmp_path / "drive"
        folder.mkdir()
        for part, which in ((2, slice(0, 5)), (10, slice(5, 12))):  # 10 comes after 2
            (made,) = write_ros2(tmp_path / f"part{part}", images()[which]).glob("*.db3")
            made.rename(folder / f"drive_{part}.db3")
        found, _ = everything(folder)
        check(found, "drive/camera/front")

    def test_logs_in_a_folder_of_other_things(self, tmp_path: Path) -> None:
        bare(ros2_mcap, ".mcap")(tmp_path).rename(tmp_path / "a.mcap")
        shutil.rmtree(tmp_path / "other")
        assert cv2.imwrite(str(tmp_path / "b.png"), scene(0))
        assert [each.name for each in find_sources([str(tmp_path)])] == ["a.mcap/camera/front", "b.png"]


class TestTopics:
    def test_a_log_among_others_that_lacks_the_topic_is_skipped(self, tmp_path: Path) -> None:
        (tmp_path / "logs").mkdir()
        for name, topic in (("a.bag", "/camera"), ("b.bag", "/other")):
            write_ros1(tmp_path / "logs" / name, images(2, topic, first=True))
        report = ReadReport()
        found = find_sources([str(tmp_path / "logs")], ["/camera"], report)
        assert [each.name for each in found] == ["a.bag/camera"]
        assert report.skipped == [
            f"'{tmp_path / 'logs' / 'b.bag'}' has no topic '/camera' with pictures; there is: "
            "/other (sensor_msgs/msg/Image)"
        ]
        with pytest.raises(InputError, match="has no topic '/nope'"):
            find_sources([str(tmp_path / "logs")], ["/nope"])

    def test_depth_beside_pictures_is_left_out_and_said(self, tmp_path: Path) -> None:
        depth = ros_compressed(b"depth", "16UC1; compressedDepth png")
        rows = [*images(2), ("/camera/depth/compressedDepth", START, depth)]
        found, report = everything(write_ros2(tmp_path / "drive", rows))
        assert [each.source for each in found] == ["drive/camera/front"] * 2
        assert report.skipped == []
        assert report.notes == [
            "drive: left out /camera/depth/compressedDepth: depth, no pictures; choose it with --topic"
        ]

    def test_a_jpeg_with_lost_parts_is_damaged(self, tmp_path: Path) -> None:
        good = jpeg(np.random.default_rng(0).integers(0, 256, (96, 160, 3), np.uint8))
        rows = [
            ("/a", START + number * TENTH, ros_compressed(data, "jpeg"))
            for number, data in enumerate([good, good[: len(good) // 2] + b"\xff\xd9"])
        ]
        found, _ = everything(write_ros2(tmp_path / "drive", rows))
        assert [each.reason for each in found] == ["", "parts of it could not be decoded"]

    def test_raw_pictures_of_impossible_sizes_are_said(self, tmp_path: Path) -> None:
        odd = ros_image(scene(0)[:, :63, :2], "yuv422")
        found, report = everything(write_ros2(tmp_path / "drive", [*images(1, "/a"), ("/a", START + TENTH, odd)]))
        assert len(found) == 1
        assert report.notes == [
            f"drive/a: a picture on '/a' has 63 x {scene(0).shape[0]}, which is no size of 'yuv422'"
        ]

    def test_two_cameras_lie_side_by_side(self, tmp_path: Path) -> None:
        both = images() + images(6, "/camera/back", late=TENTH * 3) + images(3, "/rear")
        path = write_ros2(tmp_path / "drive", sorted(both, key=lambda message: message[1]))
        found, _ = everything(path, ("/camera/*",))
        back = [each for each in found if each.source == "drive/camera/back"]
        assert len(found) == 18
        assert [each.time for each in back] == pytest.approx([0.3 + number / 10 for number in range(6)])
        assert back[0].utc == pytest.approx(START / 1e9 + 0.3)

    def test_no_such_topic_lists_those_that_are_there(self, tmp_path: Path) -> None:
        path = write_ros2(tmp_path / "drive", images(2) + images(1, "/camera/back"))
        with pytest.raises(InputError) as caught:
            find_sources([str(path)], ["/nope*"])
        assert str(caught.value) == (
            f"'{path}' has no topic '/nope*' with pictures; there is: /camera/back (sensor_msgs/msg/Image), "
            "/camera/front (sensor_msgs/msg/Image)"
        )

    def test_topics_without_pictures(self, tmp_path: Path) -> None:
        path = write_json_mcap(tmp_path / "a.mcap", [("/gps", "foxglove.LocationFix", START, {"latitude": 1})])
        with pytest.raises(InputError, match=r"no topic with pictures; there is: /gps \(foxglove.LocationFix\)"):
            find_sources([str(path)])

    def test_topics_without_a_log(self, tmp_path: Path) -> None:
        assert cv2.imwrite(str(tmp_path / "b.png"), scene(0))
        with pytest.raises(InputError, match="is for driving logs; none is given"):
            find_sources([str(tmp_path)], ["/camera"])


class TestCut:
    """A cut file gives every message before the cut, and says after how many it ends."""

    @pytest.mark.parametrize(("kind", "ending"), [("ros1", ""), ("bare db3", ""), ("bare mcap", "")])
    def test_bags(self, tmp_path: Path, kind: str, ending: str) -> None:
        path = KINDS[kind](tmp_path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
        found, report = everything(path)
        assert 4 <= len(found) <= 9
        check(found, "drive/camera/front", len(found))
        (line,) = report.named
        assert line.startswith(f"drive/camera/front: cut off after {len(found)} messages: ")

    @pytest.mark.parametrize("options", [{"chunk_size": 20_000}, {"use_chunking": False}])
    def test_an_mcap_file_of_many_chunks(self, tmp_path: Path, options: dict) -> None:
        raw = {"encoding": "rgb8", "width": 64, "height": 48, "step": 192, "frame_id": "a", "timestamp": {}}
        rows = [("/a", "foxglove.RawImage", START + n * TENTH, {**raw, "data": scene(n).tobytes()}) for n in range(12)]
        path = write_json_mcap(tmp_path / "drive", rows, **options)
        data = path.read_bytes()
        path.write_bytes(data[:-40])  # only the end of the index
        check(everything(path)[0], "drive/a")
        path.write_bytes(data[: len(data) // 2])
        found, report = everything(path)
        assert 3 <= len(found) <= 8
        check(found, "drive/a", len(found))
        assert report.skipped[0].startswith(f"drive/a: cut off after {len(found)} messages")

    def test_a_whole_file_without_schemas_in_its_summary(self, tmp_path: Path) -> None:
        raw = {"encoding": "rgb8", "width": 64, "height": 48, "step": 192, "frame_id": "a", "timestamp": {}}
        rows = [("/a", "foxglove.RawImage", START + n * TENTH, {**raw, "data": scene(n).tobytes()}) for n in range(12)]
        for number, options in enumerate(
            ({"repeat_schemas": False}, {"repeat_channels": False, "use_statistics": False})
        ):
            path = write_json_mcap(tmp_path / f"drive{number}", rows, **options)
            found, report = everything(path)
            check(found, f"drive{number}/a")
            assert report.skipped == []

    def test_a_whole_file_whose_summary_lacks_a_channel(self, tmp_path: Path) -> None:
        """The index is read only if it names every channel: here it names none of those that have messages."""
        raw = {"encoding": "rgb8", "width": 64, "height": 48, "step": 192, "frame_id": "a", "timestamp": {}}
        rows = [("/a", "foxglove.RawImage", START + n * TENTH, {**raw, "data": scene(n).tobytes()}) for n in range(12)]
        path = write_json_mcap(tmp_path / "drive", rows, repeat_channels=False)
        found, report = everything(path)
        check(found, "drive/a")
        assert report.skipped == []

    def test_a_file_cut_before_its_first_message(self, tmp_path: Path) -> None:
        path = KINDS["bare mcap"](tmp_path)
        path.write_bytes(path.read_bytes()[:60])
        with pytest.raises(InputError, match="there is: no message; it is cut off after 0 messages"):
            find_sources([str(path)])


class TestPictures:
    def one(self, tmp_path: Path, message: object) -> tuple[np.ndarray, ReadReport]:
        (found,), report = everything(write_ros2(tmp_path / "drive", [("/a", START, message)]))
        return found.image, report

    @pytest.mark.parametrize("pad", [0, 5])
    @pytest.mark.parametrize(
        ("encoding", "order"),
        [
            ("rgb8", [0, 1, 2]),
            ("bgr8", [2, 1, 0]),
            ("8UC3", [2, 1, 0]),
            ("rgba8", [0, 1, 2, 0]),
            ("bgra8", [2, 1, 0, 0]),
        ],
    )
    def test_colours(self, tmp_path: Path, encoding: str, order: list[int], pad: int) -> None:
        image, _ = self.one(tmp_path, ros_image(scene(0)[..., order], encoding, pad))
        assert np.array_equal(image, scene(0))

    @pytest.mark.parametrize("encoding", ["mono8", "8UC1"])
    def test_grey(self, tmp_path: Path, encoding: str) -> None:
        image, _ = self.one(tmp_path, ros_image(scene(0)[..., 0], encoding, 3))
        assert np.array_equal(image, scene(0)[..., :1].repeat(3, 2))

    @pytest.mark.parametrize("bits", [10, 12, 16])
    @pytest.mark.parametrize("big", [False, True])
    def test_sixteen_bits(self, tmp_path: Path, bits: int, big: bool) -> None:
        grey = scene(0)[..., 0].copy()
        grey[0, 0] = 255
        wide = grey.astype(np.uint16) << (bits - 8)
        message = ros_image(wide.byteswap() if big else wide, "mono16", 4)
        message.is_bigendian = int(big)
        image, report = self.one(tmp_path, message)
        assert np.array_equal(image[..., 0], grey)
        assert bool(report.notes) == (bits < 16)

    def test_a_dark_picture_of_a_camera_of_twelve_bits_stays_dark(self, tmp_path: Path) -> None:
        light = scene(0)[..., 0].astype(np.uint16) << 4
        messages = [("/a", START + n * TENTH, ros_image(each, "mono16")) for n, each in enumerate([light, light // 8])]
        (first, second), _ = everything(write_ros2(tmp_path / "drive", messages))
        assert second.image.mean() == pytest.approx(first.image.mean() / 8, abs=1)

    @pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
    @pytest.mark.parametrize("bits", [8, 16])
    def test_bayer(self, tmp_path: Path, pattern: str, bits: int) -> None:
        image = np.full((48, 64, 3), (200, 120, 40), np.uint8)
        image[:, 40:] = (30, 90, 210)
        mosaic = np.zeros((48, 64), np.uint8)
        for at, colour in enumerate(pattern):
            mosaic[at // 2 :: 2, at % 2 :: 2] = image[at // 2 :: 2, at % 2 :: 2, "rgb".index(colour)]
        wide = mosaic.astype(np.uint16) * 257 if bits == 16 else mosaic
        found, _ = self.one(tmp_path, ros_image(wide, f"bayer_{pattern}{bits}", 2))
        inside = np.s_[4:-4, [*range(4, 36), *range(44, 60)]]
        assert np.abs(found.astype(int) - image)[inside].max() <= 1

    @pytest.mark.parametrize(("encoding", "luma"), [("yuv422", 1), ("uyvy", 1), ("yuv422_yuy2", 0), ("yuyv", 0)])
    def test_yuv422(self, tmp_path: Path, encoding: str, luma: int) -> None:
        rows = np.zeros((48, 64, 2), np.uint8)
        rows[..., luma] = 81
        rows[:, ::2, 1 - luma], rows[:, 1::2, 1 - luma] = 90, 240  # red in bt.601
        rows[:, 32:, luma] = 120
        image, _ = self.one(tmp_path, ros_image(rows, encoding, 6))
        assert np.abs(image[10, 10].astype(int) - (255, 0, 0)).max() <= 3
        assert image[10, 50, 1] > 30

    @pytest.mark.parametrize("format", ["jpeg", "bgr8; jpeg compressed bgr8", "rgb8; jpeg compressed ", "png", ""])
    def test_compressed_by_its_bytes(self, tmp_path: Path, format: str) -> None:
        image, _ = self.one(tmp_path, ros_compressed(jpeg(scene(0)), format))
        assert np.abs(image.astype(int) - scene(0)).mean() < 6

    def test_compressed_png_of_sixteen_bits(self, tmp_path: Path) -> None:
        wide = scene(0)[..., 0].astype(np.uint16) * 257
        data = cv2.imencode(".png", wide)[1].tobytes()
        image, _ = self.one(tmp_path, ros_compressed(data, "mono16; png compressed mono16"))
        assert np.array_equal(image[..., 0], scene(0)[..., 0])

    @pytest.mark.parametrize(
        ("message", "reason"),
        [
            (ros_compressed(b"depth", "32FC1; compressedDepth png"), r"holds depth, not pictures"),
            (ros_image(scene(0)[..., 0], "32FC1"), r"is in '32FC1'; expected one of rgb8"),
            (ros_image(scene(0)[:, :20], "rgba8"), r"has 2880 bytes; expected 48 rows of 80 for 20 x 48"),
        ],
    )
    def test_what_is_no_picture_is_said(self, tmp_path: Path, message: object, reason: str) -> None:
        if "rgba8" in reason or "80 for 20" in reason:
            message.step = 80  # type: ignore[attr-defined]
        path = write_ros2(tmp_path / "drive", [("/a", START, message)])
        with pytest.raises(InputError, match=reason):
            list(read(find_sources([str(path)])))

    def test_a_damaged_picture_is_counted(self, tmp_path: Path) -> None:
        good = jpeg(scene(0))
        datas = [good, good[: len(good) // 2], good]
        rows = [("/a", START + n * TENTH, ros_compressed(each, "jpeg")) for n, each in enumerate(datas)]
        found, report = everything(write_ros2(tmp_path / "drive", rows))
        assert [each.time for each in found] == pytest.approx([0, 0.2])
        assert report.lost == {"drive/a": 1}
        assert "cut off" in " ".join(report.notes)

    def test_pictures_above_the_limit(self, tmp_path: Path) -> None:
        path = write_ros2(tmp_path / "drive", images(1))
        with pytest.raises(InputError, match=r"more than the limit of 0.001 megapixels"):
            list(read(find_sources([str(path)]), options=ReadOptions(max_pixels=1000)))


class TestVideo:
    def log(self, path: Path, datas: list[bytes], format: str = "h264", late: int = 0) -> Path:
        """An MCAP file with packets, of which the first is that of number ``late``."""
        rows = [
            ("/v", "foxglove.CompressedVideo", START + (late + number) * TENTH,
             {"timestamp": {}, "frame_id": "a", "format": format, "data": each})
            for number, each in enumerate(datas)
        ]  # fmt: skip
        return write_json_mcap(path / "drive", rows)

    @pytest.mark.parametrize("b_frames", [0, 2])
    def test_every_frame_is_there(self, tmp_path: Path, b_frames: int) -> None:
        found, report = everything(self.log(tmp_path, packets(30, b_frames=b_frames)))
        check(found, "drive/v", 30, levels=5)
        assert (report.lost, report.damaged) == ({}, {})

    def test_every_third(self, tmp_path: Path) -> None:
        found, _ = everything(self.log(tmp_path, packets(30)), every=3)
        assert [each.index for each in found] == list(range(0, 30, 3))

    @pytest.mark.parametrize("b_frames", [0, 2])
    def test_joined_in_mid_group(self, tmp_path: Path, b_frames: int) -> None:
        found, report = everything(self.log(tmp_path, packets(30, b_frames=b_frames)[4:], late=4))
        good = [each for each in found if each.status == "ok"]
        assert len(good) == 20
        assert [each.time for each in good] == pytest.approx([0.6 + number / 10 for number in range(20)])
        for number, each in enumerate(good):
            assert np.abs(each.image.astype(int) - scene(10 + number)).mean() < 5
        assert report.lost["drive/v"] + len(found) == 26

    def test_a_lost_message_damages_the_frames_that_refer_to_it(self, tmp_path: Path) -> None:
        datas = packets(30)
        found, report = everything(self.log(tmp_path, datas[:4] + datas[5:]))
        assert [each.index for each in found if each.status == "damaged"] == [4, 5, 6, 7, 8]
        assert report.damaged == {"drive/v": 5}

    def test_an_unknown_format(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="holds video in 'theora'; expected h264"):
            list(read(find_sources([str(self.log(tmp_path, packets(3), "theora"))])))

    def test_protobuf(self, tmp_path: Path) -> None:
        foxglove = pytest.importorskip("foxglove")
        from foxglove.channels import CompressedVideoChannel, RawImageChannel
        from foxglove.messages import CompressedVideo, RawImage

        context = foxglove.Context()
        with foxglove.open_mcap(str(tmp_path / "drive"), context=context):
            video, raw = CompressedVideoChannel("/v", context=context), RawImageChannel("/r", context=context)
            for number, data in enumerate(packets(12)):
                at = START + number * TENTH
                video.log(CompressedVideo(frame_id="a", data=data, format="h264"), log_time=at)
                image = scene(number)
                picture = RawImage(width=64, height=48, step=192, encoding="rgb8", data=image.tobytes(), frame_id="a")
                raw.log(picture, log_time=at)
        found, _ = everything(tmp_path / "drive", ("/v",))
        check(found, "drive/v", levels=5)
        found, _ = everything(tmp_path / "drive", ("/r",))
        check(found, "drive/r")


class TestFromStrangers:
    """Files that were made to do harm, or hit by a bit."""

    def test_a_damaged_chunk_is_left_out_and_said(self, tmp_path: Path) -> None:
        coded = [("/camera", "foxglove.CompressedImage", START + number * TENTH,
                  {"data": jpeg(scene(number)), "format": "jpeg", "frame_id": "c"}) for number in range(6)]  # fmt: skip
        path = write_json_mcap(tmp_path / "a.mcap", coded, compression=CompressionType.NONE, chunk_size=1)
        assert len(everything(path)[0]) == 6
        data = bytearray(path.read_bytes())
        data[data.index(b"/9j/", data.index(b"/9j/") + 4) + 40] ^= 1  # in the second picture
        path.write_bytes(data)
        found, report = everything(path)
        assert [round(each.time, 1) for each in found] == [0.0, 0.2, 0.3, 0.4, 0.5]
        assert "is damaged" in report.skipped[0]

    def test_a_topic_does_not_lead_out_of_the_folder_of_results(self, tmp_path: Path) -> None:
        path = write_ros1(tmp_path / "a.bag", images(2, topic="/../../out/./x", first=True))
        assert [each.name for each in find_sources([str(path)])] == ["a.bag/_/_/out/_/x"]

    @pytest.mark.parametrize("column", ["timestamp", "data"])
    def test_a_row_that_is_no_message(self, tmp_path: Path, column: str) -> None:
        path = next(write_ros2(tmp_path / "bag", images(4)).glob("*.db3"))
        with contextlib.closing(sqlite3.connect(path)) as database, database:
            database.execute(f"UPDATE messages SET {column} = 'x' WHERE id = 2")
        found, report = everything(path)
        assert len(found) == 3
        assert "a row holds something else than a message" in report.skipped[0]

    def test_a_view_in_the_place_of_a_table(self, tmp_path: Path) -> None:
        path = next(write_ros2(tmp_path / "bag", images(4)).glob("*.db3"))
        with contextlib.closing(sqlite3.connect(path)) as database, database:
            database.execute("ALTER TABLE topics RENAME TO inner_topics")
            database.execute("CREATE VIEW topics AS SELECT * FROM inner_topics")
        with pytest.raises(InputError, match="topics are no table"):
            everything(path)

    def test_a_chunk_that_says_that_it_is_huge(self) -> None:
        with pytest.raises(ValueError, match="more than the limit"):
            unpack(b"", b"", 2**40)

    @pytest.mark.parametrize("fields", [{"height": "x"}, {"height": -1, "width": -1}, {"step": None}, {"encoding": 3}])
    def test_a_picture_that_is_not_described(self, fields: dict) -> None:
        good = {"data": b64encode(bytes(96 * 24)).decode(), "encoding": "rgb8", "width": 32, "height": 24, "step": 96}
        message = Message("/t", "foxglove.RawImage", 0, "json", b"", json.dumps(good | fields).encode())
        with pytest.raises(InputError, match=r"not described as it should be|expected"):
            picture(message, 10**6, lambda words: None, Depth())
