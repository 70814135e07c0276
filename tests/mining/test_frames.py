"""Every frame of an archive belongs to one segment, whatever the log, and each segment decodes alone."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from log_writers import START, jpeg, packets, ros_compressed, ros_image, scene, write_json_mcap, write_ros1, write_ros2
from mining.fleet import TENTH, odd
from mining.test_run import mined
from videos import scene as picture
from videos import write_video

from oddroad.errors import InputError
from oddroad.mining.frames import Fix, SegmentReader, position_at
from oddroad.mining.plan import LogPlan, Segment, halves, plan_log
from oddroad.mining.sources import find_logs

FRAMES = 60


def video(path: Path, **how: object) -> Path:
    """Frames at 10 a second with a key frame a second."""
    options = {"rate": 10, "group": 10, **how}
    return write_video(path, [picture(number) for number in range(FRAMES)], **options)  # type: ignore[arg-type]


def video_mcap(path: Path, **how: object) -> Path:
    """A topic of H.264 with a key frame a second, in small chunks unless told otherwise."""
    rows = [
        ("/cam", "foxglove.CompressedVideo", START + number * TENTH, {"format": "h264", "data": packet})
        for number, packet in enumerate(packets(FRAMES))
    ]
    return write_json_mcap(path, rows, **{"chunk_size": 4000, **how})  # type: ignore[arg-type]


def coded(number: int) -> object:
    return ros_compressed(jpeg(scene(number)), "jpeg")


def rows(make: Callable[[int], object]) -> list[tuple]:
    return [("/cam", START + number * TENTH, make(number)) for number in range(FRAMES)]


LOGS: dict[str, Callable[[Path], Path]] = {
    "mp4 with B-frames": lambda at: video(at / "a.mp4", b_frames=2),
    "mp4 with open groups": lambda at: video(at / "a.mp4", b_frames=2, codec="mpeg2video", rate=25),
    "transport stream with open groups": lambda at: video(at / "a.ts", b_frames=2, codec="mpeg2video", rate=25),
    "matroska": lambda at: video(at / "a.mkv"),
    "transport stream": lambda at: video(at / "a.ts", b_frames=2),
    "avi of JPEGs": lambda at: video(at / "a.avi", codec="mjpeg", pixels="yuvj420p"),
    "mcap, video": lambda at: video_mcap(at / "a.mcap"),
    "mcap, one chunk": lambda at: video_mcap(at / "a.mcap", chunk_size=2**20),
    "mcap without chunks": lambda at: video_mcap(at / "a.mcap", use_chunking=False),
    "mcap without an index": lambda at: video_mcap(at / "a.mcap", use_summary_offsets=False, repeat_channels=False),
    "bag of ROS 2": lambda at: write_ros2(at / "bag", rows(lambda number: ros_image(scene(number), pad=3))),
    "bag of ROS 2 in MCAP": lambda at: write_ros2(at / "bag", rows(coded), mcap=True),
    "bag of ROS 1": lambda at: write_ros1(at / "a.bag", rows(lambda n: ros_image(scene(n), first=True))),
}


def plan(path: Path, seconds: float = 2.0, topics: tuple[str, ...] = ()) -> LogPlan:
    """The one log at a path, cut into segments."""
    (source,) = find_logs([str(path)], pytest.fail)
    return plan_log(source, topics, seconds, str(path.parent / "copies"))


def read(segment: Segment, **how: object) -> tuple[SegmentReader, list]:
    """A segment's reader after reading, and its frames."""
    reader = SegmentReader(segment, "copies", **how)  # type: ignore[arg-type]
    taken = list(reader.frames())
    counts = reader.counts
    assert counts.read == counts.judged + counts.skipped + counts.damaged + counts.lost
    return reader, taken


def times(segments: list[Segment]) -> list[int]:
    return [each.time for segment in segments for each in read(segment)[1]]


@pytest.mark.parametrize("kind", LOGS)
def test_segments_hold_each_frame_once_and_decode_alone(kind: str, tmp_path: Path) -> None:
    found = plan(LOGS[kind](tmp_path), 0.8 if "open groups" in kind else 2.0)
    assert len(found.segments) >= 3
    parts = [read(each) for each in found.segments]
    assert sum(reader.counts.read for reader, _ in parts) == FRAMES
    assert sum(reader.counts.judged for reader, _ in parts) == FRAMES
    taken = [each for _, frames in parts for each in frames]
    steps = {round((after.time - before.time) / TENTH, 2) for before, after in pairwise(taken)}
    assert steps == {0.4 if "open groups" in kind else 1.0}, "in order, none left out, none twice"
    whole = [each for segment in plan(found_path(found), 3000).segments for each in read(segment)[1]]
    for alone, together in zip(taken, whole, strict=True):
        assert alone.time == together.time
        np.testing.assert_array_equal(alone.frame.image, together.frame.image)
    assert {each.frame.status for each in taken} == {"ok"}
    assert times([half for each in found.segments for half in halves(each, "copies")]) == [each.time for each in taken]


