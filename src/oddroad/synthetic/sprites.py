"""Pictures of things that stand in a rendered street, drawn with polygons and noise: (h, w, 4) uint8 RGBA."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

Picture = np.ndarray


Rng = np.random.Generator


def canvas(height: int, width: int) -> np.ndarray:
    """An empty picture."""
    return np.zeros((height, width, 4), np.float32)


def fill(picture: np.ndarray, points: Sequence[tuple[float, float]], colour: Sequence[float] | np.ndarray) -> None:
    """A filled polygon; the points are fractions of width and height."""
    height, width = picture.shape[:2]
    corners = (np.array(points) * (width, height)).round().astype(np.int32)
    cv2.fillPoly(picture, [corners], (*map(float, colour), 255.0), cv2.LINE_AA)


def blob(picture: np.ndarray, x: float, y: float, rx: float, ry: float, colour: Sequence[float] | np.ndarray) -> None:
    """A filled ellipse; centre and radii are fractions of width and height."""
    height, width = picture.shape[:2]
    centre, axes = (round(x * width), round(y * height)), (max(round(rx * width), 1), max(round(ry * height), 1))
    cv2.ellipse(picture, centre, axes, 0, 0, 360, (*map(float, colour), 255.0), -1, cv2.LINE_AA)


def finish(picture: np.ndarray, rng: Rng, rough: float = 10.0, shade: float = 0.35) -> Picture:
    """Add grain, light from above and darkness below, and round to uint8."""
    height, width = picture.shape[:2]
    grain = rng.normal(0, rough, (height // 2 + 1, width // 2 + 1)).astype(np.float32)
    grain = cv2.resize(grain, (width, height), interpolation=cv2.INTER_LINEAR)
    light = np.linspace(1 + shade / 2, 1 - shade, height)[:, None, None]
    picture[..., :3] = (picture[..., :3] + grain[..., None]) * light
    return np.clip(picture, 0, 255).astype(np.uint8)


def shadow(width: int, height: int) -> np.ndarray:
    """A soft dark ellipse of the given size, float32 RGBA."""
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    picture = np.zeros((height, width, 4), np.float32)
    picture[..., :3] = 25
    picture[..., 3] = 150 * np.clip(1 - x**2 - y**2, 0, 1)
    return picture


def car(rng: Rng) -> Picture:
    """A car from behind or ahead."""
    picture = canvas(120, 150)
    paint = rng.choice([[150, 30, 30], [40, 60, 110], [180, 182, 185], [50, 52, 55], [225, 225, 222], [70, 95, 75]])
    fill(picture, [(0.06, 0.88), (0.06, 1), (0.2, 1), (0.2, 0.88)], (18, 18, 20))
    fill(picture, [(0.8, 0.88), (0.8, 1), (0.94, 1), (0.94, 0.88)], (18, 18, 20))
    fill(picture, [(0.03, 0.5), (0.1, 0.4), (0.9, 0.4), (0.97, 0.5), (0.97, 0.92), (0.03, 0.92)], paint)
    fill(picture, [(0.1, 0.42), (0.22, 0.05), (0.78, 0.05), (0.9, 0.42)], paint)
    fill(picture, [(0.17, 0.4), (0.26, 0.11), (0.74, 0.11), (0.83, 0.4)], (45, 55, 66))
    fill(picture, [(0.2, 0.36), (0.28, 0.13), (0.45, 0.13), (0.3, 0.38)], (95, 108, 120))
    lamp = (190, 25, 25) if rng.random() < 0.5 else (238, 236, 215)
    blob(picture, 0.13, 0.56, 0.07, 0.06, lamp)
    blob(picture, 0.87, 0.56, 0.07, 0.06, lamp)
    fill(picture, [(0.36, 0.66), (0.64, 0.66), (0.64, 0.76), (0.36, 0.76)], (215, 215, 208))
    fill(picture, [(0.05, 0.82), (0.95, 0.82), (0.95, 0.92), (0.05, 0.92)], [0.55 * each for each in paint])
    return finish(picture, rng, 4, 0.3)


def tree(rng: Rng) -> Picture:
    """A leafy tree."""
    picture = canvas(240, 170)
    fill(picture, [(0.45, 0.5), (0.55, 0.5), (0.57, 1), (0.43, 1)], (74, 58, 44))
    for _ in range(170):
        x, y = rng.normal(0.5, 0.17), rng.normal(0.33, 0.13)
        green = np.array([58, 88, 36]) * rng.uniform(0.55, 1.35)
        blob(picture, x, max(y, 0.08), rng.uniform(0.02, 0.065), rng.uniform(0.015, 0.045), green)
    return finish(picture, rng, 16, 0.4)


def tyre(rng: Rng) -> Picture:
    """A tyre that stands on the road."""
    picture = canvas(120, 110)
    blob(picture, 0.5, 0.5, 0.48, 0.49, (32, 32, 34))
    blob(picture, 0.5, 0.5, 0.36, 0.37, (50, 50, 52))
    blob(picture, 0.5, 0.5, 0.27, 0.28, (88, 86, 82))
    return finish(picture, rng, 8)


def sofa(rng: Rng) -> Picture:
    """A sofa."""
    picture = canvas(110, 210)
    cloth = rng.choice([[160, 48, 60], [196, 140, 52], [70, 110, 150], [120, 80, 130]])
    fill(picture, [(0.08, 0.05), (0.92, 0.05), (0.95, 0.6), (0.05, 0.6)], [0.85 * each for each in cloth])
    fill(picture, [(0.02, 0.35), (0.16, 0.35), (0.16, 0.95), (0.02, 0.95)], cloth)
    fill(picture, [(0.84, 0.35), (0.98, 0.35), (0.98, 0.95), (0.84, 0.95)], cloth)
    fill(picture, [(0.16, 0.55), (0.49, 0.55), (0.49, 0.75), (0.16, 0.75)], [1.12 * each for each in cloth])
    fill(picture, [(0.51, 0.55), (0.84, 0.55), (0.84, 0.75), (0.51, 0.75)], [1.12 * each for each in cloth])
    fill(picture, [(0.1, 0.75), (0.9, 0.75), (0.9, 0.93), (0.1, 0.93)], [0.7 * each for each in cloth])
    return finish(picture, rng, 9)


def crate(rng: Rng) -> Picture:
    """A wooden crate."""
    picture = canvas(120, 130)
    fill(picture, [(0.02, 0.02), (0.98, 0.02), (0.98, 1), (0.02, 1)], (150, 108, 62))
    for row in np.arange(0.05, 1, 0.19):
        fill(picture, [(0.05, row), (0.95, row), (0.95, row + 0.14), (0.05, row + 0.14)], (182, 138, 86))
    fill(picture, [(0.02, 0.9), (0.12, 1), (0.98, 0.1), (0.88, 0)], (132, 92, 50))
    return finish(picture, rng, 12)


def cow(rng: Rng) -> Picture:
    """A cow from the side."""
    picture = canvas(150, 220)
    hide, patch = (222, 214, 202), (58, 42, 34)
    for x in (0.22, 0.32, 0.66, 0.76):
        fill(picture, [(x, 0.55), (x + 0.06, 0.55), (x + 0.05, 1), (x + 0.01, 1)], (196, 186, 172))
    blob(picture, 0.5, 0.42, 0.34, 0.27, hide)
    blob(picture, 0.88, 0.24, 0.09, 0.14, hide)
    fill(picture, [(0.74, 0.3), (0.86, 0.14), (0.92, 0.3), (0.78, 0.5)], hide)
    for _ in range(6):
        blob(
            picture,
            rng.uniform(0.28, 0.72),
            rng.uniform(0.3, 0.5),
            rng.uniform(0.04, 0.1),
            rng.uniform(0.05, 0.12),
            patch,
        )
    blob(picture, 0.95, 0.32, 0.04, 0.05, (205, 160, 150))
    fill(picture, [(0.82, 0.12), (0.8, 0.02), (0.85, 0.1)], (120, 105, 88))
    return finish(picture, rng, 8)


def boulder(rng: Rng) -> Picture:
    """A rock."""
    picture = canvas(110, 140)
    angles = np.sort(rng.uniform(0, 2 * np.pi, 11))
    radii = rng.uniform(0.36, 0.49, 11)
    points = [(0.5 + r * np.cos(a), 0.52 + r * np.sin(a)) for a, r in zip(angles, radii, strict=True)]
    fill(picture, points, (138, 126, 112))
    blob(picture, 0.42, 0.35, 0.14, 0.1, (168, 158, 146))
    return finish(picture, rng, 18, 0.6)


def mattress(rng: Rng) -> Picture:
    """A mattress on its side, a little bent."""
    picture = canvas(120, 180)
    fill(picture, [(0.02, 0.2), (0.5, 0.06), (0.98, 0.16), (0.98, 0.98), (0.5, 0.9), (0.02, 0.98)], (206, 202, 214))
    for x in np.linspace(0.12, 0.88, 6):
        for y in np.linspace(0.3, 0.85, 4):
            blob(picture, x, y, 0.012, 0.018, (150, 148, 165))
    return finish(picture, rng, 6)


ANOMALIES: dict[str, tuple[Callable[[Rng], Picture], float]] = {
    "sofa": (sofa, 0.95),
    "cow": (cow, 1.5),
    "tyre": (tyre, 0.7),
    "crate": (crate, 0.9),
    "boulder": (boulder, 0.8),
    "mattress": (mattress, 1.0),
}
"""Anomalies: their picture, and their height in metres."""
