"""Successes and failures of the embedded detectors, each drawn at its own threshold, in one picture.

    python runs/embedded_pictures.py default accurate --out docs/research/embedded_pictures.jpg

Frames, evenly spread: the motorway drive of the demo and rendered streets. A success marks every thing of 200 pixels or
more and nothing else; any other frame with such a thing is a failure. Of each kind four are drawn, evenly spread in the
order of the frames, so that none is chosen by eye; green outlines are the truth. How many there are of each is printed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from oddroad.detection.drawing import Style, contact_sheet, write
from oddroad.detection.frame import FrameProcessor
from oddroad.inference.model import Model
from oddroad.io.images import write_image
from oddroad.synthetic.demo import large_thing, touches
from oddroad.synthetic.motorway_drive import motorway_drive
from oddroad.synthetic.scenes import drive
from oddroad.types import ANOMALY, Frame

STREETS = (200, 201, 202, 203)
EVERY, LEAST, SHOWN = 10, 200, 4
GREEN = (0, 255, 0)


def frames() -> Iterator[Frame]:
    """Every tenth frame of each drive."""
    for each in (motorway_drive(1, 150), *(drive(seed, 60) for seed in STREETS)):
        for number, frame in enumerate(each):
            if number % EVERY == 0 and large_thing(frame.label):
                yield frame


def succeeds(label: np.ndarray, boxes: Sequence[tuple[int, int, int, int]]) -> bool:
    """Whether boxes touch every thing of LEAST pixels or more, and none of them lies elsewhere."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats((label == ANOMALY).astype(np.uint8))
    things = [each for each in range(1, count) if stats[each, cv2.CC_STAT_AREA] >= LEAST]
    found = {int(each) for x0, y0, x1, y1 in boxes for each in np.unique(parts[y0:y1, x0:x1])}
    return found.issuperset(things) and all(touches(label, box) for box in boxes)


def drawn(processor: FrameProcessor, frame: Frame) -> tuple[bool, np.ndarray]:
    """Whether a detector succeeds on a frame, and the picture with the truth outlined."""
    judged = processor.judge(frame)
    assert frame.label is not None
    assert judged.regions is not None
    picture = processor.draw(judged)
    edges, _ = cv2.findContours((frame.label == ANOMALY).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, edges, -1, GREEN, 1)
    return succeeds(frame.label, [each.box for each in judged.regions]), picture


def main() -> None:
    """Judge, draw, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="names or files of detectors with a threshold")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    seen, pictures = list(frames()), []
    for name in given.models:
        processor = FrameProcessor(Model(name), style=Style(legend=False))
        kinds: dict[bool, list[np.ndarray]] = {True: [], False: []}
        for frame in seen:
            success, picture = drawn(processor, frame)
            kinds[success].append(picture)
        print(f"{name}: {len(kinds[True])} successes, {len(kinds[False])} failures")
        for success, found in kinds.items():
            for at in np.linspace(0, len(found) - 1, min(SHOWN, len(found))).astype(int):
                words = f"{Path(name).stem}: {'success' if success else 'failure'}"
                write(found[at], words, (12, 36), 1.0)
                pictures.append(found[at])
            pictures += [np.zeros_like(seen[0].image)] * (SHOWN - min(SHOWN, len(found)))
    write_image(given.out, contact_sheet(pictures, SHOWN, 400))


if __name__ == "__main__":
    main()
