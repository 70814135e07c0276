"""Rendered drives with anomalies and exact labels, from a seed: the demo's clip and the tests' data.

A pinhole camera moves along a straight street: textured ground, facades, trees, cars, and objects that do not belong
there and come nearer. Nothing is read from disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from oddroad.synthetic.conditions import Change
from oddroad.synthetic.sprites import ANOMALIES, car, shadow, tree
from oddroad.types import ANOMALY, KNOWN, OUTLIER, Frame

ROAD, SIDEWALK, BUILDING, VEGETATION, TERRAIN, SKY, CAR = 0, 1, 2, 8, 9, 10, 13
"""Cityscapes trainIds of what is rendered."""


CAMERA_HEIGHT = 1.5  # metres above the road, of a camera in a car


HALF_ROAD = 5.4  # metres from the middle of the road to its edge


HALF_STREET = 9.5  # metres from the middle of the road to the facades


NEAR, FAR = 3.0, 160.0  # metres between which things are drawn


@dataclass(frozen=True)
class Thing:
    """An upright picture that stands in the street.

    Attributes:
        picture: (h, w, 4) uint8 RGBA.
        x: metres to the right of the middle of the road.
        z: metres along the road from where the drive begins.
        height: metres.
        label: trainId, or OUTLIER.
        speed: metres a second along the road.
    """

    picture: np.ndarray
    x: float
    z: float
    height: float
    label: int
    speed: float = 0.0


class Street:
    """A street from a seed, seen from a camera that moves along it.

    Args:
        seed: of everything random.
        size: (H, W) of the images in pixels.
        length: metres of street that are filled with things.
        anomalies: number of anomalies on the road.

    Attributes:
        camera_height: metres above the road; it may be changed between two views.
    """

    def __init__(self, seed: int, size: tuple[int, int] = (540, 960), length: float = 400.0, anomalies: int = 8):
        rng = np.random.default_rng(seed)
        self.size, self.camera_height = size, CAMERA_HEIGHT
        height, width = size
        self.focal, self.horizon = 0.95 * width, 0.44 * height
        self.grain = cv2.GaussianBlur(rng.normal(0, 1, (512, 512)).astype(np.float32), (0, 0), 1.2)
        self.grain /= self.grain.std()
        self.tints = rng.uniform(0.75, 1.1, (64, 3))
        self.heights = rng.uniform(7, 22, (2, 64))
        self.asphalt = rng.uniform(85, 120)
        self.sky = self.render_sky(rng)
        self.light = rng.uniform(0.9, 1.1)
        self.things = self.furnish(rng, length, anomalies)

    def render_sky(self, rng: np.random.Generator) -> np.ndarray:
        """(H, W, 3) float32: a gradient with clouds."""
        height, width = self.size
        down = np.clip(np.linspace(0, 1, height) * height / self.horizon, 0, 1)[:, None, None]
        sky = (1 - down) * np.array([120, 165, 215]) + down * np.array([205, 215, 222])
        clouds = cv2.resize(
            rng.normal(0, 1, (6, 10)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
        )
        return (sky + np.clip(clouds, 0, 1.5)[..., None] * 25).astype(np.float32)

    def furnish(self, rng: np.random.Generator, length: float, anomalies: int) -> list[Thing]:
        """Trees and parked cars along both sides, traffic in the other lane, anomalies in ours."""
        things: list[Thing] = []
        for side in (-1, 1):
            z = 10.0
            while z < length + FAR:
                if rng.random() < 0.5:
                    things.append(Thing(tree(rng), side * rng.uniform(7.0, 8.4), z, rng.uniform(4, 8), VEGETATION))
                elif rng.random() < 0.6:
                    things.append(Thing(car(rng), side * 6.4, z, rng.uniform(1.4, 1.7), CAR))
                z += rng.uniform(7, 16)
        for z in np.arange(60, 2 * length, 70.0):
            things.append(Thing(car(rng), -2.6, z + rng.uniform(0, 40), 1.5, CAR, speed=-8.0))
        kinds = list(ANOMALIES)
        for number, z in enumerate(np.linspace(30, max(length - 40, 60), anomalies)):
            make, tall = ANOMALIES[kinds[(number + int(rng.integers(len(kinds)))) % len(kinds)]]
            things.append(
                Thing(make(rng), rng.uniform(-1.5, 4.0), z + rng.uniform(-5, 5), tall * rng.uniform(0.8, 1.2), OUTLIER)
            )
        return things

    def sample_grain(self, x: np.ndarray, z: np.ndarray, metre: float) -> np.ndarray:
        """Noise at world coordinates, ``metre`` texels a metre."""
        return self.grain[(z * metre).astype(int) % 512, (x * metre).astype(int) % 512]

    def ground(self, travelled: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Colour (h, W, 3), labels (h, W) and distance (h, 1) of the rows below the horizon."""
        height, width = self.size
        rows = np.arange(int(self.horizon) + 2, height)
        far = (self.focal * self.camera_height / (rows - self.horizon))[:, None]
        x = (np.arange(width)[None] - width / 2) * far / self.focal
        z = np.broadcast_to(far + travelled, x.shape)
        off = np.abs(x)
        fine = self.sample_grain(x + 500, z, 30) * 9 / (1 + far / 15) + self.sample_grain(x + 500, z, 2.5) * 5
        colour = np.repeat((self.asphalt + fine)[..., None], 3, 2) * np.array([1.0, 1.0, 1.02])
        dash = (off < 0.08) & (z % 9 < 4.5)
        edge = np.abs(off - (HALF_ROAD - 0.3)) < 0.08
        colour[dash | edge] = 205
        pavement = (off > HALF_ROAD) & (off < HALF_ROAD + 2.2)
        joints = ((x % 0.8) < 0.05) | ((z % 0.8) < 0.05)
        colour[pavement] = (np.array([158, 152, 146]) + fine[..., None])[pavement]
        colour[pavement & joints] -= 22
        grass = off >= HALF_ROAD + 2.2
        colour[grass] = (np.array([88, 112, 58]) + 2.5 * fine[..., None])[grass]
        kerb = np.abs(off - HALF_ROAD) < 0.12
        colour[kerb] = 185
        label = np.where(grass, TERRAIN, np.where(pavement, SIDEWALK, ROAD)).astype(np.uint8)
        return colour, label, far

    def facades(self, travelled: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Colour (H, W, 3), mask (H, W) and distance (1, W) of the house fronts on both sides."""
        height, width = self.size
        across = np.arange(width) - width / 2
        far = self.focal * HALF_STREET / np.maximum(np.abs(across), 1.0)[None]
        along = far + travelled
        up = (self.horizon - np.arange(height))[:, None] * far / self.focal + self.camera_height
        house = (along // 14).astype(int) % 64
        top = np.where(across[None] < 0, self.heights[0, house], self.heights[1, house])
        front = (up > 0) & (up < top) & (far < FAR)
        window = ((along % 2.8) > 0.9) & ((along % 2.8) < 2.1) & ((up % 3.1) > 1.0) & ((up % 3.1) < 2.5) & (up > 0.5)
        colour = np.array([176, 160, 142]) * self.tints[house] * np.ones_like(up)[..., None]
        colour += self.sample_grain(np.broadcast_to(along, up.shape), up + 900, 6)[..., None] * 5
        colour[window] = np.array([70, 82, 96]) + 20 * self.tints[house.repeat(height, 0)][window]
        colour[np.broadcast_to((along % 14) < 0.15, up.shape)] *= 0.6
        return colour, front, far

    def haze(self, colour: np.ndarray, far: np.ndarray) -> np.ndarray:
        """Colour faded towards the horizon's with distance in metres."""
        clear = np.exp(-far / 190)[..., None]
        return colour * clear + np.array([205, 213, 220]) * (1 - clear)

    def view(self, travelled: float, seconds: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """Image (H, W, 3) uint8 RGB and labels (H, W) uint8 (trainIds, OUTLIER) after some metres and seconds."""
        height, width = self.size
        image, label = self.sky.copy(), np.full(self.size, SKY, np.uint8)
        colour, front, far = self.facades(travelled)
        image[front] = self.haze(colour, far)[front]
        label[front] = BUILDING
        colour, floor, far = self.ground(travelled)
        below = height - len(floor)
        under = ~front[below:]
        image[below:][under] = self.haze(colour, far)[under]
        label[below:][under] = floor[under]
        image *= self.light
        for each in sorted(self.things, key=lambda one: -(one.z + one.speed * seconds)):
            self.stand(image, label, each, each.z + each.speed * seconds - travelled)
        rng = np.random.default_rng(int(travelled * 1000) + 7)
        image = cv2.GaussianBlur(image, (0, 0), 0.6) + rng.normal(0, 2.5, (height, width, 1))
        return np.clip(image, 0, 255).astype(np.uint8), label

    def stand(self, image: np.ndarray, label: np.ndarray, thing: Thing, far: float) -> None:
        """Draw a thing at a distance in metres, with its shadow, in place."""
        if not NEAR < far < FAR:
            return
        scale = self.focal / far
        rows, columns = thing.picture.shape[:2]
        high = max(round(thing.height * scale), 2)
        wide = max(round(thing.height * columns / rows * scale), 2)
        foot = self.horizon + self.camera_height * scale
        left = round(self.size[1] / 2 + thing.x * scale - wide / 2)
        dark = max(round(high * 0.16), 2)
        self.lay(image, None, shadow(wide, dark), left, round(foot - dark / 2), 0)
        picture = cv2.resize(thing.picture, (wide, high), interpolation=cv2.INTER_AREA).astype(np.float32)
        picture[..., :3] = self.haze(picture[..., :3], np.array(far)) * self.light
        self.lay(image, label, picture, left, round(foot - high), thing.label)

    def lay(
        self, image: np.ndarray, label: np.ndarray | None, picture: np.ndarray, left: int, top: int, value: int
    ) -> None:
        """Blend an RGBA picture onto the image, and its shape onto the labels, in place."""
        height, width = self.size
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(left + picture.shape[1], width), min(top + picture.shape[0], height)
        if x1 <= x0 or y1 <= y0:
            return
        part = picture[y0 - top : y1 - top, x0 - left : x1 - left]
        alpha = part[..., 3:] / 255.0
        image[y0:y1, x0:x1] += alpha * (part[..., :3] - image[y0:y1, x0:x1])
        if label is not None:
            label[y0:y1, x0:x1][alpha[..., 0] > 0.5] = value


def drive(
    seed: int = 0,
    frames: int = 120,
    size: tuple[int, int] = (540, 960),
    rate: float = 25.0,
    speed: float = 14.0,
    anomalies: int | None = None,
    change: Change | None = None,
) -> Iterator[Frame]:
    """A drive along a rendered street; each frame carries its label: ANOMALY on anomalies, KNOWN elsewhere.

    >>> first = next(drive(seed=3, frames=1, size=(90, 160)))
    >>> first.image.shape, sorted(set(first.label.ravel().tolist()))
    ((90, 160, 3), [0, 1])

    Args:
        seed: of the street.
        frames: how many.
        size: (H, W) in pixels.
        rate: frames per second.
        speed: metres a second.
        anomalies: their number; one every 9 metres if None.
        change: what the drive turns to on its way, see oddroad.synthetic.conditions; None for nothing.
    """
    if anomalies is None:
        anomalies = max(2, round(frames / rate * speed / 9))
    street = Street(seed, size, length=max(frames / rate * speed + 40, 60), anomalies=anomalies)
    for number in range(frames):
        seconds = number / rate
        strength = 0.0 if change is None else change.strength(number)
        street.camera_height = CAMERA_HEIGHT if change is None else change.camera_height(CAMERA_HEIGHT, strength)
        image, label = street.view(seconds * speed, seconds)
        if change is not None:
            image = change.picture(image, strength, seed, number)
        truth = np.where(label == OUTLIER, ANOMALY, KNOWN).astype(np.uint8)
        yield Frame(image, f"drive{seed}", number, seconds, truth)