def found_path(found: LogPlan) -> Path:
    """The path of a plan's log."""
    first = Path(found.source.addresses[0])
    return first.parent if first.parent.name == "bag" else first


@pytest.mark.parametrize("kind", ["mp4 with B-frames", "matroska", "transport stream", "mcap, video"])
def test_parts_without_a_key_frame_are_empty_and_lack_nothing(kind: str, tmp_path: Path) -> None:
    parts = [half for each in plan(LOGS[kind](tmp_path), 1.0).segments for half in halves(each, "copies")]
    readers = [read(each)[0] for each in parts]
    assert any(reader.counts.read == 0 for reader in readers)
    assert sum(reader.counts.judged for reader in readers) == sum(reader.counts.read for reader in readers) == FRAMES
    assert {reader.why for reader in readers} == {""}


def test_clocks_that_jump_move_no_frame(tmp_path: Path) -> None:
    leap = [0, *([-(10**9) * 4000] * 29), *([10**9 * 90000] * 30)]
    messages = [("/cam", START + number * TENTH + leap[number], coded(number)) for number in range(FRAMES)]
    found = plan(write_ros2(tmp_path / "bag", messages, mcap=True))
    assert len(found.segments) < 8, "a day without frames makes no segments"
    assert times(found.segments) == [time for _, time, _ in messages]


def test_joined_transport_streams_begin_their_clock_anew(tmp_path: Path) -> None:
    data = video(tmp_path / "one.ts").read_bytes()
    (tmp_path / "joined.ts").write_bytes(data + data)
    (tmp_path / "one.ts").unlink()
    found = plan(tmp_path / "joined.ts", 1.0)
    assert sum(read(each)[0].counts.read for each in found.segments) == 2 * FRAMES


def test_a_cut_mcap_gives_all_before_the_cut(tmp_path: Path) -> None:
    path = video_mcap(tmp_path / "a.mcap")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    found = plan(path)
    seen = sum(read(each)[0].counts.judged for each in found.segments)
    assert 30 <= seen < FRAMES
    assert "cut off" in found.notes[0]


