"""A sheet of pictures: image, classes, synthesis, perceptual difference, and the score of each method; a row an image.

    python runs/resynthesis_pictures.py OUT.jpg --networks SYNBOOST.ckpt SYNTHCP.ckpt --images a.png b.jpg
    python runs/resynthesis_pictures.py OUT.jpg --networks SYNBOOST.ckpt --rendered 2 --video drive.mp4

Scores keep their unit: all images of a method share one range, from 0 to the largest value of the sheet.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from oddroad.io.images import read_image
from oddroad.learn.checkpoints.format import load_network
from oddroad.learn.detector import Preprocessing
from oddroad.learn.resynthesis.generator import shares
from oddroad.learn.resynthesis.methods import SHARPNESS
from oddroad.learn.scores import SCORES
from oddroad.synthetic.scenes import drive
from oddroad.types import ANOMALY

WIDTH = 320
"""Pixels of a picture; its height is half of it."""

PALETTE = np.array(
    [
        (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153), (153, 153, 153), (250, 170, 30),
        (220, 220, 0), (107, 142, 35), (152, 251, 152), (70, 130, 180), (220, 20, 60), (255, 0, 0), (0, 0, 142),
        (0, 0, 70), (0, 60, 100), (0, 80, 100), (0, 0, 230), (119, 11, 32),
    ],
    np.uint8,
)  # fmt: skip
"""Cityscapes' colours of its 19 classes, RGB."""


def main() -> None:
    """Draw and write the sheet."""
    parser = argparse.ArgumentParser(description="Pictures of the resynthesis methods.")
    parser.add_argument("out", type=Path, help="picture to write")
    parser.add_argument("--networks", type=Path, nargs="+", required=True, help="checkpoints of the methods")
    parser.add_argument("--images", type=Path, nargs="*", default=[], help="pictures to judge")
    parser.add_argument("--rendered", type=int, default=0, help="frames of a rendered drive with things on the road")
    parser.add_argument("--video", type=Path, help="one frame from the middle of a video")
    given = parser.parse_args()
    images = [read_image(each) for each in given.images]
    if given.rendered:
        frames = drive(seed=11, frames=12 * given.rendered, size=(360, 720))
        most = sorted(frames, key=lambda each: -int((each.label == ANOMALY).sum()))
        images += [each.image for each in most[:: max(len(most) // (3 * given.rendered), 1)][: given.rendered]]
    if given.video is not None:
        images.append(middle(given.video))
    if not images:
        parser.error("nothing to judge; give --images, --rendered N or --video FILE")
    loaded = [load_network(each) for each in given.networks]
    columns, titles = parts(*loaded[0], images), ["image", "classes", "synthesis", "difference"]
    for network, about in loaded:
        columns.append(heats([scored(network, about, each) for each in images]))
        titles.append(str(about["network"]))
    rows = [np.concatenate([column[number] for column in columns], 1) for number in range(len(images))]
    sheet = np.concatenate([header(titles), *rows])
    cv2.imwrite(str(given.out), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])


def middle(path: Path) -> np.ndarray:
    """The middle frame of a video, RGB."""
    video = cv2.VideoCapture(str(path))
    kept = []
    while True:
        right, frame = video.read()
        if not right:
            break
        kept.append(frame)
    return cv2.cvtColor(kept[len(kept) // 2], cv2.COLOR_BGR2RGB)


def given_to(about: dict[str, Any], image: np.ndarray) -> torch.Tensor:
    """An image as the network sees it, 512 pixels high."""
    rows = 512
    size = (round(rows * image.shape[1] / image.shape[0] / 32) * 32, rows)
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if image.shape[0] > rows else cv2.INTER_LINEAR)
    pixels = torch.from_numpy(small).permute(2, 0, 1)[None].float()
    return Preprocessing.parse(str(about["normalisation"])).normalised(pixels)


@torch.inference_mode()
def parts(network: Any, about: dict[str, Any], images: list[np.ndarray]) -> list[list[np.ndarray]]:
    """For each image: itself, its classes, its synthesis, and the perceptual difference of the two."""
    found: list[list[np.ndarray]] = [[], [], [], []]
    differences = []
    for image in images:
        given = given_to(about, image)
        outputs = network.inner(given)
        rgb, classes = network.rgb(given), shares(outputs.logits, network.size, SHARPNESS)
        made = network.synthesis(classes)
        differences.append(network.difference(network.features(rgb), network.features(made))[0].numpy())
        found[0].append(fitted(image))
        found[1].append(fitted(PALETTE[classes[0].argmax(0).numpy()], cv2.INTER_NEAREST))
        found[2].append(fitted((255 * made[0].permute(1, 2, 0).numpy()).round().astype(np.uint8)))
    found[3] = heats(differences)
    return found


@torch.inference_mode()
def scored(network: Any, about: dict[str, Any], image: np.ndarray) -> np.ndarray:
    """The method's map of an image."""
    return SCORES["resynthesis"](network(given_to(about, image)))[0].numpy()


def heats(maps: list[np.ndarray]) -> list[np.ndarray]:
    """Maps as pictures, all in one range."""
    most = max(float(each.max()) for each in maps)
    scaled = [(255 * each / most).clip(0, 255).astype(np.uint8) for each in maps]
    return [fitted(cv2.cvtColor(cv2.applyColorMap(each, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)) for each in scaled]


def fitted(image: np.ndarray, way: int = cv2.INTER_AREA) -> np.ndarray:
    """A picture at the sheet's size."""
    return cv2.resize(image, (WIDTH, WIDTH // 2), interpolation=way)


def header(titles: list[str]) -> np.ndarray:
    """The titles above the columns."""
    row = np.full((24, WIDTH * len(titles), 3), 255, np.uint8)
    for number, title in enumerate(titles):
        cv2.putText(row, title, (WIDTH * number + 8, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return row


if __name__ == "__main__":
    main()
