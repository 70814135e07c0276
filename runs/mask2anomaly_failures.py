"""The supplement's figure 6: failures, picked by the tool: the smallest missed objects and the largest false alarms.

    python runs/mask2anomaly_failures.py DATA OUT [--images N]

The threshold is that of the best F1 over the set, as SegmentMeIfYouCan's component metrics take it. An object is missed
if no pixel of it lies above; a false alarm is a region without an anomalous or an ignored pixel.
"""

from __future__ import annotations

import cv2
import numpy as np
from mask2anomaly_shared import (
    Run,
    command_line,
    detector_of,
    frames_of,
    heat_picture,
    judged,
    maps_of,
    save_text,
    sheet,
    table,
    titled,
    truth_picture,
)  # fmt: skip

from oddroad.learn.scores import SCORES
from oddroad.metrics.component import label_components
from oddroad.types import ANOMALY, KNOWN

NETWORK, SCORE, SMALLEST = "mask2anomaly_s1", "mask2anomaly", 50
"""Regions of fewer pixels are skipped."""


def around(image: np.ndarray, box: tuple[int, int, int, int], colour: tuple[int, int, int]) -> np.ndarray:
    """The neighbourhood of a box, at least a quarter of the image wide, with the box drawn."""
    x, y, width, height = box
    marked = image.copy()
    cv2.rectangle(marked, (x - 3, y - 3), (x + width + 3, y + height + 3), colour, 2)
    wide = max(2 * width, 4 * height, image.shape[1] // 4)
    wide = min(wide, image.shape[1])
    tall = min(wide * image.shape[0] // image.shape[1], image.shape[0])
    left = int(np.clip(x + width // 2 - wide // 2, 0, image.shape[1] - wide))
    top = int(np.clip(y + height // 2 - tall // 2, 0, image.shape[0] - tall))
    return marked[top : top + tall, left : left + wide]


def failures(run: Run, name: str) -> tuple[list[tuple], list[tuple], int]:
    """Missed objects and false alarms of a set, each (pixels, frame, box, image, label, map), and how many objects."""
    threshold = judged(NETWORK, run)[name][SCORE]["threshold"]
    detector = detector_of(run.checkpoint(NETWORK), {SCORE: SCORES[SCORE]})
    missed, alarms, objects = [], [], 0
    for frame, image, label in frames_of(name, run):
        heat = maps_of(detector, image)[SCORE]
        above = heat > threshold
        for mask, touched, found in (
            (label == ANOMALY, above, missed), (above & (label == KNOWN), (label != KNOWN) & above, alarms)
        ):  # fmt: skip
            labels, large, number = label_components(mask, SMALLEST)
            hit = np.unique(labels[cv2.dilate(touched.view(np.uint8), np.ones((3, 3), np.uint8)) > 0])
            objects += int(large.sum()) if found is missed else 0
            for each in range(1, number + 1):
                if large[each] and each not in hit:
                    ys, xs = np.nonzero(labels == each)
                    box = (int(xs.min()), int(ys.min()), int(np.ptp(xs)) + 1, int(np.ptp(ys)) + 1)
                    found.append((len(xs), frame, box, image, label, heat))
    return sorted(missed, key=lambda each: each[0]), sorted(alarms, key=lambda each: -each[0]), objects


def main() -> None:
    """List and draw three of each kind."""
    run = command_line(__doc__)
    lines, rows = [], []
    for name in ("road_anomaly", "road_obstacle21"):
        missed, alarms, objects = failures(run, name)
        for kind, found, colour in (("missed", missed, (255, 40, 40)), ("false alarm", alarms, (255, 200, 0))):
            for pixels, frame, box, image, label, heat in found[:3]:
                lines.append([name, kind, frame, str(pixels), f"{box[2]} x {box[3]} at {box[0]}, {box[1]}"])
                views = (image, truth_picture(image, label), heat_picture(heat, (0.0, 1.0)))
                titles = (f"{kind}, {pixels} px", "label", "score")
                rows.append([titled(around(v, box, colour), t) for v, t in zip(views, titles, strict=True)])
        count = f"{len(missed)} of {objects} objects missed, {len(alarms)} false alarms"
        lines.append([name, "in all", count, "", f"of {SMALLEST} pixels or more"])
    save_text(run, "figure_6", table(["set", "failure", "frame", "pixels", "box"], lines))
    if rows:
        sheet(run, "figure_6", rows)


if __name__ == "__main__":
    main()