def test_a_cut_mp4_counts_what_is_lost(tmp_path: Path) -> None:
    path = video(tmp_path / "a.mp4", container={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    parts = [read(each)[0] for each in plan(path).segments]
    assert sum(each.counts.read for each in parts) == FRAMES
    assert 10 <= sum(each.counts.lost for each in parts) <= 30
    assert any("index has" in each.why for each in parts)


@pytest.mark.parametrize("indexed", [True, False])
def test_a_damaged_chunk_loses_its_messages_only_and_counts_them(indexed: bool, tmp_path: Path) -> None:
    from mcap.reader import make_reader
    from mcap.writer import IndexType

    options = {} if indexed else {"index_types": IndexType.CHUNK | IndexType.MESSAGE, "use_statistics": False}
    path = video_mcap(tmp_path / "a.mcap", **options)
    with path.open("rb") as opened:
        chunks = sorted(make_reader(opened).get_summary().chunk_indexes, key=lambda each: each.chunk_start_offset)
    data = bytearray(path.read_bytes())
    middle = chunks[len(chunks) // 2]
    data[middle.chunk_start_offset + 60 : middle.chunk_start_offset + 260] = bytes(200)
    path.write_bytes(data)
    parts = [read(each)[0] for each in plan(path).segments]
    assert sum(each.counts.read for each in parts) == FRAMES
    assert 0 < sum(each.counts.lost + each.counts.damaged for each in parts) < 25
    assert any("damaged" in each.why or "corrupt" in each.why.lower() for each in parts)


def test_a_topic_without_a_key_frame_says_so(tmp_path: Path) -> None:
    coded = [each for number, each in enumerate(packets(FRAMES, group=1000)) if number]
    messages = [
        ("/cam", "foxglove.CompressedVideo", START + number * TENTH, {"format": "h264", "data": data})
        for number, data in enumerate(coded)
    ]
    parts = [read(each)[0] for each in plan(write_json_mcap(tmp_path / "a.mcap", messages, chunk_size=4000)).segments]
    assert sum(each.counts.read for each in parts) == sum(each.counts.lost for each in parts) == FRAMES - 1
    assert parts[0].why


@pytest.mark.parametrize("kind", ["mp4 with B-frames", "mcap, video", "bag of ROS 2"])
def test_one_frame_in_so_many_seconds_and_key_frames_only(kind: str, tmp_path: Path) -> None:
    segments = plan(LOGS[kind](tmp_path)).segments
    parts = [read(each, every=0.5)[0].counts for each in segments]
    assert sum(each.read for each in parts) == FRAMES
    assert sum(each.judged for each in parts) == 12
    for each in segments:
        reader, taken = read(each, keys_only=True)
        assert reader.counts.judged == len(taken) == pytest.approx(each.seconds, abs=1)
        assert reader.counts.lost == 0


def test_no_such_topic_lists_what_is_there(tmp_path: Path) -> None:
    path = video_mcap(tmp_path / "a.mcap")
    with pytest.raises(InputError, match=r"no topic '/rear'.*there is: /cam \(foxglove.CompressedVideo\)"):
        plan(path, topics=("/rear",))


def test_pictures_with_times_in_their_names(tmp_path: Path) -> None:
    folder = tmp_path / "cam"
    folder.mkdir()
    for number in range(30):
        (folder / f"{START + number * TENTH}.jpg").write_bytes(jpeg(scene(number)))
    (folder / f"{START + 5 * TENTH}.jpg").write_bytes(b"no picture")
    found = plan(folder, 1.0)
    parts = [read(each) for each in found.segments]
    assert len(found.segments) == 3
    assert found.segments[0].day == "2023-11-14"
    assert sum(reader.counts.judged for reader, _ in parts) == 29
    assert parts[0][0].counts.lost == 1
    assert parts[0][0].why


def test_positions_lie_between_the_fixes_around_them() -> None:
    fixes = [Fix(0, 50.0, 8.0, 100.0), Fix(10**9, 51.0, 9.0, None)]
    middle = position_at(fixes, 25 * 10**7)
    assert middle is not None
    assert (middle.latitude, middle.longitude, middle.altitude) == (50.25, 8.25, None)
    assert position_at(fixes, 4 * 10**9) is None
    assert position_at([], 0) is None


def test_positions_come_from_the_log(red: Path, tmp_path: Path) -> None:
    from rosbags.typesys import Stores, get_typestore

    from oddroad.mining.manifest import read_findings

    types = get_typestore(Stores.ROS2_HUMBLE).types

    def where(number: int) -> float:
        return 0.0 if number == 7 else 50 + number / 1000

    def fix(number: int) -> object:
        status = types["sensor_msgs/msg/NavSatStatus"](status=-1 if number == 7 else 0, service=1)
        return types["sensor_msgs/msg/NavSatFix"](
            header=ros_image(scene(0)).header, status=status, latitude=where(number), longitude=8.0, altitude=100.0,
            position_covariance=np.zeros(9), position_covariance_type=0,
        )  # fmt: skip

    messages = [("/cam", START + n * TENTH, ros_image(odd(n))) for n in range(20)]
    messages += [("/gnss", START + n * TENTH, fix(n)) for n in range(0, 20, 7)]
    out = tmp_path / "out"
    for mcap in (False, True):
        path = write_ros2(tmp_path / f"bag{mcap}", sorted(messages, key=lambda each: each[1]), mcap=mcap)
        mined(red, path, out, seconds=2.0)
        rows = [row for row in read_findings(str(out)).to_pylist() if row["log"] == path.name]
        found = {(row["time"] - START) // TENTH: row["latitude"] for row in rows}
        assert found[0] == pytest.approx(50.0)
        assert found[4] == pytest.approx(50.004), "between fixes; the one without a fix is left out"
        assert {row["longitude"] for row in rows} == {8.0}


def test_a_log_that_is_packed_in_an_unknown_way_is_no_calm_drive(red: Path, tmp_path: Path) -> None:
    from oddroad.mining.manifest import Manifest
    from oddroad.mining.store import Store

    path = video_mcap(tmp_path / "a.mcap")
    path.write_bytes(path.read_bytes().replace(b"\x04\x00\x00\x00zstd", b"\x04\x00\x00\x00aes1"))
    said: list[str] = []
    progress = mined(red, path, tmp_path / "out", said=said)
    assert progress.done == 0
    assert progress.failed >= 1
    assert any("packed or encrypted with 'aes1'" in each for each in said)
    assert Manifest.read(Store(str(tmp_path / "out"))).findings == 0


def test_only_the_bytes_of_a_segment_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from oddroad.mining import mcap_blocks

    path = video_mcap(tmp_path / "a.mcap", chunk_size=2000)
    segments = plan(path, 1.0).segments
    read_blocks = []
    original = mcap_blocks.records_in

    def noted(opened, block):
        read_blocks.append(block.length)
        return original(opened, block)

    monkeypatch.setattr(mcap_blocks, "records_in", noted)
    read(segments[2])
    assert sum(read_blocks) < path.stat().st_size / 2
