"""Driving logs for tests, written by the official writers."""

from __future__ import annotations

import json
from base64 import b64encode
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from rosbags.typesys import Stores, get_typestore

START = 1_700_000_000_000_000_000
"""Nanoseconds since 1970 of a log's first message."""


def scene(number: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    """A smooth picture (H, W, 3) uint8 RGB with a bar that moves with its number."""
    height, width = size
    y, x = np.mgrid[:height, :width]
    image = np.stack([x * 3 % 200 + 20, y * 4 % 180 + 30, (x + y) * 2 % 160 + 40], -1).astype(np.uint8)
    image[:, 4 * number % width : 4 * number % width + 6] = (200, 60, 30)
    return image


def ros_image(image: np.ndarray, encoding: str = "rgb8", pad: int = 0, time: int = START, first: bool = False) -> Any:
    """A sensor_msgs/Image of ROS 1 or 2; ``pad`` bytes follow each row. Grey (H, W) or (H, W, C), uint8 or uint16."""
    store = get_typestore(Stores.ROS1_NOETIC if first else Stores.ROS2_HUMBLE)
    height, width = image.shape[:2]
    rows = np.ascontiguousarray(image).view(np.uint8).reshape(height, -1)
    padded = np.concatenate([rows, np.full((height, pad), 99, np.uint8)], 1)
    return store.types["sensor_msgs/msg/Image"](
        header=header(store, time, first), height=height, width=width, encoding=encoding, is_bigendian=0,
        step=padded.shape[1], data=padded.ravel(),
    )  # fmt: skip


def ros_compressed(data: bytes, format: str, time: int = START, first: bool = False) -> Any:
    """A sensor_msgs/CompressedImage of ROS 1 or 2."""
    store = get_typestore(Stores.ROS1_NOETIC if first else Stores.ROS2_HUMBLE)
    return store.types["sensor_msgs/msg/CompressedImage"](
        header=header(store, time, first), format=format, data=np.frombuffer(data, np.uint8)
    )


def header(store: Any, time: int, first: bool) -> Any:
    """A std_msgs/Header."""
    stamp = store.types["builtin_interfaces/msg/Time"](sec=time // 10**9, nanosec=time % 10**9)
    more = {"seq": 0} if first else {}
    return store.types["std_msgs/msg/Header"](stamp=stamp, frame_id="camera", **more)


def write_ros1(path: Path, messages: list[tuple[str, int, Any]]) -> Path:
    """A bag of ROS 1 with (topic, time, message)."""
    from rosbags.rosbag1 import Writer

    store = get_typestore(Stores.ROS1_NOETIC)
    with Writer(path) as writer:
        connections: dict[str, Any] = {}
        for topic, time, message in messages:
            kind = type(message).__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=store)
            writer.write(connections[topic], time, store.serialize_ros1(message, kind))
    return path


def write_ros2(path: Path, messages: list[tuple[str, int, Any]], mcap: bool = False) -> Path:
    """A bag folder of ROS 2 with (topic, time, message), in SQLite or MCAP files."""
    from rosbags.rosbag2 import StoragePlugin, Writer

    store = get_typestore(Stores.ROS2_HUMBLE)
    plugin = StoragePlugin.MCAP if mcap else StoragePlugin.SQLITE3
    with Writer(path, version=9, storage_plugin=plugin) as writer:
        connections: dict[str, Any] = {}
        for topic, time, message in messages:
            kind = type(message).__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=store)
            writer.write(connections[topic], time, store.serialize_cdr(message, kind))
    return path


def write_json_mcap(path: Path, messages: list[tuple[str, str, int, dict[str, Any]]], **options: Any) -> Path:
    """An MCAP file with (topic, type, time, fields) in JSON; options of mcap.writer.Writer."""
    from mcap.writer import Writer

    with path.open("wb") as opened:
        writer = Writer(opened, **options)
        writer.start()
        channels: dict[str, int] = {}
        for topic, kind, time, fields in messages:
            if topic not in channels:
                schema = writer.register_schema(kind, "jsonschema", b"{}")
                channels[topic] = writer.register_channel(topic, "json", schema)
            coded = {**fields, "data": b64encode(fields["data"]).decode()} if "data" in fields else fields
            writer.add_message(channels[topic], time, json.dumps(coded).encode(), time)
        writer.finish()
    return path


def packets(count: int, codec: str = "libx264", group: int = 10, b_frames: int = 0) -> list[bytes]:
    """The packets of a video of ``scene``, in the order of decoding, in Annex B form."""
    container = av.CodecContext.create(codec, "w")
    container.width, container.height, container.pix_fmt = 64, 48, "yuv420p"
    container.time_base = Fraction(1, 10)
    container.gop_size, container.max_b_frames = group, b_frames
    container.options = {"preset": "ultrafast", "bf": str(b_frames), "qp": "10"}
    found = []
    for number in range(count):
        frame = av.VideoFrame.from_ndarray(scene(number), format="rgb24")
        frame.pts = number
        found += container.encode(frame)
    return [bytes(each) for each in found + container.encode(None)]


def jpeg(image: np.ndarray) -> bytes:
    """An RGB image as a JPEG."""
    return cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes()
