"""Targets: driving logs and their messages."""

from __future__ import annotations

import hashlib
import sqlite3
import tempfile
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from fuzz.mutation import ODD, change_bytes, change_records, one_of
from fuzz.pictures import PIXELS
from fuzz.target import Differs, Target, may_be_refused

CAMERA, VIDEO = "/camera", "/video"


def messages() -> list[tuple[str, int, Any]]:
    """Pictures of two cameras, as messages of ROS 2."""
    from log_writers import START, jpeg, ros_compressed, ros_image, scene

    found: list[tuple[str, int, Any]] = []
    for number in range(4):
        time = START + number * 100_000_000
        found.append((CAMERA, time, ros_image(scene(number, (24, 32)), time=time)))
        found.append(("/front", time, ros_compressed(jpeg(scene(number, (24, 32))), "jpeg", time=time)))
    return found


def mcap_seeds() -> list[bytes]:
    """MCAP files: of ROS 2, of JSON with video, packed and not, with and without an index."""
    from log_writers import START, jpeg, packets, scene, write_json_mcap, write_ros2
    from mcap.writer import CompressionType

    found = []
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        found.append(next(write_ros2(folder / "bag", messages(), mcap=True).glob("*.mcap")).read_bytes())
        coded = [
            (
                CAMERA,
                "foxglove.CompressedImage",
                START + number * 10**8,
                {"data": jpeg(scene(number, (24, 32))), "format": "jpeg", "frame_id": "c"},
            )
            for number in range(4)
        ]
        video = [
            (
                VIDEO,
                "foxglove.CompressedVideo",
                START + number * 10**8,
                {"data": data, "format": "h264", "frame_id": "v"},
            )
            for number, data in enumerate(packets(6))
        ]
        for number, options in enumerate(
            (
                {"compression": CompressionType.NONE},
                {"compression": CompressionType.NONE, "chunk_size": 2000},
                {"compression": CompressionType.ZSTD},
                {"compression": CompressionType.LZ4},
                {"use_chunking": False},
                {"compression": CompressionType.NONE, "enable_crcs": False},
            )
        ):
            found.append(write_json_mcap(folder / f"{number}.mcap", coded + video, **options).read_bytes())
    return found


def read_all(path: Path, most: int = 200) -> tuple[int, bool]:
    """The frames of every topic of a log as ``oddroad detect`` reads them, and whether the log was whole."""
    from oddroad.errors import InputError
    from oddroad.io.logs import log_of
    from oddroad.io.reading import ReadOptions, ReadReport
    from oddroad.io.sources import find_sources
    from oddroad.io.video import probe, read_source

    sources = find_sources([str(path)])
    count, refused = 0, None
    for source in sources:
        if ".." in Path(source.name).parts or source.name.startswith("/"):
            raise Differs(f"a source called '{source.name[:40]}', which leads out of the folder of results")
        report = ReadReport()
        probe(source)
        try:
            for _, frame in zip(
                range(most), read_source(source, 1, report, ReadOptions(max_pixels=PIXELS)), strict=False
            ):
                count += 1
                if frame.image.shape[0] * frame.image.shape[1] > PIXELS:
                    raise Differs("a frame above the limit was given out")
        except InputError as error:
            refused = error
    if refused is not None and not count:
        raise refused
    return count, not log_of(sources[0]).ended


def read_mcap(data: bytes, folder: Path) -> None:
    """An MCAP file as ``detect`` and ``mine`` read it; of a whole one, the messages that mcap's own reader gives."""
    from oddroad.io.log_files import open_log
    from oddroad.mining.message_logs import open_message_log

    path = folder / "a.mcap"
    path.write_bytes(data)
    log = open_log(path)
    ours = Counter((each.topic, each.time, hashlib.sha256(each.data).digest()) for each in log.messages(()))
    theirs = by_mcap(path)
    if theirs is not None and not log.ended and set(ours) != set(theirs):  # what stands there twice counts once
        lacks, more = sum((theirs - ours).values()), sum((ours - theirs).values())
        raise Differs(
            f"{sum(ours.values())} messages without a word of damage; mcap's reader has {lacks} others, lacks {more}"
        )
    with may_be_refused():
        mined = open_message_log((str(path),), str(folder))
        for topic in list(mined.topics)[:4]:
            for cut in list(mined.cuts(topic, 1.0))[:4]:
                sum(1 for _ in zip(range(200), mined.messages([topic], cut.start, []), strict=False))
    read_all(path)


