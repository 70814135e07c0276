"""Roads of other kinds, drawn on the road of known scenes: lines, signs, concrete, two surfaces, repairs, shade.

Everything keeps its label: it is road.
"""

from __future__ import annotations

import cv2
import numpy as np

from oddroad.types import IGNORE, OUTLIER

ROAD = 0


def on_road(image: np.ndarray, label: np.ndarray, share: np.ndarray, colour: np.ndarray) -> None:
    """Blend a colour where a share (H, W) float32 says so and the label is ROAD, in place."""
    share = (share * (label == ROAD))[..., None]
    image[:] = (image + share * (colour - image.astype(np.float32))).clip(0, 255).astype(np.uint8)


def lines(image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> None:
    """Painted lines towards one point of the horizon, white or yellow, solid or broken, new or worn, in place."""
    height, width = label.shape
    away = width * rng.uniform(0.2, 0.8), height * rng.uniform(-0.2, 0.45)
    share = np.zeros((height, width), np.float32)
    for _ in range(int(rng.integers(1, 5))):
        foot = rng.uniform(-0.5, 1.5) * width
        half = width * np.exp(rng.uniform(np.log(0.003), np.log(0.03)))
        dash = rng.random() < 0.5
        cuts = np.sort(rng.uniform(0, 1, 8)) ** 2 if dash else np.array([0.0, 1.0])
        for start, end in zip(cuts[::2], cuts[1::2], strict=True):
            corners = [
                (away[0] + t * (foot + side * half - away[0]), away[1] + t * (height - away[1]))
                for t, side in ((start, -1), (start, 1), (end, 1), (end, -1))
            ]
            cv2.fillPoly(share, [np.array(corners).astype(np.int32)], 1.0, cv2.LINE_AA)
    if rng.random() < 0.6:
        worn = cv2.resize(rng.random((height // 3 + 1, width // 3 + 1)).astype(np.float32), (width, height))
        share *= (worn > rng.uniform(0.1, 0.6)).astype(np.float32)
    colour = [235, 235, 230] if rng.random() < 0.5 else [220, 170 + rng.uniform(-30, 30), 40 + rng.uniform(-30, 40)]
    share = cv2.GaussianBlur(share, (0, 0), 0.6) * np.float32(rng.uniform(0.4, 1.0))
    on_road(image, label, share, np.array(colour, np.float32) * np.float32(rng.uniform(0.5, 1.05)))


def concrete(image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> None:
    """A pale, flat road with joints across and along, in place."""
    height, width = label.shape
    pale = np.full(3, rng.uniform(130, 225)) + rng.normal(0, 8, 3)
    on_road(image, label, np.full(label.shape, rng.uniform(0.3, 0.8), np.float32), pale.astype(np.float32))
    share = np.zeros((height, width), np.float32)
    horizon, gap = height * rng.uniform(0, 0.4), rng.uniform(0.15, 0.6)
    for each in range(1, 12):
        y = int(horizon + (height - horizon) / (gap * each))
        if y < height:
            thick = max(int(3 / each), 1)
            cv2.line(share, (0, y), (width, int(y + rng.normal(0, 2))), 1.0, thick, cv2.LINE_AA)
    dark = np.full(3, rng.uniform(20, 110), np.float32)
    on_road(image, label, share * np.float32(rng.uniform(0.2, 0.8)), dark)


def resurfaced(image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> None:
    """Two surfaces of one road that meet in a line towards the horizon, of another tone and grain, in place."""
    height, width = label.shape
    away = width * rng.uniform(0.2, 0.8), height * rng.uniform(-0.2, 0.4)
    foot = rng.uniform(-0.2, 1.2) * width
    rows = np.arange(height, dtype=np.float32)[:, None]
    seam = away[0] + (foot - away[0]) * (rows - away[1]) / max(height - away[1], 1)
    side = 1 if rng.random() < 0.5 else -1
    share = (side * (np.arange(width, dtype=np.float32)[None] - seam) / rng.uniform(0.5, 4) + 0.5).clip(0, 1)
    if rng.random() < 0.4:  # only as far as a joint across the road
        joint = height * rng.uniform(0.3, 0.9)
        share = share * ((rows - joint) * (1 if rng.random() < 0.5 else -1) / 2 + 0.5).clip(0, 1)
    pale = image.astype(np.float32) * np.float32(np.exp(rng.normal(0.15, 0.35))) + np.float32(rng.normal(10, 20))
    pale += rng.normal(0, 4, 3).astype(np.float32)
    grain = cv2.GaussianBlur(rng.standard_normal(label.shape, np.float32), (0, 0), float(rng.uniform(0.5, 1.5)))
    pale += (grain * np.float32(rng.uniform(0, 30)))[..., None]
    on_road(image, label, share.astype(np.float32), pale)


def flat(points: np.ndarray, size: tuple[int, int], horizon: float, middle: float) -> np.ndarray:
    """Pixels (N, 2) int32 of points (x, y) of the ground, whose distance is 1 at the lower edge.

    Args:
        points: (N, 2), x in widths of the picture at distance 1, y the distance, at least 1.
        size: (H, W) of the picture.
        horizon: its row.
        middle: column of the vanishing point.
    """
    height, width = size
    down = horizon + (height - horizon) / points[:, 1]
    across = middle + points[:, 0] * width / points[:, 1]
    return np.stack([across, down], 1).round().astype(np.int32)


def around(points: np.ndarray, size: tuple[int, int], margin: int) -> tuple[slice, slice] | None:
    """Rows and columns of the picture (H, W) near points (x, y); None if there are none."""
    (x0, y0), (x1, y1) = points.min(0) - margin, points.max(0) + margin
    rows, columns = slice(max(y0, 0), min(y1, size[0])), slice(max(x0, 0), min(x1, size[1]))
    return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None


def repairs(image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> None:
    """Patches of other asphalt, sealed cracks and manhole covers, lying flat, in place."""
    height, width = label.shape
    horizon, middle = height * rng.uniform(0, 0.42), width * rng.uniform(0.25, 0.75)
    for _ in range(int(rng.integers(1, 6))):
        x, near = rng.normal(0, 0.7), np.exp(rng.uniform(0, np.log(6)))
        kind, tone, thick = rng.random(), np.float32(np.exp(rng.normal(-0.1, 0.35))), 0
        if kind < 0.45:  # a patch with straight edges
            wide, deep = np.exp(rng.uniform(np.log(0.05), np.log(0.8))), np.exp(rng.uniform(np.log(0.05), np.log(1.5)))
            lean = rng.normal(0, 0.1)
            ground = np.array([[x, near], [x + wide, near], [x + wide + lean, near + deep], [x + lean, near + deep]])
        elif kind < 0.75:  # a crack filled with bitumen
            steps = int(rng.integers(3, 12))
            walk = np.cumsum(rng.normal(0, 0.12, (steps, 2)) + rng.normal(0, 0.15, 2), 0)
            ground = np.stack([x + walk[:, 0], near + np.abs(walk[:, 1])], 1)
            thick, tone = max(int(height * 0.02 / near), 1), np.float32(rng.uniform(0.3, 0.8))
        else:  # a manhole cover
            wide = rng.uniform(0.04, 0.12)
            turn = np.linspace(0, 2 * np.pi, 24)
            ground = np.stack([x + wide * np.cos(turn), near + near * wide * (1 + np.sin(turn))], 1)
            tone = np.float32(rng.uniform(0.45, 1.3))
        points = flat(ground, label.shape, horizon, middle)
        box = around(points, label.shape, thick + 4)
        if box is None:
            continue
        points = points - [box[1].start, box[0].start]
        share = np.zeros(label[box].shape, np.float32)
        if thick:
            cv2.polylines(share, [points], False, 1.0, thick, cv2.LINE_AA)
        else:
            cv2.fillPoly(share, [points], 1.0, cv2.LINE_AA)
        share = cv2.GaussianBlur(share, (0, 0), float(rng.uniform(0.4, 1.2))) * np.float32(rng.uniform(0.5, 1.0))
        other = image[box].astype(np.float32) * tone + rng.normal(0, 5, 3).astype(np.float32)
        if rng.random() < 0.5:
            other += (rng.standard_normal(share.shape, np.float32) * np.float32(rng.uniform(0, 14)))[..., None]
        on_road(image[box], label[box], share, other)


def painted_signs(image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> None:
    """Arrows, letters and bars of a crossing, painted flat on the road, in place."""
    height, width = label.shape
    horizon, middle = height * rng.uniform(0, 0.42), width * rng.uniform(0.25, 0.75)
    share = np.zeros((height, width), np.float32)
    x, near = rng.normal(0, 0.4), np.exp(rng.uniform(0, np.log(4)))
    deep, kind = rng.uniform(0.4, 2.0), rng.random()
    if kind < 0.4:  # an arrow
        shaft, head = rng.uniform(0.01, 0.04), rng.uniform(0.05, 0.12)
        side = np.array([[-shaft, 0], [-shaft, 0.6], [-head, 0.6], [0, 1], [head, 0.6], [shaft, 0.6], [shaft, 0]])
        grounds = [side * np.array([1, deep]) + np.array([x, near])]
    elif kind < 0.7:  # the bars of a crossing
        bar, gap = rng.uniform(0.03, 0.1), rng.uniform(0.03, 0.1)
        box = np.array([[0, 0], [bar, 0], [bar, deep], [0, deep]])
        grounds = [box + np.array([x - 0.8 + k * (bar + gap), near]) for k in range(int(rng.integers(4, 14)))]
    else:  # letters
        grounds = []
        letters = np.zeros((64, 192), np.uint8)
        text = "".join(rng.choice(list("ABEHKLMNOPRSTUXZ235080"), int(rng.integers(2, 5))))
        cv2.putText(letters, text, (4, 54), cv2.FONT_HERSHEY_SIMPLEX, 1.6, 255, int(rng.integers(4, 9)), cv2.LINE_AA)
        corners = np.array([[x, near + deep], [x + 0.5, near + deep], [x + 0.5, near], [x, near]])
        to = flat(corners, label.shape, horizon, middle).astype(np.float32)
        matrix = cv2.getPerspectiveTransform(np.array([[0, 0], [191, 0], [191, 63], [0, 63]], np.float32), to)
        share = cv2.warpPerspective(letters, matrix, (width, height)).astype(np.float32) / 255
    for ground in grounds:
        cv2.fillPoly(share, [flat(np.asarray(ground), label.shape, horizon, middle)], 1.0, cv2.LINE_AA)
    share = cv2.GaussianBlur(share, (0, 0), 0.6) * np.float32(rng.uniform(0.4, 1.0))
    colour = [230, 230, 225] if rng.random() < 0.7 else [225, 175, 50]
    on_road(image, label, share, np.array(colour, np.float32) * np.float32(rng.uniform(0.6, 1.05)))


def shade(image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> None:
    """The shade of trees, poles or houses over all of the lower picture but pasted objects, in place."""
    height, width = label.shape
    rows = np.arange(height, dtype=np.float32)[:, None] / height
    if rng.random() < 0.6:  # leaves: blobs that are flatter the farther they are
        rough = rng.random((int(rng.integers(6, 40)), int(rng.integers(4, 24)))).astype(np.float32)
        blobs = cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC)
        share = ((blobs - rng.uniform(0.3, 0.6)) * rng.uniform(3, 14)).clip(0, 1)
    else:  # a straight edge, or the bar of a pole
        slope, at = rng.normal(0, 0.5), rng.uniform(0.45, 1.0)
        far = rows - at - slope * (np.arange(width, dtype=np.float32)[None] / width - 0.5)
        share = (far * height / rng.uniform(0.7, 4) + 0.5).clip(0, 1)
        if rng.random() < 0.5:
            share = share * (0.5 - (far - rng.uniform(0.01, 0.06)) * height / 2).clip(0, 1)
    share = share * ((rows - rng.uniform(0.35, 0.55)) * 8).clip(0, 1) * np.float32(rng.uniform(0.25, 0.75))
    share = share * ((label != OUTLIER) & (label != IGNORE))
    cool = np.array([0.95, 1.0, 1.06], np.float32)
    image[:] = (image * (1 - share[..., None] * (1 - 0.1 * cool))).clip(0, 255).astype(np.uint8)
