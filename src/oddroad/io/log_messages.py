"""What the messages of driving logs hold: raw pictures, coded pictures, and packets of a video."""

from __future__ import annotations

import functools
import json
from base64 import b64decode
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np

from oddroad.errors import InputError
from oddroad.io.decoding import lacking
from oddroad.io.images import decode_image
from oddroad.io.log_types import Message
from oddroad.io.raw_pictures import ENCODINGS, Depth, raw_picture

KINDS = {
    "Image": "raw", "RawImage": "raw",
    "CompressedImage": "coded",
    "CompressedVideo": "video",
}  # fmt: skip
"""Last part of a type's name -> what its messages hold; of sensor_msgs, foxglove and foxglove_msgs."""


VENDORS = ("sensor_msgs", "foxglove", "foxglove_msgs")


FOXGLOVE = {
    "CompressedImage": "builtin_interfaces/Time timestamp\nstring frame_id\nuint8[] data\nstring format\n",
    "CompressedVideo": "builtin_interfaces/Time timestamp\nstring frame_id\nuint8[] data\nstring format\n",
    "RawImage": "builtin_interfaces/Time timestamp\nstring frame_id\nuint32 width\nuint32 height\nstring encoding\n"
    "uint32 step\nuint8[] data\n",
}
"""Definitions of foxglove_msgs for ROS; ROS 1 calls the time ``time``."""


def holds(kind: str) -> str:
    """What messages of a type hold: "raw", "coded", "video", or "" for anything else.

    >>> holds("sensor_msgs/msg/Image"), holds("foxglove.CompressedVideo"), holds("sensor_msgs/Imu")
    ('raw', 'video', '')
    """
    parts = kind.replace(".", "/").split("/")
    return KINDS.get(parts[-1], "") if parts[0] in VENDORS else ""


@functools.cache
def typestore(first: bool) -> Any:
    """The types of ROS 1 or ROS 2, with those of foxglove_msgs."""
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.ROS1_NOETIC if first else Stores.ROS2_HUMBLE)
    for name, text in FOXGLOVE.items():
        text = text.replace("builtin_interfaces/Time", "time") if first else text
        store.register(get_types_from_msg(text, f"foxglove_msgs/msg/{name}"))
    return store


@functools.lru_cache(16)
def protobuf_decoder(kind: str, schema: bytes) -> Callable[[bytes], Any]:
    """What decodes messages of a type of Protocol Buffers."""
    from mcap.records import Schema
    from mcap_protobuf.decoder import DecoderFactory

    decoder = DecoderFactory().decoder_for("protobuf", Schema(id=1, name=kind, encoding="protobuf", data=schema))
    assert decoder is not None
    return decoder


def parse(message: Message) -> Any:
    """The fields of a message, as attributes.

    Raises:
        InputError: if its encoding is not known, or its bytes are not what they should be.
    """
    name = message.kind.replace(".", "/").split("/")
    ros = f"{'foxglove_msgs' if name[0] == 'foxglove' else name[0]}/msg/{name[-1]}"
    try:
        if message.encoding == "cdr":
            return typestore(False).deserialize_cdr(message.data, ros)
        if message.encoding == "ros1":
            return typestore(True).deserialize_ros1(message.data, ros)
        if message.encoding == "protobuf":
            return protobuf_decoder(message.kind, message.schema)(message.data)
        if message.encoding == "json":
            fields = json.loads(message.data)
            return SimpleNamespace(**fields | ({"data": b64decode(fields["data"])} if holds(message.kind) else {}))
    except (ModuleNotFoundError, InputError):
        raise
    except Exception as error:  # whatever the libraries raise on bytes that are not a message
        raise InputError(
            f"a message on '{message.topic}' cannot be read: {' '.join(str(error).split())[:100]}"
        ) from None
    raise InputError(f"messages on '{message.topic}' are in '{message.encoding}'; expected cdr, ros1, protobuf or json")


def picture(message: Message, max_pixels: int, note: Callable[[str], None], depth: Depth) -> tuple[np.ndarray, str]:
    """The picture of a message that ``holds`` "raw" or "coded", (H, W, 3) uint8 RGB, and why it is damaged, if it is.

    Args:
        message: the message.
        max_pixels: larger pictures are refused.
        note: is told what is worth knowing.
        depth: of the topic's pictures.

    Raises:
        InputError: if it cannot be decoded, with the reason.
    """
    fields = parse(message)
    where = f"a picture on '{message.topic}'"
    if holds(message.kind) == "raw":
        try:
            data = np.frombuffer(fields.data, np.uint8)
            size = (int(fields.height), int(fields.width), int(fields.step))
            encoding, bigendian = str(fields.encoding), bool(getattr(fields, "is_bigendian", 0))
        except (AttributeError, TypeError, ValueError, OverflowError) as error:
            raise InputError(f"{where} is not described as it should be ({error})") from None
        return raw_picture(data, size, encoding, bigendian, where, max_pixels, note, depth), ""
    data, form = coded(fields, where)
    if "compressedDepth" in form:
        raise InputError(f"'{message.topic}' holds depth, not pictures ({form[:60]})")
    pixels, damage = decode_image(data, where, max_pixels, note), lacking(data)
    pattern = form.partition(";")[0].strip()
    if pattern.startswith("bayer_") and pattern in ENCODINGS:
        return cv2.cvtColor(np.ascontiguousarray(pixels[..., 0]), ENCODINGS[pattern][2]), damage
    return pixels, damage


def coded(fields: Any, where: str) -> tuple[bytes, str]:
    """The bytes of a coded picture or a packet, and the format that its message states.

    Raises:
        InputError: if the message has none.
    """
    data, form = getattr(fields, "data", None), getattr(fields, "format", None)
    if data is None or isinstance(data, int) or form is None:
        raise InputError(f"{where} has no data or no format")
    return bytes(data), str(form)


CODECS = {"h264": "h264", "avc": "h264", "h265": "hevc", "hevc": "hevc", "vp9": "vp9", "av1": "av1"}
"""The formats of foxglove.CompressedVideo, and the decoders' names."""


def is_key(data: bytes, codec: str) -> bool:
    """Whether a packet of a video is that of a key frame, told from its bytes.

    Args:
        data: for h264 and hevc in Annex B form.
        codec: "h264", "hevc", "vp9" or "av1".
    """
    if codec in ("h264", "hevc"):
        at = data.find(b"\0\0\1")
        while 0 <= at < len(data) - 3:
            kind = data[at + 3] & 31 if codec == "h264" else data[at + 3] >> 1 & 63
            if (kind == 5) if codec == "h264" else (16 <= kind <= 21):
                return True
            at = data.find(b"\0\0\1", at + 3)
        return False
    if not data:
        return False
    if codec == "vp9":
        first = data[0]
        reserved = (first >> 4 & 3) == 3  # profile 3 has one bit more
        return not (first >> (2 if reserved else 3) & 1) and not (first >> (1 if reserved else 2) & 1)
    at = 0  # AV1: a key frame comes with the sequence's header
    while at < len(data):
        kind, extended, sized = data[at] >> 3 & 15, data[at] >> 2 & 1, data[at] >> 1 & 1
        if kind == 1:
            return True
        at += 1 + extended
        size, shift = 0, 0
        while sized and at < len(data):
            size |= (data[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if not data[at - 1] & 128:
                break
        at = at + size if sized else len(data)
    return False