def by_mcap(path: Path) -> Counter[Any] | None:
    """The messages that mcap's own reader finds; None where it finds fault with the file.

    By its index where that is complete, as ours are read, else from the beginning on: records that the index does not
    know, or knows by another name, are no fault of a reader.
    """
    from mcap.reader import NonSeekingReader, SeekingReader

    from oddroad.io.log_mcap import whole_summary

    kind = NonSeekingReader if whole_summary(path) is None else SeekingReader
    found: Counter[Any] = Counter()
    try:
        with path.open("rb") as opened:
            for _, channel, message in kind(opened, validate_crcs=True).iter_messages(log_time_order=False):
                found[channel.topic, message.log_time, hashlib.sha256(message.data).digest()] += 1
    except Exception:  # it raises many kinds
        return None
    return found


def bag_seeds() -> list[bytes]:
    """Bags of ROS 1."""
    from log_writers import START, jpeg, ros_compressed, ros_image, scene, write_ros1

    found = []
    with tempfile.TemporaryDirectory() as made:
        rows: list[tuple[str, int, Any]] = []
        for number in range(4):
            time = START + number * 10**8
            rows.append((CAMERA, time, ros_image(scene(number, (24, 32)), time=time, first=True)))
            rows.append(("/front", time, ros_compressed(jpeg(scene(number, (24, 32))), "jpeg", time=time, first=True)))
        found.append(write_ros1(Path(made) / "a.bag", rows).read_bytes())
        found.append(write_ros1(Path(made) / "b.bag", rows[:3]).read_bytes())
    return found


def read_bag(data: bytes, folder: Path) -> None:
    """A bag of ROS 1."""
    path = folder / "a.bag"
    path.write_bytes(data)
    read_all(path)


def database_seeds() -> list[bytes]:
    """SQLite files of bags of ROS 2."""
    from log_writers import write_ros2

    with tempfile.TemporaryDirectory() as made:
        return [next(write_ros2(Path(made) / "bag", messages()).glob("*.db3")).read_bytes()]


def change_database(rng: Random, seeds: list[bytes]) -> bytes:
    """A changed database: its bytes, or values of its rows, or its tables."""
    data = rng.choice(seeds)
    if rng.random() < 0.5:
        return change_bytes(rng, data)
    opened = sqlite3.connect(":memory:")
    opened.deserialize(data)
    for _ in range(rng.randint(1, 3)):
        table, column = rng.choice(
            (
                ("messages", "timestamp"),
                ("messages", "topic_id"),
                ("messages", "data"),
                ("messages", "id"),
                ("topics", "name"),
                ("topics", "type"),
                ("topics", "id"),
                ("topics", "serialization_format"),
            )
        )
        plain = [each for each in ODD if isinstance(each, (int, float, str, type(None))) and each != 10**400]
        value = rng.choice((*plain, rng.randbytes(9), "../../x", "sensor_msgs/msg/Imu", 2**62))
        try:
            kind = rng.random()
            if kind < 0.7:
                opened.execute(f"UPDATE {table} SET {column} = ? WHERE id = {rng.randint(1, 4)}", (value,))
            elif kind < 0.85 and column != "id":
                opened.execute(f"ALTER TABLE {table} RENAME COLUMN {column} TO other")
            elif kind < 0.9:
                opened.execute(f"ALTER TABLE {table} RENAME TO inner_{table}")
                opened.execute(f"CREATE VIEW {table} AS SELECT * FROM inner_{table}")
            else:
                opened.execute(f"DELETE FROM {table} WHERE id = {rng.randint(1, 4)}")
        except (sqlite3.Error, OverflowError):
            pass
    opened.commit()
    return opened.serialize()


def read_database_file(data: bytes, folder: Path) -> None:
    """A bag of ROS 2 as a bare file of SQLite."""
    path = folder / "a.db3"
    path.write_bytes(data)
    read_all(path)


def folder_seeds() -> list[dict[str, bytes]]:
    """Bags of ROS 2 as folders: SQLite and MCAP, with their metadata; one says that it is compressed."""
    from log_writers import write_ros2

    found = []
    with tempfile.TemporaryDirectory() as made:
        for number, mcap in enumerate((False, True)):
            bag = write_ros2(Path(made) / f"bag{number}", messages(), mcap=mcap)
            files = {each.name: each.read_bytes() for each in bag.iterdir()}
            found.append(files)
            packed = files["metadata.yaml"].replace(b"compression_mode: ''", b"compression_mode: message")
            found.append(
                {**files, "metadata.yaml": packed.replace(b"compression_format: ''", b"compression_format: zstd")}
            )
    return found


def change_folder(rng: Random, seeds: list[dict[str, bytes]]) -> dict[str, bytes]:
    """A bag with one of its files changed, or left out."""
    from fuzz.mutation import change_text, encoded

    files = dict(rng.choice(seeds))
    name = rng.choice(list(files))
    if rng.random() < 0.05:
        del files[name]
    elif name.endswith(".yaml"):
        files[name] = encoded(
            change_text(
                rng, files[name].decode(), ("compression_mode", "file", "message", "zstd", "version", "9", "[]", "{}")
            )
        )
    else:
        files[name] = change_bytes(rng, files[name])
    return files


