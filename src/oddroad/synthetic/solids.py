"""Things that lie on a real road, rendered by sphere tracing: true perspective, sunlight, and a shadow on the ground.

A solid is a signed distance function (Hart, "Sphere tracing", 1996). Coordinates are metres: x to the right, y up from
the ground, z ahead of the camera.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

Points = np.ndarray
"""(3, N) float32 coordinates, or colours."""


@dataclass(frozen=True)
class Solid:
    """A thing that stands on the ground around the origin.

    Attributes:
        distance: points (3, N) -> (N,) metres to its surface, negative inside.
        albedo: points (3, N) -> (3, N) share of light that is reflected, RGB.
        radius: metres; a sphere of this radius around (0, radius / 2, 0) holds it.
    """

    distance: Callable[[Points], np.ndarray]
    albedo: Callable[[Points], Points]
    radius: float


@dataclass(frozen=True)
class Camera:
    """A pinhole above a flat ground that looks ahead.

    Attributes:
        focal: pixels.
        height: metres above the ground.
        horizon: (x, y) pixel that straight roads ahead run towards.
    """

    focal: float
    height: float
    horizon: tuple[float, float]


SUN = np.array([0.42, 0.78, -0.46], np.float32) / np.float32(np.sqrt(0.42**2 + 0.78**2 + 0.46**2))
"""Direction towards the sun: behind the camera, to the right."""


SUNLIGHT, SKYLIGHT = np.array([[0.80], [0.77], [0.72]], np.float32), np.array([[0.19], [0.21], [0.25]], np.float32)
"""Light, RGB, that makes asphalt of 9 % as bright as that of the clip."""


def block(
    points: Points, centre: tuple[float, float, float], half: tuple[float, float, float], soft: float
) -> np.ndarray:
    """Distance to a box with rounded edges."""
    off = np.abs(points - np.array(centre, np.float32)[:, None]) - np.array(half, np.float32)[:, None] + soft
    return np.sqrt((np.maximum(off, 0) ** 2).sum(0)) + np.minimum(off.max(0), 0) - soft


def plain(red: float, green: float, blue: float) -> Callable[[Points], Points]:
    """One colour everywhere."""
    return lambda points: np.broadcast_to(np.array([[red], [green], [blue]], np.float32), points.shape)


def cartons() -> Solid:
    """Two cardboard boxes, one on the other, taped."""

    def distance(points: Points) -> np.ndarray:
        return np.minimum(
            block(points, (0, 0.3, 0), (0.42, 0.3, 0.34), 0.015),
            block(points, (0.1, 0.8, 0.04), (0.3, 0.2, 0.26), 0.015),
        )

    def albedo(points: Points) -> Points:
        tape = (np.abs(points[0] - 0.03) < 0.045)[None]
        return np.where(tape, np.array([[0.72], [0.66], [0.5]]), np.array([[0.52], [0.35], [0.19]])).astype(np.float32)

    return Solid(distance, albedo, 0.95)


def barrel(colour: tuple[float, float, float]) -> Solid:
    """A barrel that stands, with two ribs, of a colour (share of light that is reflected, RGB)."""

    def distance(points: Points) -> np.ndarray:
        x, y, z = points
        rib = 0.02 * np.exp(-(((np.abs(y - 0.46) - 0.16) / 0.03) ** 2))
        side, top = np.sqrt(x**2 + z**2) - 0.3 - rib, np.abs(y - 0.46) - 0.46
        return np.minimum(np.maximum(side, top), 0) + np.sqrt(np.maximum(side, 0) ** 2 + np.maximum(top, 0) ** 2) - 0.01

    return Solid(distance, plain(*colour), 0.95)


def dustbin() -> Solid:
    """A green dustbin with a lid."""

    def distance(points: Points) -> np.ndarray:
        body, lid = (0, 0.55, 0), (0, 1.06, 0)
        return np.minimum(block(points, body, (0.3, 0.5, 0.34), 0.05), block(points, lid, (0.34, 0.05, 0.38), 0.03))

    return Solid(distance, plain(0.06, 0.28, 0.1), 1.15)


def boulder() -> Solid:
    """A rock."""

    def distance(points: Points) -> np.ndarray:
        x, y, z = points
        lumps = np.sin(7 * x + 1) * np.sin(6 * y + 2) * np.sin(8 * z) + 0.5 * np.sin(15 * x) * np.sin(13 * y + 1)
        return 0.7 * (np.sqrt((x / 1.25) ** 2 + ((y - 0.28) * 1.1) ** 2 + z**2) - 0.42 + 0.05 * lumps)

    def albedo(points: Points) -> Points:
        grain = 0.5 + 0.5 * np.sin(31 * points[0] + 17 * points[1]) * np.sin(27 * points[2] + 23 * points[1])
        return np.array([[0.34], [0.29], [0.23]], np.float32) * (0.7 + 0.5 * grain[None]).astype(np.float32)

    return Solid(distance, albedo, 0.75)


SOLIDS: dict[str, Callable[[], Solid]] = {
    "yellow barrel": lambda: barrel((0.75, 0.5, 0.03)),
    "boulder": boulder,
    "dustbin": dustbin,
    "blue barrel": lambda: barrel((0.05, 0.17, 0.5)),
    "cartons": cartons,
}
"""Name -> what makes it."""


def turned(points: Points, yaw: float) -> Points:
    """Points turned about the vertical axis by an angle in radians."""
    c, s = np.float32(np.cos(yaw)), np.float32(np.sin(yaw))
    return np.stack([c * points[0] - s * points[2], points[1], s * points[0] + c * points[2]])


def march(solid: Solid, start: Points, ray: Points, steps: int, near: np.ndarray | float, far: float) -> tuple:
    """Follow rays until they meet a solid.

    Args:
        solid: in its own coordinates.
        start: (3, 1) or (3, N) where the rays begin.
        ray: (3, N) or (3, 1) unit directions.
        steps: at most.
        near: (N,) distance at which each ray begins to look.
        far: distance behind which there is nothing.

    Returns:
        (N,) distance along each ray, and (N,) the smallest of the distances to the solid divided by that along the ray.
    """
    count = max(start.shape[1], ray.shape[1])
    start, ray = np.broadcast_to(start, (3, count)), np.broadcast_to(ray, (3, count))
    along = np.broadcast_to(np.asarray(near, np.float32), (count,)).copy()
    closest = np.full(count, np.inf, np.float32)
    active = np.arange(count)
    for _ in range(steps):
        gap = solid.distance(start[:, active] + ray[:, active] * along[active])
        closest[active] = np.minimum(closest[active], gap / np.maximum(along[active], 0.02))
        along[active] += np.maximum(gap, 0.002)
        closest[active[gap <= 0.002]] = 0
        active = active[(gap > 0.002) & (along[active] < far)]
        if not len(active):
            break
    return along, closest


def place(
    image: np.ndarray, label: np.ndarray, value: int, camera: Camera, solid: Solid, x: float, z: float, yaw: float
) -> None:
    """Render a solid and its shadow onto an image, and its pixels onto the labels, in place.

    Args:
        image: (H, W, 3) uint8 RGB.
        label: (H, W) uint8.
        value: that the label gets where the solid covers at least half a pixel.
        camera: that took the image.
        solid: what to place.
        x: metres to the right of the camera.
        z: metres ahead of it.
        yaw: angle in radians by which it is turned.
    """
    height, width = image.shape[:2]
    scale, reach = camera.focal / z, 2.2 * solid.radius
    across, foot = camera.horizon[0] + x * scale, camera.horizon[1] + camera.height * scale
    x0, x1 = max(int(across - reach * scale), 0), min(int(across + reach * scale) + 1, width)
    y0, y1 = (
        max(int(foot - 1.7 * solid.radius * scale), 0),
        min(int(foot + reach * scale * camera.height / z) + 6, height),
    )
    if x1 - x0 < 2 or y1 - y0 < 2:
        return
    columns, rows = np.meshgrid(np.arange(x0, x1, dtype=np.float32), np.arange(y0, y1, dtype=np.float32))
    ray = np.stack(
        [(columns - camera.horizon[0]).ravel(), (camera.horizon[1] - rows).ravel(), np.full(rows.size, camera.focal)]
    )
    ray = (ray / np.sqrt((ray**2).sum(0))).astype(np.float32)
    eye = turned(np.array([[-x], [camera.height], [-z]], np.float32), yaw)
    ray, sun = turned(ray, yaw), turned(SUN[:, None], yaw)
    middle = float(np.sqrt((eye**2).sum()))
    along, closest = march(solid, eye, ray, 48, max(middle - 1.3 * solid.radius, 0.1), middle + 1.3 * solid.radius)
    cover = np.clip(1 - closest * camera.focal, 0, 1)
    linear = (image[y0:y1, x0:x1].reshape(-1, 3).T.astype(np.float32) / 255) ** 2.2
    ground = np.flatnonzero((ray[1] < -1e-3) & (cover < 1))
    spot = eye + ray[:, ground] * (-eye[1] / ray[1, ground])
    close = (spot[0] ** 2 + spot[2] ** 2) < reach**2
    ground, spot = ground[close], spot[:, close]
    linear[:, ground] *= shadow_on_ground(solid, spot, sun)
    hit = np.flatnonzero(cover > 0)
    if len(hit):
        seen = shade(solid, eye + ray[:, hit] * along[hit], sun)
        linear[:, hit] += cover[hit] * (seen - linear[:, hit])
    drawn = (255 * np.clip(linear, 0, 1) ** (1 / 2.2)).T.reshape(y1 - y0, x1 - x0, 3)
    soft = cv2.GaussianBlur(drawn, (0, 0), 0.7)
    touched = cv2.dilate((cover > 0).reshape(y1 - y0, x1 - x0).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    image[y0:y1, x0:x1] = np.where(touched[..., None], soft, drawn).round().astype(np.uint8)
    label[y0:y1, x0:x1][(cover >= 0.5).reshape(y1 - y0, x1 - x0)] = value


def shadow_on_ground(solid: Solid, spot: Points, sun: Points) -> np.ndarray:
    """What a solid leaves of the light on points of the ground, (3, N): it hides the sun and a part of the sky."""
    if not spot.shape[1]:
        return np.ones_like(spot)
    _, closest = march(solid, spot + np.array([[0], [0.01], [0]], np.float32), sun, 24, 0.02, 3 * solid.radius)
    lit = np.clip(closest * 9, 0, 1)
    open_sky = np.clip(0.35 + solid.distance(spot) / 0.35, 0, 1)  # the ground under its edges is dark
    whole = SUNLIGHT * SUN[1] + SKYLIGHT
    return (SUNLIGHT * SUN[1] * lit + SKYLIGHT * open_sky) / whole


def shade(solid: Solid, spot: Points, sun: Points) -> Points:
    """Colour, linear RGB (3, N), of points of a surface."""
    steps = 0.003 * np.eye(3, dtype=np.float32)
    slope = np.stack([solid.distance(spot + each[:, None]) - solid.distance(spot - each[:, None]) for each in steps])
    normal = slope / np.maximum(np.sqrt((slope**2).sum(0)), 1e-9)
    _, closest = march(solid, spot + 0.02 * normal, sun, 16, 0.02, 2 * solid.radius)
    lit = np.clip(closest * 9, 0, 1) * np.maximum((normal * sun).sum(0), 0)
    open_sky = (0.65 + 0.35 * normal[1]) * np.clip(0.55 + spot[1] / 0.6, 0, 1)
    return solid.albedo(spot) * (SUNLIGHT * lit + SKYLIGHT * open_sky)
