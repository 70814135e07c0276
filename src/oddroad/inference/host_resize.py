"""Resizing around a graph by OpenCV, several times faster than the engines do it inside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from oddroad.card import Card

Run = Callable[..., list[np.ndarray]]
"""(1, H, W, 3) uint8 and names of outputs -> their arrays (1, H, W); with ``inside`` by the graph alone, with
``low_res`` at the network's stride (1, h, w) where the file offers that."""


LOW_RES = ".low_res"
"""What the name of an output has at its end that is the same map, (1, 1, h, w), at the network's stride."""


LOGITS, CLASSES = "logits", "classes"
"""A portable file's class logits (1, C, h, w), and what other files give: their arg max, enlarged."""


def enlarged(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A map (1, h, w) at the size (1, H, W): scores linearly, classes by their nearest."""
    if maps.shape[1:] == size:
        return maps
    import cv2

    how = cv2.INTER_LINEAR if maps.dtype == np.float32 else cv2.INTER_NEAREST
    return cv2.resize(maps[0], size[::-1], interpolation=how)[None]


@dataclass(frozen=True)
class HostResize:
    """What OpenCV does around a graph, several times faster than the engines do it inside: resizing.

    A file resizes the image and enlarges its maps by itself, so that it can be used anywhere. Here, maps are fetched
    at the network's stride where the file offers that, and enlarged by the same formula. Images for INT8 files are
    brought to the network's size beforehand: such a file rounds them to INT8 after its own resizing, too. A portable
    file does none of it by itself: its images are resized in float32, as the other files do inside.

    Attributes:
        size: (H, W) to bring images to; None leaves that to the graph.
        low_res: names that the file also gives at the network's stride.
        portable: the graph takes (1, 3, H, W) float32 and gives every map at the network's stride.
    """

    size: tuple[int, int] | None
    low_res: frozenset[str]
    portable: bool = False

    @classmethod
    def of(cls, card: Card, outputs: Sequence[str]) -> HostResize:
        """For a file with a card and outputs of these names."""
        ends = frozenset(name.removesuffix(LOW_RES) for name in outputs if name.endswith(LOW_RES))
        outside = card.portable or card.precision == "int8"
        return cls(card.size if outside else None, ends, card.portable)

    def before(self, images: np.ndarray) -> np.ndarray:
        """The image (1, H, W, 3) as the graph gets it."""
        if self.portable:
            return self.planes(images[0])
        if self.size is None or images.shape[1:3] == self.size:
            return images
        import cv2

        return cv2.resize(images[0], self.size[::-1], interpolation=cv2.INTER_LINEAR)[None]

    def planes(self, image: np.ndarray) -> np.ndarray:
        """An image (H, W, 3) uint8 as what a portable graph takes: (1, 3, h, w) float32, RGB, 0 to 255."""
        import cv2

        pixels = image.astype(np.float32)
        if self.size is not None and image.shape[:2] != self.size:
            pixels = cv2.resize(pixels, self.size[::-1], interpolation=cv2.INTER_LINEAR)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])

    def asked(self, names: Sequence[str]) -> list[str]:
        """The outputs to fetch."""
        if self.portable:
            return [LOGITS if name == CLASSES else name for name in names]
        return [name + LOW_RES if name in self.low_res else name for name in names]

    @staticmethod
    def likeliest(found: np.ndarray) -> np.ndarray:
        """Classes (1, 1, h, w) uint8 of logits (1, C, h, w); classes as they are."""
        return found.argmax(1, keepdims=True).astype(np.uint8) if found.dtype == np.float32 else found

    def after(self, found: np.ndarray, images: np.ndarray) -> np.ndarray:
        """An output as a map (1, H, W) of the image's size; logits (1, C, h, w) as they are."""
        height, width = images.shape[1:3]
        if found.ndim == 4 and found.shape[1] > 1:
            return found
        return enlarged(found[0] if found.ndim == 4 else found, (height, width))

    def around(self, run: Callable[[np.ndarray, Sequence[str]], list[np.ndarray]]) -> Run:
        """A run function of the graph alone -> one with these steps."""

        def whole(
            images: np.ndarray, names: Sequence[str], inside: bool = False, low_res: bool = False
        ) -> list[np.ndarray]:
            if inside and not self.portable:
                return run(images, names)
            both = zip(names, run(self.before(images), self.asked(names)), strict=True)
            found = [self.likeliest(each) if name == CLASSES else each for name, each in both]
            if low_res:
                return [each[0] if each.ndim == 4 else each for each in found]
            return [self.after(each, images) for each in found]

        return whole
