"""A detector that costs nothing, and archives written by the official writers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from log_writers import START, jpeg, packets, ros_compressed, ros_image, write_json_mcap, write_ros2
from videos import scene, write_video

from oddroad.card import Card
from oddroad.inference.integrity import with_card
from oddroad.mining.worker import Settings

TENTH = 100_000_000
"""Nanoseconds between two frames."""


def red_detector(path: Path) -> Path:
    """A detector whose score is how red a pixel is: convolutions of 1 x 1, so that it has features. Calibrated."""
    from onnx import TensorProto, helper, numpy_helper

    weights = {
        "first.weight": np.eye(4, 3, dtype=np.float32).reshape(4, 3, 1, 1),
        "head.weight": np.float32([1, -0.5, -0.5, 0]).reshape(1, 4, 1, 1),
        "axis": np.int64([1]),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["pixels"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "first.weight"], ["features"]),
        helper.make_node("Relu", ["features"], ["active"]),
        helper.make_node("Conv", ["active", "head.weight"], ["scores"]),
        helper.make_node("Squeeze", ["scores", "axis"], ["red"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, "h", "w", 3])
    red = helper.make_tensor_value_info("red", TensorProto.FLOAT, [1, "h", "w"])
    values = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "g", [image], [red], values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    calibration = {"scores": {"red": {
        "alarms": [[100.0, 0.0], [80.0, 0.02], [60.0, 0.1]],
        "units": {"count": 99, "block": None, "equal": 99, "best": 0.03},
        "quantiles": [[0.0, -100.0], [0.5, 0.0], [1.0, 80.0]],
    }}}  # fmt: skip
    card = Card(
        "red", "none", ("red",), None, 1, ("road",), thresholds={"red": 100.0}, threshold_meaning="redder than 100",
        calibration=calibration,
    )  # fmt: skip
    path.write_bytes(with_card(model.SerializeToString(), card))
    return path


def settings(model: Path, **changes: object) -> Settings:
    """Settings of a run with the detector of a file."""
    import hashlib

    values = {"score": "red", "threshold": 100.0, "meaning": "redder than 100", "copies": str(model.parent / "copies")}
    return Settings(str(model), hashlib.sha256(model.read_bytes()).hexdigest(), **{**values, **changes})  # type: ignore[arg-type]


def calm(number: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    """A grey picture (H, W, 3), which moves with its number."""
    return np.roll(scene(0, size)[..., 1:2].repeat(3, 2), number % 7, 0)


def odd(number: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    """A calm picture with a red square on it."""
    image = calm(number, size)
    image[20:32, 8 + number % 8 : 20 + number % 8] = (230, 20, 20)
    return image


def fleet(folder: Path, frames: int = 60) -> dict[str, int]:
    """An archive of one log of each kind, 10 frames a second; returns the frames of each camera.

    The frames 20 to 29 of each camera show something red.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pictures = [odd(number) if 20 <= number < 30 else calm(number) for number in range(frames)]
    times = [START + number * TENTH for number in range(frames)]
    write_video(folder / "drive.mp4", pictures, rate=10, group=10, b_frames=2, options={"qp": "4"})
    coded = packets(frames)
    write_json_mcap(
        folder / "drive.mcap",
        [
            each
            for time, packet, image in zip(times, coded, pictures, strict=True)
            for each in (
                ("/front", "foxglove.CompressedVideo", time, {"format": "h264", "data": packet}),
                ("/left", "foxglove.CompressedImage", time + 1, {"format": "jpeg", "data": jpeg(image)}),
                ("/imu", "sensor_msgs/msg/Imu", time + 2, {"x": 1}),
            )
        ],
        chunk_size=20_000,
    )
    raw = [("/raw", time, ros_image(bayer(image), "bayer_rggb8")) for time, image in zip(times, pictures, strict=True)]
    coded_images = [
        ("/jpeg", time, ros_compressed(jpeg(image), "jpeg")) for time, image in zip(times, pictures, strict=True)
    ]
    write_ros2(folder / "bag", sorted(raw + coded_images, key=lambda each: each[1]))
    (folder / "camera").mkdir()
    for time, image in zip(times, pictures, strict=True):
        (folder / "camera" / f"{time}.jpg").write_bytes(jpeg(image))
    return dict.fromkeys(("drive.mp4", "/front", "/left", "/raw", "/jpeg", "camera"), frames)


def bayer(image: np.ndarray) -> np.ndarray:
    """An RGB image (H, W, 3) as a sensor with the pattern RGGB sees it, (H, W)."""
    mosaic = image[..., 1].copy()
    mosaic[::2, ::2], mosaic[1::2, 1::2] = image[::2, ::2, 0], image[1::2, 1::2, 2]
    return mosaic
