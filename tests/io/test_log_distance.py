"""How far a log drove, from fixes and from odometry."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from log_writers import START, jpeg, scene, write_json_mcap, write_ros2
from rosbags.typesys import Stores, get_typestore

from oddroad.calibration.data import calibration_data
from oddroad.io import log_distance
from oddroad.io.log_distance import EARTH, kilometres_per_hour
from oddroad.io.log_types import Log, Message


def degrees(metres: float) -> float:
    """So many metres to the north, in degrees."""
    return math.degrees(metres / EARTH)


def test_fixes_that_wander_while_standing_drive_nowhere(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    picture = jpeg(scene(0))
    messages = [("/camera", "foxglove.CompressedImage", START, {"data": picture, "format": "jpeg"})]
    for second in range(120):  # a minute at 10 m/s, then standing for another
        north = 10.0 * min(second, 60) + rng.normal(0, 0.5)
        fix = {"latitude": 48.0 + degrees(north), "longitude": 11.0}
        messages.append(("/gps", "foxglove.LocationFix", START + second * 1_000_000_000, fix))
    messages.append(("/gps", "foxglove.LocationFix", START + 120_000_000_000, {"latitude": 0.0, "longitude": 0.0}))
    path = write_json_mcap(tmp_path / "drive.mcap", sorted(messages, key=lambda each: each[2]))
    assert kilometres_per_hour(path) == pytest.approx(3.6 * 600 / 119, rel=0.02)
    data = calibration_data([str(path)], tmp_path, "val", every=1)
    assert data.kilometres == {str(path): kilometres_per_hour(path)}


def test_odometry_of_a_bag(tmp_path: Path) -> None:
    store = get_typestore(Stores.ROS2_HUMBLE)
    types = store.types
    zero = types["geometry_msgs/msg/Vector3"](x=0.0, y=0.0, z=0.0)
    cov, still = np.zeros(36), types["geometry_msgs/msg/Quaternion"](x=0.0, y=0.0, z=0.0, w=1.0)
    messages = []
    for second in range(11):
        time = types["builtin_interfaces/msg/Time"](sec=second, nanosec=0)
        pose = types["geometry_msgs/msg/Pose"](
            position=types["geometry_msgs/msg/Point"](x=3.0 * second, y=4.0 * second, z=9.0), orientation=still
        )
        messages.append((
            "/odom", START + second * 1_000_000_000,
            types["nav_msgs/msg/Odometry"](
                header=types["std_msgs/msg/Header"](stamp=time, frame_id="map"), child_frame_id="car",
                pose=types["geometry_msgs/msg/PoseWithCovariance"](pose=pose, covariance=cov),
                twist=types["geometry_msgs/msg/TwistWithCovariance"](
                    twist=types["geometry_msgs/msg/Twist"](linear=zero, angular=zero), covariance=cov),
            ),
        ))  # fmt: skip
    path = write_ros2(tmp_path / "bag", messages)
    assert kilometres_per_hour(path) == pytest.approx(18.0)


def test_logs_that_do_not_say_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = jpeg(scene(0))
    path = write_json_mcap(
        tmp_path / "a.mcap", [("/camera", "foxglove.CompressedImage", START, {"data": picture, "format": "jpeg"})]
    )
    assert kilometres_per_hour(path) is None
    assert calibration_data([str(path)], tmp_path, "val", every=1).kilometres == {}
    found = [SimpleNamespace(latitude=48.0, longitude=11.0 + 0.01 * number, status=SimpleNamespace(status=-1))
             for number in range(3)]  # fmt: skip
    messages = [Message("/gps", "sensor_msgs/msg/NavSatFix", number, "cdr", b"", b"") for number in range(3)]
    log = Log(path, {"/gps": "sensor_msgs/msg/NavSatFix"}, messages=lambda topics: iter(messages))
    monkeypatch.setattr(log_distance, "open_log", lambda _: log)
    monkeypatch.setattr(log_distance, "parse", lambda message: found[message.time])
    assert kilometres_per_hour(path) is None  # no fix has a place
