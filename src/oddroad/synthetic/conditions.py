"""What a rendered drive may turn to: night, rain, a dirty lens, another camera height. No data set is needed for it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from oddroad.errors import pick

HIGHER = 1.4  # metres that a camera on a lorry is above one in a car


def night(image: np.ndarray, strength: float, seed: int, number: int) -> np.ndarray:
    """Darkness, headlights on the road ahead, and the noise of a sensor that amplifies little light."""
    height, width = image.shape[:2]
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    across = (columns / width - 0.5) / (0.12 + 0.35 * np.clip(rows / height - 0.44, 0, 1))
    beam = np.exp(-(across**2)) * np.clip((rows / height - 0.42) * 6, 0, 1) * np.clip((1.05 - rows / height) * 3, 0, 1)
    light = 1 - strength * (1 - 0.07 - 0.45 * beam)
    tint = 1 - strength * np.array([0.12, 0.08, 0.0], np.float32)
    noise = np.random.default_rng([seed, number]).normal(0, 7 * strength, image.shape).astype(np.float32)
    return image * light[..., None] * tint + noise


def rain(image: np.ndarray, strength: float, seed: int, number: int) -> np.ndarray:
    """A grey veil over everything, less contrast, softer detail, and streaks that are others in each frame."""
    height, width = image.shape[:2]
    soft = cv2.GaussianBlur(image, (0, 0), 0.4 + 1.6 * strength)
    veiled = soft * (1 - 0.55 * strength) + 0.55 * strength * np.array([150, 155, 160], np.float32)
    draw, streaks = np.random.default_rng([seed, number]), np.zeros((height, width), np.float32)
    for x, y in zip(draw.integers(0, width, 350), draw.integers(0, height, 350), strict=True):
        length = int(draw.integers(height // 40 + 2, height // 12 + 3))
        cv2.line(streaks, (int(x), int(y)), (int(x) + length // 6, int(y) + length), 1.0, 1, cv2.LINE_AA)
    return veiled + 45 * strength * cv2.GaussianBlur(streaks, (0, 0), 0.7)[..., None]


def dirty_lens(image: np.ndarray, strength: float, seed: int, number: int) -> np.ndarray:
    """Smears that stay where they are: a brown blur over a good part of the picture."""
    height, width = image.shape[:2]
    draw = np.random.default_rng([seed, 1])
    noise = cv2.resize(draw.normal(0, 1, (7, 12)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    cover = np.clip(noise + 0.6, 0, 1)[..., None] * strength
    behind = cv2.GaussianBlur(image, (0, 0), height / 30)
    return image * (1 - cover) + cover * (0.45 * behind + 0.35 * np.array([120, 100, 75], np.float32))


PICTURES = {"night": night, "rain": rain, "dirty-lens": dirty_lens}
"""What is done to a picture: (H, W, 3) float32, strength 0 to 1, seed and number of the frame to (H, W, 3) float32."""

CONDITIONS = {**PICTURES, "camera-height": None}


@dataclass(frozen=True)
class Change:
    """A change on the way.

    Attributes:
        kind: key in CONDITIONS.
        begins: number of the first frame that shows it; 0 or less for a drive that begins with it.
        lasts: frames until it is complete.

    Raises:
        InputError: if there is no such kind.
    """

    kind: str
    begins: int = 0
    lasts: int = 1

    def __post_init__(self) -> None:
        pick(CONDITIONS, self.kind, "condition")

    def strength(self, number: int) -> float:
        """How much of it a frame shows, 0 to 1."""
        return float(np.clip((number - self.begins + 1) / max(self.lasts, 1), 0, 1))

    def camera_height(self, usual: float, strength: float) -> float:
        """Metres of the camera above the road."""
        return usual + HIGHER * strength if self.kind == "camera-height" else usual

    def picture(self, image: np.ndarray, strength: float, seed: int, number: int) -> np.ndarray:
        """A frame (H, W, 3) uint8 RGB under the condition; the very same where its strength is 0."""
        change = PICTURES.get(self.kind)
        if change is None or not strength:
            return image
        return np.clip(change(image.astype(np.float32), strength, seed, number), 0, 255).astype(np.uint8)
