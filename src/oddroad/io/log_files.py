"""Driving logs as messages: MCAP files, and bags of ROS 1 and ROS 2 as folders or bare files, whole or cut off."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from oddroad.errors import InputError
from oddroad.io.log_bags import open_compressed, open_database, open_ros1
from oddroad.io.log_mcap import open_mcap
from oddroad.io.log_types import Log, Message


def open_log(path: Path) -> Log:
    """What a log holds: a .mcap, .bag or .db3 file by its first bytes, or a folder of such files.

    Raises:
        InputError: if it is none of them, or holds nothing.
    """
    if path.is_dir() and is_compressed(path):
        return open_compressed(path)
    files = parts_of(path) if path.is_dir() else [path]
    logs = [open_part(each) for each in files]
    if len(logs) == 1:
        return logs[0]
    whole = Log(path)
    for each in logs:
        whole.topics |= each.topics
        for topic, count in each.counts.items():
            whole.counts[topic] = whole.counts.get(topic, 0) + count
    starts, ends = [each.start for each in logs if each.start is not None], [each.end for each in logs]
    whole.start = min(starts, default=None)
    whole.end = max((each for each in ends if each is not None), default=None)

    def messages(topics: Sequence[str]) -> Iterator[Message]:
        whole.ended.clear()
        for each in logs:
            yield from each.messages(topics)
            whole.ended.extend(f"{each.path.name} {why}" for why in each.ended)

    whole.messages = messages
    return whole


def is_compressed(folder: Path) -> bool:
    """Whether the ``metadata.yaml`` of a bag of ROS 2 says that rosbag2 compressed its files or messages."""
    described = folder / "metadata.yaml"
    text = described.read_text(encoding="utf-8", errors="replace") if described.is_file() else ""
    return re.search(r"compression_mode:\s*[\"']?(file|message)", text, re.IGNORECASE) is not None


def parts_of(folder: Path) -> list[Path]:
    """The files of a bag, in the order of the numbers in their names; ``metadata.yaml`` is not needed.

    Raises:
        InputError: if there is none.
    """
    found = [each for each in folder.iterdir() if each.suffix.lower() in (".mcap", ".db3", ".bag")]
    if not found:
        raise InputError(f"'{folder}' holds no .mcap, .db3 or .bag file")

    def order(path: Path) -> list[tuple[int, str]]:
        return [(int(each), "") if each.isdigit() else (-1, each) for each in re.split(r"(\d+)", path.name)]

    return sorted(found, key=order)


def open_part(path: Path) -> Log:
    """What one file of a log holds; see ``open_log``."""
    try:
        with path.open("rb") as opened:
            head = opened.read(16)
    except OSError as error:
        raise InputError(f"cannot read '{path}': {error.strerror}") from None
    if head.startswith(b"\x89MCAP0"):
        return open_mcap(path)
    if head.startswith(b"#ROSBAG V2.0"):
        return open_ros1(path)
    if head.startswith(b"SQLite format 3\0"):
        return open_database(path)
    raise InputError(f"'{path}' is no driving log; expected an MCAP file or a bag of ROS 1 or ROS 2")