def read_folder(files: dict[str, bytes], folder: Path) -> None:
    """A bag of ROS 2 as a folder."""
    import shutil

    bag = folder / "bag"
    shutil.rmtree(bag, ignore_errors=True)
    bag.mkdir()
    for name, data in files.items():
        (bag / name).write_bytes(data)
    read_all(bag)


def message_seeds() -> list[tuple[str, str, bytes]]:
    """Messages alone: type, encoding, bytes."""
    import json
    from base64 import b64encode

    from log_writers import jpeg, ros_compressed, ros_image, scene
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_HUMBLE)
    image = scene(1, (24, 32))
    found = []
    pictures: list[tuple[np.ndarray, str]] = [
        (image, "rgb8"),
        (image[..., 0], "mono8"),
        (image[..., :2], "yuv422"),
        (image[..., 0].astype(np.uint16), "mono16"),
        (image[..., 0], "bayer_rggb8"),
        (image[..., 0], "nv12"),
    ]
    for each, encoding in pictures:
        message = ros_image(each, encoding)
        found.append(("sensor_msgs/msg/Image", "cdr", bytes(store.serialize_cdr(message, "sensor_msgs/msg/Image"))))
    for each in ("jpeg", "bgr8; jpeg compressed bgr8", "png"):
        message = ros_compressed(jpeg(image), each)
        kind = "sensor_msgs/msg/CompressedImage"
        found.append((kind, "cdr", bytes(store.serialize_cdr(message, kind))))
    fields = {"data": b64encode(jpeg(image)).decode(), "format": "jpeg", "frame_id": "c"}
    found.append(("foxglove.CompressedImage", "json", json.dumps(fields).encode()))
    raw = {"data": b64encode(image.tobytes()).decode(), "encoding": "rgb8", "width": 32, "height": 24, "step": 96}
    found.append(("foxglove.RawImage", "json", json.dumps(raw).encode()))
    return found


def change_one(rng: Random, seeds: list[tuple[str, str, bytes]]) -> tuple[str, str, bytes]:
    """A changed message."""
    import json

    from fuzz.mutation import as_text, change_values, encoded

    kind, encoding, data = rng.choice(seeds)
    if encoding == "json" and rng.random() < 0.8:
        return kind, encoding, encoded(as_text(rng, change_values(rng, json.loads(data))))
    return kind, encoding, change_bytes(rng, data)


def read_message(given: tuple[str, str, bytes], folder: Path) -> None:
    """The picture in a message; a raw one has the size that an own reading of its bytes says."""
    from oddroad.io.log_messages import picture
    from oddroad.io.log_types import Message
    from oddroad.io.raw_pictures import Depth

    kind, encoding, data = given
    pixels, _ = picture(Message("/t", kind, 0, encoding, b"", data), PIXELS, lambda words: None, Depth())
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise Differs(f"a picture of {pixels.dtype} {pixels.shape}")
    if encoding == "cdr" and kind.endswith("/Image") and (size := size_in_cdr(data)) != pixels.shape[:2]:
        raise Differs(f"a picture of {pixels.shape[:2]}; its message says {size}")


def size_in_cdr(data: bytes) -> tuple[int, int]:
    """(height, width) in a sensor_msgs/Image of ROS 2."""
    order = "little" if data[1] & 1 else "big"
    length = int.from_bytes(data[12:16], order)
    at = 4 + -(-(12 + length) // 4) * 4
    return int.from_bytes(data[at : at + 4], order), int.from_bytes(data[at + 4 : at + 8], order)


def change_mcap(rng: Random, seeds: list[bytes]) -> bytes:
    """A changed MCAP file."""
    return one_of(change_records, change_bytes)(rng, rng.choice(seeds), seeds)


def change_bag(rng: Random, seeds: list[bytes]) -> bytes:
    """A changed bag of ROS 1."""
    return change_bytes(rng, rng.choice(seeds), seeds)


LOGS = {
    "mcap": lambda: Target(
        "mcap", mcap_seeds, change_mcap, read_mcap, "mcap's reader from the beginning on: every message"
    ),
    "bag": lambda: Target("bag", bag_seeds, change_bag, read_bag),
    "database": lambda: Target("database", database_seeds, change_database, read_database_file),
    "folder": lambda: Target("folder", folder_seeds, change_folder, read_folder),
    "message": lambda: Target("message", message_seeds, change_one, read_message, "own reading of the size"),
}
